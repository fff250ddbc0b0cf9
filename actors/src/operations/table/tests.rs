//! What the operation table must hold in every order of events.

use std::collections::BTreeSet;

use lanspread_wire::VersionStamp;
use proptest::prelude::*;

use super::*;

const NOW: Duration = Duration::ZERO;

fn game(name: &str) -> GameId {
    GameId::parse(name).expect("an id")
}

fn stamp() -> VersionStamp {
    VersionStamp::parse(b"20240101").expect("a version")
}

fn download_finished() -> Box<Event> {
    Box::new(Event::DownloadFinished {
        game: game("quake"),
        version: stamp(),
        bytes_received: 1,
        bytes_reused: 0,
        seconds: 0.5,
        sources: BTreeMap::new(),
    })
}

fn finished() -> Report {
    Report::Ended(Outcome::Finished { version: Some(stamp()) })
}

fn begin(table: &mut Table, order: Order) -> Ticket {
    let effects = table.begin(game("quake"), "op-1".to_owned(), order);
    match effects.as_slice() {
        [Effect::Began { .. }, Effect::Spawn { ticket, .. }] => ticket.clone(),
        other => panic!("{other:?}"),
    }
}

fn told(effects: &[Effect]) -> Vec<&Event> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Tell(event) => Some(event),
            _ => None,
        })
        .collect()
}

/// Proves O3, O4: a download that installs is one entry that changes its kind, and both events
/// come when it is gone.
#[test]
fn a_download_becomes_an_install_without_a_gap() {
    let mut table = Table::default();
    let ticket = begin(&mut table, Order::Download { install: true });
    let report = Report::Downloaded {
        finished: download_finished(),
        next: Some(Order::Install { over: false }),
    };
    assert_eq!(table.report(NOW, &ticket, report), vec![]);
    assert_eq!(table.kind_of(&game("quake")), Some(OperationKind::Installing));
    let effects = table.report(NOW, &ticket, finished());
    assert_eq!(told(&effects), Vec::<&Event>::new(), "not before the rescan");
    assert!(
        effects.contains(&Effect::AskRescan { game: game("quake"), operation: "op-1".to_owned() })
    );
    assert!(!table.is_idle(), "the entry stays until the rescan");
    assert_eq!(table.rescanned(&game("quake"), "another"), vec![]);
    let effects = table.rescanned(&game("quake"), "op-1");
    assert!(table.is_idle());
    assert!(matches!(
        told(&effects).as_slice(),
        [Event::DownloadFinished { .. }, Event::InstallFinished { .. }]
    ));
}

/// Proves O9: a download that does not install ends with its own event.
#[test]
fn a_plain_download_ends_with_download_finished() {
    let mut table = Table::default();
    let ticket = begin(&mut table, Order::Download { install: false });
    table.report(NOW, &ticket, Report::Downloaded { finished: download_finished(), next: None });
    table.report(NOW, &ticket, finished());
    let effects = table.rescanned(&game("quake"), "op-1");
    assert!(matches!(told(&effects).as_slice(), [Event::DownloadFinished { .. }]));
}

/// Proves O6.
#[test]
fn a_cancelled_operation_has_no_failed_event() {
    for (order, expected) in [
        (Order::Download { install: true }, Event::DownloadCancelled { game: game("quake") }),
        (Order::Update, Event::OperationCancelled { game: game("quake") }),
        (Order::Uninstall, Event::OperationCancelled { game: game("quake") }),
    ] {
        let mut table = Table::default();
        let ticket = begin(&mut table, order);
        let (operation, effects) = table.cancel(NOW, &game("quake")).expect("it runs");
        assert_eq!(operation, "op-1");
        let stop = Effect::Stop { ticket: ticket.clone(), reason: StopReason::Cancel };
        assert_eq!(effects, vec![stop]);
        table.report(NOW, &ticket, Report::Ended(Outcome::Cancelled));
        let effects = table.rescanned(&game("quake"), "op-1");
        assert_eq!(told(&effects), vec![&expected]);
    }
    assert_eq!(Table::default().cancel(NOW, &game("quake")), None);
}

