//! The `Network` actor: the order and the budgets of its group, the port that survives, the
//! farewell.

use std::{net::SocketAddr, time::Duration};

use lanspread_actors::{
    api::Event,
    discovery::DiscoveryMsg,
    listener::ListenerMsg,
    net::{
        endpoint::{Listen, bind, dial},
        limits,
    },
    network::{Network, NetworkArgs, NetworkMsg},
    peers::PeersMsg,
    view::ViewMsg,
};
use lanspread_tests::{
    hub::{Hub, Link},
    vdiscovery::VirtualDiscovery,
};
use ractor::{Actor, ActorCell, ActorRef, concurrency::JoinHandle, rpc::CallResult};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    transport::{address, identity, node},
    wiring::{Wiring, child, next_child},
};

async fn start(args: &NetworkArgs) -> (ActorRef<NetworkMsg>, JoinHandle<()>) {
    Actor::spawn(None, Network, args.clone()).await.unwrap()
}

struct Setup {
    hub: Hub,
    segment: VirtualDiscovery,
    wiring: Wiring,
    network: ActorRef<NetworkMsg>,
    joined: JoinHandle<()>,
}

/// Node 1 on a virtual network.
async fn setup() -> Setup {
    let hub = Hub::new(31, Link::default());
    let segment = VirtualDiscovery::new(Duration::ZERO);
    let wiring = Wiring::virtual_node(1, &hub, &segment).await;
    let (network, joined) = start(&wiring.args).await;
    Setup { hub, segment, wiring, network, joined }
}

fn group(network: &ActorCell) -> [ActorCell; 3] {
    [
        child::<PeersMsg>(network).unwrap(),
        child::<ListenerMsg>(network).unwrap(),
        child::<DiscoveryMsg>(network).unwrap(),
    ]
}

fn restart(message: ViewMsg) -> Option<(String, u32)> {
    match message {
        ViewMsg::Event(Event::ActorRestarted { component, restarts, .. }) => {
            Some((component, restarts))
        }
        _ => None,
    }
}

fn discovery_problem(message: ViewMsg) -> Option<Option<String>> {
    match message {
        ViewMsg::Problem { part: "discovery", text } => Some(text),
        _ => None,
    }
}

/// Proves A2: who dies takes those after it along, in order, and those before it stay.
#[tokio::test(start_paused = true)]
async fn the_group_is_restarted_in_order() {
    let mut setup = setup().await;
    let cell = setup.network.get_cell();
    let [peers, listener, discovery] = group(&cell);
    discovery.kill();
    let discovery = next_child::<DiscoveryMsg>(&cell, &discovery).await;
    assert_eq!(setup.wiring.view.wait(restart).await, ("discovery".to_owned(), 1));
    assert_eq!(group(&cell)[..2], [peers.clone(), listener.clone()]);
    listener.kill();
    let listener = next_child::<ListenerMsg>(&cell, &listener).await;
    let discovery = next_child::<DiscoveryMsg>(&cell, &discovery).await;
    assert_eq!(group(&cell)[0], peers);
    peers.kill();
    let peers = next_child::<PeersMsg>(&cell, &peers).await;
    let listener = next_child::<ListenerMsg>(&cell, &listener).await;
    let discovery = next_child::<DiscoveryMsg>(&cell, &discovery).await;
    assert_eq!(group(&cell), [peers, listener, discovery]);
    assert_eq!(setup.segment.present(), [identity(1).peer_id()], "advertised once");
}

/// Proves F1: a new listener accepts on the same port, and its slot-mates know the way.
#[tokio::test(start_paused = true)]
async fn a_restarted_listener_accepts_on_the_same_port() {
    let setup = setup().await;
    let cell = setup.network.get_cell();
    let listener = child::<ListenerMsg>(&cell).unwrap();
    listener.kill();
    next_child::<ListenerMsg>(&cell, &listener).await;
    let two = node(&setup.hub, 2);
    let expected = Some(identity(1).peer_id());
    dial(&two.endpoint, &identity(2), address(1), expected).await.unwrap();
    assert_eq!(*setup.wiring.args.addresses.borrow(), [address(1)]);
    assert!(setup.wiring.args.ports.peers.current().is_some());
}

/// Proves F8, F3: discovery that cannot start is given up after its budget, said in a sentence, and
/// comes back when it can.
#[tokio::test(start_paused = true)]
async fn discovery_past_its_budget_degrades_and_returns() {
    let mut setup = setup().await;
    let cell = setup.network.get_cell();
    let [peers, listener, discovery] = group(&cell);
    setup.segment.set_broken(identity(1).peer_id(), true);
    discovery.kill();
    let text = setup.wiring.view.wait(|message| discovery_problem(message).flatten()).await;
    assert!(text.contains("the test broke it"), "{text}");
    sleep(Duration::from_secs(60)).await;
    let restarts = setup.wiring.view.so_far().into_iter().filter_map(restart).count();
    assert_eq!(restarts, 0, "given up is given up");
    let others = [child::<PeersMsg>(&cell), child::<ListenerMsg>(&cell)];
    assert_eq!(others, [Some(peers), Some(listener)], "the others go on");
    setup.segment.set_broken(identity(1).peer_id(), false);
    assert_eq!(setup.wiring.view.wait(discovery_problem).await, None);
    assert_eq!(setup.segment.present(), [identity(1).peer_id()]);
}

