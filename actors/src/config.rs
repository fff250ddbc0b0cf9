//! How a node is started: folders, name, listener, discovery. Plain data, no defaults from the environment.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

use crate::net::backend::{DiscoveryBackend, Transport};

/// Everything a node must be told. Built by the command line, the window and tests.
#[derive(Clone)]
pub struct NodeConfig {
    /// Key, index, manifests, settings, control socket.
    pub state_dir: PathBuf,
    /// The shared folder; `None` takes the one of the settings.
    pub games_dir: Option<PathBuf>,
    /// The display name; `None` takes the one of the settings, else a made-up one (never the host or user name).
    pub name: Option<String>,
    /// The listener; `None` takes all interfaces and the port of the settings, else a free one that is then kept.
    pub listen: Option<SocketAddr>,
    /// Names of network interfaces (`eth0`, `lo`) to listen and to be found on; empty means all.
    pub interfaces: Vec<String>,
    /// A catalog file; `None` is the open mode.
    pub catalog: Option<PathBuf>,
    /// Real UDP, or a virtual network in tests.
    pub transport: Transport,
    /// mDNS, or a virtual one in tests.
    pub discovery: Arc<dyn DiscoveryBackend>,
    /// The program that unpacks archives when started with `__unpack`: normally this very binary.
    pub unpack_program: PathBuf,
    /// Whether to open the control socket in the state folder.
    pub control_socket: bool,
}

impl fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeConfig")
            .field("state_dir", &self.state_dir)
            .field("games_dir", &self.games_dir)
            .field("listen", &self.listen)
            .field("interfaces", &self.interfaces)
            .finish_non_exhaustive()
    }
}
