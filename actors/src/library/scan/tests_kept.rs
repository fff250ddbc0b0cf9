//! Scans of roots that a download made (D7): they keep their manifest as long as its files look as
//! they did after the commit, whatever else lies beside them.

use std::fs;

use super::*;
use crate::library::testbed::{Testbed, game};

/// A root that a download has just committed.
fn downloaded() -> (Testbed, ManifestId) {
    let bed = Testbed::new();
    bed.write("version.ini", "20240101");
    bed.write("pak0", "first");
    bed.write("maps/pak1", "second");
    bed.make_dir("empty");
    let manifest = bed.commit();
    (bed, manifest)
}

fn known_manifest(scan: &RootScan) -> Option<ManifestId> {
    match scan.content {
        Content::Known { manifest, .. } => Some(manifest),
        _ => None,
    }
}

fn damaged(scan: &RootScan) -> Vec<&str> {
    match &scan.content {
        Content::Damaged { files, .. } => files.iter().map(String::as_str).collect(),
        other => panic!("not damaged: {other:?}"),
    }
}

/// Proves D7: extra files are nobody's business.
#[test]
fn a_download_keeps_its_manifest_whatever_lies_beside_it() {
    let (bed, manifest) = downloaded();
    let before = bed.scan();
    assert_eq!((known_manifest(&before), before.kept), (Some(manifest), Some(manifest)));
    assert_eq!(before.bytes_total, 11);
    bed.write("notes.txt", "mine");
    bed.write("con", "a name that would block a found game");
    fs::remove_dir(bed.path("empty")).unwrap();
    assert_eq!(bed.scan(), before);
}

/// Proves D7: a missing file, or one of another size, makes it not ready.
#[test]
fn a_missing_or_resized_file_is_damage() {
    let (bed, manifest) = downloaded();
    bed.remove("pak0");
    assert_eq!(damaged(&bed.scan()), ["pak0"]);
    bed.write("maps/pak1", "of another size");
    assert_eq!(damaged(&bed.scan()), ["maps/pak1", "pak0"]);
    assert_eq!(bed.scan().kept, Some(manifest), "it stays a download");
}

/// Proves T50 for the library: a file that became a link is missing.
#[cfg(unix)]
#[test]
fn a_file_that_became_a_link_is_damage() {
    let (bed, _) = downloaded();
    fs::rename(bed.path("pak0"), bed.path(".moved")).unwrap();
    bed.link(bed.path(".moved"), "pak0");
    assert_eq!(damaged(&bed.scan()), ["pak0"]);
}

#[test]
fn a_touched_file_has_to_be_read() {
    let (bed, manifest) = downloaded();
    bed.touch("pak0", 100);
    let scan = bed.scan();
    let suspect = matches!(scan.content, Content::Suspect { manifest: m, .. } if m == manifest);
    assert!(suspect, "{:?}", scan.content);
    assert_eq!(scan.kept, Some(manifest));
}

/// Whoever writes another version makes a new game of what lies there.
#[test]
fn another_sentinel_makes_it_a_found_game() {
    let (bed, _) = downloaded();
    bed.write("version.ini", "20240202");
    bed.write("extra", "now part of it");
    let scan = bed.scan();
    assert!(matches!(scan.content, Content::Unhashed { .. }));
    assert_eq!(scan.kept, None);
    assert_eq!(bed.hash().files.len(), 3);
}

/// A copy in the place of the download is not the download.
#[cfg(unix)]
#[test]
fn another_directory_is_another_root() {
    let (bed, _) = downloaded();
    let aside = bed.places.games_dir.join(".aside");
    fs::rename(bed.path(""), &aside).unwrap();
    bed.write("version.ini", "20240101");
    bed.write("pak0", "first");
    assert!(matches!(bed.scan().content, Content::Unhashed { .. }));
}

