//! What an operation was asked to do, in a form that survives a restart of whoever does it.

use std::path::PathBuf;

use lanspread_wire::{GameId, printable};

use crate::api::{Command, ErrorCode, OperationKind, Refused};

/// The work of one operation, or what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Fetch the newest version and, if asked, install it (O9).
    Download { install: bool },
    /// Fetch the newest version and install it over the present one.
    Update,
    /// Install what is downloaded; `over` an older install that it replaces.
    Install { over: bool },
    /// Remove `local/`.
    Uninstall,
    /// Remove the game root.
    Remove,
    /// Hash again what is here.
    Verify,
    /// Make a game root of a folder.
    Add(AddOrder),
}

/// What `lanspread add` was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddOrder {
    pub path: PathBuf,
    pub title: Option<String>,
    pub version: Option<String>,
    pub move_files: bool,
}

/// A command that is the business of the operation table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Begin { game: GameId, order: Order },
    Cancel { game: GameId },
}

impl Order {
    /// How the operation appears in the table while it does this.
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Download { .. } => OperationKind::Downloading,
            Self::Update | Self::Install { over: true } => OperationKind::Updating,
            Self::Install { over: false } => OperationKind::Installing,
            Self::Uninstall => OperationKind::Uninstalling,
            Self::Remove => OperationKind::Removing,
            Self::Verify => OperationKind::Verifying,
            Self::Add(_) => OperationKind::Adding,
        }
    }

    /// Whether it may be begun again after its actor died. A folder that was half moved must
    /// not be.
    pub(super) fn is_repeatable(&self) -> bool {
        !matches!(self, Self::Add(_))
    }
}

impl Request {
    /// Reads a command. Others than those of operations are a bug of the caller and refused as
    /// such.
    pub fn parse(command: Command) -> Result<Self, Refused> {
        let (game, order) = match command {
            Command::Download { game, install } => (game, Order::Download { install }),
            Command::Install { game } => (game, Order::Install { over: false }),
            Command::Update { game } => (game, Order::Update),
            Command::Uninstall { game } => (game, Order::Uninstall),
            Command::Remove { game } => (game, Order::Remove),
            Command::Verify { game } => (game, Order::Verify),
            Command::Cancel { game } => return Ok(Self::Cancel { game: parse_game(&game)? }),
            Command::Add { path, id, title, version, move_files } => {
                let add = AddOrder { path, title, version, move_files };
                let game = GameId::parse(&id).map_err(|error| {
                    Refused::new(ErrorCode::BadCommand, format!("not a game id: {error}"))
                })?;
                return Ok(Self::Begin { game, order: Order::Add(add) });
            }
            other => {
                let text = format!("{other:?} is no operation on a game");
                return Err(Refused::new(ErrorCode::BadCommand, text));
            }
        };
        Ok(Self::Begin { game: parse_game(&game)?, order })
    }
}

fn parse_game(text: &str) -> Result<GameId, Refused> {
    GameId::parse(text).map_err(|_| {
        let text = format!("there is no game called \"{}\"", printable(text));
        Refused::new(ErrorCode::UnknownGame, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves O2: a bad name is refused by name.
    #[test]
    fn a_bad_game_id_is_an_unknown_game() {
        for text in ["", "../etc", "CON", "a/b", "Upper", "x\u{202e}y"] {
            let command = Command::Install { game: text.to_owned() };
            let refused = Request::parse(command).expect_err("a bad id");
            assert_eq!(refused.code, ErrorCode::UnknownGame);
            assert!(!refused.message.contains('\u{202e}'), "shown escaped");
        }
    }

    #[test]
    fn commands_of_others_are_refused() {
        let refused = Request::parse(Command::ListPeers {}).expect_err("no operation");
        assert_eq!(refused.code, ErrorCode::BadCommand);
    }
}
