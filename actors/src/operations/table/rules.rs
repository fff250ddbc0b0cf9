//! Who may start what in which state (O2). Every refusal has its code and says what to do; a
//! refused command changes nothing.

use lanspread_wire::{Catalog, GameId};

use super::order::Order;
use crate::{
    api::{ErrorCode, Refused},
    facts::{LocalGame, LocalLibrary},
    game_op::sources::{Decision, Here, NoDecision, Offer, decide},
};

/// What the decision depends on, beside the table itself.
pub struct Facts<'a> {
    /// `None`: the open mode.
    pub catalog: Option<&'a Catalog>,
    pub local: &'a LocalLibrary,
    /// What peers that are ready offer of the game.
    pub offers: &'a [Offer],
    /// Whether any peer announces the game, ready or not.
    pub is_announced: bool,
}

/// Whether `order` may begin for `game`, which no operation works on.
pub fn check(order: &Order, game: &GameId, facts: &Facts<'_>) -> Result<(), Refused> {
    check_known(order, game, facts)?;
    let refuse = |code, text: String| Err(Refused::of_game(code, game, text));
    if facts.local.games_dir.is_none() {
        let text = "no games folder is set: set one with `games-dir DIR`";
        return refuse(ErrorCode::NoGamesDir, text.to_owned());
    }
    if let Some(reason) = &facts.local.offline {
        let text = format!("the games folder cannot be used at the moment: {reason}");
        return refuse(ErrorCode::BadGamesDir, text);
    }
    let here = facts.local.games.get(game);
    match order {
        Order::Download { .. } => check_download(game, here, facts),
        Order::Update => check_update(game, here, facts),
        Order::Install { .. } => check_install(game, here),
        Order::Uninstall => match here {
            Some(here) if here.installed => Ok(()),
            _ => refuse(ErrorCode::NotInstalled, format!("{game} is not installed")),
        },
        Order::Remove => match here {
            Some(_) => Ok(()),
            None => refuse(ErrorCode::NotDownloaded, format!("{game} is not here")),
        },
        Order::Verify => check_verify(game, here),
        Order::Add(_) => match here {
            None => Ok(()),
            Some(here) => {
                let text = format!("{game} is here already, in {}", here.root.display());
                refuse(ErrorCode::AlreadyDownloaded, text)
            }
        },
    }
}

/// Whether the game exists as far as this node knows, and the catalog allows it (P11).
pub fn check_known(order: &Order, game: &GameId, facts: &Facts<'_>) -> Result<(), Refused> {
    match facts.catalog {
        Some(catalog) if catalog.games.contains_key(game) => Ok(()),
        Some(_) => {
            let text = format!("{game} is not in the catalog");
            Err(Refused::of_game(ErrorCode::NotInCatalog, game, text))
        }
        None if facts.local.games.contains_key(game) || facts.is_announced => Ok(()),
        None if matches!(order, Order::Add(_)) => Ok(()),
        None => {
            let text = format!("{game} is neither here nor at any connected peer");
            Err(Refused::of_game(ErrorCode::UnknownGame, game, text))
        }
    }
}

/// What is here of a game, in the terms of the agreement on sources.
pub fn here(game: &LocalGame) -> Option<Here> {
    let version = game.version.clone()?;
    // Not hashed yet is no damage.
    let is_sound = game.is_ready() || game.problem.is_none();
    Some(Here { version, manifest: game.manifest, is_sound })
}

fn check_download(
    game: &GameId,
    local: Option<&LocalGame>,
    facts: &Facts<'_>,
) -> Result<(), Refused> {
    let here = local.and_then(here);
    let already = |text: String| {
        Err(Refused::of_game(ErrorCode::AlreadyDownloaded, game, format!("{game} {text}")))
    };
    match (decide(facts.offers, pin(game, facts), here.as_ref()), here) {
        (Ok(Decision::Fetch(_)), _) => Ok(()),
        (Ok(Decision::UpToDate), Some(here)) => {
            already(format!("{} is downloaded, and no peer has anything newer", here.version))
        }
        (Err(NoDecision::NoSources), Some(here)) if here.is_sound => {
            already(format!("{} is downloaded, and no peer offers it", here.version))
        }
        (Ok(Decision::UpToDate), None) => already("is downloaded".to_owned()),
        (Err(error), _) => Err(refused_by(game, &error)),
    }
}

