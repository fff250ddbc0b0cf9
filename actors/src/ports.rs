//! The wiring of one node: addresses of its actors and read ends of what they publish.
//!
//! Made once by [`crate::node`] before anything starts, then cloned into every `Args`. Everything
//! here survives restarts of the actors behind it.

use std::sync::Arc;

use lanspread_wire::{Catalog, PeerId};
use tokio::sync::watch;

use crate::{
    addr::Addr,
    config::NodeConfig,
    discovery::DiscoveryMsg,
    disk::DiskHandle,
    facts::{Announced, LocalLibrary, OperationTable, PeerTable},
    library::LibraryMsg,
    manifests::ManifestStore,
    net::identity::Identity,
    operations::OperationsMsg,
    peers::PeersMsg,
    view::ViewMsg,
};

/// What every actor of a node may use of the others.
#[derive(Clone)]
pub struct Ports {
    pub config: Arc<NodeConfig>,
    pub identity: Arc<Identity>,

    pub disk: DiskHandle,
    pub library: Addr<LibraryMsg>,
    pub operations: Addr<OperationsMsg>,
    pub peers: Addr<PeersMsg>,
    pub discovery: Addr<DiscoveryMsg>,
    pub view: Addr<ViewMsg>,

    /// What is here.
    pub local: watch::Receiver<Arc<LocalLibrary>>,
    /// What peers are told.
    pub announced: watch::Receiver<Announced>,
    /// Who is there and what they hold.
    pub peer_table: watch::Receiver<Arc<PeerTable>>,
    /// What runs.
    pub operation_table: watch::Receiver<Arc<OperationTable>>,
    /// `None`: the open mode, every well-formed game counts (P11).
    pub catalog: watch::Receiver<Arc<Option<Catalog>>>,
    /// Manifests by their hash, in the state folder. Content-addressed, so any number may write.
    pub manifests: ManifestStore,
}

impl Ports {
    /// This node's own id.
    pub fn me(&self) -> PeerId {
        self.identity.peer_id()
    }
}

/// A wiring without anybody at the other ends, for tests of single actors.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::net::backend::{
        DiscoveryBackend, DiscoveryError, DiscoveryGuard, DiscoveryNews, Transport,
    };

    /// Ports, and the write ends of their facts.
    pub(crate) struct Wires {
        pub(crate) ports: Ports,
        pub(crate) local: watch::Sender<Arc<LocalLibrary>>,
        /// The other write ends and the state folder, kept alive.
        _rest: Box<dyn std::any::Any + Send>,
    }

    /// Sees nobody.
    #[derive(Debug)]
    pub(crate) struct Blind;

    impl DiscoveryBackend for Blind {
        fn start(
            &self,
            _advert: crate::net::backend::Advert,
            _found: tokio::sync::mpsc::Sender<DiscoveryNews>,
        ) -> Result<Box<dyn DiscoveryGuard>, DiscoveryError> {
            Err(DiscoveryError("blind".to_owned()))
        }
    }

    /// The configuration of a node that is all by itself in `state_dir`.
    pub(crate) fn config(state_dir: &std::path::Path) -> NodeConfig {
        NodeConfig {
            state_dir: state_dir.to_path_buf(),
            games_dir: None,
            name: None,
            listen: None,
            interfaces: vec!["lo".to_owned()],
            catalog: None,
            transport: Transport::Udp,
            discovery: Arc::new(Blind),
            unpack_program: "/nowhere".into(),
            control_socket: false,
        }
    }

    pub(crate) fn wires() -> Wires {
        let state_dir = tempfile::tempdir().unwrap();
        let (local, local_reader) = watch::channel(Arc::default());
        let (announced, announced_reader) = watch::channel(Announced::default());
        let (peer_table, peer_table_reader) = watch::channel(Arc::default());
        let (operation_table, operation_table_reader) = watch::channel(Arc::default());
        let (catalog, catalog_reader) = watch::channel(Arc::new(None));
        let ports = Ports {
            config: Arc::new(config(state_dir.path())),
            identity: Arc::new(Identity::random().unwrap()),
            disk: DiskHandle::nobody(),
            library: Addr::nobody(),
            operations: Addr::nobody(),
            peers: Addr::nobody(),
            discovery: Addr::nobody(),
            view: Addr::nobody(),
            local: local_reader,
            announced: announced_reader,
            peer_table: peer_table_reader,
            operation_table: operation_table_reader,
            catalog: catalog_reader,
            manifests: ManifestStore::new(state_dir.path()),
        };
        let rest = (announced, peer_table, operation_table, catalog, state_dir);
        Wires { ports, local, _rest: Box::new(rest) }
    }
}
