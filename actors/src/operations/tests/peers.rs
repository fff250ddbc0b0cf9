//! Peers that a test makes up, and what they hold.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use futures::future::BoxFuture;
use lanspread_wire::{
    ChunkEntry, ChunkHash, ChunkerId, GameId, Manifest, ManifestId, PeerId, RelPath, VersionStamp,
};
use tokio::sync::watch;

use super::rig::game;
use crate::game_op::{
    feed::{Announced as Source, SourceFeed, Stamp},
    market::{Market, MarketWatch},
    sources::Offer,
    target::Target,
    testing::{ScriptedSource, TestFeed},
};

/// Peers that a test makes up.
pub(super) struct ScriptedMarket {
    offers: Mutex<Vec<(Offer, Arc<ScriptedSource>, u64)>>,
    changes: watch::Sender<u64>,
    feeds: Mutex<Vec<(ManifestId, watch::Sender<Vec<Source>>)>>,
    /// So many times, asking for a feed panics: a bug in an operation.
    pub(super) panics: Mutex<usize>,
}

impl ScriptedMarket {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            offers: Mutex::new(Vec::new()),
            changes: watch::Sender::new(0),
            feeds: Mutex::new(Vec::new()),
            panics: Mutex::new(0),
        })
    }

    fn sources(&self, manifest: ManifestId) -> Vec<Source> {
        let offers = self.offers.lock().unwrap();
        let of_content = offers.iter().filter(|(offer, _, _)| offer.manifest == manifest);
        of_content
            .map(|(_, source, connection)| Source {
                source: source.clone(),
                stamp: Stamp { connection: *connection, revision: 1 },
            })
            .collect()
    }

    fn changed(&self) {
        for (manifest, feed) in self.feeds.lock().unwrap().iter() {
            feed.send_replace(self.sources(*manifest));
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// A peer comes.
    pub(super) fn join(&self, offer: Offer, source: Arc<ScriptedSource>) {
        let connection = u64::from(source.bytes_sent() > 0) + 1;
        self.offers.lock().unwrap().push((offer, source, connection));
        self.changed();
    }

    /// A peer goes.
    pub(super) fn leave(&self, peer: PeerId) {
        self.offers.lock().unwrap().retain(|(offer, _, _)| offer.peer != peer);
        self.changed();
    }
}

/// The market as an operation gets it.
pub(super) struct Shared(pub(super) Arc<ScriptedMarket>);

impl Market for Shared {
    fn offers(&self, game: &GameId) -> Vec<Offer> {
        assert_eq!(*game, super::rig::game());
        self.0.offers.lock().unwrap().iter().map(|(offer, _, _)| offer.clone()).collect()
    }

    fn is_announced(&self, _game: &GameId) -> bool {
        !self.0.offers.lock().unwrap().is_empty()
    }

    fn feed(&self, _game: &GameId, manifest: ManifestId) -> Box<dyn SourceFeed> {
        let mut panics = self.0.panics.lock().unwrap_or_else(|error| error.into_inner());
        if *panics > 0 {
            *panics -= 1;
            drop(panics);
            panic!("a bug in an operation");
        }
        drop(panics);
        let (sender, feed) = TestFeed::new(self.0.sources(manifest));
        self.0.feeds.lock().unwrap().push((manifest, sender));
        feed
    }

    fn watch(&self) -> Box<dyn MarketWatch> {
        Box::new(Changes(self.0.changes.subscribe()))
    }
}

struct Changes(watch::Receiver<u64>);

impl MarketWatch for Changes {
    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// A game as files, chunks and manifest.
pub(super) struct Content {
    pub(super) target: Arc<Target>,
    pub(super) chunks: Vec<Vec<u8>>,
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

impl Content {
    /// Files cut into chunks of this many bytes.
    pub(super) fn new(version: &str, files: &[(&str, Vec<u8>)], chunk: usize) -> Self {
        let files: BTreeMap<String, Vec<u8>> =
            files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.clone())).collect();
        let mut chunks = Vec::new();
        let mut entries = Vec::new();
        for (path, bytes) in &files {
            let parts: Vec<Vec<u8>> = bytes.chunks(chunk).map(<[u8]>::to_vec).collect();
            let entry = |part: &Vec<u8>| ChunkEntry {
                hash: ChunkHash::of(part),
                len: u32::try_from(part.len()).unwrap(),
            };
            entries.push((RelPath::parse(path).unwrap(), parts.iter().map(entry).collect()));
            chunks.extend(parts);
        }
        let sentinel = version.as_bytes().to_vec();
        let manifest = Manifest::build(ChunkerId::STANDARD, sentinel, entries, Vec::new()).unwrap();
        Self { target: Target::new(game(), manifest.id(), manifest), chunks, files }
    }

    /// The files stand below `folder`, and nothing is said of others.
    pub(super) fn check(&self, folder: &Path) {
        for (path, bytes) in &self.files {
            let found = fs::read(folder.join(path)).unwrap_or_default();
            assert!(found == *bytes, "{path} is right in {}", folder.display());
        }
    }

    pub(super) fn version(&self) -> VersionStamp {
        self.target.manifest.version()
    }
}
