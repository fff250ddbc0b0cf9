//! What the index decides, case by case. The tests play the disk: they answer the index's orders.

use lanspread_wire::{GameId, ManifestId, VersionStamp};

use super::{facts::*, *};
use crate::api::Availability;

pub(super) fn game(name: &str) -> GameId {
    GameId::parse(name).unwrap()
}

pub(super) fn manifest(number: u8) -> ManifestId {
    ManifestId([number; 32])
}

pub(super) fn print(number: u8) -> Fingerprint {
    Fingerprint([number; 32])
}

pub(super) fn known(number: u8) -> Content {
    Content::Known { fingerprint: Some(print(number)), manifest: manifest(number) }
}

/// A root of version `number` with this content.
pub(super) fn root(number: u8, content: Content) -> RootScan {
    let version = VersionStamp::parse(format!("2024010{number}").as_bytes()).unwrap();
    RootScan {
        identity: DirIdentity { device: Some(1), inode: Some(10) },
        sentinel: Some(Sentinel { version, hash: [number; 32] }),
        installed: false,
        bytes_total: 1000 + u64::from(number),
        content,
        kept: None,
        problem: None,
        remarks: Vec::new(),
    }
}

pub(super) fn found(scan: RootScan) -> ScanOutcome {
    ScanOutcome::Found(Box::new(scan))
}

pub(super) const FOLDER: DirIdentity = DirIdentity { device: Some(1), inode: Some(1) };

pub(super) fn listing(names: &[&str]) -> Listing {
    let root = |name: &&str| (game(name), Some(DirIdentity { device: Some(1), inode: Some(10) }));
    Listing { identity: FOLDER, roots: names.iter().map(root).collect(), strangers: Vec::new() }
}

/// An index and what it wants done.
pub(super) struct Rig {
    pub(super) index: Index,
    pub(super) effects: Vec<Effect>,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(Start { revision: 100, ..Start::default() })
    }

    pub(super) fn with(start: Start) -> Self {
        Self { index: Index::new(start), effects: Vec::new() }
    }

    /// An index that has looked at a folder with these roots.
    pub(super) fn holding(roots: &[(&str, RootScan)]) -> Self {
        let mut rig = Self::new();
        let names: Vec<&str> = roots.iter().map(|(name, _)| *name).collect();
        rig.step(Input::SweepDue);
        rig.step(Input::Listed { epoch: 0, result: Ok(listing(&names)) });
        let results = roots.iter().map(|(name, scan)| (game(name), found(scan.clone())));
        rig.step(Input::Scanned { epoch: 0, lane: Lane::Sweep, results: results.collect() });
        rig
    }

    pub(super) fn step(&mut self, input: Input) -> &[Effect] {
        self.effects = self.index.step(input);
        &self.effects
    }

    pub(super) fn touch(&mut self, name: &str) -> &[Effect] {
        self.step(Input::Touched { game: game(name) })
    }

    pub(super) fn scanned(&mut self, name: &str, outcome: ScanOutcome) -> &[Effect] {
        let results = vec![(game(name), outcome)];
        self.step(Input::Scanned { epoch: 0, lane: Lane::Urgent, results })
    }

    pub(super) fn began(&mut self, name: &str) -> &[Effect] {
        self.step(Input::OperationBegan { game: game(name) })
    }

    pub(super) fn ended(&mut self, name: &str, operation: &str) -> &[Effect] {
        self.step(Input::OperationEnded { game: game(name), operation: operation.into() })
    }

    pub(super) fn hashed(&mut self, name: &str, outcome: HashOutcome) -> &[Effect] {
        self.step(Input::Hashed { game: game(name), outcome })
    }

    pub(super) fn scans(&self) -> Vec<&str> {
        let orders = self.effects.iter().filter_map(|effect| match effect {
            Effect::Scan { orders, .. } => Some(orders),
            _ => None,
        });
        orders.flatten().map(|order| order.game.as_str()).collect()
    }

    pub(super) fn order(&self) -> ScanOrder {
        let mut orders = self.effects.iter().filter_map(|effect| match effect {
            Effect::Scan { orders, .. } => orders.first(),
            _ => None,
        });
        orders.next().expect("a scan").clone()
    }

    pub(super) fn publishes(&self) -> bool {
        self.effects.contains(&Effect::Publish)
    }

    pub(super) fn local(&self, name: &str) -> Option<LocalFacts> {
        self.index.local().find(|facts| facts.game == game(name))
    }

    pub(super) fn told(&self, name: &str) -> Option<Option<ManifestId>> {
        self.index.announced().1.get(&game(name)).map(|summary| summary.manifest)
    }

    pub(super) fn revision(&self) -> u64 {
        self.index.announced().0
    }
}