/// Proves O5, A2: three restarts in a minute, each after recovery and a longer delay, then one
/// failed event.
#[test]
fn a_dying_operation_is_recovered_restarted_and_given_up() {
    let mut table = Table::default();
    let mut ticket = begin(&mut table, Order::Install { over: false });
    let mut delays = Vec::new();
    for _ in 0..RESTARTS_MAX {
        let effects = table.died(NOW, &ticket, "a panic");
        assert_eq!(effects, vec![Effect::Recover { ticket: ticket.clone() }]);
        assert_eq!(table.rows()[&game("quake")].phase, Phase::Recovering);
        let effects = table.recovered(NOW, &ticket, Ok(()));
        let [Effect::RestartAfter { delay, .. }] = effects.as_slice() else {
            panic!("{effects:?}")
        };
        delays.push(*delay);
        let effects = table.restart_due(&ticket);
        let [Effect::Spawn { ticket: next, order }] = effects.as_slice() else {
            panic!("{effects:?}")
        };
        assert_eq!(*order, Order::Install { over: false });
        assert!(next.generation > ticket.generation);
        assert_eq!(table.report(NOW, &ticket, finished()), vec![], "an old one is not believed");
        ticket = next.clone();
    }
    assert!(delays.windows(2).all(|pair| pair[0] < pair[1]));
    table.died(NOW, &ticket, "a panic");
    table.recovered(NOW, &ticket, Ok(()));
    let effects = table.rescanned(&game("quake"), "op-1");
    let [Event::InstallFailed { code: ErrorCode::Internal, message, .. }] = told(&effects)[..]
    else {
        panic!("{effects:?}")
    };
    assert!(message.contains("a panic"));
}

/// Proves A2: deaths that lie far apart do not add up.
#[test]
fn restarts_are_counted_in_a_window() {
    let mut table = Table::default();
    let mut ticket = begin(&mut table, Order::Verify);
    let mut now = NOW;
    for _ in 0..RESTARTS_MAX * 3 {
        now += RESTARTS_WINDOW / 2;
        table.died(now, &ticket, "a kill");
        let effects = table.recovered(now, &ticket, Ok(()));
        assert!(matches!(effects.as_slice(), [Effect::RestartAfter { .. }]));
        let [Effect::Spawn { ticket: next, .. }] = &table.restart_due(&ticket)[..] else {
            panic!("no restart")
        };
        ticket = next.clone();
    }
}

/// Proves O3, O5: a download that died after its commit is not fetched again.
#[test]
fn a_restart_goes_on_with_what_is_left() {
    let mut table = Table::default();
    let ticket = begin(&mut table, Order::Download { install: true });
    let next = Some(Order::Install { over: true });
    table.report(NOW, &ticket, Report::Downloaded { finished: download_finished(), next });
    table.died(NOW, &ticket, "a panic");
    table.recovered(NOW, &ticket, Ok(()));
    let effects = table.restart_due(&ticket);
    let [Effect::Spawn { ticket, order: Order::Install { over: true } }] = &effects[..] else {
        panic!("{effects:?}")
    };
    table.report(NOW, ticket, finished());
    let effects = table.rescanned(&game("quake"), "op-1");
    assert!(matches!(
        told(&effects).as_slice(),
        [Event::DownloadFinished { .. }, Event::UpdateFinished { .. }]
    ));
}

/// Proves T5: a root that cannot be recovered is not touched again.
#[test]
fn a_root_that_cannot_be_recovered_ends_the_operation() {
    let mut table = Table::default();
    let ticket = begin(&mut table, Order::Update);
    table.died(NOW, &ticket, "a panic");
    table.recovered(NOW, &ticket, Err("permission denied".to_owned()));
    let effects = table.rescanned(&game("quake"), "op-1");
    assert!(matches!(told(&effects)[..], [Event::UpdateFailed { code: ErrorCode::Io, .. }]));
}

/// Proves O4: an unanswered rescan is asked for again, an answered one is not.
#[test]
fn a_rescan_is_asked_for_until_it_is_answered() {
    let mut table = Table::default();
    let ticket = begin(&mut table, Order::Remove);
    table.report(NOW, &ticket, finished());
    assert_eq!(table.tick(NOW), vec![]);
    let later = NOW + RESCAN_ASK_INTERVAL;
    assert_eq!(table.tick(later).len(), 1);
    assert_eq!(table.tick(later), vec![]);
    table.rescanned(&game("quake"), "op-1");
    assert_eq!(table.tick(later * 2), vec![]);
}

