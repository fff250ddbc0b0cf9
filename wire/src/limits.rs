//! Every limit on what a peer or a file can hand us. Each stands here once, with its reason.
//! Limits on connections, rates and times belong to the actors that enforce them.

/// One frame of the control stream or a request: a peer can make us hold this much per stream
/// before we have understood a single byte of it.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// All pages of one library together; a receiver stops reading a peer that sends more.
pub const SNAPSHOT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Games in one library: more than any party has, few enough to keep one per peer in memory.
pub const GAMES_PER_PEER_MAX: usize = 5_000;

/// Items of any list inside one control message; bounds the work one message can cause.
pub const CONTROL_ITEMS_MAX: usize = 4_096;

/// Addresses in one greeting: a PC with many network cards has about ten.
pub const ADDRESSES_MAX: usize = 16;

/// Characters of a peer's display name: one line in a list.
pub const DISPLAY_NAME_CHARS_MAX: usize = 64;

/// Characters of a game's title: one line in a grid.
pub const TITLE_CHARS_MAX: usize = 128;

/// Characters of a game id, which is also the name of its folder.
pub const GAME_ID_CHARS_MAX: usize = 64;

/// Bytes of `version.ini`: a stamp is short, and a file of another kind must not be loaded.
pub const SENTINEL_BYTES_MAX: usize = 4 * 1024;

/// Bytes of one path component: below the limit of every file system, with room for a suffix.
/// UTF-8 never has fewer bytes than UTF-16 has units, so this bounds both.
pub const COMPONENT_BYTES_MAX: usize = 200;

/// UTF-16 units of a relative path. Longer than the classic limit of Windows, which the standard
/// library lifts for absolute paths; short enough for every other system.
pub const PATH_UNITS_MAX: usize = 400;

/// Components of a relative path: recursion over a tree stays shallow.
pub const PATH_DEPTH_MAX: usize = 32;

/// Bytes of an encoded manifest: it is read into memory before its hash can be checked.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Files and empty directories of one manifest: ten times the largest game looked at.
pub const MANIFEST_ENTRIES_MAX: usize = 250_000;

/// Directories that the files of one manifest lie in. They are not listed, so a short list of deep
/// paths could otherwise stand for very many of them.
pub const MANIFEST_DIRS_MAX: usize = 100_000;

/// Chunks of one manifest: what fits into its bytes at one hash and one length each.
pub const MANIFEST_CHUNKS_MAX: usize = 2_000_000;

/// Bytes of one chunk: a receiver holds a chunk in memory until its hash is known.
pub const CHUNK_BYTES_MAX: u32 = 4 * 1024 * 1024;

/// Bytes of the whole content of one game; keeps every sum far from overflow.
pub const GAME_BYTES_MAX: u64 = 1 << 43;

/// Runs in one request: a fragmented want list still fits a frame many times over.
pub const RUNS_PER_REQUEST_MAX: usize = 256;

/// Chunks in one request: a batch of very small files fills a useful answer.
pub const CHUNKS_PER_REQUEST_MAX: u32 = 4_096;

/// Bytes in the answer to one request: the most a receiver keeps outstanding at one source.
pub const REQUEST_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of a catalog file: read into memory before it is parsed.
pub const CATALOG_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Games in a catalog: what can be announced in one library.
pub const CATALOG_GAMES_MAX: usize = GAMES_PER_PEER_MAX;

/// Characters of a one-line field of the catalog (genre, players).
pub const CATALOG_FIELD_CHARS_MAX: usize = 128;

/// Characters of a description in the catalog: a few paragraphs.
pub const CATALOG_DESCRIPTION_CHARS_MAX: usize = 4_000;

/// Characters of foreign text in one of our messages: enough to recognise, one line of a log.
pub const PRINTABLE_CHARS_MAX: usize = 80;

// A single chunk must always be servable, and so must a batch of the largest request.
const _: () = assert!(CHUNK_BYTES_MAX as u64 <= REQUEST_BYTES_MAX);
// Every valid manifest's content is below the bound on a game's bytes.
const _: () = assert!(MANIFEST_CHUNKS_MAX as u64 * CHUNK_BYTES_MAX as u64 <= GAME_BYTES_MAX);
// A path can hold one component of full length.
const _: () = assert!(COMPONENT_BYTES_MAX <= PATH_UNITS_MAX);
// The largest summary (id, title of four-byte characters, version, manifest, numbers) fits a page.
const _: () = assert!(
    GAME_ID_CHARS_MAX + 4 * TITLE_CHARS_MAX + SENTINEL_BYTES_MAX + 128 < FRAME_BYTES_MAX / 2
);
// The runs of the largest request fit one frame (two integers of at most five bytes each).
const _: () = assert!(RUNS_PER_REQUEST_MAX * 10 + 256 < FRAME_BYTES_MAX);
