//! When one game is scanned: never twice at once, never while an operation changes it, and once
//! more if something happened meanwhile. Pure; knows nothing of what a scan finds.

use std::collections::BTreeSet;

/// The gate of one game.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gate {
    phase: Phase,
    freeze: Option<Freeze>,
    /// Something happened during the running scan: exactly one more follows.
    again: bool,
    /// The running scan began before an operation did: what it finds is worth nothing.
    stale: bool,
    /// Operations whose end the running scan covers.
    answers_running: BTreeSet<String>,
    /// Operations whose end the next scan will cover.
    answers_next: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    Waiting,
    Running,
}

/// An operation holds the game.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Freeze {
    /// Whether its row was seen in the operation table: only then does a missing row end it.
    seen_in_table: bool,
}

/// What the end of a scan means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    /// Whether what was found may be taken over.
    pub(super) apply: bool,
    /// Operations whose rescan this was.
    pub(super) answers: BTreeSet<String>,
    /// Whether the game has to be queued for one more scan.
    pub(super) queue: bool,
}

impl Gate {
    /// Something may have changed. Returns whether the game has to be queued.
    pub(super) fn touch(&mut self) -> bool {
        if self.freeze.is_some() {
            return false;
        }
        match self.phase {
            Phase::Idle => {
                self.phase = Phase::Waiting;
                true
            }
            Phase::Waiting => false,
            Phase::Running => {
                self.again = true;
                false
            }
        }
    }

    /// An operation took the game: until it ends nothing is scanned and nothing found counts.
    pub(super) fn begin(&mut self) {
        self.freeze.get_or_insert(Freeze { seen_in_table: false });
        self.again = false;
        match self.phase {
            Phase::Idle => {}
            Phase::Waiting => self.phase = Phase::Idle,
            Phase::Running => self.stale = true,
        }
    }

    /// The table shows an operation on the game.
    pub(super) fn see_row(&mut self) {
        self.begin();
        if let Some(freeze) = &mut self.freeze {
            freeze.seen_in_table = true;
        }
    }

    /// The table shows no operation on the game. Returns whether one has ended without a word,
    /// and the game has to be queued.
    pub(super) fn see_no_row(&mut self) -> bool {
        let vanished = self.freeze.as_ref().is_some_and(|freeze| freeze.seen_in_table);
        if vanished {
            self.freeze = None;
            return self.want_scan();
        }
        false
    }

    /// An operation has ended and wants to know when the scan after it is told. Asked again it
    /// costs nothing if the scan under way is that scan. Returns whether to queue the game.
    pub(super) fn end(&mut self, operation: String) -> bool {
        self.freeze = None;
        let covered = self.phase == Phase::Running && !self.stale;
        if covered && self.answers_running.contains(&operation) {
            return false;
        }
        self.answers_next.insert(operation);
        self.want_scan()
    }

    /// Its scan starts.
    pub(super) fn start(&mut self) {
        debug_assert_eq!(self.phase, Phase::Waiting, "only a waiting game is scanned");
        self.phase = Phase::Running;
        self.again = false;
        self.stale = false;
        self.answers_running = std::mem::take(&mut self.answers_next);
    }

    /// Its scan ended, well or not.
    pub(super) fn finish(&mut self) -> Finished {
        debug_assert_eq!(self.phase, Phase::Running, "only a running scan ends");
        let apply = !self.stale && self.freeze.is_none();
        let answers = std::mem::take(&mut self.answers_running);
        self.phase = Phase::Idle;
        self.stale = false;
        let more = std::mem::take(&mut self.again) || !self.answers_next.is_empty();
        let queue = more && self.freeze.is_none();
        if queue {
            self.phase = Phase::Waiting;
        }
        Finished { apply, answers, queue }
    }

    /// Leaves the queue if no operation waits for the scan.
    pub(super) fn withdraw(&mut self) {
        if self.phase == Phase::Waiting && self.answers_next.is_empty() {
            self.phase = Phase::Idle;
        }
    }

    /// Whether an operation holds the game.
    pub(super) fn is_frozen(&self) -> bool {
        self.freeze.is_some()
    }

    /// Whether it waits in the queue.
    pub(super) fn is_waiting(&self) -> bool {
        self.phase == Phase::Waiting
    }

    /// Whether a scan of it is under way.
    pub(super) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Whether nothing at all is going on, so that a game that is not there can be forgotten.
    pub(super) fn is_at_rest(&self) -> bool {
        self.phase == Phase::Idle && self.freeze.is_none() && self.answers_next.is_empty()
    }

