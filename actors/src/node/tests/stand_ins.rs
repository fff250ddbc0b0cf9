//! Parts with the message types of the real ones, that do what a test tells them.

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, Message, SupervisionEvent};
use tokio::sync::watch;

use super::super::{Parts, Spawning, children::Part, spawn};
use crate::{
    api::Refused,
    control::{Control, ControlArgs, ControlMsg},
    disk::{Disk, DiskArgs, DiskMsg},
    facts::LocalLibrary,
    library::{LibraryArgs, LibraryMsg},
    network::{NetworkArgs, NetworkMsg},
    operations::{OperationsArgs, OperationsMsg},
    view::{View, ViewArgs, ViewMsg},
};

/// What the stand-ins did and what they shall do.
#[derive(Clone, Default)]
pub(crate) struct StandIns(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    /// Every start that was tried, in order.
    starts: Vec<Part>,
    /// What the parts were told, in order.
    told: Vec<&'static str>,
    alive: BTreeMap<Part, ActorCell>,
    /// Starts of a part that shall fail.
    failing: BTreeMap<Part, usize>,
    refusing: BTreeMap<Part, Refused>,
    /// Parts that never answer.
    silent: Vec<Part>,
    /// Parts whose start never ends.
    hanging: Vec<Part>,
    /// The write end of the fact `Library` owns, for tests that change it.
    local: Option<Arc<watch::Sender<Arc<LocalLibrary>>>>,
    table: Option<OperationsArgsKept>,
    games_dirs: Vec<std::path::PathBuf>,
}

type OperationsArgsKept = Arc<watch::Sender<Arc<crate::facts::OperationTable>>>;

impl StandIns {
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn failing(self, part: Part, times: usize) -> Self {
        self.book().failing.insert(part, times);
        self
    }

    pub(crate) fn refusing(self, part: Part, refused: Refused) -> Self {
        self.book().refusing.insert(part, refused);
        self
    }

    pub(crate) fn silent(self, parts: &[Part]) -> Self {
        self.book().silent.extend_from_slice(parts);
        self
    }

    pub(crate) fn hanging(self, part: Part) -> Self {
        self.book().hanging.push(part);
        self
    }

    pub(crate) fn starts(&self) -> Vec<Part> {
        self.book().starts.clone()
    }

    pub(crate) fn starts_of(&self, part: Part) -> usize {
        self.book().starts.iter().filter(|started| **started == part).count()
    }

    pub(crate) fn told(&self) -> Vec<&'static str> {
        self.book().told.clone()
    }

    pub(crate) fn games_dirs(&self) -> Vec<std::path::PathBuf> {
        self.book().games_dirs.clone()
    }

    /// Kills the present incarnation.
    pub(crate) fn kill(&self, part: Part) {
        let alive = self.book().alive.get(&part).cloned();
        alive.expect("a living part").kill();
    }

    pub(crate) fn operation_table(&self) -> OperationsArgsKept {
        self.book().table.clone().expect("operations have started")
    }

    /// Notes a start, and says how it shall go.
    fn begin(&self, part: Part) -> Start {
        let mut book = self.book();
        book.starts.push(part);
        if book.hanging.contains(&part) {
            return Start::Hang;
        }
        if let Some(refused) = book.refusing.get(&part) {
            return Start::Refuse(refused.clone());
        }
        match book.failing.get_mut(&part) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Start::Fail
            }
            _ => Start::Go,
        }
    }

    fn started<M: Message>(&self, part: Part, spawning: Spawning<M>) -> Spawning<M> {
        let book = self.clone();
        let start = self.begin(part);
        Box::pin(async move {
            match start {
                Start::Hang => std::future::pending().await,
                Start::Fail => Err(ractor::SpawnErr::StartupFailed("told to fail".into())),
                Start::Refuse(refused) => Err(ractor::SpawnErr::StartupFailed(refused.into())),
                Start::Go => {
                    let spawned = spawning.await?;
                    book.book().alive.insert(part, spawned.0.get_cell());
                    Ok(spawned)
                }
            }
        })
    }

    fn stand_in<M: Message>(
        &self,
        part: Part,
        parent: ActorCell,
        react: fn(&StandIns, M),
    ) -> Spawning<M> {
        self.started(
            part,
            spawn(StandIn { book: self.clone(), part, react, of: PhantomData }, (), parent),
        )
    }

    fn note(&self, part: Part, told: &'static str) -> bool {
        let mut book = self.book();
        book.told.push(told);
        !book.silent.contains(&part)
    }
}

enum Start {
    Go,
    Fail,
    Refuse(Refused),
    Hang,
}

struct StandIn<M> {
    book: StandIns,
    part: Part,
    react: fn(&StandIns, M),
    of: PhantomData<fn() -> M>,
}

impl<M: Message> Actor for StandIn<M> {
    type Msg = M;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _me: ActorRef<M>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _me: ActorRef<M>,
        message: M,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        (self.react)(&self.book, message);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<M>,
        _event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    /// An ordered end: for the network this is the goodbye to its peers.
    async fn post_stop(&self, _me: ActorRef<M>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        if !self.book.note(self.part, self.part.name()) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

impl Parts for StandIns {
    fn view(&self, args: ViewArgs, parent: ActorCell) -> Spawning<ViewMsg> {
        self.started(Part::View, spawn(View, args, parent))
    }

    fn disk(&self, args: DiskArgs, parent: ActorCell) -> Spawning<DiskMsg> {
        self.started(Part::Disk, spawn(Disk, args, parent))
    }

    fn library(&self, args: LibraryArgs, parent: ActorCell) -> Spawning<LibraryMsg> {
        let games_dir = args.games_dir.clone();
        if let Some(path) = games_dir.clone() {
            self.book().games_dirs.push(path);
        }
        args.local.send_replace(Arc::new(LocalLibrary { games_dir, ..LocalLibrary::default() }));
        self.book().local = Some(args.local);
        self.stand_in(Part::Library, parent, |_, _| {})
    }

    fn operations(&self, args: OperationsArgs, parent: ActorCell) -> Spawning<OperationsMsg> {
        self.book().table = Some(args.table);
        self.stand_in(Part::Operations, parent, |book, message| match message {
            OperationsMsg::Park { reply } => {
                if book.note(Part::Operations, "park") {
                    reply.send(()).ok();
                } else {
                    std::mem::forget(reply); // held for ever, as by a hanging handler
                }
            }
            OperationsMsg::SetGamesDir { path, reply } => {
                let mut locked = book.book();
                locked.games_dirs.push(path.clone());
                if let Some(local) = &locked.local {
                    let games_dir = Some(path);
                    let library = LocalLibrary { games_dir, ..LocalLibrary::default() };
                    local.send_replace(Arc::new(library));
                }
                reply.send(Ok(())).ok();
            }
            _ => {}
        })
    }

    fn network(&self, args: NetworkArgs, parent: ActorCell) -> Spawning<NetworkMsg> {
        let port = args.port.borrow().unwrap_or(45_000);
        args.port.send_replace(Some(port));
        args.addresses.send_replace(vec![([127, 0, 0, 1], port).into()]);
        self.stand_in(Part::Network, parent, |book, message| {
            if let NetworkMsg::Withdraw { reply } = message {
                if book.note(Part::Network, "withdraw") {
                    reply.send(()).ok();
                } else {
                    std::mem::forget(reply);
                }
            }
        })
    }

    fn control(&self, args: ControlArgs, parent: ActorCell) -> Spawning<ControlMsg> {
        self.started(Part::Control, spawn(Control, args, parent))
    }
}
