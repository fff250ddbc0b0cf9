//! The index against a model of the disk, over random sequences of everything that can happen.
//! The model answers the index's orders in any order, and knows what must be told in the end.

use std::collections::{BTreeMap, BTreeSet};

use lanspread_wire::GameId;
use proptest::prelude::*;

use super::{
    facts::*,
    tests::{game, manifest, print, root},
    *,
};
use crate::limits::library::HASHES_MAX;

/// What really stands in a root: a version, and whether its ledger knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OnDisk {
    version: u8,
    hashed: bool,
}

#[derive(Clone, Debug)]
enum Act {
    /// Somebody writes another version (or removes the root), and the watch tells.
    Change {
        game: usize,
        version: Option<u8>,
    },
    /// The same deep in the root: no watch tells, only a sweep sees it.
    ChangeUnseen {
        game: usize,
        version: Option<u8>,
    },
    Begin {
        game: usize,
    },
    /// The operation leaves this behind and ends; asked again `repeats` times.
    End {
        game: usize,
        version: Option<u8>,
        repeats: usize,
    },
    Sweep,
    /// The order number `which` (of those that are open) is carried out and reported.
    Work {
        which: usize,
    },
}

const GAMES: usize = 3;

fn act() -> impl Strategy<Value = Act> {
    let a_game = 0..GAMES;
    let version = prop::option::weighted(0.8, 1u8..6);
    prop_oneof![
        3 => (a_game.clone(), version.clone())
            .prop_map(|(game, version)| Act::Change { game, version }),
        1 => (a_game.clone(), version.clone())
            .prop_map(|(game, version)| Act::ChangeUnseen { game, version }),
        2 => a_game.clone().prop_map(|game| Act::Begin { game }),
        2 => (a_game, version, 0usize..3)
            .prop_map(|(game, version, repeats)| Act::End { game, version, repeats }),
        1 => Just(Act::Sweep),
        9 => (0usize..8).prop_map(|which| Act::Work { which }),
    ]
}

/// An open order of the index, with what the worker saw when it began.
#[derive(Clone, Debug)]
enum Order {
    List(u64),
    Scan { epoch: u64, lane: Lane, saw: Vec<(GameId, ScanOutcome)> },
    Hash { game: GameId, saw: Option<OnDisk>, cancelled: bool },
}

struct World {
    index: Index,
    disk: BTreeMap<GameId, OnDisk>,
    open: Vec<Order>,
    /// Games held by an operation, with what peers were told when it began.
    held: BTreeMap<GameId, Option<GameSummary>>,
    operations: usize,
    unanswered: BTreeSet<(GameId, String)>,
    last_revision: u64,
    published: bool,
}

fn names() -> Vec<GameId> {
    ["a", "b", "c"].map(game).to_vec()
}

impl World {
    fn new() -> Self {
        Self {
            index: Index::new(Start { revision: 1, ..Start::default() }),
            disk: BTreeMap::new(),
            open: Vec::new(),
            held: BTreeMap::new(),
            operations: 0,
            unanswered: BTreeSet::new(),
            last_revision: 1,
            published: false,
        }
    }

    fn write(&mut self, game: &GameId, version: Option<u8>) {
        match version {
            Some(version) => self.disk.insert(game.clone(), OnDisk { version, hashed: false }),
            None => self.disk.remove(game),
        };
    }

    fn act(&mut self, act: Act) {
        let names = names();
        match act {
            Act::Change { game, version } if !self.held.contains_key(&names[game]) => {
                self.write(&names[game], version);
                self.step(Input::Touched { game: names[game].clone() });
            }
            Act::ChangeUnseen { game, version } if !self.held.contains_key(&names[game]) => {
                self.write(&names[game], version);
            }
            Act::Begin { game } if !self.held.contains_key(&names[game]) => {
                let told = self.index.announced().1.get(&names[game]).cloned();
                self.held.insert(names[game].clone(), told);
                self.step(Input::OperationBegan { game: names[game].clone() });
            }
            Act::End { game, version, repeats } if self.held.contains_key(&names[game]) => {
                self.end(&names[game], version, repeats);
            }
            Act::Sweep => self.step(Input::SweepDue),
            Act::Work { which } if !self.open.is_empty() => {
                let order = self.open.remove(which % self.open.len());
                self.report(order);
            }
            _ => {}
        }
    }

    fn end(&mut self, game: &GameId, version: Option<u8>, repeats: usize) {
        self.write(game, version);
        self.held.remove(game);
        self.operations += 1;
        let operation = format!("op{}", self.operations);
        self.unanswered.insert((game.clone(), operation.clone()));
        for _ in 0..=repeats {
            let (game, operation) = (game.clone(), operation.clone());
            self.step(Input::OperationEnded { game, operation });
        }
    }

    fn report(&mut self, order: Order) {
        match order {
            Order::List(epoch) => {
                let roots = self.disk.keys().map(|game| (game.clone(), None)).collect();
                let identity = DirIdentity::default();
                let listing = Listing { identity, roots, strangers: Vec::new() };
                self.step(Input::Listed { epoch, result: Ok(listing) });
            }
            Order::Scan { epoch, lane, saw } => {
                self.step(Input::Scanned { epoch, lane, results: saw });
            }
            Order::Hash { game, saw, cancelled } => {
                let outcome = self.hash(&game, saw, cancelled);
                self.step(Input::Hashed { game, outcome });
            }
        }
    }

