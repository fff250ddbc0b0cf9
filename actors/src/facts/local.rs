//! What is here: the published form of the library index. Written by [`crate::library`] only.

use std::{collections::BTreeMap, path::PathBuf};

use lanspread_wire::{GameId, ManifestId, VersionStamp};

use super::ServeGate;
use crate::api::Availability;

/// The games of this node. A snapshot: replaced whole.
#[derive(Clone, Debug, Default)]
pub struct LocalLibrary {
    /// The folder that is shared; `None` until one was chosen.
    pub games_dir: Option<PathBuf>,
    /// Why the folder cannot be read at the moment; the games are then those last seen there.
    pub offline: Option<String>,
    /// Every game root that was found, whether it may be shared or not.
    pub games: BTreeMap<GameId, LocalGame>,
}

/// One game root.
#[derive(Clone, Debug)]
pub struct LocalGame {
    pub game: GameId,
    /// From the catalog, else the id.
    pub title: String,
    /// Absolute path of the game root.
    pub root: PathBuf,
    /// The sentinel's version; `None` means not downloaded (D1).
    pub version: Option<VersionStamp>,
    /// Whether `local/` is a directory (D2).
    pub installed: bool,
    pub availability: Option<Availability>,
    /// The content, once hashed; also of a damaged game, which is not ready: what it should be.
    pub manifest: Option<ManifestId>,
    /// Bytes of the payload (and of `local/` where there is no payload).
    pub bytes_total: u64,
    /// Present while it is hashed.
    pub hashing: Option<HashProgress>,
    /// What is wrong with it.
    pub problem: Option<String>,
    /// Uploads of it pass this gate; the operation that changes files closes it (O8).
    pub gate: ServeGate,
}

/// How far the hashing of a game is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashProgress {
    pub bytes_done: u64,
    pub bytes_total: u64,
}

impl LocalGame {
    /// Whether peers may fetch it: downloaded, hashed, sound.
    pub fn is_ready(&self) -> bool {
        self.availability == Some(Availability::Ready) && self.manifest.is_some()
    }
}