fn check_update(
    game: &GameId,
    local: Option<&LocalGame>,
    facts: &Facts<'_>,
) -> Result<(), Refused> {
    let Some(local) = local.filter(|local| local.version.is_some() || local.installed) else {
        let text = format!("{game} is not here: there is nothing to update");
        return Err(Refused::of_game(ErrorCode::NotDownloaded, game, text));
    };
    match decide(facts.offers, pin(game, facts), here(local).as_ref()) {
        Ok(Decision::Fetch(_)) => Ok(()),
        Ok(Decision::UpToDate) => {
            let version = local.version.as_ref().map_or("", |version| version.as_str());
            let text = format!("{game} {version} is the newest version that anybody has");
            Err(Refused::of_game(ErrorCode::UpToDate, game, text))
        }
        Err(error) => Err(refused_by(game, &error)),
    }
}

fn check_install(game: &GameId, here: Option<&LocalGame>) -> Result<(), Refused> {
    match here {
        Some(here) if here.version.is_none() && here.installed => {
            let text = format!("{game} is installed already, and its download is gone");
            Err(Refused::of_game(ErrorCode::AlreadyInstalled, game, text))
        }
        Some(here) if here.installed => {
            let text = format!("{game} is installed already: `update` replaces it");
            Err(Refused::of_game(ErrorCode::AlreadyInstalled, game, text))
        }
        Some(here) if here.version.is_some() => Ok(()),
        _ => {
            let text = format!("{game} is not downloaded");
            Err(Refused::of_game(ErrorCode::NotDownloaded, game, text))
        }
    }
}

fn check_verify(game: &GameId, here: Option<&LocalGame>) -> Result<(), Refused> {
    let refuse = |code, text: String| Err(Refused::of_game(code, game, text));
    match here {
        Some(here) if here.version.is_some() => match (here.manifest, &here.problem) {
            (Some(_), _) => Ok(()),
            (None, None) => {
                let text = format!("{game} is being hashed for the first time");
                refuse(ErrorCode::OperationInProgress, text)
            }
            (None, Some(problem)) => refuse(ErrorCode::Damaged, format!("{game}: {problem}")),
        },
        _ => refuse(ErrorCode::NotDownloaded, format!("{game} is not downloaded")),
    }
}

fn pin(game: &GameId, facts: &Facts<'_>) -> Option<lanspread_wire::ManifestId> {
    facts.catalog?.games.get(game)?.manifest
}

/// The refusal that follows from a failed agreement.
pub fn refused_by(game: &GameId, error: &NoDecision) -> Refused {
    let code = match error {
        NoDecision::NoSources | NoDecision::NotPinned { .. } => ErrorCode::NoSources,
        NoDecision::Ambiguous { .. } => ErrorCode::AmbiguousContent,
    };
    Refused::of_game(code, game, format!("{game}: {error}"))
}

#[cfg(test)]
mod tests {
    use lanspread_wire::{CatalogGame, ManifestId, PeerId, Title, VersionStamp};

    use super::*;
    use crate::{
        api::Availability,
        facts::{HashProgress, ServeGate},
    };

    fn game() -> GameId {
        GameId::parse("quake").expect("an id")
    }

    fn stamp(text: &str) -> VersionStamp {
        VersionStamp::parse(text.as_bytes()).expect("a version")
    }

