//! What the peers offer, as an operation sees it. The seam between operations and the network.
//!
//! Decides nothing: offers and sources come from the peer table as it is.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use lanspread_wire::{ChunkRun, GameId, ManifestId, PeerId};
use tokio::{sync::watch, time::Instant};

use super::{
    feed::{Announced, ChunkBody, ChunkSource, SourceError, SourceFeed, Stamp},
    sources::Offer,
};
use crate::{
    facts::{PeerEntry, PeerTable},
    peer_connection::{ChunkStream, PeerLink, RequestError, SourceGuard},
};

/// The offers of all connected peers.
pub trait Market: Send + Sync + 'static {
    /// What peers offer of a game. Only peers with a known content make an offer (R1).
    fn offers(&self, game: &GameId) -> Vec<Offer>;

    /// Whether any peer announces the game, ready or not.
    fn is_announced(&self, game: &GameId) -> bool;

    /// The peers that offer exactly this content, as they come and go.
    fn feed(&self, game: &GameId, manifest: ManifestId) -> Box<dyn SourceFeed>;

    /// Watches for changes from now on.
    fn watch(&self) -> Box<dyn MarketWatch>;
}

/// Tells of changes.
pub trait MarketWatch: Send {
    /// Resolves at the next change since the last one that was told; never when there will be
    /// none.
    fn changed(&mut self) -> BoxFuture<'_, ()>;
}

/// The connected peers.
pub struct PeerMarket(watch::Receiver<Arc<PeerTable>>);

impl PeerMarket {
    /// A market of the peers in this table.
    pub fn new(table: watch::Receiver<Arc<PeerTable>>) -> Self {
        Self(table)
    }
}

impl Market for PeerMarket {
    fn offers(&self, game: &GameId) -> Vec<Offer> {
        let table = self.0.borrow().clone();
        table.peers.values().filter_map(|entry| offer(entry, game)).collect()
    }

    fn is_announced(&self, game: &GameId) -> bool {
        self.0.borrow().peers.values().any(|entry| entry.library.games.contains_key(game))
    }

    fn feed(&self, game: &GameId, manifest: ManifestId) -> Box<dyn SourceFeed> {
        let mut table = self.0.clone();
        table.mark_changed();
        Box::new(PeerFeed {
            table,
            game: game.clone(),
            manifest,
            known: BTreeMap::new(),
            connections: 0,
        })
    }

    fn watch(&self) -> Box<dyn MarketWatch> {
        let mut table = self.0.clone();
        table.mark_unchanged();
        Box::new(TableWatch(table))
    }
}

fn offer(entry: &PeerEntry, game: &GameId) -> Option<Offer> {
    let summary = entry.library.games.get(game)?;
    Some(Offer { peer: entry.peer, version: summary.version.clone(), manifest: summary.manifest? })
}

struct TableWatch(watch::Receiver<Arc<PeerTable>>);

impl MarketWatch for TableWatch {
    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(changed(&mut self.0))
    }
}

/// The end of the table is the end of the node: nothing will change any more.
async fn changed(table: &mut watch::Receiver<Arc<PeerTable>>) {
    if table.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The peers with one content.
struct PeerFeed {
    table: watch::Receiver<Arc<PeerTable>>,
    game: GameId,
    manifest: ManifestId,
    known: BTreeMap<PeerId, Known>,
    /// Connections seen so far.
    connections: u64,
}

/// A peer as it was seen last.
struct Known {
    connected_at: Instant,
    connection: u64,
    source: Arc<PeerSource>,
}

impl SourceFeed for PeerFeed {
    fn current(&mut self) -> Vec<Announced> {
        let table = self.table.borrow_and_update().clone();
        let offers = |entry: &&PeerEntry| {
            offer(entry, &self.game).is_some_and(|offer| offer.manifest == self.manifest)
        };
        let entries: Vec<&PeerEntry> = table.peers.values().filter(offers).collect();
        self.known.retain(|peer, _| entries.iter().any(|entry| entry.peer == *peer));
        entries.into_iter().map(|entry| self.announced(entry)).collect()
    }

    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(changed(&mut self.table))
    }
}

impl PeerFeed {
    /// The same source as long as the connection is the same.
    fn announced(&mut self, entry: &PeerEntry) -> Announced {
        let known = self.known.get(&entry.peer);
        if known.is_none_or(|known| known.connected_at != entry.connected_at) {
            self.connections += 1;
            let source = Arc::new(PeerSource::new(entry.link.clone()));
            let connection = self.connections;
            let known = Known { connected_at: entry.connected_at, connection, source };
            self.known.insert(entry.peer, known);
        }
        let Known { connection, source, .. } = &self.known[&entry.peer];
        let stamp = Stamp { connection: *connection, revision: entry.library.state.revision };
        Announced { source: source.clone(), stamp }
    }
}

/// One connected peer as a source.
struct PeerSource {
    link: PeerLink,
    /// It may send more at once as long as it is a source.
    _guard: SourceGuard,
}

impl PeerSource {
    fn new(link: PeerLink) -> Self {
        Self { _guard: link.as_source(), link }
    }
}

impl ChunkSource for PeerSource {
    fn peer(&self) -> PeerId {
        self.link.peer()
    }

    fn round_trip(&self) -> Duration {
        self.link.rtt()
    }

    fn manifest(
        &self,
        game: &GameId,
        manifest: ManifestId,
    ) -> BoxFuture<'static, Result<Vec<u8>, SourceError>> {
        let (link, game) = (self.link.clone(), game.clone());
        Box::pin(async move { Ok(link.manifest(&game, manifest).await?) })
    }

    fn chunks(
        &self,
        game: &GameId,
        manifest: ManifestId,
        runs: Vec<ChunkRun>,
    ) -> BoxFuture<'static, Result<Box<dyn ChunkBody>, SourceError>> {
        let (link, game) = (self.link.clone(), game.clone());
        Box::pin(async move {
            let stream: Box<dyn ChunkBody> = Box::new(link.chunks(&game, manifest, runs).await?);
            Ok(stream)
        })
    }
}

impl ChunkBody for ChunkStream {
    fn bytes(&self) -> u64 {
        self.len()
    }

    fn read_exact<'a>(
        &'a mut self,
        buffer: &'a mut [u8],
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move { Ok(ChunkStream::read_exact(self, buffer).await?) })
    }
}

impl From<RequestError> for SourceError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused(reason) => Self::Refused(reason),
            RequestError::Lost(end) => Self::Lost(end.to_string()),
            RequestError::Deadline => Self::Late,
            RequestError::Protocol(text) => Self::Broken(text),
        }
    }
}
