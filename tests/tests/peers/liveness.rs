//! How peers are lost and found again: silence, cuts, goodbyes, restarts, clones.

use std::time::Duration;

use lanspread_actors::{
    api::Event,
    net::limits::IDLE_TIMEOUT,
    peer_connection::limits::{PING_INTERVAL, SILENCE_MAX},
    peers::PeersMsg,
};
use lanspread_tests::hub::{Hub, Link};
use lanspread_wire::{CloseCode, Control};
use tokio::time::{Instant, sleep};

use super::{
    fake::{Fake, empty_snapshot, hello},
    node::{Node, address, id, identity, sorted, start_peers},
};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn pair(hub: &Hub) -> (Node, Node) {
    let (lower, higher) = sorted(1, 2);
    let one = Node::start(hub, lower, &[("quake", 1)]).await;
    let two = Node::start(hub, higher, &[("doom", 1)]).await;
    one.see(higher);
    one.until_connected(higher).await;
    two.until_connected(lower).await;
    (one, two)
}

async fn lost_reason(node: &mut Node) -> String {
    node.event(|event| match event {
        Event::PeerLost { reason, .. } => Some(reason.clone()),
        _ => None,
    })
    .await
}

/// Proves P9: an idle pair stays together, on pings alone.
#[tokio::test(start_paused = true)]
async fn an_idle_pair_stays_together() {
    let hub = Hub::new(1, Link::default());
    let (mut one, mut two) = pair(&hub).await;
    sleep(s(1800)).await;
    for node in [&mut one, &mut two] {
        let lost = |event: &Event| matches!(event, Event::PeerLost { .. });
        assert!(!node.events().iter().any(lost));
        assert_eq!(node.table.borrow().peers.len(), 1);
    }
}

/// Proves P9: a program that does not answer is let go, although its machine does.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_let_go() {
    let hub = Hub::new(1, Link::default());
    let mut node = Node::start(&hub, 1, &[]).await;
    let mut fake = Fake::connected(&hub, 2, node.address()).await;
    node.until_connected(2).await;
    let heard_at = Instant::now();
    let Control::Ping { nonce } = fake.hear().await else { panic!("a ping") };
    assert!(heard_at.elapsed() <= PING_INTERVAL + s(1));
    fake.say(&Control::Pong { nonce }).await;
    let answered_at = Instant::now();
    assert_eq!(fake.closed().await.0, Some(CloseCode::Silent));
    let waited = answered_at.elapsed();
    assert!(waited.abs_diff(SILENCE_MAX) < s(1), "{waited:?}");
    assert!(lost_reason(&mut node).await.starts_with("silent"));
}

/// Proves F11, P9: both sides notice a cut in time and find each other soon after it heals, without
/// anyone's help, however long it took.
#[tokio::test(start_paused = true)]
async fn a_cut_is_noticed_and_healed() {
    let hub = Hub::new(1, Link::default());
    let (mut one, mut two) = pair(&hub).await;
    for minutes in [1, 10, 60] {
        hub.partition(&[one.address().ip()], &[two.address().ip()]);
        let cut_at = Instant::now();
        one.until_lost(two.number).await;
        two.until_lost(one.number).await;
        assert!(cut_at.elapsed() <= s(20), "{:?}", cut_at.elapsed());
        lost_reason(&mut one).await;
        lost_reason(&mut two).await;
        sleep(s(minutes * 60)).await;
        hub.heal();
        let healed_at = Instant::now();
        one.until_connected(two.number).await;
        two.until_connected(one.number).await;
        let took = healed_at.elapsed();
        assert!(minutes > 30 || took <= s(10), "{took:?} after {minutes} min");
        sleep(s(10)).await;
        assert_eq!((one.endpoint.open_connections(), two.endpoint.open_connections()), (1, 1));
    }
}

/// Proves P10: a goodbye is told at once, and the node that leaves waits for nobody.
#[tokio::test(start_paused = true)]
async fn a_goodbye_is_told_at_once() {
    let hub = Hub::new(1, Link::default());
    let (one, mut two) = pair(&hub).await;
    let started = Instant::now();
    one.goodbye().await;
    assert!(started.elapsed() < s(1), "{:?}", started.elapsed());
    two.until_lost(one.number).await;
    assert!(started.elapsed() < s(1), "{:?}", started.elapsed());
    assert_eq!(lost_reason(&mut two).await, "goodbye: the node shuts down");
    // Nobody comes in any more, and nothing is dialed.
    assert!(one.connect(two.address()).await.is_err());
    one.see(two.number);
    two.see(one.number);
    sleep(s(10)).await;
    assert!(two.table.borrow().peers.is_empty());
    assert_eq!(one.endpoint.open_connections(), 0);
}

