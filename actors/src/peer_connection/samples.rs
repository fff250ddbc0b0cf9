//! Libraries, greetings and ids for the tests of sessions.

use std::{collections::BTreeMap, time::Duration};

use lanspread_wire::{
    DisplayName, GameId, GameSummary, Hello, LibraryState, ManifestId, PROTOCOL_VERSION, PeerId,
    Title, VersionStamp, library_digest,
};

use super::session::{Opening, Role, Session};
use crate::facts::{Announced, RemoteLibrary};

pub(crate) fn peer(number: u8) -> PeerId {
    PeerId([number; 32])
}

pub(crate) fn game(id: &str) -> GameId {
    GameId::parse(id).unwrap()
}

/// A game whose every field follows from its id and version.
pub(crate) fn summary(id: &str, version: u32) -> GameSummary {
    let game = game(id);
    let title = Title::from(&game);
    let version_text = format!("{}", 20_240_000 + version);
    GameSummary {
        game,
        title,
        version: VersionStamp::parse(version_text.as_bytes()).unwrap(),
        manifest: Some(ManifestId([version as u8; 32])),
        bytes_total: u64::from(version),
    }
}

pub(crate) fn games(list: &[(&str, u32)]) -> BTreeMap<GameId, GameSummary> {
    list.iter().map(|(id, version)| (game(id), summary(id, *version))).collect()
}

/// Our library.
pub(crate) fn announced(revision: u64, list: &[(&str, u32)]) -> Announced {
    Announced::new(revision, games(list))
}

/// The same as a peer holds it.
pub(crate) fn remote(revision: u64, list: &[(&str, u32)]) -> RemoteLibrary {
    let games = games(list);
    let digest = library_digest(games.values());
    RemoteLibrary { state: LibraryState { revision, digest }, games }
}

/// Node `number` in a session with node `other`.
pub(crate) fn opening(role: Role, number: u8, other: u8, announced: Announced) -> Opening {
    Opening {
        role,
        me: peer(number),
        peer: peer(other),
        name: DisplayName::parse(&format!("node {number}")).unwrap(),
        addresses: vec![([10, 0, 0, number], 4000).into()],
        announced,
        known: None,
    }
}

pub(crate) fn session(role: Role, number: u8, other: u8, announced: Announced) -> Session {
    Session::new(Duration::ZERO, opening(role, number, other, announced))
}

/// What node `number` greets with.
pub(crate) fn hello(number: u8, library: &RemoteLibrary) -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        peer: peer(number),
        name: DisplayName::parse(&format!("node {number}")).unwrap(),
        addresses: vec![([10, 0, 0, number], 4000).into()],
        library: library.state,
        known: None,
    }
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
