//! Chunk rules and the index over chunks.

use lanspread_wire::{
    ChunkAlgorithm, ChunkLocation, ChunkMap, ChunkParams, ChunkRun, ChunkerId, Manifest, Refusal,
    limits::{CHUNK_BYTES_MAX, CHUNKS_PER_REQUEST_MAX, REQUEST_BYTES_MAX},
};
use proptest::prelude::*;

use super::samples::{any_manifest, chunk_of_len, manifest, path};

const KIB: u64 = 1024;
const GIB: u64 = 1024 * 1024 * KIB;

#[test]
fn the_standard_rule_is_the_measured_one() {
    let expected = ChunkParams { min: 16 * 1024, avg: 64 * 1024, max: 256 * 1024 };
    for size in [0, 1, 16 * KIB, GIB, 4 * GIB] {
        assert_eq!(ChunkerId::STANDARD.params(size), expected, "{size}");
    }
    assert_eq!(ChunkerId::STANDARD.algorithm, ChunkAlgorithm::FastCdc2020);
    assert!(expected.is_single_chunk(16 * KIB));
    assert!(!expected.is_single_chunk(16 * KIB + 1));
}

#[test]
fn the_mean_doubles_with_the_size_of_a_file_up_to_its_limit() {
    let kib_at = |size: u64| ChunkerId::STANDARD.params(size).avg / 1024;
    let sizes = [4 * GIB, 4 * GIB + 1, 8 * GIB, 8 * GIB + 1, 16 * GIB + 1, 32 * GIB + 1];
    assert_eq!(sizes.map(kib_at), [64, 128, 128, 256, 512, 1024]);
    assert_eq!(kib_at(u64::MAX), 1024);
}

#[test]
fn every_rule_is_powers_of_two_within_the_limit_on_a_chunk() {
    let mut rule = Some(ChunkerId::STANDARD);
    let mut rules = 0;
    while let Some(chunker) = rule {
        assert!(chunker.is_known());
        for size in [0, 5 * GIB, 100 * GIB, u64::MAX] {
            let ChunkParams { min, avg, max } = chunker.params(size);
            assert!(min.is_power_of_two() && avg.is_power_of_two() && max.is_power_of_two());
            assert!(min < avg && avg < max && max <= CHUNK_BYTES_MAX);
        }
        rules += 1;
        rule = chunker.coarser();
    }
    assert_eq!(rules, 5);
}

#[test]
fn a_very_large_game_is_cut_coarser_so_that_its_list_fits() {
    assert_eq!(ChunkerId::for_total(0), ChunkerId::STANDARD);
    assert_eq!(ChunkerId::for_total(90 * GIB), ChunkerId::STANDARD);
    let large = ChunkerId::for_total(180 * GIB);
    assert_eq!(Some(large), ChunkerId::STANDARD.coarser());
    assert!(ChunkerId::for_total(u64::MAX).coarser().is_none());
}

#[test]
fn only_rules_of_this_version_are_known() {
    let standard = ChunkerId::STANDARD;
    let unknown = [
        ChunkerId { min: 0, ..standard },
        ChunkerId { min: standard.min + 1, ..standard },
        ChunkerId { avg: 0, ..standard },
        ChunkerId { avg: standard.avg * 2, ..standard },
        ChunkerId { max: u32::MAX, ..standard },
        ChunkerId { min: 8 * 1024, avg: 32 * 1024, max: 128 * 1024, ..standard },
        ChunkerId { min: 1 << 19, avg: 1 << 21, max: 1 << 23, ..standard },
    ];
    for chunker in unknown {
        assert!(!chunker.is_known(), "{chunker:?}");
    }
}

#[test]
fn a_map_tells_where_each_chunk_lies() {
    let map = ChunkMap::new(&manifest());
    let expected = [
        // Sorted by bytes: "Größe.txt" (empty), "data/pak0.pk3", "setup.exe".
        ChunkLocation { file: 1, offset: 0, len: 3 },
        ChunkLocation { file: 1, offset: 3, len: 3 },
        ChunkLocation { file: 2, offset: 0, len: 262_144 },
        ChunkLocation { file: 2, offset: 262_144, len: 70_000 },
        ChunkLocation { file: 2, offset: 332_144, len: 1 },
    ];
    for (chunk, location) in (0..).zip(expected) {
        assert_eq!(map.locate(chunk), location);
        assert_eq!(map.get(chunk), Some(location));
    }
    assert_eq!(map.get(5), None);
    assert_eq!(map.get(u32::MAX), None);
    assert_eq!((map.chunk_count(), map.file_count()), (5, 3));
    assert_eq!([0, 1, 2, 3, u32::MAX].map(|f| map.file_chunks(f)), [0..0, 0..2, 2..5, 5..5, 5..5]);
    assert_eq!(map.run_bytes(ChunkRun { first: 1, count: 2 }), 3 + 262_144);
    assert_eq!(map.run_bytes(ChunkRun { first: 4, count: 9 }), 1);
    assert_eq!(map.run_bytes(ChunkRun { first: u32::MAX, count: u32::MAX }), 0);
}

