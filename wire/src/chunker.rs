//! Which rule cuts files into chunks. Owns the parameters and how they grow with size; knows
//! nothing of the bytes. The rule is named in every manifest, because two copies of a game share
//! chunks only if they were cut by the same one.

use crate::limits::CHUNK_BYTES_MAX;

/// How cut points are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChunkAlgorithm {
    /// FastCDC of 2020 with normalisation level 1 and seed 0.
    FastCdc2020,
}

/// The rule by which a manifest's files were cut: the parameters for files of ordinary size, from
/// which [`ChunkerId::params`] derives those of larger ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkerId {
    /// How cut points are found.
    pub algorithm: ChunkAlgorithm,
    /// No chunk but the last of a file is smaller.
    pub min: u32,
    /// The mean that is aimed at; a power of two.
    pub avg: u32,
    /// No chunk is larger.
    pub max: u32,
}

/// The parameters for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkParams {
    /// No chunk but the last is smaller; a file up to this size is one chunk, without a cutter.
    pub min: u32,
    /// The mean that is aimed at.
    pub avg: u32,
    /// No chunk is larger.
    pub max: u32,
}

impl ChunkerId {
    /// The rule for games of ordinary size.
    pub const STANDARD: ChunkerId = ChunkerId::with_mean(MEAN_BYTES_MIN);

    /// The rule for a game of so many bytes in all: coarser for very large games, whose list of
    /// chunks would not fit a manifest. Depends on content only, so two copies agree.
    pub fn for_total(bytes_total: u64) -> ChunkerId {
        let mut chunker = ChunkerId::STANDARD;
        while bytes_total / u64::from(chunker.avg) > CHUNKS_AIMED_MAX {
            match chunker.coarser() {
                Some(coarser) => chunker = coarser,
                None => break,
            }
        }
        chunker
    }

    /// The next coarser rule, for content that still has too many chunks under this one.
    pub fn coarser(self) -> Option<ChunkerId> {
        (self.avg < MEAN_BYTES_MAX).then(|| ChunkerId::with_mean(self.avg * 2))
    }

    /// The parameters for a file of this size.
    pub fn params(self, file_size: u64) -> ChunkParams {
        let mut avg = self.avg;
        let mut reach = ORDINARY_FILE_BYTES_MAX;
        while file_size > reach && avg < MEAN_BYTES_MAX {
            avg *= 2;
            reach = reach.saturating_mul(2);
        }
        let ChunkerId { min, avg, max, .. } = ChunkerId::with_mean(avg);
        ChunkParams { min, avg, max }
    }

    /// Whether this is one of the rules that this version knows.
    pub fn is_known(self) -> bool {
        self.avg.is_power_of_two()
            && (MEAN_BYTES_MIN..=MEAN_BYTES_MAX).contains(&self.avg)
            && self == ChunkerId::with_mean(self.avg)
    }

    const fn with_mean(avg: u32) -> ChunkerId {
        ChunkerId { algorithm: ChunkAlgorithm::FastCdc2020, min: avg / 4, avg, max: avg * 4 }
    }
}

impl ChunkParams {
    /// Whether a file of this size is one chunk, or none if it is empty.
    pub fn is_single_chunk(self, file_size: u64) -> bool {
        file_size <= u64::from(self.min)
    }
}

/// Measured: finer chunks double the manifest and win little in updates.
const MEAN_BYTES_MIN: u32 = 64 * 1024;
/// The largest mean whose longest chunk still respects the limit on a chunk.
const MEAN_BYTES_MAX: u32 = CHUNK_BYTES_MAX / 4;
/// Up to here a file is cut with the mean of the rule; each doubling beyond doubles the mean.
const ORDINARY_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Leaves room in a manifest for the short last chunks and the paths of very many files.
const CHUNKS_AIMED_MAX: u64 = 1_572_864;
