//! One request: its answer is read, cut into batches and handed to the workers.
//!
//! Owns the stream of the answer and the writes that are under way. It reports each batch when it
//! is written, and ends when nothing of it is left. Dropping it gives the request up at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use lanspread_wire::PeerId;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{
    engine::EngineEvent,
    feed::{ChunkBody, ChunkSource, SourceError},
    planner::{Order, RequestId},
    target::Target,
    writer::{Batch, Buffers, Pool, Workshop},
};
use crate::limits::transfer::{
    READ_BYTES_MAX, READ_BYTES_MIN, READ_TIME, WRITE_BATCH_BYTES, WRITES_PER_REQUEST_MAX,
};

/// Everything one request needs.
pub(super) struct Fetch<P> {
    pub(super) order: Order,
    pub(super) source: Arc<dyn ChunkSource>,
    pub(super) workshop: Workshop<P>,
    pub(super) buffers: Buffers,
    pub(super) beat: Arc<Beat>,
    pub(super) events: mpsc::Sender<EngineEvent>,
}

/// Signs of life of one request.
#[derive(Debug)]
pub(super) struct Beat {
    began_at: Instant,
    heard_ms: AtomicU64,
    /// The request waits for this node, so its silence says nothing of the source.
    is_held_up: AtomicBool,
}

impl Beat {
    pub(super) fn new(began_at: Instant) -> Arc<Self> {
        let beat =
            Self { began_at, heard_ms: AtomicU64::new(0), is_held_up: AtomicBool::new(false) };
        beat.touch();
        Arc::new(beat)
    }

    /// When the source was last heard, on the clock that began with the download.
    pub(super) fn heard_at(&self, now: Duration) -> Duration {
        if self.is_held_up.load(Ordering::Relaxed) {
            return now;
        }
        Duration::from_millis(self.heard_ms.load(Ordering::Relaxed))
    }

    fn touch(&self) {
        let elapsed = self.began_at.elapsed().as_millis();
        self.heard_ms.store(u64::try_from(elapsed).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    async fn held_up<T>(&self, wait: impl Future<Output = T>) -> T {
        self.is_held_up.store(true, Ordering::Relaxed);
        let result = wait.await;
        self.touch();
        self.is_held_up.store(false, Ordering::Relaxed);
        result
    }
}

impl<P: Pool> Fetch<P> {
    /// Runs the request to its end.
    pub(super) async fn run(self) -> (RequestId, Result<(), SourceError>) {
        let request = self.order.request;
        (request, self.fetch().await)
    }

    async fn fetch(self) -> Result<(), SourceError> {
        let target = self.workshop.target().clone();
        let answer = self.source.chunks(&target.game, target.id, self.order.runs());
        let mut body = answer.await?;
        if body.bytes() != self.order.bytes {
            let text = format!("{} bytes instead of {}", body.bytes(), self.order.bytes);
            return Err(SourceError::Broken(text));
        }
        self.beat.touch();
        let mut writes = JoinSet::new();
        let mut piece = READ_BYTES_MIN;
        for (chunks, bytes) in batches(&target, &self.order.chunks) {
            let Some(mut buffer) = self.beat.held_up(self.buffers.take(bytes)).await else {
                return Err(SourceError::Broken(format!("a batch of {bytes} bytes")));
            };
            self.read(&mut *body, buffer.bytes_mut(), &mut piece).await?;
            if writes.len() >= WRITES_PER_REQUEST_MAX {
                self.beat.held_up(join_one(&mut writes)).await;
            }
            writes.spawn(write(
                self.events.clone(),
                self.workshop.clone(),
                Batch { chunks, buffer },
                (self.order.request, self.order.peer),
            ));
        }
        self.beat.held_up(async { while join_one(&mut writes).await {} }).await;
        Ok(())
    }

    /// Reads in pieces that each are a sign of life: as large as came in a short time last.
    async fn read(
        &self,
        body: &mut dyn ChunkBody,
        mut buffer: &mut [u8],
        piece: &mut usize,
    ) -> Result<(), SourceError> {
        while !buffer.is_empty() {
            let (next, rest) = buffer.split_at_mut(buffer.len().min(*piece));
            let began_at = Instant::now();
            body.read_exact(next).await?;
            self.beat.touch();
            *piece = match began_at.elapsed() {
                took if took > READ_TIME => (*piece / 2).max(READ_BYTES_MIN),
                _ => (*piece * 2).min(READ_BYTES_MAX),
            };
            buffer = rest;
        }
        Ok(())
    }
}

/// Writes a batch and tells the engine. The engine being gone ends the download anyway.
///
/// The sender comes first because it is dropped last: by it the engine sees that nothing is left.
async fn write<P: Pool>(
    events: mpsc::Sender<EngineEvent>,
    workshop: Workshop<P>,
    batch: Batch,
    (request, peer): (RequestId, PeerId),
) {
    let chunks = batch.chunks.clone();
    let event = match workshop.write(batch).await {
        Ok(right) => {
            EngineEvent::Written { request, peer, chunks: chunks.into_iter().zip(right).collect() }
        }
        Err(error) => EngineEvent::ShelfFailed(error),
    };
    events.send(event).await.ok();
}

/// Waits for one write; a panic in it goes on here. `false` when there is none.
async fn join_one(writes: &mut JoinSet<()>) -> bool {
    match writes.join_next().await {
        None => false,
        Some(Ok(())) => true,
        Some(Err(error)) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => true,
        },
    }
}

/// The chunks of an order in batches, each with its bytes.
fn batches(target: &Target, chunks: &[u32]) -> Vec<(Vec<u32>, usize)> {
    let mut batches: Vec<(Vec<u32>, usize)> = Vec::new();
    for chunk in chunks {
        // A chunk is far smaller than what a `usize` counts.
        let bytes = target.len(*chunk) as usize;
        match batches.last_mut() {
            Some((batch, sum)) if (*sum + bytes) as u64 <= WRITE_BATCH_BYTES => {
                batch.push(*chunk);
                *sum += bytes;
            }
            _ => batches.push((vec![*chunk], bytes)),
        }
    }
    batches
}
