//! A manifest has one form and one id.

use lanspread_wire::{BadManifest, ChunkerId, Manifest, ManifestId};
use proptest::prelude::*;

use super::samples::{any_manifest, chunk, manifest, path};

#[test]
fn a_manifest_tells_its_sums_and_its_version() {
    let manifest = manifest();
    assert_eq!(manifest.bytes_total(), 6 + 262_144 + 70_000 + 1);
    assert_eq!((manifest.chunk_count(), manifest.file_count()), (5, 3));
    assert_eq!(manifest.version().as_str(), "20240131");
    let shown = format!("{manifest:?}");
    assert!(shown.contains("chunks: 5") && shown.len() < 200, "{shown}");
}

/// Proves D8: the order in which two people list the same content does not matter.
#[test]
fn the_same_content_has_the_same_id_in_whatever_order_it_was_found() {
    let a = (path("a"), vec![chunk(b"1"), chunk(b"2")]);
    let b = (path("b/c"), vec![chunk(b"3")]);
    let dirs = [path("x"), path("d/e")];
    let build = |files: Vec<_>, dirs: Vec<_>| {
        Manifest::build(ChunkerId::STANDARD, b"1\n".to_vec(), files, dirs).unwrap()
    };
    let one = build(vec![a.clone(), b.clone()], dirs.to_vec());
    let other = build(vec![b, a], dirs.iter().rev().cloned().collect());
    assert_eq!(one, other);
    assert_eq!(one.id(), other.id());
}

/// Everything that makes the content has its part in the id.
#[test]
fn other_content_has_another_id() {
    let id = manifest().id();
    let changes: [fn(&mut Manifest); 7] = [
        |m| m.sentinel = b"20240131\n".to_vec(),
        |m| m.files[0].path = path("Größe.tx"),
        |m| m.chunks.swap(0, 1),
        |m| m.chunks[0].hash.0[31] ^= 1,
        |m| m.empty_dirs.clear(),
        |m| m.chunker = ChunkerId::for_total(u64::MAX),
        |m| {
            m.chunks[4].len += 1;
            m.files[2].size += 1;
        },
    ];
    for change in changes {
        let mut changed = manifest();
        change(&mut changed);
        changed.validate().unwrap();
        assert_ne!(changed.id(), id);
    }
}

/// Proves T47.
#[test]
fn a_manifest_that_was_not_asked_for_is_refused() {
    let manifest = manifest();
    let bytes = manifest.encode();
    assert_eq!(Manifest::decode_expecting(&bytes, manifest.id()), Ok(manifest.clone()));
    let wanted = ManifestId([0; 32]);
    let got = manifest.id();
    let refused = Manifest::decode_expecting(&bytes, wanted);
    assert_eq!(refused, Err(BadManifest::OtherId { wanted, got }));
}

#[test]
fn a_manifest_that_was_never_checked_has_no_version() {
    let unchecked = Manifest { sentinel: b" ".to_vec(), ..manifest() };
    assert_eq!(unchecked.version().as_str(), "?");
    assert!(unchecked.validate().is_err());
}

proptest! {
    #[test]
    fn every_manifest_returns(manifest in any_manifest()) {
        let bytes = manifest.encode();
        let decoded = Manifest::decode(&bytes);
        prop_assert_eq!(decoded.as_ref(), Ok(&manifest));
        prop_assert_eq!(manifest.id(), ManifestId(*blake3::hash(&bytes).as_bytes()));
    }
}
