//! The asking side of requests: opens one stream per request and reads the answer.
//! Must never trust the length that a peer states with memory, nor wait for ever.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use lanspread_wire::{
    ChunkRun, CloseCode, GameId, ManifestId, PeerId, Refusal, Request, Response, decode_frame,
    encode_frame, limits::FRAME_BYTES_MAX, limits::MANIFEST_BYTES_MAX,
};
use quinn::{
    Connection, ConnectionError, ReadError, ReadExactError, RecvStream, SendStream, VarInt,
    WriteError,
};
use tokio::time::timeout;

use super::{
    end::SessionEnd,
    limits::{BODY_PROGRESS_DEADLINE, RESPONSE_DEADLINE},
};
use crate::net::{endpoint, limits::PRIORITY_MANIFEST};

/// Opens request streams to one peer. Cheap to clone; works as long as the connection lives.
#[derive(Clone)]
pub struct PeerLink(Arc<Shared>);

struct Shared {
    peer: PeerId,
    connection: Connection,
    /// Living [`SourceGuard`]s.
    sources: Mutex<usize>,
}

/// While it lives the peer may send us more at once: it is a source of a running download. Every
/// running answer has one, since unread answers must not fill the window of the connection; a
/// download holds one over all its requests.
#[derive(Debug)]
pub struct SourceGuard(PeerLink);

/// Why a request was not answered, or not to its end. The chunks it was for can be asked elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The peer said no, at once or in the middle of the answer.
    #[error("the peer refused: {0}")]
    Refused(Refusal),
    /// The connection is gone.
    #[error("the connection is lost: {0}")]
    Lost(SessionEnd),
    /// No answer, or no progress, in time.
    #[error("the peer did not answer in time")]
    Deadline,
    /// The answer is not what the protocol allows.
    #[error("the answer is not valid: {0}")]
    Protocol(String),
}

impl RequestError {
    /// The stable name used in events and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(reason) => reason.code(),
            Self::Lost(_) => "lost",
            Self::Deadline => "timeout",
            Self::Protocol(_) => "bad-answer",
        }
    }
}

impl PeerLink {
    /// A link over a connection whose other end proved to be `peer`.
    pub fn new(peer: PeerId, connection: Connection) -> Self {
        Self(Arc::new(Shared { peer, connection, sources: Mutex::new(0) }))
    }

    /// Who is at the other end.
    pub fn peer(&self) -> PeerId {
        self.0.peer
    }

    /// The smoothed round trip.
    pub fn rtt(&self) -> Duration {
        self.0.connection.rtt()
    }

    /// Whether the connection is over.
    pub fn is_closed(&self) -> bool {
        self.0.connection.close_reason().is_some()
    }

    /// Resolves when the connection is over.
    pub async fn closed(&self) -> SessionEnd {
        SessionEnd::of_connection(&self.0.connection.closed().await)
    }

