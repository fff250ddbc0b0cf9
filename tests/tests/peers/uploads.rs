//! Requests between two nodes: what is served, what is refused and why, and what happens when
//! files, gates and wishes change in the middle.

use std::{fs, time::Duration};

use lanspread_actors::{
    api::Availability,
    library::LibraryMsg,
    peer_connection::{
        PeerLink, RequestError,
        limits::{
            DELTA_BATCH, SEND_PROGRESS_DEADLINE, UPLOAD_WAIT, UPLOADS_MAX, UPLOADS_PER_PEER_MAX,
        },
    },
};
use lanspread_tests::hub::{Hub, Link};
use lanspread_wire::{
    Catalog, ChunkMap, ChunkRun, CloseCode, GameId, Manifest, ManifestId, Refusal,
    limits::{CHUNKS_PER_REQUEST_MAX, REQUEST_BYTES_MAX},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::node::{Content, Node};

const MIB: usize = 1 << 20;

fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 31 + seed * 7) % 251) as u8).collect()
}

/// A node that serves, one that asks, and the link of the asking one.
struct Scene {
    hub: Hub,
    server: Node,
    client: Node,
    link: PeerLink,
}

impl Scene {
    async fn new() -> Self {
        Self::over(Link::default()).await
    }

    async fn over(link: Link) -> Self {
        let hub = Hub::new(1, link);
        let server = Node::start(&hub, 1, &[]).await;
        let client = Node::start(&hub, 2, &[]).await;
        client.connect(server.address()).await.unwrap();
        let link = client.until_connected(1).await.link;
        Self { hub, server, client, link }
    }

    async fn fetch(&self, content: &Content, runs: &[(u32, u32)]) -> Result<Vec<u8>, RequestError> {
        fetch(&self.link, &content.game, content.manifest.id(), runs).await
    }

    async fn refusal(&self, content: &Content) -> Option<Refusal> {
        let manifest = self.link.manifest(&content.game, content.manifest.id()).await.err();
        let chunks = self.fetch(content, &[(0, 1)]).await.err();
        assert_eq!(manifest, chunks, "both kinds of request meet the same gates");
        match chunks? {
            RequestError::Refused(reason) => Some(reason),
            other => panic!("{other}"),
        }
    }
}

/// A link on which an upload takes minutes, without a long queue before it.
fn slow() -> Link {
    Link { rate: Some(100_000), queue_bytes_max: 32 * 1024, ..Link::default() }
}

async fn fetch(
    link: &PeerLink,
    game: &GameId,
    manifest: ManifestId,
    runs: &[(u32, u32)],
) -> Result<Vec<u8>, RequestError> {
    let runs = runs.iter().map(|(first, count)| ChunkRun::new(*first, *count).unwrap()).collect();
    let mut stream = link.chunks(game, manifest, runs).await?;
    let mut all = Vec::new();
    while let Some(bytes) = stream.read_chunk(64 * 1024).await? {
        all.extend_from_slice(&bytes);
    }
    assert_eq!(all.len() as u64, stream.len());
    Ok(all)
}

