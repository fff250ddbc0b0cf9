//! What is here of a download, chunk by chunk, and how each missing one is to be had.
//!
//! Pure. Chunks with equal bytes are twins: one of them is fetched, the others are copied from it.
//! A chunk that may be here already is expected; only when that fails is it fetched.

use std::collections::BTreeMap;

use super::{chunk_set::ChunkSet, target::Target};

/// The account of one download.
#[derive(Clone, Debug)]
pub struct Stock {
    done: ChunkSet,
    /// The group of each chunk that has twins.
    group_of: BTreeMap<u32, usize>,
    groups: Vec<Group>,
}

/// Chunks with equal bytes.
#[derive(Clone, Debug, Default)]
struct Group {
    /// One that is here.
    here: Option<u32>,
    /// The one that is expected or fetched; the others wait for it.
    carrier: Option<u32>,
    waiting: Vec<u32>,
}

/// How a missing chunk is to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// From a source.
    Fetch(u32),
    /// From its twin, which is here.
    Copy(Twin),
    /// Its twin is on its way, or it is here already.
    Wait,
}

/// Two chunks with equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twin {
    pub from: u32,
    pub to: u32,
}

impl Stock {
    /// Nothing is here yet. Sorts all hashes: for a worker thread when the content is large.
    pub fn new(target: &Target) -> Self {
        let hash = |chunk: &u32| target.manifest.chunks[*chunk as usize].hash;
        let mut by_hash: Vec<u32> = (0..target.chunk_count()).collect();
        by_hash.sort_unstable_by_key(|chunk| (hash(chunk), *chunk));
        let mut group_of = BTreeMap::new();
        let mut groups = Vec::new();
        for twins in by_hash.chunk_by(|left, right| hash(left) == hash(right)) {
            if twins.len() > 1 {
                group_of.extend(twins.iter().map(|chunk| (*chunk, groups.len())));
                groups.push(Group::default());
            }
        }
        Self { done: ChunkSet::empty(target.chunk_count()), group_of, groups }
    }

    /// The chunks that are here.
    pub fn done(&self) -> &ChunkSet {
        &self.done
    }

    /// Whether everything is here.
    pub fn is_complete(&self) -> bool {
        self.done.is_full()
    }

    /// `chunk` may be here already: nobody fetches it or a twin of it until that is known.
    pub fn expect(&mut self, chunk: u32) {
        if let Some(group) = self.group(chunk)
            && group.carrier.is_none()
        {
            group.carrier = Some(chunk);
        }
    }

    /// How to get `chunk`.
    pub fn need(&mut self, chunk: u32) -> Need {
        if self.done.contains(chunk) {
            return Need::Wait;
        }
        let Some(group) = self.group(chunk) else {
            return Need::Fetch(chunk);
        };
        match (group.here, group.carrier) {
            (Some(from), _) => Need::Copy(Twin { from, to: chunk }),
            (None, Some(carrier)) if carrier != chunk => {
                if !group.waiting.contains(&chunk) {
                    group.waiting.push(chunk);
                }
                Need::Wait
            }
            (None, _) => {
                group.carrier = Some(chunk);
                Need::Fetch(chunk)
            }
        }
    }

    /// `chunk` is here and right. Returns the twins that can be copied from it now.
    pub fn arrived(&mut self, chunk: u32) -> Vec<Twin> {
        self.done.insert(chunk);
        let Some(group) = self.group(chunk) else {
            return Vec::new();
        };
        group.here = Some(chunk);
        let waiting = std::mem::take(&mut group.waiting);
        let twins = waiting.into_iter().map(|to| Twin { from: chunk, to });
        twins.filter(|twin| !self.done.contains(twin.to)).collect()
    }

    /// An expected chunk is not what it should be. Returns how to get it.
    pub fn lost(&mut self, chunk: u32) -> Need {
        if let Some(group) = self.group(chunk)
            && group.carrier == Some(chunk)
        {
            group.carrier = None;
        }
        self.need(chunk)
    }

    /// A copy failed: what it was copied from is in doubt. Returns how to get it.
    pub fn not_copied(&mut self, twin: Twin) -> Need {
        if let Some(group) = self.group(twin.to) {
            group.here = None;
            group.carrier = None;
        }
        self.need(twin.to)
    }