    fn want_scan(&mut self) -> bool {
        match self.phase {
            Phase::Idle => {
                self.phase = Phase::Waiting;
                true
            }
            Phase::Waiting => false,
            Phase::Running => {
                self.again = true;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Proves L2.
    #[test]
    fn events_during_a_scan_cause_exactly_one_more() {
        let mut gate = Gate::default();
        assert!(gate.touch());
        assert!(!gate.touch(), "it waits already");
        gate.start();
        for _ in 0..10 {
            assert!(!gate.touch());
        }
        assert_eq!(gate.finish(), Finished { apply: true, answers: BTreeSet::new(), queue: true });
        gate.start();
        assert_eq!(gate.finish(), Finished { apply: true, answers: BTreeSet::new(), queue: false });
        assert!(gate.is_at_rest());
    }

    /// Proves L2 and L4.
    #[test]
    fn an_operation_drops_events_and_what_a_running_scan_finds() {
        let mut gate = Gate::default();
        gate.touch();
        gate.start();
        gate.begin();
        assert!(!gate.touch());
        let finished = gate.finish();
        assert!(!finished.apply, "the scan saw files that were being changed");
        assert!(!finished.queue);
        assert!(!gate.touch());
        assert!(gate.end("op".into()), "its end is what is scanned");
        gate.start();
        let finished = gate.finish();
        assert!(finished.apply);
        assert_eq!(finished.answers, BTreeSet::from(["op".to_owned()]));
    }

    /// Proves that asking for the answer again is harmless, whenever it happens.
    #[test]
    fn the_end_of_an_operation_can_be_told_again() {
        let mut gate = Gate::default();
        gate.begin();
        assert!(gate.end("op".into()));
        assert!(!gate.end("op".into()), "waiting");
        gate.start();
        assert!(!gate.end("op".into()), "the scan under way covers it");
        assert!(!gate.finish().queue);
        assert!(gate.end("op".into()), "the answer was lost");
        gate.start();
        assert_eq!(gate.finish().answers.len(), 1);
    }

    /// A scan that began before the operation ended cannot answer for it.
    #[test]
    fn a_scan_that_began_too_early_answers_nothing() {
        let mut gate = Gate::default();
        gate.touch();
        gate.start();
        gate.begin();
        assert!(!gate.end("op".into()));
        let early = gate.finish();
        assert!(!early.apply && early.answers.is_empty() && early.queue);
        gate.start();
        assert_eq!(gate.finish().answers.len(), 1);
    }

    /// Proves O5: an operation that vanished from the table frees its game.
    #[test]
    fn a_row_that_vanishes_ends_the_freeze_only_if_it_was_there() {
        let mut gate = Gate::default();
        gate.begin();
        assert!(!gate.see_no_row(), "the table is published after the operation began");
        assert!(gate.is_frozen());
        gate.see_row();
        assert!(gate.see_no_row());
        assert!(!gate.is_frozen());
    }

    #[derive(Clone, Debug)]
    enum Act {
        Touch,
        Begin,
        End(u8),
        Row(bool),
        Work,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => Just(Act::Touch),
            1 => Just(Act::Begin),
            2 => (0u8..3).prop_map(Act::End),
            1 => any::<bool>().prop_map(Act::Row),
            4 => Just(Act::Work),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: a change while nothing holds the game is followed
        /// by a scan that began after it, no scan of a held game counts, every end is answered.
        #[test]
        fn nothing_is_missed_and_nothing_stale_counts(acts in prop::collection::vec(act(), 0..60)) {
            let mut gate = Gate::default();
            let mut held = false;
            let mut held_in_scan = false;
            let mut unseen_change = false;
            let mut unanswered = BTreeSet::new();
            for act in acts {
                match act {
                    Act::Touch => {
                        gate.touch();
                        unseen_change |= !held;
                    }
                    Act::Begin | Act::Row(true) => {
                        if matches!(act, Act::Begin) { gate.begin() } else { gate.see_row() }
                        (held, held_in_scan, unseen_change) = (true, true, false);
                    }
                    Act::End(op) => {
                        gate.end(op.to_string());
                        unanswered.insert(op.to_string());
                        if held { unseen_change = true; }
                        held = false;
                    }
                    Act::Row(false) => {
                        gate.see_no_row();
                        if held && !gate.is_frozen() { held = false; unseen_change = true; }
                    }
                    Act::Work => {
                        if gate.is_running() {
                            let finished = gate.finish();
                            prop_assert_eq!(finished.apply, !held && !held_in_scan);
                            for op in finished.answers { unanswered.remove(&op); }
                        } else if gate.is_waiting() {
                            prop_assert!(!held, "a held game is never scanned");
                            gate.start();
                            held_in_scan = false;
                            unseen_change = false;
                        }
                    }
                }
                prop_assert_eq!(gate.is_frozen(), held);
                if unseen_change {
                    prop_assert!(gate.is_waiting() || (gate.is_running() && gate.again));
                }
            }
            // Let it come to rest.
            gate.end("last".into());
            unanswered.insert("last".into());
            for _ in 0..4 {
                if gate.is_waiting() { gate.start(); }
                if gate.is_running() {
                    for op in gate.finish().answers { unanswered.remove(&op); }
                }
            }
            prop_assert!(gate.is_at_rest());
            prop_assert!(unanswered.is_empty());
        }
    }
}