/// Proves S: the manifest and any runs of chunks arrive as they are on disk.
#[tokio::test(start_paused = true)]
async fn what_is_here_is_served() {
    let scene = Scene::new().await;
    let (large, small) = (bytes(1, 3 * MIB + 17), bytes(2, 700));
    let files: [(&str, &[u8]); 3] = [("a/large.pak", &large), ("b.cfg", &small), ("c.cfg", b"x")];
    let content = scene.server.add_game("quake", &files);
    let id = content.manifest.id();
    let sent = scene.link.manifest(&content.game, id).await.unwrap();
    assert_eq!(Manifest::decode_expecting(&sent, id).unwrap(), content.manifest);

    let whole = [&large[..], &small, b"x"].concat();
    let map = ChunkMap::new(&content.manifest);
    assert_eq!(map.chunk_count(), 6);
    assert_eq!(scene.fetch(&content, &[(0, 6)]).await.unwrap(), whole);
    assert_eq!(scene.fetch(&content, &[(1, 1)]).await.unwrap(), large[MIB..2 * MIB]);
    let picked = scene.fetch(&content, &[(0, 1), (3, 2), (5, 1)]).await.unwrap();
    assert_eq!(picked, [&large[..MIB], &large[3 * MIB..], &small, b"x"].concat());

    // Into a buffer of the caller, in odd portions.
    let runs = vec![ChunkRun::new(0, 6).unwrap()];
    let mut stream = scene.link.chunks(&content.game, id, runs).await.unwrap();
    let (mut head, mut rest) = (vec![0; 1_000_003], vec![0; whole.len() - 1_000_003]);
    stream.read_exact(&mut head).await.unwrap();
    stream.read_exact(&mut rest).await.unwrap();
    assert_eq!([head, rest].concat(), whole);
    assert!(matches!(stream.read_exact(&mut [0]).await, Err(RequestError::Protocol(_))));
    assert_eq!(stream.read_chunk(1).await, Ok(None));
}

/// Proves S, T49, P11: each reason, for both kinds of request.
#[tokio::test(start_paused = true)]
async fn each_refusal_has_its_reason() {
    let scene = Scene::new().await;
    let content = scene.server.add_game("quake", &[("a", b"abc")]);
    assert_eq!(scene.refusal(&content).await, None);
    let local = scene.server.local.borrow().games[&content.game].clone();

    let unknown = Content { game: GameId::parse("doom").unwrap(), ..content };
    assert_eq!(scene.refusal(&unknown).await, Some(Refusal::UnknownGame));
    let content = Content { game: local.game.clone(), ..unknown };
    let other = super::node::manifest(&[("a", b"abd")]);
    let other = Content { manifest: other, game: content.game.clone(), gate: content.gate.clone() };
    assert_eq!(scene.refusal(&other).await, Some(Refusal::OtherContent));

    scene.server.catalog.send_replace(std::sync::Arc::new(Some(Catalog::default())));
    assert_eq!(scene.refusal(&content).await, Some(Refusal::NotInCatalog));
    scene.server.catalog.send_replace(std::sync::Arc::new(None));

    let mut not_ready = local.clone();
    not_ready.availability = Some(Availability::LocalOnly);
    scene.server.change_game(not_ready);
    assert_eq!(scene.refusal(&content).await, Some(Refusal::NotReady));
    scene.server.change_game(local);

    content.gate.close();
    assert_eq!(scene.refusal(&content).await, Some(Refusal::Busy));
    content.gate.open();
    assert_eq!(scene.refusal(&content).await, None);

    for runs in [&[(0, 2)][..], &[(1, 1)], &[(0, 1), (u32::MAX - 1, 1)]] {
        let refused = scene.fetch(&content, runs).await;
        assert_eq!(refused, Err(RequestError::Refused(Refusal::OutOfRange)), "{runs:?}");
    }
    scene.server.store.remove(content.manifest.id()).unwrap();
    // What is loaded is served on; after a restart of the node it would not be.
    assert_eq!(scene.refusal(&content).await, None);
}

/// Proves S: more bytes or chunks than one request may have are refused.
#[tokio::test(start_paused = true)]
async fn a_request_has_limits() {
    let scene = Scene::new().await;
    let large = bytes(1, REQUEST_BYTES_MAX as usize + MIB);
    let content = scene.server.add_game("quake", &[("a", &large)]);
    let most = (REQUEST_BYTES_MAX as usize / MIB) as u32;
    assert_eq!(scene.fetch(&content, &[(0, most)]).await.unwrap(), large[..most as usize * MIB]);
    let refused = scene.fetch(&content, &[(0, most + 1)]).await;
    assert_eq!(refused, Err(RequestError::Refused(Refusal::Limit)));
    // The number of chunks is a rule of the message: a request that breaks it does not even leave.
    let refused = scene.fetch(&content, &[(0, CHUNKS_PER_REQUEST_MAX + 1)]).await;
    assert!(matches!(refused, Err(RequestError::Protocol(_))));
}