/// Proves L2 and L5: a sweep lists once, scans each root, publishes, and ends.
#[test]
fn a_sweep_looks_at_every_root() {
    let mut rig = Rig::new();
    assert_eq!(rig.step(Input::SweepDue), [Effect::List { epoch: 0 }]);
    rig.step(Input::Listed { epoch: 0, result: Ok(listing(&["a", "b"])) });
    assert_eq!(rig.scans(), ["a", "b"]);
    let results = vec![(game("a"), found(root(1, known(1)))), (game("b"), ScanOutcome::Absent)];
    rig.step(Input::Scanned { epoch: 0, lane: Lane::Sweep, results });
    assert!(rig.publishes());
    assert_eq!(rig.effects.iter().filter(|e| **e == Effect::SweepEnded).count(), 1);
    assert_eq!(rig.told("a"), Some(Some(manifest(1))));
    assert_eq!(rig.told("b"), None);
    assert_eq!(rig.revision(), 101);
}

/// Proves L3: one game that changed is one scan, and the others stay as they are.
#[test]
fn a_change_in_one_game_is_a_look_at_that_game() {
    let mut rig = Rig::holding(&[("a", root(1, known(1))), ("b", root(2, known(2)))]);
    rig.touch("a");
    assert_eq!(rig.scans(), ["a"]);
    rig.scanned("a", found(root(3, known(3))));
    assert_eq!((rig.told("a"), rig.told("b")), (Some(Some(manifest(3))), Some(Some(manifest(2)))));
}

/// Proves L2: however many events come during a scan, exactly one more follows.
#[test]
fn many_events_during_a_scan_are_one_more_scan() {
    let mut rig = Rig::holding(&[("a", root(1, known(1)))]);
    rig.touch("a");
    for _ in 0..5 {
        assert_eq!(rig.touch("a"), []);
    }
    rig.scanned("a", found(root(1, known(1))));
    assert_eq!(rig.scans(), ["a"]);
    rig.scanned("a", found(root(1, known(1))));
    assert_eq!(rig.scans(), Vec::<&str>::new());
}

/// Proves L5: a rescan that found nothing new is published all the same, peers are told nothing.
#[test]
fn a_scan_without_news_is_published_but_not_announced() {
    let mut rig = Rig::holding(&[("a", root(1, known(1)))]);
    let revision = rig.revision();
    rig.touch("a");
    rig.scanned("a", found(root(1, known(1))));
    assert!(rig.publishes());
    assert_eq!(rig.revision(), revision);
}

/// Proves L2, L4 and O4: during an operation nothing moves; after it the game is looked at, then
/// told, then the operation learns of it.
#[test]
fn an_operation_freezes_its_game_and_learns_when_it_was_told() {
    let mut rig = Rig::holding(&[("a", root(1, known(1)))]);
    let revision = rig.revision();
    rig.began("a");
    assert!(rig.index.is_frozen(&game("a")));
    assert_eq!(rig.touch("a"), [], "events of a busy game are dropped");
    rig.step(Input::SweepDue);
    rig.step(Input::Listed { epoch: 0, result: Ok(listing(&[])) });
    assert_eq!(rig.scans(), Vec::<&str>::new(), "a sweep passes it over");
    assert_eq!((rig.told("a"), rig.revision()), (Some(Some(manifest(1))), revision));
    let committed = Input::Committed { game: game("a"), manifest: manifest(2) };
    assert_eq!(rig.step(committed), []);
    rig.ended("a", "op");
    assert_eq!(rig.order().committed, Some(manifest(2)));
    rig.scanned("a", found(root(2, known(2))));
    let answer = Effect::Answer { game: game("a"), operation: "op".into() };
    let open = Effect::OpenGate { game: game("a") };
    assert_eq!(rig.effects, [Effect::Publish, open, answer]);
    assert_eq!(rig.told("a"), Some(Some(manifest(2))));
    rig.touch("a");
    assert_eq!(rig.order().committed, None, "a commit is taken over once");
}

