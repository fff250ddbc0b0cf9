//! What a hostile peer may try on the control stream and with request streams, and what it gets.

use std::time::Duration;

use lanspread_actors::{
    api::Event,
    peer_connection::limits::{
        CONTROL_BURST, CONTROL_RATE, FRAME_DEADLINE, HELLO_DEADLINE, RESETS_MAX,
        SEND_PROGRESS_DEADLINE,
    },
};
use lanspread_tests::hub::{Hub, Link};
use lanspread_wire::{
    CloseCode, Control, GameSummary, LibraryState, encode_frame, library_digest,
    limits::{FRAME_BYTES_MAX, GAMES_PER_PEER_MAX},
    snapshot_pages,
};
use tokio::time::{Instant, sleep};

use super::{
    fake::{Fake, empty_snapshot, hello},
    node::{Node, summaries},
};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A node with one honest peer, which must not notice what follows.
struct Scene {
    hub: Hub,
    node: Node,
    honest: Node,
}

impl Scene {
    async fn new() -> Self {
        let hub = Hub::new(1, Link::default());
        let node = Node::start(&hub, 1, &[("quake", 1)]).await;
        let honest = Node::start(&hub, 2, &[("doom", 1)]).await;
        node.see(2);
        honest.see(1);
        node.until_connected(2).await;
        honest.until_connected(1).await;
        Self { hub, node, honest }
    }

    async fn dial(&self, number: u8) -> Fake {
        Fake::dial(&self.hub, number, self.node.address()).await
    }

    async fn connected(&self, number: u8) -> Fake {
        let fake = Fake::connected(&self.hub, number, self.node.address()).await;
        self.node.until_connected(number).await;
        fake
    }

    /// The honest peer is still there and its connection works in both directions.
    async fn all_is_well(mut self) {
        self.node.announce(100, &[("hexen", 7)]);
        self.honest.announce(100, &[("heretic", 7)]);
        self.honest.until_library(1, &[("hexen", 7)]).await;
        self.node.until_library(2, &[("heretic", 7)]).await;
        for node in [&mut self.node, &mut self.honest] {
            let honest = [super::node::id(1), super::node::id(2)];
            let lost = |event: &Event| match event {
                Event::PeerLost { peer_id, .. } => honest.contains(peer_id),
                _ => false,
            };
            assert!(!node.events().iter().any(lost));
        }
    }
}

/// Proves T23: neither a connection without a stream nor a stream without a greeting stays.
#[tokio::test(start_paused = true)]
async fn who_never_greets_is_let_go() {
    let scene = Scene::new().await;
    let started = Instant::now();
    let silent = scene.dial(10).await;
    let mut streamless = scene.dial(11).await;
    streamless.send.reset(0_u32.into()).unwrap();
    let mut begun = scene.dial(12).await;
    begun.write(&[9]).await;
    for fake in [&silent, &begun] {
        assert_eq!(fake.closed().await.0, Some(CloseCode::HelloTimeout));
        assert!(started.elapsed().abs_diff(HELLO_DEADLINE) < s(1), "{:?}", started.elapsed());
    }
    streamless.closed().await;
    scene.all_is_well().await;
}

/// Proves T28, T29, T30: bytes that are no message end the connection with their code, before and
/// after the greeting.
#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_message_end_the_connection() {
    let ping = encode_frame(&Control::Ping { nonce: 1 }).unwrap();
    let mut trailing = ping.clone();
    trailing.push(0);
    trailing[0] += 1;
    let mut unknown = ping.clone();
    unknown[4] = 200;
    let huge_list = [&[11, 0, 0, 0, 3, 0, 1, 253], &u64::MAX.to_le_bytes()[..]].concat();
    let cases: Vec<(Vec<u8>, CloseCode)> = vec![
        (vec![0xff; 4], CloseCode::Frame),
        (vec![0; 4], CloseCode::Frame),
        (vec![0, 0, 0, 0x80], CloseCode::Frame),
        ((FRAME_BYTES_MAX as u32 + 1).to_le_bytes().to_vec(), CloseCode::Frame),
        (trailing, CloseCode::Decode),
        (unknown, CloseCode::Decode),
        (huge_list, CloseCode::Decode),
        (vec![1, 0, 0, 0, 0], CloseCode::Decode),
    ];
    let scene = Scene::new().await;
    for (number, (bytes, code)) in (10..).zip(&cases) {
        let mut fake = scene.dial(number).await;
        fake.write(bytes).await;
        assert_eq!(fake.closed().await.0, Some(*code), "{bytes:?}");
        let mut fake = scene.connected(number + 50).await;
        fake.write(bytes).await;
        assert_eq!(fake.closed().await.0, Some(*code), "{bytes:?} after the greeting");
        scene.node.until_lost(number + 50).await;
    }
    scene.all_is_well().await;
}

