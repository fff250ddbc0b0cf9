//! Every limit of this crate, each with its reason. Nothing else states these numbers.

/// `version.ini` holds one short line; anything larger is no sentinel and is not read.
pub const SENTINEL_BYTES_MAX: u64 = 4 * 1024;

/// An intent or a marker is a few hundred bytes; a larger file is damaged and is not read.
pub const RECORD_BYTES_MAX: u64 = 64 * 1024;

/// A manifest travels below this size (the wire has the same cap), so a larger one is not ours.
pub const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A plan names each file with at most a few hundred bytes: the entries of the largest manifest
/// must fit, and a damaged one of a gigabyte must not be loaded.
pub const PLAN_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The list of installed files is bounded as the plan is, for the same reason.
pub const INSTALLED_LIST_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// One bit per chunk of the largest manifest, plus its header.
pub const PROGRESS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// More entries than this in one directory are listed by no operation: memory stays bounded.
pub const DIRECTORY_ENTRIES_MAX: usize = 1_000_000;

/// Open file handles a download keeps; the program as a whole must stay below the limit of the
/// system, which is as low as 256 on some.
pub const STAGING_HANDLES_MAX: usize = 64;

/// A chunk-sized buffer for copying and hashing: large enough that system calls are few.
pub const COPY_BUFFER_BYTES: usize = 256 * 1024;

/// From this size on a staged file is reserved when the staging is opened, so that a full disk
/// shows early; smaller files are created with their first write, by the thread that writes.
pub const RESERVE_EARLY_BYTES_MIN: u64 = 1024 * 1024;

/// Staged files per directory: creating files in one directory takes its lock, so several
/// writers need several directories.
pub const STAGING_SHARDS: usize = 16;

/// From this many files on one flush of the whole file system is cheaper than one per file.
pub const SYNC_EACH_MAX: usize = 64;

/// Levels below which a tree that is being removed is folded up: a path of so many names of the
/// longest kind still fits the path limit of the system.
pub const TREE_DEPTH_MAX: usize = 12;

/// How often an update looks again for files that the user wrote while it ran.
pub const CARRY_ATTEMPTS_MAX: usize = 3;

/// How often a free name is looked for beside taken ones before giving up.
pub const FREE_NAME_ATTEMPTS_MAX: u32 = 1000;

/// Reserve on top of what an operation writes: file systems slow down and lose data when they
/// are filled to the brim, and other programs write as well.
pub const SPACE_RESERVE_BYTES: u64 = 256 * 1024 * 1024;

/// Share of what an operation writes that is asked for on top of it: metadata and block rounding.
pub const SPACE_RESERVE_PERCENT: u64 = 5;

/// Windows: another program may hold a file for a moment (virus scanner, indexer); so often a
/// rename is tried before the game is reported as busy.
pub const BUSY_ATTEMPTS_MAX: u32 = 10;

/// A component of a path below a game root; the manifest's validator allows less.
pub const COMPONENT_BYTES_MAX: usize = 255;
