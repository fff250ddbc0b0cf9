//! The transfer planner: which chunks to ask which source for, and when to stop waiting for one.
//!
//! Pure and deterministic: messages and time in, orders out; the same seed gives the same
//! orders. It owns what is wanted, what is outstanding where, and what is known of each source.
//! It never sees a byte and never decides which content is right.
//!
//! The policy, in the order in which its rules matter: every source is asked, none gets a long
//! queue, chunks are drawn at random among the rarest instead of in order, a lost source's
//! chunks are free at once, a silent one is passed over, and at the very end a late chunk is
//! asked for twice.

mod dice;
mod end_game;
mod free;
mod layout;
mod pick;
mod source;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use lanspread_wire::{ChunkRun, PeerId};

pub use self::source::Holds;
use self::{dice::Dice, free::FreeChunks, layout::Layout, source::Source};
use crate::{
    game_op::chunk_set::{ChunkSet, runs_of},
    limits::transfer::{
        IN_FLIGHT_BYTES_MAX, SOURCES_FEW_MAX, STALL_AFTER, STALL_REST, WINDOW_BYTES_MIN,
        WINDOW_BYTES_MIN_FEW,
    },
};

/// Names one request; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

/// Ask `peer` for these chunks, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub request: RequestId,
    pub peer: PeerId,
    /// Ascending, distinct, not empty.
    pub chunks: Vec<u32>,
    /// Their sum, which is the length of the right answer.
    pub bytes: u64,
}

impl Order {
    /// The chunks in the form that travels.
    pub fn runs(&self) -> Vec<ChunkRun> {
        runs_of(self.chunks.iter().copied())
    }
}

/// How a request ended that the planner did not cancel itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The whole answer came.
    Complete,
    /// The source will not serve this content until it announces itself anew.
    RefusedForGood,
    /// The source refused for the moment.
    Refused,
    /// The answer broke off, was late or had the wrong length.
    Broken,
    /// It was given up for a reason of ours; the source is not to blame.
    Withdrawn,
}

/// What the arrival of a chunk means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Whether it was missing until now; `false` for the second copy of the end game.
    pub fresh: bool,
    /// Requests that bring nothing any more and are forgotten here.
    pub cancel: Vec<RequestId>,
}

/// How the download stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Nothing is wanted any more.
    Done,
    /// Something is outstanding, or may be asked for now or soon.
    Going,
    /// Something is wanted, nothing is outstanding, and no source may be asked.
    Starved,
}

/// The planner of one download.
#[derive(Debug)]
pub struct Planner {
    layout: Layout,
    /// Not here yet and to be fetched.
    wanted: ChunkSet,
    /// Wanted and not outstanding.
    free: FreeChunks,
    /// Wanted and outstanding: in which requests.
    carriers: BTreeMap<u32, Carriers>,
    requests: BTreeMap<RequestId, Request>,
    sources: BTreeMap<PeerId, Source>,
    /// Sources that sent a wrong chunk: out for the whole download.
    expelled: BTreeSet<PeerId>,
    /// How many sources that do not hold everything hold each chunk; empty while there are no
    /// such sources.
    holders: Vec<u16>,
    in_flight_bytes: u64,
    end_game_at: Duration,
    dice: Dice,
    next_request: u64,
}

/// The one or two requests that a chunk was asked for in.
#[derive(Clone, Copy, Debug)]
struct Carriers {
    first: RequestId,
    second: Option<RequestId>,
}

#[derive(Clone, Debug)]
struct Request {
    peer: PeerId,
    asked_at: Duration,
    /// What has not come yet, each with the bytes outstanding at the source when it was asked
    /// for, itself included.
    chunks: BTreeMap<u32, u64>,
    /// How many of them are still wanted.
    wanted_left: usize,
}

