//! What two nodes say to each other: the control stream and the request streams of the one
//! version of the protocol. Owns the messages and their rules; knows nothing of streams.
//!
//! The control stream is the one bidirectional stream that the dialler opens first. Both sides
//! write [`Control`] frames on it. On every other bidirectional stream the opener writes one
//! [`Request`] and finishes its half; the answer is one [`Response`] and, after
//! [`Response::Ok`], exactly as many raw bytes as it says.

use std::{collections::HashSet, fmt, net::SocketAddr, ops::Range};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use thiserror::Error;

use crate::{
    codec::{CodecError, Frame, capped, check_protocol_version},
    ids::{GameId, LibraryDigest, ManifestId, PeerId},
    limits::{
        ADDRESSES_MAX, CHUNKS_PER_REQUEST_MAX, CONTROL_ITEMS_MAX, GAME_BYTES_MAX,
        MANIFEST_BYTES_MAX, REQUEST_BYTES_MAX, RUNS_PER_REQUEST_MAX,
    },
    text::{DisplayName, Title},
    version::VersionStamp,
};

/// The only version of the protocol that is spoken.
pub const PROTOCOL_VERSION: u16 = 1;

/// The application protocol that both ends of a TLS handshake must name.
pub const ALPN: &[u8] = b"lanspread/1";

/// A frame of the control stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// First frame of the dialler. Answer: `HelloAck`, or a close.
    Hello(Hello),
    /// First frame of the listener, in answer to `Hello`.
    HelloAck(Hello),
    /// One page of the sender's whole library; pages come in order, nothing between them.
    Snapshot(SnapshotPage),
    /// A change of the sender's library. Not answered; a gap is met with `SnapshotWanted`.
    Delta(LibraryDelta),
    /// Asks for the whole library. Answer: `Snapshot` pages.
    SnapshotWanted {
        /// The revision the sender holds, or zero.
        known_revision: u64,
    },
    /// Asks for a sign of life. Answer: `Pong` with the same nonce.
    Ping {
        /// Returned as it is.
        nonce: u64,
    },
    /// The answer to `Ping`.
    Pong {
        /// The nonce of the `Ping`.
        nonce: u64,
    },
}

/// The greeting of both sides. Its version is the first thing in it, in two bytes, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The sender's protocol version.
    #[serde(with = "two_bytes")]
    pub version: u16,
    /// The sender; must equal the key that the session was authenticated with.
    pub peer: PeerId,
    /// What the sender calls itself.
    pub name: DisplayName,
    /// Where the sender listens. Never the source port of a connection.
    #[serde(deserialize_with = "capped::<ADDRESSES_MAX, _, _>")]
    pub addresses: Vec<SocketAddr>,
    /// The state of the sender's library.
    pub library: LibraryState,
    /// The digest of the receiver's library that the sender still holds: if it is the present
    /// one, no snapshot is sent.
    pub known: Option<LibraryDigest>,
}

/// Which library: its revision, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryState {
    /// Grows with each change. An older or equal one never replaces a newer one.
    pub revision: u64,
    /// The digest of its games.
    pub digest: LibraryDigest,
}

/// What a peer tells of one of its games. Only games that are ready to share are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GameSummary {
    /// Which game.
    pub game: GameId,
    /// What it is called.
    pub title: Title,
    /// Its version.
    pub version: VersionStamp,
    /// Its content, or nothing while it is still being hashed.
    pub manifest: Option<ManifestId>,
    /// The size of its content.
    pub bytes_total: u64,
}

/// One page of a library, its games in the order of their ids across all pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPage {
    /// The library that all pages together are.
    pub state: LibraryState,
    /// Counts from zero.
    pub page: u32,
    /// Whether no page follows.
    pub last: bool,
    /// The games of this page.
    #[serde(deserialize_with = "capped::<CONTROL_ITEMS_MAX, _, _>")]
    pub games: Vec<GameSummary>,
}

/// What changed between two revisions. Each list is in the order of ids, and no game is in two.
/// A change that does not fit a frame is told by a whole snapshot instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryDelta {
    /// The revision it applies to.
    pub from: u64,
    /// The revision after it.
    pub to: u64,
    /// The digest after it.
    pub digest: LibraryDigest,
    /// Games that were not there.
    #[serde(deserialize_with = "capped::<CONTROL_ITEMS_MAX, _, _>")]
    pub added: Vec<GameSummary>,
    /// Games that are told anew.
    #[serde(deserialize_with = "capped::<CONTROL_ITEMS_MAX, _, _>")]
    pub updated: Vec<GameSummary>,
    /// Games that are gone.
    #[serde(deserialize_with = "capped::<CONTROL_ITEMS_MAX, _, _>")]
    pub removed: Vec<GameId>,
}

