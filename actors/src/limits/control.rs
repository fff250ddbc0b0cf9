//! Limits of JSON line sessions: standard input, the control socket and its clients.

use std::time::Duration;

/// A command is one short line; a longer one is refused without being kept.
pub const COMMAND_LINE_BYTES_MAX: usize = 64 * 1024;

/// The longest record a client accepts: the list of all games of a large party with their texts.
pub const RECORD_LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Commands of one session that wait for their answer; past it no further line is read.
pub const COMMANDS_IN_FLIGHT_MAX: usize = 64;

/// Clients of the control socket at once: a window, a few shells, a script.
pub const CONTROL_CLIENTS_MAX: usize = 32;

/// A client that does not take a record for so long is gone or stopped: it is let go.
pub const CONTROL_WRITE_DEADLINE: Duration = Duration::from_secs(20);

/// Records a client side task keeps for a caller that does not look.
pub const CLIENT_RECORDS_BUFFERED_MAX: usize = 1024;

/// A remote window asks again for the state at most so often.
pub const REMOTE_REFRESH_MIN: Duration = Duration::from_millis(250);