#[test]
fn a_game_without_files_has_a_map() {
    let empty = Manifest::build(ChunkerId::STANDARD, b"1".to_vec(), vec![], vec![]).unwrap();
    let map = ChunkMap::new(&empty);
    assert_eq!((map.chunk_count(), map.file_count()), (0, 0));
    assert_eq!(map.get(0), None);
    assert_eq!(map.file_chunks(0), 0..0);
    assert_eq!(map.check_runs(&[ChunkRun { first: 0, count: 1 }]), Err(Refusal::OutOfRange));
}

#[test]
fn a_run_is_never_empty_and_never_overflows() {
    assert_eq!(ChunkRun::new(0, 0), None);
    assert_eq!(ChunkRun::new(u32::MAX, 1), None);
    assert_eq!(ChunkRun::new(2, u32::MAX - 1), None);
    let run = ChunkRun::new(u32::MAX - 1, 1).unwrap();
    assert_eq!((run.end(), run.range()), (u32::MAX, u32::MAX - 1..u32::MAX));
}

/// A manifest of one file with so many chunks of one length.
fn uniform(chunks: usize, len: u32) -> ChunkMap {
    let chunks = vec![chunk_of_len(b"x", len as usize); chunks];
    let files = vec![(path("a"), chunks)];
    ChunkMap::new(&Manifest::build(ChunkerId::STANDARD, b"1".to_vec(), files, vec![]).unwrap())
}

#[test]
fn the_chunks_of_one_long_file_are_all_its_own() {
    let map = uniform(10_000, 1000);
    for chunk in [0, 1, 9, 5000, 9_999] {
        let offset = 1000 * u64::from(chunk);
        assert_eq!(map.locate(chunk), ChunkLocation { file: 0, offset, len: 1000 });
    }
}

/// Proves T49.
#[test]
fn a_request_beyond_the_manifest_or_the_limits_is_refused() {
    let map = uniform(10_000, 1000);
    let run = |first, count| ChunkRun { first, count };
    assert_eq!(map.check_runs(&[run(0, 10), run(9_999, 1)]), Ok(11_000));
    for beyond in [run(9_999, 2), run(10_000, 1), run(u32::MAX, u32::MAX), run(0, 0)] {
        assert_eq!(map.check_runs(&[run(0, 1), beyond]), Err(Refusal::OutOfRange));
    }
    let most = CHUNKS_PER_REQUEST_MAX;
    assert!(map.check_runs(&[run(0, most - 1)]).is_ok());
    assert!(map.check_runs(&[run(0, most)]).is_ok());
    assert_eq!(map.check_runs(&[run(0, most), run(most, 1)]), Err(Refusal::Limit));
    // Repeats count every time.
    assert_eq!(map.check_runs(&[run(0, 4000); 9]), Err(Refusal::Limit));
}

/// Proves T49: at, below and above the bytes of one answer.
#[test]
fn a_request_for_too_many_bytes_is_refused() {
    let whole = u32::try_from(REQUEST_BYTES_MAX / u64::from(CHUNK_BYTES_MAX)).unwrap();
    let map = uniform(whole as usize + 1, CHUNK_BYTES_MAX);
    let run = |count| [ChunkRun { first: 0, count }];
    assert!(map.check_runs(&run(whole - 1)).is_ok());
    assert_eq!(map.check_runs(&run(whole)), Ok(REQUEST_BYTES_MAX));
    assert_eq!(map.check_runs(&run(whole + 1)), Err(Refusal::Limit));

    let files = vec![(
        path("a"),
        [
            vec![chunk_of_len(b"x", CHUNK_BYTES_MAX as usize); whole as usize],
            vec![chunk_of_len(b"y", 1)],
        ]
        .concat(),
    )];
    let manifest = Manifest::build(ChunkerId::STANDARD, b"1".to_vec(), files, vec![]).unwrap();
    let map = ChunkMap::new(&manifest);
    assert_eq!(map.check_runs(&run(whole + 1)), Err(Refusal::Limit));
}

proptest! {
    /// A map agrees with counting along the list.
    #[test]
    fn a_map_agrees_with_the_list(manifest in any_manifest()) {
        let map = ChunkMap::new(&manifest);
        let mut chunk = 0;
        for (file, entry) in (0..).zip(&manifest.files) {
            prop_assert_eq!(map.file_chunks(file), chunk..chunk + entry.chunk_count);
            let mut offset = 0;
            for index in map.file_chunks(file) {
                let len = manifest.chunks[index as usize].len;
                prop_assert_eq!(map.locate(index), ChunkLocation { file, offset, len });
                prop_assert_eq!(map.run_bytes(ChunkRun { first: index, count: 1 }), u64::from(len));
                offset += u64::from(len);
            }
            prop_assert_eq!(offset, entry.size);
            chunk += entry.chunk_count;
        }
        prop_assert_eq!(chunk, map.chunk_count());
        let all = ChunkRun { first: 0, count: u32::MAX };
        prop_assert_eq!(map.run_bytes(all), manifest.bytes_total());
    }
}
