//! What a game is made of: paths, sizes, chunks and the sentinel's bytes, and nothing that differs
//! between two copies of the same content. Owns the canonical bytes; the rules stand in
//! `manifest_check`.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::{
    chunker::{ChunkAlgorithm, ChunkerId},
    codec::{capped, decode_manifest, encode_value},
    ids::{ChunkHash, ManifestId},
    limits::{MANIFEST_BYTES_MAX, MANIFEST_CHUNKS_MAX, MANIFEST_ENTRIES_MAX},
    manifest_check::{BadManifest, check},
    path::RelPath,
    version::VersionStamp,
};

/// The content of one version of one game.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The rule that cut the files.
    pub chunker: ChunkerId,
    /// The exact bytes of `version.ini`.
    pub sentinel: Vec<u8>,
    /// The files, ordered by the bytes of their paths.
    pub files: Vec<FileEntry>,
    /// The directories that hold nothing, ordered by the bytes of their paths.
    pub empty_dirs: Vec<RelPath>,
    /// The chunks of all files, in the order of the files.
    pub chunks: Vec<ChunkEntry>,
}

/// One file of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Where it lies in the game root.
    pub path: RelPath,
    /// How many bytes it has.
    pub size: u64,
    /// How many chunks it is cut into; none if it is empty.
    pub chunk_count: u32,
}

/// One chunk of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkEntry {
    /// The hash of its bytes.
    pub hash: ChunkHash,
    /// How many bytes it has; at least one.
    pub len: u32,
}

impl Manifest {
    /// A manifest of files with their chunks, in any order, if it follows every rule.
    pub fn build(
        chunker: ChunkerId,
        sentinel: Vec<u8>,
        mut files: Vec<(RelPath, Vec<ChunkEntry>)>,
        mut empty_dirs: Vec<RelPath>,
    ) -> Result<Manifest, BadManifest> {
        files.sort_by(|(left, _), (right, _)| left.cmp(right));
        empty_dirs.sort();
        let chunks_total = files.iter().map(|(_, chunks)| chunks.len()).sum();
        let mut chunks = Vec::with_capacity(chunks_total);
        let mut entries = Vec::with_capacity(files.len());
        for (path, file_chunks) in files {
            let size = file_chunks.iter().map(|chunk| u64::from(chunk.len)).sum();
            let chunk_count = u32::try_from(file_chunks.len())
                .map_err(|_| BadManifest::Chunks { count: file_chunks.len() })?;
            entries.push(FileEntry { path, size, chunk_count });
            chunks.extend(file_chunks);
        }
        let manifest = Manifest { chunker, sentinel, files: entries, empty_dirs, chunks };
        manifest.validate()?;
        Ok(manifest)
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut hashes = Vec::with_capacity(32 * self.chunks.len());
        for chunk in &self.chunks {
            hashes.extend_from_slice(&chunk.hash.0);
        }
        encode_value(&RawManifest {
            magic: MAGIC,
            chunker: RawChunker::from(self.chunker),
            sentinel: Bytes(&self.sentinel),
            files: self.files.iter().map(RawFile::from).collect(),
            empty_dirs: self.empty_dirs.iter().map(RelPath::as_str).collect(),
            lens: self.chunks.iter().map(|chunk| chunk.len).collect(),
            hashes: Bytes(&hashes),
        })
    }

    /// The manifest with these canonical bytes, if it follows every rule.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, BadManifest> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(BadManifest::Bytes { bytes: bytes.len() });
        }
        let (raw, used): (RawManifest<'_>, usize) =
            decode_manifest(bytes).map_err(BadManifest::Malformed)?;
        if used < bytes.len() {
            return Err(BadManifest::Trailing { bytes: bytes.len() - used });
        }
        let manifest = Manifest::try_from(raw)?;
        manifest.validate()?;
        if manifest.encode() != bytes {
            return Err(BadManifest::NotCanonical);
        }
        Ok(manifest)
    }

    /// The manifest with these canonical bytes, if it is the one that was asked for.
    pub fn decode_expecting(bytes: &[u8], wanted: ManifestId) -> Result<Manifest, BadManifest> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(BadManifest::Bytes { bytes: bytes.len() });
        }
        let got = id_of(bytes);
        if got != wanted {
            return Err(BadManifest::OtherId { wanted, got });
        }
        Manifest::decode(bytes)
    }

    /// Checks every rule, as `decode` does.
    pub fn validate(&self) -> Result<(), BadManifest> {
        check(self)
    }

    /// What identifies the content: the hash of the canonical bytes.
    pub fn id(&self) -> ManifestId {
        id_of(&self.encode())
    }

    /// The version that the sentinel tells; `?` if the manifest was never validated and its
    /// sentinel tells none.
    pub fn version(&self) -> VersionStamp {
        VersionStamp::parse(&self.sentinel).unwrap_or_else(|_| VersionStamp::unreadable())
    }

    /// The size of all files together.
    pub fn bytes_total(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// How many chunks there are.
    pub fn chunk_count(&self) -> u32 {
        u32::try_from(self.chunks.len()).unwrap_or(u32::MAX)
    }

    /// How many files there are.
    pub fn file_count(&self) -> u32 {
        u32::try_from(self.files.len()).unwrap_or(u32::MAX)
    }
}

