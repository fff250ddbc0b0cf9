//! A node that is nothing but `Peers` and an accept loop; the test plays its library and its user.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use lanspread_actors::{
    addr::{Addr, Slot},
    api::{Availability, Event, Refused},
    config::NodeConfig,
    disk::DiskHandle,
    facts::{Announced, LocalGame, LocalLibrary, OperationTable, PeerEntry, PeerTable, ServeGate},
    library::LibraryMsg,
    listener::gate::Admission,
    manifests::ManifestStore,
    net::{
        backend::Sighting,
        endpoint::{Listen, bind},
        identity::Identity,
        tls,
    },
    peers::{Peers, PeersArgs, PeersMsg},
    ports::Ports,
    view::ViewMsg,
};
use lanspread_tests::{hub::Hub, vdiscovery::VirtualDiscovery};
use lanspread_wire::{
    Catalog, ChunkEntry, ChunkHash, ChunkerId, GameId, GameSummary, Manifest, PROTOCOL_VERSION,
    PeerId, RelPath, Title, VersionStamp,
};
use quinn::Endpoint;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call_t};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

/// Longer than any deadline of the program: what has not happened by then never will.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Where node `number` lives.
pub(crate) fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 4000))
}

/// The identity of node `number`.
pub(crate) fn identity(number: u8) -> Identity {
    Identity::from_seed(&[number; 32]).unwrap()
}

/// The id of node `number`.
pub(crate) fn id(number: u8) -> PeerId {
    identity(number).peer_id()
}

/// Of two nodes the one with the lower id, then the one with the higher.
pub(crate) fn sorted(one: u8, other: u8) -> (u8, u8) {
    if id(one) < id(other) { (one, other) } else { (other, one) }
}

/// A node whose every neighbour is the test.
pub(crate) struct Node {
    pub(crate) number: u8,
    pub(crate) endpoint: Endpoint,
    pub(crate) peers: ActorRef<PeersMsg>,
    pub(crate) local: watch::Sender<Arc<LocalLibrary>>,
    pub(crate) announced: watch::Sender<Announced>,
    pub(crate) catalog: watch::Sender<Arc<Option<Catalog>>>,
    pub(crate) table: watch::Receiver<Arc<PeerTable>>,
    /// What `View` was told.
    pub(crate) view: mpsc::Receiver<ViewMsg>,
    /// What `Library` was told.
    pub(crate) library: mpsc::Receiver<LibraryMsg>,
    pub(crate) args: PeersArgs,
    pub(crate) games_dir: TempDir,
    pub(crate) store: ManifestStore,
    pub(crate) state_dir: TempDir,
    _tasks: JoinSet<()>,
    _slots: (Slot<ViewMsg>, Slot<LibraryMsg>),
}

impl Node {
    /// Node `number` with a library of these games.
    pub(crate) async fn start(hub: &Hub, number: u8, games: &[(&str, u32)]) -> Self {
        Self::start_in(hub, number, games, tempfile::tempdir().unwrap()).await
    }

