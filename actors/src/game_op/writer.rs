//! What happens to received bytes: hashed and written by blocking workers, in batches, with a
//! bound on the bytes that wait.
//!
//! Owns the buffers and the way into the staging. A chunk counts only when its hash was right and
//! its bytes were written. Never decides what to fetch.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use lanspread_wire::{ChunkHash, limits::CHUNK_BYTES_MAX};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    reuse::{Origin, Work},
    stock::Twin,
    target::Target,
};
use crate::{api::ErrorCode, limits::transfer::BUFFER_BYTES_MAX};

/// The place where a download is put together. All calls block; any thread may make them.
pub trait Shelf: Send + Sync + 'static {
    /// Writes part of a wanted file.
    fn write_at(&self, file: u32, offset: u64, bytes: &[u8]) -> Result<(), ShelfError>;

    /// Reads part of a wanted file that is staged or stays in the root; fewer bytes at its end.
    fn read_at(&self, file: u32, offset: u64, buffer: &mut [u8]) -> Result<usize, ShelfError>;

    /// Reads part of the file that stands in the root where a wanted one will stand.
    fn read_in_place(&self, file: u32, offset: u64, buffer: &mut [u8])
    -> Result<usize, ShelfError>;

    /// Reads bytes of another content.
    fn read_origin(
        &self,
        origin: &Origin,
        skip: u64,
        buffer: &mut [u8],
    ) -> Result<usize, ShelfError>;

    /// The file in the root at the place of a wanted one is right and stays.
    fn keep_in_place(&self, file: u32) -> Result<(), ShelfError>;

    /// Makes what was written durable, then records `progress`.
    fn save_progress(&self, progress: &[u8]) -> Result<(), ShelfError>;

    /// Bytes that may still be written, if the system tells.
    fn bytes_free(&self) -> Result<Option<u64>, ShelfError>;
}

/// The shelf, or the pool in front of it, failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ShelfError {
    /// `disk-full` pauses a download; everything else ends it.
    pub code: ErrorCode,
    /// Names game, step, path and the system's code.
    pub message: String,
}

/// Runs blocking work.
pub trait Pool: Clone + Send + Sync + 'static {
    /// Runs `job` on a worker. The job goes on if the future is dropped.
    fn run<T: Send + 'static>(
        &self,
        step: &'static str,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, ShelfError>> + Send;
}

/// The shelf with its workers. Cheap to clone.
pub struct Workshop<P> {
    pool: P,
    shelf: Arc<dyn Shelf>,
    target: Arc<Target>,
    /// One permit for each job, until the very end of the job.
    jobs: Arc<Semaphore>,
    /// When each job that runs was handed over, by its number.
    begun: Arc<Mutex<Begun>>,
}

#[derive(Debug, Default)]
struct Begun {
    jobs: BTreeMap<u64, Instant>,
    count: u64,
}

/// Chunks with their bytes one after the other, on their way to be written.
pub struct Batch {
    pub chunks: Vec<u32>,
    pub buffer: Buffer,
}

/// Memory for received bytes. Its permits go back when it is dropped.
pub struct Buffer {
    bytes: Vec<u8>,
    used: usize,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    _permit: OwnedSemaphorePermit,
}

/// All buffers of one download: a fixed sum of bytes.
#[derive(Clone)]
pub struct Buffers {
    permits: Arc<Semaphore>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// What a piece of work found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub right: Vec<u32>,
    pub wrong: Vec<u32>,
    /// Why the work ended early; what it did not get to is among the wrong ones.
    pub error: Option<ShelfError>,
}

impl Buffers {
    /// No bytes are taken.
    pub fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(BUFFER_BYTES_MAX as usize)),
            spare: Arc::new(Mutex::new(Vec::new())),
        }
    }

    /// A buffer of so many bytes, at most one batch; waits until they may be taken.
    pub async fn take(&self, bytes: usize) -> Option<Buffer> {
        let permits = u32::try_from(bytes).ok()?;
        let permit = self.permits.clone().acquire_many_owned(permits).await.ok()?;
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut memory = spare.unwrap_or_default();
        if memory.len() < bytes {
            memory.resize(bytes, 0);
        }
        Some(Buffer { bytes: memory, used: bytes, spare: self.spare.clone(), _permit: permit })
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

impl Buffer {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    /// Its bytes, to be filled.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.used]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Memory of ordinary size is used again: to make it anew costs a pass over it.
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bytes.len() <= SPARE_BYTES_MAX && spare.len() < SPARES_MAX {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl<P: Clone> Clone for Workshop<P> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            shelf: self.shelf.clone(),
            target: self.target.clone(),
            jobs: self.jobs.clone(),
            begun: self.begun.clone(),
        }
    }
}

