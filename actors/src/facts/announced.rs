//! What peers are told: the announced part of the library. Written by [`crate::library`] only.

use std::{collections::BTreeMap, sync::Arc};

use lanspread_wire::{GameId, GameSummary, LibraryState, library_digest};

/// The library as peers see it, with its revision and digest.
#[derive(Clone, Debug)]
pub struct Announced {
    pub state: LibraryState,
    pub games: Arc<BTreeMap<GameId, GameSummary>>,
}

impl Announced {
    /// A library of `games` at `revision`; computes the digest.
    pub fn new(revision: u64, games: BTreeMap<GameId, GameSummary>) -> Self {
        let digest = library_digest(games.values());
        Self { state: LibraryState { revision, digest }, games: Arc::new(games) }
    }
}

impl Default for Announced {
    fn default() -> Self {
        Self::new(0, BTreeMap::new())
    }
}
