//! Values for the other modules: fixed ones for golden bytes, and strategies for any of them.

use lanspread_wire::{
    ChunkEntry, ChunkHash, ChunkRun, ChunkerId, Control, DisplayName, GameId, GameSummary, Hello,
    LibraryDelta, LibraryDigest, LibraryState, Manifest, ManifestId, PROTOCOL_VERSION, PeerId,
    Refusal, RelPath, Request, Response, SnapshotPage, Title, VersionStamp,
    limits::{ADDRESSES_MAX, GAME_BYTES_MAX},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::{
    collections::BTreeMap,
    net::{Ipv6Addr, SocketAddr, SocketAddrV6},
};

pub(crate) fn game(id: &str) -> GameId {
    GameId::parse(id).unwrap()
}

pub(crate) fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

pub(crate) fn chunk(bytes: &[u8]) -> ChunkEntry {
    chunk_of_len(bytes, bytes.len())
}

/// A chunk that claims a length of its own, so that large files cost nothing.
pub(crate) fn chunk_of_len(seed: &[u8], len: usize) -> ChunkEntry {
    ChunkEntry { hash: ChunkHash::of(seed), len: u32::try_from(len).unwrap() }
}

pub(crate) fn summary(id: &str) -> GameSummary {
    GameSummary {
        game: game(id),
        title: Title::parse("Quake III Arena").unwrap(),
        version: VersionStamp::parse(b"20240131").unwrap(),
        manifest: Some(ManifestId([0x33; 32])),
        bytes_total: 5_000_000_000,
    }
}

pub(crate) fn state() -> LibraryState {
    LibraryState { revision: 7, digest: LibraryDigest([0x22; 32]) }
}

pub(crate) fn hello() -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        peer: PeerId([0x11; 32]),
        name: DisplayName::parse("Zoë").unwrap(),
        addresses: vec!["192.168.1.20:34567".parse().unwrap(), "[fe80::1]:34567".parse().unwrap()],
        library: state(),
        known: Some(LibraryDigest([0x44; 32])),
    }
}

pub(crate) fn page() -> SnapshotPage {
    SnapshotPage { state: state(), page: 0, last: true, games: vec![summary("quake3")] }
}

pub(crate) fn delta() -> LibraryDelta {
    LibraryDelta {
        from: 7,
        to: 9,
        digest: LibraryDigest([0x22; 32]),
        added: vec![summary("quake3")],
        updated: vec![GameSummary { manifest: None, ..summary("openra-2.0") }],
        removed: vec![game("ut99")],
    }
}

pub(crate) fn request_chunks() -> Request {
    Request::Chunks {
        game: game("quake3"),
        manifest: ManifestId([0x33; 32]),
        runs: vec![ChunkRun { first: 0, count: 3 }, ChunkRun { first: 70_000, count: 300 }],
    }
}

/// Three files (one empty), an empty directory, five chunks.
pub(crate) fn manifest() -> Manifest {
    Manifest::build(
        ChunkerId::STANDARD,
        b"20240131\r\n".to_vec(),
        vec![
            (path("data/pak0.pk3"), vec![chunk(b"one"), chunk(b"two")]),
            (path("Größe.txt"), vec![]),
            (
                path("setup.exe"),
                vec![chunk_of_len(b"x", 262_144), chunk_of_len(b"y", 70_000), chunk(b"z")],
            ),
        ],
        vec![path("data/empty")],
    )
    .unwrap()
}

/// One message of every kind, with a name.
pub(crate) fn controls() -> Vec<(&'static str, Control)> {
    vec![
        ("hello", Control::Hello(hello())),
        ("hello-ack", Control::HelloAck(hello())),
        ("snapshot", Control::Snapshot(page())),
        ("delta", Control::Delta(delta())),
        ("snapshot-wanted", Control::SnapshotWanted { known_revision: 300 }),
        ("ping", Control::Ping { nonce: 1 }),
        ("pong", Control::Pong { nonce: u64::MAX }),
    ]
}

pub(crate) fn requests() -> Vec<(&'static str, Request)> {
    vec![
        ("manifest", Request::Manifest { game: game("quake3"), manifest: ManifestId([0x33; 32]) }),
        ("chunks", request_chunks()),
    ]
}

/// A path that is always valid: its letters cannot spell anything reserved.
pub(crate) fn any_path() -> impl Strategy<Value = RelPath> {
    vec("[b-km-u0-9äßж_ ][bdeghj 0-9äßж]{0,8}[bdeghj0-9äßж]", 1..5)
        .prop_filter_map("valid", |parts| RelPath::parse(&parts.join("/")).ok())
}

pub(crate) fn any_game() -> impl Strategy<Value = GameId> {
    "[a-z0-9]([a-z0-9._-]{0,29}[a-z0-9])?".prop_filter_map("valid", |id| GameId::parse(&id).ok())
}

