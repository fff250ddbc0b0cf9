//! Whole network groups on the virtual network: they find each other, lose each other, and find
//! each other again.

use std::{net::IpAddr, time::Duration};

use lanspread_actors::{
    api::Event,
    network::{Network, NetworkMsg},
    view::ViewMsg,
};
use lanspread_tests::{
    hub::{Hub, Link},
    vdiscovery::VirtualDiscovery,
};
use ractor::{Actor, ActorRef, concurrency::JoinHandle};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    transport::{address, identity},
    wiring::Wiring,
};

/// One node without library and operations.
struct Node {
    number: u8,
    wiring: Wiring,
    network: ActorRef<NetworkMsg>,
    joined: JoinHandle<()>,
}

impl Node {
    async fn start(number: u8, hub: &Hub, segment: &VirtualDiscovery) -> Self {
        let wiring = Wiring::virtual_node(number, hub, segment).await;
        let (network, joined) = Actor::spawn(None, Network, wiring.args.clone()).await.unwrap();
        Self { number, wiring, network, joined }
    }

    /// Waits until exactly these are connected.
    async fn knows(&self, others: &[u8], within: Duration) {
        let mut table = self.wiring.args.ports.peer_table.clone();
        let mut wanted: Vec<_> = others.iter().map(|other| identity(*other).peer_id()).collect();
        wanted.sort();
        let reached = table.wait_for(|table| table.peers.keys().eq(&wanted));
        let reached = timeout(within, reached).await.is_ok();
        let known = self.wiring.args.ports.peer_table.borrow().peers.len();
        assert!(reached, "node {} knows {known} others, not {others:?}", self.number);
    }

    async fn restart(self) -> Self {
        self.network.kill();
        self.joined.await.unwrap();
        let (network, joined) =
            Actor::spawn(None, Network, self.wiring.args.clone()).await.unwrap();
        Self { network, joined, ..self }
    }
}

fn ip(number: u8) -> IpAddr {
    address(number).ip()
}

async fn party(count: u8, link: Link) -> (Hub, VirtualDiscovery, Vec<Node>) {
    let hub = Hub::new(41, link);
    let segment = VirtualDiscovery::new(Duration::from_millis(80));
    let mut nodes = Vec::new();
    for number in 1..=count {
        nodes.push(Node::start(number, &hub, &segment).await);
    }
    (hub, segment, nodes)
}

async fn all_know_all(nodes: &[Node], within: Duration) {
    for node in nodes {
        let others: Vec<u8> =
            nodes.iter().map(|node| node.number).filter(|other| *other != node.number).collect();
        node.knows(&others, within).await;
    }
}

/// Proves P6, P7: everybody is connected to everybody, once, at the address it states.
#[tokio::test(start_paused = true)]
async fn everybody_finds_everybody() {
    let (_hub, _segment, nodes) = party(6, Link::default()).await;
    all_know_all(&nodes, Duration::from_secs(5)).await;
    for node in &nodes {
        let table = node.wiring.args.ports.peer_table.borrow().clone();
        for other in nodes.iter().filter(|other| other.number != node.number) {
            let entry = &table.peers[&identity(other.number).peer_id()];
            assert_eq!(entry.addresses, [address(other.number)]);
        }
    }
}

/// Proves F13: with loss of one, five and twenty in a hundred, everybody appears in time.
#[tokio::test(start_paused = true)]
async fn loss_delays_a_meeting_but_does_not_prevent_it() {
    for (loss, within) in [(0.01, 10), (0.05, 20), (0.2, 60)] {
        let (_hub, _segment, nodes) = party(4, Link { loss, ..Link::default() }).await;
        all_know_all(&nodes, Duration::from_secs(within)).await;
    }
}

/// Proves F13: nobody is lost by mistake on a link that loses a few.
#[tokio::test(start_paused = true)]
async fn a_few_lost_packets_lose_nobody() {
    let (_hub, _segment, mut nodes) = party(4, Link { loss: 0.04, ..Link::default() }).await;
    all_know_all(&nodes, Duration::from_secs(20)).await;
    for node in &mut nodes {
        node.wiring.view.so_far();
    }
    sleep(Duration::from_secs(600)).await;
    for node in &mut nodes {
        let lost = node
            .wiring
            .view
            .so_far()
            .into_iter()
            .filter(|message| matches!(message, ViewMsg::Event(Event::PeerLost { .. })));
        assert_eq!(lost.count(), 0);
    }
}

/// Proves F11, P9: a cut is noticed within twenty seconds, and ten after its end all is as before.
#[tokio::test(start_paused = true)]
async fn a_partition_is_noticed_and_healed() {
    let (hub, _segment, nodes) = party(4, Link::default()).await;
    all_know_all(&nodes, Duration::from_secs(5)).await;
    for cut in [Duration::from_secs(30), Duration::from_secs(600)] {
        hub.partition(&[ip(1), ip(2)], &[ip(3), ip(4)]);
        let cut_at = Instant::now();
        for (node, others) in nodes.iter().zip([[2], [1], [4], [3]]) {
            node.knows(&others, Duration::from_secs(20)).await;
        }
        assert!(cut_at.elapsed() < Duration::from_secs(20));
        sleep(cut).await;
        hub.heal();
        all_know_all(&nodes, Duration::from_secs(10)).await;
    }
}

/// Proves F1: after the death of its whole network a node is known again soon, at the same address.
#[tokio::test(start_paused = true)]
async fn a_dead_network_is_known_again_soon() {
    let (_hub, _segment, mut nodes) = party(3, Link::default()).await;
    all_know_all(&nodes, Duration::from_secs(5)).await;
    for _ in 0..3 {
        let dying = nodes.remove(0);
        let restarted = dying.restart().await;
        nodes.push(restarted);
        all_know_all(&nodes, Duration::from_secs(5)).await;
    }
}

/// Proves F9, P10: whoever leaves in order is gone at once, and found when it comes back.
#[tokio::test(start_paused = true)]
async fn who_leaves_is_gone_at_once() {
    let (hub, segment, mut nodes) = party(3, Link::default()).await;
    all_know_all(&nodes, Duration::from_secs(5)).await;
    let leaving = nodes.remove(0);
    leaving.network.stop(None);
    leaving.joined.await.unwrap();
    all_know_all(&nodes, Duration::from_millis(500)).await;
    nodes.push(Node::start(1, &hub, &segment).await);
    all_know_all(&nodes, Duration::from_secs(5)).await;
}
