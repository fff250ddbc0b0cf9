//! Tests of what is kept loaded for serving, and of reading files that others may touch.

use std::fs;

use lanspread_wire::{ChunkEntry, ChunkHash, ChunkRun, ChunkerId, RelPath, VersionStamp};
use tempfile::TempDir;

use super::{super::pieces::pieces, *};
use crate::{api::Availability, facts::ServeGate};

struct Scene {
    dir: TempDir,
    store: ManifestStore,
    served: Served,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = ManifestStore::new(&dir.path().join("state"));
        Self { dir, store, served: Served::default() }
    }

    /// A game of one file with this content, on disk and in the store.
    fn game(&self, name: &str, bytes: &[u8]) -> (LocalGame, ManifestId) {
        let root = self.dir.path().join(name);
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("a"), bytes).unwrap();
        let chunk = ChunkEntry { hash: ChunkHash::of(bytes), len: bytes.len() as u32 };
        let files = vec![(RelPath::parse("a").unwrap(), vec![chunk])];
        let manifest =
            Manifest::build(ChunkerId::STANDARD, b"1".to_vec(), files, Vec::new()).unwrap();
        let id = self.store.save(&manifest).unwrap();
        let game = LocalGame {
            game: GameId::parse(name).unwrap(),
            title: name.to_owned(),
            root,
            version: Some(VersionStamp::parse(b"1").unwrap()),
            installed: false,
            availability: Some(Availability::Ready),
            manifest: Some(id),
            bytes_total: bytes.len() as u64,
            hashing: None,
            problem: None,
            gate: ServeGate::default(),
        };
        (game, id)
    }

    async fn get(&self, game: &LocalGame, id: ManifestId) -> Result<Arc<ServedGame>, ServeError> {
        self.served.get(game, id, &self.store).await
    }

    fn loaded(&self) -> usize {
        self.served.lock().entries.len()
    }
}

fn read(game: &ServedGame) -> Result<Bytes, ServeError> {
    let runs = [ChunkRun { first: 0, count: 1 }];
    game.read(&pieces(&game.map, &runs)[0])
}

/// Many requests for a game load it once.
#[tokio::test]
async fn a_game_is_loaded_once() {
    let scene = Scene::new();
    let (game, id) = scene.game("quake", b"abc");
    let (one, two) = tokio::join!(biased; scene.get(&game, id), scene.get(&game, id));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(read(&one).unwrap(), "abc");
    scene.served.forget(&game.game);
    assert!(!Arc::ptr_eq(&one, &scene.get(&game, id).await.unwrap()));
}

/// A load that fails is tried again by the next one.
#[tokio::test]
async fn a_failed_load_is_not_remembered() {
    let scene = Scene::new();
    let (game, id) = scene.game("quake", b"abc");
    scene.store.remove(id).unwrap();
    let error = scene.get(&game, id).await.err().unwrap();
    assert_eq!((error.refusal(), error.is_news()), (Refusal::NotReady, true));
    scene.game("quake", b"abc");
    assert!(scene.get(&game, id).await.is_ok());
    let elsewhere = LocalGame { root: scene.dir.path().join("nowhere"), ..game };
    assert_eq!(scene.get(&elsewhere, id).await.err().unwrap().refusal(), Refusal::Changed);
}

/// Proves T37: so many games are kept, those used last; what an upload uses lives on.
#[tokio::test]
async fn the_least_recently_used_game_goes() {
    let scene = Scene::new();
    let mut games = Vec::new();
    for number in 0..SERVED_GAMES_MAX {
        games.push(scene.game(&format!("game-{number}"), &[number as u8]));
        scene.get(&games[number].0, games[number].1).await.unwrap();
    }
    let first = scene.get(&games[0].0, games[0].1).await.unwrap();
    let (second, third) = (&games[1], &games[2]);
    let in_use = scene.get(&third.0, third.1).await.unwrap();
    let (extra, id) = scene.game("extra", b"x");
    scene.get(&extra, id).await.unwrap();
    assert_eq!(scene.loaded(), SERVED_GAMES_MAX);
    assert!(Arc::ptr_eq(&first, &scene.get(&games[0].0, games[0].1).await.unwrap()));
    let has =
        |game: &LocalGame| scene.served.lock().entries.keys().any(|key| key.game == game.game);
    assert!(!has(&second.0) && has(&third.0) && has(&extra));
    scene.served.forget(&third.0.game);
    assert_eq!(read(&in_use).unwrap(), &[2_u8][..]);
}

/// Another content of the same game is another entry.
#[tokio::test]
async fn each_content_has_an_entry_of_its_own() {
    let scene = Scene::new();
    let (game, old) = scene.game("quake", b"abc");
    scene.get(&game, old).await.unwrap();
    let (game, new) = scene.game("quake", b"xyz!");
    let loaded = scene.get(&game, new).await.unwrap();
    assert_eq!(read(&loaded).unwrap(), "xyz!");
    assert_eq!(scene.loaded(), 2);
    // The old content is not there any more, whoever asks for it.
    let outdated = scene.get(&game, old).await.unwrap();
    assert_eq!(read(&outdated).err().unwrap().refusal(), Refusal::Changed);
}

/// The weight grows with files, paths and chunks; it is what the bound on memory counts.
#[test]
fn the_weight_follows_the_manifest() {
    let manifest = |files: usize, chunks: usize| {
        let chunk = ChunkEntry { hash: ChunkHash([0; 32]), len: 1 };
        let file = |number: usize| {
            (RelPath::parse(&format!("file-{number:04}")).unwrap(), vec![chunk; chunks])
        };
        Manifest::build(
            ChunkerId::STANDARD,
            b"1".to_vec(),
            (0..files).map(file).collect(),
            Vec::new(),
        )
        .unwrap()
    };
    let base = weight(&manifest(10, 1));
    assert_eq!(base, 10 * ("file-0000".len() + FILE_BYTES + CHUNK_BYTES));
    assert_eq!(weight(&manifest(10, 3)), base + 20 * CHUNK_BYTES);
}
