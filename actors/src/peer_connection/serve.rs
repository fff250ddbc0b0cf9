//! Uploads: the answering side of requests, as tasks of one connection.
//!
//! Owns nothing but running answers. Every request passes the gates before a byte is read, holds a
//! slot and the gate of its game while it runs, and says why when it cannot go on. Must never read
//! a byte of a game whose gate is closed, nor read further ahead than a few pieces.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use lanspread_wire::{
    Catalog, ChunkRun, CloseCode, CodecError, FrameReader, ManifestId, PeerId, Refusal, Request,
    decode_frame, limits::FRAME_BYTES_MAX,
};
use quinn::{Connection, ReadToEndError, RecvStream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinHandle, JoinSet, spawn_blocking},
    time::{Instant, timeout},
};

use super::{
    end::Fault,
    gates::admit,
    limits::{
        PIECES_AHEAD, REQUEST_DEADLINE, RESETS_MAX, RESETS_WINDOW, UPLOAD_WAIT, UPLOADS_MAX,
        UPLOADS_PER_PEER_MAX,
    },
    pieces::{Piece, pieces},
    rate::RateWindow,
    reply::{Cut, Reply},
    served::{ServeError, Served, ServedGame},
};
use crate::{
    addr::Addr,
    facts::{LocalGame, LocalLibrary, ServeGate, ServeGuard},
    library::LibraryMsg,
    manifests::ManifestStore,
    net::limits::{PRIORITY_BULK, PRIORITY_MANIFEST, REQUEST_STREAMS_MAX},
    ports::Ports,
    view::ViewMsg,
};

/// What all connections of a node need to serve, and share.
#[derive(Clone)]
pub(crate) struct Uploads {
    local: watch::Receiver<Arc<LocalLibrary>>,
    catalog: watch::Receiver<Arc<Option<Catalog>>>,
    manifests: ManifestStore,
    library: Addr<LibraryMsg>,
    view: Addr<ViewMsg>,
    served: Served,
    slots: Arc<Semaphore>,
}

/// The requests of one peer.
#[derive(Clone)]
pub(crate) struct Server {
    uploads: Uploads,
    peer: PeerId,
    slots: Arc<Semaphore>,
}

/// How a request ended.
#[derive(Debug)]
enum Outcome {
    /// With a whole answer, or a refusal.
    Answered,
    /// Because the peer aborted it.
    Aborted,
    /// Without anybody's fault.
    Gone,
    /// With something that ends the connection.
    Faulted(Fault),
}

/// Why a request has no whole answer.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// Nothing was sent yet: say no.
    Refused(Refusal),
    /// The answer was begun: reset it.
    GivenUp(Refusal),
    /// There is nobody to say it to.
    Cut(Cut),
}

/// A place among the running uploads of the node and of the peer.
type Slot = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Uploads {
    /// Nothing is loaded yet.
    pub(crate) fn new(ports: &Ports) -> Self {
        Self {
            local: ports.local.clone(),
            catalog: ports.catalog.clone(),
            manifests: ports.manifests.clone(),
            library: ports.library.clone(),
            view: ports.view.clone(),
            served: Served::default(),
            slots: Arc::new(Semaphore::new(UPLOADS_MAX)),
        }
    }

    fn admit(&self, request: &Request) -> Result<LocalGame, Refusal> {
        let catalog = self.catalog.borrow().clone();
        let local = self.local.borrow().clone();
        admit(request, catalog.as_ref().as_ref(), &local).cloned()
    }

    async fn load(&self, game: &LocalGame, id: ManifestId) -> Result<Arc<ServedGame>, Refusal> {
        let loaded = self.served.get(game, id, &self.manifests).await;
        loaded.map_err(|error| self.note(game, &error))
    }

    /// A game cannot be served as it was offered: the library is told, the peer gets a reason.
    fn note(&self, game: &LocalGame, error: &ServeError) -> Refusal {
        tracing::warn!(game = %game.game, %error, "an upload failed");
        self.view.tell(ViewMsg::Count { counter: "uploads-failed", by: 1 });
        if error.is_news() {
            self.served.forget(&game.game);
            self.library.tell(LibraryMsg::Rescan { game: Some(game.game.clone()) });
        }
        error.refusal()
    }
}

