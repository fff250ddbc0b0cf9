//! Cuts a file into content-defined chunks and hashes them, through one reusable buffer. Owns the
//! call of the chunking library, whose cut points are pinned by a test: they are part of what
//! makes two copies of a game alike. Knows nothing of games.

use fastcdc::v2020::{Normalization, cut, select_masks};
use lanspread_fs_txn::vfs::{File, FsError};
use lanspread_wire::{ChunkEntry, ChunkHash, ChunkParams};

use crate::limits::library::HASH_BUFFER_BYTES_MIN;

/// Why a file was not hashed.
#[derive(Debug)]
pub(crate) enum CutEnd {
    /// It could not be read.
    Read(FsError),
    /// It does not have the size it had, or not the content it should have.
    Changed,
    /// The work is given up.
    Cancelled,
}

/// A buffer that slides over a file, filled from behind.
#[derive(Default)]
pub(crate) struct Cutter {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// A file that is being read from its beginning to its end.
struct Source<'a, P> {
    file: &'a dyn File,
    /// No more than this is expected: a file that grows while it is read must not keep us.
    size: u64,
    offset: u64,
    at_end: bool,
    /// Is told how many bytes were read; `false` gives up.
    progress: P,
}

impl Cutter {
    /// The chunks of a file of `size` bytes.
    pub(crate) fn chunks(
        &mut self,
        file: &dyn File,
        size: u64,
        params: ChunkParams,
        progress: impl FnMut(u64) -> bool,
    ) -> Result<Vec<ChunkEntry>, CutEnd> {
        let mut source = Source { file, size, offset: 0, at_end: false, progress };
        let max = params.max as usize;
        let mut chunks = Vec::new();
        self.reset(max);
        let (mask_s, mask_l) = select_masks(params.avg as usize, Normalization::Level1);
        let mut cut_total: u64 = 0;
        loop {
            self.fill(&mut source, max)?;
            let window = &self.buffer[self.start..self.end.min(self.start + max)];
            if window.is_empty() {
                break;
            }
            let (min, avg) = (params.min as usize, params.avg as usize);
            let (_, len) = cut(window, min, avg, max, mask_s, mask_l, mask_s << 1, mask_l << 1);
            chunks.push(entry(&window[..len]));
            self.start += len;
            cut_total += len as u64;
        }
        if cut_total == size { Ok(chunks) } else { Err(CutEnd::Changed) }
    }

    /// Checks that a file consists of exactly these chunks.
    pub(crate) fn check(
        &mut self,
        file: &dyn File,
        chunks: &[ChunkEntry],
        progress: impl FnMut(u64) -> bool,
    ) -> Result<(), CutEnd> {
        let size = chunks.iter().map(|chunk| u64::from(chunk.len)).sum();
        let mut source = Source { file, size, offset: 0, at_end: false, progress };
        let longest = chunks.iter().map(|chunk| chunk.len as usize).max().unwrap_or(0);
        self.reset(longest);
        for chunk in chunks {
            let len = chunk.len as usize;
            self.fill(&mut source, len)?;
            if self.end - self.start < len {
                return Err(CutEnd::Changed);
            }
            let bytes = &self.buffer[self.start..self.start + len];
            if ChunkHash::of(bytes) != chunk.hash {
                return Err(CutEnd::Changed);
            }
            self.start += len;
        }
        self.fill(&mut source, 1)?;
        if self.start == self.end { Ok(()) } else { Err(CutEnd::Changed) }
    }

    fn reset(&mut self, chunk_max: usize) {
        let wanted = HASH_BUFFER_BYTES_MIN.max(4 * chunk_max);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        (self.start, self.end) = (0, 0);
    }

    /// Reads on until `wanted` bytes lie in the buffer or the file ends.
    fn fill(
        &mut self,
        source: &mut Source<'_, impl FnMut(u64) -> bool>,
        wanted: usize,
    ) -> Result<(), CutEnd> {
        if source.at_end || self.end - self.start >= wanted {
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        while !source.at_end && self.end < wanted {
            let free = &mut self.buffer[self.end..];
            let count = source.file.read_at(source.offset, free).map_err(CutEnd::Read)?;
            source.at_end = count == 0;
            source.offset += count as u64;
            self.end += count;
            if source.offset > source.size {
                return Err(CutEnd::Changed);
            }
            if !(source.progress)(count as u64) {
                return Err(CutEnd::Cancelled);
            }
        }
        Ok(())
    }
}

fn entry(bytes: &[u8]) -> ChunkEntry {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    ChunkEntry { hash: ChunkHash::of(bytes), len }
}

#[cfg(test)]
mod tests {
    use lanspread_fs_txn::vfs::{FileKind, Metadata};
    use lanspread_wire::ChunkerId;
    use proptest::prelude::*;

    use super::*;

    /// A file in memory that gives at most `step` bytes at once.
    struct Memory {
        bytes: Vec<u8>,
        step: usize,
    }

    impl File for Memory {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError> {
            let rest = self.bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
            let count = rest.len().min(buffer.len()).min(self.step);
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
        fn write_at(&self, _: u64, _: &[u8]) -> Result<(), FsError> {
            unreachable!("the cutter only reads")
        }
        fn metadata(&self) -> Result<Metadata, FsError> {
            Ok(Metadata {
                kind: FileKind::File,
                len: self.bytes.len() as u64,
                modified_ns: 0,
                inode: None,
                device: None,
                executable: false,
            })
        }
        fn set_len(&self, _: u64) -> Result<(), FsError> {
            unreachable!("the cutter only reads")
        }
        fn reserve(&self, _: u64) -> Result<(), FsError> {
            unreachable!("the cutter only reads")
        }
        fn set_executable(&self, _: bool) -> Result<(), FsError> {
            unreachable!("the cutter only reads")
        }
        fn sync(&self) -> Result<(), FsError> {
            unreachable!("the cutter only reads")
        }
    }