    /// The bytes of a manifest. They are not looked at: the caller checks that they are what it
    /// asked for.
    pub async fn manifest(
        &self,
        game: &GameId,
        manifest: ManifestId,
    ) -> Result<Vec<u8>, RequestError> {
        let request = Request::Manifest { game: game.clone(), manifest };
        let mut answer = self.request(&request).await?;
        if answer.len() > MANIFEST_BYTES_MAX as u64 {
            return Err(RequestError::Protocol(format!("a manifest of {} bytes", answer.len())));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.read_chunk(READ_BYTES_MAX).await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// The bytes of chunks, in the order of the runs. Within the limits of one request; the caller
    /// compares the length of the stream with what the manifest says, and each chunk with its hash.
    /// Waits while too many requests to this peer are open. Dropping the stream tells it to stop.
    pub async fn chunks(
        &self,
        game: &GameId,
        manifest: ManifestId,
        runs: Vec<ChunkRun>,
    ) -> Result<ChunkStream, RequestError> {
        self.request(&Request::Chunks { game: game.clone(), manifest, runs }).await
    }

    /// Lets the peer send more at once, as a source of a running download.
    pub fn as_source(&self) -> SourceGuard {
        let mut sources = self.sources();
        if *sources == 0 {
            endpoint::widen(&self.0.connection);
        }
        *sources += 1;
        drop(sources);
        SourceGuard(self.clone())
    }

    /// Closes the connection. Only for the owner of the session, and for one that inherits it.
    pub(crate) fn close(&self, code: CloseCode, text: &str) {
        self.0.connection.close(code.as_u32().into(), text.as_bytes());
    }

    async fn request(&self, request: &Request) -> Result<ChunkStream, RequestError> {
        let frame =
            encode_frame(request).map_err(|error| RequestError::Protocol(error.to_string()))?;
        timeout(RESPONSE_DEADLINE, self.ask(&frame)).await.unwrap_or(Err(RequestError::Deadline))
    }

    async fn ask(&self, frame: &[u8]) -> Result<ChunkStream, RequestError> {
        let source = self.as_source();
        let (send, mut receive) = self.0.connection.open_bi().await.map_err(lost)?;
        Question { stream: send, whole: false }.send(frame).await?;
        match read_response(&mut receive).await? {
            Response::Ok { len } => Ok(ChunkStream { receive, len, left: len, _source: source }),
            Response::Refused { reason } => Err(RequestError::Refused(reason)),
        }
    }

    fn sources(&self) -> std::sync::MutexGuard<'_, usize> {
        // A number cannot be left half changed.
        self.0.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PeerLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerLink").field(&self.0.peer).finish()
    }
}

impl Drop for SourceGuard {
    fn drop(&mut self) {
        let mut sources = self.0.sources();
        *sources -= 1;
        if *sources == 0 {
            endpoint::narrow(&self.0.0.connection);
        }
    }
}

/// The sending half of a request. Dropped half way it resets the stream: ending it, as QUIC does by
/// itself, would make half a request of it, which is a fault.
struct Question {
    stream: SendStream,
    whole: bool,
}

impl Question {
    async fn send(mut self, frame: &[u8]) -> Result<(), RequestError> {
        // It fails on a stream that is closed, which the next write finds out.
        self.stream.set_priority(PRIORITY_MANIFEST).ok();
        match self.stream.write_all(frame).await {
            // A peer that answers before it has read everything refuses; the answer says why.
            Ok(()) | Err(WriteError::Stopped(_)) => {}
            Err(WriteError::ConnectionLost(error)) => return Err(lost(error)),
            Err(error) => return Err(RequestError::Protocol(error.to_string())),
        }
        self.whole = self.stream.finish().is_ok();
        Ok(())
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if !self.whole {
            // It fails if the peer has stopped the stream already, which is the same.
            self.stream.reset(VarInt::from_u32(0)).ok();
        }
    }
}

/// The bytes of one answer, as they arrive.
#[derive(Debug)]
pub struct ChunkStream {
    receive: RecvStream,
    len: u64,
    left: u64,
    _source: SourceGuard,
}

impl ChunkStream {
    /// How many bytes the peer said that it sends.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the answer has no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes, at most `max` of them; `None` after the last one. Not a copy.
    pub async fn read_chunk(&mut self, max: usize) -> Result<Option<Bytes>, RequestError> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(max);
        if self.left == 0 {
            self.end().await?;
            return Ok(None);
        }
        let read = in_time(self.receive.read_chunk(wanted, true)).await?.map_err(broken)?;
        let Some(chunk) = read else {
            return Err(RequestError::Protocol(format!("it ends {} bytes too early", self.left)));
        };
        self.left -= chunk.bytes.len() as u64;
        Ok(Some(chunk.bytes))
    }

    /// Fills `buffer` with the next bytes.
    pub async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), RequestError> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.left == 0 {
                return Err(RequestError::Protocol("it is shorter than what was asked for".into()));
            }
            let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
            let end = buffer.len().min(filled.saturating_add(wanted));
            let read = in_time(self.receive.read(&mut buffer[filled..end])).await?;
            let Some(count) = read.map_err(broken)? else {
                return Err(RequestError::Protocol(format!("it ends {} bytes early", self.left)));
            };
            filled += count;
            self.left -= count as u64;
        }
        Ok(())
    }

    /// Nothing may follow the last byte.
    async fn end(&mut self) -> Result<(), RequestError> {
        match in_time(self.receive.read_chunk(1, true)).await?.map_err(broken)? {
            None => Ok(()),
            Some(_) => Err(RequestError::Protocol("it is longer than it said".into())),
        }
    }
}

async fn read_response(receive: &mut RecvStream) -> Result<Response, RequestError> {
    let mut prefix = [0; 4];
    read_all(receive, &mut prefix).await?;
    let length = u32::from_le_bytes(prefix) as usize;
    if !(1..=FRAME_BYTES_MAX).contains(&length) {
        return Err(RequestError::Protocol(format!("a frame of {length} bytes")));
    }
    let mut body = vec![0; length];
    read_all(receive, &mut body).await?;
    decode_frame(&body).map_err(|error| RequestError::Protocol(error.to_string()))
}

async fn read_all(receive: &mut RecvStream, buffer: &mut [u8]) -> Result<(), RequestError> {
    receive.read_exact(buffer).await.map_err(|error| match error {
        ReadExactError::FinishedEarly(_) => RequestError::Protocol("no answer".to_owned()),
        ReadExactError::ReadError(error) => broken(error),
    })
}

async fn in_time<T>(read: impl Future<Output = T>) -> Result<T, RequestError> {
    timeout(BODY_PROGRESS_DEADLINE, read).await.map_err(|_| RequestError::Deadline)
}

fn broken(error: ReadError) -> RequestError {
    match error {
        ReadError::Reset(code) => {
            let reason = u32::try_from(code.into_inner()).ok().and_then(Refusal::from_reset_code);
            match reason {
                Some(reason) => RequestError::Refused(reason),
                None => RequestError::Protocol("the peer gave up without a reason".to_owned()),
            }
        }
        ReadError::ConnectionLost(error) => lost(error),
        other => RequestError::Protocol(other.to_string()),
    }
}

fn lost(error: ConnectionError) -> RequestError {
    RequestError::Lost(SessionEnd::of_connection(&error))
}

/// What one read of a manifest takes at most; it grows with what arrives, never with what is
/// claimed.
const READ_BYTES_MAX: usize = 64 * 1024;