/// The one frame that opens a request stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Asks for the canonical bytes of a manifest.
    Manifest {
        /// Of which game.
        game: GameId,
        /// Which one.
        manifest: ManifestId,
    },
    /// Asks for the bytes of chunks, in the order of the runs, without anything between them.
    Chunks {
        /// Of which game.
        game: GameId,
        /// The manifest that the indexes count in.
        manifest: ManifestId,
        /// Ascending, without overlap, at least one.
        #[serde(deserialize_with = "capped::<RUNS_PER_REQUEST_MAX, _, _>")]
        runs: Vec<ChunkRun>,
    },
}

/// The one frame that answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// So many raw bytes follow, then the stream ends.
    Ok {
        /// How many.
        len: u64,
    },
    /// Nothing follows.
    Refused {
        /// Why.
        reason: Refusal,
    },
}

/// Chunks that follow each other in a manifest. Never empty, and its end never overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ChunkRun {
    /// The first chunk.
    pub first: u32,
    /// How many; at least one.
    pub count: u32,
}

impl ChunkRun {
    /// A run, if it is one.
    pub fn new(first: u32, count: u32) -> Option<ChunkRun> {
        let run = ChunkRun { first, count };
        run.is_valid().then_some(run)
    }

    /// The first chunk behind the run.
    pub fn end(self) -> u32 {
        self.first.saturating_add(self.count)
    }

    /// The chunks of the run.
    pub fn range(self) -> Range<u32> {
        self.first..self.end()
    }

    fn is_valid(self) -> bool {
        self.count > 0 && self.first.checked_add(self.count).is_some()
    }
}

impl<'de> Deserialize<'de> for ChunkRun {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ChunkRun, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            first: u32,
            count: u32,
        }

        let Fields { first, count } = Fields::deserialize(deserializer)?;
        ChunkRun::new(first, count)
            .ok_or_else(|| D::Error::custom(format!("a run of {count} chunks from {first}")))
    }
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident, $code:literal, $text:literal;)*) => {
        /// Why a request is not served.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Refusal {
            $($(#[$doc])* $name,)*
        }

        impl Refusal {
            /// Every reason.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$name,)*];

            /// The stable name used in events and logs.
            pub fn code(self) -> &'static str {
                match self {
                    $(Refusal::$name => $code,)*
                }
            }

            /// The code with which the sender resets an answer that it has begun and must give up.
            /// Zero stays free: it is what a stream is reset with when nobody says why.
            pub fn reset_code(self) -> u32 {
                self as u32 + 1
            }

            /// The reason behind the reset of an answer, if it is one.
            pub fn from_reset_code(code: u32) -> Option<Refusal> {
                Refusal::ALL.iter().copied().find(|reason| reason.reset_code() == code)
            }
        }

        impl fmt::Display for Refusal {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Refusal::$name => $text,)*
                })
            }
        }
    };
}

refusals! {
    /// The sender's catalog does not list the game.
    NotInCatalog, "not-in-catalog", "the game is not in the catalog";
    /// The sender does not have the game.
    UnknownGame, "unknown-game", "the game is not here";
    /// The game is here but not (or no longer) ready to share.
    NotReady, "not-ready", "the game is not ready to share";
    /// The game is here with other content.
    OtherContent, "other-content", "the game is here with other content";
    /// An index beyond the manifest.
    OutOfRange, "out-of-range", "a chunk beyond the end of the manifest";
    /// An operation changes the game; it may be served again later.
    Busy, "busy", "an operation is changing the game";
    /// More than may be asked for, at once or in one request.
    Limit, "limit", "more than may be asked for at once";
    /// The content could not be read.
    Io, "io", "the content could not be read";
    /// The content on disk is no longer what the manifest says.
    Changed, "changed", "the content on disk has changed";
    /// The sender is about to leave.
    ShuttingDown, "shutting-down", "the peer is shutting down";
}

/// The rules of messages that the types of their fields do not express.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the error texts are the documentation of the variants")]
pub enum BadMessage {
    #[error("{count} {what}, allowed are {max}")]
    Count { what: &'static str, count: usize, max: usize },
    #[error("games out of order or twice at {0}")]
    GameOrder(GameId),
    #[error("a change from revision {from} to {to}")]
    Revision { from: u64, to: u64 },
    #[error("{game} of {bytes} bytes")]
    GameBytes { game: GameId, bytes: u64 },
    #[error("a request for nothing")]
    NoRuns,
    #[error("an impossible run of {count} chunks from {first}")]
    Run { first: u32, count: u32 },
    #[error("runs out of order or overlapping at chunk {0}")]
    RunOrder(u32),
    #[error("an answer of {0} bytes")]
    AnswerBytes(u64),
}

/// The protocol version in the body of a greeting of *any* version, or nothing if the body is no
/// greeting.
pub fn peek_version(frame: &[u8]) -> Option<u16> {
    match frame {
        [HELLO_TAG | HELLO_ACK_TAG, low, high, ..] => Some(u16::from_le_bytes([*low, *high])),
        _ => None,
    }
}

impl Frame for Control {
    const NAME: &'static str = "control message";