    /// Bytes that no compressor likes, the same on every machine and for ever.
    fn noise(len: usize, seed: u8) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn cut_up(bytes: &[u8], step: usize, params: ChunkParams) -> Vec<ChunkEntry> {
        let file = Memory { bytes: bytes.to_vec(), step };
        let mut seen = 0;
        let chunks = Cutter::default()
            .chunks(&file, bytes.len() as u64, params, |read| {
                seen += read;
                true
            })
            .unwrap();
        assert_eq!(seen, bytes.len() as u64, "progress counts every byte");
        chunks
    }

    /// What the chunking library itself makes of the whole file in memory.
    fn reference(bytes: &[u8], params: ChunkParams) -> Vec<ChunkEntry> {
        let (min, avg, max) = (params.min as usize, params.avg as usize, params.max as usize);
        fastcdc::v2020::FastCDC::with_level(bytes, min, avg, max, Normalization::Level1)
            .map(|chunk| entry(&bytes[chunk.offset..chunk.offset + chunk.length]))
            .collect()
    }

    /// Proves D8: the cut points of this content are these, on every machine, in every version.
    #[test]
    fn the_cut_points_are_pinned() {
        let params = ChunkerId::STANDARD.params(0);
        let bytes = noise(1_500_000, 1);
        let lens: Vec<u32> = cut_up(&bytes, usize::MAX, params).iter().map(|c| c.len).collect();
        assert_eq!(lens, GOLDEN_NOISE);
        let zeros = cut_up(&vec![0; 600_000], usize::MAX, params);
        let lens: Vec<u32> = zeros.iter().map(|chunk| chunk.len).collect();
        assert_eq!(lens, [262_144, 262_144, 75_712]);
    }

    #[test]
    fn small_files_are_one_chunk_and_empty_ones_none() {
        let params = ChunkerId::STANDARD.params(0);
        assert_eq!(cut_up(b"", 7, params), []);
        for len in [1, 100, params.min as usize] {
            let bytes = noise(len, 2);
            assert_eq!(cut_up(&bytes, usize::MAX, params), [entry(&bytes)]);
        }
    }

    #[test]
    fn every_size_of_chunk_is_cut_as_the_library_does() {
        let bytes = noise(20_000_000, 3);
        let mut chunker = Some(ChunkerId::STANDARD);
        while let Some(rule) = chunker {
            let params = rule.params(0);
            assert_eq!(cut_up(&bytes, 333_333, params), reference(&bytes, params));
            chunker = rule.coarser();
        }
    }

    #[test]
    fn a_file_of_another_size_has_changed() {
        let params = ChunkerId::STANDARD.params(0);
        let file = Memory { bytes: noise(300_000, 4), step: usize::MAX };
        for size in [0, 299_999, 300_001, u64::MAX / 2] {
            let end = Cutter::default().chunks(&file, size, params, |_| true);
            assert!(matches!(end, Err(CutEnd::Changed)), "{size}");
        }
    }

    #[test]
    fn work_is_given_up_when_told() {
        let params = ChunkerId::STANDARD.params(0);
        let file = Memory { bytes: noise(300_000, 5), step: 1000 };
        let mut left = 3;
        let end = Cutter::default().chunks(&file, 300_000, params, |_| {
            left -= 1;
            left > 0
        });
        assert!(matches!(end, Err(CutEnd::Cancelled)));
    }

    #[test]
    fn a_check_accepts_its_own_chunks_and_nothing_else() {
        let params = ChunkerId::STANDARD.params(0);
        let bytes = noise(700_000, 6);
        let chunks = cut_up(&bytes, usize::MAX, params);
        let check = |bytes: &[u8], chunks: &[ChunkEntry]| {
            let file = Memory { bytes: bytes.to_vec(), step: 10_000 };
            Cutter::default().check(&file, chunks, |_| true)
        };
        check(&bytes, &chunks).unwrap();
        check(b"", &[]).unwrap();
        let mut flipped = bytes.clone();
        flipped[500_000] ^= 1;
        for wrong in [&flipped[..], &bytes[..699_999], &[&bytes[..], b"x"].concat(), b""] {
            assert!(matches!(check(wrong, &chunks), Err(CutEnd::Changed)));
        }
        assert!(matches!(check(b"x", &[]), Err(CutEnd::Changed)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// However the disk deals out the bytes, the chunks are those of the whole file, and one
        /// cutter can be used again and again.
        #[test]
        fn the_buffer_never_shows(
            files in prop::collection::vec((0usize..400_000, 1usize..300_000, any::<u8>()), 1..4)
        ) {
            let params = ChunkerId::STANDARD.params(0);
            let mut cutter = Cutter::default();
            for (len, step, seed) in files {
                let bytes = noise(len, seed);
                let file = Memory { bytes: bytes.clone(), step };
                let chunks = cutter.chunks(&file, len as u64, params, |_| true).unwrap();
                prop_assert_eq!(&chunks, &reference(&bytes, params));
                cutter.check(&file, &chunks, |_| true).unwrap();
            }
        }
    }

    const GOLDEN_NOISE: [u32; 23] = [
        65856, 36180, 68588, 58570, 66883, 80636, 63701, 108783, 41880, 62876, 68887, 89704, 90182,
        32733, 68679, 25527, 38208, 94575, 71918, 117403, 84860, 41111, 22260,
    ];
}