/// A scan that was under way when the operation began saw half of two versions.
#[test]
fn what_a_scan_saw_of_an_operation_is_dropped() {
    let mut rig = Rig::holding(&[("a", root(1, known(1)))]);
    rig.touch("a");
    rig.began("a");
    rig.scanned("a", ScanOutcome::Absent);
    assert_eq!(rig.told("a"), Some(Some(manifest(1))));
    assert!(!rig.publishes());
    rig.ended("a", "op");
    assert_eq!(rig.scans(), ["a"]);
}

/// Proves A3: a lost `OperationBegan` is made good by the table, a lost end too.
#[test]
fn the_operation_table_makes_good_for_lost_messages() {
    let mut rig = Rig::holding(&[("a", root(1, known(1)))]);
    let rows = |names: &[(&str, &str)]| Input::OperationTable {
        rows: names.iter().map(|(name, op)| (game(name), (*op).to_owned())).collect(),
    };
    rig.step(rows(&[("a", "op")]));
    assert!(rig.index.is_frozen(&game("a")));
    rig.ended("a", "op");
    rig.step(rows(&[("a", "op")]));
    assert!(!rig.index.is_frozen(&game("a")), "the row of an operation that ended says nothing");
    rig.scanned("a", found(root(1, known(1))));
    rig.step(rows(&[]));
    rig.step(rows(&[("a", "op2")]));
    assert!(rig.index.is_frozen(&game("a")));
    rig.step(rows(&[]));
    assert!(!rig.index.is_frozen(&game("a")), "it ended without a word");
    assert_eq!(rig.scans(), ["a"]);
}

#[test]
fn a_new_game_is_announced_at_once_and_again_when_it_was_hashed() {
    let unhashed = Content::Unhashed { fingerprint: print(1) };
    let mut rig = Rig::holding(&[("a", root(1, unhashed))]);
    let hash = Effect::Hash { game: game("a"), order: HashOrder::Payload };
    assert!(rig.effects.contains(&hash));
    assert_eq!(rig.told("a"), Some(None));
    let local = rig.local("a").unwrap();
    assert_eq!((local.availability, local.hashing), (Some(Availability::Ready), true));
    let revision = rig.revision();
    let done =
        HashOutcome::Done { fingerprint: print(1), manifest: manifest(1), bytes_total: 4000 };
    rig.hashed("a", done);
    assert!(rig.publishes());
    assert_eq!(rig.told("a"), Some(Some(manifest(1))));
    assert_eq!((rig.revision(), rig.local("a").unwrap().bytes_total), (revision + 1, 4000));
    assert!(!rig.local("a").unwrap().hashing);
}

#[test]
fn a_game_that_changed_while_it_was_hashed_is_looked_at_again() {
    let unhashed = Content::Unhashed { fingerprint: print(1) };
    let mut rig = Rig::holding(&[("a", root(1, unhashed))]);
    let done = HashOutcome::Done { fingerprint: print(2), manifest: manifest(1), bytes_total: 1 };
    rig.hashed("a", done);
    assert_eq!(rig.scans(), ["a"]);
}

#[test]
fn a_game_that_will_not_settle_waits_for_its_next_change() {
    let unhashed = Content::Unhashed { fingerprint: print(1) };
    let mut rig = Rig::holding(&[("a", root(1, unhashed.clone()))]);
    rig.hashed("a", HashOutcome::Unsettled);
    assert_eq!(rig.effects, [Effect::Publish], "no hot loop");
    rig.touch("a");
    rig.scanned("a", found(root(1, unhashed)));
    let hash = Effect::Hash { game: game("a"), order: HashOrder::Payload };
    assert!(rig.effects.contains(&hash));
}

/// The change that unsettled the hashing was scanned before the hashing ended: nothing else would
/// lead back to it.
#[test]
fn a_change_that_was_scanned_while_it_was_hashed_is_not_forgotten() {
    let unhashed = |number| found(root(1, Content::Unhashed { fingerprint: print(number) }));
    let mut rig = Rig::holding(&[("a", root(1, Content::Unhashed { fingerprint: print(1) }))]);
    rig.touch("a");
    rig.scanned("a", unhashed(2));
    rig.hashed("a", HashOutcome::Unsettled);
    assert_eq!(rig.scans(), ["a"]);
    rig.scanned("a", unhashed(2));
    let hash = Effect::Hash { game: game("a"), order: HashOrder::Payload };
    assert!(rig.effects.contains(&hash));
    rig.hashed("a", HashOutcome::Unsettled);
    assert!(rig.scans().is_empty(), "no hot loop: nothing has changed since");
}

