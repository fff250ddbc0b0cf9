//! The wiring of a node: every address and every fact, made once before anything starts, kept as
//! long as the node lives. Restarts of the parts behind them change nothing here.

use std::{net::SocketAddr, sync::Arc};

use lanspread_wire::Catalog;
use tokio::sync::watch;

use crate::{
    addr::Slot,
    config::NodeConfig,
    control::ControlMsg,
    disk::{DiskHandle, DiskMsg},
    facts::{Announced, LocalLibrary, OperationTable, PeerTable},
    library::LibraryMsg,
    manifests::ManifestStore,
    net::identity::Identity,
    network::{NetworkMsg, NetworkSlots},
    operations::OperationsMsg,
    ports::Ports,
    view::{ViewMemory, ViewMsg},
};

/// The write ends of the facts; each goes to its one owner.
pub(crate) struct Facts {
    pub(crate) local: Arc<watch::Sender<Arc<LocalLibrary>>>,
    pub(crate) announced: Arc<watch::Sender<Announced>>,
    pub(crate) table: Arc<watch::Sender<Arc<OperationTable>>>,
    pub(crate) peer_table: Arc<watch::Sender<Arc<PeerTable>>>,
    pub(crate) addresses: Arc<watch::Sender<Vec<SocketAddr>>>,
    /// The port to take and then the one that was taken.
    pub(crate) port: Arc<watch::Sender<Option<u16>>>,
    pub(crate) memory: Arc<watch::Sender<ViewMemory>>,
    /// Kept so that the catalog's readers never see it closed.
    pub(crate) _catalog: watch::Sender<Arc<Option<Catalog>>>,
}

/// The write ends of the addresses of the node's own children.
pub(crate) struct Slots {
    pub(crate) view: Slot<ViewMsg>,
    pub(crate) disk: Slot<DiskMsg>,
    pub(crate) library: Slot<LibraryMsg>,
    pub(crate) operations: Slot<OperationsMsg>,
    pub(crate) network: Slot<NetworkMsg>,
    pub(crate) control: Slot<ControlMsg>,
}

/// Everything of a node that its parts are wired with.
pub(crate) struct Wiring {
    pub(crate) ports: Ports,
    pub(crate) facts: Facts,
    pub(crate) network_slots: NetworkSlots,
}

/// Makes the wiring of a node.
pub(crate) fn wire(
    config: Arc<NodeConfig>,
    identity: Arc<Identity>,
    catalog: Arc<Option<Catalog>>,
    port: Option<u16>,
) -> (Wiring, Slots) {
    let (view, view_addr) = Slot::new();
    let (disk, disk_addr) = Slot::new();
    let (library, library_addr) = Slot::new();
    let (operations, operations_addr) = Slot::new();
    let (peers, peers_addr) = Slot::new();
    let (discovery, discovery_addr) = Slot::new();
    let (network, _) = Slot::new();
    let (control, _) = Slot::new();
    let (local, local_reader) = watch::channel(Arc::default());
    let (announced, announced_reader) = watch::channel(Announced::default());
    let (peer_table, peer_table_reader) = watch::channel(Arc::default());
    let (table, table_reader) = watch::channel(Arc::default());
    let (catalog, catalog_reader) = watch::channel(catalog);
    let manifests = ManifestStore::new(&config.state_dir);
    let ports = Ports {
        config,
        identity,
        disk: DiskHandle::new(disk_addr),
        library: library_addr,
        operations: operations_addr,
        peers: peers_addr,
        discovery: discovery_addr,
        view: view_addr,
        local: local_reader,
        announced: announced_reader,
        peer_table: peer_table_reader,
        operation_table: table_reader,
        catalog: catalog_reader,
        manifests,
    };
    let facts = Facts {
        local: Arc::new(local),
        announced: Arc::new(announced),
        table: Arc::new(table),
        peer_table: Arc::new(peer_table),
        addresses: Arc::new(watch::Sender::new(Vec::new())),
        port: Arc::new(watch::Sender::new(port)),
        memory: Arc::new(watch::Sender::new(ViewMemory::default())),
        _catalog: catalog,
    };
    let network_slots = NetworkSlots { peers: Arc::new(peers), discovery: Arc::new(discovery) };
    let slots = Slots { view, disk, library, operations, network, control };
    (Wiring { ports, facts, network_slots }, slots)
}