impl Planner {
    /// A planner for content with chunks of these lengths. Nothing is wanted yet and nobody is
    /// there.
    pub fn new(lens: Arc<[u32]>, seed: u64) -> Self {
        let layout = Layout::new(lens);
        Self {
            wanted: ChunkSet::empty(layout.bound()),
            free: FreeChunks::new(&layout),
            carriers: BTreeMap::new(),
            requests: BTreeMap::new(),
            sources: BTreeMap::new(),
            expelled: BTreeSet::new(),
            holders: Vec::new(),
            in_flight_bytes: 0,
            end_game_at: Duration::ZERO,
            dice: Dice::new(seed),
            next_request: 0,
            layout,
        }
    }

    /// `chunk` must be fetched.
    pub fn want(&mut self, chunk: u32) {
        if self.wanted.insert(chunk) {
            self.free.insert(&self.layout, chunk);
        }
    }

    /// A source is there, or announces itself anew. One that was expelled stays out: `false`.
    pub fn source_joined(&mut self, now: Duration, peer: PeerId, holds: Holds) -> bool {
        if self.expelled.contains(&peer) {
            return false;
        }
        if let Some(source) = self.sources.get(&peer) {
            let before = source.holds.clone();
            self.count_holdings(&before, |count| count.saturating_sub(1));
        }
        self.count_holdings(&holds, |count| count.saturating_add(1));
        match self.sources.get_mut(&peer) {
            Some(source) => source.rejoin(holds),
            None => {
                self.sources.insert(peer, Source::new(now, holds));
            }
        }
        true
    }

    /// A source that is still receiving has more than before.
    pub fn source_gained(&mut self, peer: PeerId, gained: ChunkRun) {
        let bound = self.layout.bound();
        let Some(Source { holds: Holds::Some(chunks), .. }) = self.sources.get_mut(&peer) else {
            return;
        };
        for chunk in gained.first..gained.end().min(bound) {
            if chunks.insert(chunk)
                && let Some(count) = self.holders.get_mut(chunk as usize)
            {
                *count = count.saturating_add(1);
            }
        }
    }

    /// A source is gone: what was outstanding there is free at once (R5). Returns its requests.
    pub fn source_left(&mut self, peer: PeerId) -> Vec<RequestId> {
        let dropped = self.requests_at(peer);
        for request in &dropped {
            self.release(*request);
        }
        if let Some(source) = self.sources.remove(&peer) {
            self.count_holdings(&source.holds, |count| count.saturating_sub(1));
        }
        dropped
    }

    /// A source sent a wrong chunk: it is not asked again in this download (R4). Returns its
    /// requests.
    pub fn expel(&mut self, peer: PeerId) -> Vec<RequestId> {
        self.expelled.insert(peer);
        self.source_left(peer)
    }

    /// The measured round trip to a source.
    pub fn round_trip(&mut self, peer: PeerId, rtt: Duration) {
        if let Some(source) = self.sources.get_mut(&peer) {
            source.round_trip(rtt);
        }
    }

    /// A source was sending at `at`.
    pub fn heard(&mut self, at: Duration, peer: PeerId) {
        if let Some(source) = self.sources.get_mut(&peer) {
            source.heard_at = source.heard_at.max(at);
        }
    }

    /// What to ask for next, until there is no more to be asked for at the moment.
    pub fn next(&mut self, now: Duration) -> Option<Order> {
        if self.free.set().is_empty() {
            return self.second_copies(now);
        }
        let window_min = self.window_min(now);
        let mut candidates = Vec::new();
        for (peer, source) in &self.sources {
            if source.is_willing(now)
                && let Some(room) = source.room(window_min)
            {
                candidates.push((source.outstanding_bytes, self.dice.next(), *peer, room));
            }
        }
        candidates.sort_unstable();
        for (_, _, peer, room) in candidates {
            let chunks = self.pick(peer, room);
            if !chunks.is_empty() {
                return Some(self.place(now, peer, chunks));
            }
        }
        None
    }

    /// A chunk has come, is right and is written. It counts even if its request was cancelled
    /// meanwhile.
    pub fn delivered(&mut self, now: Duration, request: RequestId, chunk: u32) -> Delivery {
        let len = self.layout.len(chunk);
        if let Some(carrier) = self.requests.get_mut(&request)
            && let Some(queued) = carrier.chunks.remove(&chunk)
        {
            self.in_flight_bytes -= len;
            if let Some(source) = self.sources.get_mut(&carrier.peer) {
                source.outstanding_bytes -= len;
                source.measure(queued, now.saturating_sub(carrier.asked_at));
                source.heard_at = source.heard_at.max(now);
            }
        }
        self.arrived(chunk, Some(request))
    }