/// Proves L6 and F21: a lost ledger costs reading, not the knowledge that it was a download.
#[test]
fn a_lost_ledger_means_reading_everything() {
    let (bed, manifest) = downloaded();
    bed.write("notes.txt", "mine");
    bed.places.ledgers.forget(&game("quake"));
    let order = ScanOrder { kept: Some(manifest), ..bed.order() };
    let scan = Testbed::found(bed.scan_as(&order));
    assert!(matches!(scan.content, Content::Suspect { .. }), "{:?}", scan.content);
    assert_eq!(scan.kept, Some(manifest));
    bed.remove("pak0");
    bed.places.ledgers.forget(&game("quake"));
    assert_eq!(damaged(&Testbed::found(bed.scan_as(&order))), ["pak0"]);
}

/// Proves F21: a lost manifest of a download leads to reading, not to another content.
#[test]
fn a_lost_manifest_means_reading_everything() {
    let (bed, manifest) = downloaded();
    bed.places.manifests.remove(manifest).unwrap();
    assert!(matches!(bed.scan().content, Content::Suspect { .. }));
}

/// A commit whose files are not all there is damage from the beginning.
#[test]
fn a_commit_is_compared_with_its_manifest() {
    let (bed, manifest) = downloaded();
    bed.remove("pak0");
    let order = ScanOrder { committed: Some(manifest), ..bed.order() };
    assert_eq!(damaged(&Testbed::found(bed.scan_as(&order))), ["pak0"]);
    assert_eq!(damaged(&bed.scan()), ["pak0"], "and stays it");
}

/// A commit of another version than the one that stands there is none.
#[test]
fn a_commit_of_another_version_is_not_believed() {
    let (bed, manifest) = downloaded();
    bed.places.ledgers.forget(&game("quake"));
    bed.write("version.ini", "20240202");
    let order = ScanOrder { committed: Some(manifest), ..bed.order() };
    let scan = Testbed::found(bed.scan_as(&order));
    assert!(matches!(scan.content, Content::Unhashed { .. }), "{:?}", scan.content);
}

/// What a verification found is remembered, over restarts too, until it is repaired.
#[test]
fn damage_is_remembered_until_it_is_repaired() {
    for make in [downloaded, || {
        let bed = Testbed::new();
        bed.write("version.ini", "20240101");
        bed.write("pak0", "first");
        let manifest = bed.hash().id();
        (bed, manifest)
    }] {
        let (bed, manifest) = make();
        let order = ScanOrder { damaged: vec!["pak0".to_owned()], ..bed.order() };
        assert_eq!(damaged(&Testbed::found(bed.scan_as(&order))), ["pak0"]);
        assert_eq!(damaged(&bed.scan()), ["pak0"]);
        let repaired = ScanOrder { committed: Some(manifest), ..bed.order() };
        let scan = Testbed::found(bed.scan_as(&repaired));
        assert_eq!(known_manifest(&scan), Some(manifest));
        assert_eq!(known_manifest(&bed.scan()), Some(manifest));
    }
}

/// A verification proves a found root, it does not make a download of it.
#[test]
fn a_verified_found_root_stays_a_found_one() {
    let bed = Testbed::new();
    bed.write("version.ini", "20240101");
    bed.write("pak0", "first");
    let manifest = bed.hash().id();
    bed.touch("pak0", 100);
    let verified = ScanOrder { committed: Some(manifest), ..bed.order() };
    let scan = Testbed::found(bed.scan_as(&verified));
    assert_eq!((known_manifest(&scan), scan.kept), (Some(manifest), None));
    bed.write("pak1", "second");
    assert!(matches!(bed.scan().content, Content::Unhashed { .. }));
}

/// A game that is gone takes its ledger with it: what comes in its place is looked at afresh.
#[test]
fn a_game_that_is_gone_leaves_no_ledger() {
    let (bed, _) = downloaded();
    fs::remove_dir_all(bed.path("")).unwrap();
    assert_eq!(bed.scan_as(&bed.order()), ScanOutcome::Absent);
    assert!(bed.places.ledgers.load(&game("quake")).is_none());
}