impl<P: Pool> Workshop<P> {
    /// A workshop for one download.
    pub fn new(pool: P, shelf: Arc<dyn Shelf>, target: Arc<Target>) -> Self {
        let jobs = Arc::new(Semaphore::new(JOBS_MAX as usize));
        Self { pool, shelf, target, jobs, begun: Arc::default() }
    }

    /// What is put together here.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Hashes the chunks of a batch and writes the right ones; tells which were right.
    pub async fn write(&self, batch: Batch) -> Result<Vec<bool>, ShelfError> {
        self.run("write chunks", move |shelf, target| write_batch(shelf, target, &batch)).await?
    }

    /// Does one piece of work on what may be here already.
    pub async fn reuse(&self, work: Work) -> Found {
        let chunks = work.chunks();
        let done = self.run("reuse chunks", move |shelf, target| reuse(shelf, target, &work)).await;
        done.unwrap_or_else(|error| Found { wrong: chunks, error: Some(error), ..Found::default() })
    }

    /// Hashes chunks of a file in place.
    pub async fn check_in_place(&self, file: u32, chunks: Vec<u32>) -> Found {
        let all = chunks.clone();
        let check = move |shelf: &dyn Shelf, target: &Target| {
            examine(target, &chunks, |chunk, buffer| {
                let (place, _) = target.chunk(chunk);
                fill(buffer, |skip, part| shelf.read_in_place(file, place.offset + skip, part))
            })
        };
        let done = self.run("check a file", check).await;
        done.unwrap_or_else(|error| Found { wrong: all, error: Some(error), ..Found::default() })
    }

    /// Lets the file in the root stay.
    pub async fn keep_in_place(&self, file: u32) -> Result<(), ShelfError> {
        self.run("keep a file", move |shelf, _| shelf.keep_in_place(file)).await?
    }

    /// Copies a chunk from its twin; `false` if that is not what it should be.
    pub async fn copy(&self, twin: Twin) -> Result<bool, ShelfError> {
        self.run("copy a chunk", move |shelf, target| copy_twin(shelf, target, twin)).await?
    }

    /// Makes what was written durable and records it.
    pub async fn save(&self, progress: Vec<u8>) -> Result<(), ShelfError> {
        self.run("save progress", move |shelf, _| shelf.save_progress(&progress)).await?
    }

    /// Bytes that may still be written, if the system tells.
    pub async fn bytes_free(&self) -> Result<Option<u64>, ShelfError> {
        self.run("look for space", |shelf, _| shelf.bytes_free()).await?
    }

    /// For how long the job that has run for the longest time has not come back.
    pub fn silence(&self) -> Duration {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.jobs.values().next().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Resolves when no job runs. Jobs outlive the futures that asked for them.
    pub async fn quiet(&self) {
        // Nobody closes the semaphore.
        self.jobs.acquire_many(JOBS_MAX).await.ok();
    }

    /// Boxed: a future of borrowed parts is not `Send` enough to be spawned.
    fn run<T: Send + 'static>(
        &self,
        step: &'static str,
        job: impl FnOnce(&dyn Shelf, &Target) -> T + Send + 'static,
    ) -> BoxFuture<'static, Result<T, ShelfError>> {
        let Self { pool, shelf, target, jobs, begun } = self.clone();
        Box::pin(async move {
            let permit = jobs.acquire_owned().await;
            let entry = JobEntry::new(begun);
            let run = move || {
                let result = job(&*shelf, &target);
                drop((shelf, entry));
                // Last of all: from here on nothing of the job is left.
                drop(permit);
                result
            };
            pool.run(step, run).await
        })
    }
}

/// The entry of a job that runs; it goes with the job, also by a panic.
struct JobEntry {
    begun: Arc<Mutex<Begun>>,
    number: u64,
}

impl JobEntry {
    fn new(begun: Arc<Mutex<Begun>>) -> Self {
        let mut present = begun.lock().unwrap_or_else(PoisonError::into_inner);
        present.count += 1;
        let number = present.count;
        present.jobs.insert(number, Instant::now());
        drop(present);
        Self { begun, number }
    }
}

impl Drop for JobEntry {
    fn drop(&mut self) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.jobs.remove(&self.number);
    }
}

/// Right chunks that follow each other in one file are written at once.
fn write_batch(shelf: &dyn Shelf, target: &Target, batch: &Batch) -> Result<Vec<bool>, ShelfError> {
    let mut right = Vec::with_capacity(batch.chunks.len());
    let mut span: Option<Span> = None;
    let mut start = 0;
    for chunk in &batch.chunks {
        let (place, hash) = target.chunk(*chunk);
        let end = start + place.len as usize;
        let is_right =
            batch.buffer.bytes().get(start..end).is_some_and(|bytes| ChunkHash::of(bytes) == hash);
        right.push(is_right);
        let next = Span { file: place.file, offset: place.offset, from: start, to: end };
        span = match (span, is_right) {
            (Some(open), true) if open.is_followed_by(&next) => Some(Span { to: end, ..open }),
            (open, _) => {
                write_span(shelf, batch, open)?;
                is_right.then_some(next)
            }
        };
        start = end;
    }
    write_span(shelf, batch, span)?;
    Ok(right)
}

