//! What the connected peers offer of each game: the newest version, and within it the one content
//! that counts. Pure.
//!
//! Only peers that are ready with that content are sources (R1). Two contents of one version are
//! never mixed: the one that more peers hold wins, a tie names both sides, a pin of the catalog
//! always wins (R3).

use std::collections::BTreeMap;

use lanspread_wire::{
    Catalog, CatalogGame, GameId, GameSummary, ManifestId, PeerId, Title, VersionStamp,
};

use super::PeerFacts;

/// What can be fetched of one game.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) title: Title,
    pub(crate) bytes_total: u64,
    /// The newest version that is ready; `None` while every holder still hashes or none fits the
    /// pin.
    pub(crate) version: Option<VersionStamp>,
    /// Who holds the content that would be fetched; both sides in a tie. In the order of their ids.
    pub(crate) sources: Vec<PeerId>,
    /// Why it cannot be fetched at the moment.
    pub(crate) problem: Option<String>,
}

/// The offers of all games.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offers(BTreeMap<GameId, Offer>);

impl Offers {
    /// Digests the libraries of the connected peers.
    pub(crate) fn new(peers: &[PeerFacts], catalog: Option<&Catalog>) -> Self {
        let mut holders: BTreeMap<&GameId, Vec<(PeerId, &GameSummary)>> = BTreeMap::new();
        for peer in peers {
            for (game, summary) in &peer.library.games {
                holders.entry(game).or_default().push((peer.peer, summary));
            }
        }
        let offers = holders.into_iter().filter_map(|(game, mut held)| {
            let pin = catalog.map(|catalog| catalog.games.get(game));
            let pin = match pin {
                Some(None) => return None, // not in the catalog: neither listed nor fetched
                Some(Some(entry)) => Some(entry),
                None => None,
            };
            held.sort_by_key(|(peer, _)| *peer);
            Some((game.clone(), offer(&held, pin)?))
        });
        Self(offers.collect())
    }

    pub(crate) fn get(&self, game: &GameId) -> Option<&Offer> {
        self.0.get(game)
    }

    pub(crate) fn games(&self) -> impl Iterator<Item = &GameId> {
        self.0.keys()
    }
}

fn offer(held: &[(PeerId, &GameSummary)], pin: Option<&CatalogGame>) -> Option<Offer> {
    let (_, first) = held.first()?;
    let fitting = held.iter().filter(|(_, summary)| fits(summary, pin));
    let Some(version) = fitting.clone().map(|(_, summary)| summary.version.clone()).max() else {
        return Some(nothing_ready(first, pin));
    };
    let mut contents: BTreeMap<ManifestId, Vec<(PeerId, &GameSummary)>> = BTreeMap::new();
    for (peer, summary) in fitting.filter(|(_, summary)| summary.version == version) {
        if let Some(manifest) = summary.manifest {
            contents.entry(manifest).or_default().push((*peer, summary));
        }
    }
    let most = contents.values().map(Vec::len).max()?;
    let mut top = contents.values().filter(|holders| holders.len() == most);
    let winner = top.next()?;
    let rivals: Vec<_> = top.collect();
    let mut sources: Vec<PeerId> = winner.iter().map(|(peer, _)| *peer).collect();
    sources.extend(rivals.iter().flat_map(|holders| holders.iter().map(|(peer, _)| *peer)));
    sources.sort();
    let problem = (!rivals.is_empty()).then(|| {
        let shorts: Vec<String> = sources.iter().map(PeerId::short).collect();
        format!("peers disagree about the content of version {version}: {}", shorts.join(", "))
    });
    let (_, summary) = winner.first()?;
    Some(Offer {
        title: summary.title.clone(),
        bytes_total: summary.bytes_total,
        version: Some(version),
        sources,
        problem,
    })
}

/// Ready to be fetched, and what the catalog pins.
fn fits(summary: &GameSummary, pin: Option<&CatalogGame>) -> bool {
    let Some(manifest) = summary.manifest else { return false };
    pin.is_none_or(|pin| {
        pin.manifest.is_none_or(|wanted| wanted == manifest)
            && pin.version.as_ref().is_none_or(|wanted| *wanted == summary.version)
    })
}

fn nothing_ready(first: &GameSummary, pin: Option<&CatalogGame>) -> Offer {
    let is_pinned = pin.is_some_and(|pin| pin.manifest.is_some() || pin.version.is_some());
    let problem = is_pinned.then(|| "no peer holds what the catalog asks for".to_owned());
    Offer {
        title: first.title.clone(),
        bytes_total: first.bytes_total,
        version: None,
        sources: Vec::new(),
        problem: problem.filter(|_| first.manifest.is_some()),
    }
}
