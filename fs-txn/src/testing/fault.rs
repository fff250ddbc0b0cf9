//! Every operation with every call failing once, and with a disk that is full.

use std::path::Path;

use super::check::{check_settled, recover_and_check, view};
use super::explore::{Ends, ends, is_same, listing};
use super::games::GAME;
use super::place::Place;
use super::scenarios::{self, Scenario};
use crate::ops::{TxnError, TxnFailure};
use crate::recover::Outcome;
use crate::vfs::sim::{Crash, Fault, SimVfs};

// the codes of this system, so that they are told apart as on a real disk
const EIO: i32 = if cfg!(windows) { 1117 } else { 5 };
const EMFILE: i32 = if cfg!(windows) { 4 } else { 24 };
const EACCES: i32 = if cfg!(windows) { 5 } else { 13 };
const ENOSPC: i32 = if cfg!(windows) { 112 } else { 28 };
const EROFS: i32 = if cfg!(windows) { 19 } else { 30 };

/// Fails each call of each operation once with each of `faults`.
fn fail_everywhere(faults: &[Fault]) {
    for scenario in scenarios::all() {
        let ends = ends(&scenario);
        let mut failed = 0;
        for (number, call) in ends.calls.iter().enumerate() {
            for fault in faults {
                let at = format!("{}, call {number} {call:?}, {fault:?}", scenario.name);
                failed += usize::from(fail_once(&scenario, &ends, number, *fault, &at));
            }
        }
        assert!(failed > ends.calls.len() / 4, "{}: only {failed} failed", scenario.name);
    }
}

/// One fault. Says whether the operation reported it.
fn fail_once(scenario: &Scenario, ends: &Ends, number: usize, fault: Fault, at: &str) -> bool {
    let machine = ends.start.fork();
    machine.fail_after_calls(number, fault);
    let result = (scenario.run)(&Place::of(&machine));
    match &result {
        Ok(()) => assert!(
            is_same(scenario, &view(&machine), &ends.new),
            "{at}: says it is done and is not\n{}",
            listing(&machine)
        ),
        Err(error) => check_error(error, fault, at),
    }
    let power_cut = machine.crash(&Crash::PowerNone);
    for (machine, how) in [(&machine, "goes on"), (&power_cut, "loses power")] {
        let found = recover_and_check(machine, scenario.removes_all)
            .unwrap_or_else(|error| panic!("{at}, {how}: {error}"));
        let is_old = result.is_err() && is_same(scenario, &found, &ends.old);
        assert!(is_old || is_same(scenario, &found, &ends.new), "{at}, {how}: neither old nor new");
    }
    try_again(scenario, ends, &machine, at);
    result.is_err()
}

/// The error names game, path and code, and what recovery made of it.
fn check_error(error: &TxnError, fault: Fault, at: &str) {
    assert_eq!(error.game, GAME, "{at}");
    let (Fault::Errno(code) | Fault::HalfThenErrno(code)) = fault;
    let text = error.to_string();
    assert!(text.contains(&format!("os error {code}")), "{at}: no code in {text:?}");
    assert!(text.contains(GAME) && text.contains('/'), "{at}: no game or path in {text:?}");
    if let Some(Outcome::NeedsAttention(failure)) = error.after.as_deref() {
        panic!("{at}: one fault, and the recovery after it failed too: {failure}");
    }
}

/// Proves rule 4: what a failed flush may have lost is written again, not believed.
fn try_again(scenario: &Scenario, ends: &Ends, machine: &SimVfs, at: &str) {
    if scenario.gives_up || view(machine) != ends.old {
        return;
    }
    (scenario.run)(&Place::of(machine)).unwrap_or_else(|error| panic!("{at}, again: {error}"));
    let after = machine.crash(&Crash::PowerNone);
    let found = recover_and_check(&after, scenario.removes_all)
        .unwrap_or_else(|error| panic!("{at}, again, then power lost: {error}"));
    assert!(is_same(scenario, &found, &ends.new), "{at}: done again, then lost with the power");
}

/// Proves F17: a disk that fails once, anywhere.
#[test]
fn every_call_fails_with_an_io_error() {
    fail_everywhere(&[Fault::Errno(EIO)]);
}

/// Proves T58 and F16: a disk that is full, at each write, rename and flush.
#[test]
fn every_call_finds_the_disk_full() {
    fail_everywhere(&[Fault::Errno(ENOSPC), Fault::HalfThenErrno(ENOSPC)]);
}

/// Proves F18: too many files, no permission, a file system that has become read-only.
#[test]
fn every_call_is_refused() {
    fail_everywhere(&[Fault::Errno(EMFILE), Fault::Errno(EACCES), Fault::Errno(EROFS)]);
}