    /// The same with what an earlier run left in the state folder.
    pub(crate) async fn start_in(
        hub: &Hub,
        number: u8,
        games: &[(&str, u32)],
        state_dir: TempDir,
    ) -> Self {
        let identity = Arc::new(identity(number));
        let transport = hub.transport(address(number));
        let endpoint = bind(&transport, Listen::Everywhere(0), &identity).unwrap().endpoint;
        let games_dir = tempfile::tempdir().unwrap();
        let config = NodeConfig {
            state_dir: state_dir.path().to_owned(),
            games_dir: Some(games_dir.path().to_owned()),
            name: Some(format!("node {number}")),
            listen: None,
            interfaces: Vec::new(),
            catalog: None,
            transport,
            discovery: VirtualDiscovery::new(Duration::ZERO).backend(),
            unpack_program: PathBuf::new(),
            control_socket: false,
        };
        let (view_slot, view_addr, view) = collector().await;
        let (library_slot, library_addr, library) = collector().await;
        let store = ManifestStore::new(state_dir.path());
        let local = watch::Sender::new(Arc::new(LocalLibrary::default()));
        let announced = watch::Sender::new(Announced::new(1, summaries(games)));
        let catalog = watch::Sender::new(Arc::new(None));
        let table = Arc::new(watch::Sender::new(Arc::new(PeerTable::default())));
        let ports = Ports {
            config: Arc::new(config),
            identity,
            disk: DiskHandle::nobody(),
            library: library_addr,
            operations: Addr::nobody(),
            peers: Addr::nobody(),
            discovery: Addr::nobody(),
            view: view_addr,
            local: local.subscribe(),
            announced: announced.subscribe(),
            peer_table: table.subscribe(),
            operation_table: watch::Sender::new(Arc::new(OperationTable::default())).subscribe(),
            catalog: catalog.subscribe(),
            manifests: store.clone(),
        };
        let addresses = watch::Sender::new(vec![address(number)]).subscribe();
        let table_read = table.subscribe();
        let args = PeersArgs { ports, endpoint: endpoint.clone(), addresses, peer_table: table };
        let peers = start_peers(&args).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(endpoint.clone(), peers.clone()));
        Self {
            number,
            endpoint,
            peers,
            local,
            announced,
            catalog,
            table: table_read,
            view,
            library,
            args,
            games_dir,
            store,
            state_dir,
            _tasks: tasks,
            _slots: (view_slot, library_slot),
        }
    }

    pub(crate) fn id(&self) -> PeerId {
        id(self.number)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        address(self.number)
    }

    /// Tells the node that `other` announces itself.
    pub(crate) fn see(&self, other: u8) {
        let (peer, addresses) = (id(other), vec![address(other)]);
        self.tell(PeersMsg::Seen(Sighting { peer, protocol: PROTOCOL_VERSION, addresses }));
    }

    pub(crate) fn tell(&self, message: PeersMsg) {
        self.peers.cast(message).map_err(|_| "the actor is dead").unwrap();
    }

    /// Dials by hand.
    pub(crate) async fn connect(&self, address: SocketAddr) -> Result<PeerId, Refused> {
        let message = |reply: RpcReplyPort<_>| PeersMsg::Connect { address, reply };
        call_t!(self.peers, message, 120_000).unwrap()
    }

    pub(crate) async fn goodbye(&self) {
        call_t!(self.peers, |reply| PeersMsg::Goodbye { reply }, 10_000).unwrap();
        self.endpoint.wait_idle().await;
    }

    /// Ends in order; what it leaves behind for its next run.
    pub(crate) async fn stop(self) -> TempDir {
        self.goodbye().await;
        self.peers.stop_and_wait(None, None).await.unwrap();
        self.endpoint.close(0_u32.into(), b"");
        self.state_dir
    }

    /// Ends as with a pulled plug: `other` hears nothing of it. Its address is free afterwards.
    pub(crate) async fn crash(self, hub: &Hub, other: &Self) {
        hub.partition(&[self.address().ip()], &[other.address().ip()]);
        self.peers.kill();
        self.endpoint.close(0_u32.into(), b"");
        self.endpoint.wait_idle().await;
        hub.heal();
    }

    /// Waits until the table shows `other`.
    pub(crate) async fn until_connected(&self, other: u8) -> PeerEntry {
        let other = id(other);
        let table = self.until(|table| table.peers.contains_key(&other)).await;
        table.peers[&other].clone()
    }

    /// Waits until the table does not show `other`.
    pub(crate) async fn until_lost(&self, other: u8) {
        let other = id(other);
        self.until(|table| !table.peers.contains_key(&other)).await;
    }

    /// Waits until the node holds this library of `other`.
    pub(crate) async fn until_library(&self, other: u8, games: &[(&str, u32)]) {
        let (other, games) = (id(other), summaries(games));
        let holds = |table: &Arc<PeerTable>| {
            table.peers.get(&other).is_some_and(|entry| entry.library.games == games)
        };
        self.until(holds).await;
    }

    pub(crate) async fn until(
        &self,
        wanted: impl FnMut(&Arc<PeerTable>) -> bool,
    ) -> Arc<PeerTable> {
        let mut table = self.table.clone();
        let waited = timeout(PATIENCE, table.wait_for(wanted)).await;
        waited.expect("it never happened").unwrap().clone()
    }

    /// Waits for an event, in the order in which they came; those before it are dropped.
    pub(crate) async fn event<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let search = async {
            loop {
                let message = self.view.recv().await.expect("the view stands");
                if let ViewMsg::Event(event) = message
                    && let Some(found) = wanted(&event)
                {
                    return found;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the event never came")
    }

    /// Waits until a counter has gone up.
    pub(crate) async fn counted(&mut self, wanted: &str) {
        let search = async {
            loop {
                let message = self.view.recv().await.expect("the view stands");
                if matches!(message, ViewMsg::Count { counter, .. } if counter == wanted) {
                    return;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("it was never counted");
    }

    /// The events so far.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Ok(message) = self.view.try_recv() {
            if let ViewMsg::Event(event) = message {
                events.push(event);
            }
        }
        events
    }

    /// Changes what peers are told.
    pub(crate) fn announce(&self, revision: u64, games: &[(&str, u32)]) {
        self.announced.send_replace(Announced::new(revision, summaries(games)));
    }

    /// Puts a game on disk and into the library, ready to be served.
    pub(crate) fn add_game(&self, game: &str, files: &[(&str, &[u8])]) -> Content {
        let root = self.games_dir.path().join(game);
        for (path, bytes) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let manifest = manifest(files);
        self.store.save(&manifest).unwrap();
        let local = LocalGame {
            game: GameId::parse(game).unwrap(),
            title: game.to_owned(),
            root,
            version: Some(manifest.version()),
            installed: false,
            availability: Some(Availability::Ready),
            manifest: Some(manifest.id()),
            bytes_total: manifest.bytes_total(),
            hashing: None,
            problem: None,
            gate: ServeGate::default(),
        };
        let gate = local.gate.clone();
        self.change_game(local);
        Content { game: GameId::parse(game).unwrap(), manifest, gate }
    }

    /// Replaces one game of the library.
    pub(crate) fn change_game(&self, game: LocalGame) {
        let mut library = LocalLibrary::clone(&self.local.borrow());
        library.games_dir = Some(self.games_dir.path().to_owned());
        library.games.insert(game.game.clone(), game);
        self.local.send_replace(Arc::new(library));
    }
}

/// A game that a node serves.
pub(crate) struct Content {
    pub(crate) game: GameId,
    pub(crate) manifest: Manifest,
    pub(crate) gate: ServeGate,
}

pub(crate) async fn start_peers(args: &PeersArgs) -> ActorRef<PeersMsg> {
    Peers::spawn(None, Peers, args.clone()).await.unwrap().0
}

/// A manifest with chunks of one mebibyte; where they are cut does not matter here.
pub(crate) fn manifest(files: &[(&str, &[u8])]) -> Manifest {
    let chunk = |bytes: &[u8]| ChunkEntry {
        hash: ChunkHash::of(bytes),
        len: u32::try_from(bytes.len()).unwrap(),
    };
    let files = files
        .iter()
        .map(|(path, bytes)| {
            (RelPath::parse(path).unwrap(), bytes.chunks(1 << 20).map(chunk).collect())
        })
        .collect();
    Manifest::build(ChunkerId::STANDARD, b"20240101".to_vec(), files, Vec::new()).unwrap()
}

/// Games whose every field follows from id and version.
pub(crate) fn summaries(games: &[(&str, u32)]) -> BTreeMap<GameId, GameSummary> {
    let summary = |(id, version): &(&str, u32)| {
        let game = GameId::parse(id).unwrap();
        let version = format!("{}", 20_240_000 + version);
        let summary = GameSummary {
            title: Title::from(&game),
            game: game.clone(),
            version: VersionStamp::parse(version.as_bytes()).unwrap(),
            manifest: None,
            bytes_total: 1,
        };
        (game, summary)
    };
    games.iter().map(summary).collect()
}

async fn accept(endpoint: Endpoint, peers: ActorRef<PeersMsg>) {
    while let Some(incoming) = endpoint.accept().await {
        if let Ok(connection) = incoming.await {
            let peer = tls::proved(&connection).unwrap();
            let admission = Admission::uncounted();
            peers.cast(PeersMsg::Incoming { peer, connection, admission }).ok();
        }
    }
}

/// An actor that keeps what it is told.
struct Collector<M>(std::marker::PhantomData<fn(M)>);

impl<M: ractor::Message> Actor for Collector<M> {
    type Msg = M;
    type State = mpsc::Sender<M>;
    type Arguments = mpsc::Sender<M>;

    async fn pre_start(
        &self,
        _: ActorRef<M>,
        kept: mpsc::Sender<M>,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(kept)
    }

    async fn handle(
        &self,
        _: ActorRef<M>,
        message: M,
        kept: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // The test may have dropped its end already.
        kept.try_send(message).ok();
        Ok(())
    }
}

async fn collector<M: ractor::Message>() -> (Slot<M>, Addr<M>, mpsc::Receiver<M>) {
    let (kept, received) = mpsc::channel(100_000);
    let (actor, _) =
        Collector::spawn(None, Collector(std::marker::PhantomData), kept).await.unwrap();
    let (slot, addr) = Slot::new();
    slot.publish(Some(actor));
    (slot, addr, received)
}
