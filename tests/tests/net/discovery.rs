//! The `Discovery` actor: what it passes on, how it is paced, and how it dies.

use std::{sync::Arc, time::Duration};

use lanspread_actors::{
    discovery::{Discovery, DiscoveryArgs, DiscoveryMsg},
    net::{
        addresses::InterfaceAddress,
        backend::{Advert, Sighting},
        limits,
    },
    peers::PeersMsg,
    ports::Ports,
    view::ViewMsg,
};
use lanspread_tests::{
    hub::{Hub, Link},
    vdiscovery::VirtualDiscovery,
};
use lanspread_wire::{PROTOCOL_VERSION, PeerId};
use ractor::{Actor, ActorRef, SpawnErr, concurrency::JoinHandle};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::{
    transport::{address, identity},
    wiring::{Heard, Wiring, collector},
};

struct Setup {
    segment: VirtualDiscovery,
    peers: Heard<PeersMsg>,
    view: Heard<ViewMsg>,
    args: Option<DiscoveryArgs>,
}

impl Setup {
    async fn new() -> Self {
        let segment = VirtualDiscovery::new(Duration::ZERO);
        let hub = Hub::new(1, Link::default());
        let wiring = Wiring::virtual_node(1, &hub, &segment).await;
        let (peers_addr, peers) = collector().await;
        let args = DiscoveryArgs {
            ports: Ports { peers: peers_addr, ..wiring.args.ports },
            advert: advert(1),
            interfaces: watch::channel(Arc::default()).1,
        };
        Self { segment, peers, view: wiring.view, args: Some(args) }
    }

    async fn start(&mut self) -> Result<(ActorRef<DiscoveryMsg>, JoinHandle<()>), SpawnErr> {
        Actor::spawn(None, Discovery, self.args.take().unwrap()).await
    }

    async fn seen(&mut self) -> Sighting {
        self.peers.wait(sighting).await
    }
}

fn advert(number: u8) -> Advert {
    let address = address(number);
    let peer = identity(number).peer_id();
    Advert { peer, protocol: PROTOCOL_VERSION, port: address.port(), address }
}

fn sighting(message: PeersMsg) -> Option<Sighting> {
    match message {
        PeersMsg::Seen(sighting) => Some(sighting),
        _ => None,
    }
}

fn forged(number: u16) -> Sighting {
    let [high, low] = number.to_be_bytes();
    let mut id = [0xee; 32];
    id[..2].copy_from_slice(&[high, low]);
    Sighting { peer: PeerId(id), protocol: 1, addresses: vec![([10, 9, high, low], 4000).into()] }
}

/// Proves P6: discovery passes on who is there, from the first moment.
#[tokio::test(start_paused = true)]
async fn who_is_there_is_told_to_peers() {
    let mut setup = Setup::new().await;
    let other = setup.segment.backend();
    let (found, _news) = tokio::sync::mpsc::channel(1);
    let _guard = other.start(advert(2), found).unwrap();
    setup.start().await.unwrap();
    let sighting = setup.seen().await;
    assert_eq!(sighting.peer, identity(2).peer_id());
    assert_eq!(sighting.addresses, [address(2)]);
    assert_eq!(setup.segment.present().len(), 2);
}

/// Proves T13: a flood of sightings reaches `Peers` at a bounded pace, and nobody is lost.
#[tokio::test(start_paused = true)]
async fn a_flood_of_sightings_is_paced() {
    let mut setup = Setup::new().await;
    let many = limits::SIGHTINGS_BURST_MAX as u16 + 500;
    for number in 0..many {
        setup.segment.forge(forged(number));
    }
    let started = Instant::now();
    setup.start().await.unwrap();
    for number in 0..many {
        assert_eq!(setup.seen().await, forged(number));
    }
    let took = started.elapsed();
    assert!(took >= limits::SIGHTING_PAUSE * 499, "{took:?}");
    assert!(took < limits::SIGHTING_PAUSE * 1500, "{took:?}");
}

