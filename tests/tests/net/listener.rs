//! The accept loop on the virtual network: whom it hands over, whom it turns away, and what a flood
//! costs.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use lanspread_actors::{
    api::Event,
    listener::{Listener, ListenerArgs, ListenerMsg, gate::SharedGate},
    net::{
        endpoint::{Bound, DialError, Listen, bind, dial},
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
use lanspread_wire::{ALPN, CloseCode};
use quinn::ConnectionError;
use ractor::{Actor, ActorRef};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    identity::{dialler, forged, pretender},
    transport::{address, identity, node},
    wiring::{Heard, Wiring, collector},
};

/// A listener at node 1 that hands over to the test.
struct Setup {
    hub: Hub,
    peers: Heard<PeersMsg>,
    view: Heard<ViewMsg>,
    _bound: Bound,
    listener: ActorRef<ListenerMsg>,
}

async fn setup(link: Link) -> Setup {
    let hub = Hub::new(21, link);
    let wiring = Wiring::virtual_node(1, &hub, &VirtualDiscovery::new(Duration::ZERO)).await;
    let (peers_addr, peers) = collector().await;
    let ports = Ports { peers: peers_addr, ..wiring.args.ports };
    let bound = bind(&ports.config.transport, Listen::Everywhere(0), &ports.identity).unwrap();
    let args = ListenerArgs {
        ports,
        endpoint: bound.endpoint.clone(),
        gate: SharedGate::default(),
        interfaces: watch::channel(Arc::default()).1,
    };
    let (listener, _) = Actor::spawn(None, Listener, args).await.unwrap();
    Setup { hub, peers, view: wiring.view, _bound: bound, listener }
}

fn incoming(message: PeersMsg) -> Option<PeersMsg> {
    matches!(message, PeersMsg::Incoming { .. }).then_some(message)
}

fn rejection(message: ViewMsg) -> Option<Event> {
    match message {
        ViewMsg::Event(event @ Event::PeerRejected { .. }) => Some(event),
        _ => None,
    }
}

async fn dial_as(from: &Bound, number: u8) -> Result<quinn::Connection, DialError> {
    let expected = Some(identity(1).peer_id());
    let dialled = dial(&from.endpoint, &identity(number), address(1), expected).await?;
    Ok(dialled.connection)
}

/// Proves P1: what is handed over is who it says.
#[tokio::test(start_paused = true)]
async fn a_proved_connection_is_handed_over() {
    let mut setup = setup(Link::default()).await;
    let two = node(&setup.hub, 2);
    let dialled = dial_as(&two, 2).await.unwrap();
    let PeersMsg::Incoming { peer, connection, admission } = setup.peers.wait(incoming).await
    else {
        unreachable!()
    };
    assert_eq!(peer, identity(2).peer_id());
    assert_eq!(connection.remote_address(), address(2));
    assert!(dialled.close_reason().is_none());
    // The connection is its owner's: the listener keeps no handle that would hold it open.
    drop((connection, admission));
    assert!(matches!(dialled.closed().await, ConnectionError::ApplicationClosed(_)));
}

/// Proves P1, T04: a forger is not handed over, and the refusal names its address and its claim.
#[tokio::test(start_paused = true)]
async fn a_forger_is_named_and_not_handed_over() {
    let mut setup = setup(Link::default()).await;
    let attacker = pretender(&setup.hub, 9, None);
    let config = dialler(Some(forged(2, 9)), ALPN);
    let connecting = attacker.connect_with(config, address(1), "lanspread").unwrap();
    if let Ok(connection) = connecting.await {
        connection.closed().await;
    }
    let event = setup.view.wait(rejection).await;
    let Event::PeerRejected { address: from, claimed_id, code, message } = event else {
        unreachable!()
    };
    assert_eq!(from, address(9));
    assert_eq!(claimed_id, Some(identity(2).peer_id()));
    assert_eq!(code, CloseCode::AuthRequired.code());
    assert!(message.contains("10.0.0.9:4000"), "{message}");
    assert_eq!(setup.peers.so_far().len(), 0);
}

/// Proves T02, T06, T08: each refusal has its own code.
#[tokio::test(start_paused = true)]
async fn refusals_are_told_apart() {
    let cases = [
        (dialler(None, ALPN), CloseCode::AuthRequired),
        (dialler(Some(forged(1, 1)), ALPN), CloseCode::SelfConnect),
        (dialler(Some(forged(9, 9)), b"lanspread/9"), CloseCode::VersionMismatch),
    ];
    for (config, expected) in cases {
        let mut setup = setup(Link::default()).await;
        let attacker = pretender(&setup.hub, 9, None);
        let connecting = attacker.connect_with(config, address(1), "lanspread").unwrap();
        if let Ok(connection) = connecting.await {
            connection.closed().await;
        }
        let Event::PeerRejected { code, .. } = setup.view.wait(rejection).await else {
            unreachable!()
        };
        assert_eq!(code, expected.code());
    }
}

/// Proves T22: one address has a few connections; when one ends there is room for another.
#[tokio::test(start_paused = true)]
async fn one_address_gets_a_few_connections() {
    let mut setup = setup(Link::default()).await;
    let many = node(&setup.hub, 2);
    let mut kept = Vec::new();
    for _ in 0..limits::CONNECTIONS_PER_IP_MAX {
        let dialled = dial_as(&many, 2).await.unwrap();
        kept.push((dialled, setup.peers.wait(incoming).await));
    }
    assert!(dial_as(&many, 2).await.is_err());
    // Another address is not affected.
    let other = node(&setup.hub, 3);
    dial_as(&other, 3).await.unwrap();
    kept.pop();
    dial_as(&many, 2).await.unwrap();
}

