//! The state of a node as user interfaces see it: replaced whole, never patched.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use lanspread_wire::{GameId, ManifestId, PeerId, VersionStamp};
use serde::{Deserialize, Serialize};

use super::command::OperationKind;

/// Everything a window draws. Published through a `watch`: the latest one wins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub status: Status,
    pub games: Vec<GameView>,
    pub peers: Vec<PeerView>,
    pub operations: Vec<OperationView>,
}

/// What `lanspread status` prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    #[serde(flatten)]
    pub node: NodeInfo,
    pub peers_connected: usize,
    pub games_here: usize,
    /// Games that are being hashed before they can be shared: bytes done and in all.
    pub hashing: BTreeMap<GameId, (u64, u64)>,
    /// Running uploads per game.
    pub uploads: BTreeMap<GameId, usize>,
    pub operations: Vec<OperationView>,
    pub actors: Vec<ActorHealth>,
    pub counters: BTreeMap<String, u64>,
    /// What is wrong with a part of the node, in sentences.
    pub problems: Vec<String>,
}

/// Who this node is and where its things lie. Unknown parts are `None` until the node is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    pub peer_id: Option<PeerId>,
    pub name: String,
    pub addresses: Vec<SocketAddr>,
    pub games_dir: Option<PathBuf>,
    pub state_dir: PathBuf,
    pub version: String,
    pub protocol: u16,
}

/// One supervised part of the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorHealth {
    pub name: String,
    pub restarts: u32,
    #[serde(default)]
    pub last_failure: Option<String>,
}

/// Whether a game that is here can be given to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    /// Downloaded and shareable.
    Ready,
    /// Present but not shareable.
    LocalOnly,
}

/// One game: what is here and what the others have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GameView {
    pub id: GameId,
    pub title: String,
    /// The version that is here.
    pub version: Option<VersionStamp>,
    /// The newest version on the LAN, this node included.
    pub newest: Option<VersionStamp>,
    pub manifest: Option<ManifestId>,
    pub size_bytes: u64,
    pub downloaded: bool,
    pub installed: bool,
    pub availability: Option<Availability>,
    /// How many peers hold the newest version.
    pub peers: usize,
    pub sources: Vec<PeerId>,
    pub operation: Option<OperationView>,
    /// What is wrong with it, in a sentence.
    #[serde(default)]
    pub problem: Option<String>,
    #[serde(default)]
    pub genre: Option<String>,
    #[serde(default)]
    pub players: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
}

/// One connected peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    pub peer_id: PeerId,
    pub name: String,
    pub addresses: Vec<SocketAddr>,
    pub games: Vec<GameId>,
    /// Seconds since it connected.
    pub connected_s: u64,
    /// Smoothed round trip, milliseconds.
    pub rtt_ms: u64,
}

/// One entry of the operation table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationView {
    pub game: GameId,
    pub kind: OperationKind,
    pub phase: Phase,
    pub bytes_done: u64,
    pub bytes_total: u64,
}

/// The named steps of operations, in the order in which they can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Queued,
    FindingSources,
    Checking,
    Fetching,
    WaitingForPeers,
    WaitingForSpace,
    Committing,
    Unpacking,
    Promoting,
    Removing,
    Hashing,
    Recovering,
    Settling,
}