/// Proves F8: the number of restarts is the budget's.
#[tokio::test(start_paused = true)]
async fn a_listener_that_always_dies_takes_the_network_with_it() {
    let mut setup = setup().await;
    let cell = setup.network.get_cell();
    let mut killed = 0;
    let mut last = None;
    while !setup.joined.is_finished() {
        match child::<ListenerMsg>(&cell).filter(|child| Some(child.get_id()) != last) {
            Some(listener) => {
                last = Some(listener.get_id());
                listener.kill();
                killed += 1;
            }
            None => sleep(Duration::from_millis(1)).await,
        }
    }
    assert_eq!(killed, limits::RESTARTS_MAX + 1);
    let restarts: Vec<_> = setup.wiring.view.so_far().into_iter().filter_map(restart).collect();
    assert_eq!(restarts.len(), limits::RESTARTS_MAX);
    assert_eq!(restarts.last().unwrap(), &("listener".to_owned(), limits::RESTARTS_MAX as u32));
}

/// Proves P10, F10: at shutdown nobody finds us any more, the others are told, and it takes little
/// time.
#[tokio::test(start_paused = true)]
async fn the_end_is_told_in_order() {
    let setup = setup().await;
    let two = node(&setup.hub, 2);
    let dialled = dial(&two.endpoint, &identity(2), address(1), None).await.unwrap();
    let withdrawn = setup
        .network
        .call(|reply| NetworkMsg::Withdraw { reply }, Some(Duration::from_secs(1)))
        .await;
    assert!(matches!(withdrawn, Ok(CallResult::Success(()))));
    assert_eq!(setup.segment.present(), []);
    assert!(child::<DiscoveryMsg>(&setup.network.get_cell()).is_none());
    let started = Instant::now();
    setup.network.stop(None);
    setup.joined.await.unwrap();
    let took = started.elapsed();
    assert!(took < Duration::from_millis(500), "{took:?}");
    let reason = timeout(Duration::from_secs(1), dialled.connection.closed()).await.unwrap();
    assert!(!matches!(reason, quinn::ConnectionError::TimedOut), "{reason:?}");
}

/// Proves F1, F9: after its own death the network has its port back, and the next one too.
#[tokio::test]
async fn a_restarted_network_has_its_port_back() {
    let segment = VirtualDiscovery::new(Duration::ZERO);
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let wiring = Wiring::real_node(1, any, &segment).await;
    let mut port = None;
    for _ in 0..3 {
        let (network, joined) = start(&wiring.args).await;
        let address = wiring.args.addresses.borrow()[0];
        assert_eq!(address.port(), *port.get_or_insert(address.port()));
        assert_eq!(*wiring.args.port.borrow(), port);
        // A connection that is alive when the network dies holds the socket until it has drained.
        let own = identity(2);
        let two = bind(&lanspread_actors::net::backend::Transport::Udp, Listen::At(any), &own);
        let two = two.unwrap();
        let connection = dial(&two.endpoint, &own, address, None).await.unwrap().connection;
        let died_at = Instant::now();
        network.kill();
        joined.await.unwrap();
        let reason = timeout(Duration::from_secs(2), connection.closed()).await.unwrap();
        let took = died_at.elapsed();
        assert!(matches!(reason, quinn::ConnectionError::ApplicationClosed(_)), "{reason:?}");
        assert!(took < Duration::from_millis(500), "{took:?}");
    }
}

/// Proves F1: the same on the virtual network, where both incarnations have one socket.
#[tokio::test(start_paused = true)]
async fn a_restarted_network_is_reached_again() {
    let Setup { hub, segment, wiring, mut network, mut joined } = setup().await;
    let two = node(&hub, 2);
    for _ in 0..3 {
        let reached = dial(&two.endpoint, &identity(2), address(1), None).await.unwrap();
        network.kill();
        joined.await.unwrap();
        (network, joined) = start(&wiring.args).await;
        timeout(Duration::from_secs(1), reached.connection.closed()).await.unwrap();
        // The predecessor answers, and refuses, as long as its connections need to end: three probe
        // time-outs, long ones here because nothing was measured on a connection so young.
        let redial = async {
            while dial(&two.endpoint, &identity(2), address(1), None).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(1), redial).await.unwrap();
    }
    assert_eq!(segment.present(), [identity(1).peer_id()]);
}

/// A kept port that another program took is given up with a word; one that the user asked for is
/// not.
#[tokio::test]
async fn a_port_that_was_taken_meanwhile_is_replaced() {
    let segment = VirtualDiscovery::new(Duration::ZERO);
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let thief = std::net::UdpSocket::bind(any).unwrap();
    let taken = thief.local_addr().unwrap();
    let mut wiring = Wiring::real_node(1, any, &segment).await;
    wiring.args.port.send_replace(Some(taken.port()));
    let (network, joined) = start(&wiring.args).await;
    assert_ne!(*wiring.args.port.borrow(), Some(taken.port()));
    let notice = |message| match message {
        ViewMsg::Notice { message, .. } => Some(message),
        _ => None,
    };
    let text = wiring.view.wait(notice).await;
    assert!(text.contains(&taken.port().to_string()), "{text}");
    network.stop(None);
    joined.await.unwrap();
    let wiring = Wiring::real_node(1, taken, &segment).await;
    let error = Actor::spawn(None, Network, wiring.args).await.unwrap_err();
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
}
