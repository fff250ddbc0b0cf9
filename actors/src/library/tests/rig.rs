//! A library with stand-ins around it: a view and an operations actor that write down what they
//! are told, and a watcher whose events the test makes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use lanspread_wire::{Catalog, GameId};
use ractor::{Actor, ActorProcessingErr, ActorRef, Message, concurrency::JoinHandle};
use tokio::sync::{mpsc, watch as channel};

use super::super::{
    Library, LibraryArgs, LibraryMsg,
    watch::{WatchBackend, WatchError, WatchSink, Watcher},
};
use crate::{
    addr::{Addr, Slot},
    api::Refused,
    config::NodeConfig,
    disk::DiskHandle,
    facts::{Announced, LocalGame, LocalLibrary, OperationTable},
    manifests::ManifestStore,
    net::{
        backend::{
            Advert, DiscoveryBackend, DiscoveryError, DiscoveryGuard, DiscoveryNews, Transport,
        },
        identity::Identity,
    },
    operations::OperationsMsg,
    ports::Ports,
    view::ViewMsg,
};

/// Longer than anything here takes on a busy machine.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// Writes down what it is told.
struct Recorder<M>(mpsc::Sender<M>);

impl<M: Message> Actor for Recorder<M> {
    type Msg = M;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<M>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<M>,
        message: M,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        self.0.try_send(message).map_err(|_| "the test does not listen".into())
    }
}

async fn recorder<M: Message>() -> (Addr<M>, Slot<M>, mpsc::Receiver<M>) {
    let (heard, hears) = mpsc::channel(100_000);
    let (actor, _) = Actor::spawn(None, Recorder(heard), ()).await.unwrap();
    let (slot, addr) = Slot::new();
    slot.publish(Some(actor));
    (addr, slot, hears)
}

/// A watcher whose events the test makes.
#[derive(Clone, Default)]
pub(super) struct FakeWatch(Arc<Mutex<Fake>>);

#[derive(Default)]
struct Fake {
    sink: Option<WatchSink>,
    pub(super) watched: Vec<PathBuf>,
    at_limit: bool,
}

impl FakeWatch {
    pub(super) fn at_limit() -> Self {
        let fake = Self::default();
        fake.0.lock().unwrap().at_limit = true;
        fake
    }

    pub(super) fn grant(&self) {
        self.0.lock().unwrap().at_limit = false;
    }

    pub(super) fn sink(&self) -> WatchSink {
        self.0.lock().unwrap().sink.clone().expect("watching")
    }

    pub(super) fn watches(&self, folder: &Path) -> bool {
        self.0.lock().unwrap().watched.iter().any(|watched| watched == folder)
    }
}

impl WatchBackend for FakeWatch {
    fn start(&self, sink: WatchSink) -> Result<Box<dyn Watcher>, WatchError> {
        let mut fake = self.0.lock().unwrap();
        if fake.at_limit {
            return Err(WatchError::Limit);
        }
        fake.sink = Some(sink);
        Ok(Box::new(self.clone()))
    }
}

impl Watcher for FakeWatch {
    fn watch(&mut self, folder: &Path) -> Result<(), WatchError> {
        self.0.lock().unwrap().watched.push(folder.to_path_buf());
        Ok(())
    }
    fn unwatch(&mut self, folder: &Path) {
        self.0.lock().unwrap().watched.retain(|watched| watched != folder);
    }
}

#[derive(Debug)]
struct Blind;

impl DiscoveryBackend for Blind {
    fn start(
        &self,
        _: Advert,
        _: mpsc::Sender<DiscoveryNews>,
    ) -> Result<Box<dyn DiscoveryGuard>, DiscoveryError> {
        Err(DiscoveryError("blind".to_owned()))
    }
}

/// A running library and everything around it.
pub(super) struct Rig {
    pub(super) dir: tempfile::TempDir,
    pub(super) watch: FakeWatch,
    pub(super) library: ActorRef<LibraryMsg>,
    pub(super) view: mpsc::Receiver<ViewMsg>,
    pub(super) operations: mpsc::Receiver<OperationsMsg>,
    pub(super) local: channel::Receiver<Arc<LocalLibrary>>,
    pub(super) announced: channel::Receiver<Announced>,
    pub(super) catalog: channel::Sender<Arc<Option<Catalog>>>,
    pub(super) table: channel::Sender<Arc<OperationTable>>,
    ended: JoinHandle<()>,
    ports: Ports,
    local_sender: Arc<channel::Sender<Arc<LocalLibrary>>>,
    announced_sender: Arc<channel::Sender<Announced>>,
    _slots: (Slot<ViewMsg>, Slot<OperationsMsg>),
}

pub(super) fn game(name: &str) -> GameId {
    GameId::parse(name).unwrap()
}

/// Two empty folders: `games` and `state`.
pub(super) fn folders() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("games")).unwrap();
    dir
}