/// Proves P10, A4: a goodbye without peers, and one into the void, end in time too.
#[tokio::test(start_paused = true)]
async fn a_goodbye_depends_on_nobody() {
    let hub = Hub::new(1, Link::default());
    let alone = Node::start(&hub, 7, &[]).await;
    alone.goodbye().await;
    let (one, two) = pair(&hub).await;
    hub.partition(&[one.address().ip()], &[two.address().ip()]);
    let started = Instant::now();
    let goodbye = one.peers.call(|reply| PeersMsg::Goodbye { reply }, Some(s(5)));
    assert!(goodbye.await.unwrap().is_success());
    assert!(started.elapsed() < s(1), "{:?}", started.elapsed());
}

/// Proves F9, P9: a program that was killed and started again is back at once; the left-over of its
/// old connection does not keep it out, whoever of the two dials.
#[tokio::test(start_paused = true)]
async fn a_restarted_peer_is_back_at_once() {
    let (lower, higher) = sorted(1, 2);
    for dies in [lower, higher] {
        let hub = Hub::new(1, Link::default());
        let (one, two) = pair(&hub).await;
        let (dead, mut other) = if dies == lower { (one, two) } else { (two, one) };
        dead.crash(&hub, &other).await;
        let again = Node::start(&hub, dies, &[("hexen", 1)]).await;
        let started = Instant::now();
        again.see(other.number);
        other.until_library(dies, &[("hexen", 1)]).await;
        again.until_connected(other.number).await;
        assert!(started.elapsed() <= s(5), "{:?}", started.elapsed());
        sleep(s(30)).await;
        assert_eq!(again.endpoint.open_connections(), 1);
        let lost = |event: &&Event| matches!(event, Event::PeerLost { .. });
        assert_eq!(other.events().iter().filter(lost).count(), 0, "it was never away");
    }
}

/// Proves T07: while the first lives, a second machine with the same key is refused, and both users
/// are told why.
#[tokio::test(start_paused = true)]
async fn a_cloned_identity_is_refused() {
    let hub = Hub::new(1, Link::default());
    let node = Node::start(&hub, 1, &[]).await;
    let mut original = Fake::connected(&hub, 2, node.address()).await;
    node.until_connected(2).await;
    let there = super::fake::endpoint(&hub, 50);
    let mut clone = Fake::dial_from(there, &identity(2), node.address()).await;
    let greeting = lanspread_wire::Hello { addresses: vec![address(50)], ..hello(2, None) };
    clone.say(&Control::Hello(greeting)).await;
    clone.say(&empty_snapshot()).await;
    loop {
        if let Control::Ping { nonce } = original.hear().await {
            original.say(&Control::Pong { nonce }).await;
            break;
        }
    }
    let (code, text) = clone.closed().await;
    assert_eq!(code, Some(CloseCode::Duplicate));
    assert!(text.contains("reset the id"), "{text}");
    assert_eq!(node.table.borrow().peers[&id(2)].addresses, [address(2)]);
    assert!(original.connection.close_reason().is_none());
}

/// Proves F1: when `Peers` itself is started again, it takes over: peers are told as lost, found
/// where they were, and nothing of before is left.
#[tokio::test(start_paused = true)]
async fn a_restarted_actor_takes_over() {
    let hub = Hub::new(1, Link::default());
    let (mut one, two) = pair(&hub).await;
    one.peers.kill();
    one.peers.get_cell().wait(None).await.unwrap();
    assert_eq!(one.table.borrow().peers.len(), 1, "readers keep the last table");
    one.peers = start_peers(&one.args).await;
    assert!(one.table.borrow().peers.is_empty());
    lost_reason(&mut one).await;
    let started = Instant::now();
    one.until_connected(two.number).await;
    two.until_connected(one.number).await;
    assert!(started.elapsed() <= s(3), "{:?}", started.elapsed());
    sleep(IDLE_TIMEOUT * 2).await;
    assert_eq!((one.endpoint.open_connections(), two.endpoint.open_connections()), (1, 1));
    two.until_library(one.number, &[("quake", 1)]).await;
}
