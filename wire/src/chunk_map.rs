//! Where each chunk of a manifest lies. Built once, asked often; knows no bytes.

use std::ops::Range;

use crate::{
    limits::{CHUNKS_PER_REQUEST_MAX, REQUEST_BYTES_MAX},
    manifest::Manifest,
    messages::{ChunkRun, Refusal},
};

/// An index over the chunks of one validated manifest.
#[derive(Clone, Debug)]
pub struct ChunkMap {
    /// Where each chunk begins, counted over all files as if they were one; then the end.
    starts: Vec<u64>,
    /// The first chunk of each file; then the number of chunks.
    firsts: Vec<u32>,
}

/// Where a chunk lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLocation {
    /// The index of its file.
    pub file: u32,
    /// Where it begins in the file.
    pub offset: u64,
    /// How many bytes it has.
    pub len: u32,
}

impl ChunkMap {
    /// The index of a validated manifest.
    pub fn new(manifest: &Manifest) -> ChunkMap {
        let mut starts = Vec::with_capacity(manifest.chunks.len() + 1);
        let mut end: u64 = 0;
        starts.push(end);
        for chunk in &manifest.chunks {
            end += u64::from(chunk.len);
            starts.push(end);
        }
        let mut firsts = Vec::with_capacity(manifest.files.len() + 1);
        let mut first: u32 = 0;
        firsts.push(first);
        for file in &manifest.files {
            first = first.saturating_add(file.chunk_count);
            firsts.push(first);
        }
        ChunkMap { starts, firsts }
    }

    /// How many chunks there are.
    pub fn chunk_count(&self) -> u32 {
        u32::try_from(self.starts.len() - 1).unwrap_or(u32::MAX)
    }

    /// How many files there are.
    pub fn file_count(&self) -> u32 {
        u32::try_from(self.firsts.len() - 1).unwrap_or(u32::MAX)
    }

    /// Where a chunk lies. The index must be below [`ChunkMap::chunk_count`], as with a slice;
    /// indexes that a peer sent go through [`ChunkMap::check_runs`] or [`ChunkMap::get`] first.
    pub fn locate(&self, chunk: u32) -> ChunkLocation {
        let index = chunk as usize;
        let start = self.starts[index];
        let file = self.firsts.partition_point(|first| *first <= chunk) - 1;
        let file_start = self.starts[self.firsts[file] as usize];
        ChunkLocation {
            file: u32::try_from(file).unwrap_or(u32::MAX),
            offset: start - file_start,
            len: u32::try_from(self.starts[index + 1] - start).unwrap_or(u32::MAX),
        }
    }

    /// Where a chunk lies, if there is such a chunk.
    pub fn get(&self, chunk: u32) -> Option<ChunkLocation> {
        (chunk < self.chunk_count()).then(|| self.locate(chunk))
    }

    /// The chunks of a file; none for an empty file or one that is not there.
    pub fn file_chunks(&self, file: u32) -> Range<u32> {
        let index = file as usize;
        match (self.firsts.get(index), self.firsts.get(index + 1)) {
            (Some(first), Some(end)) => *first..*end,
            _ => self.chunk_count()..self.chunk_count(),
        }
    }

    /// The bytes of a run, as far as it lies within the manifest.
    pub fn run_bytes(&self, run: ChunkRun) -> u64 {
        let last = self.chunk_count();
        let (first, end) = (run.first.min(last), run.end().min(last));
        self.starts[end as usize] - self.starts[first as usize]
    }

    /// The bytes that a request for these runs is answered with, or why it is refused.
    pub fn check_runs(&self, runs: &[ChunkRun]) -> Result<u64, Refusal> {
        let mut bytes: u64 = 0;
        let mut chunks: u64 = 0;
        for run in runs {
            if run.count == 0 || run.end() > self.chunk_count() {
                return Err(Refusal::OutOfRange);
            }
            bytes = bytes.saturating_add(self.run_bytes(*run));
            chunks += u64::from(run.count);
        }
        if bytes > REQUEST_BYTES_MAX || chunks > u64::from(CHUNKS_PER_REQUEST_MAX) {
            return Err(Refusal::Limit);
        }
        Ok(bytes)
    }
}
