//! The QUIC endpoint: its socket, its settings, and one dial.
//!
//! Owns how a socket is opened and what is asked of QUIC; every number is in [`super::limits`]. Must
//! never accept a connection by itself, retry a dial, or keep one.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use lanspread_wire::{CloseCode, PeerId};
use quinn::{
    ConnectError, ConnectionError, EndpointConfig, IdleTimeout, MtuDiscoveryConfig,
    TransportConfig, VarInt, VarIntBoundsExceeded,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::timeout;

use super::{
    addresses::canonical,
    backend::Transport,
    identity::Identity,
    limits,
    tls::{self, Claim, alert},
};
use crate::api::{ErrorCode, Refused};

/// An open endpoint and what became of our wishes.
#[derive(Debug)]
pub struct Bound {
    /// Dials and accepts.
    pub endpoint: quinn::Endpoint,
    /// Where it listens; the wildcard address if on all interfaces.
    pub local: SocketAddr,
    /// Absent on a virtual network.
    pub buffers: Option<SocketBuffers>,
}

/// What we asked of the system for the socket's buffers, and what it granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketBuffers {
    /// Asked for each direction.
    pub asked_bytes: usize,
    /// Granted for receiving. Linux counts its own overhead in.
    pub receive_bytes: usize,
    /// Granted for sending.
    pub send_bytes: usize,
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken, or not ours, or forbidden.
    #[error("cannot listen on {address}: {source}")]
    Socket {
        /// The wanted address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The settings are refused by the library: a bug.
    #[error("cannot set up QUIC: {0}")]
    Settings(String),
}

impl BindError {
    /// Whether somebody holds the port, which may pass.
    pub fn is_port_taken(&self) -> bool {
        matches!(self, Self::Socket { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
    }
}

/// A connection whose other side has proved its identity to us. It may still refuse ours: the dialler
/// finishes first in TLS 1.3, so only a greeting from the other side means that both agree.
#[derive(Debug)]
pub struct Dialled {
    /// Who answered.
    pub peer: PeerId,
    /// The connection.
    pub connection: quinn::Connection,
}

/// Why a dial did not lead to a connection.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DialError {
    /// Somebody else answers at this address (T01).
    #[error("{address} is {}, not {}", got.short(), expected.short())]
    IdentityMismatch {
        /// What was dialled.
        address: SocketAddr,
        /// Who should be there.
        expected: PeerId,
        /// Who claims to be there.
        got: PeerId,
    },
    /// We reached ourselves (T06).
    #[error("{address} is this node itself")]
    SelfConnect {
        /// What was dialled.
        address: SocketAddr,
    },
    /// The other side speaks another version, or is another program (T08).
    #[error("{address} does not speak {}", String::from_utf8_lossy(lanspread_wire::ALPN))]
    VersionMismatch {
        /// What was dialled.
        address: SocketAddr,
    },
    /// The other side did not prove the key it shows, or shows none (T02, T04).
    #[error("{address} did not prove who it is: {reason}")]
    NotProved {
        /// What was dialled.
        address: SocketAddr,
        /// Who it claims to be.
        claimed: Option<PeerId>,
        /// What TLS said.
        reason: String,
    },
    /// The other side is there and says no.
    #[error("{address} refused the connection: {reason}")]
    Refused {
        /// What was dialled.
        address: SocketAddr,
        /// The code it gave, if it is one of ours.
        code: Option<CloseCode>,
        /// In words.
        reason: String,
    },
    /// Nobody answered in time.
    #[error("{address} does not answer: {reason}")]
    Unreachable {
        /// What was dialled.
        address: SocketAddr,
        /// In words.
        reason: String,
    },
    /// The dial could not even start.
    #[error("cannot dial {address}: {reason}")]
    Local {
        /// What was dialled.
        address: SocketAddr,
        /// In words.
        reason: String,
    },
}

impl DialError {
    /// The stable code for commands and events.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            Self::IdentityMismatch { .. } | Self::NotProved { .. } => ErrorCode::IdentityMismatch,
            Self::SelfConnect { .. } => ErrorCode::SelfConnect,
            Self::VersionMismatch { .. } => ErrorCode::VersionMismatch,
            Self::Refused { code: Some(CloseCode::Limit), .. } => ErrorCode::Limit,
            Self::Refused { .. } | Self::Unreachable { .. } | Self::Local { .. } => {
                ErrorCode::Unreachable
            }
        }
    }

    /// The answer to a dial by hand.
    pub fn to_refused(&self) -> Refused {
        Refused::new(self.error_code(), self.to_string())
    }

    fn new(address: SocketAddr, context: &DialContext, error: &ConnectionError) -> Self {
        let reason = error.to_string();
        match tls::alert_of(error) {
            Some(alert::ACCESS_DENIED) => context.denied(address, reason),
            Some(alert::NO_APPLICATION_PROTOCOL) => Self::VersionMismatch { address },
            // Whose alert it is tells whose proof was not good enough.
            Some(_) if matches!(error, ConnectionError::TransportError(_)) => {
                Self::NotProved { address, claimed: context.claim.get(), reason }
            }
            Some(_) => Self::Refused { address, code: Some(CloseCode::AuthRequired), reason },
            None => match error {
                ConnectionError::VersionMismatch => Self::VersionMismatch { address },
                ConnectionError::ApplicationClosed(close) => {
                    let code = u32::try_from(close.error_code.into_inner()).ok();
                    Self::Refused { address, code: code.and_then(CloseCode::from_u32), reason }
                }
                ConnectionError::ConnectionClosed(_) => {
                    Self::Refused { address, code: None, reason }
                }
                ConnectionError::TimedOut | ConnectionError::Reset => {
                    Self::Unreachable { address, reason }
                }
                ConnectionError::LocallyClosed
                | ConnectionError::CidsExhausted
                | ConnectionError::TransportError(_) => Self::Local { address, reason },
            },
        }
    }
}

