//! What an operation may end with: one error that names game, step and cause.

use thiserror::Error;

use super::step::Step;
use crate::lease::Fenced;
use crate::recover::{Outcome, RecoveryFailure};
use crate::space::SpaceError;
use crate::vfs::FsError;

/// A failed operation. The game is as before it, or as `after` tells.
#[derive(Debug, Error)]
#[error("{game}: {step}: {source}")]
pub struct TxnError {
    /// The game.
    pub game: String,
    /// The step that failed.
    pub step: Step,
    /// Why.
    pub source: TxnFailure,
    /// What the recovery that ran right after the failure came to; `None` where none was needed
    /// or the lease was lost.
    pub after: Option<Box<Outcome>>,
}

impl TxnError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.source.code()
    }
}

/// Why an operation failed.
#[derive(Debug, Error)]
pub enum TxnFailure {
    /// The file system refused.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// Not enough space, or sizes beyond any disk.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// The lease of this worker was taken away.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// An earlier operation left something that only a person can decide.
    #[error("an earlier operation is not finished: {0}")]
    Unrecovered(Box<RecoveryFailure>),
    /// Something that is not ours stands where the operation must write.
    #[error("{reason}")]
    Blocked {
        /// What stands where.
        reason: String,
    },
    /// The game is not downloaded.
    #[error("the game is not downloaded")]
    NotDownloaded,
    /// The game is not installed.
    #[error("the game is not installed")]
    NotInstalled,
    /// A path that cannot be written below a game root.
    #[error("not a payload path: {0:?}")]
    BadPath(String),
    /// A part lies outside its file, or a file number outside the plan.
    #[error("outside of what was planned: {0}")]
    OutOfRange(String),
    /// A file of the download is not there in full.
    #[error("{path} is not complete")]
    Incomplete {
        /// Its path below the root.
        path: String,
    },
    /// A record could not be written as text.
    #[error("cannot write a record: {0}")]
    Record(#[from] serde_json::Error),
    /// The user's files in `local/` change faster than they can be carried over.
    #[error("local changes while it is being updated: close the game")]
    LocalInUse,
    /// The source of an adoption is no game.
    #[error("{0}")]
    NoGame(String),
}

impl TxnFailure {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fs(error) => error.code(),
            Self::Space(SpaceError::Fs(error)) => error.code(),
            Self::Space(_) => "disk-full",
            Self::Fenced(_) => "fenced",
            Self::Unrecovered(_) => "needs-attention",
            Self::Blocked { .. } => "blocked",
            Self::NotDownloaded => "not-downloaded",
            Self::NotInstalled => "not-installed",
            Self::BadPath(_) => "bad-name",
            Self::OutOfRange(_) => "out-of-range",
            Self::Incomplete { .. } => "incomplete",
            Self::Record(_) => "internal",
            Self::LocalInUse => "busy",
            Self::NoGame(_) => "no-game",
        }
    }
}