/// Proves T50: a file that is shorter, longer, gone, written to, or a link now is not served; the
/// library is told to look.
#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_file_that_has_changed_is_not_served() {
    let mut scene = Scene::new().await;
    type Change = fn(&std::path::Path);
    let changes: [Change; 6] = [
        |path| fs::write(path, b"ab").unwrap(),
        |path| fs::write(path, b"abcd").unwrap(),
        |path| fs::remove_file(path).unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/etc/hostname", path).unwrap();
        },
        |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        },
        |path| {
            // The same length: only its identity tells.
            fs::write(path.with_extension("new"), b"xyz").unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let game = format!("game-{number}");
        let content = scene.server.add_game(&game, &[("dir/a", b"abc")]);
        assert_eq!(scene.fetch(&content, &[(0, 1)]).await.unwrap(), b"abc");
        change(&scene.server.games_dir.path().join(&game).join("dir/a"));
        let refused = scene.fetch(&content, &[(0, 1)]).await;
        assert_eq!(refused, Err(RequestError::Refused(Refusal::Changed)), "change {number}");
        let Some(LibraryMsg::Rescan { game }) = scene.server.library.recv().await else {
            panic!("the library was not told")
        };
        assert_eq!(game, Some(content.game.clone()));
    }
    // A folder on the way that is a link leads nowhere either.
    let content = scene.server.add_game("linked", &[("dir/a", b"abc")]);
    let root = scene.server.games_dir.path().join("linked");
    fs::rename(root.join("dir"), scene.server.games_dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("../elsewhere", root.join("dir")).unwrap();
    let refused = scene.fetch(&content, &[(0, 1)]).await;
    assert_eq!(refused, Err(RequestError::Refused(Refusal::Changed)));
}

/// Proves O8: an operation that closes the gate stops running uploads at once and waits for nobody
/// but them; then the files are its own.
#[tokio::test(start_paused = true)]
async fn a_closing_gate_ends_running_uploads() {
    let scene = Scene::over(Link { rate: Some(1_000_000), ..Link::default() }).await;
    let large = bytes(1, 8 * MIB);
    let content = scene.server.add_game("quake", &[("a", &large)]);
    let runs = vec![ChunkRun::new(0, 8).unwrap()];
    let id = content.manifest.id();
    let mut stream = scene.link.chunks(&content.game, id, runs).await.unwrap();
    let mut first = vec![0; 100_000];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(content.gate.inside(), 1);
    content.gate.close();
    let started = Instant::now();
    content.gate.drained().await;
    assert!(started.elapsed() < Duration::from_millis(100), "{:?}", started.elapsed());
    let mut rest = vec![0; large.len() - first.len()];
    let end = stream.read_exact(&mut rest).await;
    assert_eq!(end, Err(RequestError::Refused(Refusal::Busy)));
    content.gate.open();
    assert_eq!(scene.fetch(&content, &[(7, 1)]).await.unwrap(), large[7 * MIB..]);
}

/// Proves O6: a cancelled download stops the upload and frees its slot and its gate.
#[tokio::test(start_paused = true)]
async fn a_cancelled_request_ends_the_upload() {
    let scene = Scene::over(Link { rate: Some(1_000_000), ..Link::default() }).await;
    let large = bytes(1, 8 * MIB);
    let content = scene.server.add_game("quake", &[("a", &large)]);
    for _ in 0..3 * UPLOADS_PER_PEER_MAX {
        let runs = vec![ChunkRun::new(0, 8).unwrap()];
        let id = content.manifest.id();
        let mut stream = scene.link.chunks(&content.game, id, runs).await.unwrap();
        stream.read_chunk(1000).await.unwrap();
        assert_eq!(content.gate.inside(), 1);
        drop(stream);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(content.gate.inside(), 0);
    }
    assert_eq!(scene.fetch(&content, &[(0, 8)]).await.unwrap(), large);
}