prop_compose! {
    pub(crate) fn any_summary()(
        game in any_game(),
        title in ".{1,40}".prop_filter_map("shown", |text| Title::nearest(&text)),
        version in "[ -~]{1,20}".prop_filter_map("stamp", |text| text.parse::<VersionStamp>().ok()),
        manifest in option::of(any::<[u8; 32]>().prop_map(ManifestId)),
        bytes_total in 0..=GAME_BYTES_MAX,
    ) -> GameSummary {
        GameSummary { game, title, version, manifest, bytes_total }
    }
}

fn any_games(max: usize) -> impl Strategy<Value = Vec<GameSummary>> {
    vec(any_summary(), 0..max).prop_map(|games| {
        let by_id: BTreeMap<_, _> = games.into_iter().map(|s| (s.game.clone(), s)).collect();
        by_id.into_values().collect()
    })
}

fn any_digest() -> impl Strategy<Value = LibraryDigest> {
    any::<[u8; 32]>().prop_map(LibraryDigest)
}

fn any_state() -> impl Strategy<Value = LibraryState> {
    (any::<u64>(), any_digest()).prop_map(|(revision, digest)| LibraryState { revision, digest })
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::V6(SocketAddrV6::new(
            Ipv6Addr::from(ip),
            port,
            0,
            0
        ))),
    ]
}

prop_compose! {
    fn any_hello()(
        peer in any::<[u8; 32]>(),
        name in ".{1,40}".prop_filter_map("shown", |text| DisplayName::nearest(&text)),
        addresses in vec(any_address(), 0..=ADDRESSES_MAX),
        library in any_state(),
        known in option::of(any_digest()),
    ) -> Hello {
        Hello { version: PROTOCOL_VERSION, peer: PeerId(peer), name, addresses, library, known }
    }
}

prop_compose! {
    fn any_delta()(
        from in 0..u64::MAX,
        step in 1..1_000_u64,
        digest in any_digest(),
        games in any_games(9),
        kinds in vec(0..3_u8, 9),
    ) -> LibraryDelta {
        let mut delta = LibraryDelta {
            from,
            to: from.saturating_add(step),
            digest,
            added: vec![],
            updated: vec![],
            removed: vec![],
        };
        for (summary, kind) in games.into_iter().zip(kinds) {
            match kind {
                0 => delta.added.push(summary),
                1 => delta.updated.push(summary),
                _ => delta.removed.push(summary.game),
            }
        }
        delta
    }
}

pub(crate) fn any_control() -> impl Strategy<Value = Control> {
    prop_oneof![
        any_hello().prop_map(Control::Hello),
        any_hello().prop_map(Control::HelloAck),
        (any_state(), any::<u32>(), any::<bool>(), any_games(20)).prop_map(
            |(state, page, last, games)| Control::Snapshot(SnapshotPage {
                state,
                page,
                last,
                games
            })
        ),
        any_delta().prop_map(Control::Delta),
        any::<u64>().prop_map(|known_revision| Control::SnapshotWanted { known_revision }),
        any::<u64>().prop_map(|nonce| Control::Ping { nonce }),
        any::<u64>().prop_map(|nonce| Control::Pong { nonce }),
    ]
}

/// Runs with gaps of any size between them.
fn any_runs() -> impl Strategy<Value = Vec<ChunkRun>> {
    vec((0..9_000_000_u32, 1..40_u32), 1..100).prop_map(|gaps| {
        let mut end = 0;
        let runs = gaps.into_iter().map(|(gap, count)| {
            let first = end + gap;
            end = first + count;
            ChunkRun { first, count }
        });
        runs.collect()
    })
}

pub(crate) fn any_request() -> impl Strategy<Value = Request> {
    let manifest = any::<[u8; 32]>().prop_map(ManifestId);
    (any_game(), manifest, option::of(any_runs())).prop_map(|(game, manifest, runs)| match runs {
        None => Request::Manifest { game, manifest },
        Some(runs) => Request::Chunks { game, manifest, runs },
    })
}

pub(crate) fn any_response() -> impl Strategy<Value = Response> {
    prop_oneof![
        (0..=1_u64 << 24).prop_map(|len| Response::Ok { len }),
        select(Refusal::ALL).prop_map(|reason| Response::Refused { reason }),
    ]
}

/// A manifest that follows every rule; trees that collide are thrown away.
pub(crate) fn any_manifest() -> impl Strategy<Value = Manifest> {
    let chunks = vec((any::<u64>(), 1..300_000_usize), 0..6);
    let files = vec((any_path(), chunks), 0..12);
    let sentinel = "[0-9]{8}(\r?\n)?";
    (files, vec(any_path(), 0..4), sentinel).prop_filter_map(
        "a tree",
        |(files, empty_dirs, sentinel)| {
            let files = files.into_iter().map(|(path, chunks)| {
                let chunks = chunks.into_iter();
                let chunks = chunks.map(|(seed, len)| chunk_of_len(&seed.to_le_bytes(), len));
                (path, chunks.collect())
            });
            let chunker = ChunkerId::STANDARD;
            Manifest::build(chunker, sentinel.into(), files.collect(), empty_dirs).ok()
        },
    )
}
