//! Whether a request is served (S). Pure: a request and what is here give a verdict.
//! Only ids and indexes travel in requests, so a peer cannot name a file; this decides on the rest.

use lanspread_wire::{Catalog, Refusal, Request};

use crate::facts::{LocalGame, LocalLibrary};

/// The game to serve the request from, or why it is not served. The range is checked later, by the
/// manifest itself.
pub(crate) fn admit<'a>(
    request: &Request,
    catalog: Option<&Catalog>,
    local: &'a LocalLibrary,
) -> Result<&'a LocalGame, Refusal> {
    let (Request::Manifest { game, manifest } | Request::Chunks { game, manifest, .. }) = request;
    if catalog.is_some_and(|catalog| !catalog.games.contains_key(game)) {
        return Err(Refusal::NotInCatalog);
    }
    let here = local.games.get(game).ok_or(Refusal::UnknownGame)?;
    if here.gate.is_closed() {
        return Err(Refusal::Busy);
    }
    if local.offline.is_some() || !here.is_ready() {
        return Err(Refusal::NotReady);
    }
    if here.manifest != Some(*manifest) {
        return Err(Refusal::OtherContent);
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use lanspread_wire::{ChunkRun, GameId, ManifestId, VersionStamp};

    use super::*;
    use crate::{api::Availability, facts::ServeGate};

    fn id(text: &str) -> GameId {
        GameId::parse(text).unwrap()
    }

    fn here() -> LocalLibrary {
        let game = LocalGame {
            game: id("quake"),
            title: "Quake".to_owned(),
            root: PathBuf::from("/games/quake"),
            version: Some(VersionStamp::parse(b"20240101").unwrap()),
            installed: false,
            availability: Some(Availability::Ready),
            manifest: Some(ManifestId([1; 32])),
            bytes_total: 1,
            hashing: None,
            problem: None,
            gate: ServeGate::default(),
        };
        LocalLibrary {
            games_dir: Some(PathBuf::from("/games")),
            offline: None,
            games: [(id("quake"), game)].into(),
        }
    }

    fn wanted(game: &str, manifest: u8) -> [Request; 2] {
        let (game, manifest) = (id(game), ManifestId([manifest; 32]));
        let runs = vec![ChunkRun { first: 0, count: 1 }];
        [
            Request::Manifest { game: game.clone(), manifest },
            Request::Chunks { game, manifest, runs },
        ]
    }

    #[track_caller]
    fn assert_refused(request: (&str, u8), local: &LocalLibrary, reason: Refusal) {
        for request in wanted(request.0, request.1) {
            assert_eq!(admit(&request, None, local).err(), Some(reason), "{request:?}");
        }
    }

    /// Proves S: what is ready and asked for by its content is served.
    #[test]
    fn a_ready_game_is_served() {
        let local = here();
        for request in wanted("quake", 1) {
            assert_eq!(admit(&request, None, &local).unwrap().game, id("quake"));
        }
    }

    /// Proves S, T49, P11: every other case has its own reason.
    #[test]
    fn everything_else_is_refused_with_its_reason() {
        assert_refused(("doom", 1), &here(), Refusal::UnknownGame);
        assert_refused(("quake", 2), &here(), Refusal::OtherContent);

        let mut local = here();
        local.games.get_mut(&id("quake")).unwrap().availability = Some(Availability::LocalOnly);
        assert_refused(("quake", 1), &local, Refusal::NotReady);

        let mut local = here();
        local.games.get_mut(&id("quake")).unwrap().manifest = None;
        assert_refused(("quake", 1), &local, Refusal::NotReady);

        let mut local = here();
        local.offline = Some("the disk is gone".to_owned());
        assert_refused(("quake", 1), &local, Refusal::NotReady);

        let local = here();
        local.games[&id("quake")].gate.close();
        assert_refused(("quake", 1), &local, Refusal::Busy);
    }

    /// Proves P11: a catalog decides, also about what is here.
    #[test]
    fn a_game_outside_the_catalog_is_refused() {
        let local = here();
        let catalog = Catalog::default();
        for request in wanted("quake", 1) {
            let verdict = admit(&request, Some(&catalog), &local).err();
            assert_eq!(verdict, Some(Refusal::NotInCatalog));
        }
    }
}
