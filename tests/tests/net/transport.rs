//! Two endpoints on the virtual network, on the paused clock: bytes arrive whole under loss, a
//! silent link is noticed in time, and one seed gives one run.

use std::{net::SocketAddr, time::Duration};

use lanspread_actors::net::{
    endpoint::{Bound, Listen, bind, dial, widen},
    identity::Identity,
    limits,
};
use lanspread_tests::hub::{Hub, Link};
use quinn::{Connection, ConnectionError};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

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

/// Asks on a control stream beside `streams` of bulk over a link that is the bottleneck; how long
/// the slowest of some answers took.
async fn slowest_answer(streams: u32, bulk_priority: i32, widened: bool) -> Duration {
    let hub = Hub::new(16, Link { rate: Some(12_500_000), ..Link::default() });
    let (one, two) = (node(&hub, 1), node(&hub, 2));
    let (dialled, accepted) = connect(&one, 1, &two).await;
    if widened {
        widen(&accepted);
    }
    let (mut send, mut receive) = dialled.open_bi().await.unwrap();
    send.set_priority(limits::PRIORITY_CONTROL).unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..streams {
        let bulk = dialled.clone();
        tasks.spawn(async move {
            let (mut send, _receive) = bulk.open_bi().await.unwrap();
            send.set_priority(bulk_priority).unwrap();
            while send.write_all(&[7; 64 * 1024]).await.is_ok() {}
        });
    }
    tasks.spawn(answer_questions(accepted));
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        sleep(Duration::from_millis(100)).await;
        let asked_at = Instant::now();
        let mut byte = [0];
        let trip = async {
            send.write_all(&[1]).await.unwrap();
            receive.read_exact(&mut byte).await.unwrap();
        };
        let answered = timeout(Duration::from_secs(5), trip).await;
        slowest = slowest.max(asked_at.elapsed());
        if answered.is_err() {
            break;
        }
    }
    slowest
}

/// Reads and forgets bulk, and answers what is a single byte.
async fn answer_questions(connection: Connection) {
    let mut readers = JoinSet::new();
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        readers.spawn(async move {
            let mut buffer = vec![0; 1 << 20];
            while let Ok(Some(count)) = receive.read(&mut buffer).await {
                if count == 1 {
                    send.write_all(&buffer[..1]).await.unwrap();
                }
            }
        });
    }
}

/// Proves F15, P9: with our priorities and windows the control stream waits for the queue of the
/// link and no longer, however many streams of bulk there are. With the bulk on top, or with the
/// window of the connection as the brake, it stands still.
#[tokio::test(start_paused = true)]
async fn the_control_stream_overtakes_the_bulk() {
    let most = limits::REQUEST_STREAMS_MAX;
    for streams in [1, 2, 4, most] {
        let ours = slowest_answer(streams, limits::PRIORITY_BULK, true).await;
        assert!(ours < Duration::from_millis(250), "{streams} streams: {ours:?}");
    }
    let on_top = slowest_answer(2, limits::PRIORITY_CONTROL + 1, true).await;
    assert!(on_top > Duration::from_secs(1), "{on_top:?}");
    let narrow = slowest_answer(most, limits::PRIORITY_BULK, false).await;
    assert!(narrow > Duration::from_secs(1), "{narrow:?}");
}