/// Proves T21: sources that never answer cost a bounded number of handshakes, and an honest dial is
/// served while they come.
#[tokio::test(start_paused = true)]
async fn spoofed_sources_do_not_keep_others_out() {
    let mut setup = setup(Link::default()).await;
    let attacker = [10, 66, 0, 1];
    let mut dials = Vec::new();
    let mut endpoints = Vec::new();
    for number in 0..300_u16 {
        let [high, low] = number.to_be_bytes();
        let from = SocketAddr::from(([attacker[0], attacker[1], high, low], 4000));
        // The answers go to somebody else: whoever really has that address.
        setup.hub.cut(address(1).ip(), from.ip());
        let endpoint =
            bind(&setup.hub.transport(from), Listen::Everywhere(0), &identity(9)).unwrap().endpoint;
        let own = identity(9);
        let spoofing = endpoint.clone();
        dials.push(async move { dial(&spoofing, &own, address(1), None).await.map(drop) });
        endpoints.push(endpoint);
    }
    let honest = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let two = node(&setup.hub, 2);
        let started = Instant::now();
        let connection = dial_as(&two, 2).await.unwrap();
        (connection, started.elapsed(), two)
    };
    let flood = futures_join(dials);
    let (failed, (_connection, took, _two)) = tokio::join!(biased; flood, honest);
    assert_eq!(failed, 300);
    assert!(took < Duration::from_millis(100), "{took:?}");
    let handed_over = setup.peers.so_far();
    assert_eq!(handed_over.len(), 1);
    let retried: u64 = setup
        .view
        .so_far()
        .into_iter()
        .filter_map(|message| match message {
            ViewMsg::Count { counter: "incoming-retried", by } => Some(by),
            _ => None,
        })
        .sum();
    assert!(retried >= 300 - limits::HANDSHAKES_UNVALIDATED_MAX as u64, "{retried}");
}

/// Runs all of them at once; how many failed.
async fn futures_join<T, E>(
    dials: Vec<impl Future<Output = Result<T, E>> + Send + 'static>,
) -> usize
where
    T: Send + 'static,
    E: Send + 'static,
{
    let mut running = tokio::task::JoinSet::new();
    for dial in dials {
        running.spawn(dial);
    }
    running.join_all().await.into_iter().filter(Result::is_err).count()
}

fn counted(message: ViewMsg, wanted: &str) -> Option<u64> {
    match message {
        ViewMsg::Count { counter, by } if counter == wanted => Some(by),
        _ => None,
    }
}

/// Proves T21, T23: a handshake that is never finished ends, and its place is free again.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_stands_still_ends() {
    let mut setup = setup(Link::default()).await;
    let slow = node(&setup.hub, 2);
    setup.hub.cut(address(1).ip(), address(2).ip());
    let started = Instant::now();
    for _ in 0..limits::CONNECTIONS_PER_IP_MAX {
        let dialling = timeout(Duration::from_millis(5), dial_as(&slow, 2));
        assert!(dialling.await.is_err());
    }
    let mut ended = 0;
    while ended < limits::CONNECTIONS_PER_IP_MAX as u64 {
        ended += setup.view.wait(|message| counted(message, "handshakes-broken")).await;
    }
    assert!(started.elapsed() < limits::HANDSHAKE_DEADLINE + Duration::from_secs(1));
    setup.hub.heal();
    dial_as(&slow, 2).await.unwrap();
}

/// Proves T01: whoever dials us and expects another is not accused of anything.
#[tokio::test(start_paused = true)]
async fn a_dialler_that_wants_somebody_else_is_no_offender() {
    let mut setup = setup(Link::default()).await;
    let two = node(&setup.hub, 2);
    let expected = Some(identity(3).peer_id());
    let error = dial(&two.endpoint, &identity(2), address(1), expected).await.unwrap_err();
    assert!(matches!(error, DialError::IdentityMismatch { .. }), "{error:?}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let told = setup.view.so_far();
    assert_eq!(told.into_iter().filter_map(rejection).count(), 0);
    assert_eq!(setup.peers.so_far().len(), 0);
}

/// Proves F1: a listener that dies takes no connection with it that was handed over.
#[tokio::test(start_paused = true)]
async fn connections_outlive_the_listener() {
    let mut setup = setup(Link::default()).await;
    let two = node(&setup.hub, 2);
    let dialled = dial_as(&two, 2).await.unwrap();
    let kept = setup.peers.wait(incoming).await;
    setup.listener.kill();
    setup.listener.wait(None).await.unwrap();
    let lasting = timeout(Duration::from_secs(60), dialled.closed());
    assert!(lasting.await.is_err(), "still there after a minute");
    drop(kept);
}

/// Proves F1: when the endpoint accepts nothing any more the listener says so by dying.
#[tokio::test(start_paused = true)]
async fn the_listener_dies_with_the_endpoint() {
    let setup = setup(Link::default()).await;
    setup._bound.endpoint.close(0_u32.into(), b"");
    timeout(Duration::from_secs(1), setup.listener.wait(None)).await.unwrap().unwrap();
}
