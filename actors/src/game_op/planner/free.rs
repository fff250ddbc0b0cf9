//! The chunks that nobody has been asked for yet, from which one can be drawn with equal chances.
//!
//! Equal chances matter: a draw that favours chunks behind gaps makes all receivers ask for the
//! same ones, and the first source sends them again and again. A tree of counts per block gives
//! them without a scan.

use super::{dice::Dice, layout::Layout};
use crate::game_op::chunk_set::ChunkSet;

/// A set of chunks with a count per block.
#[derive(Clone, Debug)]
pub(super) struct FreeChunks {
    set: ChunkSet,
    /// A Fenwick tree over the counts of free chunks per block; index 0 is unused.
    tree: Vec<u32>,
}

impl FreeChunks {
    pub(super) fn new(layout: &Layout) -> Self {
        Self { set: ChunkSet::empty(layout.bound()), tree: vec![0; layout.block_count() + 1] }
    }

    pub(super) fn set(&self) -> &ChunkSet {
        &self.set
    }

    pub(super) fn contains(&self, chunk: u32) -> bool {
        self.set.contains(chunk)
    }

    pub(super) fn insert(&mut self, layout: &Layout, chunk: u32) -> bool {
        let fresh = self.set.insert(chunk);
        if fresh {
            self.count(layout.block_of(chunk), |count| *count += 1);
        }
        fresh
    }

    pub(super) fn remove(&mut self, layout: &Layout, chunk: u32) -> bool {
        let was = self.set.remove(chunk);
        if was {
            self.count(layout.block_of(chunk), |count| *count -= 1);
        }
        was
    }

    /// One free chunk, each with the same chance.
    pub(super) fn draw(&self, layout: &Layout, dice: &mut Dice) -> Option<u32> {
        if self.set.is_empty() {
            return None;
        }
        let (block, mut skip) = self.find(dice.below(self.set.count()));
        let range = layout.block(block);
        let mut from = range.start;
        loop {
            let chunk = self.set.next_from(from).filter(|chunk| *chunk < range.end)?;
            if skip == 0 {
                return Some(chunk);
            }
            skip -= 1;
            from = chunk + 1;
        }
    }

    /// The block that holds the free chunk number `rank`, and its number within the block.
    fn find(&self, mut rank: u32) -> (usize, u32) {
        let mut position = 0;
        let mut step = self.tree.len().next_power_of_two() / 2;
        while step > 0 {
            let next = position + step;
            if let Some(count) = self.tree.get(next)
                && *count <= rank
            {
                rank -= count;
                position = next;
            }
            step /= 2;
        }
        (position, rank)
    }

    fn count(&mut self, block: usize, change: impl Fn(&mut u32)) {
        let mut position = block + 1;
        while let Some(count) = self.tree.get_mut(position) {
            change(count);
            position += position & position.wrapping_neg();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(chunks: usize) -> Layout {
        Layout::new(vec![300 * 1024; chunks].into())
    }

    /// Every free chunk is drawn about equally often, however they lie.
    #[test]
    fn draws_are_fair() {
        let layout = layout(400);
        let mut free = FreeChunks::new(&layout);
        // A crowded end and lonely ones far apart.
        let members: Vec<u32> = (0..20).chain([100, 200, 399]).collect();
        for chunk in &members {
            assert!(free.insert(&layout, *chunk));
            assert!(!free.insert(&layout, *chunk));
        }
        let mut dice = Dice::new(3);
        let mut seen = vec![0u32; 400];
        for _ in 0..23_000 {
            seen[free.draw(&layout, &mut dice).expect("free chunks") as usize] += 1;
        }
        for chunk in 0..400 {
            let count = seen[chunk as usize];
            if members.contains(&chunk) {
                assert!((800..1_200).contains(&count), "chunk {chunk} was drawn {count} times");
            } else {
                assert_eq!(count, 0, "chunk {chunk} is not free");
            }
        }
    }

    #[test]
    fn the_last_chunk_can_be_drawn_and_then_nothing() {
        for chunks in [1, 2, 3, 4, 7, 8, 9, 64, 65] {
            let layout = layout(chunks);
            let mut free = FreeChunks::new(&layout);
            let mut dice = Dice::new(1);
            for chunk in 0..layout.bound() {
                free.insert(&layout, chunk);
            }
            while let Some(chunk) = free.draw(&layout, &mut dice) {
                assert!(free.remove(&layout, chunk));
                assert!(!free.remove(&layout, chunk));
            }
            assert!(free.set().is_empty());
        }
    }
}
