//! The rules of a manifest, whoever made it. Owns every reason to refuse one; a manifest is
//! refused as a whole, naming the entry, and never repaired.

use std::collections::HashMap;

use thiserror::Error;

use crate::{
    ids::ManifestId,
    limits::{
        CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX, MANIFEST_CHUNKS_MAX, MANIFEST_DIRS_MAX,
        MANIFEST_ENTRIES_MAX, SENTINEL_BYTES_MAX,
    },
    manifest::Manifest,
    names::{BadName, fold_key},
    path::{RelPath, is_reserved_component},
    version::{BadVersion, VersionStamp},
};

/// Why a manifest is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the error texts are the documentation of the variants")]
pub enum BadManifest {
    #[error("a manifest of {bytes} bytes, allowed are {MANIFEST_BYTES_MAX}")]
    Bytes { bytes: usize },
    #[error("the manifest does not decode: {0}")]
    Malformed(String),
    #[error("not a manifest")]
    Magic,
    #[error("the manifest is followed by {bytes} bytes that belong to nothing")]
    Trailing { bytes: usize },
    #[error("the manifest is not written in its one way")]
    NotCanonical,
    #[error("the manifest {got} instead of {wanted}")]
    OtherId { wanted: ManifestId, got: ManifestId },
    #[error("the manifest was cut by a rule that this version does not know")]
    Chunker,
    #[error("the manifest's sentinel: {0}")]
    Sentinel(#[from] BadVersion),
    #[error("the manifest has {count} entries, allowed are {MANIFEST_ENTRIES_MAX}")]
    Entries { count: usize },
    #[error("the manifest's files lie in more than {MANIFEST_DIRS_MAX} directories")]
    Directories,
    #[error("the manifest has {count} chunks, allowed are {MANIFEST_CHUNKS_MAX}")]
    Chunks { count: usize },
    #[error("the manifest has {hash_bytes} bytes of hashes for {chunks} chunks")]
    HashCount { chunks: usize, hash_bytes: usize },
    #[error("a name in the manifest: {0}")]
    Name(#[from] BadName),
    #[error("the manifest lists {0}, which is never part of a game's content")]
    Reserved(RelPath),
    #[error("the manifest lists {0} twice or out of order")]
    Order(RelPath),
    #[error("the manifest lists {first} and {second}, which are one name on some systems")]
    Collision { first: String, second: String },
    #[error("the manifest lists {0} as a file and as a directory")]
    FileAndDirectory(String),
    #[error("the manifest lists {0} as an empty directory, and something inside it")]
    NotEmpty(String),
    #[error("{path} has {size} bytes, its chunks have {chunk_bytes}")]
    Size { path: RelPath, size: u64, chunk_bytes: u64 },
    #[error("{path} has a chunk of {len} bytes, allowed are 1 to {CHUNK_BYTES_MAX}")]
    ChunkBytes { path: RelPath, len: u32 },
    #[error("the files have {of_files} chunks, the manifest has {listed}")]
    ChunkSum { of_files: u64, listed: usize },
}

/// Checks every rule of a manifest.
pub(crate) fn check(manifest: &Manifest) -> Result<(), BadManifest> {
    check_counts(manifest)?;
    if !manifest.chunker.is_known() {
        return Err(BadManifest::Chunker);
    }
    VersionStamp::parse(&manifest.sentinel)?;
    check_order(manifest.files.iter().map(|file| &file.path))?;
    check_order(manifest.empty_dirs.iter())?;
    check_tree(manifest)?;
    check_sizes(manifest)
}

/// First, so that nothing behind it can be made to work without bound.
fn check_counts(manifest: &Manifest) -> Result<(), BadManifest> {
    let entries = manifest.files.len() + manifest.empty_dirs.len();
    if entries > MANIFEST_ENTRIES_MAX {
        return Err(BadManifest::Entries { count: entries });
    }
    if manifest.chunks.len() > MANIFEST_CHUNKS_MAX {
        return Err(BadManifest::Chunks { count: manifest.chunks.len() });
    }
    if encoded_bytes_bound(manifest) > MANIFEST_BYTES_MAX {
        let bytes = manifest.encode().len();
        if bytes > MANIFEST_BYTES_MAX {
            return Err(BadManifest::Bytes { bytes });
        }
    }
    Ok(())
}

/// At least as much as the canonical bytes take, without making them.
fn encoded_bytes_bound(manifest: &Manifest) -> usize {
    let files = manifest.files.iter().map(|file| file.path.as_str().len() + ENTRY_NUMBERS_BYTES);
    let dirs = manifest.empty_dirs.iter().map(|path| path.as_str().len() + ENTRY_NUMBERS_BYTES);
    let names: usize = files.chain(dirs).sum();
    HEAD_BYTES + manifest.sentinel.len() + names + manifest.chunks.len() * CHUNK_ENTRY_BYTES
}

fn check_order<'a>(paths: impl Iterator<Item = &'a RelPath>) -> Result<(), BadManifest> {
    let mut before: Option<&RelPath> = None;
    for path in paths {
        if before.is_some_and(|before| before >= path) {
            return Err(BadManifest::Order(path.clone()));
        }
        before = Some(path);
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    EmptyDir,
    /// A directory that something lies in.
    Dir,
}

/// The tree of all entries, by what their names are on the most forgetful of systems. Each name
/// is folded once, however many entries lie below it.
#[derive(Default)]
struct Tree<'a> {
    /// What stands under a folded name in a directory.
    nodes: HashMap<(DirId, String), (&'a str, Kind)>,
    /// The directories that something lies in, by their exact paths.
    dirs: HashMap<&'a str, DirId>,
}

/// Counts directories from one; the game root has none.
type DirId = usize;

impl<'a> Tree<'a> {
    fn add(&mut self, entry: &'a RelPath, kind: Kind) -> Result<(), BadManifest> {
        let parent = self.parent(entry)?;
        self.add_node(entry, parent, entry.as_str(), kind)
    }

    /// The directory that an entry lies in, which is added with those above it if it is new.
    fn parent(&mut self, entry: &'a RelPath) -> Result<DirId, BadManifest> {
        let path = entry.as_str();
        let Some((parent, _)) = path.rsplit_once('/') else {
            return Ok(ROOT);
        };
        if let Some(known) = self.dirs.get(parent) {
            return Ok(*known);
        }
        let mut above = ROOT;
        for (slash, _) in path.match_indices('/') {
            let dir = &path[..slash];
            above = match self.dirs.get(dir) {
                Some(known) => *known,
                None => self.add_dir(entry, above, dir)?,
            };
        }
        Ok(above)
    }

    fn add_dir(
        &mut self,
        entry: &RelPath,
        above: DirId,
        dir: &'a str,
    ) -> Result<DirId, BadManifest> {
        if self.dirs.len() == MANIFEST_DIRS_MAX {
            return Err(BadManifest::Directories);
        }
        self.add_node(entry, above, dir, Kind::Dir)?;
        let id = self.dirs.len() + 1;
        self.dirs.insert(dir, id);
        Ok(id)
    }

    fn add_node(
        &mut self,
        entry: &RelPath,
        parent: DirId,
        path: &'a str,
        kind: Kind,
    ) -> Result<(), BadManifest> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let folded = fold_key(name);
        if is_reserved_component(&folded, parent == ROOT) {
            return Err(BadManifest::Reserved(entry.clone()));
        }
        let Some((before, kind_before)) = self.nodes.insert((parent, folded), (path, kind)) else {
            return Ok(());
        };
        if before != path {
            let (first, second) = (before.into(), path.into());
            return Err(BadManifest::Collision { first, second });
        }
        if kind == Kind::File || kind_before == Kind::File {
            return Err(BadManifest::FileAndDirectory(path.into()));
        }
        Err(BadManifest::NotEmpty(path.into()))
    }
}

fn check_tree(manifest: &Manifest) -> Result<(), BadManifest> {
    let mut tree = Tree::default();
    for file in &manifest.files {
        tree.add(&file.path, Kind::File)?;
    }
    for path in &manifest.empty_dirs {
        tree.add(path, Kind::EmptyDir)?;
    }
    Ok(())
}

/// Every chunk belongs to one file, and a file's chunks have its size. No sum can overflow: a
/// length has 32 bits, and the number of chunks is limited.
fn check_sizes(manifest: &Manifest) -> Result<(), BadManifest> {
    let of_files: u64 = manifest.files.iter().map(|file| u64::from(file.chunk_count)).sum();
    let listed = manifest.chunks.len();
    if of_files != listed as u64 {
        return Err(BadManifest::ChunkSum { of_files, listed });
    }
    let mut chunks = manifest.chunks.iter();
    for file in &manifest.files {
        let mut chunk_bytes: u64 = 0;
        for chunk in chunks.by_ref().take(file.chunk_count as usize) {
            if !(1..=CHUNK_BYTES_MAX).contains(&chunk.len) {
                let path = file.path.clone();
                return Err(BadManifest::ChunkBytes { path, len: chunk.len });
            }
            chunk_bytes += u64::from(chunk.len);
        }
        if chunk_bytes != file.size {
            let path = file.path.clone();
            return Err(BadManifest::Size { path, size: file.size, chunk_bytes });
        }
    }
    Ok(())
}

const ROOT: DirId = 0;
/// Magic, chunker and the lengths of the lists, at their longest.
const HEAD_BYTES: usize = 64;
/// A path's length, a size and a count, at their longest.
const ENTRY_NUMBERS_BYTES: usize = 20;
/// A hash and a length at its longest.
const CHUNK_ENTRY_BYTES: usize = 37;
// A sentinel can never be what makes a manifest too large.
const _: () = assert!(SENTINEL_BYTES_MAX + HEAD_BYTES < MANIFEST_BYTES_MAX);
