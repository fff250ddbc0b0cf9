//! Which chunks to ask one source for: the rarest, at random among equals, then their neighbours.
//!
//! Never in order: receivers that all start at the front have nothing to give each other.

use std::ops::Range;

use lanspread_wire::{
    PeerId,
    limits::{CHUNKS_PER_REQUEST_MAX, RUNS_PER_REQUEST_MAX},
};

use super::{Planner, source::Holds};
use crate::limits::transfer::PROBES;

impl Planner {
    /// Free chunks that `peer` holds, about `bytes` of them but at least one that the budget
    /// allows. They are taken out of the free ones.
    pub(super) fn pick(&mut self, peer: PeerId, bytes: u64) -> Vec<u32> {
        let budget = self.budget();
        let aimed = bytes.min(budget);
        let mut picked: Vec<u32> = Vec::new();
        let mut sum = 0;
        for _ in 0..RUNS_PER_REQUEST_MAX {
            let Some(seed) = self.probe(peer) else { break };
            let before = picked.len();
            for chunk in self.neighbours(peer, seed) {
                let len = self.layout.len(chunk);
                let fits = sum + len <= if picked.is_empty() { budget } else { aimed };
                if !fits || picked.len() >= CHUNKS_PER_REQUEST_MAX as usize {
                    break;
                }
                sum += len;
                self.free.remove(&self.layout, chunk);
                picked.push(chunk);
            }
            if picked.len() == before {
                break;
            }
        }
        picked
    }

    /// A free chunk that the source holds and few others do.
    fn probe(&mut self, peer: PeerId) -> Option<u32> {
        let holds = &self.sources.get(&peer)?.holds;
        let rarity_min = if *holds == Holds::All { 0 } else { 1 };
        let mut best: Option<(u16, u32)> = None;
        for _ in 0..PROBES {
            let chunk = self.free.draw(&self.layout, &mut self.dice)?;
            if !holds.contains(chunk) {
                continue;
            }
            let rarity = self.rarity(chunk);
            if best.is_none_or(|(least, _)| rarity < least) {
                best = Some((rarity, chunk));
            }
            if rarity <= rarity_min {
                break;
            }
        }
        if let Some((_, chunk)) = best {
            return Some(chunk);
        }
        // It holds few of the free chunks: look for any, from a random place on.
        let Holds::Some(chunks) = holds else { return None };
        let from = self.dice.below(self.layout.bound());
        let free = self.free.set();
        free.next_in_both(chunks, from).or_else(|| free.next_in_both(chunks, 0))
    }

    /// The chunks around `seed` in its block that are as free and as rare and that the source
    /// holds too.
    fn neighbours(&self, peer: PeerId, seed: u32) -> Range<u32> {
        let block = self.layout.block(self.layout.block_of(seed));
        let Some(source) = self.sources.get(&peer) else {
            return seed..seed;
        };
        let rarity = self.rarity(seed);
        let alike = |chunk: u32| {
            self.free.contains(chunk)
                && source.holds.contains(chunk)
                && self.rarity(chunk) == rarity
        };
        let first = (block.start..seed).rev().take_while(|chunk| alike(*chunk)).last();
        let end = (seed..block.end).take_while(|chunk| alike(*chunk)).last();
        first.unwrap_or(seed)..end.map_or(seed, |last| last + 1)
    }

    /// How many of the sources that do not hold everything hold this chunk. The others hold
    /// every chunk alike.
    fn rarity(&self, chunk: u32) -> u16 {
        self.holders.get(chunk as usize).copied().unwrap_or(0)
    }
}