/// Proves T06: our own id at somebody else's address is said once, and never dialled.
#[tokio::test(start_paused = true)]
async fn a_cloned_identity_is_noticed() {
    let mut setup = Setup::new().await;
    let own = Sighting { peer: identity(1).peer_id(), ..forged(1) };
    let at_home = Sighting { addresses: vec![address(1)], ..own.clone() };
    setup.segment.forge(at_home);
    setup.segment.forge(own.clone());
    setup.segment.forge(Sighting { addresses: vec![address(7)], ..own });
    setup.segment.forge(forged(2));
    setup.start().await.unwrap();
    assert_eq!(setup.seen().await, forged(2));
    assert!(!setup.view.so_far().iter().any(|told| matches!(told, ViewMsg::Notice { .. })));
    sleep(limits::ADDRESS_CHECK_EVERY * 10).await;
    let notices: Vec<String> = setup
        .view
        .so_far()
        .into_iter()
        .filter_map(|message| match message {
            ViewMsg::Notice { message, .. } => Some(message),
            _ => None,
        })
        .collect();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("10.9.0.1:4000"), "{notices:?}");
    assert!(setup.peers.so_far().is_empty());
}

/// Proves T06, F23: a new address of our own is no clone, though discovery may see it first.
#[tokio::test(start_paused = true)]
async fn our_own_new_address_is_no_clone() {
    let mut setup = Setup::new().await;
    let interfaces = watch::Sender::new(Arc::default());
    setup.args.as_mut().unwrap().interfaces = interfaces.subscribe();
    let own = Sighting { peer: identity(1).peer_id(), ..forged(1) };
    setup.segment.forge(own.clone());
    setup.start().await.unwrap();
    sleep(limits::ADDRESS_CHECK_EVERY).await;
    let ip = own.addresses[0].ip();
    let found = InterfaceAddress { interface: "eth0".to_owned(), index: 2, ip, prefix_bits: 24 };
    interfaces.send_replace(Arc::new(vec![found]));
    sleep(limits::ADDRESS_CHECK_EVERY * 10).await;
    assert!(!setup.view.so_far().iter().any(|told| matches!(told, ViewMsg::Notice { .. })));
}

/// Proves T20: whoever finds nobody is told why that may be, until somebody is found.
#[tokio::test(start_paused = true)]
async fn a_lonely_node_says_what_may_be_in_the_way() {
    let mut setup = Setup::new().await;
    let hint = |message| match message {
        ViewMsg::Problem { part: "neighbours", text } => Some(text),
        _ => None,
    };
    let started = Instant::now();
    setup.start().await.unwrap();
    let text = setup.view.wait(hint).await.unwrap();
    assert!(started.elapsed() >= limits::QUIET_HINT_AFTER);
    assert!(text.contains("firewall") && text.contains("4000"), "{text}");
    setup.segment.forge(forged(1));
    assert_eq!(setup.view.wait(hint).await, None);
    sleep(Duration::from_secs(600)).await;
    let later = setup.view.so_far().into_iter().filter_map(hint).count();
    assert_eq!(later, 0, "not said again");
}

/// A refresh tells again who is there, and many at once are two.
#[tokio::test(start_paused = true)]
async fn refreshes_are_paced() {
    let mut setup = Setup::new().await;
    setup.segment.forge(forged(1));
    let (actor, _) = setup.start().await.unwrap();
    setup.seen().await;
    for _ in 0..50 {
        actor.cast(DiscoveryMsg::Refresh).unwrap();
    }
    sleep(limits::REFRESH_PAUSE * 5).await;
    assert_eq!(setup.peers.so_far().len(), 2);
    actor.cast(DiscoveryMsg::Refresh).unwrap();
    setup.seen().await;
}

/// Proves F1, F3: the death of discovery is the death of its actor, and a start that fails is told.
#[tokio::test(start_paused = true)]
async fn the_actor_dies_with_its_backend() {
    let mut setup = Setup::new().await;
    let (actor, joined) = setup.start().await.unwrap();
    setup.segment.kill(identity(1).peer_id());
    timeout(Duration::from_secs(1), joined).await.unwrap().unwrap();
    assert!(actor.cast(DiscoveryMsg::Refresh).is_err());
    assert_eq!(setup.segment.present(), [], "its guard went with it");
    let mut again = Setup::new().await;
    again.segment.set_broken(identity(1).peer_id(), true);
    assert!(again.start().await.is_err());
}

/// Proves P10, F10: a stop withdraws the advert.
#[tokio::test(start_paused = true)]
async fn a_stop_withdraws_the_advert() {
    let mut setup = Setup::new().await;
    let (actor, joined) = setup.start().await.unwrap();
    assert_eq!(setup.segment.present(), [identity(1).peer_id()]);
    actor.stop(None);
    joined.await.unwrap();
    assert_eq!(setup.segment.present(), []);
}