pub(super) fn put(dir: &tempfile::TempDir, path: &str, bytes: impl AsRef<[u8]>) {
    let path = dir.path().join("games").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn config(dir: &Path) -> NodeConfig {
    NodeConfig {
        state_dir: dir.join("state"),
        games_dir: None,
        name: None,
        listen: None,
        interfaces: Vec::new(),
        catalog: None,
        transport: Transport::Udp,
        discovery: Arc::new(Blind),
        unpack_program: PathBuf::new(),
        control_socket: false,
    }
}

impl Rig {
    /// A library that shares `games`.
    pub(super) async fn start(dir: tempfile::TempDir) -> Self {
        Self::start_with(dir, FakeWatch::default(), true).await
    }

    pub(super) async fn start_with(
        dir: tempfile::TempDir,
        watch: FakeWatch,
        with_folder: bool,
    ) -> Self {
        let (view, view_slot, views) = recorder().await;
        let (operations, operations_slot, operation_messages) = recorder().await;
        let (local_sender, local) = channel::channel(Arc::default());
        let (announced_sender, announced) = channel::channel(Announced::default());
        let (table, operation_table) = channel::channel(Arc::default());
        let (catalog, catalogs) = channel::channel(Arc::new(None));
        let ports = Ports {
            config: Arc::new(config(dir.path())),
            identity: Arc::new(Identity::random().unwrap()),
            disk: DiskHandle::new(Addr::nobody()),
            library: Addr::nobody(),
            operations,
            peers: Addr::nobody(),
            discovery: Addr::nobody(),
            view,
            local: local.clone(),
            announced: announced.clone(),
            peer_table: channel::channel(Arc::default()).1,
            operation_table,
            catalog: catalogs,
            manifests: ManifestStore::new(&dir.path().join("state")),
        };
        let (local_sender, announced_sender) = (Arc::new(local_sender), Arc::new(announced_sender));
        let args = LibraryArgs {
            ports: ports.clone(),
            local: local_sender.clone(),
            announced: announced_sender.clone(),
            games_dir: with_folder.then(|| dir.path().join("games")),
        };
        let actor = Library::with_watch(Arc::new(watch.clone()));
        let (library, ended) = Actor::spawn(None, actor, args).await.unwrap();
        Self {
            dir,
            watch,
            library,
            view: views,
            operations: operation_messages,
            local,
            announced,
            catalog,
            table,
            ended,
            ports,
            local_sender,
            announced_sender,
            _slots: (view_slot, operations_slot),
        }
    }

    /// Kills the actor as a crash would and starts it again, as its supervisor would.
    pub(super) async fn crash_and_restart(&mut self) {
        self.library.kill();
        (&mut self.ended).await.ok();
        let args = LibraryArgs {
            ports: self.ports.clone(),
            local: self.local_sender.clone(),
            announced: self.announced_sender.clone(),
            games_dir: Some(self.games()),
        };
        let actor = Library::with_watch(Arc::new(self.watch.clone()));
        (self.library, self.ended) = Actor::spawn(None, actor, args).await.unwrap();
    }

    /// Stops the library in order and gives the folders back.
    pub(super) async fn stop(self) -> tempfile::TempDir {
        self.library.stop_and_wait(None, Some(LONG)).await.unwrap();
        self.ended.await.unwrap();
        self.dir
    }

    pub(super) fn games(&self) -> PathBuf {
        self.dir.path().join("games")
    }

    pub(super) fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
        put(&self.dir, path, bytes);
    }

    /// The watcher reports a change at this path.
    pub(super) fn report(&self, path: &str) {
        self.watch.sink().changed(&self.games().join(path));
    }

    pub(super) fn cast(&self, message: LibraryMsg) {
        self.library.cast(message).unwrap();
    }

    pub(super) async fn set_games_dir(&self, path: PathBuf) -> Result<(), Refused> {
        let ask = |reply| LibraryMsg::SetGamesDir { path, reply };
        self.library.call(ask, Some(LONG)).await.unwrap().unwrap()
    }

    /// Waits until what is published is like this.
    pub(super) async fn until(
        &mut self,
        what: &str,
        is_so: impl FnMut(&Arc<LocalLibrary>) -> bool,
    ) -> Arc<LocalLibrary> {
        let found = tokio::time::timeout(LONG, self.local.wait_for(is_so)).await;
        match found.map(|found| found.unwrap().clone()) {
            Ok(found) => found,
            Err(_) => panic!("{what}: still {:#?}", self.local.borrow()),
        }
    }

    /// Waits until the content of a game is known and sound.
    pub(super) async fn until_ready(&mut self, name: &str) -> LocalGame {
        let id = game(name);
        let is_ready =
            |local: &Arc<LocalLibrary>| local.games.get(&id).is_some_and(LocalGame::is_ready);
        let local = self.until("ready", is_ready).await;
        local.games[&game(name)].clone()
    }

    /// What is published of a game now.
    pub(super) fn game(&self, name: &str) -> Option<LocalGame> {
        self.local.borrow().games.get(&game(name)).cloned()
    }

    /// The next message of the view that the test is interested in.
    pub(super) async fn told<T>(&mut self, mut wanted: impl FnMut(ViewMsg) -> Option<T>) -> T {
        let search = async {
            loop {
                let message = self.view.recv().await.expect("the view listens");
                if let Some(found) = wanted(message) {
                    return found;
                }
            }
        };
        tokio::time::timeout(LONG, search).await.expect("told in time")
    }

    /// Forgets what was told up to now.
    pub(super) fn clear(&mut self) {
        while self.view.try_recv().is_ok() {}
    }

    /// The rescan after an operation was published.
    pub(super) async fn rescanned(&mut self) -> (GameId, String) {
        let message = tokio::time::timeout(LONG, self.operations.recv()).await;
        match message.expect("answered in time").expect("answered") {
            OperationsMsg::Rescanned { game, operation } => (game, operation),
            _ => panic!("another message"),
        }
    }
}
