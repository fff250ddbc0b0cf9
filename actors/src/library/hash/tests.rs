//! Hashing of whole roots: the manifest that comes out, what is looked up instead of read, what
//! happens when files change meanwhile, and when a download is read again.

use std::{fs, path::Path};

use lanspread_fs_txn::vfs::{FsError, FsOp};
use lanspread_wire::{ChunkHash, ManifestId, limits::CHUNK_BYTES_MAX};

use super::*;
use crate::library::{
    index::Content,
    testbed::{Testbed, game, meddler::Hook, noise, paths},
};

fn quake() -> Testbed {
    let bed = Testbed::new();
    bed.write("version.ini", "20240101\n");
    bed.write("pak0", noise(500_000, 1));
    bed.write("maps/small", "tiny");
    bed.write("maps/empty", "");
    bed.make_dir("screens");
    bed
}

/// Proves D7 and D8: the manifest is what lies there, and every chunk is what it says.
#[test]
fn a_manifest_is_what_lies_there() {
    let bed = quake();
    let manifest = bed.hash();
    assert_eq!(paths(&manifest), ["maps/empty", "maps/small", "pak0"]);
    assert_eq!(manifest.empty_dirs.len(), 1);
    assert_eq!(manifest.sentinel, b"20240101\n");
    let mut chunks = manifest.chunks.iter();
    for file in &manifest.files {
        let bytes = fs::read(bed.path(file.path.as_str())).unwrap();
        let mut rest = &bytes[..];
        for chunk in chunks.by_ref().take(file.chunk_count as usize) {
            let (of_chunk, after) = rest.split_at(chunk.len as usize);
            assert_eq!(ChunkHash::of(of_chunk), chunk.hash);
            assert!(chunk.len <= CHUNK_BYTES_MAX);
            rest = after;
        }
        assert!(rest.is_empty());
    }
}

/// Proves D8: two copies made by different ways are the same content.
#[test]
fn two_copies_are_the_same_content() {
    let (one, other) = (quake(), quake());
    other.touch("pak0", 5000);
    other.write(".sync/x", "of somebody else");
    other.write("local/save", "mine");
    assert_eq!(one.hash().id(), other.hash().id());
}

/// An unchanged file is never read twice: proved by taking its bytes away without a trace.
#[test]
fn an_unchanged_file_is_not_read_again() {
    let bed = quake();
    let before = bed.hash();
    bed.write_in_secret("pak0", &noise(500_000, 2));
    bed.write("new", "1");
    let after = bed.hash();
    assert_eq!(paths(&after), ["maps/empty", "maps/small", "new", "pak0"]);
    let pak = after.files.iter().position(|file| file.path.as_str() == "pak0").unwrap();
    assert_eq!(after.files[pak], before.files[2]);
    assert_eq!(after.chunks.last(), before.chunks.last(), "looked up, not read");
    bed.touch("pak0", 100);
    assert_ne!(bed.hash().chunks.last(), before.chunks.last(), "touched, so read");
}

#[test]
fn without_its_ledger_or_manifest_everything_is_read() {
    for lose in [
        (|bed: &Testbed, _| bed.places.ledgers.forget(&game("quake"))) as fn(&Testbed, ManifestId),
        |bed, id| bed.places.manifests.remove(id).unwrap(),
    ] {
        let bed = quake();
        let before = bed.hash();
        bed.write_in_secret("pak0", &noise(500_000, 2));
        lose(&bed, before.id());
        assert_ne!(bed.hash().id(), before.id());
    }
}

#[test]
fn what_was_hashed_is_known_to_the_next_scan() {
    let bed = quake();
    let outcome = bed.hash_as(HashOrder::Payload);
    let HashOutcome::Done { fingerprint, manifest, bytes_total } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(bytes_total, 500_004);
    let known = Content::Known { fingerprint: Some(fingerprint), manifest };
    assert_eq!(bed.scan().content, known);
}

#[test]
fn progress_counts_every_byte_once() {
    let bed = quake();
    let ticket = Ticket::default();
    bed.job(HashOrder::Payload, &ticket).run();
    let all = HashProgress { bytes_done: 500_004, bytes_total: 500_004 };
    assert_eq!(ticket.progress(), all);
    let ticket = Ticket::default();
    bed.job(HashOrder::Payload, &ticket).run();
    assert_eq!(ticket.progress(), all, "what is looked up counts as well");
}