/// What is needed to tell one refusal from another.
struct DialContext {
    me: PeerId,
    expected: Option<PeerId>,
    claim: Claim,
}

impl DialContext {
    /// Somebody's verifier said no: ours to them, or theirs to us.
    fn denied(&self, address: SocketAddr, reason: String) -> DialError {
        match (self.claim.get(), self.expected) {
            (Some(got), _) if got == self.me => DialError::SelfConnect { address },
            (Some(got), Some(expected)) if got != expected => {
                DialError::IdentityMismatch { address, expected, got }
            }
            _ => DialError::Refused { address, code: Some(CloseCode::AuthRequired), reason },
        }
    }
}

/// Opens the endpoint. `listen` with port 0 takes a free one; a wildcard address listens on all
/// interfaces and both families where the system can. A virtual transport brings its own address.
pub fn bind(
    transport: &Transport,
    listen: Listen,
    identity: &Identity,
) -> Result<Bound, BindError> {
    let server = server_config(identity)?.0;
    match transport {
        Transport::Udp => bind_udp(listen, server),
        Transport::Virtual { socket, runtime, seed } => {
            let mut config = endpoint_config()?;
            config.rng_seed(Some(*seed));
            open(config, server, socket.clone(), runtime.clone())
        }
    }
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On all interfaces, over both families where the system can, on this port (0: a free one).
    Everywhere(u16),
    /// On exactly this address.
    At(SocketAddr),
}

/// Dials `address`. With `expected` nobody else is accepted there; without, anybody but ourselves.
pub async fn dial(
    endpoint: &quinn::Endpoint,
    identity: &Identity,
    address: SocketAddr,
    expected: Option<PeerId>,
) -> Result<Dialled, DialError> {
    let local = |reason: String| DialError::Local { address, reason };
    let (config, claim) =
        client_config(identity, expected).map_err(|error| local(error.to_string()))?;
    let context = DialContext { me: identity.peer_id(), expected, claim };
    let connecting = endpoint
        .connect_with(config, address, tls::SERVER_NAME)
        .map_err(|error: ConnectError| local(error.to_string()))?;
    match timeout(limits::HANDSHAKE_DEADLINE, connecting).await {
        Err(_) => Err(DialError::Unreachable { address, reason: "timed out".to_owned() }),
        Ok(Err(error)) => Err(DialError::new(address, &context, &error)),
        Ok(Ok(connection)) => match tls::proved(&connection) {
            Some(peer) => Ok(Dialled { peer, connection }),
            None => Err(DialError::NotProved {
                address,
                claimed: context.claim.get(),
                reason: "it showed no key".to_owned(),
            }),
        },
    }
}

/// Lets a source of a running download send more at once. The windows of all connections together are
/// bounded on the assumption that only a few are widened.
pub fn widen(connection: &quinn::Connection) {
    connection.set_receive_window(VarInt::from_u32(limits::SOURCE_WINDOW_BYTES));
}

/// Undoes [`widen`].
pub fn narrow(connection: &quinn::Connection) {
    connection.set_receive_window(VarInt::from_u32(limits::CONNECTION_WINDOW_BYTES));
}

/// The address of the other side, as the rest of the program writes it.
pub fn remote_of(connection: &quinn::Connection) -> SocketAddr {
    canonical(connection.remote_address())
}

