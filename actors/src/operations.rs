//! The `Operations` actor: the operation table, and supervisor of the running operations (O1).
//!
//! * Owns: the table, one [`GameOp`] per running operation, the recoveries of roots whose
//!   operation died, the replies that wait for an end.
//! * Receives: commands from the handle; reports and deaths of its operations; `Rescanned` from
//!   `Library`.
//! * Sends: begins and ends to `Library`; the table, then the events that tell of it, to `View`.
//! * Dies: by a panic in its own code. Its operations die with it.
//! * Comes back from: the ledger that is published with the table. What ran is recovered and goes
//!   on; what was settling is told when the library answers (A3).
//!
//! Every decision is that of [`table`], which is pure. A handler never waits for a disk or for
//! another actor: what takes time is a task of its `JoinSet` that reports back.
//!
//! [`GameOp`]: crate::game_op::GameOp

pub mod table;

mod commands;
mod state;
mod tasks;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use lanspread_wire::GameId;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::watch;

pub use self::state::State;
use self::table::{Report, Ticket};
use crate::{
    api::{Command, Refused},
    facts::OperationTable,
    game_op::operation::OpPorts,
    ports::Ports,
    supervise::Death,
};

/// Messages of the `Operations` actor.
pub enum OperationsMsg {
    /// From the handle: one of download, install, update, uninstall, remove, verify, cancel.
    /// Answered at once: accepted with the operation's id, or refused (O2). The end comes as
    /// an event.
    Start { command: Command, reply: RpcReplyPort<Result<String, Refused>> },
    /// From the handle: `add`. Answered when it is done.
    Add { command: Command, reply: RpcReplyPort<Result<(), Refused>> },
    /// From the handle: refused while anything runs (L8), else forwarded to `Library`.
    SetGamesDir { path: PathBuf, reply: RpcReplyPort<Result<(), Refused>> },
    /// From `Library`: the rescan after an operation is published; its entry may go and its
    /// terminal event may be told (O4).
    Rescanned { game: GameId, operation: String },
    /// From `View` after its restart.
    Publish,
    /// From `Node` at shutdown: stop every operation at a chunk boundary and answer when all
    /// have stopped.
    Park { reply: RpcReplyPort<()> },
    /// From the actor's own operations and tasks.
    Internal(Internal),
}

/// What the operations and tasks of the actor tell it.
pub enum Internal {
    /// From a [`GameOp`](crate::game_op::GameOp). Those of former incarnations are ignored.
    Report { ticket: Ticket, report: Report },
    /// The root of a dead operation was recovered, or the reason why not.
    Recovered { ticket: Ticket, result: Result<(), String> },
    /// The delay before a restart is over.
    RestartDue { ticket: Ticket },
    /// The library answered the change of the games folder; the command is answered.
    FolderChanged,
    /// It is time to ask for rescans again.
    Tick,
}

/// How the actor is started.
pub struct OperationsArgs {
    /// The wiring of the node.
    pub ports: Ports,
    /// Where the table is published; it survives restarts, and the ledger with it.
    pub table: Arc<watch::Sender<Arc<OperationTable>>>,
}

/// The actor.
pub struct Operations;

impl Actor for Operations {
    type Msg = OperationsMsg;
    type State = State;
    type Arguments = OperationsArgs;

    async fn pre_start(
        &self,
        me: ActorRef<OperationsMsg>,
        args: OperationsArgs,
    ) -> Result<State, ActorProcessingErr> {
        let op_ports = OpPorts::of(&args.ports);
        Ok(State::start(me, args, op_ports).await)
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

impl State {
    async fn on_message(&mut self, message: OperationsMsg) {
        match message {
            OperationsMsg::Start { command, reply } => self.on_start(command, reply).await,
            OperationsMsg::Add { command, reply } => self.on_add(command, reply).await,
            OperationsMsg::SetGamesDir { path, reply } => self.on_set_games_dir(path, reply),
            OperationsMsg::Rescanned { game, operation } => {
                self.on_rescanned(&game, &operation).await;
            }
            OperationsMsg::Publish => self.on_publish(),
            OperationsMsg::Park { reply } => self.on_park(reply).await,
            OperationsMsg::Internal(internal) => self.on_internal(internal).await,
        }
        self.settle();
    }

    async fn on_supervision(&mut self, event: SupervisionEvent) {
        if let Some(death) = Death::from_event(event) {
            self.on_death(death).await;
        }
        self.settle();
    }
}
