//! Limits and times of operations and of their supervision.

use std::time::Duration;

/// How often the actor of one operation may be started again within [`RESTARTS_WINDOW`]: a
/// fault that comes back so often is no accident, and the user is better told.
pub const RESTARTS_MAX: usize = 3;

/// The time in which restarts of one operation are counted.
pub const RESTARTS_WINDOW: Duration = Duration::from_secs(60);

/// The delay before the first restart; each further one within the window waits twice as long.
pub const RESTART_DELAY: Duration = Duration::from_millis(100);

/// A library that was asked for a rescan and has not answered for so long may have been
/// restarted: it is asked again.
pub const RESCAN_ASK_INTERVAL: Duration = Duration::from_secs(2);

/// Running uploads of a game whose files change stop at their next chunk; one that has not
/// after this long is stuck.
pub const UPLOADS_DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// A call to the library that switches the games folder scans the new one.
pub const GAMES_DIR_DEADLINE: Duration = Duration::from_secs(60);

/// Damaged files named in a message; all of them are told to the library.
pub const DAMAGED_NAMED_MAX: usize = 10;

/// Pieces of a game that are hashed at once: two keep a disk and a core busy.
pub const VERIFY_WORKERS: usize = 2;
