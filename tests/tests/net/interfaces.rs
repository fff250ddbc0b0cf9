//! Interfaces that come and go, on a host of its own: the test runs itself again within the
//! namespace of a lab's host.

use std::{net::SocketAddr, process::Command, time::Duration};

use lanspread_actors::{
    discovery::mdns::MdnsDiscovery,
    net::{
        backend::{Advert, DiscoveryBackend, DiscoveryNews, Transport},
        endpoint::{Listen, bind, dial},
        limits,
    },
    network::Network,
};
use lanspread_tests::{lab::Lab, vdiscovery::VirtualDiscovery};
use ractor::Actor;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::{transport::identity, wiring::Wiring};

/// Set within the namespace.
const INSIDE: &str = "LANSPREAD_INSIDE_HOST";

/// Runs the test named `name` on a host of a lab; `true` if this process is that run.
fn on_a_host(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if let Some(lab) = Lab::new(1) {
        let this = std::env::current_exe().unwrap();
        let test = format!("interfaces::{name}");
        let mut command = lab.host(0).command(&this);
        let status = command.args(["--exact", &test, "--nocapture"]).env(INSIDE, "1").status();
        assert!(status.unwrap().success(), "the run on the host failed");
    }
    false
}

/// Runs the test named `name` on every host of a lab at once; the number of this host if this
/// process is one of those runs.
fn on_hosts(name: &str, count: u8) -> Option<u8> {
    if let Ok(number) = std::env::var(INSIDE) {
        return Some(number.parse().unwrap());
    }
    let lab = Lab::new(count)?;
    let this = std::env::current_exe().unwrap();
    let test = format!("interfaces::{name}");
    let runs: Vec<_> = (1..=count)
        .map(|number| {
            let mut command = lab.host(usize::from(number) - 1).command(&this);
            command.args(["--exact", &test, "--nocapture"]).env(INSIDE, number.to_string());
            command.spawn().unwrap()
        })
        .collect();
    for mut run in runs {
        assert!(run.wait().unwrap().success(), "the run on one of the hosts failed");
    }
    None
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.unwrap().success(), "ip {arguments}");
}

/// Proves F23: a new address is known within ten seconds, one that goes is forgotten, and the
/// socket outlives both.
#[tokio::test]
async fn addresses_follow_the_interfaces() {
    if !on_a_host("addresses_follow_the_interfaces") {
        return;
    }
    let segment = VirtualDiscovery::new(Duration::ZERO);
    let wiring = Wiring::node_on(1, &[], &segment).await;
    let (network, joined) = Actor::spawn(None, Network, wiring.args.clone()).await.unwrap();
    let mut addresses = wiring.args.addresses.subscribe();
    let port = wiring.args.port.borrow().unwrap();
    let at = |text: &str| SocketAddr::new(text.parse().unwrap(), port);
    let first = addresses.borrow_and_update().clone();
    assert!(first.contains(&at("10.77.0.1")) && first.contains(&at("127.0.0.1")), "{first:?}");
    let own = identity(2);
    let any = Listen::At(([127, 0, 0, 1], 0).into());
    let two = bind(&Transport::Udp, any, &own).unwrap();
    let connection = dial(&two.endpoint, &own, at("127.0.0.1"), None).await.unwrap().connection;
    for (change, expected) in
        [("addr add 10.88.0.1/24 dev eth0", true), ("addr flush dev eth0", false)]
    {
        ip(change);
        let changed_at = Instant::now();
        let following = addresses.wait_for(|found| found.contains(&at("10.88.0.1")) == expected);
        let found = timeout(Duration::from_secs(10), following).await.unwrap().unwrap().clone();
        let took = changed_at.elapsed();
        assert!(took <= limits::ADDRESS_CHECK_EVERY * 2, "{took:?}");
        assert_eq!(found.contains(&at("10.77.0.1")), expected, "{found:?}");
        assert_eq!(found.last(), Some(&at("::1")));
    }
    assert_eq!(*wiring.args.port.borrow(), Some(port));
    let again = dial(&two.endpoint, &own, at("127.0.0.1"), Some(identity(1).peer_id())).await;
    assert!(again.is_ok(), "the socket is the same one");
    drop((connection, again));
    network.stop(None);
    joined.await.unwrap();
}

/// Proves T14: a node told to use one interface does not answer on another.
#[tokio::test]
async fn other_interfaces_are_not_answered() {
    if !on_a_host("other_interfaces_are_not_answered") {
        return;
    }
    let segment = VirtualDiscovery::new(Duration::ZERO);
    let wiring = Wiring::node_on(1, &["eth0"], &segment).await;
    let (network, joined) = Actor::spawn(None, Network, wiring.args.clone()).await.unwrap();
    let port = wiring.args.port.borrow().unwrap();
    assert_eq!(*wiring.args.addresses.borrow(), [SocketAddr::from(([10, 77, 0, 1], port))]);
    let own = identity(2);
    let two = bind(&Transport::Udp, Listen::Everywhere(0), &own).unwrap();
    let loopback = SocketAddr::from(([127, 0, 0, 1], port));
    let unanswered = timeout(Duration::from_secs(2), dial(&two.endpoint, &own, loopback, None));
    assert!(unanswered.await.is_err(), "not even refused");
    let named = SocketAddr::from(([10, 77, 0, 1], port));
    dial(&two.endpoint, &own, named, None).await.unwrap();
    network.stop(None);
    joined.await.unwrap();
}

/// Proves P6, T14: two hosts find each other over the wire, at the addresses of the wire alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_find_each_other_over_the_wire() {
    let Some(number) = on_hosts("hosts_find_each_other_over_the_wire", 2) else {
        return;
    };
    let address = SocketAddr::from(([10, 77, 0, number], 4000));
    let peer = identity(number).peer_id();
    let advert = Advert { peer, protocol: 1, port: 4000, address };
    let (found, mut news) = mpsc::channel(8);
    let guard = MdnsDiscovery::new(Vec::new()).start(advert, found).unwrap();
    let other = 3 - number;
    let finding = async {
        loop {
            if let DiscoveryNews::Seen(sighting) = news.recv().await.unwrap()
                && sighting.peer == identity(other).peer_id()
            {
                return sighting.addresses;
            }
        }
    };
    let addresses = timeout(Duration::from_secs(20), finding).await.unwrap();
    assert_eq!(addresses[0], SocketAddr::from(([10, 77, 0, other], 4000)));
    assert!(addresses.iter().all(|found| !found.ip().is_loopback()), "{addresses:?}");
    // The other one may not have found us yet.
    tokio::time::sleep(Duration::from_secs(3)).await;
    guard.withdraw().await;
}
