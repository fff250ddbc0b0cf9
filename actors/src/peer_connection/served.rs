//! The games that are being served: their manifests, loaded once for all connections, and reading
//! their files. Must never follow a link, and never give bytes of a file that is not as it was.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use lanspread_fs_txn::vfs::{Dir, FsError, Metadata, RealVfs, Vfs, read_exact_at};
use lanspread_wire::{ChunkMap, GameId, Manifest, ManifestId, Refusal};
use tokio::{sync::OnceCell, task::spawn_blocking};

use super::{
    limits::{SERVED_BYTES_MAX, SERVED_GAMES_MAX},
    pieces::{Piece, Segment},
};
use crate::{facts::LocalGame, manifests::ManifestStore};

/// One game with the content that is served of it.
pub(crate) struct ServedGame {
    pub(crate) manifest: Manifest,
    pub(crate) map: ChunkMap,
    root: Arc<dyn Dir>,
    /// About what the manifest and the map take in memory.
    weight: usize,
    /// What each file that was opened looked like the first time.
    seen: Mutex<BTreeMap<u32, Stamp>>,
}

/// Which file this was: another one under its name, or a change of it, has another stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified_ns: i64,
    inode: Option<u64>,
    device: Option<u64>,
}

/// Why a game or a file of it cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The state folder has no (sound) manifest of it any more.
    #[error("the manifest {0} is not in the store")]
    NoManifest(ManifestId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] crate::manifests::StoreError),
    /// The disk failed, or something else stands where a file was.
    #[error(transparent)]
    Disk(#[from] FsError),
    /// A file is not what the manifest says, or what it was when it was first opened.
    #[error("the file {0} has changed")]
    Changed(String),
    /// The job that read it panicked.
    #[error("reading failed: {0}")]
    Panicked(String),
}

/// Which content, where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    game: GameId,
    manifest: ManifestId,
    root: PathBuf,
}

/// The loaded games, the least recently used one goes first.
#[derive(Clone, Default)]
pub(crate) struct Served(Arc<Mutex<Loaded>>);

#[derive(Default)]
struct Loaded {
    entries: BTreeMap<Key, Entry>,
    clock: u64,
}

struct Entry {
    game: Arc<OnceCell<Arc<ServedGame>>>,
    used_at: u64,
}

impl ServeError {
    /// What the peer is told.
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Self::NoManifest(_) => Refusal::NotReady,
            Self::Changed(_) => Refusal::Changed,
            Self::Disk(error) if is_change(error) => Refusal::Changed,
            Self::Store(_) | Self::Disk(_) | Self::Panicked(_) => Refusal::Io,
        }
    }

    /// Whether the library should look at the game again.
    pub(crate) fn is_news(&self) -> bool {
        matches!(self.refusal(), Refusal::Changed | Refusal::NotReady)
    }
}

impl Served {
    /// The content of a game, loaded at most once however many ask for it at the same time.
    pub(crate) async fn get(
        &self,
        game: &LocalGame,
        manifest: ManifestId,
        store: &ManifestStore,
    ) -> Result<Arc<ServedGame>, ServeError> {
        let key = Key { game: game.game.clone(), manifest, root: game.root.clone() };
        let cell = self.lock().cell(&key);
        let load = || async {
            let (store, root) = (store.clone(), key.root.clone());
            let job = spawn_blocking(move || ServedGame::load(&store, manifest, &root));
            job.await.map_err(|error| ServeError::Panicked(error.to_string()))?
        };
        let loaded = cell.get_or_try_init(load).await.cloned();
        self.lock().shrink(&key);
        loaded
    }

    /// Forgets every content of a game: it is not what it was.
    pub(crate) fn forget(&self, game: &GameId) {
        self.lock().entries.retain(|key, _| key.game != *game);
    }

    fn lock(&self) -> MutexGuard<'_, Loaded> {
        // No code that can panic runs while the table is half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().entries.keys()).finish()
    }
}

