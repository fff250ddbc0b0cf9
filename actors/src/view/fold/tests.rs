//! Tables of what is here and there, and what a user sees of it.

use lanspread_wire::{GameSummary, LibraryDigest, LibraryState, ManifestId, VersionStamp};

use super::*;
use crate::{
    api::{Availability, OperationKind, Phase},
    facts::{HashProgress, OperationRow, ServeGate},
};

fn id(text: &str) -> GameId {
    GameId::parse(text).unwrap()
}

fn stamp(text: &str) -> VersionStamp {
    VersionStamp::parse(text.as_bytes()).unwrap()
}

fn content(byte: u8) -> ManifestId {
    ManifestId([byte; 32])
}

fn peer(byte: u8) -> PeerId {
    PeerId([byte; 32])
}

fn summary(game: &str, version: &str, manifest: Option<u8>) -> GameSummary {
    GameSummary {
        game: id(game),
        title: Title::parse(&format!("The {game}")).unwrap(),
        version: stamp(version),
        manifest: manifest.map(content),
        bytes_total: 1000,
    }
}

fn holder(byte: u8, games: &[GameSummary]) -> PeerFacts {
    let state = LibraryState { revision: 1, digest: LibraryDigest([0; 32]) };
    let games = games.iter().map(|summary| (summary.game.clone(), summary.clone())).collect();
    PeerFacts {
        peer: peer(byte),
        name: format!("guest-{byte}"),
        addresses: Vec::new(),
        connected_s: 5,
        rtt_ms: 1,
        library: Arc::new(RemoteLibrary { state, games }),
    }
}

fn here(game: &str, version: Option<&str>, manifest: Option<u8>) -> LocalGame {
    LocalGame {
        game: id(game),
        title: game.to_owned(),
        root: std::path::PathBuf::from("/games").join(game),
        version: version.map(stamp),
        installed: false,
        availability: Some(Availability::Ready),
        manifest: manifest.map(content),
        bytes_total: 900,
        hashing: None,
        problem: None,
        gate: ServeGate::default(),
    }
}

fn facts(local: Vec<LocalGame>, peers: Vec<PeerFacts>, catalog: Option<&str>) -> Facts {
    let games = local.into_iter().map(|local| (local.game.clone(), local)).collect();
    let local = LocalLibrary { games_dir: Some("/games".into()), offline: None, games };
    let catalog = catalog.map(|text| Catalog::parse(text).unwrap());
    Facts { local: Arc::new(local), peers, catalog: Arc::new(catalog), ..Facts::default() }
}

fn seen(facts: &Facts) -> Snapshot {
    fold(facts, &Offers::new(&facts.peers, facts.catalog.as_ref().as_ref()))
}

fn view<'a>(snapshot: &'a Snapshot, game: &str) -> &'a GameView {
    snapshot.games.iter().find(|view| view.id == id(game)).expect("a listed game")
}

/// Proves R1 and P11 (open mode): what is here and what peers announce is one list.
#[test]
fn here_and_there_are_merged_game_by_game() {
    let facts = facts(
        vec![here("quake", Some("20200101"), Some(1)), here("solo", None, None)],
        vec![
            holder(1, &[summary("quake", "20210101", Some(2)), summary("doom", "1", Some(3))]),
            holder(2, &[summary("quake", "20210101", Some(2))]),
            holder(3, &[summary("quake", "20200101", Some(1))]),
        ],
        None,
    );
    let snapshot = seen(&facts);
    let ids: Vec<_> = snapshot.games.iter().map(|view| view.id.as_str()).collect();
    assert_eq!(ids, ["doom", "quake", "solo"]);

    let quake = view(&snapshot, "quake");
    assert_eq!(quake.version, Some(stamp("20200101")));
    assert_eq!(quake.newest, Some(stamp("20210101")));
    assert_eq!((quake.peers, &quake.sources), (2, &vec![peer(1), peer(2)]));
    assert_eq!((quake.manifest, quake.size_bytes), (Some(content(1)), 900));
    assert_eq!(quake.title, "The quake", "a peer's title says more than the id");
    assert!(quake.downloaded && !quake.installed);

    let doom = view(&snapshot, "doom");
    assert_eq!((doom.version.as_ref(), doom.newest.clone()), (None, Some(stamp("1"))));
    assert_eq!((doom.peers, doom.downloaded, doom.availability), (1, false, None));
    assert_eq!(doom.size_bytes, 1000);

    let solo = view(&snapshot, "solo");
    assert_eq!((solo.peers, solo.newest.as_ref(), solo.title.as_str()), (0, None, "solo"));
    assert_eq!(snapshot.status.peers_connected, 3);
}

/// Proves R1: a holder of an older version is no source of a newer one that is only here.
#[test]
fn what_is_newer_here_has_no_sources() {
    let local = vec![here("quake", Some("20220101"), Some(9))];
    let facts = facts(local, vec![holder(1, &[summary("quake", "20210101", Some(2))])], None);
    let quake = view(&seen(&facts), "quake").clone();
    assert_eq!((quake.newest, quake.peers), (Some(stamp("20220101")), 0));
    assert_eq!(quake.sources, []);
}