    /// A chunk is here by another way than a request.
    pub fn found(&mut self, chunk: u32) -> Delivery {
        self.arrived(chunk, None)
    }

    /// A request ended. What did not come is free again.
    pub fn ended(&mut self, now: Duration, request: RequestId, end: End) {
        let Some(ended) = self.requests.get(&request) else {
            return;
        };
        let (peer, is_short) = (ended.peer, !ended.chunks.is_empty());
        self.release(request);
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        match end {
            End::Withdrawn => {}
            End::Complete if !is_short => {}
            End::RefusedForGood => source.bench(),
            End::Complete | End::Refused | End::Broken => source.fail(now),
        }
    }

    /// Passes over sources that have gone silent, if another one can help. Returns the requests
    /// given up.
    pub fn tick(&mut self, now: Duration) -> Vec<RequestId> {
        let silent: Vec<PeerId> = self
            .sources
            .iter()
            .filter(|(_, source)| source.outstanding_requests > 0)
            .filter(|(_, source)| now >= source.heard_at + STALL_AFTER)
            .map(|(peer, _)| *peer)
            .collect();
        let mut given_up = Vec::new();
        for peer in silent {
            if !self.can_relieve(now, peer) {
                continue;
            }
            for request in self.requests_at(peer) {
                self.release(request);
                given_up.push(request);
            }
            if let Some(source) = self.sources.get_mut(&peer) {
                source.stall(now + STALL_REST);
            }
        }
        given_up
    }

    /// When to call [`Planner::tick`] and [`Planner::next`] again if nothing happens before.
    pub fn wake_at(&self, now: Duration) -> Option<Duration> {
        let rests = self.sources.values().filter_map(|source| source.wakes_at(now)).min();
        let stalls = self
            .sources
            .iter()
            .filter(|(_, source)| source.outstanding_requests > 0)
            .map(|(_, source)| source.heard_at + STALL_AFTER)
            // One that is due and was not passed over cannot be relieved before something happens.
            .filter(|at| *at > now)
            .min();
        let rests = rests.filter(|_| !self.free.set().is_empty());
        [rests, stalls, self.second_copies_at(now)].into_iter().flatten().min()
    }

    /// How the download stands.
    pub fn outlook(&self, now: Duration) -> Outlook {
        if self.wanted.is_empty() {
            Outlook::Done
        } else if self.requests.is_empty() && self.source_count(now) == 0 {
            Outlook::Starved
        } else {
            Outlook::Going
        }
    }

    /// Sources that are there and may be asked sooner or later.
    pub fn source_count(&self, now: Duration) -> usize {
        self.sources.values().filter(|source| !source.is_benched(now)).count()
    }

    /// Sources that sent a wrong chunk.
    pub fn expelled(&self) -> &BTreeSet<PeerId> {
        &self.expelled
    }

    fn arrived(&mut self, chunk: u32, request: Option<RequestId>) -> Delivery {
        let mut delivery = Delivery { fresh: self.wanted.remove(chunk), cancel: Vec::new() };
        self.free.remove(&self.layout, chunk);
        let Some(carriers) = self.carriers.remove(&chunk) else {
            return delivery;
        };
        for carrier in [Some(carriers.first), carriers.second].into_iter().flatten() {
            let Some(other) = self.requests.get_mut(&carrier) else { continue };
            other.wanted_left -= 1;
            if other.wanted_left == 0 && Some(carrier) != request {
                delivery.cancel.push(carrier);
            }
        }
        for request in &delivery.cancel {
            self.release(*request);
        }
        delivery
    }