/// Bytes of a batch that lie together in a file.
struct Span {
    file: u32,
    offset: u64,
    from: usize,
    to: usize,
}

impl Span {
    fn is_followed_by(&self, next: &Self) -> bool {
        let len = (self.to - self.from) as u64;
        self.file == next.file && self.offset + len == next.offset && self.to == next.from
    }
}

fn write_span(shelf: &dyn Shelf, batch: &Batch, span: Option<Span>) -> Result<(), ShelfError> {
    match span {
        None => Ok(()),
        Some(span) => {
            shelf.write_at(span.file, span.offset, &batch.buffer.bytes()[span.from..span.to])
        }
    }
}

fn reuse(shelf: &dyn Shelf, target: &Target, work: &Work) -> Found {
    match work {
        Work::Staged { chunks } => examine(target, chunks, |chunk, buffer| {
            let (place, _) = target.chunk(chunk);
            fill(buffer, |skip, part| shelf.read_at(place.file, place.offset + skip, part))
        }),
        Work::Copy { chunks } => {
            let mut found = Found::default();
            let mut buffer = vec![0; CHUNK_BYTES_MAX as usize];
            for (chunk, origin) in chunks {
                if found.error.is_some() {
                    found.wrong.push(*chunk);
                    continue;
                }
                let bytes = &mut buffer[..target.len(*chunk) as usize];
                let read = fill(bytes, |skip, part| shelf.read_origin(origin, skip, part));
                match keep_if_right(shelf, target, *chunk, bytes, read) {
                    Ok(true) => found.right.push(*chunk),
                    Ok(false) => found.wrong.push(*chunk),
                    Err(error) => {
                        found.wrong.push(*chunk);
                        found.error = Some(error);
                    }
                }
            }
            found
        }
    }
}

/// Hashes chunks where they lie. One that cannot be read is wrong, whatever the reason: it is
/// fetched, and a disk that fails will fail there again.
fn examine(
    target: &Target,
    chunks: &[u32],
    mut read: impl FnMut(u32, &mut [u8]) -> Result<bool, ShelfError>,
) -> Found {
    let mut found = Found::default();
    let mut buffer = vec![0; CHUNK_BYTES_MAX as usize];
    for chunk in chunks {
        let bytes = &mut buffer[..target.len(*chunk) as usize];
        let is_whole = read(*chunk, bytes).unwrap_or_else(|error| {
            tracing::debug!(%error, chunk, "a chunk that may be here cannot be read");
            false
        });
        if is_whole && ChunkHash::of(bytes) == target.chunk(*chunk).1 {
            found.right.push(*chunk);
        } else {
            found.wrong.push(*chunk);
        }
    }
    found
}

fn copy_twin(shelf: &dyn Shelf, target: &Target, twin: Twin) -> Result<bool, ShelfError> {
    let (from, _) = target.chunk(twin.from);
    let mut bytes = vec![0; from.len as usize];
    let read = fill(&mut bytes, |skip, part| shelf.read_at(from.file, from.offset + skip, part));
    keep_if_right(shelf, target, twin.to, &bytes, read)
}

fn keep_if_right(
    shelf: &dyn Shelf,
    target: &Target,
    chunk: u32,
    bytes: &[u8],
    read: Result<bool, ShelfError>,
) -> Result<bool, ShelfError> {
    let (place, hash) = target.chunk(chunk);
    let is_whole = read.unwrap_or_else(|error| {
        tracing::debug!(%error, chunk, "a chunk that may be here cannot be read");
        false
    });
    if !is_whole || ChunkHash::of(bytes) != hash {
        return Ok(false);
    }
    shelf.write_at(place.file, place.offset, bytes)?;
    Ok(true)
}

/// Reads until the buffer is full; `false` if there are fewer bytes.
fn fill(
    buffer: &mut [u8],
    mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, ShelfError>,
) -> Result<bool, ShelfError> {
    let mut filled = 0;
    while filled < buffer.len() {
        let count = read(filled as u64, &mut buffer[filled..])?;
        if count == 0 {
            return Ok(false);
        }
        filled += count;
    }
    Ok(true)
}

/// More than any download has at once.
const JOBS_MAX: u32 = 4096;
/// Buffers kept for the next bytes.
const SPARES_MAX: usize = 32;
/// Larger ones are given back to the system.
const SPARE_BYTES_MAX: usize = 1024 * 1024;
