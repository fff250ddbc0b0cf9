//! Limits of the blocking pool.

use std::time::Duration;

/// Blocking workers for operations: a disk has no use for more at once.
pub const DISK_WORKERS_MAX: usize = 8;

/// Workers of one game root: a folder that hangs must leave some for the others (F5).
pub const DISK_WORKERS_PER_LEASE_MAX: usize = 4;

/// Workers for reads and state files, apart from the operations so that neither starves the other.
pub const DISK_READERS_MAX: usize = 4;

/// How long an operation waits for the worker of its predecessor to leave the file system.
pub const DISK_DRAIN_DEADLINE: Duration = Duration::from_secs(30);

const _: () = assert!(DISK_WORKERS_PER_LEASE_MAX < DISK_WORKERS_MAX);
