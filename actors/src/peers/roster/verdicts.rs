//! What failures mean: for the next attempt, and in words. Pure functions.

use std::net::{IpAddr, SocketAddr};

use lanspread_wire::CloseCode;

use super::candidates::Failure;
use crate::{
    api::{ErrorCode, Refused},
    net::{endpoint::DialError, limits::PORT_MIN},
    peer_connection::SessionEnd,
};

/// What a failed dial means.
pub(crate) struct Explanation {
    /// For the next attempt.
    pub(crate) failure: Failure,
    /// For the event that tells of it.
    pub(crate) code: &'static str,
}

/// What a failed dial means.
pub(crate) fn explain(error: &DialError) -> Explanation {
    let (failure, code) = match error {
        DialError::IdentityMismatch { .. } => (Failure::WrongPeer, "identity-mismatch"),
        DialError::SelfConnect { .. } => (Failure::WrongPeer, CloseCode::SelfConnect.code()),
        DialError::NotProved { .. } => (Failure::WrongPeer, CloseCode::AuthRequired.code()),
        DialError::VersionMismatch { .. } => (Failure::Refused, CloseCode::VersionMismatch.code()),
        DialError::Refused { code: Some(code), .. } if is_bar(*code) => {
            (Failure::Refused, code.code())
        }
        DialError::Refused { .. } | DialError::Unreachable { .. } | DialError::Local { .. } => {
            (Failure::Unreachable, "unreachable")
        }
    };
    Explanation { failure, code }
}

/// The answer to a dial by hand whose session ended before it was up.
pub(crate) fn refusal_of(end: &SessionEnd) -> Refused {
    Refused::new(error_code(end.code), end.to_string())
}

/// Whether trying again soon would lead to the same end.
pub(crate) fn bars(end: &SessionEnd) -> bool {
    is_bar(end.code)
}

fn is_bar(code: CloseCode) -> bool {
    !matches!(
        code,
        CloseCode::Goodbye
            | CloseCode::Shutdown
            | CloseCode::Duplicate
            | CloseCode::Silent
            | CloseCode::Stalled
            | CloseCode::HelloTimeout
            | CloseCode::Internal
    )
}

/// Whether an announced address can be somebody's listener at all. Whether it is on this link is
/// known where it was heard.
pub(crate) fn is_dialable(address: &SocketAddr) -> bool {
    let host = match address.ip() {
        IpAddr::V4(host) => !(host.is_unspecified() || host.is_multicast() || host.is_broadcast()),
        IpAddr::V6(host) => !(host.is_unspecified() || host.is_multicast()),
    };
    host && address.port() >= PORT_MIN
}

fn error_code(code: CloseCode) -> ErrorCode {
    match code {
        CloseCode::VersionMismatch => ErrorCode::VersionMismatch,
        CloseCode::IdMismatch | CloseCode::AuthRequired => ErrorCode::IdentityMismatch,
        CloseCode::SelfConnect => ErrorCode::SelfConnect,
        CloseCode::Limit => ErrorCode::Limit,
        CloseCode::Shutdown | CloseCode::Goodbye => ErrorCode::ShuttingDown,
        CloseCode::HelloTimeout | CloseCode::Silent | CloseCode::Stalled => ErrorCode::Timeout,
        _ => ErrorCode::Unreachable,
    }
}
