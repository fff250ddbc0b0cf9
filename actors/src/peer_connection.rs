//! The `PeerConnection` actor: one peer's session: control stream, requests, uploads.

use lanspread_wire::PeerId;

/// Opens request streams to one peer. Cheap to clone; works as long as the connection lives.
#[derive(Clone, Debug)]
pub struct PeerLink {
    peer: PeerId,
    connection: quinn::Connection,
}