impl Server {
    /// Serves `peer` with what `uploads` shares.
    pub(crate) fn new(uploads: Uploads, peer: PeerId) -> Self {
        Self { uploads, peer, slots: Arc::new(Semaphore::new(UPLOADS_PER_PEER_MAX)) }
    }

    /// Accepts request streams until the connection ends or the peer goes too far. Dropping the
    /// future ends every answer.
    pub(crate) async fn run(self, connection: Connection) -> Option<Fault> {
        let started = Instant::now();
        let mut aborted = RateWindow::new(RESETS_MAX, RESETS_WINDOW);
        let mut requests = JoinSet::new();
        loop {
            let has_room = requests.len() < REQUEST_STREAMS_MAX as usize;
            tokio::select! {
                biased;
                Some(ended) = requests.join_next() => match ended {
                    Ok(Outcome::Answered | Outcome::Gone) => {}
                    Ok(Outcome::Faulted(fault)) => return Some(fault),
                    Ok(Outcome::Aborted) => {
                        if !aborted.admit(started.elapsed()) {
                            let text = "too many requests that were aborted";
                            return Some(Fault::new(CloseCode::Abuse, text));
                        }
                    }
                    // A bug of ours; its stream is reset, and the peer may ask elsewhere.
                    Err(error) => tracing::error!(peer = ?self.peer, %error, "an upload died"),
                },
                stream = connection.accept_bi(), if has_room => match stream {
                    Ok((send, receive)) => {
                        requests.spawn(self.clone().serve(Reply::new(send), receive));
                    }
                    Err(_) => return None,
                },
            }
        }
    }

    async fn serve(self, mut reply: Reply, receive: RecvStream) -> Outcome {
        let request = match read_request(receive).await {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        let unwanted = reply.unwanted();
        let answered = tokio::select! {
            biased;
            cut = unwanted => Err(Stop::Cut(cut)),
            answered = self.answer(&request, &mut reply) => answered,
        };
        let cut = match answered {
            Ok(()) => {
                reply.finish();
                return Outcome::Answered;
            }
            Err(Stop::Refused(reason)) => match reply.refuse(reason).await {
                Ok(()) => return Outcome::Answered,
                Err(cut) => cut,
            },
            Err(Stop::GivenUp(reason)) => {
                reply.give_up(reason);
                return Outcome::Answered;
            }
            Err(Stop::Cut(cut)) => cut,
        };
        match cut {
            Cut::Cancelled => Outcome::Aborted,
            Cut::Stalled | Cut::Gone => Outcome::Gone,
        }
    }

    async fn answer(&self, request: &Request, reply: &mut Reply) -> Result<(), Stop> {
        self.uploads.admit(request).map_err(Stop::Refused)?;
        let _slot = self.slot().await.ok_or(Stop::Refused(Refusal::Limit))?;
        // Much may have changed while it waited.
        let game = self.uploads.admit(request).map_err(Stop::Refused)?;
        match request {
            Request::Manifest { manifest, .. } => {
                self.answer_manifest(&game, *manifest, reply).await
            }
            Request::Chunks { manifest, runs, .. } => {
                self.answer_chunks(&game, *manifest, runs, reply).await
            }
        }
    }

    async fn slot(&self) -> Option<Slot> {
        let both = async {
            let of_peer = self.slots.clone().acquire_owned().await.ok()?;
            let of_node = self.uploads.slots.clone().acquire_owned().await.ok()?;
            Some((of_peer, of_node))
        };
        timeout(UPLOAD_WAIT, both).await.ok().flatten()
    }

    async fn answer_manifest(
        &self,
        game: &LocalGame,
        id: ManifestId,
        reply: &mut Reply,
    ) -> Result<(), Stop> {
        reply.set_priority(PRIORITY_MANIFEST);
        let loaded = self.uploads.load(game, id).await.map_err(Stop::Refused)?;
        let encoded = spawn_blocking(move || Bytes::from(loaded.manifest.encode())).await;
        let bytes = encoded.map_err(|error| {
            let error = ServeError::Panicked(error.to_string());
            Stop::Refused(self.uploads.note(game, &error))
        })?;
        reply.accept(bytes.len() as u64).await.map_err(Stop::Cut)?;
        reply.send(bytes).await.map_err(Stop::Cut)
    }

    async fn answer_chunks(
        &self,
        game: &LocalGame,
        id: ManifestId,
        runs: &[ChunkRun],
        reply: &mut Reply,
    ) -> Result<(), Stop> {
        reply.set_priority(PRIORITY_BULK);
        let guard = game.gate.enter().ok_or(Stop::Refused(Refusal::Busy))?;
        let loaded = self.uploads.load(game, id).await.map_err(Stop::Refused)?;
        let len = loaded.map.check_runs(runs).map_err(Stop::Refused)?;
        let pieces = pieces(&loaded.map, runs);
        reply.accept(len).await.map_err(Stop::Cut)?;
        let mut ahead = Ahead::new(loaded, guard, pieces);
        while let Some(read) = until_closing(&game.gate, ahead.next()).await? {
            let bytes = read.map_err(|error| Stop::GivenUp(self.uploads.note(game, &error)))?;
            until_closing(&game.gate, reply.send(bytes)).await?.map_err(Stop::Cut)?;
        }
        Ok(())
    }
}

/// Waits for a step of an upload, unless an operation wants to change the files.
async fn until_closing<T>(gate: &ServeGate, step: impl Future<Output = T>) -> Result<T, Stop> {
    tokio::select! {
        biased;
        () = gate.closing() => Err(Stop::GivenUp(Refusal::Busy)),
        done = step => Ok(done),
    }
}

/// Pieces that are read while the ones before them travel. The gate of the game is held until the
/// last read job has ended, also if the upload ends first.
struct Ahead {
    game: Arc<ServedGame>,
    guard: Arc<ServeGuard>,
    pieces: std::vec::IntoIter<Piece>,
    jobs: VecDeque<JoinHandle<Result<Bytes, ServeError>>>,
}

impl Ahead {
    fn new(game: Arc<ServedGame>, guard: ServeGuard, pieces: Vec<Piece>) -> Self {
        let pieces = pieces.into_iter();
        Self { game, guard: Arc::new(guard), pieces, jobs: VecDeque::new() }
    }

