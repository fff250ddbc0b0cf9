//! The `Operations` actor: the operation table, and supervisor of the running operations.

pub mod table;

use std::path::PathBuf;

use lanspread_wire::GameId;
use ractor::RpcReplyPort;

use crate::api::{Command, Refused};

/// Messages of the `Operations` actor.
pub enum OperationsMsg {
    /// From the handle: one of download, install, update, uninstall, remove, verify, cancel.
    /// Answered at once: accepted with the operation's id, or refused (O2). The end comes as an
    /// event.
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
}