impl Loaded {
    fn cell(&mut self, key: &Key) -> Arc<OnceCell<Arc<ServedGame>>> {
        self.clock += 1;
        let entry = self
            .entries
            .entry(key.clone())
            .or_insert_with(|| Entry { game: Arc::default(), used_at: 0 });
        entry.used_at = self.clock;
        entry.game.clone()
    }

    /// Drops what was used longest ago until the rest fits; `kept` stays in any case. Uploads that
    /// run keep their game alive by themselves.
    fn shrink(&mut self, kept: &Key) {
        while self.entries.len() > SERVED_GAMES_MAX || self.bytes() > SERVED_BYTES_MAX {
            let others = self.entries.iter().filter(|(key, _)| *key != kept);
            let Some(oldest) = others.min_by_key(|(_, entry)| entry.used_at) else {
                return;
            };
            let oldest = oldest.0.clone();
            self.entries.remove(&oldest);
        }
    }

    fn bytes(&self) -> usize {
        self.entries.values().filter_map(|entry| entry.game.get()).map(|game| game.weight).sum()
    }
}

impl ServedGame {
    /// Loads the manifest and opens the folder. Blocks on the disk.
    fn load(
        store: &ManifestStore,
        manifest: ManifestId,
        root: &Path,
    ) -> Result<Arc<Self>, ServeError> {
        let manifest = store.load(manifest)?.ok_or(ServeError::NoManifest(manifest))?;
        let map = ChunkMap::new(&manifest);
        let root = RealVfs.open_root(root)?;
        let weight = weight(&manifest);
        Ok(Arc::new(Self { manifest, map, root, weight, seen: Mutex::default() }))
    }

    /// Reads one piece. Blocks on the disk.
    pub(crate) fn read(&self, piece: &Piece) -> Result<Bytes, ServeError> {
        let mut bytes = vec![0; piece.bytes];
        let mut rest = bytes.as_mut_slice();
        for segment in &piece.segments {
            let (part, behind) = rest.split_at_mut(segment.bytes);
            self.read_segment(segment, part)?;
            rest = behind;
        }
        Ok(bytes.into())
    }

    fn read_segment(&self, segment: &Segment, buffer: &mut [u8]) -> Result<(), ServeError> {
        let entry = &self.manifest.files[segment.file as usize];
        let file = self.root.open_read(Path::new(entry.path.as_str()))?;
        let metadata = file.metadata()?;
        if metadata.len != entry.size || !self.is_as_before(segment.file, &metadata) {
            return Err(ServeError::Changed(entry.path.to_string()));
        }
        Ok(read_exact_at(&*file, segment.offset, buffer)?)
    }

    /// Compares with what the file looked like the first time. This catches a file that is replaced
    /// or written to by others while it is served; what slips through is caught by the receiver,
    /// who checks every chunk.
    fn is_as_before(&self, file: u32, metadata: &Metadata) -> bool {
        let Metadata { modified_ns, inode, device, .. } = *metadata;
        let stamp = Stamp { modified_ns, inode, device };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen.entry(file).or_insert(stamp) == stamp
    }
}

/// About what a manifest and its map take in memory.
fn weight(manifest: &Manifest) -> usize {
    let paths: usize = manifest.files.iter().map(|file| file.path.as_str().len()).sum();
    paths + manifest.files.len() * FILE_BYTES + manifest.chunks.len() * CHUNK_BYTES
}

/// Whether an error means that the file is not the one that was offered.
fn is_change(error: &FsError) -> bool {
    matches!(error.code(), "not-found" | "link" | "wrong-kind" | "other-device" | "changed")
}

/// An entry of the manifest, of the map and of what was seen of the file, beside its path.
const FILE_BYTES: usize = 128;
/// A chunk in the manifest and in the map.
const CHUNK_BYTES: usize = 48;

#[cfg(test)]
#[path = "served_tests.rs"]
mod tests;
