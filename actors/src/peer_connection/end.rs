//! How sessions end. Plain data: a peer's fault is a value, never a panic.

use std::fmt;

use lanspread_wire::{CloseCode, CodecError, printable};

/// What a peer did that ends its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The code the connection is closed with.
    pub(crate) code: CloseCode,
    /// What happened, as a sentence without its subject.
    pub(crate) text: String,
}

impl Fault {
    pub(crate) fn new(code: CloseCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl From<CodecError> for Fault {
    fn from(error: CodecError) -> Self {
        Self { code: error.close_code(), text: error.to_string() }
    }
}

/// Who ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// This node closed the connection.
    Us,
    /// The peer closed it.
    Peer,
    /// Neither did: time-out, reset, or our own endpoint is gone.
    Network,
}

/// Why a session with a peer is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// Whose decision it was.
    pub by: EndedBy,
    /// The reason as a code.
    pub code: CloseCode,
    /// The reason in words; safe to show.
    pub text: String,
}

impl SessionEnd {
    /// An end that we decided.
    pub(crate) fn ours(code: CloseCode, text: impl Into<String>) -> Self {
        Self { by: EndedBy::Us, code, text: text.into() }
    }

    /// Reads the end of a connection off the error that QUIC gives.
    pub(crate) fn of_connection(error: &quinn::ConnectionError) -> Self {
        use quinn::ConnectionError as Error;
        let (by, code, text) = match error {
            Error::ApplicationClosed(close) => {
                let number = u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX);
                let code = CloseCode::from_u32(number).unwrap_or(CloseCode::Internal);
                (EndedBy::Peer, code, printable(&String::from_utf8_lossy(&close.reason)))
            }
            Error::LocallyClosed => (EndedBy::Us, CloseCode::Internal, "closed here".to_owned()),
            Error::TimedOut => {
                (EndedBy::Network, CloseCode::Silent, "nothing was heard any more".to_owned())
            }
            Error::Reset => {
                (EndedBy::Network, CloseCode::Silent, "the peer started anew".to_owned())
            }
            other => (EndedBy::Network, CloseCode::Internal, printable(&other.to_string())),
        };
        Self { by, code, text }
    }

    /// Whether the peer left on purpose, so that there is no hurry to dial it again.
    pub(crate) fn is_goodbye(&self) -> bool {
        matches!(self.code, CloseCode::Goodbye | CloseCode::Shutdown)
    }

    /// Whether this side closed because of what the peer sent.
    pub(crate) fn is_fault_of_peer(&self) -> bool {
        let harmless = matches!(
            self.code,
            CloseCode::Goodbye
                | CloseCode::Shutdown
                | CloseCode::Duplicate
                | CloseCode::Silent
                | CloseCode::Internal
        );
        self.by == EndedBy::Us && !harmless
    }
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            f.write_str(self.code.code())
        } else {
            write!(f, "{}: {}", self.code.code(), self.text)
        }
    }
}
