//! Downloads that look touched are read, and told apart by what is in them.

use std::{fs, path::Path};

use lanspread_fs_txn::vfs::FsOp;

use super::*;
use crate::library::{
    index::{Content, RootScan, ScanOrder},
    testbed::{Testbed, game, noise},
};

fn downloaded() -> (Testbed, ManifestId) {
    let bed = Testbed::new();
    bed.write("version.ini", "20240101");
    bed.write("pak0", noise(500_000, 1));
    bed.write("maps/pak1", noise(300_000, 2));
    bed.write("readme", "read me");
    let manifest = bed.commit();
    (bed, manifest)
}

fn recheck(bed: &Testbed, manifest: ManifestId) -> HashOutcome {
    bed.hash_as(HashOrder::Recheck(manifest))
}

fn damaged(outcome: HashOutcome) -> Vec<String> {
    match outcome {
        HashOutcome::Damaged { files } => files,
        other => panic!("not damaged: {other:?}"),
    }
}

fn is_known(scan: &RootScan, wanted: ManifestId) -> bool {
    matches!(scan.content, Content::Known { manifest, .. } if manifest == wanted)
}

/// A copy to another disk changes times and numbers of files: it is the same download.
#[test]
fn a_touched_download_is_sound_if_its_bytes_are() {
    let (bed, manifest) = downloaded();
    bed.touch("pak0", 100);
    bed.write("notes", "mine");
    let outcome = recheck(&bed, manifest);
    let HashOutcome::Done { manifest: found, bytes_total, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((found, bytes_total), (manifest, 800_007));
    let scan = bed.scan();
    assert!(is_known(&scan, manifest));
    assert_eq!(scan.kept, Some(manifest), "it stays a download");
}

/// Proves D7: changed bytes are damage, named, and remembered without reading again.
#[test]
fn changed_bytes_are_damage() {
    let (mut bed, manifest) = downloaded();
    bed.touch("readme", 100);
    bed.write("pak0", noise(500_000, 3));
    assert_eq!(damaged(recheck(&bed, manifest)), ["pak0"]);
    bed.meddle(std::sync::Arc::new(|op, path| {
        assert!(op != FsOp::Read || path != Path::new("pak0"), "not read again by a scan");
        Ok(())
    }));
    match bed.scan().content {
        Content::Damaged { files, .. } => assert_eq!(files, ["pak0"]),
        other => panic!("{other:?}"),
    }
}

/// Who puts the right bytes back has a sound download again.
#[test]
fn a_repaired_file_is_found_sound() {
    let (bed, manifest) = downloaded();
    bed.write("pak0", noise(500_000, 3));
    bed.write("maps/pak1", noise(300_000, 4));
    assert_eq!(damaged(recheck(&bed, manifest)), ["maps/pak1", "pak0"]);
    bed.write("pak0", noise(500_000, 1));
    assert_eq!(damaged(recheck(&bed, manifest)), ["maps/pak1"]);
    bed.write("maps/pak1", noise(300_000, 2));
    assert!(matches!(recheck(&bed, manifest), HashOutcome::Done { .. }));
    assert!(is_known(&bed.scan(), manifest));
}

/// A file known to be damaged is not believed for looking as it did.
#[test]
fn damage_is_not_trusted_away() {
    let (bed, manifest) = downloaded();
    bed.write_in_secret("pak0", &noise(500_000, 3));
    let order = ScanOrder { damaged: vec!["pak0".to_owned()], ..bed.order() };
    assert!(matches!(Testbed::found(bed.scan_as(&order)).content, Content::Damaged { .. }));
    assert_eq!(damaged(recheck(&bed, manifest)), ["pak0"]);
}

#[test]
fn files_that_look_as_they_did_are_not_read() {
    let (mut bed, manifest) = downloaded();
    bed.touch("readme", 100);
    bed.meddle(std::sync::Arc::new(|op, path| {
        let may_be_read = ["readme", "version.ini"].map(Path::new).contains(&path);
        assert!(op != FsOp::Read || may_be_read, "{path:?}");
        Ok(())
    }));
    assert!(matches!(recheck(&bed, manifest), HashOutcome::Done { .. }));
}

#[test]
fn missing_and_resized_files_are_damage() {
    let (bed, manifest) = downloaded();
    bed.remove("pak0");
    bed.write("readme", "longer than it was");
    assert_eq!(damaged(recheck(&bed, manifest)), ["pak0", "readme"]);
}

/// Proves F21: a lost manifest is made again from the files, the very same one.
#[test]
fn a_lost_manifest_is_made_again() {
    let (bed, manifest) = downloaded();
    bed.write("notes", "mine, and no part of it");
    bed.places.manifests.remove(manifest).unwrap();
    assert!(matches!(recheck(&bed, manifest), HashOutcome::Done { .. }));
    assert_eq!(bed.manifest(manifest).files.len(), 3);
    assert!(is_known(&bed.scan(), manifest));
}

/// If its files have changed as well, nobody can say what they were.
#[test]
fn a_lost_manifest_of_changed_files_is_damage() {
    let (bed, manifest) = downloaded();
    bed.places.manifests.remove(manifest).unwrap();
    bed.write("pak0", noise(500_000, 3));
    assert_eq!(damaged(recheck(&bed, manifest)), Vec::<String>::new());
}

/// Proves L6: with the ledger lost everything is read, and the download is known again.
#[test]
fn a_lost_ledger_is_made_again() {
    let (bed, manifest) = downloaded();
    bed.places.ledgers.forget(&game("quake"));
    assert!(matches!(recheck(&bed, manifest), HashOutcome::Done { .. }));
    assert!(is_known(&bed.scan(), manifest));
    bed.write_in_secret("pak0", &noise(500_000, 3));
    bed.places.ledgers.forget(&game("quake"));
    assert_eq!(damaged(recheck(&bed, manifest)), ["pak0"]);
}

#[test]
fn with_both_lost_it_says_what_to_do() {
    let (bed, manifest) = downloaded();
    bed.places.ledgers.forget(&game("quake"));
    bed.places.manifests.remove(manifest).unwrap();
    match recheck(&bed, manifest) {
        HashOutcome::Failed(text) => assert!(text.contains("run verify"), "{text}"),
        other => panic!("{other:?}"),
    }
    assert!(fs::exists(bed.path("pak0")).unwrap());
}