    /// A game that is here in a named state.
    fn local(state: &str) -> LocalGame {
        let mut local = LocalGame {
            game: game(),
            title: "Quake".to_owned(),
            root: "/games/quake".into(),
            version: Some(stamp("20240101")),
            installed: false,
            availability: Some(Availability::Ready),
            manifest: Some(ManifestId([1; 32])),
            bytes_total: 10,
            hashing: None,
            problem: None,
            gate: ServeGate::default(),
        };
        match state {
            "ready" => {}
            "ready, installed" => local.installed = true,
            "installed only" | "empty" => {
                local.installed = state == "installed only";
                local.version = None;
                local.manifest = None;
                local.availability = None;
            }
            "hashing" => {
                local.manifest = None;
                local.availability = Some(Availability::LocalOnly);
                local.hashing = Some(HashProgress { bytes_done: 0, bytes_total: 10 });
            }
            "damaged" => {
                local.availability = Some(Availability::LocalOnly);
                local.problem = Some("a file is missing".to_owned());
            }
            "unreadable" => {
                local.manifest = None;
                local.availability = Some(Availability::LocalOnly);
                local.problem = Some("permission denied".to_owned());
            }
            other => panic!("{other}"),
        }
        local
    }

    /// Offers of peers as `version/content`, separated by blanks.
    fn offers(text: &str) -> Vec<Offer> {
        (1u8..)
            .zip(text.split_whitespace())
            .map(|(number, offer)| {
                let (version, content) = offer.split_once('/').expect("version/content");
                Offer {
                    peer: PeerId([number; 32]),
                    version: stamp(version),
                    manifest: ManifestId([content.parse().expect("a number"); 32]),
                }
            })
            .collect()
    }

    fn verdict(order: &Order, here: &str, remote: &str) -> Option<ErrorCode> {
        let mut library =
            LocalLibrary { games_dir: Some("/games".into()), ..LocalLibrary::default() };
        if here != "nothing" {
            library.games.insert(game(), local(here));
        }
        let offers = offers(remote);
        let facts = Facts {
            catalog: None,
            local: &library,
            offers: &offers,
            is_announced: !offers.is_empty(),
        };
        check(order, &game(), &facts).err().map(|refused| refused.code)
    }

    const DOWNLOAD: Order = Order::Download { install: true };
    const INSTALL: Order = Order::Install { over: false };

