//! What stands between a node and the network: real UDP and mDNS, or virtual ones in tests.
//!
//! Only types and traits: how a datagram travels and how others are found is the business of the
//! implementations.

use std::{fmt, net::SocketAddr, pin::Pin, sync::Arc};

use lanspread_wire::PeerId;
use tokio::sync::mpsc;

/// Where datagrams go.
#[derive(Clone)]
pub enum Transport {
    /// A UDP socket of the system.
    Udp,
    /// A socket of a virtual network, with the runtime whose clock it follows.
    Virtual {
        /// The socket; its address is the listener's.
        socket: Arc<dyn quinn::AsyncUdpSocket>,
        /// Timers and tasks of QUIC.
        runtime: Arc<dyn quinn::Runtime>,
        /// Seeds QUIC's own dice, so that the same seed gives the same run.
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
    /// Who it is.
    pub peer: PeerId,
    /// The version of the protocol it speaks.
    pub protocol: u16,
    /// The listener port, the same on every interface.
    pub port: u16,
    /// Only for the virtual network: the exact listener address.
    pub address: SocketAddr,
}

/// Somebody was seen, or one more address of somebody. A hint: proved by dialling (P1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Who it claims to be.
    pub peer: PeerId,
    /// The version of the protocol it claims to speak.
    pub protocol: u16,
    /// Where it claims to listen; at least one address, each of them one that can be dialled.
    pub addresses: Vec<SocketAddr>,
}

/// What discovery tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoveryNews {
    /// Somebody was seen. Ourselves too: that is how a cloned identity is noticed.
    Seen(Sighting),
    /// Announcements were ignored: how many since the last such news, and what was wrong with the
    /// last one.
    Ignored {
        /// How many.
        count: u64,
        /// What was wrong, ready for a log.
        last: String,
    },
    /// Our advert cannot leave (`Some(sentence)`), or can again (`None`).
    Hindered(Option<String>),
}

/// Finds others and is found. One implementation speaks mDNS, one is virtual.
pub trait DiscoveryBackend: Send + Sync + fmt::Debug {
    /// Starts to advertise and to browse. Called within a tokio runtime.
    ///
    /// News go to `found`, a bounded channel: while it is full the implementation keeps the latest of
    /// each instance in a bounded structure, and it never makes the network side wait. Dropping the
    /// guard withdraws the advert and ends every thread and task of it. The channel closing means
    /// that discovery died: the actor then fails and is started again.
    fn start(
        &self,
        advert: Advert,
        found: mpsc::Sender<DiscoveryNews>,
    ) -> Result<Box<dyn DiscoveryGuard>, DiscoveryError>;
}

/// Keeps discovery going while it lives.
pub trait DiscoveryGuard: Send {
    /// Says again what is advertised, and tells again who is known (after an address change, or when
    /// a peer was lost).
    fn refresh(&mut self);

    /// Withdraws the advert; done when the withdrawal has left or a short time has passed.
    fn withdraw(self: Box<Self>) -> Withdrawal;
}

/// The end of an advert, to be awaited.
pub type Withdrawal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Discovery could not start.
#[derive(Debug, thiserror::Error)]
#[error("discovery cannot start: {0}")]
pub struct DiscoveryError(pub String);
