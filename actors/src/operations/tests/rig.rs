//! A node without a network: real disk, real library, real transactions, scripted peers.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use lanspread_wire::{GameId, PeerId};
use ractor::{
    Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent, concurrency::JoinHandle,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use super::peers::{Content, ScriptedMarket, Shared};
use crate::{
    addr::{Addr, Slot},
    api::{Command, Event, Refused},
    config::NodeConfig,
    disk::{Disk, DiskArgs, DiskHandle, DiskMsg},
    facts::{Announced, LocalGame, LocalLibrary, OperationTable},
    game_op::{
        operation::OpPorts,
        sources::Offer,
        testing::{Behaviour, ScriptedSource},
    },
    library::{Library, LibraryArgs, LibraryMsg},
    manifests::ManifestStore,
    net::{
        backend::{
            Advert, DiscoveryBackend, DiscoveryError, DiscoveryGuard, DiscoveryNews, Transport,
        },
        identity::Identity,
    },
    operations::{Operations, OperationsArgs, OperationsMsg, State},
    ports::Ports,
    view::ViewMsg,
};

/// Longer than anything takes that is not stuck.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// Everything an operation touches.
pub(super) struct Rig {
    pub(super) folder: tempfile::TempDir,
    pub(super) ports: Ports,
    pub(super) market: Arc<ScriptedMarket>,
    pub(super) tables: Arc<Mutex<Vec<Arc<OperationTable>>>>,
    events: mpsc::UnboundedReceiver<Event>,
    seen: Vec<Event>,
    table: Arc<watch::Sender<Arc<OperationTable>>>,
    operations_slot: Slot<OperationsMsg>,
    operations: Option<(ActorRef<OperationsMsg>, JoinHandle<()>)>,
    _slots: (Slot<DiskMsg>, Slot<LibraryMsg>, Slot<ViewMsg>),
}

#[derive(Debug)]
struct NoDiscovery;

impl DiscoveryBackend for NoDiscovery {
    fn start(
        &self,
        _advert: Advert,
        _found: mpsc::Sender<DiscoveryNews>,
    ) -> Result<Box<dyn DiscoveryGuard>, DiscoveryError> {
        Err(DiscoveryError("there is none".to_owned()))
    }
}

/// Keeps what user interfaces would see, in its order.
struct Probe;

struct Seen {
    events: mpsc::UnboundedSender<Event>,
    tables: Arc<Mutex<Vec<Arc<OperationTable>>>>,
}

impl Actor for Probe {
    type Msg = ViewMsg;
    type State = Seen;
    type Arguments = Seen;

    async fn pre_start(
        &self,
        _me: ActorRef<ViewMsg>,
        args: Seen,
    ) -> Result<Seen, ActorProcessingErr> {
        Ok(args)
    }

    async fn handle(
        &self,
        _me: ActorRef<ViewMsg>,
        message: ViewMsg,
        state: &mut Seen,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ViewMsg::Operations(table) => state.tables.lock().unwrap().push(table),
            ViewMsg::Event(event) => state.events.send(event)?,
            _ => {}
        }
        Ok(())
    }
}

/// `Operations` with scripted peers.
struct Scripted(OpPorts);

impl Actor for Scripted {
    type Msg = OperationsMsg;
    type State = State;
    type Arguments = OperationsArgs;

    async fn pre_start(
        &self,
        me: ActorRef<OperationsMsg>,
        args: OperationsArgs,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State::start(me, args, self.0.clone()).await)
    }

    async fn handle(
        &self,
        _me: ActorRef<OperationsMsg>,
        message: OperationsMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.on_message(message).await;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<OperationsMsg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.on_supervision(event).await;
        Ok(())
    }
}

impl Rig {
    /// An empty games folder, nobody there.
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["games", "state"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let (disk_slot, disk_addr) = Slot::new();
        let (library_slot, library) = Slot::new();
        let (operations_slot, operations) = Slot::new();
        let (view_slot, view) = Slot::new();
        let (local, local_reader) = watch::channel(Arc::new(LocalLibrary::default()));
        let (announced, announced_reader) = watch::channel(Announced::default());
        let (table, table_reader) = watch::channel(Arc::new(OperationTable::default()));
        let ports = Ports {
            config: Arc::new(config(folder.path())),
            identity: Arc::new(Identity::random().unwrap()),
            disk: DiskHandle::new(disk_addr.clone()),
            library,
            operations,
            peers: Addr::nobody(),
            discovery: Addr::nobody(),
            view: view.clone(),
            local: local_reader,
            announced: announced_reader,
            peer_table: watch::channel(Arc::default()).1,
            operation_table: table_reader,
            catalog: watch::channel(Arc::new(None)).1,
            manifests: ManifestStore::new(&folder.path().join("state")),
        };
        let (events_sender, events) = unbounded();
        let tables = Arc::default();
        let seen = Seen { events: events_sender, tables: Arc::clone(&tables) };
        let (probe, _) = Actor::spawn(None, Probe, seen).await.unwrap();
        view_slot.publish(Some(probe));
        let disk = DiskArgs { ports_view: view, disk: disk_addr };
        let (disk, _) = Actor::spawn(None, Disk, disk).await.unwrap();
        disk_slot.publish(Some(disk));
        let args = LibraryArgs {
            ports: ports.clone(),
            local: Arc::new(local),
            announced: Arc::new(announced),
            games_dir: Some(folder.path().join("games")),
        };
        let (library, _) = Actor::spawn(None, Library::default(), args).await.unwrap();
        library_slot.publish(Some(library));
        let mut rig = Self {
            folder,
            ports,
            market: ScriptedMarket::new(),
            tables,
            events,
            seen: Vec::new(),
            table: Arc::new(table),
            operations_slot,
            operations: None,
            _slots: (disk_slot, library_slot, view_slot),
        };
        rig.start_operations().await;
        rig
    }

