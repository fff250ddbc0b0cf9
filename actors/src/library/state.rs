//! What the `Library` actor holds and how it carries out what the index decides. Decides nothing
//! itself; every method is a step of the index or one of its effects.

use std::{path::PathBuf, sync::Arc};

use lanspread_wire::{Catalog, GameId, ManifestId};
use ractor::{ActorRef, RpcReplyPort};

use super::{
    LibraryMsg,
    index::{Effect, Index, Input},
    persist::{IndexFile, Saved},
    publish::Publisher,
    scan::Places,
    tasks::{Done, Tasks, on_thread},
    watch::{WatchBackend, keeper::WatchKeeper},
};
use crate::{
    addr::Addr,
    api::{ErrorCode, Refused},
    limits::library::LIBRARY_STOP_DEADLINE,
    operations::OperationsMsg,
};

pub(super) type Reply = RpcReplyPort<Result<(), Refused>>;

/// What the actor holds.
pub struct State {
    pub(super) me: ActorRef<LibraryMsg>,
    pub(super) index: Index,
    pub(super) places: Places,
    /// `None` until a folder was chosen; then `places` names the same.
    pub(super) games_dir: Option<PathBuf>,
    pub(super) catalog: Arc<Option<Catalog>>,
    pub(super) publisher: Publisher,
    pub(super) operations: Addr<OperationsMsg>,
    pub(super) tasks: Tasks,
    pub(super) watch_backend: Arc<dyn WatchBackend>,
    pub(super) watches: Option<WatchKeeper>,
    pub(super) watch_problem: Option<String>,
    /// Counts the folders: reports of the watcher of a former one are dropped.
    pub(super) folder_number: u64,
    pub(super) folder_problem: Option<String>,
    pub(super) probes: u64,
    pub(super) progress_timer: bool,
    pub(super) file: IndexFile,
    pub(super) saving: Saving,
    pub(super) switch: Option<Switch>,
    /// Who asked for a look at the folder that is shared already.
    pub(super) refreshes: Vec<Reply>,
}

/// How far the index file is behind.
#[derive(Default)]
pub(super) struct Saving {
    pub(super) dirty: bool,
    pub(super) running: bool,
    /// What the running write writes.
    pub(super) written: Option<Saved>,
    /// What is known to stand in the file.
    pub(super) last: Option<Saved>,
    pub(super) problem: Option<String>,
}

/// A change of the folder under way.
pub(super) enum Switch {
    /// The new folder is looked at.
    Validating(Reply),
    /// It is taken; its games are scanned.
    Scanning(Reply),
}

impl State {
    pub(super) fn on_operation_began(&mut self, game: GameId) {
        self.step(Input::OperationBegan { game });
    }

    pub(super) fn on_operation_ended(&mut self, game: GameId, operation: String) {
        self.step(Input::OperationEnded { game, operation });
    }

    pub(super) fn on_committed(&mut self, game: GameId, manifest: ManifestId) {
        self.step(Input::Committed { game, manifest });
    }

    pub(super) fn on_damaged(&mut self, game: GameId, files: Vec<String>) {
        self.step(Input::Damaged { game, files });
    }

    pub(super) fn on_rescan(&mut self, game: Option<GameId>) {
        match game {
            Some(game) => self.step(Input::Touched { game }),
            None => self.sweep(),
        }
    }

    pub(super) fn on_publish(&mut self) {
        self.publisher.repeat();
        self.publisher.problem(FOLDER_PART, self.folder_problem.clone());
        self.publisher.problem(WATCH_PART, self.watch_problem.clone());
        self.publisher.problem(FILE_PART, self.saving.problem.clone());
    }

    /// The same path is a plain refresh; another one is looked at before anything changes (L8).
    pub(super) fn on_set_games_dir(&mut self, path: PathBuf, reply: Reply) {
        if self.switch.is_some() {
            answer(reply, Err(busy("another change of the games folder is under way")));
        } else if self.games_dir.as_ref() == Some(&path) {
            self.refreshes.push(reply);
            self.sweep();
        } else if self.index.is_anything_frozen() {
            answer(reply, Err(busy("an operation is running")));
        } else {
            self.switch = Some(Switch::Validating(reply));
            self.validate(path);
        }
    }

    pub(super) fn on_done(&mut self, done: Done) {
        match done {
            Done::Listed { epoch, result } => self.step(Input::Listed { epoch, result }),
            Done::Scanned { epoch, lane, results } => {
                self.step(Input::Scanned { epoch, lane, results });
            }
            Done::Hashed { game, outcome } => self.on_hashed(game, outcome),
            Done::Saved(result) => self.on_saved(result.err()),
            Done::Armed { folder_number, armed } => self.on_armed(folder_number, armed),
            Done::Validated(result) => self.on_validated(result),
            Done::Timer(timer) => self.on_timer(timer),
            Done::Woken { folder_number } => self.on_woken(folder_number),
            Done::Catalog(catalogs) => self.on_catalog(catalogs),
            Done::Operations(tables) => self.on_operations(tables),
            Done::Nothing => {}
        }
    }

    /// Called once after every message: what is due is started.
    pub(super) fn settle(&mut self) {
        self.arm();
        self.save();
    }

    /// Stops what runs and writes the index a last time.
    pub(super) async fn shut_down(&mut self) {
        self.tasks.shut_down(LIBRARY_STOP_DEADLINE).await;
        let saved = self.saved();
        if self.saving.last.as_ref() == Some(&saved) {
            return;
        }
        let file = self.file.clone();
        let save = on_thread(move || file.save(&saved));
        match tokio::time::timeout(LIBRARY_STOP_DEADLINE, save).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "last state not saved"),
            Ok(Err(error)) => tracing::error!(%error, "saving the last state panicked"),
            Err(_) => tracing::warn!("last state not saved in time"),
        }
    }

    pub(super) fn step(&mut self, input: Input) {
        for effect in self.index.step(input) {
            self.perform(effect);
        }
    }

    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::List { epoch } => self.list(epoch),
            Effect::Scan { epoch, lane, orders } => self.scan(epoch, lane, orders),
            Effect::Hash { game, order } => self.hash(game, order),
            Effect::CancelHash { game } => self.cancel_hash(&game),
            Effect::Publish => self.publish(),
            Effect::OpenGate { game } => self.publisher.open_gate(&game),
            Effect::Answer { game, operation } => {
                self.operations.tell(OperationsMsg::Rescanned { game, operation });
            }
            Effect::Folder { problem } => self.set_folder_problem(problem),
            Effect::Notice { game, message } => self.publisher.notice(game, message),
            Effect::SweepEnded => self.on_sweep_ended(),
        }
    }
}

/// Answers a command; whoever asked may have gone.
pub(super) fn answer(reply: Reply, answer: Result<(), Refused>) {
    if reply.send(answer).is_err() {
        tracing::debug!("nobody waits for the answer any more");
    }
}

pub(super) fn busy(why: &str) -> Refused {
    let message = format!("the games folder cannot be changed now: {why}");
    Refused::new(ErrorCode::OperationInProgress, message)
}

/// How the parts are called whose problems are told.
pub(super) const FOLDER_PART: &str = "games folder";
pub(super) const WATCH_PART: &str = "library watch";
pub(super) const FILE_PART: &str = "library index";
