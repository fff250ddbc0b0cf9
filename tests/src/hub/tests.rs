//! Tests of the virtual network itself.

use std::{future::poll_fn, io::IoSliceMut};

use quinn::{AsyncUdpSocket, udp::RecvMeta};
use tokio::time::{sleep, timeout};

use super::*;

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 4000))
}

fn say(from: &HubSocket, to: u8, bytes: &[u8]) {
    let transmit = quinn::udp::Transmit {
        destination: at(to),
        ecn: Some(EcnCodepoint::Ect0),
        contents: bytes,
        segment_size: None,
        src_ip: None,
    };
    from.try_send(&transmit).unwrap();
}

async fn hear(socket: &HubSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = vec![0; 2000];
    let mut meta = [RecvMeta::default()];
    let count = poll_fn(|cx| socket.poll_recv(cx, &mut [IoSliceMut::new(&mut bytes)], &mut meta));
    assert_eq!(count.await.unwrap(), 1);
    assert_eq!(meta[0].ecn, Some(EcnCodepoint::Ect0));
    bytes.truncate(meta[0].len);
    (bytes, meta[0].addr)
}

/// What arrives at a silent receiver within a minute.
async fn heard(socket: &HubSocket) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Ok((bytes, _)) = timeout(Duration::from_secs(60), hear(socket)).await {
        all.push(bytes);
    }
    all
}

/// Proves F13: the dice lose and double about as often as they are told.
#[tokio::test(start_paused = true)]
async fn datagrams_are_lost_and_doubled_by_the_dice() {
    let link =
        Link { loss: 0.2, duplication: 0.1, rate: None, delay: Duration::ZERO, ..Link::default() };
    let hub = Hub::new(7, link);
    let (one, two) = (hub.bind(at(1)), hub.bind(at(2)));
    for number in 0..1000_u32 {
        say(&one, 2, &number.to_le_bytes());
    }
    let heard = heard(&two).await.len() as u64;
    let counts = hub.counts();
    assert_eq!((counts.sent, counts.delivered), (1000, heard));
    assert!((150..250).contains(&counts.lost), "{counts:?}");
    assert!((50..130).contains(&(heard + counts.lost - 1000)), "{counts:?}");
}

/// Proves F14.
#[tokio::test(start_paused = true)]
async fn held_back_datagrams_are_overtaken() {
    let link = Link { reordering: 0.3, delay: Duration::from_millis(1), ..Link::default() };
    let hub = Hub::new(7, link);
    let (one, two) = (hub.bind(at(1)), hub.bind(at(2)));
    let sent: Vec<Vec<u8>> = (0..50_u8).map(|number| vec![number]).collect();
    for bytes in &sent {
        say(&one, 2, bytes);
        sleep(Duration::from_millis(1)).await;
    }
    let mut heard = heard(&two).await;
    assert_ne!(heard, sent);
    heard.sort();
    assert_eq!(heard, sent);
}

/// Proves F11, F12: a cut has a direction, and a heal ends it.
#[tokio::test(start_paused = true)]
async fn a_cut_has_a_direction_and_an_end() {
    let hub = Hub::new(7, Link::default());
    let (one, two) = (hub.bind(at(1)), hub.bind(at(2)));
    hub.cut(at(1).ip(), at(2).ip());
    say(&one, 2, b"lost");
    say(&two, 1, b"back");
    assert_eq!(heard(&two).await, [b""; 0]);
    assert_eq!(heard(&one).await, [b"back"]);
    hub.partition(&[at(2).ip()], &[at(1).ip(), at(3).ip()]);
    say(&two, 1, b"lost");
    assert_eq!(heard(&one).await, [b""; 0]);
    hub.heal();
    say(&one, 2, b"there");
    assert_eq!(hear(&two).await, (b"there".to_vec(), at(1)));
}

/// Proves F15: a slow link takes the time it takes, and its queue is bounded.
#[tokio::test(start_paused = true)]
async fn a_link_has_a_rate_and_a_queue() {
    let link = Link { rate: Some(100_000), queue_bytes_max: 50_000, ..Link::default() };
    let hub = Hub::new(7, link);
    let (one, two) = (hub.bind(at(1)), hub.bind(at(2)));
    let started = Instant::now();
    for _ in 0..100 {
        say(&one, 2, &[0; 1000]);
    }
    for _ in 0..50 {
        hear(&two).await;
    }
    let took = started.elapsed();
    assert!(took.abs_diff(Duration::from_millis(500)) < Duration::from_millis(5), "{took:?}");
    assert_eq!(hub.counts().lost, 50);
}

/// What is too large, or for nobody, is lost; what was closed can be opened again.
#[tokio::test(start_paused = true)]
async fn size_and_absence_lose_datagrams() {
    let hub = Hub::new(7, Link::default());
    let (one, two) = (hub.bind(at(1)), hub.bind(at(2)));
    say(&one, 2, &[1; 1472]);
    say(&one, 2, &[1; 1473]);
    say(&one, 9, b"nobody");
    assert_eq!(heard(&two).await, [[1; 1472]]);
    hub.unbind(at(2));
    say(&one, 2, b"gone");
    sleep(Duration::from_secs(1)).await;
    let again = hub.bind(at(2));
    say(&one, 2, b"again");
    assert_eq!(heard(&again).await, [b"again"]);
    assert_eq!(hub.counts().lost, 3);
}

async fn trace_of(seed: u64, loss: f64) -> u64 {
    let link = Link { loss, jitter: Duration::from_millis(5), ..Link::default() };
    let hub = Hub::new(seed, link);
    let (one, two) = (hub.bind(at(1)), hub.bind(at(2)));
    for number in 0..200_u32 {
        say(&one, 2, &number.to_le_bytes());
        sleep(Duration::from_millis(1)).await;
    }
    heard(&two).await;
    hub.trace()
}

/// The same seed gives the same run, another seed another one.
#[tokio::test(start_paused = true)]
async fn a_seed_decides_every_delivery() {
    assert_eq!(trace_of(1, 0.1).await, trace_of(1, 0.1).await);
    assert_ne!(trace_of(1, 0.1).await, trace_of(2, 0.1).await);
}

/// Each link has its own dice: a fault on one does not change what happens on another.
#[tokio::test(start_paused = true)]
async fn links_do_not_share_their_dice() {
    let mut runs = Vec::new();
    for other_loss in [0.0, 0.9] {
        let hub = Hub::new(3, Link { loss: 0.5, ..Link::default() });
        let sockets = [hub.bind(at(1)), hub.bind(at(2)), hub.bind(at(3))];
        hub.set_links(at(1).ip(), at(3).ip(), &Link { loss: other_loss, ..Link::default() });
        for number in 0..100_u8 {
            say(&sockets[0], 2, &[number]);
            say(&sockets[0], 3, &[number]);
        }
        runs.push(heard(&sockets[1]).await);
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].len() > 20 && runs[0].len() < 80);
}