/// Proves S, T25: so many uploads to one peer at once; the next ones wait and are then refused, not
/// forgotten.
#[tokio::test(start_paused = true)]
async fn uploads_to_one_peer_have_a_limit() {
    let scene = Scene::over(slow()).await;
    let large = bytes(1, 8 * MIB);
    let content = scene.server.add_game("quake", &[("a", &large)]);
    let id = content.manifest.id();
    let runs = || vec![ChunkRun::new(0, 8).unwrap()];
    let mut held = Vec::new();
    for _ in 0..UPLOADS_PER_PEER_MAX {
        held.push(scene.link.chunks(&content.game, id, runs()).await.unwrap());
    }
    let started = Instant::now();
    let refused = scene.link.chunks(&content.game, id, runs()).await.unwrap_err();
    assert_eq!(refused, RequestError::Refused(Refusal::Limit));
    assert!(started.elapsed().abs_diff(UPLOAD_WAIT) < Duration::from_secs(1));
    assert_eq!(content.gate.inside(), UPLOADS_PER_PEER_MAX);
    // One that ends makes room for one that waits.
    let waiting = scene.link.chunks(&content.game, id, runs());
    let free = async {
        sleep(Duration::from_secs(2)).await;
        held.pop();
    };
    let (served, ()) = tokio::join!(biased; waiting, free);
    assert_eq!(served.unwrap().len(), large.len() as u64);
}

/// Proves S: so many uploads of the whole node at once, shared by all peers.
#[tokio::test(start_paused = true)]
async fn uploads_of_the_node_have_a_limit() {
    let mut scene = Scene::over(slow()).await;
    let large = bytes(1, 8 * MIB);
    let content = scene.server.add_game("quake", &[("a", &large)]);
    let id = content.manifest.id();
    let mut clients = Vec::new();
    for number in 10..10 + (UPLOADS_MAX / UPLOADS_PER_PEER_MAX) as u8 {
        let client = Node::start(&scene.hub, number, &[]).await;
        client.connect(scene.server.address()).await.unwrap();
        clients.push(client);
    }
    let mut held = Vec::new();
    for client in &clients {
        let link = client.until_connected(1).await.link;
        for _ in 0..UPLOADS_PER_PEER_MAX {
            let runs = vec![ChunkRun::new(0, 8).unwrap()];
            held.push(link.chunks(&content.game, id, runs).await.unwrap());
        }
    }
    assert_eq!(content.gate.inside(), UPLOADS_MAX);
    let refused = scene.fetch(&content, &[(0, 1)]).await;
    assert_eq!(refused, Err(RequestError::Refused(Refusal::Limit)));
    held.clear();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(content.gate.inside(), 0);
    scene.client.events();
    assert_eq!(scene.fetch(&content, &[(0, 1)]).await.unwrap(), large[..MIB]);
}

/// Proves T25: an answer that is not read is given up after a while; its slot and its gate are
/// free, and the connection goes on.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_is_given_up() {
    let scene = Scene::new().await;
    let large = bytes(1, 8 * MIB);
    let content = scene.server.add_game("quake", &[("a", &large)]);
    let runs = vec![ChunkRun::new(0, 8).unwrap()];
    let id = content.manifest.id();
    let mut unread = scene.link.chunks(&content.game, id, runs).await.unwrap();
    assert_eq!(content.gate.inside(), 1);
    sleep(SEND_PROGRESS_DEADLINE + Duration::from_secs(2)).await;
    assert_eq!(content.gate.inside(), 0);
    let mut all = vec![0; large.len()];
    assert_eq!(unread.read_exact(&mut all).await, Err(RequestError::Refused(Refusal::Io)));
    assert_eq!(scene.fetch(&content, &[(0, 8)]).await.unwrap(), large);
}