/// A sweep does not read a huge game again and again because of one unreadable file.
#[test]
fn a_failed_hashing_is_a_problem_until_something_changes() {
    let unhashed = |number| root(1, Content::Unhashed { fingerprint: print(number) });
    let mut rig = Rig::holding(&[("a", unhashed(1))]);
    rig.hashed("a", HashOutcome::Failed("no right to read pak0".into()));
    let local = rig.local("a").unwrap();
    assert_eq!(local.availability, Some(Availability::LocalOnly));
    assert_eq!(local.problem.as_deref(), Some("no right to read pak0"));
    assert_eq!(rig.told("a"), None);
    rig.step(Input::SweepDue);
    rig.step(Input::Listed { epoch: 0, result: Ok(listing(&["a"])) });
    let results = vec![(game("a"), found(unhashed(1)))];
    rig.step(Input::Scanned { epoch: 0, lane: Lane::Sweep, results });
    let hash = Effect::Hash { game: game("a"), order: HashOrder::Payload };
    assert!(!rig.effects.contains(&hash), "it looks the same");
    rig.touch("a");
    rig.scanned("a", found(unhashed(1)));
    assert!(rig.effects.contains(&hash), "a change, perhaps of its rights");
}

/// Proves D7: a damaged download is not ready and says what to do.
#[test]
fn a_damaged_download_is_not_announced() {
    let files = vec!["pak0".to_owned(), "pak1".to_owned()];
    let damaged = Content::Damaged { manifest: manifest(1), files };
    let rig = Rig::holding(&[("a", root(1, damaged))]);
    let local = rig.local("a").unwrap();
    assert_eq!(local.availability, Some(Availability::LocalOnly));
    assert!(local.problem.unwrap().starts_with("damaged: run verify (pak0 and 1 more"));
    assert_eq!(local.manifest, Some(manifest(1)), "what a verification compares with");
    assert_eq!(rig.told("a"), None);
}

#[test]
fn a_touched_download_is_checked_and_comes_back() {
    let suspect = Content::Suspect { fingerprint: print(1), manifest: manifest(1) };
    let mut rig = Rig::holding(&[("a", root(1, suspect.clone()))]);
    let order = HashOrder::Recheck(manifest(1));
    assert!(rig.effects.contains(&Effect::Hash { game: game("a"), order }));
    assert_eq!(rig.told("a"), None);
    let done = HashOutcome::Done { fingerprint: print(1), manifest: manifest(1), bytes_total: 9 };
    rig.hashed("a", done);
    assert_eq!(rig.told("a"), Some(Some(manifest(1))));

    let mut rig = Rig::holding(&[("a", root(1, suspect))]);
    rig.hashed("a", HashOutcome::Damaged { files: vec!["pak0".into()] });
    assert!(rig.local("a").unwrap().problem.unwrap().contains("pak0"));
}

/// The settling scan writes the ledger: the job it cancelled must have let go of it.
#[test]
fn the_scan_after_an_operation_waits_for_a_cancelled_hashing() {
    let unhashed = Content::Unhashed { fingerprint: print(1) };
    let mut rig = Rig::holding(&[("a", root(1, unhashed))]);
    assert_eq!(rig.began("a"), [Effect::CancelHash { game: game("a") }]);
    rig.ended("a", "op");
    assert_eq!(rig.scans(), Vec::<&str>::new());
    rig.hashed("a", HashOutcome::Cancelled);
    assert_eq!(rig.scans(), ["a"]);
}

#[test]
fn damage_that_a_verification_found_is_recorded_by_the_next_scan() {
    let mut rig = Rig::holding(&[("a", root(1, known(1)))]);
    rig.began("a");
    rig.step(Input::Damaged { game: game("a"), files: vec!["pak0".into()] });
    rig.ended("a", "verify");
    assert_eq!(rig.order().damaged, ["pak0"]);
    rig.scanned("a", found(root(1, known(1))));
    rig.touch("a");
    assert_eq!(rig.order().damaged, Vec::<String>::new());
}
