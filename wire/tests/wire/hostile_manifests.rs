//! Manifests that no honest peer sends. Each is refused as a whole, naming the entry.

use lanspread_wire::{
    BadManifest, BadName, ChunkEntry, ChunkHash, ChunkerId, FileEntry, Manifest,
    limits::{CHUNK_BYTES_MAX, MANIFEST_CHUNKS_MAX, MANIFEST_ENTRIES_MAX},
};
use proptest::{collection::vec, prelude::*};

use super::samples::{chunk, manifest, path};

/// The canonical bytes of a manifest with one empty file, whose path is put in as it is. The
/// length before it is one byte, which bounds the path.
fn with_raw_path(raw: &[u8]) -> Vec<u8> {
    let placeholder = [b'z'; 9];
    let name = String::from_utf8(placeholder.to_vec()).unwrap();
    let files = vec![(path(&name), vec![])];
    let bytes = Manifest::build(ChunkerId::STANDARD, b"1".to_vec(), files, vec![]);
    let bytes = bytes.unwrap().encode();
    let at = bytes.windows(9).position(|window| window == placeholder).unwrap();
    assert!(raw.len() < 251 && bytes[at - 1] == 9);
    [&bytes[..at - 1], &[raw.len() as u8], raw, &bytes[at + 9..]].concat()
}

#[track_caller]
fn refused(raw: &str) -> BadManifest {
    let error = Manifest::decode(&with_raw_path(raw.as_bytes())).unwrap_err();
    assert!(!error.to_string().chars().any(char::is_control), "{error}");
    error
}

#[test]
fn a_path_put_in_by_hand_is_accepted_if_it_is_good() {
    for raw in ["a", "a/b", "Größe"] {
        let manifest = Manifest::decode(&with_raw_path(raw.as_bytes())).unwrap();
        assert_eq!(manifest.files[0].path.as_str(), raw);
    }
}

/// Proves T39, T40 and T43 for manifests; the rules themselves are proved with the validator.
#[test]
fn a_manifest_with_a_bad_name_is_refused_and_the_name_is_told() {
    let names = [
        "../x",
        "/x",
        "C:\\x",
        "\\\\srv\\s",
        "a\\..\\..\\b",
        "a/./b",
        "a//b",
        "a/",
        "",
        "CON",
        "aux.txt",
        "COM¹",
        "x.",
        "x ",
        "f:ads",
        "a?b",
        "LOCAL~1",
        "a\u{1b}b",
        "a\u{202e}b",
        "a\nb",
        "e\u{301}",
    ];
    for name in names {
        let error = refused(name);
        assert!(matches!(error, BadManifest::Name(_)), "{name:?}: {error}");
    }
    assert_eq!(refused("../x"), BadManifest::Name(BadName::Dots("..".into())));
    let long = "😀".repeat(51);
    assert!(matches!(refused(&long), BadManifest::Name(BadName::LongComponent(_))));
    let not_text = Manifest::decode(&with_raw_path(b"a\xff")).unwrap_err();
    assert!(matches!(not_text, BadManifest::Malformed(_)), "{not_text}");
}

/// Proves T41.
#[test]
fn a_manifest_with_a_reserved_name_is_refused() {
    let names = [
        "Version.INI",
        "version.ini",
        "local/evil",
        "LOCAL",
        ".lanspread.json",
        ".local.backup/x",
        "a/.lanspread_owned",
        ".download/x",
        ".hidden",
        "Thumbs.db",
        "a/desktop.ini",
    ];
    for name in names {
        assert_eq!(refused(name), BadManifest::Reserved(path(name)));
        let dirs = vec![path(name)];
        let built = Manifest::build(ChunkerId::STANDARD, b"1".to_vec(), vec![], dirs);
        assert_eq!(built, Err(BadManifest::Reserved(path(name))));
    }
}

