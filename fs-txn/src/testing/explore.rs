//! Crashing an operation after each of its changes, in every way, and recovering.

use std::collections::HashSet;

use super::check::{View, check_settled, difference, recover_and_check, view};
use super::games::context;
use super::scenarios::Scenario;
use crate::recover::recover;
use crate::vfs::sim::{Crash, SimVfs};

/// The states a scenario goes between.
pub(super) struct Ends {
    pub(super) start: SimVfs,
    pub(super) old: View,
    pub(super) new: View,
    /// Changes of an undisturbed run.
    pub(super) changes: usize,
    /// Calls of an undisturbed run.
    pub(super) calls: usize,
}

/// The crashes after which the recovery is crashed too; the others multiply without end.
const PLAIN: [Crash; 3] = [Crash::Kill, Crash::PowerNone, Crash::PowerAll];

fn is_plain(crash: &Crash) -> bool {
    PLAIN.contains(crash)
}

/// Runs a scenario undisturbed.
pub(super) fn ends(scenario: &Scenario) -> Ends {
    let start = SimVfs::new();
    (scenario.prepare)(&start);
    start.flush_all();
    start.reset_calls();
    let old = view(&start);
    let done = start.fork();
    (scenario.run)(&done).unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
    let calls = done.calls();
    let changes = calls.iter().filter(|call| call.changes).count();
    let new = check_settled(&done, scenario.removes_all)
        .unwrap_or_else(|error| panic!("{} undisturbed: {error}", scenario.name));
    if scenario.gives_up {
        assert_eq!(difference(&new, &old), "", "{} changed something", scenario.name);
    } else {
        assert_ne!(new, old, "{} changed nothing", scenario.name);
    }
    Ends { start, old, new, changes, calls: calls.len() }
}

/// Every way the machine can go down from where it is.
pub(super) fn crashes(machine: &SimVfs) -> Vec<Crash> {
    let mut all = PLAIN.to_vec();
    for number in 0..machine.pending_count() {
        all.push(Crash::PowerOnly(vec![number]));
        all.push(Crash::PowerWithout(vec![number]));
        all.push(Crash::PowerTorn(number));
    }
    all
}

/// Crashes a scenario after each change, in each way; then crashes each recovery likewise, in the
/// three simple ways. Gives the number of different states recovered from.
pub(super) fn explore(scenario: &Scenario) -> usize {
    let ends = ends(scenario);
    let mut seen = HashSet::new();
    let mut deeper = HashSet::new();
    let mut rerun = HashSet::new();
    for count in 0..=ends.changes {
        let machine = ends.start.fork();
        machine.stop_after_changes(Some(count));
        let finished = (scenario.run)(&machine).is_ok();
        for crash in crashes(&machine) {
            let after = machine.crash(&crash);
            let at = || format!("{}, after change {count}, {crash:?}", scenario.name);
            // a finished operation is durable: its state depends on whether it had finished
            if seen.insert((after.fingerprint(), finished)) {
                check(scenario, &ends, &after, finished, &mut rerun, &at);
                if is_plain(&crash) {
                    crash_recovery(scenario, &ends, &after, finished, &mut deeper, &at);
                }
            }
        }
    }
    seen.len() + deeper.len()
}

fn check(
    scenario: &Scenario,
    ends: &Ends,
    after: &SimVfs,
    finished: bool,
    rerun: &mut HashSet<u64>,
    at: &dyn Fn() -> String,
) {
    let machine = after.fork();
    let found = recover_and_check(&machine, scenario.removes_all)
        .unwrap_or_else(|error| panic!("{}: {error}\n{}", at(), listing(after)));
    check_view(scenario, ends, &found, finished, at, after);
    let is_new_start = found == ends.old && rerun.insert(machine.fingerprint());
    if is_new_start && !scenario.gives_up {
        (scenario.run)(&machine).unwrap_or_else(|error| panic!("{}, run again: {error}", at()));
        let again = check_settled(&machine, scenario.removes_all)
            .unwrap_or_else(|error| panic!("{}, run again: {error}", at()));
        assert_eq!(difference(&again, &ends.new), "", "{}, run again", at());
    }
}

/// I1: old or new, and new once the operation has said so.
fn check_view(
    scenario: &Scenario,
    ends: &Ends,
    found: &View,
    finished: bool,
    at: &dyn Fn() -> String,
    after: &SimVfs,
) {
    let is_old = !finished && same_view(scenario, found, &ends.old);
    assert!(
        is_old || same_view(scenario, found, &ends.new),
        "I1: {}: neither old nor new (finished: {finished})\nto new:\n{}\nto old:\n{}\n{}",
        at(),
        difference(found, &ends.new),
        difference(found, &ends.old),
        listing(after),
    );
}

/// Whether two views are the same for the user. A game root that is empty counts as none, and
/// while an adopted folder is being cleared its files are in both places.
fn same_view(scenario: &Scenario, found: &View, wanted: &View) -> bool {
    let source = std::path::Path::new("/stick");
    let empty_root = super::games::in_root("");
    let relevant = |view: &View| -> View {
        let mut view = view.clone();
        if scenario.removes_all {
            view.remove(&empty_root);
        }
        if scenario.name == "adopt by move" {
            view.retain(|path, _| !path.starts_with(source));
        }
        view
    };
    relevant(found) == relevant(wanted)
}

/// Crashes the recovery after each of its changes and recovers again.
fn crash_recovery(
    scenario: &Scenario,
    ends: &Ends,
    after: &SimVfs,
    finished: bool,
    deeper: &mut HashSet<(u64, bool)>,
    at: &dyn Fn() -> String,
) {
    for count in 0.. {
        let machine = after.fork();
        machine.reset_calls();
        machine.stop_after_changes(Some(count));
        if let Ok(context) = context(&machine) {
            recover(&context).ok();
        }
        let stopped = machine.is_stopped();
        for crash in PLAIN {
            let twice = machine.crash(&crash);
            if !deeper.insert((twice.fingerprint(), finished)) {
                continue;
            }
            let at = || format!("{}, then recovery after change {count}, {crash:?}", at());
            let found = recover_and_check(&twice.fork(), scenario.removes_all)
                .unwrap_or_else(|error| panic!("{}: {error}\n{}", at(), listing(&twice)));
            check_view(scenario, ends, &found, finished, &at, &twice);
        }
        if !stopped {
            return;
        }
    }
}

/// What stands on a machine, for messages.
pub(super) fn listing(machine: &SimVfs) -> String {
    let lines: Vec<String> =
        machine.tree().keys().map(|path| format!("  {}", path.display())).collect();
    format!("on disk:\n{}", lines.join("\n"))
}
