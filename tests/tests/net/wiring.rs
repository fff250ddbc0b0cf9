//! The wiring of a node without the node: what the network actors are given, and listeners in the
//! place of those they talk to.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use lanspread_actors::{
    addr::{Addr, Slot},
    config::NodeConfig,
    discovery::DiscoveryMsg,
    disk::DiskHandle,
    manifests::ManifestStore,
    net::backend::Transport,
    network::{NetworkArgs, NetworkSlots},
    peers::PeersMsg,
    ports::Ports,
    view::ViewMsg,
};
use lanspread_tests::{hub::Hub, vdiscovery::VirtualDiscovery};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, Message};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::transport::{address, identity};

/// Messages that a test has not looked at yet.
const UNSEEN_MAX: usize = 100_000;

/// Keeps every message for the test.
struct Collector<M>(mpsc::Sender<M>);

impl<M: Message> Actor for Collector<M> {
    type Msg = M;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<M>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<M>,
        message: M,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        self.0.try_send(message).ok();
        Ok(())
    }
}

/// An address whose messages the test reads, and those messages.
pub(crate) async fn collector<M: Message>() -> (Addr<M>, Heard<M>) {
    let (sender, receiver) = mpsc::channel(UNSEEN_MAX);
    let (actor, _) = Actor::spawn(None, Collector(sender), ()).await.unwrap();
    let (slot, addr) = Slot::new();
    slot.publish(Some(actor));
    (addr, Heard { receiver, _slot: slot })
}

/// What was told.
pub(crate) struct Heard<M> {
    receiver: mpsc::Receiver<M>,
    _slot: Slot<M>,
}

impl<M> Heard<M> {
    /// The first message from now on that `pick` makes something of.
    pub(crate) async fn wait<T>(&mut self, mut pick: impl FnMut(M) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let message = self.receiver.recv().await.unwrap();
                if let Some(found) = pick(message) {
                    return found;
                }
            }
        };
        timeout(Duration::from_secs(600), waiting).await.expect("it was never told")
    }

    /// What was told so far.
    pub(crate) fn so_far(&mut self) -> Vec<M> {
        std::iter::from_fn(|| self.receiver.try_recv().ok()).collect()
    }
}

/// What one node is made of here.
pub(crate) struct Wiring {
    pub(crate) args: NetworkArgs,
    pub(crate) view: Heard<ViewMsg>,
}

impl Wiring {
    /// Node `number` on the hub and the segment.
    pub(crate) async fn virtual_node(number: u8, hub: &Hub, segment: &VirtualDiscovery) -> Self {
        let transport = hub.transport(address(number));
        Self::new(number, transport, None, &[], segment).await
    }

    /// Node `number` on real sockets of the interfaces named, or of all.
    pub(crate) async fn node_on(
        number: u8,
        interfaces: &[&str],
        segment: &VirtualDiscovery,
    ) -> Self {
        Self::new(number, Transport::Udp, None, interfaces, segment).await
    }

    /// Node `number` on a real socket of loopback.
    pub(crate) async fn real_node(
        number: u8,
        listen: SocketAddr,
        segment: &VirtualDiscovery,
    ) -> Self {
        Self::new(number, Transport::Udp, Some(listen), &[], segment).await
    }

    async fn new(
        number: u8,
        transport: Transport,
        listen: Option<SocketAddr>,
        interfaces: &[&str],
        segment: &VirtualDiscovery,
    ) -> Self {
        let (view_addr, view) = collector().await;
        let (peers, peers_addr) = Slot::<PeersMsg>::new();
        let (discovery, discovery_addr) = Slot::<DiscoveryMsg>::new();
        let (peer_table, peer_table_reader) = watch::channel(Arc::default());
        let state_dir = std::env::temp_dir();
        let config = NodeConfig {
            state_dir: state_dir.clone(),
            games_dir: None,
            name: Some(format!("node {number}")),
            listen,
            interfaces: interfaces.iter().map(|name| (*name).to_owned()).collect(),
            catalog: None,
            transport,
            discovery: segment.backend(),
            unpack_program: "unused".into(),
            control_socket: false,
        };
        let ports = Ports {
            config: Arc::new(config),
            identity: Arc::new(identity(number)),
            disk: DiskHandle::new(Addr::nobody()),
            library: Addr::nobody(),
            operations: Addr::nobody(),
            peers: peers_addr,
            discovery: discovery_addr,
            view: view_addr,
            local: watch::channel(Arc::default()).1,
            announced: watch::channel(lanspread_actors::facts::Announced::default()).1,
            peer_table: peer_table_reader,
            operation_table: watch::channel(Arc::default()).1,
            catalog: watch::channel(Arc::new(None)).1,
            manifests: ManifestStore::new(&state_dir),
        };
        let args = NetworkArgs {
            ports,
            peer_table: Arc::new(peer_table),
            slots: NetworkSlots { peers: Arc::new(peers), discovery: Arc::new(discovery) },
            addresses: Arc::new(watch::Sender::new(Vec::new())),
            port: Arc::new(watch::Sender::new(None)),
        };
        Self { args, view }
    }
}

/// The living child of `parent` that hears messages of type `M`.
pub(crate) fn child<M: Message>(parent: &ActorCell) -> Option<ActorCell> {
    parent.get_children().into_iter().find(|child| child.is_message_type_of::<M>() == Some(true))
}

/// Waits until `parent` has a child for `M` other than `old`; returns it.
pub(crate) async fn next_child<M: Message>(parent: &ActorCell, old: &ActorCell) -> ActorCell {
    let waiting = async {
        loop {
            if let Some(child) = child::<M>(parent).filter(|child| child.get_id() != old.get_id()) {
                return child;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(600), waiting).await.expect("it was never started again")
}
