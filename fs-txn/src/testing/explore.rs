//! Crashing an operation after each of its changes, in every way, and recovering.

use std::collections::HashSet;
use std::path::Path;

use super::check::{View, check_settled, difference, recover_and_check, view};
use super::games::context;
use super::place::Place;
use super::scenarios::Scenario;
use crate::recover::recover;
use crate::vfs::sim::{Call, Crash, SimVfs};

/// The states a scenario goes between.
pub(super) struct Ends {
    pub(super) start: SimVfs,
    pub(super) old: View,
    pub(super) new: View,
    /// Calls of an undisturbed run, and whether each changes something.
    pub(super) calls: Vec<Call>,
}

impl Ends {
    pub(super) fn changes(&self) -> usize {
        self.calls.iter().filter(|call| call.changes).count()
    }
}

/// How thoroughly to crash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thorough {
    /// Single changes tried at each crash point: kept alone, lost alone, torn.
    pub(super) singles_max: usize,
    /// Recoveries are crashed too at every so many crash points; 0: none.
    pub(super) recovery_every: usize,
    /// These flushes do nothing: a negative control.
    pub(super) lies: Option<fn(&Call) -> bool>,
}

impl Thorough {
    /// What runs with every change of the code; `LANSPREAD_CRASH=full` leaves nothing out.
    pub(super) fn usual() -> Self {
        let full = std::env::var("LANSPREAD_CRASH").is_ok_and(|word| word == "full");
        let singles_max = if full { usize::MAX } else { 12 };
        Self { singles_max, recovery_every: if full { 1 } else { 4 }, lies: None }
    }
}

/// The crashes after which the recovery is crashed too; the others multiply without end.
const PLAIN: [Crash; 3] = [Crash::Kill, Crash::PowerNone, Crash::PowerAll];

/// Runs a scenario undisturbed.
pub(super) fn ends(scenario: &Scenario) -> Ends {
    let start = SimVfs::new();
    (scenario.prepare)(&start);
    start.flush_all();
    start.reset_calls();
    let old = view(&start);
    let done = start.fork();
    (scenario.run)(&Place::of(&done)).unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
    let calls = done.calls();
    let new = check_settled(&done, scenario.removes_all)
        .unwrap_or_else(|error| panic!("{} undisturbed: {error}", scenario.name));
    if scenario.gives_up {
        assert_eq!(difference(&new, &old), "", "{} changed something", scenario.name);
    } else {
        assert_ne!(new, old, "{} changed nothing", scenario.name);
    }
    Ends { start, old, new, calls }
}

/// The ways the machine can go down from where it is.
fn crashes(machine: &SimVfs, singles_max: usize) -> Vec<Crash> {
    let mut all = PLAIN.to_vec();
    let pending = machine.pending_count();
    // where there are too many, the first, the last and some between
    let step = pending.div_ceil(singles_max).max(1);
    for number in (0..pending).filter(|number| number % step == 0 || number + 2 >= pending) {
        all.push(Crash::PowerOnly(vec![number]));
        all.push(Crash::PowerWithout(vec![number]));
        all.push(Crash::PowerTorn(number));
    }
    all
}

/// Crashes a scenario after each change, in each way; then crashes each recovery likewise, in the
/// plain ways. Gives the number of different states recovered from, or what went wrong.
pub(super) fn explore(scenario: &Scenario, thorough: Thorough) -> Result<usize, String> {
    let mut explorer = Explorer {
        scenario,
        ends: ends(scenario),
        thorough,
        seen: HashSet::new(),
        deeper: HashSet::new(),
        rerun: HashSet::new(),
    };
    for count in 0..=explorer.ends.changes() {
        explorer.crash_after(count)?;
    }
    Ok(explorer.seen.len() + explorer.deeper.len())
}

struct Explorer<'a> {
    scenario: &'a Scenario,
    ends: Ends,
    thorough: Thorough,
    /// States recovered from; a finished operation is durable, so it matters whether it had.
    seen: HashSet<(u64, bool)>,
    deeper: HashSet<(u64, bool)>,
    rerun: HashSet<u64>,
}

