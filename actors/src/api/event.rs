//! Things that happened in a node, in the form scripts receive them.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use lanspread_wire::{GameId, ManifestId, PeerId, VersionStamp};
use serde::{Deserialize, Serialize};

use super::{
    command::ErrorCode,
    snapshot::{GameView, OperationView},
};

/// One event. The JSON form is `{"event":"download-finished", …}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The first record: the first scan is done and the listener accepts.
    Ready {
        peer_id: PeerId,
        name: String,
        addresses: Vec<SocketAddr>,
        games_dir: Option<PathBuf>,
        state_dir: PathBuf,
        version: String,
        protocol: u16,
    },
    /// After every rescan, also when peers are told nothing.
    LocalLibraryChanged {
        games: Vec<GameView>,
    },
    PeerDiscovered {
        peer_id: PeerId,
        name: String,
        addresses: Vec<SocketAddr>,
    },
    PeerConnected {
        peer_id: PeerId,
        name: String,
        addresses: Vec<SocketAddr>,
    },
    PeerLost {
        peer_id: PeerId,
        name: String,
        addresses: Vec<SocketAddr>,
        reason: String,
    },
    RemoteLibraryChanged {
        peer_id: PeerId,
        games: Vec<GameId>,
    },
    /// Always the whole table.
    ActiveOperationsChanged {
        operations: Vec<OperationView>,
    },
    DownloadBegin {
        game: GameId,
        version: VersionStamp,
        manifest: ManifestId,
        bytes_total: u64,
        bytes_reused: u64,
        sources: Vec<PeerId>,
    },
    DownloadProgress {
        game: GameId,
        bytes_done: u64,
        bytes_total: u64,
        bytes_per_second: u64,
        peers: usize,
        #[serde(default)]
        eta_s: Option<u64>,
    },
    DownloadFinished {
        game: GameId,
        version: VersionStamp,
        bytes_received: u64,
        bytes_reused: u64,
        seconds: f64,
        sources: BTreeMap<PeerId, u64>,
    },
    DownloadFailed {
        game: GameId,
        code: ErrorCode,
        message: String,
    },
    InstallFailed {
        game: GameId,
        code: ErrorCode,
        message: String,
    },
    UpdateFailed {
        game: GameId,
        code: ErrorCode,
        message: String,
    },
    UninstallFailed {
        game: GameId,
        code: ErrorCode,
        message: String,
    },
    RemoveFailed {
        game: GameId,
        code: ErrorCode,
        message: String,
    },
    VerifyFailed {
        game: GameId,
        code: ErrorCode,
        message: String,
    },
    DownloadCancelled {
        game: GameId,
    },
    /// An install, update, uninstall, removal or verification was cancelled; the state before it stands.
    OperationCancelled {
        game: GameId,
    },
    DownloadPeersGone {
        game: GameId,
    },
    InstallFinished {
        game: GameId,
        version: Option<VersionStamp>,
    },
    UpdateFinished {
        game: GameId,
        version: Option<VersionStamp>,
    },
    UninstallFinished {
        game: GameId,
        version: Option<VersionStamp>,
    },
    RemoveFinished {
        game: GameId,
        version: Option<VersionStamp>,
    },
    VerifyFinished {
        game: GameId,
        version: Option<VersionStamp>,
    },
    ChunkRejected {
        game: GameId,
        peer_id: PeerId,
        file: String,
        reason: String,
    },
    PeerRejected {
        address: SocketAddr,
        claimed_id: Option<PeerId>,
        code: String,
        message: String,
    },
    /// What was found in a game folder at start and what was done about it.
    Recovery {
        game: String,
        found: String,
        action: String,
    },
    ActorRestarted {
        component: String,
        reason: String,
        restarts: u32,
    },
    RuntimeFailed {
        component: String,
        error: String,
    },
    /// Something a user should know that is no failure of a command (a skipped link, a corrupt file set aside).
    Notice {
        game: Option<GameId>,
        message: String,
    },
    /// The reader was too slow; this many events were dropped. The snapshot is still right.
    EventsMissed {
        count: u64,
    },
}
