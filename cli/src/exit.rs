//! Exit codes, and which failure has which. Errors are said on stderr here and nowhere else.

use std::process::ExitCode;

use lanspread_actors::{
    api::{ErrorCode, Refused},
    control::ConnectError,
    handle::StartError,
};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Usage,
    NoNode,
    Refused,
    NodeFailed,
    StoppedWaiting,
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NoNode => 3,
            Self::Refused => 4,
            Self::NodeFailed => 5,
            // What a shell gives a program that Ctrl+C has ended.
            Self::StoppedWaiting => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Says a line to people, safe to show whatever is in it.
pub(crate) fn say(line: &str) {
    eprintln!("{}", crate::human::shown(line));
}

/// The arguments make no sense.
pub(crate) fn usage(error: &anyhow::Error) -> Exit {
    say(&format!("lanspread: {error:#}"));
    Exit::Usage
}

/// Something of our own went wrong.
pub(crate) fn failed(error: &anyhow::Error) -> Exit {
    say(&format!("lanspread: {error:#}"));
    Exit::Failed
}

/// No node answers.
pub(crate) fn unconnected(error: &ConnectError) -> Exit {
    say(&format!("lanspread: {error}"));
    match error {
        ConnectError::NotRunning(_) => {
            say("start one with: lanspread run");
            Exit::NoNode
        }
        ConnectError::OtherUser(_) => Exit::Refused,
        ConnectError::Alive(_) | ConnectError::NotASocket(_) | ConnectError::Io { .. } => {
            Exit::NoNode
        }
    }
}

/// A node did not start.
pub(crate) fn unstarted(error: &StartError) -> Exit {
    say(&format!("lanspread: {error}"));
    match error.code {
        ErrorCode::StateDirBusy | ErrorCode::GamesDirBusy => Exit::Refused,
        ErrorCode::BadCommand => Exit::Usage,
        _ => Exit::Failed,
    }
}

/// A command was not carried out.
pub(crate) fn refused(refused: &Refused) -> Exit {
    say(&format!("lanspread: {refused}"));
    match refused.code {
        ErrorCode::BadCommand => Exit::Usage,
        ErrorCode::ShuttingDown => Exit::NoNode,
        ErrorCode::Io
        | ErrorCode::DiskFull
        | ErrorCode::Internal
        | ErrorCode::Timeout
        | ErrorCode::Unreachable
        | ErrorCode::IdentityMismatch
        | ErrorCode::VersionMismatch => Exit::Failed,
        _ => Exit::Refused,
    }
}
