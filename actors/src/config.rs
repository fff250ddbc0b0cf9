//! How a node is started: folders, name, listener, discovery. Plain data, no defaults from the
//! environment.

use std::{fmt, io, net::SocketAddr, path::PathBuf, sync::Arc};

use crate::{
    discovery::mdns::MdnsDiscovery,
    net::backend::{DiscoveryBackend, Transport},
};

/// Everything a node must be told. Built by the command line, the window and tests.
#[derive(Clone)]
pub struct NodeConfig {
    /// Key, index, manifests, settings, control socket.
    pub state_dir: PathBuf,
    /// The shared folder; `None` takes the one of the settings.
    pub games_dir: Option<PathBuf>,
    /// The display name; `None` takes the one of the settings, else a made-up one (never the host
    /// or user name).
    pub name: Option<String>,
    /// The listener; `None` takes all interfaces and the port of the settings, else a free one that
    /// is then kept.
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

impl NodeConfig {
    /// A node of a user: real network, mDNS on `interfaces` (all if empty), this program as the
    /// child that unpacks archives, a control socket.
    pub fn new(state_dir: PathBuf, interfaces: Vec<String>) -> io::Result<Self> {
        Ok(Self {
            state_dir,
            games_dir: None,
            name: None,
            listen: None,
            discovery: Arc::new(MdnsDiscovery::new(interfaces.clone())),
            interfaces,
            catalog: None,
            transport: Transport::Udp,
            unpack_program: std::env::current_exe()?,
            control_socket: true,
        })
    }
}

/// The folder of this user's system for the data of this program.
pub fn default_state_dir() -> Option<PathBuf> {
    let folders = directories::ProjectDirs::from("", "", "lanspread")?;
    Some(folders.data_local_dir().to_path_buf())
}

/// The names of the loopback interfaces of this machine.
pub fn loopback_interfaces() -> io::Result<Vec<String>> {
    let mut names: Vec<String> = if_addrs::get_if_addrs()?
        .into_iter()
        .filter(if_addrs::Interface::is_loopback)
        .map(|interface| interface.name)
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "this machine has no loopback"));
    }
    Ok(names)
}
