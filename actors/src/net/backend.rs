//! What stands between a node and the network: real UDP and mDNS, or virtual ones in tests.

use std::{fmt, net::SocketAddr, sync::Arc};

use lanspread_wire::PeerId;
use tokio::sync::mpsc;

/// Where datagrams go.
#[derive(Clone)]
pub enum Transport {
    /// A UDP socket of the system.
    Udp,
    /// A socket of a virtual network, with the runtime whose clock it follows and a seed for quinn's own dice.
    Virtual {
        socket: Arc<dyn quinn::AsyncUdpSocket>,
        runtime: Arc<dyn quinn::Runtime>,
        seed: [u8; 32],
    },
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "Udp",
            Self::Virtual { .. } => "Virtual",
        })
    }
}

/// What a node tells about itself before anyone is authenticated. No host name, no user name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    pub peer: PeerId,
    pub protocol: u16,
    /// The listener port, the same on every interface.
    pub port: u16,
    /// Only for the virtual network: the exact listener address.
    pub address: SocketAddr,
}

/// Somebody was seen, or one more address of somebody. A hint: proved by dialling (P1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub peer: PeerId,
    pub protocol: u16,
    pub addresses: Vec<SocketAddr>,
}

/// Finds others and is found. One implementation speaks mDNS, one is virtual.
pub trait DiscoveryBackend: Send + Sync + fmt::Debug {
    /// Starts to advertise and to browse. Sightings go to `found` (bounded; a full channel drops the oldest hint's
    /// repetition, never blocks the network). Dropping the guard withdraws the advert and ends every thread of it.
    /// The channel closing means that discovery died: the actor then fails and is started again.
    fn start(
        &self,
        advert: Advert,
        found: mpsc::Sender<Sighting>,
    ) -> Result<Box<dyn DiscoveryGuard>, DiscoveryError>;
}

/// Keeps discovery going while it lives.
pub trait DiscoveryGuard: Send {
    /// Says again what is advertised (after an address change, or when a peer was lost).
    fn refresh(&mut self);
}

/// Discovery could not start.
#[derive(Debug, thiserror::Error)]
#[error("discovery cannot start: {0}")]
pub struct DiscoveryError(pub String);
