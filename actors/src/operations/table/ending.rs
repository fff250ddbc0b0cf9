//! How operations end, and the one terminal event that follows from it.

use lanspread_wire::{GameId, VersionStamp};

use crate::api::{ErrorCode, Event, OperationKind};

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was asked to; the version that is here now, or was here before a removal.
    Finished { version: Option<VersionStamp> },
    /// It did not; what was here before is here.
    Failed { code: ErrorCode, message: String },
    /// The user stopped it (O6).
    Cancelled,
    /// The node shuts down; a download goes on from here when it is asked for again.
    Parked,
}

/// Why an operation is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The user asked for it.
    Cancel,
    /// The node shuts down.
    Park,
}

impl StopReason {
    /// The outcome of an operation that obeyed.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Cancel => Outcome::Cancelled,
            Self::Park => Outcome::Parked,
        }
    }
}

/// The event that ends an operation of this kind, unless its answer is the reply to its
/// command, or a milestone was its end: a download without an install ends with
/// `download-finished`.
pub fn terminal_event(kind: OperationKind, game: &GameId, outcome: &Outcome) -> Option<Event> {
    let game = game.clone();
    match outcome {
        Outcome::Finished { version } => finished(kind, game, version.clone()),
        Outcome::Failed { code, message } => failed(kind, game, *code, message.clone()),
        Outcome::Cancelled => match kind {
            OperationKind::Adding => None,
            OperationKind::Downloading => Some(Event::DownloadCancelled { game }),
            _ => Some(Event::OperationCancelled { game }),
        },
        Outcome::Parked => {
            let message = format!("{game}: the node shuts down; ask again when it runs");
            failed(kind, game, ErrorCode::ShuttingDown, message)
        }
    }
}

fn finished(kind: OperationKind, game: GameId, version: Option<VersionStamp>) -> Option<Event> {
    match kind {
        OperationKind::Downloading | OperationKind::Adding => None,
        OperationKind::Installing => Some(Event::InstallFinished { game, version }),
        OperationKind::Updating => Some(Event::UpdateFinished { game, version }),
        OperationKind::Uninstalling => Some(Event::UninstallFinished { game, version }),
        OperationKind::Removing => Some(Event::RemoveFinished { game, version }),
        OperationKind::Verifying => Some(Event::VerifyFinished { game, version }),
    }
}

fn failed(kind: OperationKind, game: GameId, code: ErrorCode, message: String) -> Option<Event> {
    match kind {
        OperationKind::Adding => None,
        OperationKind::Downloading => Some(Event::DownloadFailed { game, code, message }),
        OperationKind::Installing => Some(Event::InstallFailed { game, code, message }),
        OperationKind::Updating => Some(Event::UpdateFailed { game, code, message }),
        OperationKind::Uninstalling => Some(Event::UninstallFailed { game, code, message }),
        OperationKind::Removing => Some(Event::RemoveFailed { game, code, message }),
        OperationKind::Verifying => Some(Event::VerifyFailed { game, code, message }),
    }
}