/// In short: a manifest can list millions of chunks.
impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest")
            .field("version", &self.version())
            .field("files", &self.files.len())
            .field("empty_dirs", &self.empty_dirs.len())
            .field("chunks", &self.chunks.len())
            .field("bytes_total", &self.bytes_total())
            .finish_non_exhaustive()
    }
}

fn id_of(bytes: &[u8]) -> ManifestId {
    ManifestId(*blake3::hash(bytes).as_bytes())
}

/// How a manifest is written: lengths and hashes apart, so that neither costs more than it must.
#[derive(Serialize, Deserialize)]
struct RawManifest<'a> {
    magic: [u8; 4],
    chunker: RawChunker,
    #[serde(borrow)]
    sentinel: Bytes<'a>,
    #[serde(borrow, deserialize_with = "capped::<MANIFEST_ENTRIES_MAX, _, _>")]
    files: Vec<RawFile<'a>>,
    #[serde(borrow, deserialize_with = "capped::<MANIFEST_ENTRIES_MAX, _, _>")]
    empty_dirs: Vec<&'a str>,
    #[serde(deserialize_with = "capped::<MANIFEST_CHUNKS_MAX, _, _>")]
    lens: Vec<u32>,
    #[serde(borrow)]
    hashes: Bytes<'a>,
}

#[derive(Serialize, Deserialize)]
struct RawChunker {
    algorithm: RawAlgorithm,
    min: u32,
    avg: u32,
    max: u32,
}

#[derive(Serialize, Deserialize)]
enum RawAlgorithm {
    FastCdc2020,
}

#[derive(Serialize, Deserialize)]
struct RawFile<'a> {
    path: &'a str,
    size: u64,
    chunk_count: u32,
}

/// Bytes that are copied as a whole instead of one by one.
#[derive(Deserialize)]
struct Bytes<'a>(#[serde(borrow)] &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl From<ChunkerId> for RawChunker {
    fn from(chunker: ChunkerId) -> RawChunker {
        let ChunkerId { algorithm, min, avg, max } = chunker;
        let algorithm = match algorithm {
            ChunkAlgorithm::FastCdc2020 => RawAlgorithm::FastCdc2020,
        };
        RawChunker { algorithm, min, avg, max }
    }
}

impl From<RawChunker> for ChunkerId {
    fn from(raw: RawChunker) -> ChunkerId {
        let RawChunker { algorithm, min, avg, max } = raw;
        let algorithm = match algorithm {
            RawAlgorithm::FastCdc2020 => ChunkAlgorithm::FastCdc2020,
        };
        ChunkerId { algorithm, min, avg, max }
    }
}

impl<'a> From<&'a FileEntry> for RawFile<'a> {
    fn from(file: &'a FileEntry) -> RawFile<'a> {
        RawFile { path: file.path.as_str(), size: file.size, chunk_count: file.chunk_count }
    }
}

impl TryFrom<RawManifest<'_>> for Manifest {
    type Error = BadManifest;

    fn try_from(raw: RawManifest<'_>) -> Result<Manifest, BadManifest> {
        if raw.magic != MAGIC {
            return Err(BadManifest::Magic);
        }
        let (hashes, rest) = raw.hashes.0.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() != raw.lens.len() {
            return Err(BadManifest::HashCount {
                chunks: raw.lens.len(),
                hash_bytes: raw.hashes.0.len(),
            });
        }
        let chunks = raw.lens.iter().zip(hashes);
        let chunks = chunks.map(|(len, hash)| ChunkEntry { hash: ChunkHash(*hash), len: *len });
        let files = raw.files.iter().map(|file| {
            let path = RelPath::parse(file.path)?;
            Ok(FileEntry { path, size: file.size, chunk_count: file.chunk_count })
        });
        let empty_dirs = raw.empty_dirs.iter().map(|path| Ok(RelPath::parse(path)?));
        Ok(Manifest {
            chunker: raw.chunker.into(),
            sentinel: raw.sentinel.0.to_vec(),
            files: files.collect::<Result<_, BadManifest>>()?,
            empty_dirs: empty_dirs.collect::<Result<_, BadManifest>>()?,
            chunks: chunks.collect(),
        })
    }
}

/// Tells a manifest from any other file, and this form of it from later ones.
const MAGIC: [u8; 4] = *b"LSM1";