/// A job that is told to stop keeps what it did: the next one goes on from there.
#[test]
fn a_cancelled_job_loses_no_work() {
    let mut bed = quake();
    bed.write("zz-last", noise(400_000, 3));
    let ticket = Ticket::default();
    bed.meddle(on("zz-last", {
        let ticket = ticket.clone();
        move || ticket.cancel()
    }));
    assert_eq!(bed.job(HashOrder::Payload, &ticket).run(), HashOutcome::Cancelled);
    assert!(matches!(bed.scan().content, Content::Unhashed { .. }), "half is not known");
    bed.meddle(on("pak0", || panic!("pak0 is read again")));
    bed.hash();
    assert!(matches!(bed.scan().content, Content::Known { .. }));
    let stored = fs::read_dir(bed.state_dir().join("manifests")).unwrap().count();
    assert_eq!(stored, 1, "the manifest of half a game is gone");
}

/// A file that changes while it is read is read again, and what is told is what stands there.
#[test]
fn a_file_that_changes_once_is_read_again() {
    let mut bed = quake();
    let path = bed.path("pak0");
    bed.meddle(once("pak0", move || fs::write(&path, noise(450_000, 9)).unwrap()));
    let manifest = bed.hash();
    assert_eq!(manifest.files[2].size, 450_000);
    bed.leave_alone();
    let id = manifest.id();
    assert!(matches!(bed.scan().content, Content::Known { manifest, .. } if manifest == id));
    bed.places.ledgers.forget(&game("quake"));
    assert_eq!(bed.hash().id(), id, "read in peace, it is the same");
}

/// The same with a write that keeps the size: only the time tells.
#[test]
fn a_file_that_changes_under_the_reader_is_read_again() {
    let mut bed = quake();
    let path = bed.path("pak0");
    bed.meddle(at_read(2, "pak0", move || {
        let mut bytes = noise(500_000, 1);
        bytes[499_999] ^= 1;
        fs::write(&path, bytes).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(9))
            .unwrap();
    }));
    let id = bed.hash().id();
    bed.leave_alone();
    bed.places.ledgers.forget(&game("quake"));
    assert_eq!(bed.hash().id(), id);
}

/// A log that is written all the time does not make the whole game be read for ever.
#[test]
fn a_file_that_never_settles_ends_the_work_but_not_what_was_done() {
    let mut bed = quake();
    bed.write("zz.log", noise(300_000, 4));
    let path = bed.path("zz.log");
    let length = AtomicU64::new(300_000);
    bed.meddle(on("zz.log", move || {
        let now = length.fetch_add(1, Ordering::Relaxed);
        fs::write(&path, noise(usize::try_from(now).unwrap(), 4)).unwrap();
    }));
    assert_eq!(bed.hash_as(HashOrder::Payload), HashOutcome::Unsettled);
    bed.meddle(on("pak0", || panic!("pak0 is read again")));
    bed.hash();
}

#[test]
fn a_sentinel_that_changes_meanwhile_makes_no_manifest() {
    let mut bed = quake();
    let path = bed.path("version.ini");
    bed.meddle(once("pak0", move || fs::write(&path, "20250505").unwrap()));
    assert_eq!(bed.hash_as(HashOrder::Payload), HashOutcome::Unsettled);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut bed = quake();
    bed.meddle(Arc::new(|op, path| {
        let broken = std::io::Error::from_raw_os_error(5);
        let is_hit = op == FsOp::Read && path == Path::new("pak0");
        if is_hit { Err(FsError::new(op, path, broken)) } else { Ok(()) }
    }));
    match bed.hash_as(HashOrder::Payload) {
        HashOutcome::Failed(text) => assert!(text.contains("pak0"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_root_that_is_gone_is_not_hashed() {
    let bed = quake();
    fs::remove_dir_all(bed.path("")).unwrap();
    assert_eq!(bed.hash_as(HashOrder::Payload), HashOutcome::Cancelled);
}

/// Calls the hook at each read of this file.
fn on(name: &'static str, act: impl Fn() + Send + Sync + 'static) -> Hook {
    Arc::new(move |op, path| {
        if op == FsOp::Read && path == Path::new(name) {
            act();
        }
        Ok(())
    })
}

/// The same, the first time only.
fn once(name: &'static str, act: impl Fn() + Send + Sync + 'static) -> Hook {
    at_read(1, name, act)
}

/// The same at one read only, counted from one: the second finds the bytes of the first read.
fn at_read(number: u64, name: &'static str, act: impl Fn() + Send + Sync + 'static) -> Hook {
    let reads = AtomicU64::new(0);
    on(name, move || {
        if reads.fetch_add(1, Ordering::Relaxed) + 1 == number {
            act();
        }
    })
}