    /// Enters a request for these free or late chunks.
    fn place(&mut self, now: Duration, peer: PeerId, mut chunks: Vec<u32>) -> Order {
        chunks.sort_unstable();
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let before = self.sources.get(&peer).map_or(0, |source| source.outstanding_bytes);
        let mut queued = before;
        let mut entered = BTreeMap::new();
        for chunk in &chunks {
            queued += self.layout.len(*chunk);
            entered.insert(*chunk, queued);
            self.free.remove(&self.layout, *chunk);
            self.carriers
                .entry(*chunk)
                .and_modify(|carriers| carriers.second = Some(request))
                .or_insert(Carriers { first: request, second: None });
        }
        let bytes = queued - before;
        if let Some(source) = self.sources.get_mut(&peer) {
            if source.outstanding_requests == 0 {
                source.heard_at = now;
            }
            source.outstanding_bytes += bytes;
            source.outstanding_requests += 1;
        }
        self.in_flight_bytes += bytes;
        let wanted_left = entered.len();
        self.requests
            .insert(request, Request { peer, asked_at: now, chunks: entered, wanted_left });
        Order { request, peer, chunks, bytes }
    }

    /// Forgets a request; what it did not bring and nobody else brings is free.
    fn release(&mut self, request: RequestId) {
        let Some(released) = self.requests.remove(&request) else {
            return;
        };
        let mut bytes = 0;
        for chunk in released.chunks.keys() {
            bytes += self.layout.len(*chunk);
            let Some(carriers) = self.carriers.get_mut(chunk) else { continue };
            match (carriers.first == request, carriers.second) {
                (true, Some(second)) => *carriers = Carriers { first: second, second: None },
                (false, Some(second)) if second == request => carriers.second = None,
                (false, _) => {}
                (true, None) => {
                    self.carriers.remove(chunk);
                    self.free.insert(&self.layout, *chunk);
                }
            }
        }
        self.in_flight_bytes -= bytes;
        if let Some(source) = self.sources.get_mut(&released.peer) {
            source.outstanding_bytes -= bytes;
            source.outstanding_requests -= 1;
        }
    }

    fn requests_at(&self, peer: PeerId) -> Vec<RequestId> {
        let open = self.requests.iter().filter(|(_, request)| request.peer == peer);
        open.map(|(request, _)| *request).collect()
    }

    /// Whether another source that is not silent itself could bring something that `peer` does
    /// not. One that was passed over more often than `peer` cannot: two that are slow would take
    /// turns, and neither would ever bring a whole chunk.
    fn can_relieve(&self, now: Duration, peer: PeerId) -> bool {
        let stalls = self.sources.get(&peer).map_or(0, |source| source.stalls);
        self.sources.iter().any(|(other, source)| {
            let is_live = source.outstanding_requests == 0 || now < source.heard_at + STALL_AFTER;
            let can_give = || match &source.holds {
                Holds::All => true,
                Holds::Some(chunks) => self
                    .requests
                    .values()
                    .filter(|request| request.peer == peer)
                    .any(|request| request.chunks.keys().any(|chunk| chunks.contains(*chunk))),
            };
            let is_better = *other != peer && source.stalls <= stalls;
            is_better && source.is_willing(now) && is_live && can_give()
        })
    }

    fn window_min(&self, now: Duration) -> u64 {
        if self.source_count(now) <= SOURCES_FEW_MAX {
            WINDOW_BYTES_MIN_FEW
        } else {
            WINDOW_BYTES_MIN
        }
    }

    /// What may still be asked for; anything if nothing is outstanding, so that the largest
    /// chunk always can be.
    fn budget(&self) -> u64 {
        if self.in_flight_bytes == 0 {
            u64::MAX
        } else {
            IN_FLIGHT_BYTES_MAX.saturating_sub(self.in_flight_bytes)
        }
    }

    fn count_holdings(&mut self, holds: &Holds, change: impl Fn(u16) -> u16) {
        let Holds::Some(chunks) = holds else {
            return;
        };
        if self.holders.is_empty() {
            self.holders = vec![0; self.layout.bound() as usize];
        }
        for chunk in chunks.iter() {
            if let Some(count) = self.holders.get_mut(chunk as usize) {
                *count = change(*count);
            }
        }
    }
}
