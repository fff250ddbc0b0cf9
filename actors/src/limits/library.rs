//! Limits of the library: how much it looks at, hashes and remembers at once.

use std::time::Duration;

/// Games hashed at once: one more than one disk arm likes, so that a fast disk keeps two cores
/// busy, and few enough that the rest of the machine does not notice.
pub const HASHES_MAX: usize = 2;

/// Single games scanned at once beside a sweep: each is a handful of system calls, and one on a
/// disk that hangs must not hold up the others.
pub const SCANS_URGENT_MAX: usize = 4;

/// Games of a sweep that are scanned and told in one go: user interfaces get the whole library
/// after each batch, so a batch must not be one game.
pub const SWEEP_BATCH_ROOTS: usize = 32;

/// Bytes of a ledger: the entries of the largest manifest with the longest sensible paths; a
/// damaged one of a gigabyte must not be loaded.
pub const LEDGER_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Damaged files that are remembered by name: beyond, everything is read again.
pub const DAMAGED_FILES_MAX: usize = 256;

/// Bytes of the index file: a few hundred for each of the games that can be announced.
pub const INDEX_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Files looked at by the scan at the start before it is made in the background: the node is to
/// answer within a second or two even if nothing of the disk is in memory.
pub const FIRST_SCAN_ENTRIES_MAX: usize = 50_000;

/// Entries of `local/` that are counted for the size of a game without payload: only a number in
/// a list depends on it.
pub const LOCAL_ENTRIES_MAX: usize = 20_000;

/// Names in a sentence about what is left out of a game.
pub const REMARK_NAMES_MAX: usize = 5;

/// How often a file that changes while it is hashed is tried again at once.
pub const HASH_ATTEMPTS_MAX: u32 = 3;

/// The buffer of the cutter, at least: system calls are few, and it stays in the cache.
pub const HASH_BUFFER_BYTES_MIN: usize = 1024 * 1024;

/// Nice value of hashing threads: everything else goes first.
pub const HASH_NICENESS: i32 = 19;

/// How often everything is looked at although no watch said a word (L2): watches miss what
/// happens in deep folders and on network shares.
pub const SWEEP_EVERY: Duration = Duration::from_secs(300);

/// How often a games folder that went away is looked for.
pub const OFFLINE_PROBE_EVERY: Duration = Duration::from_secs(5);

/// How often the progress of hashing is published.
pub const HASH_PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// What a new revision must lie above the last one saved: more changes than happen between two
/// writes of the index file.
pub const REVISION_GAP: u64 = 1_000_000;

/// How long the library waits for its own threads and for its last write when the node stops: a
/// part of the two seconds that the whole node has.
pub const LIBRARY_STOP_DEADLINE: Duration = Duration::from_millis(400);
