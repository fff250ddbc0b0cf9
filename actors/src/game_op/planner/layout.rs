//! Where chunks lie in the content as a whole: their lengths, and the aligned blocks they are
//! taken from.
//!
//! Pure data, built once per download.

use std::{ops::Range, sync::Arc};

use crate::limits::transfer::BLOCK_BYTES;

/// The lengths of all chunks, and the first chunk of each block.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    lens: Arc<[u32]>,
    /// Then the number of chunks.
    block_firsts: Vec<u32>,
}

impl Layout {
    pub(super) fn new(lens: Arc<[u32]>) -> Self {
        let mut block_firsts = Vec::new();
        let mut start = 0u64;
        let mut block = None;
        let mut chunk = 0u32;
        for len in lens.iter() {
            if block != Some(start / BLOCK_BYTES) {
                block = Some(start / BLOCK_BYTES);
                block_firsts.push(chunk);
            }
            start = start.saturating_add(u64::from(*len));
            chunk = chunk.saturating_add(1);
        }
        block_firsts.push(chunk);
        Self { lens, block_firsts }
    }

    /// How many chunks there are.
    pub(super) fn bound(&self) -> u32 {
        self.block_firsts.last().copied().unwrap_or(0)
    }

    /// The bytes of a chunk; none for an index outside the content.
    pub(super) fn len(&self, chunk: u32) -> u64 {
        self.lens.get(chunk as usize).copied().map_or(0, u64::from)
    }

    /// How many blocks there are.
    pub(super) fn block_count(&self) -> usize {
        self.block_firsts.len() - 1
    }

    /// The block a chunk begins in.
    pub(super) fn block_of(&self, chunk: u32) -> usize {
        self.block_firsts.partition_point(|first| *first <= chunk).saturating_sub(1)
    }

    /// The chunks that begin in a block.
    pub(super) fn block(&self, index: usize) -> Range<u32> {
        match (self.block_firsts.get(index), self.block_firsts.get(index + 1)) {
            (Some(first), Some(end)) => *first..*end,
            _ => self.bound()..self.bound(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_cover_everything() {
        let half = u32::try_from(BLOCK_BYTES / 2).expect("fits");
        // Two halves, one that spans three blocks, a small one.
        let layout = Layout::new(vec![half, half, half * 5, 10].into());
        assert_eq!(layout.bound(), 4);
        assert_eq!(layout.block_count(), 3, "a block that nothing begins in does not count");
        assert_eq!(layout.block(0), 0..2);
        assert_eq!(layout.block(1), 2..3);
        assert_eq!(layout.block(2), 3..4);
        for block in 0..layout.block_count() {
            for chunk in layout.block(block) {
                assert_eq!(layout.block_of(chunk), block);
            }
        }
    }

    #[test]
    fn an_empty_game_has_no_blocks() {
        let layout = Layout::new(Vec::new().into());
        assert_eq!((layout.bound(), layout.block_count()), (0, 0));
        assert_eq!(layout.block(0), 0..0);
    }
}
