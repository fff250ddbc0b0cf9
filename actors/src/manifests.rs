//! Manifests by their hash, one file each in the state folder. Content-addressed: any number of
//! writers, no owner. All calls are blocking: from an actor they go through `Disk` or a task.
//!
//! What is read is checked against its name. A damaged file is removed and counts as not there:
//! it can be fetched or made again.

use std::path::Path;

use lanspread_fs_txn::vfs::{FsError, Refusal};
use lanspread_wire::{BadManifest, Manifest, ManifestId, limits::MANIFEST_BYTES_MAX};

use crate::library::state_files::StateFiles;

/// The store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ManifestStore {
    files: StateFiles,
}

/// Why the store could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state folder cannot be read or written.
    #[error("manifest {manifest}: {source}")]
    Io {
        /// Which manifest.
        manifest: ManifestId,
        /// What failed.
        source: FsError,
    },
    /// These bytes are not that manifest.
    #[error("manifest {manifest} refused: {source}")]
    Bad {
        /// Which manifest.
        manifest: ManifestId,
        /// What is wrong with the bytes.
        source: BadManifest,
    },
}

impl ManifestStore {
    /// The store of a state folder. Nothing is touched before the first call.
    pub fn new(state_dir: &Path) -> Self {
        Self { files: StateFiles::new(state_dir.join(FOLDER)) }
    }

    /// The manifest with this hash, or `None` if it is not here (any more).
    pub fn load(&self, manifest: ManifestId) -> Result<Option<Manifest>, StoreError> {
        Ok(self.load_both(manifest)?.map(|(decoded, _)| decoded))
    }

    /// Its canonical bytes, as they travel.
    pub fn load_bytes(&self, manifest: ManifestId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.load_both(manifest)?.map(|(_, bytes)| bytes))
    }

    /// Stores a manifest that follows every rule; returns its hash.
    pub fn save(&self, manifest: &Manifest) -> Result<ManifestId, StoreError> {
        let bytes = manifest.encode();
        let id = ManifestId(*blake3::hash(&bytes).as_bytes());
        manifest.validate().map_err(|source| StoreError::Bad { manifest: id, source })?;
        self.write(id, &bytes)?;
        Ok(id)
    }

    /// Stores the bytes a peer sent, if they are the manifest they were asked for as.
    pub fn save_bytes(&self, manifest: ManifestId, bytes: &[u8]) -> Result<Manifest, StoreError> {
        let decoded = Manifest::decode_expecting(bytes, manifest)
            .map_err(|source| StoreError::Bad { manifest, source })?;
        self.write(manifest, bytes)?;
        Ok(decoded)
    }

    /// Whether a file of that name is here; only loading tells whether it is sound.
    pub fn contains(&self, manifest: ManifestId) -> Result<bool, StoreError> {
        self.files.contains(&name(manifest)).map_err(|source| StoreError::Io { manifest, source })
    }

    /// Removes a manifest if it is here.
    pub fn remove(&self, manifest: ManifestId) -> Result<(), StoreError> {
        self.files.remove(&name(manifest)).map_err(|source| StoreError::Io { manifest, source })
    }

    fn load_both(&self, manifest: ManifestId) -> Result<Option<(Manifest, Vec<u8>)>, StoreError> {
        let bytes = match self.files.read(&name(manifest), MANIFEST_BYTES_MAX as u64) {
            Ok(None) => return Ok(None),
            Ok(Some(bytes)) => bytes,
            Err(error) if is_no_manifest(&error) => {
                return self.drop_damaged(manifest, &error.to_string());
            }
            Err(source) => return Err(StoreError::Io { manifest, source }),
        };
        match Manifest::decode_expecting(&bytes, manifest) {
            Ok(decoded) => Ok(Some((decoded, bytes))),
            Err(error) => self.drop_damaged(manifest, &error.to_string()),
        }
    }

    fn drop_damaged<T>(&self, manifest: ManifestId, why: &str) -> Result<Option<T>, StoreError> {
        tracing::warn!(%manifest, why, "damaged manifest removed from the store");
        self.remove(manifest)?;
        Ok(None)
    }

    fn write(&self, manifest: ManifestId, bytes: &[u8]) -> Result<(), StoreError> {
        self.files
            .write(&name(manifest), bytes)
            .map_err(|source| StoreError::Io { manifest, source })
    }
}

