//! What every flow is given: the parts of the node it may use, its order, its stop, and the lease
//! of its game root once it has taken it.
//!
//! Owns nothing of the game; the lease is given back when the last holder drops it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lanspread_fs_txn::{
    Dir, FsError, OpId, RealVfs, RootState, TxnContext, TxnError, Vfs, create_game_root, inspect,
    open_game_root,
};
use lanspread_wire::{Catalog, GameId, Manifest, ManifestId};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    engine::Outbox,
    failure::Failure,
    market::{Market, PeerMarket},
    stop::Stop,
    writer::{Pool, ShelfError},
};
use crate::{
    addr::Addr,
    api::{ErrorCode, Event, Phase},
    disk::{DiskHandle, Lease, LeaseGuard},
    facts::{LocalGame, LocalLibrary},
    library::LibraryMsg,
    limits::{operations::UPLOADS_DRAIN_DEADLINE, transfer::PROGRESS_INTERVAL},
    manifests::ManifestStore,
    operations::table::{Report, Ticket, order::Order},
    ports::Ports,
};

/// The parts of a node that operations use.
#[derive(Clone)]
pub struct OpPorts {
    pub disk: DiskHandle,
    pub library: Addr<LibraryMsg>,
    pub local: watch::Receiver<Arc<LocalLibrary>>,
    pub catalog: watch::Receiver<Arc<Option<Catalog>>>,
    pub manifests: ManifestStore,
    pub market: Arc<dyn Market>,
    /// The program that unpacks archives.
    pub unpack_program: PathBuf,
    pub vfs: Arc<dyn Vfs>,
}

impl OpPorts {
    /// The parts of a real node.
    pub fn of(ports: &Ports) -> Self {
        Self {
            disk: ports.disk.clone(),
            library: ports.library.clone(),
            local: ports.local.clone(),
            catalog: ports.catalog.clone(),
            manifests: ports.manifests.clone(),
            market: Arc::new(PeerMarket::new(ports.peer_table.clone())),
            unpack_program: ports.config.unpack_program.clone(),
            vfs: Arc::new(RealVfs),
        }
    }
}

/// One running operation.
pub struct Operation {
    pub ports: OpPorts,
    pub ticket: Ticket,
    pub order: Order,
    pub stop: Stop,
    pub outbox: Arc<dyn Outbox>,
}

/// The game root of an operation, with the right to change it.
#[derive(Clone)]
pub struct Held {
    pub lease: Arc<Lease>,
    /// The games folder.
    pub games: Arc<dyn Dir>,
    pub root: Arc<dyn Dir>,
    /// Absolute, for what must be named to another process.
    pub path: PathBuf,
    op_id: OpId,
}

/// Runs jobs under a lease.
#[derive(Clone)]
pub struct LeasedPool {
    disk: DiskHandle,
    lease: Arc<Lease>,
}

/// Whether the root of a game must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootWanted {
    Present,
    Created,
}

impl Operation {
    /// The game.
    pub fn game(&self) -> &GameId {
        &self.ticket.game
    }

    /// What the library last published of the game.
    pub fn local_game(&self) -> Option<LocalGame> {
        self.ports.local.borrow().games.get(self.game()).cloned()
    }

    /// The content that the catalog names.
    pub fn pin(&self) -> Option<ManifestId> {
        let catalog = self.ports.catalog.borrow();
        let catalog = catalog.as_ref().as_ref()?;
        catalog.games.get(self.game())?.manifest
    }

    /// Tells that another step begins.
    pub fn phase(&self, phase: Phase) {
        self.outbox.report(Report::Phase(phase));
    }

    /// Tells how far the step is.
    pub fn bytes(&self, done: u64, total: u64) {
        self.outbox.report(Report::Bytes { done, total });
    }

    /// Tells scripts something.
    pub fn event(&self, event: Event) {
        self.outbox.report(Report::Event(Box::new(event)));
    }

    /// Tells the user something that is no failure.
    pub fn notice(&self, message: String) {
        self.event(Event::Notice { game: Some(self.game().clone()), message });
    }

    /// Between two steps: whether to go on.
    pub fn check_stop(&self) -> Result<(), Failure> {
        self.stop.now().map_or(Ok(()), |reason| Err(Failure::Stopped(reason)))
    }

