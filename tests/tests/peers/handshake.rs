//! How peers come to know each other: greetings, libraries, changes, versions, identities.

use std::time::Duration;

use lanspread_actors::{
    api::{ErrorCode, Event},
    net::backend::Sighting,
    peers::PeersMsg,
};
use lanspread_tests::hub::{Hub, Link};
use lanspread_wire::{CloseCode, Control, PROTOCOL_VERSION, encode_frame};
use tokio::time::sleep;

use super::{
    fake::{self, Fake, hello},
    node::{Node, address, id, sorted},
};

fn hub() -> Hub {
    Hub::new(1, Link::default())
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Proves P4: both sides hold the library of the other before they tell of it, and the events come
/// in their order.
#[tokio::test(start_paused = true)]
async fn two_nodes_learn_of_each_other() {
    let hub = hub();
    let mut one = Node::start(&hub, 1, &[("quake", 1)]).await;
    let mut two = Node::start(&hub, 2, &[("doom", 1), ("hexen", 2)]).await;
    one.see(2);
    let entry = one.until_connected(2).await;
    assert_eq!((entry.name.as_str(), &entry.addresses), ("node 2", &vec![address(2)]));
    one.until_library(2, &[("doom", 1), ("hexen", 2)]).await;
    two.until_library(1, &[("quake", 1)]).await;
    for (node, other, games) in [(&mut one, 2, 2), (&mut two, 1, 1)] {
        let events = node.events();
        let other = id(other);
        assert!(
            matches!(&events[..], [
                Event::PeerDiscovered { peer_id: discovered, .. },
                Event::PeerConnected { peer_id: connected, .. },
                Event::RemoteLibraryChanged { peer_id: changed, games: ids },
            ] if [discovered, connected, changed] == [&other; 3] && ids.len() == games),
            "{events:?}"
        );
    }
}

/// Proves P6: a dial by hand, answered when the handshake is complete.
#[tokio::test(start_paused = true)]
async fn a_dial_by_hand_names_the_peer() {
    let hub = hub();
    let one = Node::start(&hub, 1, &[]).await;
    let two = Node::start(&hub, 2, &[("doom", 1)]).await;
    assert_eq!(one.connect(two.address()).await, Ok(two.id()));
    assert!(one.table.borrow().peers.contains_key(&two.id()), "it is known by then");
    assert_eq!(one.connect(two.address()).await, Ok(two.id()), "and again");
    sleep(s(1)).await;
    assert_eq!(one.endpoint.open_connections(), 1);
    let nobody = one.connect(address(99)).await.unwrap_err();
    assert_eq!(nobody.code, ErrorCode::Unreachable);
    let myself = one.connect(one.address()).await.unwrap_err();
    assert_eq!(myself.code, ErrorCode::SelfConnect);
}

/// Proves P8.
#[tokio::test(start_paused = true)]
async fn changes_reach_every_peer() {
    let hub = hub();
    let one = Node::start(&hub, 1, &[("quake", 1)]).await;
    let mut two = Node::start(&hub, 2, &[]).await;
    let three = Node::start(&hub, 3, &[]).await;
    one.see(2);
    one.see(3);
    two.until_library(1, &[("quake", 1)]).await;
    three.until_library(1, &[("quake", 1)]).await;
    two.events();
    one.announce(2, &[("quake", 2)]);
    one.announce(3, &[("quake", 2), ("doom", 1)]);
    two.until_library(1, &[("quake", 2), ("doom", 1)]).await;
    three.until_library(1, &[("quake", 2), ("doom", 1)]).await;
    let events = two.events();
    assert!(matches!(&events[..], [Event::RemoteLibraryChanged { .. }]), "as one: {events:?}");
    for revision in 4..50 {
        one.announce(revision, &[("hexen", u32::try_from(revision).unwrap())]);
        sleep(Duration::from_millis(70)).await;
    }
    two.until_library(1, &[("hexen", 49)]).await;
    three.until_library(1, &[("hexen", 49)]).await;
}

/// Proves P4: who holds the digest is sent no library; and the node says which digest it still
/// holds when a peer returns.
#[tokio::test(start_paused = true)]
async fn a_known_library_does_not_travel_again() {
    let hub = hub();
    let node = Node::start(&hub, 1, &[("quake", 1)]).await;
    let digest = node.announced.borrow().state.digest;
    let mut fake = Fake::dial(&hub, 2, node.address()).await;
    fake.say(&Control::Hello(hello(2, Some(digest)))).await;
    let Control::HelloAck(ack) = fake.hear().await else { panic!("an answer") };
    assert_eq!((ack.library.digest, ack.known), (digest, None));
    assert_eq!(fake.hear_within(s(3)).await, None, "no library follows");
    fake.say(&fake::empty_snapshot()).await;
    node.until_connected(2).await;
    // A change begins where the known library was.
    node.announce(2, &[("quake", 2)]);
    let Control::Delta(delta) = fake.hear().await else { panic!("a change") };
    assert_eq!((delta.from, delta.to), (1, 2));

    fake.connection.close(CloseCode::Goodbye.as_u32().into(), b"");
    node.until_lost(2).await;
    let mut fake =
        Fake::dial_from(fake.endpoint.clone(), &super::node::identity(2), node.address()).await;
    fake.say(&Control::Hello(hello(2, None))).await;
    let Control::HelloAck(ack) = fake.hear().await else { panic!("an answer") };
    assert_eq!(ack.known, Some(fake::empty().digest), "it remembers");
    node.until_connected(2).await;
}

/// Proves P7: both dial at once, by announcement and by hand, again and again: one connection is
/// left, nobody is ever lost.
#[tokio::test(start_paused = true)]
async fn simultaneous_dials_leave_one_connection() {
    for seed in 0..20 {
        let jitter = Duration::from_millis(seed % 5);
        let hub = Hub::new(seed, Link { jitter, ..Link::default() });
        let mut one = Node::start(&hub, 1, &[("quake", 1)]).await;
        let mut two = Node::start(&hub, 2, &[("doom", 1)]).await;
        one.see(2);
        two.see(1);
        let by_hand = tokio::join!(biased; one.connect(address(2)), two.connect(address(1)));
        assert_eq!(by_hand, (Ok(id(2)), Ok(id(1))));
        sleep(s(20)).await;
        assert_eq!((one.endpoint.open_connections(), two.endpoint.open_connections()), (1, 1));
        one.until_library(2, &[("doom", 1)]).await;
        two.until_library(1, &[("quake", 1)]).await;
        for node in [&mut one, &mut two] {
            let events = node.events();
            let lost = |event: &&Event| matches!(event, Event::PeerLost { .. });
            assert_eq!(events.iter().filter(lost).count(), 0, "seed {seed}: {events:?}");
            let connected = |event: &&Event| matches!(event, Event::PeerConnected { .. });
            assert_eq!(events.iter().filter(connected).count(), 1, "seed {seed}: {events:?}");
        }
        // The one that is left works.
        one.announce(2, &[("hexen", 1)]);
        two.until_library(1, &[("hexen", 1)]).await;
    }
}

/// The lower id dials at once, the higher one only if nobody came: one connection from the start.
#[tokio::test(start_paused = true)]
async fn the_higher_id_waits_for_the_lower() {
    let hub = hub();
    let (lower, higher) = sorted(1, 2);
    let low = Node::start(&hub, lower, &[]).await;
    let high = Node::start(&hub, higher, &[]).await;
    high.see(lower);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(high.endpoint.open_connections(), 0, "it waits");
    low.see(higher);
    low.until_connected(higher).await;
    high.until_connected(lower).await;
    sleep(s(5)).await;
    assert_eq!(high.endpoint.open_connections(), 1);
}

/// Proves P5, T08: both sides refuse and tell with both versions, whoever dialed.
#[tokio::test(start_paused = true)]
async fn another_version_is_refused_by_both_with_both_versions() {
    let other = PROTOCOL_VERSION + 6;
    // The other one dials.
    let hub = hub();
    let mut node = Node::start(&hub, 1, &[]).await;
    let mut fake = Fake::dial(&hub, 2, node.address()).await;
    fake.say(&Control::Hello(lanspread_wire::Hello { version: other, ..hello(2, None) })).await;
    let (code, text) = fake.closed().await;
    let expected =
        format!("the dialer speaks protocol version {other}, the listener {PROTOCOL_VERSION}");
    assert_eq!((code, text.as_str()), (Some(CloseCode::VersionMismatch), expected.as_str()));
    assert_eq!(rejection(&mut node).await, ("version-mismatch".to_owned(), expected));

    // The other one listens and finds out first.
    let endpoint = fake::endpoint(&hub, 3);
    let (dialed, ()) = tokio::join!(biased; node.connect(address(3)), async {
        let fake = Fake::accept(endpoint.clone()).await;
        let text = format!("the dialer speaks protocol version 1, the listener {other}");
        fake.connection.close(CloseCode::VersionMismatch.as_u32().into(), text.as_bytes());
    });
    let refused = dialed.unwrap_err();
    assert_eq!(refused.code, ErrorCode::VersionMismatch);
    let expected = format!("the dialer speaks protocol version 1, the listener {other}");
    assert!(refused.message.contains(&expected), "{}", refused.message);
    assert_eq!(rejection(&mut node).await, ("version-mismatch".to_owned(), expected.clone()));

    // The other one listens and answers with its version.
    let endpoint = fake::endpoint(&hub, 4);
    let (dialed, closed) = tokio::join!(biased; node.connect(address(4)), async {
        let mut fake = Fake::accept(endpoint.clone()).await;
        let Control::Hello(_) = fake.hear().await else { panic!("a greeting") };
        let hello = lanspread_wire::Hello { version: other, ..hello(4, None) };
        fake.say(&Control::HelloAck(hello)).await;
        fake.closed().await
    });
    assert_eq!(closed, (Some(CloseCode::VersionMismatch), expected));
    assert_eq!(dialed.unwrap_err().code, ErrorCode::VersionMismatch);
}

async fn rejection(node: &mut Node) -> (String, String) {
    node.event(|event| match event {
        Event::PeerRejected { code, message, .. } => Some((code.clone(), message.clone())),
        _ => None,
    })
    .await
}

/// Proves P5: a peer that announces another version is not even dialed.
#[tokio::test(start_paused = true)]
async fn an_announcement_of_another_version_is_ignored() {
    let hub = hub();
    let one = Node::start(&hub, 1, &[]).await;
    let _two = Node::start(&hub, 2, &[]).await;
    let (peer, addresses) = (id(2), vec![address(2)]);
    one.tell(PeersMsg::Seen(Sighting { peer, protocol: 7, addresses }));
    sleep(s(100)).await;
    assert_eq!(hub.counts().sent, 0);
    one.see(2);
    one.until_connected(2).await;
}

/// Proves T05, P1: who claims another id than it proved is refused, and the refusal is told.
#[tokio::test(start_paused = true)]
async fn a_claimed_id_must_be_the_proved_one() {
    let hub = hub();
    let mut node = Node::start(&hub, 1, &[]).await;
    for (number, claimed, code) in [(2, 3, CloseCode::IdMismatch), (4, 1, CloseCode::SelfConnect)] {
        let mut fake = Fake::dial(&hub, number, node.address()).await;
        let hello = lanspread_wire::Hello { peer: id(claimed), ..hello(number, None) };
        fake.say(&Control::Hello(hello)).await;
        assert_eq!(fake.closed().await.0, Some(code));
        let told = node
            .event(|event| match event {
                Event::PeerRejected { address, claimed_id, code, .. } => {
                    Some((*address, *claimed_id, code.clone()))
                }
                _ => None,
            })
            .await;
        assert_eq!(told, (address(number), Some(id(number)), code.code().to_owned()));
    }
    assert!(node.table.borrow().peers.is_empty());
}

/// Proves T01, T11: somebody else at an announced address is not taken for the peer; the real
/// address is tried all the same.
#[tokio::test(start_paused = true)]
async fn a_forged_announcement_does_not_lead_to_the_forger() {
    let hub = hub();
    let mut one = Node::start(&hub, 1, &[]).await;
    let mut forger = Node::start(&hub, 2, &[]).await;
    let _real = Node::start(&hub, 9, &[]).await;
    let (peer, protocol) = (id(9), PROTOCOL_VERSION);
    let addresses = vec![address(2), address(9)];
    one.tell(PeersMsg::Seen(Sighting { peer, protocol, addresses }));
    one.until_connected(9).await;
    sleep(s(5)).await;
    assert_eq!(one.table.borrow().peers.len(), 1);
    let told = |event: &Event| matches!(event, Event::PeerRejected { .. });
    let rejected = one
        .event(|event| match event {
            Event::PeerRejected { code, claimed_id, address, .. } => {
                Some((code.clone(), *claimed_id, *address))
            }
            _ => None,
        })
        .await;
    assert_eq!(rejected, ("identity-mismatch".to_owned(), Some(id(9)), address(2)));
    assert!(!forger.events().iter().any(told), "not one word reached it");
    assert!(forger.table.borrow().peers.is_empty());
}

/// Proves P2, P3: the address of a peer is what it states, never where its connection comes from;
/// and when it moves, it is the same peer.
#[tokio::test(start_paused = true)]
async fn a_peer_is_known_by_its_id_and_its_stated_address() {
    let hub = hub();
    let node = Node::start(&hub, 1, &[]).await;
    let mut fake = Fake::dial(&hub, 2, node.address()).await;
    let stated = address(77);
    let hello_from_there = lanspread_wire::Hello { addresses: vec![stated], ..hello(2, None) };
    fake.say(&Control::Hello(hello_from_there)).await;
    fake.say(&fake::empty_snapshot()).await;
    assert_eq!(node.until_connected(2).await.addresses, [stated]);
    fake.connection.close(CloseCode::Goodbye.as_u32().into(), b"");
    node.until_lost(2).await;

    let elsewhere = super::fake::endpoint(&hub, 60);
    let identity = super::node::identity(2);
    let mut fake = Fake::dial_from(elsewhere, &identity, node.address()).await;
    let moved = lanspread_wire::Hello { addresses: vec![address(60)], ..hello(2, None) };
    fake.say(&Control::Hello(moved)).await;
    let Control::HelloAck(ack) = fake.hear().await else { panic!("an answer") };
    assert_eq!(
        ack.known,
        Some(fake::empty().digest),
        "the library is the peer's, not the address's"
    );
    assert_eq!(node.until_connected(2).await.addresses, [address(60)]);
}

/// Proves T34, P8: a change with a gap is met with a question, and the answer heals it.
#[tokio::test(start_paused = true)]
async fn a_gap_is_healed_by_a_snapshot() {
    let hub = hub();
    let mut node = Node::start(&hub, 1, &[]).await;
    let mut fake = Fake::connected(&hub, 2, node.address()).await;
    node.until_connected(2).await;
    let games = super::node::summaries(&[("doom", 1)]);
    let all: Vec<_> = games.values().cloned().collect();
    let digest = lanspread_wire::library_digest(games.values());
    let delta = lanspread_wire::LibraryDelta {
        from: 8,
        to: 9,
        digest,
        added: all.clone(),
        updated: Vec::new(),
        removed: Vec::new(),
    };
    fake.say(&Control::Delta(delta)).await;
    assert_eq!(fake.hear().await, Control::SnapshotWanted { known_revision: 1 });
    let state = lanspread_wire::LibraryState { revision: 9, digest };
    for page in lanspread_wire::snapshot_pages(state, &all) {
        fake.say(&Control::Snapshot(page)).await;
    }
    node.until_library(2, &[("doom", 1)]).await;
    node.counted("library-gap").await;
    // And the other way round: who asks gets everything.
    fake.say(&Control::SnapshotWanted { known_revision: 0 }).await;
    let Control::Snapshot(page) = fake.hear().await else { panic!("a library") };
    assert_eq!(page.state, node.announced.borrow().state);
    let frame = encode_frame(&Control::Ping { nonce: 5 }).unwrap();
    fake.write(&frame).await;
    assert_eq!(fake.hear().await, Control::Pong { nonce: 5 });
}