/// Uploads at full speed do not hold up what the peers tell each other.
#[tokio::test(start_paused = true)]
async fn changes_overtake_uploads() {
    let link = Link { rate: Some(12_500_000), queue_bytes_max: 64 * 1024, ..Link::default() };
    let scene = Scene::over(link).await;
    let large = bytes(1, 16 * MIB);
    let content = scene.server.add_game("quake", &[("a", &large)]);
    let mut requests = JoinSet::new();
    for _ in 0..8 {
        let (link, game) = (scene.link.clone(), content.game.clone());
        let id = content.manifest.id();
        requests.spawn(async move { fetch(&link, &game, id, &[(0, 16)]).await.unwrap().len() });
    }
    sleep(Duration::from_secs(2)).await;
    let mut slowest = Duration::ZERO;
    for revision in 2..7 {
        let told_at = Instant::now();
        let games = [("doom", u32::try_from(revision).unwrap())];
        scene.server.announce(revision, &games);
        scene.client.until_library(1, &games).await;
        slowest = slowest.max(told_at.elapsed());
    }
    assert!(requests.try_join_next().is_none(), "the uploads still run");
    assert!(slowest < DELTA_BATCH + Duration::from_millis(200), "{slowest:?}");
    while let Some(length) = requests.join_next().await {
        assert_eq!(length.unwrap(), large.len());
    }
}

/// Proves R5: what runs when the peer goes ends with an error that says so.
#[tokio::test(start_paused = true)]
async fn a_peer_that_goes_takes_its_answers_with_it() {
    let scene = Scene::over(Link { rate: Some(1_000_000), ..Link::default() }).await;
    let large = bytes(1, 8 * MIB);
    let content = scene.server.add_game("quake", &[("a", &large)]);
    let fetch = scene.fetch(&content, &[(0, 8)]);
    let leave = async {
        sleep(Duration::from_secs(1)).await;
        scene.server.goodbye().await;
    };
    let (fetched, ()) = tokio::join!(biased; fetch, leave);
    let Err(RequestError::Lost(end)) = fetched else { panic!("{fetched:?}") };
    assert_eq!(end.code, CloseCode::Goodbye, "{end}");
    assert!(scene.link.is_closed());
    assert_eq!(scene.link.closed().await, end);
    assert_eq!(content.gate.inside(), 0, "the server holds nothing open");
    let late = scene.fetch(&content, &[(0, 1)]).await;
    assert!(matches!(late, Err(RequestError::Lost(_))));
}

/// Proves F13, F14: bytes arrive whole over a bad link, several requests at a time, while changes
/// of the library and pings pass by.
#[tokio::test(start_paused = true)]
async fn many_requests_over_a_bad_link_arrive_whole() {
    let link = Link {
        loss: 0.02,
        duplication: 0.01,
        reordering: 0.02,
        delay: Duration::from_millis(2),
        jitter: Duration::from_millis(2),
        ..Link::default()
    };
    let scene = Scene::over(link).await;
    let large = bytes(1, 6 * MIB);
    let content = scene.server.add_game("quake", &[("a", &large)]);
    let source = scene.link.as_source();
    let mut requests = JoinSet::new();
    for chunk in 0..6 {
        let (link, game) = (scene.link.clone(), content.game.clone());
        let id = content.manifest.id();
        requests.spawn(async move { (chunk, fetch(&link, &game, id, &[(chunk, 1)]).await) });
    }
    scene.server.announce(2, &[("doom", 1)]);
    scene.client.until_library(1, &[("doom", 1)]).await;
    while let Some(fetched) = requests.join_next().await {
        let (chunk, bytes) = fetched.unwrap();
        assert_eq!(bytes.unwrap(), large[chunk as usize * MIB..][..MIB]);
    }
    drop(source);
}
