//! Many nodes, bad links, and what is remembered of a party that is over.

use std::time::Duration;

use lanspread_actors::{api::Event, peer_connection::limits::ACQUAINTANCES_PAUSE};
use lanspread_tests::hub::{Hub, Link};
use lanspread_wire::limits::GAMES_PER_PEER_MAX;
use tokio::time::{Instant, sleep, timeout};

use super::node::{Node, id, sorted};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn lost(node: &mut Node) -> usize {
    let lost = |event: &&Event| matches!(event, Event::PeerLost { .. });
    node.events().iter().filter(lost).count()
}

/// Proves P7, F14: everybody sees everybody over links that lose, double and reorder; one
/// connection per pair is left and nobody is lost on the way.
#[tokio::test(start_paused = true)]
async fn a_whole_party_finds_itself() {
    const NODES: u8 = 12;
    let link = Link {
        loss: 0.01,
        duplication: 0.01,
        reordering: 0.02,
        jitter: Duration::from_millis(3),
        ..Link::default()
    };
    let hub = Hub::new(5, link);
    let mut nodes = Vec::new();
    for number in 1..=NODES {
        nodes.push(Node::start(&hub, number, &[("quake", u32::from(number))]).await);
    }
    for node in &nodes {
        (1..=NODES).filter(|other| *other != node.number).for_each(|other| node.see(other));
    }
    let started = Instant::now();
    for node in &nodes {
        node.until(|table| table.peers.len() == usize::from(NODES) - 1).await;
    }
    assert!(started.elapsed() <= s(10), "{:?}", started.elapsed());
    sleep(s(60)).await;
    for node in &mut nodes {
        assert_eq!(node.endpoint.open_connections(), usize::from(NODES) - 1);
        assert_eq!(lost(node), 0);
        for other in (1..=NODES).filter(|other| *other != node.number) {
            let games = &node.table.borrow().peers[&id(other)].library.games;
            assert_eq!(*games, super::node::summaries(&[("quake", u32::from(other))]));
        }
    }
}

/// Proves F13: how long it takes over a bad link, and that a bad link alone ends no session.
#[tokio::test(start_paused = true)]
async fn a_bad_link_is_slow_but_holds() {
    for (loss, within, seed) in [(0.01, 10, 1), (0.05, 20, 2), (0.2, 60, 3)] {
        let hub = Hub::new(seed, Link { loss, ..Link::default() });
        let mut one = Node::start(&hub, 1, &[("quake", 1)]).await;
        let mut two = Node::start(&hub, 2, &[("doom", 1)]).await;
        one.see(2);
        two.see(1);
        let both = async {
            one.until_connected(2).await;
            two.until_connected(1).await;
        };
        timeout(s(within), both).await.expect("found in time");
        if loss <= 0.05 {
            sleep(s(600)).await;
            assert_eq!((lost(&mut one), lost(&mut two)), (0, 0), "loss {loss}");
        }
    }
}

/// Proves F15: the largest library crosses the slowest link, once.
#[tokio::test(start_paused = true)]
async fn the_largest_library_crosses_the_slowest_link() {
    let link = Link { delay: Duration::from_millis(300), rate: Some(125_000), ..Link::default() };
    let hub = Hub::new(1, link);
    let names: Vec<String> =
        (0..GAMES_PER_PEER_MAX).map(|n| format!("a-game-with-a-long-name-{n:06}")).collect();
    let games: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let mut one = Node::start(&hub, 1, &games).await;
    let mut two = Node::start(&hub, 2, &games).await;
    let (lower, higher) = sorted(1, 2);
    let (dialer, other) = if lower == 1 { (&one, higher) } else { (&two, higher) };
    dialer.see(other);
    one.until_library(2, &games).await;
    two.until_library(1, &games).await;
    sleep(s(60)).await;
    assert_eq!((lost(&mut one), lost(&mut two)), (0, 0));
    let bytes = hub.counts().sent * 1400;
    assert!(bytes < 8 * 1024 * 1024, "nothing is sent twice: {bytes}");
}

/// Proves F12: when only one direction is cut, the peer is lost and nothing flaps.
#[tokio::test(start_paused = true)]
async fn a_one_way_cut_does_not_flap() {
    for direction in [false, true] {
        let hub = Hub::new(1, Link::default());
        let mut one = Node::start(&hub, 1, &[]).await;
        let mut two = Node::start(&hub, 2, &[]).await;
        one.see(2);
        two.see(1);
        one.until_connected(2).await;
        two.until_connected(1).await;
        let (from, to) = if direction { (&one, &two) } else { (&two, &one) };
        hub.cut(from.address().ip(), to.address().ip());
        sleep(s(300)).await;
        assert_eq!((lost(&mut one), lost(&mut two)), (1, 1));
        hub.heal();
        let healed = async {
            one.until_connected(2).await;
            two.until_connected(1).await;
        };
        timeout(s(10), healed).await.expect("back in time");
    }
}

/// Proves T20, P9: after a restart peers are found where they were, although nobody is announced.
#[tokio::test(start_paused = true)]
async fn the_peers_of_the_last_party_are_found_again() {
    let hub = Hub::new(1, Link::default());
    let one = Node::start(&hub, 1, &[("quake", 1)]).await;
    let two = Node::start(&hub, 2, &[]).await;
    let three = Node::start(&hub, 3, &[]).await;
    one.connect(two.address()).await.unwrap();
    one.connect(three.address()).await.unwrap();
    sleep(ACQUAINTANCES_PAUSE + s(1)).await;
    let (left_by_one, left_by_two) = (one.stop().await, two.stop().await);
    sleep(s(30)).await;
    let two = Node::start_in(&hub, 2, &[("doom", 1)], left_by_two).await;
    let one = Node::start_in(&hub, 1, &[("quake", 2)], left_by_one).await;
    let started = Instant::now();
    one.until_library(2, &[("doom", 1)]).await;
    two.until_library(1, &[("quake", 2)]).await;
    one.until_connected(3).await;
    three.until_library(1, &[("quake", 2)]).await;
    assert!(started.elapsed() <= s(5), "{:?}", started.elapsed());
}