    /// The next piece. Must not be polled again after it was dropped half way.
    async fn next(&mut self) -> Option<Result<Bytes, ServeError>> {
        while self.jobs.len() < PIECES_AHEAD {
            let Some(piece) = self.pieces.next() else {
                break;
            };
            let (game, guard) = (self.game.clone(), self.guard.clone());
            self.jobs.push_back(spawn_blocking(move || {
                let bytes = game.read(&piece);
                drop(guard);
                bytes
            }));
        }
        let job = self.jobs.front_mut()?;
        let read = job.await;
        self.jobs.pop_front();
        Some(read.unwrap_or_else(|error| Err(ServeError::Panicked(error.to_string()))))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // Jobs that have not begun never do; one that reads ends by itself after one piece.
        self.jobs.iter().for_each(JoinHandle::abort);
    }
}

/// Reads the one frame of a request stream, to its end.
async fn read_request(mut receive: RecvStream) -> Result<Request, Outcome> {
    let read = timeout(REQUEST_DEADLINE, receive.read_to_end(REQUEST_BYTES_MAX)).await;
    let bytes = match read {
        Err(_) => {
            let text = "a request that never came to its end";
            return Err(Outcome::Faulted(Fault::new(CloseCode::Stalled, text)));
        }
        Ok(Ok(bytes)) => bytes,
        Ok(Err(ReadToEndError::TooLong)) => {
            return Err(Outcome::Faulted(Fault::new(CloseCode::Frame, "a request too long")));
        }
        Ok(Err(ReadToEndError::Read(quinn::ReadError::Reset(_)))) => return Err(Outcome::Aborted),
        Ok(Err(ReadToEndError::Read(_))) => return Err(Outcome::Gone),
    };
    parse_request(&bytes).map_err(|error| Outcome::Faulted(error.into()))
}

fn parse_request(bytes: &[u8]) -> Result<Request, CodecError> {
    let mut reader = FrameReader::new();
    reader.push(bytes);
    let body = reader.next()?;
    let trailing = reader.bytes_waiting();
    match body {
        Some(body) if trailing == 0 => decode_frame(&body),
        Some(_) => Err(CodecError::Trailing { frame: "request", bytes: trailing }),
        None => Err(reader.finish().err().unwrap_or(CodecError::Truncated { missing: 4 })),
    }
}

/// A request frame with its length.
const REQUEST_BYTES_MAX: usize = FRAME_BYTES_MAX + 4;
