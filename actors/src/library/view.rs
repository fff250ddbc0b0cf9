//! A local game in the form user interfaces receive. Pure, and shared with `View`, which adds what
//! the peers hold.

use lanspread_wire::CatalogGame;

use crate::{api::GameView, facts::LocalGame};

/// What is told of a game that is here, as if there were no peers.
pub fn local_game_view(local: &LocalGame, listed: Option<&CatalogGame>) -> GameView {
    GameView {
        id: local.game.clone(),
        title: local.title.clone(),
        version: local.version.clone(),
        newest: local.version.clone(),
        manifest: local.manifest,
        size_bytes: local.bytes_total,
        downloaded: local.version.is_some(),
        installed: local.installed,
        availability: local.availability,
        peers: 0,
        sources: Vec::new(),
        operation: None,
        problem: local.problem.clone(),
        genre: listed.and_then(|listed| listed.genre.clone()),
        players: listed.and_then(|listed| listed.players.clone()),
        description: listed.and_then(|listed| listed.description.clone()),
    }
}
