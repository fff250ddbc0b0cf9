//! Why an operation did not do what it was asked for, in the codes and words that scripts and
//! people get. Every error of a part is turned into one here, once.

use lanspread_fs_txn::{FsError, RecoveryFailure, SpaceError, TxnError};
use lanspread_wire::GameId;

use super::{engine::EngineError, sources::NoDecision, writer::ShelfError};
use crate::{
    api::{ErrorCode, Refused},
    disk::DiskError,
    manifests::StoreError,
    operations::table::{
        ending::{Outcome, StopReason},
        rules::refused_by,
    },
    unpack::UnpackError,
};

/// The end of an operation that did not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was told to stop and did.
    Stopped(StopReason),
    /// It could not go on.
    Failed { code: ErrorCode, message: String },
    /// A worker panicked in the middle of something: the actor dies of it, so that the root is
    /// recovered before anything else happens to it.
    Died(String),
}

impl Failure {
    /// A failure with its own words.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Failed { code, message: message.into() }
    }

    /// A failure of the file system, which names its path but not the game.
    pub fn of_fs(game: &GameId, error: &FsError) -> Self {
        Self::new(code_of(error.code()), format!("{game}: {error}"))
    }

    /// Too little space, in numbers.
    pub fn of_space(game: &GameId, error: &SpaceError) -> Self {
        let code = match error {
            SpaceError::Fs(error) => code_of(error.code()),
            SpaceError::Short { .. } | SpaceError::Overflow => ErrorCode::DiskFull,
        };
        Self::new(code, format!("{game}: {error}"))
    }

    /// The peers do not agree, or there are none.
    pub fn of_sources(game: &GameId, error: &NoDecision) -> Self {
        let Refused { code, message, .. } = refused_by(game, error);
        Self::Failed { code, message }
    }

    /// What the table is told; an error is the death of the actor.
    pub fn into_outcome(self) -> Result<Outcome, String> {
        match self {
            Self::Stopped(reason) => Ok(reason.outcome()),
            Self::Failed { code, message } => Ok(Outcome::Failed { code, message }),
            Self::Died(text) => Err(text),
        }
    }

    /// The archives of a game could not be unpacked.
    pub fn of_unpack(game: &GameId, error: &UnpackError, stop: Option<StopReason>) -> Self {
        match (error, stop) {
            (UnpackError::Cancelled, Some(reason)) => Self::Stopped(reason),
            _ => Self::new(code_of(error.code()), format!("{game}: {error}")),
        }
    }
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Self {
        match error {
            DiskError::Panicked { .. } => Self::Died(error.to_string()),
            _ => Self::new(error.code(), error.to_string()),
        }
    }
}

impl From<TxnError> for Failure {
    fn from(error: TxnError) -> Self {
        let mut message = error.to_string();
        if let Some(after) = &error.after
            && !after.is_usable()
        {
            message.push_str("; the game needs attention: what was begun could not be undone");
        }
        Self::new(code_of(error.code()), message)
    }
}

impl From<RecoveryFailure> for Failure {
    fn from(error: RecoveryFailure) -> Self {
        Self::new(code_of(error.code()), error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Io { source, .. } => code_of(source.code()),
            StoreError::Bad { .. } => ErrorCode::BadContent,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ShelfError> for Failure {
    fn from(error: ShelfError) -> Self {
        Self::Failed { code: error.code, message: error.message }
    }
}

impl From<TxnError> for ShelfError {
    fn from(error: TxnError) -> Self {
        Self { code: code_of(error.code()), message: error.to_string() }
    }
}

impl From<DiskError> for ShelfError {
    fn from(error: DiskError) -> Self {
        Self { code: error.code(), message: error.to_string() }
    }
}

impl Failure {
    /// The transfer ended.
    pub fn of_engine(game: &GameId, error: EngineError) -> Self {
        match error {
            EngineError::Shelf(error) => error.into(),
            EngineError::AllRejected { .. } => {
                Self::new(ErrorCode::BadContent, format!("{game}: {error}"))
            }
        }
    }
}

/// The code for scripts of a code of the file system crate or of an archive.
pub fn code_of(code: &str) -> ErrorCode {
    match code {
        "disk-full" => ErrorCode::DiskFull,
        "not-downloaded" => ErrorCode::NotDownloaded,
        "not-installed" => ErrorCode::NotInstalled,
        "unpack-failed" => ErrorCode::UnpackFailed,
        "bad-name" => ErrorCode::BadContent,
        "incomplete" => ErrorCode::Damaged,
        "cancelled" => ErrorCode::Cancelled,
        "fenced" | "internal" => ErrorCode::Internal,
        // What the system says stands in the message, with its own code.
        _ => ErrorCode::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_disk_become_codes_for_scripts() {
        assert_eq!(code_of("disk-full"), ErrorCode::DiskFull);
        for of_the_system in ["io", "permission", "read-only", "busy", "too-many-files", "new"] {
            assert_eq!(code_of(of_the_system), ErrorCode::Io);
        }
    }

    /// Proves O6: what stopped on request is no failure.
    #[test]
    fn a_stop_is_no_failure() {
        let outcome = Failure::Stopped(StopReason::Cancel).into_outcome();
        assert_eq!(outcome, Ok(Outcome::Cancelled));
        let game = GameId::parse("quake").expect("an id");
        let cancelled = Failure::of_unpack(&game, &UnpackError::Cancelled, Some(StopReason::Park));
        assert_eq!(cancelled.into_outcome(), Ok(Outcome::Parked));
    }

    /// Proves O5: a panic in a worker is a death, so that recovery comes before anything else.
    #[test]
    fn a_panic_in_a_worker_is_a_death() {
        let panicked = DiskError::Panicked { step: "commit", text: "a bug".to_owned() };
        assert!(Failure::from(panicked).into_outcome().is_err());
        assert!(Failure::from(DiskError::Gone).into_outcome().is_ok());
    }

    /// Proves T45, T58: a full disk is told in numbers.
    #[test]
    fn a_full_disk_is_told_in_numbers() {
        let game = GameId::parse("quake").expect("an id");
        let failure = Failure::of_space(&game, &SpaceError::Short { needed: 80, free: 12 });
        let Failure::Failed { code, message } = failure else { panic!("{failure:?}") };
        assert_eq!(code, ErrorCode::DiskFull);
        assert!(message.contains("quake") && message.contains("80") && message.contains("12"));
    }
}
