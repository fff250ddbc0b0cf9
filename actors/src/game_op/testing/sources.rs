//! Sources that do what a script says: slow, lying, refusing, dying at a given byte.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use lanspread_wire::{ChunkRun, GameId, ManifestId, PeerId, Refusal};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::game_op::feed::{Announced, ChunkBody, ChunkSource, SourceError, SourceFeed, Stamp};

/// What a source does. Byte positions count over all answers of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Honest,
    /// The byte at this position is flipped, and every `every`-th after it.
    Lies {
        at: u64,
        every: u64,
    },
    /// The connection is lost when this byte is to be sent.
    DiesAt(u64),
    /// The answer breaks off when this byte is to be sent, once.
    BreaksAt(u64),
    /// Nothing comes from this byte on, and the connection stays.
    FallsSilentAt(u64),
    /// Says no, always.
    Refuses(Refusal),
    /// States a length that is not what was asked for.
    WrongLength,
}

/// One scripted source.
pub(crate) struct ScriptedSource {
    shared: Arc<Shared>,
}

struct Shared {
    peer: PeerId,
    content: Vec<Vec<u8>>,
    bytes_per_second: f64,
    behaviour: Mutex<Behaviour>,
    /// One uplink that answers share: when it is free again.
    free_at: Mutex<Option<Instant>>,
    sent: AtomicU64,
    requests: AtomicUsize,
    chunks_asked: Mutex<Vec<u32>>,
    manifest: Mutex<Option<Vec<u8>>>,
}

struct Body {
    shared: Arc<Shared>,
    bytes: Vec<u8>,
    position: usize,
    stated: u64,
}

impl ScriptedSource {
    /// A source of this content.
    pub(crate) fn new(
        number: u8,
        content: &[Vec<u8>],
        bytes_per_second: f64,
        behaviour: Behaviour,
    ) -> Arc<Self> {
        let shared = Shared {
            peer: PeerId([number; 32]),
            content: content.to_vec(),
            bytes_per_second,
            behaviour: Mutex::new(behaviour),
            free_at: Mutex::new(None),
            sent: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
            chunks_asked: Mutex::new(Vec::new()),
            manifest: Mutex::new(None),
        };
        Arc::new(Self { shared: Arc::new(shared) })
    }

    pub(crate) fn announced(self: &Arc<Self>, connection: u64) -> Announced {
        Announced { source: self.clone(), stamp: Stamp { connection, revision: 1 } }
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Every chunk it was asked for, as often as it was.
    pub(crate) fn chunks_asked(&self) -> Vec<u32> {
        self.shared.chunks_asked.lock().expect("not poisoned").clone()
    }

    /// What it answers when it is asked for a manifest.
    pub(crate) fn set_manifest(&self, bytes: Vec<u8>) {
        *self.shared.manifest.lock().expect("not poisoned") = Some(bytes);
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().expect("not poisoned") = behaviour;
    }
}

impl Shared {
    /// Takes the line for so many bytes; tells when they are through.
    fn line(&self, bytes: usize) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        let mut free_at = self.free_at.lock().expect("not poisoned");
        let now = Instant::now();
        let through = free_at.map_or(now, |free_at| free_at.max(now)) + takes;
        *free_at = Some(through);
        through
    }

    fn behaviour(&self) -> Behaviour {
        self.behaviour.lock().expect("not poisoned").clone()
    }

    async fn answer(self: Arc<Self>, runs: Vec<ChunkRun>) -> Result<Body, SourceError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_micros(300)).await;
        let chunks: Vec<u32> = runs.iter().flat_map(|run| run.range()).collect();
        self.chunks_asked.lock().expect("not poisoned").extend(&chunks);
        let behaviour = self.behaviour();
        match behaviour {
            Behaviour::Refuses(reason) => return Err(SourceError::Refused(reason)),
            Behaviour::DiesAt(at) if self.sent.load(Ordering::Relaxed) >= at => {
                return Err(SourceError::Lost("it is gone".to_owned()));
            }
            _ => {}
        }
        let parts: Vec<&[u8]> =
            chunks.iter().map(|chunk| &*self.content[*chunk as usize]).collect();
        let bytes = parts.concat();
        let mut stated = bytes.len() as u64;
        if behaviour == Behaviour::WrongLength {
            stated += 1;
        }
        Ok(Body { shared: self, bytes, position: 0, stated })
    }

    /// Spoils bytes that are about to be sent, or says why they are not.
    async fn spoil(&self, buffer: &mut [u8]) -> Result<(), SourceError> {
        let first = self.sent.load(Ordering::Relaxed);
        let end = first + buffer.len() as u64;
        match self.behaviour() {
            Behaviour::DiesAt(at) if end > at => {
                self.sent.store(at.max(first), Ordering::Relaxed);
                Err(SourceError::Lost("it is gone".to_owned()))
            }
            Behaviour::BreaksAt(at) if end > at => {
                *self.behaviour.lock().expect("not poisoned") = Behaviour::Honest;
                Err(SourceError::Broken("it breaks off".to_owned()))
            }
            Behaviour::FallsSilentAt(at) if end > at => std::future::pending().await,
            Behaviour::Lies { at, every } => {
                for (position, byte) in (first..end).zip(buffer.iter_mut()) {
                    if position >= at && (position - at).is_multiple_of(every) {
                        *byte ^= 0x40;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl ChunkSource for ScriptedSource {
    fn peer(&self) -> PeerId {
        self.shared.peer
    }

    fn round_trip(&self) -> Duration {
        Duration::from_micros(600)
    }

    fn manifest(
        &self,
        _game: &GameId,
        _manifest: ManifestId,
    ) -> BoxFuture<'static, Result<Vec<u8>, SourceError>> {
        let manifest = self.shared.manifest.lock().expect("not poisoned").clone();
        Box::pin(async { manifest.ok_or(SourceError::Refused(Refusal::UnknownGame)) })
    }

    fn chunks(
        &self,
        _game: &GameId,
        _manifest: ManifestId,
        runs: Vec<ChunkRun>,
    ) -> BoxFuture<'static, Result<Box<dyn ChunkBody>, SourceError>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let body: Box<dyn ChunkBody> = Box::new(shared.answer(runs).await?);
            Ok(body)
        })
    }
}

impl ChunkBody for Body {
    fn bytes(&self) -> u64 {
        self.stated
    }

    fn read_exact<'a>(
        &'a mut self,
        buffer: &'a mut [u8],
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            sleep_until(self.shared.line(buffer.len())).await;
            let end = self.position + buffer.len();
            let Some(bytes) = self.bytes.get(self.position..end) else {
                return Err(SourceError::Broken("it ends early".to_owned()));
            };
            buffer.copy_from_slice(bytes);
            self.shared.spoil(buffer).await?;
            self.shared.sent.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            self.position = end;
            Ok(())
        })
    }
}

/// A feed whose sources the test changes.
pub(crate) struct TestFeed(watch::Receiver<Vec<Announced>>);

impl TestFeed {
    pub(crate) fn new(sources: Vec<Announced>) -> (watch::Sender<Vec<Announced>>, Box<Self>) {
        let (sender, receiver) = watch::channel(sources);
        (sender, Box::new(Self(receiver)))
    }
}

impl SourceFeed for TestFeed {
    fn current(&mut self) -> Vec<Announced> {
        self.0.borrow_and_update().clone()
    }

    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}