/// Proves T38: a greeting that ends at any byte leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn a_peer_may_die_at_every_byte_of_its_greeting() {
    let scene = Scene::new().await;
    let mut whole = encode_frame(&Control::Hello(hello(20, None))).unwrap();
    whole.extend(encode_frame(&empty_snapshot()).unwrap());
    let endpoint = super::fake::endpoint(&scene.hub, 20);
    for cut in 0..whole.len() {
        let identity = super::node::identity(20);
        let mut fake = Fake::dial_from(endpoint.clone(), &identity, scene.node.address()).await;
        fake.write(&whole[..cut]).await;
        // Half of them end the stream, half of them the connection.
        if cut % 2 == 0 {
            fake.send.finish().unwrap();
            let code = fake.closed().await.0;
            assert!(matches!(code, Some(CloseCode::Frame | CloseCode::State)), "{cut}: {code:?}");
        } else {
            fake.connection.close(0_u32.into(), b"");
        }
    }
    sleep(s(1)).await;
    assert_eq!(scene.node.table.borrow().peers.len(), 1);
    scene.all_is_well().await;
}

/// Proves T24: a frame that drips in is not waited for, however steadily it drips.
#[tokio::test(start_paused = true)]
async fn a_frame_that_drips_in_ends_the_connection() {
    let scene = Scene::new().await;
    let mut fake = scene.connected(10).await;
    let started = Instant::now();
    fake.write(&1000_u32.to_le_bytes()).await;
    let connection = fake.connection.clone();
    let drip = async {
        while fake.send.write_all(&[0]).await.is_ok() {
            sleep(Duration::from_millis(500)).await;
        }
    };
    let (_, (code, _)) = tokio::join!(biased; drip, super::fake::closed(&connection));
    assert_eq!(code, Some(CloseCode::Stalled));
    assert!(started.elapsed().abs_diff(FRAME_DEADLINE) < s(1), "{:?}", started.elapsed());
    scene.all_is_well().await;
}

