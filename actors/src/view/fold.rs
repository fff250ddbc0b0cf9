//! The fold of what the owners publish into the snapshot that user interfaces see. Pure: time is
//! already turned into seconds by the caller.
//!
//! It merges what is here with what the others hold, game by game, under the effective catalog
//! (P11). It must never derive a state from events: only from the facts published last (O1).

mod offers;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use lanspread_wire::{Catalog, CatalogGame, GameId, PeerId, Title};

pub(crate) use self::offers::{Offer, Offers};
use crate::{
    api::{ActorHealth, GameView, NodeInfo, OperationView, PeerView, Snapshot, Status},
    facts::{LocalGame, LocalLibrary, OperationTable, RemoteLibrary},
};

/// What the fold needs to know of one connected peer.
#[derive(Clone, Debug)]
pub(crate) struct PeerFacts {
    pub(crate) peer: PeerId,
    pub(crate) name: String,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) connected_s: u64,
    pub(crate) rtt_ms: u64,
    pub(crate) library: Arc<RemoteLibrary>,
}

/// The latest fact of every owner.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) node: NodeInfo,
    pub(crate) local: Arc<LocalLibrary>,
    pub(crate) peers: Vec<PeerFacts>,
    pub(crate) operations: Arc<OperationTable>,
    pub(crate) catalog: Arc<Option<Catalog>>,
    pub(crate) health: BTreeMap<&'static str, Vec<ActorHealth>>,
    pub(crate) counters: BTreeMap<&'static str, u64>,
    pub(crate) problems: BTreeMap<&'static str, String>,
}

/// The snapshot of these facts. `offers` is the digest of what the peers hold, kept by the caller
/// because it changes far less often than the rest.
pub(crate) fn fold(facts: &Facts, offers: &Offers) -> Snapshot {
    let operations = facts.operations.views();
    let by_game: BTreeMap<&GameId, &OperationView> =
        operations.iter().map(|operation| (&operation.game, operation)).collect();
    let games = listed(facts, offers)
        .into_iter()
        .map(|game| game_view(facts, offers, game, by_game.get(game).copied()))
        .collect();
    Snapshot {
        status: status(facts, &operations),
        games,
        peers: facts.peers.iter().map(peer_view).collect(),
        operations,
    }
}

/// The games of the effective catalog (P11), in the order of their ids.
fn listed<'a>(facts: &'a Facts, offers: &'a Offers) -> BTreeSet<&'a GameId> {
    match facts.catalog.as_ref() {
        Some(catalog) => catalog.games.keys().collect(),
        None => facts.local.games.keys().chain(offers.games()).collect(),
    }
}

fn game_view(
    facts: &Facts,
    offers: &Offers,
    game: &GameId,
    operation: Option<&OperationView>,
) -> GameView {
    let entry = facts.catalog.as_ref().as_ref().and_then(|catalog| catalog.games.get(game));
    let local = facts.local.games.get(game);
    let offer = offers.get(game);
    let version = local.and_then(|local| local.version.clone());
    let offered = offer.and_then(|offer| offer.version.clone());
    let is_newest_offered = offered.is_some() && offered >= version;
    let sources = match offer {
        Some(offer) if is_newest_offered => offer.sources.clone(),
        _ => Vec::new(),
    };
    GameView {
        id: game.clone(),
        title: title(game, entry, local, offer),
        newest: offered.max(version.clone()),
        version,
        manifest: local.and_then(|local| local.manifest),
        size_bytes: size(local, offer),
        downloaded: local.is_some_and(|local| local.version.is_some()),
        installed: local.is_some_and(|local| local.installed),
        availability: local.and_then(|local| local.availability),
        peers: sources.len(),
        sources,
        operation: operation.cloned(),
        problem: local
            .and_then(|local| local.problem.clone())
            .or_else(|| offer.and_then(|offer| offer.problem.clone())),
        genre: entry.and_then(|entry| entry.genre.clone()),
        players: entry.and_then(|entry| entry.players.clone()),
        description: entry.and_then(|entry| entry.description.clone()),
    }
}

fn title(
    game: &GameId,
    entry: Option<&CatalogGame>,
    local: Option<&LocalGame>,
    offer: Option<&Offer>,
) -> String {
    let known = entry
        .map(|entry| entry.title.to_string())
        // A root without a catalog is called by its id: the title of a peer says more.
        .or_else(|| local.map(|local| local.title.clone()).filter(|title| title != game.as_str()))
        .or_else(|| offer.map(|offer| offer.title.to_string()));
    known.unwrap_or_else(|| Title::from(game).to_string())
}

fn size(local: Option<&LocalGame>, offer: Option<&Offer>) -> u64 {
    local.map_or_else(|| offer.map_or(0, |offer| offer.bytes_total), |local| local.bytes_total)
}

fn peer_view(peer: &PeerFacts) -> PeerView {
    PeerView {
        peer_id: peer.peer,
        name: peer.name.clone(),
        addresses: peer.addresses.clone(),
        games: peer.library.games.keys().cloned().collect(),
        connected_s: peer.connected_s,
        rtt_ms: peer.rtt_ms,
    }
}

fn status(facts: &Facts, operations: &[OperationView]) -> Status {
    let local = &facts.local.games;
    let hashing = local.iter().filter_map(|(game, local)| {
        local.hashing.map(|progress| (game.clone(), (progress.bytes_done, progress.bytes_total)))
    });
    let uploads = local
        .iter()
        .map(|(game, local)| (game.clone(), local.gate.inside()))
        .filter(|(_, inside)| *inside > 0);
    let mut node = facts.node.clone();
    node.games_dir = facts.local.games_dir.clone().or(node.games_dir);
    Status {
        node,
        peers_connected: facts.peers.len(),
        games_here: local.len(),
        hashing: hashing.collect(),
        uploads: uploads.collect(),
        operations: operations.to_vec(),
        actors: facts.health.values().flatten().cloned().collect(),
        counters: facts.counters.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
        problems: facts.problems.values().cloned().chain(facts.local.offline.clone()).collect(),
    }
}

#[cfg(test)]
mod tests;
