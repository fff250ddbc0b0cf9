//! A set of chunk indexes of one manifest, one bit each: what is here, what is free to ask for,
//! what a source holds.
//!
//! Owns nothing but the bits. Must never hold an index outside the manifest it was made for.

use lanspread_wire::ChunkRun;

/// Chunk indexes below a fixed bound.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkSet {
    words: Vec<u64>,
    bound: u32,
    count: u32,
}

impl ChunkSet {
    /// No chunk of a manifest with `bound` chunks.
    pub fn empty(bound: u32) -> Self {
        Self { words: vec![0; word_count(bound)], bound, count: 0 }
    }

    /// Every chunk of a manifest with `bound` chunks.
    pub fn full(bound: u32) -> Self {
        let mut words = vec![u64::MAX; word_count(bound)];
        let rest = bound % WORD_BITS;
        if rest != 0
            && let Some(last) = words.last_mut()
        {
            *last = (1 << rest) - 1;
        }
        Self { words, bound, count: bound }
    }

    /// Reads what [`ChunkSet::to_bytes`] wrote. A record of another length is of another
    /// manifest and tells nothing.
    pub fn from_bytes(bytes: &[u8], bound: u32) -> Option<Self> {
        if bytes.len() != (bound as usize).div_ceil(8) {
            return None;
        }
        let mut set = Self::empty(bound);
        for (word, octets) in set.words.iter_mut().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..octets.len()].copy_from_slice(octets);
            *word = u64::from_le_bytes(padded);
        }
        let allowed = Self::full(bound);
        for (word, allowed) in set.words.iter_mut().zip(&allowed.words) {
            *word &= allowed;
        }
        set.count = set.words.iter().map(|word| word.count_ones()).sum();
        Some(set)
    }

    /// One bit per chunk, the lowest index in the lowest bit of the first byte.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate((self.bound as usize).div_ceil(8));
        bytes
    }

    /// The number of chunks of the manifest.
    pub fn bound(&self) -> u32 {
        self.bound
    }

    /// How many chunks are in the set.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether no chunk is in the set.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether every chunk is in the set.
    pub fn is_full(&self) -> bool {
        self.count == self.bound
    }

    /// Whether `chunk` is in the set; an index outside the manifest never is.
    pub fn contains(&self, chunk: u32) -> bool {
        let (word, bit) = place(chunk);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Puts `chunk` in; `false` if it was in or lies outside the manifest.
    pub fn insert(&mut self, chunk: u32) -> bool {
        if chunk >= self.bound || self.contains(chunk) {
            return false;
        }
        let (word, bit) = place(chunk);
        self.words[word] |= bit;
        self.count += 1;
        true
    }

    /// Takes `chunk` out; `false` if it was not in.
    pub fn remove(&mut self, chunk: u32) -> bool {
        if !self.contains(chunk) {
            return false;
        }
        let (word, bit) = place(chunk);
        self.words[word] &= !bit;
        self.count -= 1;
        true
    }

    /// The chunks that are not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        for (word, theirs) in rest.words.iter_mut().zip(&other.words) {
            *word &= !theirs;
        }
        rest.count = rest.words.iter().map(|word| word.count_ones()).sum();
        rest
    }

    /// The first chunk of the set at or after `from`.
    pub fn next_from(&self, from: u32) -> Option<u32> {
        self.next_common(from, None)
    }

    /// The first chunk at or after `from` that is in both sets.
    pub fn next_in_both(&self, other: &Self, from: u32) -> Option<u32> {
        self.next_common(from, Some(other))
    }

    /// The chunks of the set in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let mut from = 0;
        std::iter::from_fn(move || {
            let found = self.next_from(from)?;
            from = found + 1;
            Some(found)
        })
    }

    fn next_common(&self, from: u32, other: Option<&Self>) -> Option<u32> {
        if from >= self.bound {
            return None;
        }
        let first = (from / WORD_BITS) as usize;
        let mut mask = u64::MAX << (from % WORD_BITS);
        for index in first..self.words.len() {
            let theirs = match other {
                None => u64::MAX,
                Some(other) => other.words.get(index).copied().unwrap_or(0),
            };
            let common = self.words[index] & theirs & mask;
            if common != 0 {
                let index = u32::try_from(index).ok()?;
                return Some(index * WORD_BITS + common.trailing_zeros());
            }
            mask = u64::MAX;
        }
        None
    }
}

