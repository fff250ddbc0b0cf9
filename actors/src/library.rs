//! The `Library` actor: the index of what is here and its sole writer (L1).
//!
//! * Owns: the index, its file, the watches, the serve gates, the hash jobs. Publishes
//!   [`LocalLibrary`] and [`Announced`].
//! * Receives: begins and ends of operations, wishes for a look, another folder; from its tasks
//!   what they found.
//! * Sends: state and `local-library-changed` to `View`, `Rescanned` to `Operations`.
//! * Dies: never of what stands on a disk; by a panic in its own code.
//! * Comes back from: the index file and a scan; what was published stays published meanwhile (A3).
//!
//! The decisions are those of [`index`], which is pure; `scan`, `hash`, `persist` and
//! [`watch`] are its hands, on threads of their own. Nothing here writes into a game root.

use std::{path::PathBuf, sync::Arc};

use lanspread_fs_txn::vfs::{RealVfs, Vfs};
use lanspread_wire::{GameId, ManifestId};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::watch as channel;

use crate::{
    api::Refused,
    facts::{Announced, LocalLibrary},
    ports::Ports,
};

pub mod catalog;
pub mod folder;
mod hash;
pub mod index;
mod ledger;
mod persist;
mod publish;
mod scan;
mod sealed;
mod start;
mod state;
pub(crate) mod state_files;
mod tasks;
#[cfg(test)]
mod testbed;
#[cfg(test)]
mod tests;
mod view;
pub mod watch;
mod work;

pub use self::{state::State, view::local_game_view};
use self::{
    tasks::Done,
    watch::{SystemWatch, WatchBackend},
};

/// Messages of the `Library` actor.
pub enum LibraryMsg {
    /// From `Operations`: from now on keep what was last published of `game` and drop watch events
    /// for it (L2, L4).
    OperationBegan { game: GameId },
    /// From `GameOp`: a download has committed this content, or a verification has found every
    /// file to be what the manifest says; the game need not be hashed. The manifest is already in
    /// the store. Comes before `OperationEnded`.
    Committed { game: GameId, manifest: ManifestId },
    /// From `Operations`: rescan `game`, open its gate, publish, then cast
    /// `OperationsMsg::Rescanned` with the same `operation`. Asked again until answered, so it
    /// must be idempotent.
    OperationEnded { game: GameId, operation: String },
    /// From anyone: look again at one game (`None`: at all of them).
    Rescan { game: Option<GameId> },
    /// From `GameOp` (verify): files of `game` differ from its manifest; it is not `Ready` until
    /// repaired.
    Damaged { game: GameId, files: Vec<String> },
    /// From `Operations` while no operation runs (L8): validate and switch to another folder.
    /// Answered when the new folder was seen as a whole.
    SetGamesDir { path: PathBuf, reply: RpcReplyPort<Result<(), Refused>> },
    /// From `View` after its restart: cast the present state to it again.
    Publish,
    /// From the actor's own tasks.
    Internal(Internal),
}

/// What a task of the library reports.
pub struct Internal(pub(crate) Done);

/// How the library is started.
pub struct LibraryArgs {
    /// The wiring of the node.
    pub ports: Ports,
    /// Where what is here is published; survives restarts.
    pub local: Arc<channel::Sender<Arc<LocalLibrary>>>,
    /// Where what peers are told is published; survives restarts.
    pub announced: Arc<channel::Sender<Announced>>,
    /// The folder to share, if one was chosen. After a switch by `SetGamesDir` a restart takes
    /// the folder that was published last.
    pub games_dir: Option<PathBuf>,
}

/// The actor: what it works with. What it knows is in its [`State`].
pub struct Library {
    watch: Arc<dyn WatchBackend>,
    vfs: Arc<dyn Vfs>,
}

impl Default for Library {
    fn default() -> Self {
        Self { watch: Arc::new(SystemWatch), vfs: Arc::new(RealVfs) }
    }
}

impl Library {
    /// With another watcher than that of the system.
    pub fn with_watch(watch: Arc<dyn WatchBackend>) -> Self {
        Self { watch, ..Self::default() }
    }
}

impl Actor for Library {
    type Msg = LibraryMsg;
    type State = State;
    type Arguments = LibraryArgs;

    async fn pre_start(
        &self,
        me: ActorRef<LibraryMsg>,
        args: LibraryArgs,
    ) -> Result<State, ActorProcessingErr> {
        Ok(start::start(me, args, self.watch.clone(), self.vfs.clone()).await)
    }

    async fn handle(
        &self,
        _me: ActorRef<LibraryMsg>,
        message: LibraryMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            LibraryMsg::OperationBegan { game } => state.on_operation_began(game),
            LibraryMsg::Committed { game, manifest } => state.on_committed(game, manifest),
            LibraryMsg::OperationEnded { game, operation } => {
                state.on_operation_ended(game, operation);
            }
            LibraryMsg::Rescan { game } => state.on_rescan(game),
            LibraryMsg::Damaged { game, files } => state.on_damaged(game, files),
            LibraryMsg::SetGamesDir { path, reply } => state.on_set_games_dir(path, reply),
            LibraryMsg::Publish => state.on_publish(),
            LibraryMsg::Internal(Internal(done)) => state.on_done(done),
        }
        state.settle();
        Ok(())
    }

    async fn post_stop(
        &self,
        _me: ActorRef<LibraryMsg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.shut_down().await;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<LibraryMsg>,
        _event: SupervisionEvent,
        _state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // It has no children; the default would end it when one dies.
        Ok(())
    }
}