impl Explorer<'_> {
    fn crash_after(&mut self, count: usize) -> Result<(), String> {
        let machine = self.ends.start.fork();
        machine.stop_after_changes(Some(count));
        if let Some(lies) = self.thorough.lies {
            machine.lie_about(lies);
        }
        let finished = (self.scenario.run)(&Place::of(&machine)).is_ok();
        for crash in crashes(&machine, self.thorough.singles_max) {
            let after = machine.crash(&crash);
            if !self.seen.insert((after.fingerprint(), finished)) {
                continue;
            }
            let at = format!("{}, after change {count}, {crash:?}", self.scenario.name);
            self.check(&after, finished, &at)?;
            let every = self.thorough.recovery_every;
            if every > 0 && count.is_multiple_of(every) && PLAIN.contains(&crash) {
                self.crash_recovery(&after, finished, &at)?;
            }
        }
        Ok(())
    }

    fn check(&mut self, after: &SimVfs, finished: bool, at: &str) -> Result<(), String> {
        let machine = after.fork();
        let found = recover_and_check(&machine, self.scenario.removes_all)
            .map_err(|error| format!("{at}: {error}\n{}", listing(after)))?;
        self.check_view(&found, finished, at, after)?;
        let is_old = found == self.ends.old && !self.scenario.gives_up;
        if is_old && self.rerun.insert(machine.fingerprint()) {
            (self.scenario.run)(&Place::of(&machine))
                .map_err(|error| format!("{at}, run again: {error}"))?;
            let again = check_settled(&machine, self.scenario.removes_all)
                .map_err(|error| format!("{at}, run again: {error}"))?;
            if again != self.ends.new {
                let difference = difference(&again, &self.ends.new);
                return Err(format!("{at}, run again:\n{difference}"));
            }
        }
        Ok(())
    }

    /// I1: old or new, and new once the operation has said so.
    fn check_view(
        &self,
        found: &View,
        finished: bool,
        at: &str,
        after: &SimVfs,
    ) -> Result<(), String> {
        let is_old = !finished && self.is_same(found, &self.ends.old);
        if is_old || self.is_same(found, &self.ends.new) {
            return Ok(());
        }
        Err(format!(
            "I1: {at}: neither old nor new (finished: {finished})\nto new:\n{}\nto old:\n{}\n{}",
            difference(found, &self.ends.new),
            difference(found, &self.ends.old),
            listing(after),
        ))
    }

    fn is_same(&self, found: &View, wanted: &View) -> bool {
        is_same(self.scenario, found, wanted)
    }

    /// Crashes the recovery after each of its changes and recovers again.
    fn crash_recovery(&mut self, after: &SimVfs, finished: bool, at: &str) -> Result<(), String> {
        for count in 0.. {
            let machine = after.fork();
            machine.reset_calls();
            machine.stop_after_changes(Some(count));
            if let Ok(context) = context(&Place::of(&machine)) {
                recover(&context).ok();
            }
            let stopped = machine.is_stopped();
            for crash in PLAIN {
                let twice = machine.crash(&crash);
                if !self.deeper.insert((twice.fingerprint(), finished)) {
                    continue;
                }
                let at = format!("{at}, then recovery after change {count}, {crash:?}");
                let found = recover_and_check(&twice.fork(), self.scenario.removes_all)
                    .map_err(|error| format!("{at}: {error}\n{}", listing(&twice)))?;
                self.check_view(&found, finished, &at, &twice)?;
            }
            if !stopped {
                break;
            }
        }
        Ok(())
    }
}

/// Whether two views are the same for the user. A game root that is empty counts as none, and
/// while an adopted folder is being cleared its files are in both places.
pub(super) fn is_same(scenario: &Scenario, found: &View, wanted: &View) -> bool {
    let source = Path::new("/stick");
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

/// What stands on a machine, for messages.
pub(super) fn listing(machine: &SimVfs) -> String {
    let lines: Vec<String> =
        machine.tree().keys().map(|path| format!("  {}", path.display())).collect();
    format!("on disk:\n{}", lines.join("\n"))
}