fn tree(files: &[&str], dirs: &[&str]) -> Result<Manifest, BadManifest> {
    let files = files.iter().map(|file| (path(file), vec![])).collect();
    let dirs = dirs.iter().map(|dir| path(dir)).collect();
    Manifest::build(ChunkerId::STANDARD, b"1".to_vec(), files, dirs)
}

/// Proves T42.
#[test]
fn a_manifest_with_names_that_collide_is_refused() {
    let collide = [
        ("README", "readme"),
        ("a/X", "a/x"),
        ("A/x", "a/y"),
        ("Data/a/b", "data/c"),
        ("straße", "STRASSE"),
        ("É", "é"),
        ("K", "\u{212a}elvin/../k"),
    ];
    for (left, right) in &collide[..6] {
        let error = tree(&[left, right], &[]).unwrap_err();
        assert!(matches!(error, BadManifest::Collision { .. }), "{left} {right}: {error}");
        let error = tree(&[left], &[right]).unwrap_err();
        assert!(matches!(error, BadManifest::Collision { .. }), "{left} {right}: {error}");
    }
    let twice = tree(&["a", "a"], &[]).unwrap_err();
    assert_eq!(twice, BadManifest::Order(path("a")));
    let twice = tree(&[], &["a", "a"]).unwrap_err();
    assert_eq!(twice, BadManifest::Order(path("a")));
    assert!(tree(&["a/x", "b/x", "ab"], &["c", "a/d"]).is_ok());
}

/// Proves T42.
#[test]
fn a_name_that_is_a_file_and_a_directory_is_refused() {
    let both = BadManifest::FileAndDirectory("a".into());
    assert_eq!(tree(&["a", "a/b"], &[]), Err(both.clone()));
    assert_eq!(tree(&["a", "a-b", "a/b/c/d"], &[]), Err(both.clone()));
    assert_eq!(tree(&["a"], &["a"]), Err(both.clone()));
    assert_eq!(tree(&["a"], &["a/b"]), Err(both));
    let folded = tree(&["A", "a/b"], &[]).unwrap_err();
    assert!(matches!(folded, BadManifest::Collision { .. }), "{folded}");
}

#[test]
fn an_empty_directory_that_is_not_empty_is_refused() {
    let not_empty = BadManifest::NotEmpty("a".into());
    assert_eq!(tree(&["a/b"], &["a"]), Err(not_empty.clone()));
    assert_eq!(tree(&[], &["a", "a/b"]), Err(not_empty));
}

fn with(change: impl FnOnce(&mut Manifest)) -> BadManifest {
    let mut changed = manifest();
    change(&mut changed);
    let error = changed.validate().unwrap_err();
    assert_eq!(Manifest::decode(&changed.encode()), Err(error.clone()));
    error
}

/// Proves T45.
#[test]
fn sizes_that_do_not_add_up_are_refused() {
    let setup = path("setup.exe");
    for size in [0, 332_144, 332_146, 1 << 63, u64::MAX] {
        let error = with(|m| m.files[2].size = size);
        let path = setup.clone();
        assert_eq!(error, BadManifest::Size { path, size, chunk_bytes: 332_145 });
    }
    for len in [0, CHUNK_BYTES_MAX + 1, u32::MAX] {
        let error = with(|m| m.chunks[4].len = len);
        assert_eq!(error, BadManifest::ChunkBytes { path: setup.clone(), len });
    }
    let error = with(|m| m.files[0].size = 1);
    assert!(matches!(error, BadManifest::Size { size: 1, chunk_bytes: 0, .. }), "{error}");
}

