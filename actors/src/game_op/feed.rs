//! What a download sees of its sources: who is there now, and how to ask them.
//!
//! The seam between the engine and the network: tests put scripted sources behind it. Nothing
//! here decides whom to ask.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use lanspread_wire::{ChunkRun, GameId, ManifestId, PeerId, Refusal};

/// One peer that offers the wanted content.
pub trait ChunkSource: Send + Sync + 'static {
    /// Who it is; proved by the connection.
    fn peer(&self) -> PeerId;

    /// The smoothed round trip.
    fn round_trip(&self) -> Duration;

    /// The bytes of a manifest. Not checked.
    fn manifest(
        &self,
        game: &GameId,
        manifest: ManifestId,
    ) -> BoxFuture<'static, Result<Vec<u8>, SourceError>>;

    /// Asks for chunks within the limits of one request. Has a deadline of its own.
    fn chunks(
        &self,
        game: &GameId,
        manifest: ManifestId,
        runs: Vec<ChunkRun>,
    ) -> BoxFuture<'static, Result<Box<dyn ChunkBody>, SourceError>>;
}

/// The bytes of one answer. Dropping it tells the peer to stop.
pub trait ChunkBody: Send {
    /// How many bytes the peer says that it sends. Not checked.
    fn bytes(&self) -> u64;

    /// Fills `buffer` with the next bytes. Has a deadline for progress of its own.
    fn read_exact<'a>(&'a mut self, buffer: &'a mut [u8])
    -> BoxFuture<'a, Result<(), SourceError>>;
}

/// Why a request brought nothing, or not everything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The peer said no.
    #[error("it refused: {0}")]
    Refused(Refusal),
    /// The connection is gone.
    #[error("the connection is lost: {0}")]
    Lost(String),
    /// No answer, or no progress, in time.
    #[error("it did not answer in time")]
    Late,
    /// The answer was not what the protocol allows, or broke off.
    #[error("its answer is not valid: {0}")]
    Broken(String),
}

/// One source as it announces itself.
#[derive(Clone)]
pub struct Announced {
    pub source: Arc<dyn ChunkSource>,
    /// Changes when it connects anew or announces anything anew.
    pub stamp: Stamp,
}

/// Tells one announcement of a source from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which connection.
    pub connection: u64,
    /// Which state of the peer's library.
    pub revision: u64,
}

/// The sources of one content as they come and go.
pub trait SourceFeed: Send {
    /// Who offers the content now.
    fn current(&mut self) -> Vec<Announced>;

    /// Resolves when [`SourceFeed::current`] may give something else; never when it cannot any
    /// more. May be dropped and called again.
    fn changed(&mut self) -> BoxFuture<'_, ()>;
}

impl fmt::Debug for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.source.peer().short(), self.stamp)
    }
}