/// Proves T58: a full disk ends the operation with `disk-full`, the old state, and its space
/// given back.
#[test]
fn a_disk_that_stays_full_gives_its_space_back() {
    for scenario in scenarios::all().into_iter().filter(|scenario| !scenario.gives_up) {
        let ends = ends(&scenario);
        let used = used(&ends.start);
        let mut refused = 0;
        for spare in (0..20_000).step_by(700) {
            let at = format!("{}, {spare} bytes free", scenario.name);
            let machine = ends.start.fork();
            machine.set_capacity(Some(used + spare));
            let Err(error) = (scenario.run)(&Place::of(&machine)) else { continue };
            refused += 1;
            assert_eq!(error.code(), "disk-full", "{at}: {error}");
            let found = recover_and_check(&machine, scenario.removes_all)
                .unwrap_or_else(|error| panic!("{at}: {error}"));
            assert!(is_same(&scenario, &found, &ends.old), "{at}: not the old state");
            if !scenario.name.starts_with("download") {
                assert!(used_at_most(&machine, used), "{at}: space is not given back");
            }
        }
        assert!(refused > 0, "{}: fits on a full disk", scenario.name);
    }
}

fn used(machine: &SimVfs) -> u64 {
    machine.set_capacity(Some(u64::MAX));
    let free = Place::of(machine).open("/").unwrap().free_space().unwrap().unwrap();
    machine.set_capacity(None);
    u64::MAX - free
}

/// Our marker in a `local/` that another program made stays.
fn used_at_most(machine: &SimVfs, bytes: u64) -> bool {
    let marker = machine.read_file(&super::games::in_root("local/.lanspread_owned"));
    used(machine) <= bytes + marker.map_or(0, |bytes| bytes.len() as u64)
}

/// Proves T45 and T58: sizes are compared with the free space before the first byte.
#[test]
fn space_is_checked_before_the_first_byte() {
    let machine = SimVfs::new();
    let root = super::games::games(&machine);
    machine.set_capacity(Some(crate::limits::SPACE_RESERVE_BYTES + 1000));
    assert!(crate::check_space(&*root, 900).is_ok());
    let error = crate::check_space(&*root, 100_000).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "needs {} bytes, {} free",
            crate::limits::SPACE_RESERVE_BYTES + 105_000,
            crate::limits::SPACE_RESERVE_BYTES + 1000
        )
    );
    assert_eq!(TxnFailure::from(error).code(), "disk-full");
}

/// Row 19: when the recovery itself fails, the root says so, nothing is removed, and the next
/// recovery does it.
#[test]
fn a_recovery_that_fails_is_done_by_the_next_one() {
    for scenario in scenarios::all() {
        let ends = ends(&scenario);
        for count in (0..ends.changes()).step_by(7) {
            let machine = ends.start.fork();
            machine.stop_after_changes(Some(count));
            if (scenario.run)(&Place::of(&machine)).is_ok() {
                continue;
            }
            fail_recovery(&scenario, &ends, &machine.crash(&Crash::Kill), count);
        }
    }
}

fn fail_recovery(scenario: &Scenario, ends: &Ends, crashed: &SimVfs, count: usize) {
    let dry = crashed.fork();
    let Ok(context) = super::games::context(&Place::of(&dry)) else { return };
    dry.reset_calls();
    crate::recover(&context).unwrap();
    for call in 0..dry.calls().len() {
        let at = format!("{}, after change {count}, recovery call {call}", scenario.name);
        let machine = crashed.fork();
        let context = super::games::context(&Place::of(&machine)).unwrap();
        machine.reset_calls();
        machine.fail_after_calls(call, Fault::Errno(EIO));
        match crate::recover(&context) {
            Ok(recovery) => {
                if let Outcome::NeedsAttention(failure) = recovery.outcome {
                    let text = failure.to_string();
                    assert!(
                        text.contains(&format!("os error {EIO}")) && text.contains('/'),
                        "{at}: {text}"
                    );
                    assert_eq!(failure.code(), "io", "{at}");
                }
            }
            Err(failure) => assert_eq!(failure.code(), "io", "{at}"),
        }
        let found = recover_and_check(&machine, scenario.removes_all)
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        let settled = check_settled(&machine, scenario.removes_all);
        assert!(settled.is_ok(), "{at}");
        let either = is_same(scenario, &found, &ends.old) || is_same(scenario, &found, &ends.new);
        assert!(either, "{at}: neither old nor new\n{}", listing(crashed));
    }
}

/// The paths of the tests above are real ones.
#[test]
fn roots_are_where_the_tests_look() {
    assert_eq!(super::games::in_root("x"), Path::new("/games/quake/x"));
}