    /// Waits for something, or for the stop. What is waited for must not mind being dropped.
    pub async fn unless_stopped<T>(&self, wait: impl Future<Output = T>) -> Result<T, Failure> {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            reason = stop.requested() => Err(Failure::Stopped(reason)),
            done = wait => Ok(done),
        }
    }

    /// Takes the lease of the game root and opens it.
    pub async fn hold(&self, wanted: RootWanted) -> Result<Held, Failure> {
        let games_dir = self.ports.local.borrow().games_dir.clone();
        let Some(games_dir) = games_dir else {
            return Err(Failure::new(ErrorCode::NoGamesDir, "no games folder is set"));
        };
        let owner = format!("the {}", self.order.kind().verb());
        let lease = self.unless_stopped(self.ports.disk.acquire(self.game(), &owner)).await??;
        let lease = Arc::new(lease);
        let path = games_dir.join(self.game().as_str());
        let (vfs, name) = (self.ports.vfs.clone(), self.game().to_string());
        let open = move |_: &LeaseGuard| -> Result<_, FsError> {
            let games = vfs.open_root(&games_dir)?;
            let root = match wanted {
                RootWanted::Present => open_game_root(&*games, &name)?,
                RootWanted::Created => create_game_root(&*games, &name)?,
            };
            Ok((games, root))
        };
        let opened = self.ports.disk.run(&lease, "open the game folder", open).await?;
        let (games, root) = opened.map_err(|error| Failure::of_fs(self.game(), &error))?;
        // The id of the operation is one of ours, made for this very use.
        let op_id = OpId::parse(&self.ticket.operation).unwrap_or_else(|_| OpId::fresh());
        Ok(Held { lease, games, root, path, op_id })
    }

    /// Makes the context of a transaction on the root, inside a job.
    pub fn context(
        &self,
        held: &Held,
    ) -> impl FnOnce(&LeaseGuard) -> TxnContext + Send + 'static + use<> {
        let (root, op_id) = (held.root.clone(), held.op_id.clone());
        move |guard| TxnContext::new(root, op_id, guard.clone())
    }

    /// Runs a job on the root that may fail as a transaction does.
    pub async fn transact<T: Send + 'static>(
        &self,
        held: &Held,
        step: &'static str,
        job: impl FnOnce(TxnContext) -> Result<T, TxnError> + Send + 'static,
    ) -> Result<T, Failure> {
        let context = self.context(held);
        let run = move |guard: &LeaseGuard| job(context(guard));
        Ok(self.ports.disk.run(&held.lease, step, run).await??)
    }

    /// What stands in the root.
    pub async fn inspect(&self, held: &Held) -> Result<RootState, Failure> {
        let (root, name) = (held.root.clone(), self.game().to_string());
        let look = move |_: &LeaseGuard| inspect(&*root, &name);
        let state = self.ports.disk.run(&held.lease, "look at the game folder", look).await?;
        state.map_err(|error| Failure::of_fs(self.game(), &error))
    }

    /// A manifest from the store.
    pub async fn load_manifest(&self, id: ManifestId) -> Result<Option<Manifest>, Failure> {
        let store = self.ports.manifests.clone();
        Ok(self.ports.disk.run_unleased("load a manifest", move || store.load(id)).await??)
    }

    /// Lets no upload of the game begin any more and waits for those that run (O8). They stop at
    /// their next chunk; one that does not is left behind: it reads the file it has opened, which
    /// no commit writes to.
    pub async fn close_gate(&self) {
        let Some(local) = self.local_game() else { return };
        local.gate.close();
        if timeout(UPLOADS_DRAIN_DEADLINE, local.gate.drained()).await.is_err() {
            let uploads = local.gate.inside();
            tracing::warn!(game = %self.game(), uploads, "uploads do not end");
        }
    }

    /// The lease's workers, for work in many pieces.
    pub fn pool(&self, held: &Held) -> LeasedPool {
        LeasedPool { disk: self.ports.disk.clone(), lease: held.lease.clone() }
    }

    /// A teller of bytes that does not tell too often; for blocking work.
    pub fn meter(&self) -> Meter {
        Meter { outbox: self.outbox.clone(), told_at: Mutex::new(None) }
    }
}

impl Pool for LeasedPool {
    async fn run<T: Send + 'static>(
        &self,
        step: &'static str,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ShelfError> {
        Ok(self.disk.run(&self.lease, step, move |_: &LeaseGuard| job()).await?)
    }
}

/// Tells bytes at most a few times a second.
pub struct Meter {
    outbox: Arc<dyn Outbox>,
    told_at: Mutex<Option<Instant>>,
}

impl Meter {
    /// Tells, if it is time.
    pub fn tell(&self, done: u64, total: u64) {
        let now = Instant::now();
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        let since = told_at.map_or(Duration::MAX, |told_at| now.duration_since(told_at));
        if since >= PROGRESS_INTERVAL || done == total {
            *told_at = Some(now);
            self.outbox.report(Report::Bytes { done, total });
        }
    }
}
