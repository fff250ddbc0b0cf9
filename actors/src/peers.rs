//! The `Peers` actor: who is there and what they hold; supervisor of the connections.

use std::{net::SocketAddr, sync::Arc};

use lanspread_wire::PeerId;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::watch;

use crate::{
    api::Refused, facts::PeerTable, listener::gate::Admission, net::backend::Sighting, ports::Ports,
};

/// Messages of the `Peers` actor.
pub enum PeersMsg {
    /// From `Discovery`: a hint that somebody is there.
    Seen(Sighting),
    /// From `Listener`: TLS is done and proved `peer`; the handshake of the program is still to
    /// come. `admission` must live as long as the connection: it is what the limits per address
    /// count.
    Incoming { peer: PeerId, connection: quinn::Connection, admission: Admission },
    /// From the handle: dial an address by hand; answered when the handshake is complete or has
    /// failed.
    Connect { address: SocketAddr, reply: RpcReplyPort<Result<PeerId, Refused>> },
    /// From `View` after its restart.
    Publish,
    /// From `Network` at shutdown: close every connection with the goodbye code (P10).
    Goodbye { reply: RpcReplyPort<()> },
}

/// What the actor starts with.
pub struct PeersArgs {
    /// The wiring of the node.
    pub ports: Ports,
    /// For dialling; outlives this actor.
    pub endpoint: quinn::Endpoint,
    /// Where this node listens, for greetings.
    pub addresses: watch::Receiver<Vec<SocketAddr>>,
    /// The write end of the table; outlives this actor.
    pub peer_table: Arc<watch::Sender<Arc<PeerTable>>>,
}

/// The actor type.
pub struct Peers;

impl Actor for Peers {
    type Msg = PeersMsg;
    type State = PeersArgs;
    type Arguments = PeersArgs;

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        args: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(args)
    }
}