/// Proves T45: chunks that belong to nobody, or to two.
#[test]
fn chunk_counts_that_do_not_add_up_are_refused() {
    let sum = |of_files, listed| BadManifest::ChunkSum { of_files, listed };
    assert_eq!(with(|m| m.files[2].chunk_count = 2), sum(4, 5));
    assert_eq!(with(|m| m.files[2].chunk_count = 4), sum(6, 5));
    assert_eq!(with(|m| m.chunks.truncate(4)), sum(5, 4));
    let error = with(|m| m.files.iter_mut().for_each(|file| file.chunk_count = u32::MAX));
    assert_eq!(error, sum(3 * u64::from(u32::MAX), 5));
    // The right sum with a border in the wrong place.
    let error = with(|m| {
        m.files[1].chunk_count = 1;
        m.files[2].chunk_count = 4;
    });
    assert!(matches!(error, BadManifest::Size { .. }), "{error}");
}

#[test]
fn entries_out_of_order_are_refused() {
    assert_eq!(with(|m| m.files.swap(1, 2)), BadManifest::Order(path("data/pak0.pk3")));
    let error = with(|m| m.empty_dirs.insert(1, path("a")));
    assert_eq!(error, BadManifest::Order(path("a")));
}

#[test]
fn an_unknown_chunker_is_refused() {
    assert_eq!(with(|m| m.chunker.max = u32::MAX), BadManifest::Chunker);
    assert_eq!(with(|m| m.chunker.min = 1), BadManifest::Chunker);
}

/// Proves D1 for manifests: an empty or unreadable sentinel is an error.
#[test]
fn a_manifest_without_a_version_is_refused() {
    for sentinel in [&b""[..], b" \r\n", b"\xff", b"1\n2", &[b'1'; 5000]] {
        let error = with(|m| m.sentinel = sentinel.to_vec());
        assert!(matches!(error, BadManifest::Sentinel(_)), "{error}");
    }
}