/// Proves T31, A6: a flood is read at the allowed rate and no faster; the peer is held back by its
/// own flow control, and nothing of it waits in memory.
#[tokio::test(start_paused = true)]
async fn a_flood_is_held_back() {
    let scene = Scene::new().await;
    let mut fake = scene.connected(10).await;
    let mut answered = 0_u32;
    let ping = encode_frame(&Control::Ping { nonce: 1 }).unwrap();
    // More than every window and buffer on the way holds.
    let flood = ping.repeat((3 << 20) / ping.len());
    let started = Instant::now();
    // The spare stream takes the place of the control stream, which floods.
    let spare = fake.connection.open_bi().await.unwrap().0;
    let mut control = std::mem::replace(&mut fake.send, spare);
    let mut writer = tokio::task::JoinSet::new();
    writer.spawn(async move { control.write_all(&flood).await.map(|()| control) });
    while started.elapsed() < s(8) {
        match fake.hear_within(s(1)).await.expect("the node goes on answering") {
            Control::Pong { .. } => answered += 1,
            Control::Ping { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(writer.try_join_next().is_none(), "flow control holds the flood back");
    let most = CONTROL_BURST + CONTROL_RATE * 8;
    assert!(answered > most / 2 && answered <= most + 100, "{answered} of {most}");
    scene.all_is_well().await;
}

/// Proves T25: who never reads is found by the deadline on progress; the others do not wait for it.
#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_let_go() {
    let scene = Scene::new().await;
    let mut fake = scene.dial(10).await;
    fake.say(&Control::Hello(hello(10, None))).await;
    fake.say(&empty_snapshot()).await;
    scene.node.until_connected(10).await;
    // It answers pings blindly, so that only its not reading is wrong.
    let connection = fake.connection.clone();
    let started = Instant::now();
    let names: Vec<String> = (0..GAMES_PER_PEER_MAX).map(|n| format!("game-{n:06}")).collect();
    let blind = async {
        for round in 0_u64.. {
            // Each time the whole library is another one, so that much is to be sent.
            let version = u32::try_from(round).unwrap() + 1;
            let games: Vec<_> = names.iter().map(|name| (name.as_str(), version)).collect();
            scene.node.announce(round + 2, &games);
            let ping = encode_frame(&Control::Ping { nonce: round }).unwrap();
            if fake.send.write_all(&ping).await.is_err() {
                return;
            }
            sleep(s(1)).await;
        }
    };
    let ((), (code, _)) = tokio::join!(biased; blind, super::fake::closed(&connection));
    assert_eq!(code, Some(CloseCode::Stalled));
    let took = started.elapsed();
    assert!(took >= SEND_PROGRESS_DEADLINE && took < SEND_PROGRESS_DEADLINE * 3, "{took:?}");
    scene.all_is_well().await;
}

/// Proves T26: many streams that are opened and aborted end the connection.
#[tokio::test(start_paused = true)]
async fn rapid_resets_end_the_connection() {
    let scene = Scene::new().await;
    let fake = scene.connected(10).await;
    let mut opened = 0;
    while let Ok((mut send, _receive)) = fake.connection.open_bi().await {
        send.write_all(&[1]).await.ok();
        send.reset(0_u32.into()).ok();
        opened += 1;
        assert!(opened < 10 * RESETS_MAX, "nobody stops this");
    }
    let (code, text) = fake.closed().await;
    assert_eq!(code, Some(CloseCode::Abuse), "{text}");
    assert!(opened > RESETS_MAX, "{opened}");
    scene.all_is_well().await;
}

/// A few aborted streams are what a cancelled download looks like.
#[tokio::test(start_paused = true)]
async fn a_few_resets_are_fine() {
    let scene = Scene::new().await;
    let mut fake = scene.connected(10).await;
    for _ in 0..20 {
        for _ in 0..RESETS_MAX / 2 {
            let (mut send, _receive) = fake.connection.open_bi().await.unwrap();
            send.write_all(&[1]).await.unwrap();
            send.reset(0_u32.into()).unwrap();
        }
        while let Some(control) = fake.hear_within(s(1)).await {
            let Control::Ping { nonce } = control else { continue };
            fake.say(&Control::Pong { nonce }).await;
        }
        sleep(s(9)).await;
    }
    assert!(fake.connection.close_reason().is_none());
    scene.all_is_well().await;
}

/// Proves T35: a library that is too large is refused and said to be.
#[tokio::test(start_paused = true)]
async fn a_library_that_is_too_large_is_refused() {
    let mut scene = Scene::new().await;
    let names: Vec<String> = (0..=GAMES_PER_PEER_MAX).map(|n| format!("game-{n:06}")).collect();
    let list: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let games: Vec<GameSummary> = summaries(&list).into_values().collect();
    let state = LibraryState { revision: 3, digest: library_digest(games.iter()) };
    let mut fake = scene.dial(10).await;
    let greeting = lanspread_wire::Hello { library: state, ..hello(10, None) };
    fake.say(&Control::Hello(greeting)).await;
    for page in snapshot_pages(state, &games) {
        let frame = encode_frame(&Control::Snapshot(page)).unwrap();
        // The last ones may meet a connection that is closed already.
        fake.send.write_all(&frame).await.ok();
    }
    assert_eq!(fake.closed().await.0, Some(CloseCode::Limit));
    let message = scene
        .node
        .event(|event| match event {
            Event::PeerRejected { code, message, .. } if code == "limit" => Some(message.clone()),
            _ => None,
        })
        .await;
    assert!(message.contains("library is too large"), "{message}");
    scene.all_is_well().await;
}

/// Proves T28, T29, T24: a request stream that carries no request ends the connection with its
/// code.
#[tokio::test(start_paused = true)]
async fn requests_that_are_none_end_the_connection() {
    let scene = Scene::new().await;
    let cases: Vec<(Vec<u8>, CloseCode)> = vec![
        (Vec::new(), CloseCode::Frame),
        (vec![1, 0], CloseCode::Frame),
        (vec![0xff; 8], CloseCode::Frame),
        (vec![1, 0, 0, 0, 99], CloseCode::Decode),
        (vec![0; FRAME_BYTES_MAX + 5], CloseCode::Frame),
    ];
    for (number, (bytes, code)) in (10..).zip(cases) {
        let fake = scene.connected(number).await;
        let (mut send, _receive) = fake.connection.open_bi().await.unwrap();
        send.write_all(&bytes).await.unwrap();
        send.finish().unwrap();
        assert_eq!(fake.closed().await.0, Some(code), "{} bytes", bytes.len());
    }
    let mut fake = scene.connected(90).await;
    let (mut send, _receive) = fake.connection.open_bi().await.unwrap();
    send.write_all(&[5, 0]).await.unwrap();
    let connection = fake.connection.clone();
    let answer = async {
        while let Some(control) = fake.hear_within(s(60)).await {
            if let Control::Ping { nonce } = control {
                fake.say(&Control::Pong { nonce }).await;
            }
        }
    };
    let ((), (code, _)) = tokio::join!(biased; answer, super::fake::closed(&connection));
    assert_eq!(code, Some(CloseCode::Stalled));
    scene.all_is_well().await;
}

/// Proves T32: the streams of a peer that has not greeted are not looked at.
#[tokio::test(start_paused = true)]
async fn requests_before_the_greeting_are_not_served() {
    let scene = Scene::new().await;
    let mut fake = scene.dial(10).await;
    let (mut send, mut receive) = fake.connection.open_bi().await.unwrap();
    send.write_all(&[1, 0, 0, 0, 99]).await.unwrap();
    send.finish().unwrap();
    fake.write(&[1]).await;
    assert_eq!(fake.closed().await.0, Some(CloseCode::HelloTimeout));
    assert!(receive.read_to_end(10).await.is_err());
    scene.all_is_well().await;
}