/// Proves R1: a peer that still hashes is listed but is no source and sets no version.
#[test]
fn a_hashing_peer_is_no_source() {
    let facts = facts(Vec::new(), vec![holder(1, &[summary("quake", "2", None)])], None);
    let quake = view(&seen(&facts), "quake").clone();
    assert_eq!((quake.newest, quake.peers, quake.problem), (None, 0, None));
    assert_eq!(quake.title, "The quake");
}

/// Proves R3: the content that more peers hold wins, and only its holders count.
#[test]
fn the_content_of_the_majority_wins() {
    let peers = vec![
        holder(1, &[summary("quake", "1", Some(7))]),
        holder(2, &[summary("quake", "1", Some(8))]),
        holder(3, &[summary("quake", "1", Some(8))]),
    ];
    let quake = view(&seen(&facts(Vec::new(), peers, None)), "quake").clone();
    assert_eq!((quake.sources, quake.problem), (vec![peer(2), peer(3)], None));
}

/// Proves R3: a tie is told with both sides.
#[test]
fn a_tie_names_both_sides() {
    let peers = vec![
        holder(1, &[summary("quake", "1", Some(7))]),
        holder(2, &[summary("quake", "1", Some(8))]),
    ];
    let quake = view(&seen(&facts(Vec::new(), peers, None)), "quake").clone();
    let problem = quake.problem.expect("a problem");
    assert!(problem.contains(&peer(1).short()) && problem.contains(&peer(2).short()), "{problem}");
}

/// Proves R3: a pin of the catalog beats newer versions and majorities.
#[test]
fn a_pin_always_wins() {
    let catalog = format!(
        "[games.quake]\ntitle = \"Quake\"\nversion = \"1\"\nmanifest = \"{}\"\n",
        content(7)
    );
    let peers = vec![
        holder(1, &[summary("quake", "1", Some(7))]),
        holder(2, &[summary("quake", "1", Some(8))]),
        holder(3, &[summary("quake", "2", Some(8))]),
    ];
    let pinned = facts(Vec::new(), peers, Some(&catalog));
    let quake = view(&seen(&pinned), "quake").clone();
    assert_eq!((quake.newest, quake.sources), (Some(stamp("1")), vec![peer(1)]));
    assert_eq!(quake.title, "Quake");

    let others = vec![holder(3, &[summary("quake", "2", Some(8))])];
    let quake = view(&seen(&facts(Vec::new(), others, Some(&catalog))), "quake").clone();
    assert_eq!((quake.newest, quake.peers), (None, 0));
    assert!(quake.problem.is_some(), "says why nothing can be fetched");
}

/// Proves P11: with a catalog, only its games are listed, also those that nobody has.
#[test]
fn a_catalog_is_the_whole_list() {
    let catalog =
        "[games.quake]\ntitle = \"Quake\"\ngenre = \"Shooter\"\n[games.rare]\ntitle = \"Rare\"\n";
    let facts = facts(
        vec![here("private", Some("1"), Some(1))],
        vec![holder(1, &[summary("quake", "1", Some(2)), summary("other", "1", Some(3))])],
        Some(catalog),
    );
    let snapshot = seen(&facts);
    let ids: Vec<_> = snapshot.games.iter().map(|view| view.id.as_str()).collect();
    assert_eq!(ids, ["quake", "rare"]);
    assert_eq!(view(&snapshot, "quake").genre.as_deref(), Some("Shooter"));
    assert_eq!(view(&snapshot, "rare").newest, None);
}

/// Proves O1: the busy label comes from the operation table alone.
#[test]
fn operations_uploads_and_hashing_are_shown() {
    let mut quake = here("quake", Some("1"), None);
    quake.hashing = Some(HashProgress { bytes_done: 3, bytes_total: 9 });
    let _upload = quake.gate.enter().expect("open");
    let mut facts = facts(vec![quake], Vec::new(), None);
    let row = OperationRow {
        operation: "op-1".to_owned(),
        kind: OperationKind::Installing,
        phase: Phase::Unpacking,
        bytes_done: 1,
        bytes_total: 2,
    };
    facts.operations =
        Arc::new(OperationTable { rows: [(id("quake"), row)].into(), ..OperationTable::default() });
    facts.counters.insert("x", 4);
    facts.problems.insert("discovery", "nobody answers".to_owned());
    let health = ActorHealth { name: "library".to_owned(), restarts: 2, last_failure: None };
    facts.health.insert("node", vec![health.clone()]);

    let snapshot = seen(&facts);
    let operation = view(&snapshot, "quake").operation.clone().expect("an operation");
    assert_eq!((operation.kind, operation.phase), (OperationKind::Installing, Phase::Unpacking));
    assert_eq!(snapshot.operations, [operation]);
    let status = snapshot.status;
    assert_eq!(status.hashing, [(id("quake"), (3, 9))].into());
    assert_eq!(status.uploads, [(id("quake"), 1)].into());
    assert_eq!(status.actors, [health]);
    assert_eq!(status.counters, [("x".to_owned(), 4)].into());
    assert_eq!(status.problems, ["nobody answers"]);
    assert_eq!(status.node.games_dir, Some("/games".into()));
}
