//! The actor: order of state and events, coalescing, what survives a restart.

use ractor::concurrency::JoinHandle;

use super::*;
use crate::{
    addr::Slot,
    api::{OperationKind, Phase},
    facts::{LocalGame, OperationRow, ServeGate},
    ports::testing::{Wires, wires},
};

struct Rig {
    wires: Wires,
    args: ViewArgs,
    slot: Slot<ViewMsg>,
    view: ActorRef<ViewMsg>,
    joined: JoinHandle<()>,
    seen: broadcast::Receiver<Event>,
}

async fn rig() -> Rig {
    let mut wires = wires();
    let (slot, addr) = Slot::new();
    wires.ports.view = addr;
    let args = ViewArgs {
        ports: wires.ports.clone(),
        snapshot: Arc::new(watch::Sender::new(Arc::default())),
        events: broadcast::Sender::new(64),
        memory: Arc::new(watch::Sender::new(ViewMemory::default())),
    };
    let seen = args.events.subscribe();
    let (view, joined) = Actor::spawn(None, View, args.clone()).await.unwrap();
    slot.publish(Some(view.clone()));
    Rig { wires, args, slot, view, joined, seen }
}

impl Rig {
    async fn read(&self) -> Arc<Snapshot> {
        let deadline = std::time::Duration::from_secs(5);
        let addr = self.slot.addr();
        addr.call(|reply| ViewMsg::Read { reply }, deadline).await.unwrap()
    }

    fn cast(&self, message: ViewMsg) {
        self.view.cast(message).unwrap();
    }

    /// Kills the actor and starts the next one with the same arguments, as a supervisor does.
    async fn restart(&mut self) {
        self.view.kill();
        let joined = Actor::spawn(None, View, self.args.clone()).await.unwrap();
        std::mem::replace(&mut self.joined, joined.1).await.unwrap();
        self.view = joined.0;
        self.slot.publish(Some(self.view.clone()));
    }
}

fn game(id: &str) -> GameId {
    GameId::parse(id).unwrap()
}

fn library(ids: &[&str]) -> Arc<LocalLibrary> {
    let games = ids.iter().map(|id| {
        let local = LocalGame {
            game: game(id),
            title: (*id).to_owned(),
            root: std::path::PathBuf::from("/games").join(id),
            version: None,
            installed: true,
            availability: None,
            manifest: None,
            bytes_total: 1,
            hashing: None,
            problem: None,
            gate: ServeGate::default(),
        };
        (game(id), local)
    });
    Arc::new(LocalLibrary { games: games.collect(), ..LocalLibrary::default() })
}

fn table(busy: &[&str]) -> Arc<OperationTable> {
    let row = OperationRow {
        operation: "op".to_owned(),
        kind: OperationKind::Removing,
        phase: Phase::Removing,
        bytes_done: 0,
        bytes_total: 0,
    };
    let rows = busy.iter().map(|id| (game(id), row.clone())).collect();
    Arc::new(OperationTable { rows, ..OperationTable::default() })
}

fn ready() -> Event {
    Event::Ready {
        peer_id: lanspread_wire::PeerId([1; 32]),
        name: "n".to_owned(),
        addresses: Vec::new(),
        games_dir: None,
        state_dir: "/s".into(),
        version: "0".to_owned(),
        protocol: 1,
    }
}

fn removed() -> Event {
    Event::RemoveFinished { game: game("quake"), version: None }
}

/// Proves O4: whoever hears the terminal event finds the game free in the snapshot.
#[tokio::test]
async fn the_snapshot_is_never_older_than_an_event() {
    let mut rig = rig().await;
    rig.cast(ViewMsg::Event(ready()));
    rig.cast(ViewMsg::Library(library(&["quake"])));
    rig.cast(ViewMsg::Operations(table(&["quake"])));
    assert_eq!(rig.seen.recv().await.unwrap(), ready());
    assert_eq!(rig.read().await.operations.len(), 1);

    rig.cast(ViewMsg::Library(library(&[])));
    rig.cast(ViewMsg::Operations(table(&[])));
    rig.cast(ViewMsg::Event(removed()));
    assert_eq!(rig.seen.recv().await.unwrap(), removed());
    let snapshot = rig.args.snapshot.borrow().clone();
    assert!(snapshot.operations.is_empty() && snapshot.games.is_empty(), "{snapshot:?}");
}