/// Too large, cut short while it was read, or no regular file: damage, not a failing disk.
fn is_no_manifest(error: &FsError) -> bool {
    matches!(
        error.refusal(),
        Some(Refusal::TooLarge | Refusal::Short | Refusal::NotAFile | Refusal::Link)
    )
}

fn name(manifest: ManifestId) -> String {
    manifest.to_string()
}

const FOLDER: &str = "manifests";

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use lanspread_wire::{ChunkEntry, ChunkHash, ChunkerId, RelPath};

    use super::*;

    fn manifest(bytes: &[u8]) -> Manifest {
        let chunk =
            ChunkEntry { hash: ChunkHash::of(bytes), len: u32::try_from(bytes.len()).unwrap() };
        let files = vec![(RelPath::parse("a.bin").unwrap(), vec![chunk])];
        Manifest::build(ChunkerId::STANDARD, b"20240101".to_vec(), files, Vec::new()).unwrap()
    }

    fn path(dir: &tempfile::TempDir, id: ManifestId) -> PathBuf {
        dir.path().join(FOLDER).join(name(id))
    }

    #[test]
    fn a_manifest_comes_back_by_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let store = ManifestStore::new(dir.path());
        let made = manifest(b"x");
        assert_eq!(store.load(made.id()).unwrap(), None);
        assert!(!store.contains(made.id()).unwrap());
        let id = store.save(&made).unwrap();
        assert_eq!(id, made.id());
        assert!(store.contains(id).unwrap());
        assert_eq!(store.load(id).unwrap(), Some(made.clone()));
        assert_eq!(store.load_bytes(id).unwrap(), Some(made.encode()));
        store.remove(id).unwrap();
        assert_eq!(store.load(id).unwrap(), None);
    }

    /// Proves T47 for the store.
    #[test]
    fn other_bytes_are_not_stored_under_a_hash() {
        let dir = tempfile::tempdir().unwrap();
        let store = ManifestStore::new(dir.path());
        let wanted = manifest(b"x").id();
        let error = store.save_bytes(wanted, &manifest(b"y").encode()).unwrap_err();
        assert!(matches!(error, StoreError::Bad { .. }), "{error}");
        assert!(!store.contains(wanted).unwrap());
        store.save_bytes(wanted, &manifest(b"x").encode()).unwrap();
        assert!(store.contains(wanted).unwrap());
    }

    /// Proves T70 and F21: every damage is found, the file removed, and it can be stored again.
    #[test]
    fn a_damaged_manifest_is_removed_and_counts_as_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = ManifestStore::new(dir.path());
        let made = manifest(b"x");
        let (id, whole) = (made.id(), made.encode());
        let flips = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x20;
            bytes
        });
        let cuts = (0..whole.len()).map(|cut| whole[..cut].to_vec());
        for damaged in flips.chain(cuts) {
            store.save(&made).unwrap();
            fs::write(path(&dir, id), &damaged).unwrap();
            assert_eq!(store.load(id).unwrap(), None);
            assert!(!store.contains(id).unwrap());
        }
    }

    #[test]
    fn a_huge_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = ManifestStore::new(dir.path());
        let id = store.save(&manifest(b"x")).unwrap();
        let file = fs::OpenOptions::new().write(true).open(path(&dir, id)).unwrap();
        file.set_len(MANIFEST_BYTES_MAX as u64 + 1).unwrap();
        assert_eq!(store.load(id).unwrap(), None);
        assert!(!store.contains(id).unwrap());
    }

    /// Content-addressed: writers of the same content do not disturb each other.
    #[test]
    fn many_writers_of_one_manifest_all_succeed() {
        let dir = tempfile::tempdir().unwrap();
        let store = ManifestStore::new(dir.path());
        let made = manifest(b"x");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        store.save(&made).unwrap();
                        assert_eq!(store.load(made.id()).unwrap(), Some(made.clone()));
                    }
                });
            }
        });
        let left = fs::read_dir(dir.path().join(FOLDER)).unwrap().count();
        assert_eq!(left, 1, "no temporary file stays");
    }
}