    fn hash(&mut self, game: &GameId, saw: Option<OnDisk>, cancelled: bool) -> HashOutcome {
        let Some(saw) = saw.filter(|_| !cancelled) else {
            return HashOutcome::Cancelled;
        };
        if let Some(now) = self.disk.get_mut(game)
            && now.version == saw.version
        {
            now.hashed = true;
        }
        let (fingerprint, manifest) = (print(saw.version), manifest(saw.version));
        HashOutcome::Done { fingerprint, manifest, bytes_total: 1000 + u64::from(saw.version) }
    }

    fn look(&self, game: &GameId) -> ScanOutcome {
        let Some(on_disk) = self.disk.get(game) else {
            return ScanOutcome::Absent;
        };
        let (fingerprint, number) = (print(on_disk.version), on_disk.version);
        let content = if on_disk.hashed {
            Content::Known { fingerprint: Some(fingerprint), manifest: manifest(number) }
        } else {
            Content::Unhashed { fingerprint }
        };
        ScanOutcome::Found(Box::new(root(number, content)))
    }

    fn step(&mut self, input: Input) {
        self.published = false;
        for effect in self.index.step(input) {
            self.perform(effect);
        }
        self.check();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::List { epoch } => self.open.push(Order::List(epoch)),
            Effect::Scan { epoch, lane, orders } => {
                let look = |order: &ScanOrder| (order.game.clone(), self.look(&order.game));
                let saw: Vec<(GameId, ScanOutcome)> = orders.iter().map(look).collect();
                for (game, _) in &saw {
                    assert!(!self.held.contains_key(game), "no scan of a held game begins");
                }
                self.open.push(Order::Scan { epoch, lane, saw });
            }
            Effect::Hash { game, .. } => {
                assert!(!self.held.contains_key(&game), "no hashing of a held game begins");
                let saw = self.disk.get(&game).copied();
                self.open.push(Order::Hash { game, saw, cancelled: false });
            }
            Effect::CancelHash { game } => {
                for order in &mut self.open {
                    if let Order::Hash { game: hashed, cancelled, .. } = order
                        && *hashed == game
                    {
                        *cancelled = true;
                    }
                }
            }
            Effect::Publish => self.published = true,
            Effect::OpenGate { game } => {
                assert!(self.published && !self.held.contains_key(&game));
            }
            Effect::Answer { game, operation } => {
                assert!(self.published, "it is told before the operation learns of it");
                self.unanswered.remove(&(game, operation));
            }
            Effect::Folder { .. } | Effect::Notice { .. } | Effect::SweepEnded => {}
        }
    }

    /// What holds after every step.
    fn check(&mut self) {
        let mut scanned = BTreeSet::new();
        let mut hashed = BTreeSet::new();
        for order in &self.open {
            match order {
                Order::Scan { saw, .. } => {
                    for (game, _) in saw {
                        assert!(scanned.insert(game), "{game} is scanned twice at once");
                    }
                }
                Order::Hash { game, .. } => {
                    assert!(hashed.insert(game), "{game} is hashed twice at once");
                }
                Order::List(_) => {}
            }
        }
        assert!(hashed.len() <= HASHES_MAX);
        let (revision, games) = self.index.announced();
        assert!(revision >= self.last_revision);
        self.last_revision = revision;
        for (game, told) in &self.held {
            assert_eq!(games.get(game), told.as_ref(), "L4: a held game is told as it was");
        }
    }

    /// Ends every operation, looks at everything, and carries out all that is open.
    fn come_to_rest(&mut self) {
        for game in names() {
            if self.held.contains_key(&game) {
                let version = self.disk.get(&game).map(|on_disk| on_disk.version);
                self.end(&game, version, 0);
            }
        }
        self.step(Input::SweepDue);
        for _ in 0..1000 {
            if self.open.is_empty() {
                return;
            }
            let order = self.open.remove(0);
            self.report(order);
        }
        panic!("it never comes to rest: {:?}", self.open);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Proves L2, L3, L4, L5 and O4 for every order of events: in the end what is told is what
    /// stands on the disk, every operation has its answer, and nothing ran twice at once.
    #[test]
    fn in_the_end_the_truth_is_told(acts in prop::collection::vec(act(), 0..80)) {
        let mut world = World::new();
        for act in acts {
            world.act(act);
        }
        world.come_to_rest();
        prop_assert!(world.unanswered.is_empty(), "{:?}", world.unanswered);
        let told: BTreeMap<GameId, Option<ManifestId>> = world
            .index
            .announced()
            .1
            .iter()
            .map(|(game, summary)| (game.clone(), summary.manifest))
            .collect();
        let truth: BTreeMap<GameId, Option<ManifestId>> = world
            .disk
            .iter()
            .map(|(game, on_disk)| (game.clone(), Some(manifest(on_disk.version))))
            .collect();
        prop_assert_eq!(told, truth);
        let here: BTreeSet<GameId> = world.index.local().map(|facts| facts.game).collect();
        prop_assert_eq!(here, world.disk.keys().cloned().collect::<BTreeSet<_>>());
    }
}