    fn check_version(body: &[u8]) -> Result<(), CodecError> {
        peek_version(body).map_or(Ok(()), check_protocol_version)
    }

    fn check(&self) -> Result<(), BadMessage> {
        match self {
            Control::Hello(hello) | Control::HelloAck(hello) => {
                check_count("addresses", hello.addresses.len(), ADDRESSES_MAX)
            }
            Control::Snapshot(page) => check_games(&page.games),
            Control::Delta(delta) => check_delta(delta),
            Control::SnapshotWanted { .. } | Control::Ping { .. } | Control::Pong { .. } => Ok(()),
        }
    }
}

impl Frame for Request {
    const NAME: &'static str = "request";

    fn check(&self) -> Result<(), BadMessage> {
        match self {
            Request::Manifest { .. } => Ok(()),
            Request::Chunks { runs, .. } => check_runs(runs),
        }
    }
}

impl Frame for Response {
    const NAME: &'static str = "response";

    fn check(&self) -> Result<(), BadMessage> {
        match self {
            Response::Ok { len } if *len > ANSWER_BYTES_MAX => Err(BadMessage::AnswerBytes(*len)),
            Response::Ok { .. } | Response::Refused { .. } => Ok(()),
        }
    }
}

fn check_delta(delta: &LibraryDelta) -> Result<(), BadMessage> {
    let LibraryDelta { from, to, added, updated, removed, .. } = delta;
    if to <= from {
        return Err(BadMessage::Revision { from: *from, to: *to });
    }
    let items = added.len() + updated.len() + removed.len();
    check_count("changes", items, CONTROL_ITEMS_MAX)?;
    check_games(added)?;
    check_games(updated)?;
    check_order(removed.iter())?;
    let mut seen = HashSet::with_capacity(items);
    let told = added.iter().chain(updated).map(|summary| &summary.game);
    match told.chain(removed).find(|game| !seen.insert(*game)) {
        Some(twice) => Err(BadMessage::GameOrder(twice.clone())),
        None => Ok(()),
    }
}

fn check_games(games: &[GameSummary]) -> Result<(), BadMessage> {
    check_count("games", games.len(), CONTROL_ITEMS_MAX)?;
    if let Some(huge) = games.iter().find(|summary| summary.bytes_total > GAME_BYTES_MAX) {
        return Err(BadMessage::GameBytes { game: huge.game.clone(), bytes: huge.bytes_total });
    }
    check_order(games.iter().map(|summary| &summary.game))
}

fn check_order<'a>(games: impl Iterator<Item = &'a GameId>) -> Result<(), BadMessage> {
    let mut before: Option<&GameId> = None;
    for game in games {
        if before.is_some_and(|before| before >= game) {
            return Err(BadMessage::GameOrder(game.clone()));
        }
        before = Some(game);
    }
    Ok(())
}

fn check_runs(runs: &[ChunkRun]) -> Result<(), BadMessage> {
    if runs.is_empty() {
        return Err(BadMessage::NoRuns);
    }
    check_count("runs", runs.len(), RUNS_PER_REQUEST_MAX)?;
    let mut end = 0;
    let mut chunks: u64 = 0;
    for run in runs {
        if !run.is_valid() {
            return Err(BadMessage::Run { first: run.first, count: run.count });
        }
        if run.first < end {
            return Err(BadMessage::RunOrder(run.first));
        }
        end = run.end();
        chunks += u64::from(run.count);
    }
    let chunks = usize::try_from(chunks).unwrap_or(usize::MAX);
    check_count("chunks", chunks, CHUNKS_PER_REQUEST_MAX as usize)
}

fn check_count(what: &'static str, count: usize, max: usize) -> Result<(), BadMessage> {
    if count > max { Err(BadMessage::Count { what, count, max }) } else { Ok(()) }
}

/// A number that keeps its place and width whatever becomes of the codec.
mod two_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u16, to: S) -> Result<S::Ok, S::Error> {
        number.to_le_bytes().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
        <[u8; 2]>::deserialize(from).map(u16::from_le_bytes)
    }
}

/// How [`Control::Hello`] and [`Control::HelloAck`] begin; a test ties them to the codec.
const HELLO_TAG: u8 = 0;
const HELLO_ACK_TAG: u8 = 1;
/// The longest answer is a whole manifest or the largest batch of chunks.
const ANSWER_BYTES_MAX: u64 = if MANIFEST_BYTES_MAX as u64 > REQUEST_BYTES_MAX {
    MANIFEST_BYTES_MAX as u64
} else {
    REQUEST_BYTES_MAX
};
