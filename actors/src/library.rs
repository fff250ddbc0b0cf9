//! The `Library` actor: the index of what is here and its sole writer.

use std::path::PathBuf;

use lanspread_wire::{GameId, ManifestId};
use ractor::RpcReplyPort;

use crate::api::Refused;

/// Messages of the `Library` actor.
pub enum LibraryMsg {
    /// From `Operations`: from now on keep what was last published of `game` and drop watch events for it (L2, L4).
    OperationBegan { game: GameId },
    /// From `GameOp`: a download has committed this content; the game need not be hashed.
    /// The manifest is already in the store. Comes before `OperationEnded`.
    Committed { game: GameId, manifest: ManifestId },
    /// From `Operations`: rescan `game`, open its gate, publish, then cast `OperationsMsg::Rescanned` with the same
    /// `operation`. Asked again until answered, so it must be idempotent.
    OperationEnded { game: GameId, operation: String },
    /// From anyone: look again at one game (`None`: at all of them).
    Rescan { game: Option<GameId> },
    /// From `GameOp` (verify): files of `game` differ from its manifest; it is not `Ready` until repaired.
    Damaged { game: GameId, files: Vec<String> },
    /// From `Operations` while no operation runs (L8): validate and switch to another folder.
    SetGamesDir { path: PathBuf, reply: RpcReplyPort<Result<(), Refused>> },
    /// From `View` after its restart: cast the present state to it again.
    Publish,
}