    /// Proves O2: every state and every command, with its answer.
    #[test]
    fn every_command_in_every_state() {
        use ErrorCode::*;
        let same = "20240101/1";
        let newer = "20250101/2";
        let older = "20230101/3";
        let add = Order::Add(super::super::order::AddOrder {
            path: "/x".into(),
            title: None,
            version: None,
            move_files: false,
        });
        let table: &[(&Order, &str, &str, Option<ErrorCode>)] = &[
            (&DOWNLOAD, "nothing", "", Some(UnknownGame)),
            (&DOWNLOAD, "nothing", same, None),
            (&DOWNLOAD, "empty", same, None),
            (&DOWNLOAD, "empty", "", Some(NoSources)),
            (&DOWNLOAD, "nothing", "20250101/1 20250101/2", Some(AmbiguousContent)),
            (&DOWNLOAD, "ready", same, Some(AlreadyDownloaded)),
            (&DOWNLOAD, "ready", "", Some(AlreadyDownloaded)),
            (&DOWNLOAD, "ready", older, Some(AlreadyDownloaded)),
            (&DOWNLOAD, "ready", newer, None),
            (&DOWNLOAD, "ready, installed", newer, None),
            (&DOWNLOAD, "hashing", same, Some(AlreadyDownloaded)),
            (&DOWNLOAD, "damaged", same, None),
            (&DOWNLOAD, "damaged", "", Some(NoSources)),
            (&DOWNLOAD, "unreadable", same, None),
            (&DOWNLOAD, "installed only", same, None),
            (&Order::Update, "nothing", "", Some(UnknownGame)),
            (&Order::Update, "nothing", newer, Some(NotDownloaded)),
            (&Order::Update, "empty", newer, Some(NotDownloaded)),
            (&Order::Update, "ready, installed", newer, None),
            (&Order::Update, "ready", newer, None),
            (&Order::Update, "installed only", same, None),
            (&Order::Update, "ready, installed", same, Some(UpToDate)),
            (&Order::Update, "ready, installed", older, Some(UpToDate)),
            (&Order::Update, "ready, installed", "", Some(NoSources)),
            (&Order::Update, "ready", "20250101/1 20250101/2", Some(AmbiguousContent)),
            (&INSTALL, "nothing", "", Some(UnknownGame)),
            (&INSTALL, "nothing", same, Some(NotDownloaded)),
            (&INSTALL, "empty", same, Some(NotDownloaded)),
            (&INSTALL, "ready", "", None),
            (&INSTALL, "hashing", "", None),
            (&INSTALL, "ready, installed", "", Some(AlreadyInstalled)),
            (&INSTALL, "installed only", "", Some(AlreadyInstalled)),
            (&Order::Uninstall, "nothing", same, Some(NotInstalled)),
            (&Order::Uninstall, "ready", "", Some(NotInstalled)),
            (&Order::Uninstall, "ready, installed", "", None),
            (&Order::Uninstall, "installed only", "", None),
            (&Order::Remove, "nothing", "", Some(UnknownGame)),
            (&Order::Remove, "nothing", same, Some(NotDownloaded)),
            (&Order::Remove, "ready", "", None),
            (&Order::Remove, "empty", "", None),
            (&Order::Verify, "nothing", same, Some(NotDownloaded)),
            (&Order::Verify, "installed only", "", Some(NotDownloaded)),
            (&Order::Verify, "ready", "", None),
            (&Order::Verify, "damaged", "", None),
            (&Order::Verify, "hashing", "", Some(OperationInProgress)),
            (&Order::Verify, "unreadable", "", Some(Damaged)),
            (&add, "nothing", "", None),
            (&add, "nothing", same, None),
            (&add, "ready", "", Some(AlreadyDownloaded)),
        ];
        for (order, here, remote, expected) in table {
            let got = verdict(order, here, remote);
            assert_eq!(got, *expected, "{order:?} when {here:?} is here and {remote:?} there");
        }
    }

    /// Proves P11, R3.
    #[test]
    fn a_catalog_restricts_and_pins() {
        let mut catalog = Catalog::default();
        let library = LocalLibrary { games_dir: Some("/games".into()), ..LocalLibrary::default() };
        let offers = offers("20240101/1 20250101/2");
        let ask = |catalog: &Catalog| {
            let facts = Facts {
                catalog: Some(catalog),
                local: &library,
                offers: &offers,
                is_announced: true,
            };
            check(&DOWNLOAD, &game(), &facts).err().map(|refused| refused.code)
        };
        assert_eq!(ask(&catalog), Some(ErrorCode::NotInCatalog));
        let mut entry = CatalogGame::titled(Title::parse("Quake").expect("a title"));
        entry.manifest = Some(ManifestId([1; 32]));
        catalog.games.insert(game(), entry.clone());
        assert_eq!(ask(&catalog), None);
        entry.manifest = Some(ManifestId([7; 32]));
        catalog.games.insert(game(), entry);
        assert_eq!(ask(&catalog), Some(ErrorCode::NoSources));
    }

    #[test]
    fn nothing_runs_without_a_usable_folder() {
        let offers = offers("20240101/1");
        let ask = |library: &LocalLibrary| {
            let facts =
                Facts { catalog: None, local: library, offers: &offers, is_announced: true };
            check(&DOWNLOAD, &game(), &facts).err().map(|refused| refused.code)
        };
        let mut library = LocalLibrary::default();
        assert_eq!(ask(&library), Some(ErrorCode::NoGamesDir));
        library.games_dir = Some("/games".into());
        assert_eq!(ask(&library), None);
        library.offline = Some("it is gone".to_owned());
        assert_eq!(ask(&library), Some(ErrorCode::BadGamesDir));
    }
}