impl std::fmt::Debug for ChunkSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} chunks", self.count, self.bound)
    }
}

/// Ascending, distinct chunks as runs. The order is the caller's: an unsorted list is a bug of
/// ours.
pub fn runs_of(chunks: impl IntoIterator<Item = u32>) -> Vec<ChunkRun> {
    let mut runs: Vec<ChunkRun> = Vec::new();
    for chunk in chunks {
        match runs.last_mut() {
            Some(run) if run.end() == chunk => run.count += 1,
            last => {
                debug_assert!(last.is_none_or(|run| run.end() < chunk), "chunks ascend");
                runs.push(ChunkRun { first: chunk, count: 1 });
            }
        }
    }
    runs
}

fn place(chunk: u32) -> (usize, u64) {
    ((chunk / WORD_BITS) as usize, 1 << (chunk % WORD_BITS))
}

fn word_count(bound: u32) -> usize {
    bound.div_ceil(WORD_BITS) as usize
}

const WORD_BITS: u32 = u64::BITS;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The bits behave as a set of numbers does.
        #[test]
        fn it_is_a_set(
            bound in 0u32..300,
            steps in prop::collection::vec((0u32..310, any::<bool>()), 0..200),
        ) {
            let mut set = ChunkSet::empty(bound);
            let mut model = BTreeSet::new();
            for (chunk, put) in steps {
                if put {
                    prop_assert_eq!(set.insert(chunk), chunk < bound && model.insert(chunk));
                } else {
                    prop_assert_eq!(set.remove(chunk), model.remove(&chunk));
                }
            }
            prop_assert_eq!(set.count() as usize, model.len());
            prop_assert!(set.iter().eq(model.iter().copied()));
            let again = ChunkSet::from_bytes(&set.to_bytes(), bound);
            prop_assert_eq!(again, Some(set));
        }

        #[test]
        fn common_chunks_are_found(
            a in prop::collection::btree_set(0u32..200, 0..60),
            b in prop::collection::btree_set(0u32..200, 0..60),
            from in 0u32..210,
        ) {
            let fill = |members: &BTreeSet<u32>| {
                let mut set = ChunkSet::empty(200);
                for member in members {
                    set.insert(*member);
                }
                set
            };
            let expected = a.intersection(&b).copied().find(|chunk| *chunk >= from);
            prop_assert_eq!(fill(&a).next_in_both(&fill(&b), from), expected);
            let rest = fill(&a).without(&fill(&b));
            prop_assert!(rest.iter().eq(a.difference(&b).copied()));
            prop_assert_eq!(rest.count() as usize, a.difference(&b).count());
        }

        #[test]
        fn runs_tell_the_same_chunks(chunks in prop::collection::btree_set(0u32..500, 0..100)) {
            let runs = runs_of(chunks.iter().copied());
            let told: Vec<u32> = runs.iter().flat_map(|run| run.first..run.end()).collect();
            prop_assert!(told.iter().eq(chunks.iter()));
            let is_longest = runs.windows(2).all(|pair| pair[0].end() < pair[1].first);
            prop_assert!(is_longest, "runs are as long as can be");
        }
    }

    #[test]
    fn a_full_set_has_no_bit_beyond_its_bound() {
        for bound in [0, 1, 63, 64, 65, 128] {
            let full = ChunkSet::full(bound);
            assert_eq!(full.iter().count(), bound as usize);
            assert!(full.is_full());
        }
    }

    /// Proves R6: a record of another manifest is not believed.
    #[test]
    fn a_record_of_another_length_tells_nothing() {
        assert_eq!(ChunkSet::from_bytes(&[0xff; 3], 16), None);
        let noisy = ChunkSet::from_bytes(&[0xff, 0xff], 12).expect("the right length");
        assert_eq!(noisy, ChunkSet::full(12), "bits beyond the bound are ignored");
    }
}
