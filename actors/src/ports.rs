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