/// Proves A3, I11: a restarted owner recovers what ran and finishes what was settling.
#[test]
fn a_revived_table_loses_no_operation() {
    let mut table = Table::default();
    let running = begin(&mut table, Order::Download { install: false });
    table.begin(game("doom"), "op-2".to_owned(), Order::Uninstall);
    let settled = Ticket { game: game("doom"), operation: "op-2".to_owned(), generation: 0 };
    table.report(NOW, &settled, finished());
    let mut table = table.clone();
    let effects = table.revive(NOW);
    assert!(
        effects.contains(&Effect::AskRescan { game: game("doom"), operation: "op-2".to_owned() })
    );
    let next = Ticket { generation: running.generation + 1, ..running.clone() };
    assert!(effects.contains(&Effect::Recover { ticket: next.clone() }));
    assert_eq!(table.report(NOW, &running, finished()), vec![], "the old actor is not believed");
    assert!(matches!(table.recovered(NOW, &next, Ok(()))[..], [Effect::RestartAfter { .. }]));
}

/// Proves A4: parking ends everything, and the last one says so.
#[test]
fn parking_waits_for_the_last_operation() {
    assert_eq!(Table::default().park(NOW), vec![Effect::AllStopped]);
    let mut table = Table::default();
    let first = begin(&mut table, Order::Download { install: true });
    table.begin(game("doom"), "op-2".to_owned(), Order::Verify);
    let second = Ticket { game: game("doom"), operation: "op-2".to_owned(), generation: 0 };
    let effects = table.park(NOW);
    assert_eq!(effects.len(), 2, "{effects:?}");
    assert!(table.is_parked());
    let effects = table.report(NOW, &first, Report::Ended(Outcome::Parked));
    assert!(matches!(
        told(&effects)[..],
        [Event::DownloadFailed { code: ErrorCode::ShuttingDown, .. }]
    ));
    assert!(!effects.contains(&Effect::AllStopped));
    let effects = table.died(NOW, &second, "killed");
    assert_eq!(effects.last(), Some(&Effect::AllStopped));
}

/// `add` is answered instead of told.
#[test]
fn add_is_answered() {
    let order = Order::Add(order::AddOrder {
        path: "/x".into(),
        title: None,
        version: None,
        move_files: true,
    });
    let mut table = Table::default();
    let ticket = begin(&mut table, order.clone());
    table.report(NOW, &ticket, finished());
    let answer = Effect::Answer { operation: "op-1".to_owned(), result: Ok(()) };
    assert_eq!(table.rescanned(&game("quake"), "op-1"), vec![answer]);

    let ticket = begin(&mut table, order);
    table.died(NOW, &ticket, "a panic");
    table.recovered(NOW, &ticket, Ok(()));
    let effects = table.rescanned(&game("quake"), "op-1");
    assert!(
        matches!(&effects[..], [Effect::Answer { result: Err((ErrorCode::Internal, _)), .. }]),
        "a half-done move is not begun again: {effects:?}"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Begin(usize),
    Report(usize, u8),
    Die(usize),
    NotStarted(usize),
    Recovered(usize, bool),
    RestartDue(usize),
    Rescanned(usize),
    Cancel(usize),
    Tick,
    Revive,
    Park,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..3).prop_map(Step::Begin),
        6 => (0usize..40, 0u8..4).prop_map(|(ticket, kind)| Step::Report(ticket, kind)),
        3 => (0usize..40).prop_map(Step::Die),
        1 => (0usize..40).prop_map(Step::NotStarted),
        3 => (0usize..40, any::<bool>()).prop_map(|(ticket, well)| Step::Recovered(ticket, well)),
        3 => (0usize..40).prop_map(Step::RestartDue),
        4 => (0usize..40).prop_map(Step::Rescanned),
        2 => (0usize..3).prop_map(Step::Cancel),
        1 => Just(Step::Tick),
        1 => Just(Step::Revive),
        1 => Just(Step::Park),
    ]
}

