//! A games folder and a state folder for the tests of scanner and hasher, and short words for what
//! is done to them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use lanspread_fs_txn::vfs::RealVfs;
use lanspread_wire::{GameId, Manifest, ManifestId};

use super::{
    hash::{HashJob, Ticket},
    index::{Content, HashOrder, HashOutcome, RootScan, ScanOrder, ScanOutcome},
    ledger::Ledgers,
    scan::{Places, walk::Budget},
};
use crate::manifests::ManifestStore;

pub(super) mod meddler;

use meddler::{Hook, MeddledVfs};

/// Two folders that are removed at the end.
pub(super) struct Testbed {
    dir: tempfile::TempDir,
    pub(super) places: Places,
}

pub(super) fn game(name: &str) -> GameId {
    GameId::parse(name).unwrap()
}

/// Bytes that depend on the seed alone and cannot be compressed.
pub(super) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

impl Testbed {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let games_dir = dir.path().join("games");
        fs::create_dir(&games_dir).unwrap();
        let state_dir = dir.path().join("state");
        let places = Places {
            vfs: Arc::new(RealVfs),
            games_dir,
            ledgers: Ledgers::new(&state_dir),
            manifests: ManifestStore::new(&state_dir),
        };
        Self { dir, places }
    }

    pub(super) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Where a path below the root of the game `quake` lies.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.places.games_dir.join("quake").join(path)
    }

    pub(super) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(super) fn make_dir(&self, path: &str) {
        fs::create_dir_all(self.path(path)).unwrap();
    }

    pub(super) fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    #[cfg(unix)]
    pub(super) fn link(&self, target: impl AsRef<Path>, path: &str) {
        std::os::unix::fs::symlink(target, self.path(path)).unwrap();
    }

    /// Sets the time of a file to so many seconds from now.
    pub(super) fn touch(&self, path: &str, seconds: u64) {
        let file = fs::OpenOptions::new().write(true).open(self.path(path)).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(seconds)).unwrap();
    }

    /// Writes over a file and puts its time back: only its bytes tell.
    pub(super) fn write_in_secret(&self, path: &str, bytes: &[u8]) {
        let before = fs::metadata(self.path(path)).unwrap();
        assert_eq!(before.len(), bytes.len() as u64);
        let file = fs::OpenOptions::new().write(true).open(self.path(path)).unwrap();
        std::io::Write::write_all(&mut &file, bytes).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
    }

    pub(super) fn order(&self) -> ScanOrder {
        ScanOrder { game: game("quake"), committed: None, kept: None, damaged: Vec::new() }
    }

    pub(super) fn scan_as(&self, order: &ScanOrder) -> ScanOutcome {
        self.places.scan(None, order, &Budget::UNLIMITED)
    }

    /// The scan of a root that is there.
    pub(super) fn scan(&self) -> RootScan {
        Self::found(self.scan_as(&self.order()))
    }

    pub(super) fn found(outcome: ScanOutcome) -> RootScan {
        match outcome {
            ScanOutcome::Found(scan) => *scan,
            other => panic!("not found: {other:?}"),
        }
    }

    /// The same places with a hook before each read of a file.
    pub(super) fn meddle(&mut self, hook: Hook) {
        self.places.vfs = Arc::new(MeddledVfs(hook));
    }

    /// The same places without a hook.
    pub(super) fn leave_alone(&mut self) {
        self.places.vfs = Arc::new(RealVfs);
    }

    pub(super) fn job(&self, order: HashOrder, ticket: &Ticket) -> HashJob {
        let (places, ticket) = (self.places.clone(), ticket.clone());
        HashJob { places, game: game("quake"), order, ticket }
    }

    pub(super) fn hash_as(&self, order: HashOrder) -> HashOutcome {
        self.job(order, &Ticket::default()).run()
    }

    /// Hashes the payload, which must succeed.
    pub(super) fn hash(&self) -> Manifest {
        match self.hash_as(HashOrder::Payload) {
            HashOutcome::Done { manifest, .. } => self.manifest(manifest),
            other => panic!("not hashed: {other:?}"),
        }
    }

    pub(super) fn manifest(&self, id: ManifestId) -> Manifest {
        self.places.manifests.load(id).unwrap().expect("stored")
    }

    /// Makes the root one that a download has just committed.
    pub(super) fn commit(&self) -> ManifestId {
        let manifest = self.hash().id();
        self.places.ledgers.forget(&game("quake"));
        let order = ScanOrder { committed: Some(manifest), ..self.order() };
        let scan = Self::found(self.scan_as(&order));
        assert!(matches!(scan.content, Content::Known { .. }), "{:?}", scan.content);
        manifest
    }
}

/// The paths of a manifest.
pub(super) fn paths(manifest: &Manifest) -> Vec<&str> {
    manifest.files.iter().map(|file| file.path.as_str()).collect()
}
