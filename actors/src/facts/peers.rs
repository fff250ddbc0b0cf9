//! Who is there and what they hold. Written by [`crate::peers`] only.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use lanspread_wire::{GameId, GameSummary, LibraryState, PeerId};
use tokio::time::Instant;

use crate::peer_connection::PeerLink;

/// The connected peers. Only peers whose handshake is complete and whose library is known are in it.
#[derive(Clone, Debug, Default)]
pub struct PeerTable {
    pub peers: BTreeMap<PeerId, PeerEntry>,
}

/// One connected peer.
#[derive(Clone, Debug)]
pub struct PeerEntry {
    pub peer: PeerId,
    pub name: String,
    /// Its listener addresses, as it states them; never the source of a connection (P2).
    pub addresses: Vec<SocketAddr>,
    pub connected_at: Instant,
    pub library: Arc<RemoteLibrary>,
    /// Opens request streams to it.
    pub link: PeerLink,
}

/// What one peer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteLibrary {
    pub state: LibraryState,
    pub games: BTreeMap<GameId, GameSummary>,
}