const GAMES: [&str; 3] = ["quake", "doom", "hexen"];

struct World {
    table: Table,
    tickets: Vec<Ticket>,
    accepted: BTreeSet<String>,
    ended: Vec<String>,
    now: Duration,
}

impl World {
    /// Does a step; late and invented messages are part of it.
    fn apply(&mut self, step: Step) {
        self.now += Duration::from_millis(700);
        let before = self.table.rows();
        let pick = |index: usize| self.tickets.get(index % self.tickets.len().max(1)).cloned();
        let now = self.now;
        let effects = match step {
            Step::Begin(index) => {
                let id = game(GAMES[index]);
                if self.table.is_parked() || self.table.kind_of(&id).is_some() {
                    return;
                }
                let operation = format!("op-{}", self.accepted.len());
                self.accepted.insert(operation.clone());
                self.table.begin(id, operation, Order::Verify)
            }
            Step::Report(index, kind) => {
                let report = match kind {
                    0 => Report::Phase(Phase::Hashing),
                    1 => Report::Bytes { done: 1, total: 2 },
                    2 => Report::Ended(Outcome::Cancelled),
                    _ => finished(),
                };
                pick(index).map_or(vec![], |ticket| self.table.report(now, &ticket, report))
            }
            Step::Die(index) => {
                pick(index).map_or(vec![], |ticket| self.table.died(now, &ticket, "a panic"))
            }
            Step::NotStarted(index) => {
                pick(index).map_or(vec![], |ticket| self.table.not_started(now, &ticket, "no"))
            }
            Step::Recovered(index, well) => {
                let result = if well { Ok(()) } else { Err("io".to_owned()) };
                pick(index).map_or(vec![], |ticket| self.table.recovered(now, &ticket, result))
            }
            Step::RestartDue(index) => {
                pick(index).map_or(vec![], |ticket| self.table.restart_due(&ticket))
            }
            Step::Rescanned(index) => pick(index)
                .map_or(vec![], |ticket| self.table.rescanned(&ticket.game, &ticket.operation)),
            Step::Cancel(index) => {
                let cancelled = self.table.cancel(now, &game(GAMES[index]));
                cancelled.map_or(vec![], |(_, effects)| effects)
            }
            Step::Tick => self.table.tick(now),
            Step::Revive => self.table.revive(now),
            Step::Park => self.table.park(now),
        };
        self.perform(before, effects);
    }

    fn perform(&mut self, before: BTreeMap<GameId, OperationRow>, effects: Vec<Effect>) {
        let rows = self.table.rows();
        for effect in &effects {
            match effect {
                Effect::Spawn { ticket, .. } | Effect::Recover { ticket } => {
                    assert_eq!(rows[&ticket.game].operation, ticket.operation);
                    self.tickets.push(ticket.clone());
                }
                Effect::Tell(event) => {
                    let id = match event {
                        Event::VerifyFinished { game, .. }
                        | Event::VerifyFailed { game, .. }
                        | Event::OperationCancelled { game } => game,
                        other => panic!("{other:?}"),
                    };
                    assert!(!rows.contains_key(id), "the entry is gone before its event (O4)");
                    self.ended.push(before[id].operation.clone());
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Proves O1, O4, O5, I11: in any order of events each accepted operation ends exactly once.
    #[test]
    fn every_operation_ends_exactly_once(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World {
            table: Table::default(),
            tickets: Vec::new(),
            accepted: BTreeSet::new(),
            ended: Vec::new(),
            now: NOW,
        };
        for step in steps {
            world.apply(step);
        }
        // The faults stop: whatever is left comes to its end.
        for _ in 0..4 {
            for index in 0..world.tickets.len() {
                world.apply(Step::Recovered(index, true));
                world.apply(Step::RestartDue(index));
                world.apply(Step::Report(index, 3));
                world.apply(Step::Rescanned(index));
            }
        }
        prop_assert!(world.table.is_idle());
        let ended: BTreeSet<String> = world.ended.iter().cloned().collect();
        prop_assert_eq!(ended.len(), world.ended.len(), "none ends twice");
        prop_assert_eq!(ended, world.accepted);
    }
}