    fn group(&mut self, chunk: u32) -> Option<&mut Group> {
        self.group_of.get(&chunk).and_then(|index| self.groups.get_mut(*index))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::game_op::testing::target_of;

    /// A target whose chunks are named by letters; equal letters are twins.
    fn stock(letters: &str) -> Stock {
        let chunks: Vec<Vec<u8>> = letters.bytes().map(|letter| vec![letter; 20]).collect();
        Stock::new(&target_of(&[("a", chunks)]))
    }

    #[test]
    fn a_chunk_without_twins_is_fetched() {
        let mut stock = stock("ab");
        assert_eq!(stock.need(0), Need::Fetch(0));
        assert_eq!(stock.arrived(0), vec![]);
        assert_eq!(stock.need(0), Need::Wait);
        assert!(!stock.is_complete());
    }

    /// Equal chunks travel once.
    #[test]
    fn twins_are_fetched_once_and_copied() {
        let mut stock = stock("aba");
        assert_eq!(stock.need(0), Need::Fetch(0));
        assert_eq!(stock.need(2), Need::Wait);
        assert_eq!(stock.arrived(0), vec![Twin { from: 0, to: 2 }]);
        assert_eq!(stock.need(2), Need::Copy(Twin { from: 0, to: 2 }));
        stock.arrived(2);
        assert_eq!(stock.done().count(), 2);
    }

    #[test]
    fn a_twin_waits_for_an_expected_one_and_is_fetched_if_that_fails() {
        let mut stock = stock("aa");
        stock.expect(0);
        assert_eq!(stock.need(1), Need::Wait);
        assert_eq!(stock.lost(0), Need::Fetch(0));
        assert_eq!(stock.arrived(0), vec![Twin { from: 0, to: 1 }]);
        let twin = Twin { from: 0, to: 1 };
        assert_eq!(stock.not_copied(twin), Need::Fetch(1), "a copy that failed is fetched");
    }

    proptest! {
        /// Whatever is expected, lost or copied: everything comes, and nothing is fetched while
        /// a twin is on its way.
        #[test]
        fn everything_comes(
            letters in "[abc]{1,12}",
            expected in prop::collection::vec(any::<bool>(), 12),
            luck in prop::collection::vec(0u8..4, 200),
        ) {
            let mut stock = stock(&letters);
            let count = u32::try_from(letters.len()).expect("small");
            let mut luck = luck.into_iter().chain(std::iter::repeat(3));
            // What is on its way: the chunk, and the twin it is copied from or nothing.
            let mut pending: Vec<(u32, Option<Twin>, bool)> = Vec::new();
            let expects = |chunk: u32| expected[chunk as usize];
            for chunk in (0..count).filter(|chunk| expects(*chunk)) {
                stock.expect(chunk);
                pending.push((chunk, None, false));
            }
            let mut needs: Vec<Need> =
                (0..count).filter(|one| !expects(*one)).map(|one| stock.need(one)).collect();
            for _ in 0..1000 {
                for need in needs.drain(..) {
                    match need {
                        Need::Fetch(chunk) => {
                            let letter = letters.as_bytes()[chunk as usize];
                            let twice = pending.iter().any(|(other, _, fetched)| {
                                *fetched && letters.as_bytes()[*other as usize] == letter
                            });
                            prop_assert!(!twice, "a twin is on its way");
                            pending.push((chunk, None, true));
                        }
                        Need::Copy(twin) => pending.push((twin.to, Some(twin), false)),
                        Need::Wait => {}
                    }
                }
                let Some((chunk, twin, fetched)) = pending.pop() else { break };
                match (luck.next() == Some(0) && !fetched, twin) {
                    (false, _) => {
                        needs.extend(stock.arrived(chunk).into_iter().map(Need::Copy));
                    }
                    (true, None) => needs.push(stock.lost(chunk)),
                    (true, Some(twin)) => needs.push(stock.not_copied(twin)),
                }
            }
            prop_assert!(stock.is_complete(), "{:?}", stock);
        }
    }
}
