//! How the answer to a request for chunks is read from disk: in pieces that each take one trip.
//! Pure: runs and a map give places; nothing is opened here.

use lanspread_wire::{ChunkMap, ChunkRun};

use super::limits::PIECE_BYTES;

/// Bytes of one file that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) file: u32,
    pub(crate) offset: u64,
    pub(crate) bytes: usize,
}

/// What one read job takes: a part of one large file, or many small files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) segments: Vec<Segment>,
    pub(crate) bytes: usize,
}

/// The pieces that answer `runs`, which must lie within the map.
pub(crate) fn pieces(map: &ChunkMap, runs: &[ChunkRun]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut piece = Piece::default();
    for segment in runs.iter().flat_map(|run| segments(map, *run)) {
        let mut left = segment;
        while left.bytes > 0 {
            let taken = left.bytes.min(PIECE_BYTES - piece.bytes);
            piece.push(Segment { bytes: taken, ..left });
            left.offset += taken as u64;
            left.bytes -= taken;
            if piece.bytes == PIECE_BYTES {
                pieces.push(std::mem::take(&mut piece));
            }
        }
    }
    if piece.bytes > 0 {
        pieces.push(piece);
    }
    pieces
}

/// The parts of files that a run covers.
fn segments(map: &ChunkMap, run: ChunkRun) -> impl Iterator<Item = Segment> {
    run.range().filter_map(|chunk| map.get(chunk)).map(|place| Segment {
        file: place.file,
        offset: place.offset,
        bytes: place.len as usize,
    })
}

impl Piece {
    /// Adds a segment, joined to the one before it if it goes on where that one ends.
    fn push(&mut self, segment: Segment) {
        self.bytes += segment.bytes;
        match self.segments.last_mut() {
            Some(last)
                if last.file == segment.file
                    && last.offset + last.bytes as u64 == segment.offset =>
            {
                last.bytes += segment.bytes;
            }
            _ => self.segments.push(segment),
        }
    }
}

#[cfg(test)]
mod tests {
    use lanspread_wire::{ChunkEntry, ChunkHash, ChunkerId, Manifest, RelPath};
    use proptest::prelude::*;

    use super::*;

    /// A manifest of files with chunks of these lengths.
    fn map(files: &[Vec<u32>]) -> ChunkMap {
        let chunk = |len: &u32| ChunkEntry { hash: ChunkHash([0; 32]), len: *len };
        let files = files.iter().enumerate().map(|(number, chunks)| {
            let path = RelPath::parse(&format!("f{number:03}")).unwrap();
            (path, chunks.iter().map(chunk).collect())
        });
        let mut manifest = Manifest {
            chunker: ChunkerId::STANDARD,
            sentinel: b"1".to_vec(),
            files: Vec::new(),
            empty_dirs: Vec::new(),
            chunks: Vec::new(),
        };
        for (path, chunks) in files {
            let chunks: Vec<ChunkEntry> = chunks;
            manifest.files.push(lanspread_wire::FileEntry {
                path,
                size: chunks.iter().map(|chunk| u64::from(chunk.len)).sum(),
                chunk_count: u32::try_from(chunks.len()).unwrap(),
            });
            manifest.chunks.extend(chunks);
        }
        ChunkMap::new(&manifest)
    }

    /// The same bytes in as few segments as possible.
    fn joined(segments: impl Iterator<Item = Segment>) -> Vec<Segment> {
        let mut whole = Piece::default();
        segments.for_each(|segment| whole.push(segment));
        whole.segments
    }

    #[test]
    fn small_files_share_a_piece_and_large_ones_are_cut() {
        let large = 2 * PIECE_BYTES as u32;
        let map = map(&[vec![10], vec![20], vec![large, 5]]);
        let run = ChunkRun { first: 0, count: 4 };
        let pieces = pieces(&map, &[run]);
        let bytes: Vec<usize> = pieces.iter().map(|piece| piece.bytes).collect();
        assert_eq!(bytes, [PIECE_BYTES, PIECE_BYTES, 35]);
        let segment = |file, offset, bytes| Segment { file, offset, bytes };
        let first = PIECE_BYTES - 30;
        assert_eq!(
            pieces[0].segments,
            [segment(0, 0, 10), segment(1, 0, 20), segment(2, 0, first)]
        );
        assert_eq!(pieces[2].segments, [segment(2, (first + PIECE_BYTES) as u64, 35)]);
    }

    proptest! {
        /// Every byte of the runs, in their order, once; and no piece is larger than it may be.
        #[test]
        fn pieces_cover_exactly_the_runs(
            files in prop::collection::vec(prop::collection::vec(1_u32..400_000, 1..6), 1..6),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 1..8),
        ) {
            let map = map(&files);
            let chunks = map.chunk_count();
            let mut wanted: Vec<u32> =
                picks.iter().map(|pick| pick.index(chunks as usize) as u32).collect();
            wanted.sort_unstable();
            wanted.dedup();
            let runs: Vec<ChunkRun> =
                wanted.iter().map(|first| ChunkRun { first: *first, count: 1 }).collect();
            let pieces = pieces(&map, &runs);
            let found = pieces.iter().flat_map(|piece| piece.segments.iter().copied());
            let places = wanted.iter().map(|chunk| map.locate(*chunk)).map(|place| Segment {
                file: place.file,
                offset: place.offset,
                bytes: place.len as usize,
            });
            prop_assert_eq!(joined(found), joined(places));
            for piece in &pieces {
                prop_assert!(piece.bytes <= PIECE_BYTES && piece.bytes > 0);
                let sum: usize = piece.segments.iter().map(|segment| segment.bytes).sum();
                prop_assert_eq!(sum, piece.bytes);
            }
        }
    }
}
