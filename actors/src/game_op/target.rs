//! What a download is to bring: one content, named by the hash of its manifest.
//!
//! Plain data, shared by everything that works on the download. Never changes.

use std::sync::Arc;

use lanspread_wire::{ChunkHash, ChunkLocation, ChunkMap, GameId, Manifest, ManifestId, printable};

/// The content that is wanted.
#[derive(Debug)]
pub struct Target {
    pub game: GameId,
    pub id: ManifestId,
    pub manifest: Manifest,
    pub map: ChunkMap,
}

impl Target {
    /// The content of a validated manifest. The caller has checked that `id` is its hash.
    pub fn new(game: GameId, id: ManifestId, manifest: Manifest) -> Arc<Self> {
        let map = ChunkMap::new(&manifest);
        Arc::new(Self { game, id, manifest, map })
    }

    /// The lengths of all chunks.
    pub fn lens(&self) -> Arc<[u32]> {
        self.manifest.chunks.iter().map(|chunk| chunk.len).collect()
    }

    /// How many chunks there are.
    pub fn chunk_count(&self) -> u32 {
        self.map.chunk_count()
    }

    /// The bytes of one chunk.
    pub fn len(&self, chunk: u32) -> u64 {
        self.map.get(chunk).map_or(0, |place| u64::from(place.len))
    }

    /// The bytes of several chunks.
    pub fn bytes_of(&self, chunks: impl IntoIterator<Item = u32>) -> u64 {
        chunks.into_iter().map(|chunk| self.len(chunk)).sum()
    }

    /// Where a chunk of this content lies, and its hash. The index is one of ours, never a peer's.
    pub fn chunk(&self, chunk: u32) -> (ChunkLocation, ChunkHash) {
        (self.map.locate(chunk), self.manifest.chunks[chunk as usize].hash)
    }

    /// The path of the file a chunk lies in, for messages.
    pub fn file_of(&self, chunk: u32) -> String {
        let place = self.map.get(chunk);
        let file = place.and_then(|place| self.manifest.files.get(place.file as usize));
        file.map_or_else(String::new, |file| printable(file.path.as_str()))
    }
}
