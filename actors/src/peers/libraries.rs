//! What the libraries of all peers may take in memory, and those of peers that are away: a peer
//! that returns need not send its library again. Pure.

use std::{collections::BTreeMap, sync::Arc};

use lanspread_wire::PeerId;

use super::roster::LinkId;
use crate::{
    facts::RemoteLibrary,
    peer_connection::{limits::REMOTE_LIBRARIES_BYTES_MAX, weight},
};

/// The weights of the libraries of all links, and the libraries of absent peers.
#[derive(Debug, Default)]
pub(crate) struct Libraries {
    held: BTreeMap<LinkId, usize>,
    away: BTreeMap<PeerId, Away>,
    clock: u64,
}

#[derive(Debug)]
struct Away {
    library: Arc<RemoteLibrary>,
    weight: usize,
    since: u64,
}

impl Libraries {
    /// Whether there is room for the library of a link. Libraries of absent peers make way.
    pub(crate) fn admit(&mut self, link: LinkId, library: &RemoteLibrary) -> bool {
        let weight = weight(library);
        let others: usize =
            self.held.iter().filter(|(other, _)| **other != link).map(|(_, weight)| weight).sum();
        if others + weight > REMOTE_LIBRARIES_BYTES_MAX {
            return false;
        }
        self.held.insert(link, weight);
        self.shrink();
        true
    }

    /// The library of `peer` from when it was last here.
    pub(crate) fn recall(&self, peer: PeerId) -> Option<Arc<RemoteLibrary>> {
        self.away.get(&peer).map(|away| away.library.clone())
    }

    /// A link is over.
    pub(crate) fn release(&mut self, link: LinkId) {
        self.held.remove(&link);
    }

    /// A peer has gone; its library is kept as long as there is room.
    pub(crate) fn keep(&mut self, peer: PeerId, library: Arc<RemoteLibrary>) {
        self.clock += 1;
        let weight = weight(&library);
        self.away.insert(peer, Away { library, weight, since: self.clock });
        self.shrink();
    }

    /// A peer is here again, with a library of its own.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        self.away.remove(&peer);
    }

    fn shrink(&mut self) {
        let held: usize = self.held.values().sum();
        let mut away: usize = self.away.values().map(|away| away.weight).sum();
        while held + away > REMOTE_LIBRARIES_BYTES_MAX || self.away.len() > AWAY_MAX {
            let oldest = self.away.iter().min_by_key(|(_, away)| away.since);
            let Some(peer) = oldest.map(|(peer, _)| *peer) else {
                return;
            };
            away -= self.away.remove(&peer).map_or(0, |gone| gone.weight);
        }
    }
}

/// Absent peers whose libraries are kept: as many as are looked for.
const AWAY_MAX: usize = crate::peer_connection::limits::KNOWN_PEERS_MAX;

#[cfg(test)]
mod tests {
    use lanspread_wire::{GameId, GameSummary, LibraryState, Title, VersionStamp, library_digest};

    use super::*;

    /// A library that takes about `kilobytes`.
    fn library(kilobytes: usize) -> Arc<RemoteLibrary> {
        let version = VersionStamp::parse("v".repeat(4000).as_bytes()).unwrap();
        let games: BTreeMap<GameId, GameSummary> = (0..kilobytes / 4)
            .map(|number| GameId::parse(&format!("g{number}")).unwrap())
            .map(|game| {
                let (title, version) = (Title::from(&game), version.clone());
                let summary = GameSummary {
                    game: game.clone(),
                    title,
                    version,
                    manifest: None,
                    bytes_total: 1,
                };
                (game, summary)
            })
            .collect();
        let digest = library_digest(games.values());
        Arc::new(RemoteLibrary { state: LibraryState { revision: 1, digest }, games })
    }

    fn peer(number: usize) -> PeerId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_le_bytes());
        PeerId(id)
    }

    /// Proves T35, T37: the libraries of all peers have one bound, and absent ones make way.
    #[test]
    fn present_peers_push_out_absent_ones_and_not_each_other() {
        let mut libraries = Libraries::default();
        let quarter = library(REMOTE_LIBRARIES_BYTES_MAX / 1024 / 4);
        for number in 0..3 {
            libraries.keep(peer(number), quarter.clone());
        }
        assert!(libraries.recall(peer(0)).is_some());
        assert!(libraries.admit(LinkId(1), &quarter));
        assert!(libraries.recall(peer(0)).is_none(), "the longest absent goes");
        assert!(libraries.recall(peer(2)).is_some());
        assert!(libraries.admit(LinkId(2), &quarter));
        assert!(libraries.admit(LinkId(3), &quarter));
        assert!(libraries.recall(peer(2)).is_none());
        assert!(!libraries.admit(LinkId(4), &quarter), "there is no room for a fourth");
        assert!(libraries.admit(LinkId(3), &quarter), "a link replaces its own");
        libraries.release(LinkId(1));
        assert!(libraries.admit(LinkId(4), &quarter));
    }

    #[test]
    fn few_enough_absent_peers_are_kept() {
        let mut libraries = Libraries::default();
        for number in 0..=AWAY_MAX {
            libraries.keep(peer(number), library(0));
        }
        assert!(libraries.recall(peer(0)).is_none());
        assert!(libraries.recall(peer(1)).is_some());
        libraries.forget(peer(1));
        assert!(libraries.recall(peer(1)).is_none());
    }
}
