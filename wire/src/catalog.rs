//! The catalog: the file that lists the games of a party. Owns its format and its rules; never
//! reads a file itself.
//!
//! It is a TOML file with one table for each game, named by the game's id. An id with a dot is
//! put in quotation marks, as TOML wants it. Only the title is required; keys that are not listed
//! here are refused, because a mistyped one would be ignored in silence otherwise.
//!
//! ```
//! let catalog = lanspread_wire::Catalog::parse(r#"
//! [games.quake3]
//! title = "Quake III Arena"
//! version = "20240131"     # the version to play at this party
//! manifest = "6b6f9e0d5f3a4c1b8e7d2a90c4f1e3b5d7089a6c2e4f8b1d3c5a7e9f0b2d4c6e"  # pinned content
//! genre = "Shooter"
//! players = "2-16"
//! description = "Fast and old."
//! cover = "covers/quake3.jpg"   # relative to this file
//!
//! [games."openra-2.0"]
//! title = "OpenRA"
//! "#)?;
//! assert_eq!(catalog.games.len(), 2);
//! assert_eq!(lanspread_wire::Catalog::parse(&catalog.to_toml())?, catalog);
//! # Ok::<(), lanspread_wire::BadCatalog>(())
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use crate::{
    ids::{GameId, ManifestId},
    limits::{
        CATALOG_BYTES_MAX, CATALOG_DESCRIPTION_CHARS_MAX, CATALOG_FIELD_CHARS_MAX,
        CATALOG_GAMES_MAX,
    },
    names::is_unprintable,
    path::RelPath,
    text::{Title, check_text},
    version::VersionStamp,
};

/// The games of a party.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// The games by id.
    #[serde(default)]
    pub games: BTreeMap<GameId, CatalogGame>,
}

/// What the catalog says of one game.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogGame {
    /// What it is called.
    pub title: Title,
    /// The version to play.
    pub version: Option<VersionStamp>,
    /// The pinned content: no other is ever downloaded.
    pub manifest: Option<ManifestId>,
    /// One line.
    pub genre: Option<String>,
    /// How many can play, in one line.
    pub players: Option<String>,
    /// A few paragraphs.
    pub description: Option<String>,
    /// The path of a picture, relative to the catalog file.
    pub cover: Option<String>,
}

/// Why a catalog is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadCatalog {
    /// The file is too large to be one.
    #[error("a catalog of {bytes} bytes, allowed are {CATALOG_BYTES_MAX}")]
    Bytes {
        /// How many bytes it has.
        bytes: usize,
    },
    /// Not TOML, an unknown key, or a value that its type refuses.
    #[error("catalog line {line}: {message}")]
    Line {
        /// Counts from one; zero if it is about the whole file.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A field against its rule.
    #[error("catalog game {game}, {field}: {message}")]
    Field {
        /// Which game.
        game: GameId,
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// More games than can be announced.
    #[error("a catalog of {count} games, allowed are {CATALOG_GAMES_MAX}")]
    Games {
        /// How many games it lists.
        count: usize,
    },
}

impl Catalog {
    /// Parses the text of a catalog file.
    pub fn parse(text: &str) -> Result<Catalog, BadCatalog> {
        if text.len() > CATALOG_BYTES_MAX {
            return Err(BadCatalog::Bytes { bytes: text.len() });
        }
        let catalog: Catalog =
            toml::from_str(text).map_err(|error| BadCatalog::from_toml(text, &error))?;
        if catalog.games.len() > CATALOG_GAMES_MAX {
            return Err(BadCatalog::Games { count: catalog.games.len() });
        }
        for (id, game) in &catalog.games {
            game.check(id)?;
        }
        Ok(catalog)
    }

    /// The catalog as the text of a file.
    pub fn to_toml(&self) -> String {
        let games = self.games.iter().map(|(id, game)| (id.to_string(), game.to_table()));
        let games: toml::Table = games.collect();
        toml::Table::from_iter([("games".to_owned(), toml::Value::Table(games))]).to_string()
    }
}

impl CatalogGame {
    /// A game of which only the title is known.
    pub fn titled(title: Title) -> CatalogGame {
        CatalogGame {
            title,
            version: None,
            manifest: None,
            genre: None,
            players: None,
            description: None,
            cover: None,
        }
    }

    fn check(&self, id: &GameId) -> Result<(), BadCatalog> {
        let bad = |field, message| BadCatalog::Field { game: id.clone(), field, message };
        for (field, value) in [("genre", &self.genre), ("players", &self.players)] {
            if let Some(text) = value {
                check_text(field, text, CATALOG_FIELD_CHARS_MAX)
                    .map_err(|error| bad(field, error.to_string()))?;
            }
        }
        if let Some(text) = &self.description {
            check_description(text).map_err(|message| bad("description", message))?;
        }
        if let Some(path) = &self.cover {
            RelPath::parse(path).map_err(|error| bad("cover", error.to_string()))?;
        }
        Ok(())
    }

    fn to_table(&self) -> toml::Value {
        let fields = [
            ("title", Some(self.title.to_string())),
            ("version", self.version.as_ref().map(ToString::to_string)),
            ("manifest", self.manifest.as_ref().map(ToString::to_string)),
            ("genre", self.genre.clone()),
            ("players", self.players.clone()),
            ("description", self.description.clone()),
            ("cover", self.cover.clone()),
        ];
        let present = fields
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), toml::Value::String(value?))));
        toml::Value::Table(present.collect())
    }
}

impl BadCatalog {
    fn from_toml(text: &str, error: &toml::de::Error) -> BadCatalog {
        let line = match error.span() {
            Some(span) => 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count(),
            None => 0,
        };
        // The message can quote the file, which may come from anybody.
        let message =
            error.message().chars().map(|c| if is_unprintable(c) { '\u{fffd}' } else { c });
        BadCatalog::Line { line, message: message.collect() }
    }
}

fn check_description(text: &str) -> Result<(), String> {
    if text.chars().nth(CATALOG_DESCRIPTION_CHARS_MAX).is_some() {
        return Err(format!("more than {CATALOG_DESCRIPTION_CHARS_MAX} characters"));
    }
    let bad = text.chars().find(|c| is_unprintable(*c) && !matches!(c, '\n' | '\t'));
    match bad {
        Some(character) => Err(format!("the character {character:?}")),
        None => Ok(()),
    }
}
