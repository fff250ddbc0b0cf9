//! Two endpoints on the virtual network, on the paused clock: bytes arrive whole under loss, a silent
//! link is noticed in time, and one seed gives one run.

use std::{net::SocketAddr, time::Duration};

use lanspread_actors::net::{
    endpoint::{Bound, Listen, bind, dial},
    identity::Identity,
    limits,
};
use lanspread_tests::hub::{Hub, Link};
use quinn::{Connection, ConnectionError};
use tokio::time::{Instant, sleep};

/// Where node `number` lives.
pub(crate) fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 4000))
}

/// Who node `number` is.
pub(crate) fn identity(number: u8) -> Identity {
    Identity::from_seed(&[number; 32]).unwrap()
}

/// Node `number` on the hub.
pub(crate) fn node(hub: &Hub, number: u8) -> Bound {
    // The virtual transport brings its own address.
    bind(&hub.transport(address(number)), Listen::Everywhere(0), &identity(number)).unwrap()
}

/// Both ends of one connection, dialled by the first node.
pub(crate) async fn connect(
    dialler: &Bound,
    number: u8,
    listener: &Bound,
) -> (Connection, Connection) {
    let accept = async {
        let incoming = listener.endpoint.accept().await.unwrap();
        incoming.await.unwrap()
    };
    let own = identity(number);
    let dial = dial(&dialler.endpoint, &own, listener.local, None);
    let (dialled, accepted) = tokio::join!(biased; dial, accept);
    (dialled.unwrap().connection, accepted)
}

/// Sends `bytes` from one end to the other; returns what arrived.
async fn transfer(from: &Connection, to: &Connection, bytes: &[u8]) -> Vec<u8> {
    let send = async {
        let (mut send, _receive) = from.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        send.finish().unwrap();
        send.stopped().await.unwrap();
    };
    let receive = async {
        let (_send, mut receive) = to.accept_bi().await.unwrap();
        receive.read_to_end(usize::MAX).await.unwrap()
    };
    tokio::join!(biased; send, receive).1
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|position| (position * 31 % 251) as u8).collect()
}

/// Proves F13, F14: loss, copies and reordering cost time, never a byte.
#[tokio::test(start_paused = true)]
async fn bytes_arrive_whole_over_a_bad_link() {
    let link = Link {
        loss: 0.05,
        duplication: 0.02,
        reordering: 0.05,
        delay: Duration::from_millis(2),
        jitter: Duration::from_millis(2),
        ..Link::default()
    };
    let hub = Hub::new(11, link);
    let (one, two) = (node(&hub, 1), node(&hub, 2));
    let (dialled, accepted) = connect(&one, 1, &two).await;
    let bytes = pattern(2_000_000);
    assert_eq!(transfer(&dialled, &accepted, &bytes).await, bytes);
    assert_eq!(transfer(&accepted, &dialled, &bytes).await, bytes);
    assert!(hub.counts().lost > 100);
}

/// Proves F15: the slowest link of the table keeps its connection.
#[tokio::test(start_paused = true)]
async fn a_slow_and_long_link_is_kept() {
    let link = Link { delay: Duration::from_millis(300), rate: Some(125_000), ..Link::default() };
    let hub = Hub::new(12, link);
    let (one, two) = (node(&hub, 1), node(&hub, 2));
    let (dialled, accepted) = connect(&one, 1, &two).await;
    let bytes = pattern(500_000);
    assert_eq!(transfer(&dialled, &accepted, &bytes).await, bytes);
    sleep(Duration::from_secs(300)).await;
    assert!(dialled.close_reason().is_none() && accepted.close_reason().is_none());
}

/// The largest datagram is found soon, on Ethernet and on a link that carries more, and it is never
/// more than one call can take (above it the connection would stall without a word).
#[tokio::test(start_paused = true)]
async fn the_size_of_datagrams_is_found_and_bounded() {
    for (mtu_bytes, at_least) in [(1472, 1440), (8972, 6480)] {
        let hub = Hub::new(13, Link { mtu_bytes, ..Link::default() });
        let (one, two) = (node(&hub, 1), node(&hub, 2));
        let (dialled, accepted) = connect(&one, 1, &two).await;
        sleep(Duration::from_secs(1)).await;
        for end in [&dialled, &accepted] {
            let found = end.stats().path.current_mtu;
            let bounded = (at_least..=limits::DATAGRAM_BYTES_MAX).contains(&found);
            assert!(bounded, "{found} of {mtu_bytes}");
        }
        let bytes = pattern(4_000_000);
        assert_eq!(transfer(&dialled, &accepted, &bytes).await, bytes);
    }
}

/// Proves F11, P9: both sides notice a cut within the idle time-out and a little.
#[tokio::test(start_paused = true)]
async fn a_cut_is_noticed_by_both_sides() {
    let hub = Hub::new(14, Link::default());
    let (one, two) = (node(&hub, 1), node(&hub, 2));
    let (dialled, accepted) = connect(&one, 1, &two).await;
    sleep(Duration::from_secs(60)).await;
    assert!(accepted.close_reason().is_none(), "the keep-alive of the dialler keeps it");
    hub.partition(&[address(1).ip()], &[address(2).ip()]);
    let cut_at = Instant::now();
    for end in [&dialled, &accepted] {
        assert!(matches!(end.closed().await, ConnectionError::TimedOut));
        let took = cut_at.elapsed();
        assert!(took <= limits::IDLE_TIMEOUT + limits::KEEP_ALIVE, "{took:?}");
    }
}

/// Proves P9: a cut shorter than the time-out is survived.
#[tokio::test(start_paused = true)]
async fn a_short_cut_is_survived() {
    let hub = Hub::new(15, Link::default());
    let (one, two) = (node(&hub, 1), node(&hub, 2));
    let (dialled, accepted) = connect(&one, 1, &two).await;
    sleep(Duration::from_secs(5)).await;
    hub.partition(&[address(1).ip()], &[address(2).ip()]);
    sleep(Duration::from_secs(3)).await;
    hub.heal();
    sleep(Duration::from_secs(30)).await;
    assert!(dialled.close_reason().is_none() && accepted.close_reason().is_none());
    let bytes = pattern(1000);
    assert_eq!(transfer(&accepted, &dialled, &bytes).await, bytes);
}

async fn run(seed: u64) -> (u64, Duration) {
    let started = Instant::now();
    let link =
        Link { loss: 0.02, reordering: 0.02, jitter: Duration::from_millis(3), ..Link::default() };
    let hub = Hub::new(seed, link);
    let (one, two) = (node(&hub, 1), node(&hub, 2));
    let (dialled, accepted) = connect(&one, 1, &two).await;
    transfer(&dialled, &accepted, &pattern(300_000)).await;
    sleep(Duration::from_secs(10)).await;
    (hub.trace(), started.elapsed())
}

/// One seed gives one run, to the last datagram.
#[tokio::test(start_paused = true)]
async fn a_seed_decides_the_whole_run() {
    assert_eq!(run(5).await, run(5).await);
    assert_ne!(run(5).await.0, run(6).await.0);
}
