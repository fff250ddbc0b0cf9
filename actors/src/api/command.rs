//! Commands a user gives to a node, and the two kinds of answer.

use std::{net::SocketAddr, path::PathBuf};

use lanspread_wire::GameId;
use serde::{Deserialize, Serialize};

use super::snapshot::{GameView, PeerView, Status};

/// One order to the node. The JSON form is `{"command":"download","game":"…"}`.
///
/// Game ids arrive as text and are parsed by the node, so that a bad one is refused with
/// `unknown-game` instead of failing the whole record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Answers with [`Reply::Status`].
    Status {},
    /// Answers with [`Reply::Peers`].
    ListPeers {},
    /// Answers with [`Reply::Games`].
    ListGames {},
    /// Answers with [`Reply::Game`].
    ShowGame { game: String },
    /// Fetches a game from peers and, unless `install` is false, installs it afterwards.
    Download {
        game: String,
        #[serde(default = "yes")]
        install: bool,
    },
    /// Unpacks a downloaded game into `local/`.
    Install { game: String },
    /// Fetches the newest version that peers hold and installs it over the present one.
    Update { game: String },
    /// Removes `local/`, keeps the downloaded payload.
    Uninstall { game: String },
    /// Removes the game root.
    Remove { game: String },
    /// Hashes again what is here and names each damaged file.
    Verify { game: String },
    /// Ends the running operation of a game at the next chunk boundary.
    Cancel { game: String },
    /// Dials an address by hand.
    Connect { address: SocketAddr },
    /// Shares another folder from now on.
    SetGamesDir { path: PathBuf },
    /// Answers once at least `count` peers are connected, or with `timeout` after `timeout_s` seconds.
    WaitPeers {
        count: usize,
        #[serde(default = "wait_seconds")]
        timeout_s: u64,
    },
    /// Makes a game root of any folder (see `lanspread add`).
    Add {
        path: PathBuf,
        /// In JSON `game`, as everywhere else: `id` is the number of the record there.
        #[serde(rename = "game")]
        id: String,
        #[serde(default)]
        title: Option<String>,
        #[serde(default)]
        version: Option<String>,
        #[serde(default, rename = "move")]
        move_files: bool,
    },
    /// Ends the node.
    Shutdown {},
}

fn yes() -> bool {
    true
}

fn wait_seconds() -> u64 {
    60
}

/// A positive answer to a [`Command`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reply {
    /// An operation was accepted; its terminal event carries the game.
    Operation { operation: String },
    /// The answer to `status`.
    Status { status: Box<Status> },
    /// The answer to `list-peers`.
    Peers { peers: Vec<PeerView> },
    /// The answer to `list-games`.
    Games { games: Vec<GameView> },
    /// The answer to `show-game`.
    Game { game: Box<GameView> },
    /// Nothing to tell beside that it was done.
    Done {},
}

/// A command that was not carried out, and why. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refused {
    /// Stable, for scripts.
    pub code: ErrorCode,
    /// For people: what happened, to which game or peer, and what to do.
    pub message: String,
    /// The game the command named, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub game: Option<GameId>,
}

impl Refused {
    /// A refusal that concerns no single game.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), game: None }
    }

    /// A refusal of a command for `game`.
    pub fn of_game(code: ErrorCode, game: &GameId, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), game: Some(game.clone()) }
    }
}

/// Stable error codes of commands and failed operations; the serialized form is hyphenated lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    BadCommand,
    UnknownGame,
    NotInCatalog,
    OperationInProgress,
    NoOperation,
    NotDownloaded,
    AlreadyDownloaded,
    UpToDate,
    NotInstalled,
    AlreadyInstalled,
    NoSources,
    AmbiguousContent,
    BadContent,
    DiskFull,
    BadCatalog,
    BadGamesDir,
    GamesDirBusy,
    NoGamesDir,
    StateDirBusy,
    UnpackFailed,
    Damaged,
    Io,
    VersionMismatch,
    IdentityMismatch,
    SelfConnect,
    Unreachable,
    Limit,
    Timeout,
    Cancelled,
    ShuttingDown,
    Internal,
}

/// What an operation does to a game.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    Downloading,
    Installing,
    Updating,
    Uninstalling,
    Removing,
    Verifying,
    /// `lanspread add`: its answer is the reply to the command, it has no terminal event.
    Adding,
}

impl OperationKind {
    /// The verb that names its events: `download-failed`, `install-finished`.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Downloading => "download",
            Self::Installing => "install",
            Self::Updating => "update",
            Self::Uninstalling => "uninstall",
            Self::Removing => "remove",
            Self::Verifying => "verify",
            Self::Adding => "add",
        }
    }
}
