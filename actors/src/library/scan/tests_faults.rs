//! A failing disk is never taken for a game that is gone, smaller, or sound: each call of a scan
//! fails once, and what comes out must be an error, or what comes out without a failure.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::library::testbed::{Testbed, meddler::Hook};

/// Fails the call number `which`, counted from zero, as a broken disk does; counts all.
fn fail_at(which: usize, calls: &Arc<AtomicUsize>) -> Hook {
    let calls = calls.clone();
    Arc::new(move |op, path| {
        if calls.fetch_add(1, Ordering::Relaxed) == which {
            return Err(FsError::new(op, path, std::io::Error::from_raw_os_error(5)));
        }
        Ok(())
    })
}

/// Scans with each call failing in turn; returns what came out, the last without a failure.
fn scan_with_each_failure(mut bed: Testbed) -> Vec<ScanOutcome> {
    let mut outcomes = Vec::new();
    loop {
        let calls = Arc::new(AtomicUsize::new(0));
        bed.meddle(fail_at(outcomes.len(), &calls));
        outcomes.push(bed.scan_as(&bed.order()));
        if calls.load(Ordering::Relaxed) < outcomes.len() {
            return outcomes;
        }
    }
}

fn root() -> Testbed {
    let bed = Testbed::new();
    bed.write("version.ini", "20240101");
    bed.write("pak0", "first");
    bed.write("maps/deep/pak1", "second");
    bed.make_dir("empty");
    bed.make_dir("local");
    bed
}

fn content(outcome: &ScanOutcome) -> Option<&Content> {
    match outcome {
        ScanOutcome::Found(scan) => Some(&scan.content),
        _ => None,
    }
}

fn check(outcomes: &[ScanOutcome], is_error: impl Fn(&Content) -> bool) {
    let (whole, failed) = outcomes.split_last().expect("at least one");
    assert!(failed.len() > 5, "the calls were counted");
    for (index, outcome) in failed.iter().enumerate() {
        assert_ne!(*outcome, ScanOutcome::Absent, "call {index}");
        if let Some(found) = content(outcome) {
            let as_without = Some(found) == content(whole);
            assert!(as_without || is_error(found), "call {index}: {found:?}");
        }
    }
}

/// Proves F18 for the library.
#[test]
fn a_failing_disk_makes_no_game_smaller() {
    let bed = root();
    bed.hash();
    let outcomes = scan_with_each_failure(bed);
    assert!(matches!(content(outcomes.last().unwrap()), Some(Content::Known { .. })));
    check(&outcomes, |found| matches!(found, Content::Blocked(_)));

    let outcomes = scan_with_each_failure(root());
    assert!(matches!(content(outcomes.last().unwrap()), Some(Content::Unhashed { .. })));
    check(&outcomes, |found| matches!(found, Content::Blocked(_)));
}

#[test]
fn a_failing_disk_makes_no_download_sound() {
    let bed = root();
    bed.commit();
    bed.remove("pak0");
    let outcomes = scan_with_each_failure(bed);
    assert!(matches!(content(outcomes.last().unwrap()), Some(Content::Damaged { .. })));
    check(&outcomes, |found| matches!(found, Content::Blocked(_) | Content::Damaged { .. }));
}
