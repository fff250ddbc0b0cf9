//! The end game: when everything that is missing has been asked for, a late chunk is asked for
//! once more elsewhere.
//!
//! Never more than twice, and only where the second source can be expected to win.

use std::time::Duration;

use lanspread_wire::{PeerId, limits::CHUNKS_PER_REQUEST_MAX};

use super::{Order, Planner};
use crate::limits::transfer::{
    END_GAME_AGE_MIN, END_GAME_INTERVAL, END_GAME_OUTSTANDING_MAX, REQUEST_BYTES_AIMED,
};

impl Planner {
    /// An order for late chunks at a second source, if one can be expected to be faster.
    pub(super) fn second_copies(&mut self, now: Duration) -> Option<Order> {
        if now < self.end_game_at || self.source_count(now) < 2 {
            return None;
        }
        let late = self.late_chunks(now);
        let choice = late.iter().find_map(|(chunk, age)| {
            self.faster_source(now, *chunk, *age).map(|peer| (peer, *chunk))
        });
        let Some((peer, first)) = choice else {
            self.end_game_at = now + END_GAME_INTERVAL;
            return None;
        };
        let mut chunks = Vec::new();
        let mut bytes = 0;
        for (chunk, age) in late.into_iter().skip_while(|(chunk, _)| *chunk != first) {
            let sum = bytes + self.layout.len(chunk);
            let fits = chunks.is_empty() || sum <= REQUEST_BYTES_AIMED;
            if fits && self.is_faster(peer, chunk, sum, age) && self.budget() >= sum {
                chunks.push(chunk);
                bytes = sum;
            }
            if chunks.len() == CHUNKS_PER_REQUEST_MAX as usize {
                break;
            }
        }
        if chunks.is_empty() {
            self.end_game_at = now + END_GAME_INTERVAL;
            return None;
        }
        Some(self.place(now, peer, chunks))
    }

    /// When a chunk may next be late enough, if any can be.
    pub(super) fn second_copies_at(&self, now: Duration) -> Option<Duration> {
        if !self.free.set().is_empty() || self.source_count(now) < 2 {
            return None;
        }
        let single = self.carriers.values().filter(|carriers| carriers.second.is_none());
        let asked_at = single
            .filter_map(|carriers| self.requests.get(&carriers.first))
            .map(|request| request.asked_at)
            .min()?;
        Some(self.end_game_at.max(asked_at + END_GAME_AGE_MIN))
    }

    /// Chunks that were asked for only once and long ago, each with its age.
    fn late_chunks(&self, now: Duration) -> Vec<(u32, Duration)> {
        let single = self.carriers.iter().filter(|(_, carriers)| carriers.second.is_none());
        single
            .filter_map(|(chunk, carriers)| {
                let asked_at = self.requests.get(&carriers.first)?.asked_at;
                let age = now.saturating_sub(asked_at);
                (age >= END_GAME_AGE_MIN).then_some((*chunk, age))
            })
            .collect()
    }

    /// The other source with the shortest wait for `chunk`, if that is short against its age.
    fn faster_source(&self, now: Duration, chunk: u32, age: Duration) -> Option<PeerId> {
        let len = self.layout.len(chunk);
        self.sources
            .iter()
            .filter(|(_, source)| source.is_willing(now))
            .filter(|(_, source)| source.outstanding_bytes <= END_GAME_OUTSTANDING_MAX)
            .filter(|(_, source)| source.room(END_GAME_OUTSTANDING_MAX * 2).is_some())
            .filter(|(peer, _)| self.is_faster(**peer, chunk, len, age))
            .min_by_key(|(peer, source)| (source.expected(len), **peer))
            .map(|(peer, _)| *peer)
    }

    /// Whether `peer`, asked for `sum` bytes that end with `chunk`, would bring it in less than
    /// half of its age.
    fn is_faster(&self, peer: PeerId, chunk: u32, sum: u64, age: Duration) -> bool {
        let is_other = self
            .carriers
            .get(&chunk)
            .and_then(|carriers| self.requests.get(&carriers.first))
            .is_some_and(|request| request.peer != peer);
        let Some(source) = self.sources.get(&peer) else {
            return false;
        };
        is_other && source.holds.contains(chunk) && source.expected(sum) < age / 2
    }
}