/// Proves L5: the event carries what is here, seen with the eyes of the whole node.
#[tokio::test]
async fn a_library_event_carries_the_full_local_snapshot() {
    let mut rig = rig().await;
    rig.cast(ViewMsg::Event(ready()));
    rig.cast(ViewMsg::Library(library(&["doom", "quake"])));
    rig.cast(ViewMsg::Operations(table(&["quake"])));
    rig.cast(ViewMsg::Event(Event::LocalLibraryChanged { games: Vec::new() }));
    assert_eq!(rig.seen.recv().await.unwrap(), ready());
    let Event::LocalLibraryChanged { games } = rig.seen.recv().await.unwrap() else {
        panic!("another event")
    };
    let ids: Vec<_> = games.iter().map(|view| view.id.as_str()).collect();
    assert_eq!(ids, ["doom", "quake"]);
    assert!(games[1].operation.is_some());
}

/// Proves F6: a burst of changes is one snapshot, not one each.
#[tokio::test(flavor = "current_thread")]
async fn a_burst_is_published_once() {
    let rig = rig().await;
    let mut snapshots = rig.args.snapshot.subscribe();
    rig.read().await;
    snapshots.mark_unchanged();
    for _ in 0..500 {
        rig.cast(ViewMsg::Count { counter: "burst", by: 1 });
    }
    snapshots.changed().await.unwrap();
    let counted = snapshots.borrow_and_update().status.counters["burst"];
    assert_eq!(counted, 500, "the first snapshot has the whole burst");
}

/// Proves A3: counters, health, problems and the facts are there after a death, at once.
#[tokio::test]
async fn a_restarted_view_knows_what_it_knew() {
    let mut rig = rig().await;
    rig.cast(ViewMsg::Event(ready()));
    rig.cast(ViewMsg::Node(NodeInfo { name: "me".to_owned(), ..NodeInfo::default() }));
    rig.cast(ViewMsg::Count { counter: "x", by: 2 });
    let health = ActorHealth { name: "library".to_owned(), restarts: 1, last_failure: None };
    rig.cast(ViewMsg::Health { supervisor: "node", actors: vec![health] });
    let text = Some("nobody answers".to_owned());
    rig.cast(ViewMsg::Problem { part: "discovery", text });
    rig.wires.local.send_replace(library(&["quake"]));
    rig.cast(ViewMsg::Library(rig.wires.ports.local.borrow().clone()));
    let before = rig.read().await;

    rig.restart().await;
    assert_eq!(*rig.args.snapshot.borrow().clone(), *before, "before any owner said a word");
    assert_eq!(*rig.read().await, *before);
    rig.cast(ViewMsg::Problem { part: "discovery", text: None });
    assert_eq!(rig.read().await.status.problems, Vec::<String>::new());
    rig.cast(ViewMsg::Event(removed()));
    assert_eq!(rig.seen.recv().await.unwrap(), ready());
    assert_eq!(rig.seen.recv().await.unwrap(), removed(), "nothing is held back again");
}

/// Proves that uploads, which come and go without a message, show within a tick.
#[tokio::test(start_paused = true)]
async fn uploads_show_without_a_message() {
    let rig = rig().await;
    let local = library(&["quake"]);
    rig.cast(ViewMsg::Library(local.clone()));
    rig.read().await;
    let mut snapshots = rig.args.snapshot.subscribe();
    let _upload = local.games[&game("quake")].gate.enter().expect("open");
    snapshots.changed().await.unwrap();
    assert_eq!(snapshots.borrow().status.uploads[&game("quake")], 1);
}

/// Proves that the last words are heard: what was told before a stop is out when it has stopped.
#[tokio::test]
async fn a_stop_publishes_the_last_state() {
    let mut rig = rig().await;
    rig.cast(ViewMsg::Event(removed()));
    rig.cast(ViewMsg::Count { counter: "x", by: 1 });
    rig.read().await;
    rig.view.stop(None);
    rig.joined.await.unwrap();
    assert_eq!(
        rig.seen.recv().await.unwrap(),
        removed(),
        "held back until now: there was no ready"
    );
    assert_eq!(rig.args.snapshot.borrow().status.counters["x"], 1);
}