/// The settings of one accepted connection, and where its claim will appear.
pub fn server_config(identity: &Identity) -> Result<(quinn::ServerConfig, Claim), BindError> {
    let (crypto, claim) = tls::server(identity).map_err(settings)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport_config(Role::Listener).map_err(settings)?));
    // A peer that changes its address dials again: its id does not depend on it.
    config.migration(false);
    config.max_incoming(limits::HANDSHAKES_MAX);
    config.incoming_buffer_size(limits::INCOMING_BUFFER_BYTES_MAX);
    config.incoming_buffer_size_total(limits::INCOMING_BUFFER_TOTAL_BYTES_MAX);
    // No tokens for a later connection: a round trip is cheap here, an address proof is not forever.
    config.validation_token.sent(0);
    Ok((config, claim))
}

fn client_config(
    identity: &Identity,
    expected: Option<PeerId>,
) -> Result<(quinn::ClientConfig, Claim), BindError> {
    let (crypto, claim) = tls::client(identity, expected).map_err(settings)?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport_config(Role::Dialer).map_err(settings)?));
    Ok((config, claim))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Dialer,
    Listener,
}

fn transport_config(role: Role) -> Result<TransportConfig, VarIntBoundsExceeded> {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(limits::STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(limits::STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(limits::CONNECTION_WINDOW_BYTES))
        .send_window(limits::SEND_WINDOW_BYTES)
        .max_idle_timeout(Some(IdleTimeout::try_from(limits::IDLE_TIMEOUT)?))
        .keep_alive_interval((role == Role::Dialer).then_some(limits::KEEP_ALIVE))
        .initial_rtt(limits::ROUND_TRIP_ASSUMED)
        .datagram_receive_buffer_size(None)
        .mtu_discovery_config(Some(mtu_discovery()));
    Ok(config)
}

fn mtu_discovery() -> MtuDiscoveryConfig {
    let mut config = MtuDiscoveryConfig::default();
    config.upper_bound(limits::DATAGRAM_BYTES_MAX);
    config
}

fn endpoint_config() -> Result<EndpointConfig, BindError> {
    let mut config = EndpointConfig::default();
    config
        .max_udp_payload_size(limits::DATAGRAM_BYTES_MAX)
        .map_err(|error| BindError::Settings(error.to_string()))?;
    Ok(config)
}

fn bind_udp(listen: Listen, server: quinn::ServerConfig) -> Result<Bound, BindError> {
    let (socket, address) = match listen {
        Listen::At(address) => (udp_socket(address), address),
        Listen::Everywhere(port) => everywhere(port),
    };
    let failed = |source| BindError::Socket { address, source };
    let socket = socket.map_err(failed)?;
    let buffers = enlarge(&socket);
    let runtime: Arc<dyn quinn::Runtime> = Arc::new(quinn::TokioRuntime);
    let socket = runtime.wrap_udp_socket(socket.into()).map_err(failed)?;
    let bound = open(endpoint_config()?, server, socket, runtime)?;
    Ok(Bound { buffers: Some(buffers), ..bound })
}

fn open(
    config: EndpointConfig,
    server: quinn::ServerConfig,
    socket: Arc<dyn quinn::AsyncUdpSocket>,
    runtime: Arc<dyn quinn::Runtime>,
) -> Result<Bound, BindError> {
    let unspecified = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let local =
        socket.local_addr().map_err(|source| BindError::Socket { address: unspecified, source })?;
    let endpoint = quinn::Endpoint::new_with_abstract_socket(config, Some(server), socket, runtime)
        .map_err(|source| BindError::Socket { address: local, source })?;
    Ok(Bound { endpoint, local: canonical(local), buffers: None })
}

/// One socket for both families, or for IPv4 alone where the system has no IPv6.
fn everywhere(port: u16) -> (io::Result<Socket>, SocketAddr) {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match udp_socket(both) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            tracing::info!(%error, "no IPv6 here, listening on IPv4 alone");
            (udp_socket(v4), v4)
        }
        result => (result, both),
    }
}

fn udp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // Systems differ in the default; a wildcard socket must hear both families.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Asks for large buffers and reads back what was granted. Getting less is no error.
fn enlarge(socket: &Socket) -> SocketBuffers {
    let asked_bytes = limits::SOCKET_BUFFER_BYTES;
    for result in
        [socket.set_recv_buffer_size(asked_bytes), socket.set_send_buffer_size(asked_bytes)]
    {
        if let Err(error) = result {
            tracing::debug!(%error, "the system refuses a larger socket buffer");
        }
    }
    SocketBuffers {
        asked_bytes,
        receive_bytes: socket.recv_buffer_size().unwrap_or_default(),
        send_bytes: socket.send_buffer_size().unwrap_or_default(),
    }
}

fn settings(error: impl std::fmt::Display) -> BindError {
    BindError::Settings(error.to_string())
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