/// Proves T29 for manifests.
#[test]
fn a_manifest_is_refused_at_every_cut_and_with_a_tail() {
    let mut bytes = manifest().encode();
    for cut in 0..bytes.len() {
        assert!(Manifest::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    bytes.push(0);
    assert_eq!(Manifest::decode(&bytes), Err(BadManifest::Trailing { bytes: 1 }));
}

/// Proves T29 and T70: what is accepted is exactly what was read, and is another content.
#[test]
fn a_manifest_with_any_byte_changed_is_refused_or_is_another() {
    let bytes = manifest().encode();
    let id = manifest().id();
    for index in 0..bytes.len() {
        let flips = (0..8).map(|bit| bytes[index] ^ (1 << bit));
        for byte in flips.chain([0, 1, 250, 251, 252, 253, 254, 255]) {
            if byte == bytes[index] {
                continue;
            }
            let mut changed = bytes.clone();
            changed[index] = byte;
            assert!(Manifest::decode_expecting(&changed, id).is_err());
            if let Ok(other) = Manifest::decode(&changed) {
                assert_eq!(other.encode(), changed);
                assert_ne!(other, manifest());
            }
        }
    }
}

#[test]
fn a_file_of_another_kind_is_no_manifest() {
    for bytes in [&b"{\"schema\": 1}"[..], b"PK\x03\x04", b"LSM2", &[0; 64], &[255; 64]] {
        assert!(Manifest::decode(bytes).is_err());
    }
    let mut bytes = manifest().encode();
    bytes[3] = b'2';
    assert_eq!(Manifest::decode(&bytes), Err(BadManifest::Magic));
}

/// Proves T30: each list of a manifest refuses an impossible length before it reads an item.
#[test]
fn lists_of_impossible_length_are_refused_before_they_are_read() {
    let empty = Manifest::build(ChunkerId::STANDARD, b"1".to_vec(), vec![], vec![]).unwrap();
    let bytes = empty.encode();
    // It ends with the lengths of: files, empty directories, chunk lengths, hashes.
    let lists = bytes.len() - 4;
    assert_eq!(bytes[lists..], [0; 4]);
    let caps = [MANIFEST_ENTRIES_MAX, MANIFEST_ENTRIES_MAX, MANIFEST_CHUNKS_MAX];
    for (list, cap) in caps.into_iter().enumerate() {
        for length in [cap as u64 + 1, 1 << 32, 1 << 60, u64::MAX] {
            let mut hostile = bytes[..lists + list].to_vec();
            hostile.push(253);
            hostile.extend(length.to_le_bytes());
            hostile.extend([0; 64]);
            let error = Manifest::decode(&hostile).unwrap_err().to_string();
            assert!(error.contains(&format!("at most {cap}")), "{error}");
        }
    }
    let mut hostile = bytes[..lists + 3].to_vec();
    hostile.push(253);
    hostile.extend((1_u64 << 60).to_le_bytes());
    assert!(matches!(Manifest::decode(&hostile), Err(BadManifest::Malformed(_))));
}

#[test]
fn hashes_that_do_not_match_the_lengths_are_refused() {
    let bytes = manifest().encode();
    let hashes = bytes.len() - 5 * 32 - 1;
    assert_eq!(bytes[hashes], 5 * 32);
    for count in [0, 1, 31, 32, 4 * 32, 5 * 32 - 1] {
        let mut hostile = bytes[..hashes].to_vec();
        hostile.push(count);
        hostile.extend(vec![7; usize::from(count)]);
        let hash_bytes = usize::from(count);
        let error = Manifest::decode(&hostile).unwrap_err();
        assert_eq!(error, BadManifest::HashCount { chunks: 5, hash_bytes });
    }
}

/// A manifest that is written in two ways would have two ids.
#[test]
fn a_manifest_written_the_long_way_is_refused() {
    let bytes = manifest().encode();
    let size = bytes.windows(2).position(|window| window == [b't', 0]).unwrap() + 1;
    let mut long = bytes[..size].to_vec();
    long.extend([251, 0, 0]);
    long.extend(&bytes[size + 1..]);
    assert_eq!(Manifest::decode(&long), Err(BadManifest::NotCanonical));
}

proptest! {
    #[test]
    fn any_bytes_are_refused(rest in vec(any::<u8>(), 0..300)) {
        prop_assert!(Manifest::decode(&rest).is_err());
        let mut bytes = b"LSM1\0".to_vec();
        bytes.extend(rest);
        if let Ok(manifest) = Manifest::decode(&bytes) {
            prop_assert_eq!(manifest.encode(), bytes);
        }
    }

    /// Manifests made of parts that are each good, or nearly: the verdict of `validate` and of
    /// `decode` is the same, and what is accepted returns.
    #[test]
    fn building_and_decoding_agree(
        files in vec(("[abAB](/[abAB]){0,2}", 0..3_u64, 0..3_u32), 0..5),
        dirs in vec("[abcABC](/[abc]){0,2}", 0..3),
        lens in vec(0..3_u32, 0..5),
        sorted in any::<bool>(),
    ) {
        let mut manifest = Manifest {
            chunker: ChunkerId::STANDARD,
            sentinel: b"1".to_vec(),
            files: files
                .into_iter()
                .map(|(name, size, chunk_count)| FileEntry { path: path(&name), size, chunk_count })
                .collect(),
            empty_dirs: dirs.iter().map(|dir| path(dir)).collect(),
            chunks: lens
                .into_iter()
                .map(|len| ChunkEntry { hash: ChunkHash::of(b"x"), len })
                .collect(),
        };
        if sorted {
            manifest.files.sort_by(|left, right| left.path.cmp(&right.path));
            manifest.empty_dirs.sort();
        }
        let verdict = manifest.validate().map(|()| manifest.clone());
        prop_assert_eq!(Manifest::decode(&manifest.encode()), verdict);
    }
}

#[test]
fn a_file_may_hold_the_same_chunk_many_times() {
    let files = vec![(path("zeros"), vec![chunk(b"0000"); 100])];
    let manifest = Manifest::build(ChunkerId::STANDARD, b"1".to_vec(), files, vec![]).unwrap();
    assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
}
