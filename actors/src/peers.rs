//! The `Peers` actor: who is there and what they hold; supervisor of the connections.

use std::net::SocketAddr;

use lanspread_wire::PeerId;
use ractor::RpcReplyPort;

use crate::{api::Refused, listener::gate::Admission, net::backend::Sighting};

/// Messages of the `Peers` actor.
pub enum PeersMsg {
    /// From `Discovery`: a hint that somebody is there.
    Seen(Sighting),
    /// From `Listener`: TLS is done and proved `peer`; the handshake of the program is still to come.
    /// `admission` must live as long as the connection: it is what the limits per address count.
    Incoming { peer: PeerId, connection: quinn::Connection, admission: Admission },
    /// From the handle: dial an address by hand; answered when the handshake is complete or has failed.
    Connect { address: SocketAddr, reply: RpcReplyPort<Result<PeerId, Refused>> },
    /// From `View` after its restart.
    Publish,
    /// From `Network` at shutdown: close every connection with the goodbye code (P10).
    Goodbye { reply: RpcReplyPort<()> },
}
