//! What the index is told and what it wants done. Plain data.

use std::{collections::BTreeMap, sync::Arc};

use lanspread_wire::{Catalog, GameId, ManifestId};

use super::{
    facts::{HashOrder, HashOutcome, Listing, ScanOrder, ScanOutcome},
    lanes::Lane,
};

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// An operation took a game (L2, L4).
    OperationBegan { game: GameId },
    /// An operation has ended and waits for the rescan.
    OperationEnded { game: GameId, operation: String },
    /// The rows of the operation table: makes good for messages that got lost.
    OperationTable { rows: BTreeMap<GameId, String> },
    /// A download committed this content.
    Committed { game: GameId, manifest: ManifestId },
    /// A verification found these files damaged.
    Damaged { game: GameId, files: Vec<String> },
    /// Something happened in this game root, or somebody wants it looked at.
    Touched { game: GameId },
    /// All of it has to be looked at.
    SweepDue,
    /// The games folder was listed, or cannot be read.
    Listed { epoch: u64, result: Result<Listing, String> },
    /// A scan has ended.
    Scanned { epoch: u64, lane: Lane, results: Vec<(GameId, ScanOutcome)> },
    /// A hashing has ended.
    Hashed { game: GameId, outcome: HashOutcome },
    /// There is another catalog.
    CatalogChanged { catalog: Arc<Option<Catalog>> },
    /// Another games folder is shared from now on.
    FolderSwitched,
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// List the games folder.
    List { epoch: u64 },
    /// Scan these roots, one after the other.
    Scan { epoch: u64, lane: Lane, orders: Vec<ScanOrder> },
    /// Hash a game.
    Hash { game: GameId, order: HashOrder },
    /// Tell the hashing of a game to stop; its end is still awaited.
    CancelHash { game: GameId },
    /// Publish what is here and what peers are told, then emit `local-library-changed` (L5).
    Publish,
    /// No operation holds this game: its gate is open.
    OpenGate { game: GameId },
    /// Tell `Operations` that the rescan after this operation is published.
    Answer { game: GameId, operation: String },
    /// The games folder cannot be read (the sentence says why), or can again.
    Folder { problem: Option<String> },
    /// Say this to the user.
    Notice { game: Option<GameId>, message: String },
    /// Everything in the folder was looked at, and no further look is due.
    SweepEnded,
}