    /// Starts (again) the actor under test; the table survives.
    pub(super) async fn start_operations(&mut self) {
        let mut op_ports = OpPorts::of(&self.ports);
        op_ports.market = Arc::new(Shared(self.market.clone()));
        let args = OperationsArgs { ports: self.ports.clone(), table: self.table.clone() };
        let (actor, joined) = Actor::spawn(None, Scripted(op_ports), args).await.unwrap();
        self.operations_slot.publish(Some(actor.clone()));
        self.operations = Some((actor, joined));
    }

    /// Kills the actor under test as a panic would.
    pub(super) async fn kill_operations(&mut self) {
        let (actor, joined) = self.operations.take().unwrap();
        self.operations_slot.publish(None);
        actor.kill();
        joined.await.unwrap();
    }

    /// The actors of the running operations.
    pub(super) fn game_ops(&self) -> Vec<ractor::ActorCell> {
        self.operations.as_ref().unwrap().0.get_children()
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join("games").join(game().as_str())
    }

    pub(super) fn local(&self) -> Option<LocalGame> {
        self.ports.local.borrow().games.get(&game()).cloned()
    }

    /// A peer that holds this content.
    pub(super) fn peer(
        &self,
        number: u8,
        content: &Content,
        behaviour: Behaviour,
        bytes_per_second: f64,
    ) -> Arc<ScriptedSource> {
        let source = ScriptedSource::new(number, &content.chunks, bytes_per_second, behaviour);
        source.set_manifest(content.target.manifest.encode());
        self.join(number, content, source.clone());
        source
    }

    pub(super) fn join(&self, number: u8, content: &Content, source: Arc<ScriptedSource>) {
        let offer = Offer {
            peer: PeerId([number; 32]),
            version: content.target.manifest.version(),
            manifest: content.target.id,
        };
        self.market.join(offer, source);
    }

    pub(super) async fn command(&self, command: Command) -> Result<String, Refused> {
        let ask = |reply: RpcReplyPort<_>| OperationsMsg::Start { command, reply };
        self.ports.operations.call(ask, LONG).await.unwrap()
    }

    pub(super) async fn download(&self, install: bool) -> Result<String, Refused> {
        self.command(Command::Download { game: game().to_string(), install }).await
    }

    pub(super) async fn add(&self, command: Command) -> Result<(), Refused> {
        let ask = |reply: RpcReplyPort<_>| OperationsMsg::Add { command, reply };
        self.ports.operations.call(ask, LONG).await.unwrap()
    }

    /// The next event that fits; what comes before it is kept in [`Rig::seen`].
    pub(super) async fn wait(&mut self, fits: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + LONG;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = match timeout(left, self.events.recv()).await {
                Ok(event) => event.unwrap(),
                Err(_) => panic!("it did not come; seen: {:#?}", self.seen_terminal()),
            };
            self.seen.push(event.clone());
            if fits(&event) {
                return event;
            }
        }
    }

    /// The terminal event of the operation.
    pub(super) async fn end(&mut self) -> Event {
        self.wait(is_end).await
    }

    /// Events that end something, in their order, as far as they were waited for.
    pub(super) fn seen_terminal(&self) -> Vec<Event> {
        self.seen.iter().filter(|event| is_terminal(event)).cloned().collect()
    }

    pub(super) fn seen(&self) -> &[Event] {
        &self.seen
    }

    /// Waits until the library says so.
    pub(super) async fn local_is(&mut self, fits: impl Fn(&LocalGame) -> bool) {
        let mut local = self.ports.local.clone();
        let wait = local.wait_for(|library| library.games.get(&game()).is_some_and(&fits));
        let found = timeout(LONG, wait).await;
        assert!(found.is_ok(), "the library never said so: {:?}", self.local());
    }
}

/// The bound is the length of a test.
#[expect(clippy::disallowed_methods, reason = "a probe that would block changes what it sees")]
fn unbounded() -> (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>) {
    mpsc::unbounded_channel()
}

fn config(folder: &Path) -> NodeConfig {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap();
    NodeConfig {
        state_dir: folder.join("state"),
        games_dir: Some(folder.join("games")),
        name: None,
        listen: None,
        interfaces: Vec::new(),
        catalog: None,
        transport: Transport::Udp,
        discovery: Arc::new(NoDiscovery),
        unpack_program: built
            .join("examples")
            .join("unpack_child")
            .with_extension(std::env::consts::EXE_EXTENSION),
        control_socket: false,
    }
}

pub(super) fn game() -> GameId {
    GameId::parse("quake").unwrap()
}

/// Events of which exactly one ends an accepted command, and the milestone before it.
pub(super) fn is_terminal(event: &Event) -> bool {
    is_end(event) || matches!(event, Event::DownloadFinished { .. })
}

pub(super) fn is_end(event: &Event) -> bool {
    matches!(
        event,
        Event::DownloadFailed { .. }
            | Event::InstallFailed { .. }
            | Event::UpdateFailed { .. }
            | Event::UninstallFailed { .. }
            | Event::RemoveFailed { .. }
            | Event::VerifyFailed { .. }
            | Event::DownloadCancelled { .. }
            | Event::OperationCancelled { .. }
            | Event::InstallFinished { .. }
            | Event::UpdateFinished { .. }
            | Event::UninstallFinished { .. }
            | Event::RemoveFinished { .. }
            | Event::VerifyFinished { .. }
    )
}

/// Checks that the type of the real actor is what tests stand in for.
const _: fn() = || {
    fn same_messages<A: Actor<Msg = B::Msg, Arguments = B::Arguments>, B: Actor>() {}
    same_messages::<Scripted, Operations>();
};
