//! What travels between Lanspread nodes: names, manifests, messages, close codes and limits, and
//! the catalog file. This crate owns the borders: everything a peer or a file can hand us is
//! parsed here, once, into types that cannot hold a bad value.
//!
//! It must never touch a disk, a socket, a clock or a source of randomness, and it must never
//! panic on what it is given: the same bytes get the same verdict on every operating system.
//!
//! | module | owns |
//! |---|---|
//! | [`limits`] | every limit on what a peer or a file can hand us, with its reason |
//! | `names`, `path` | the one validator of file names |
//! | `ids`, `version`, `text` | identifiers, version stamps and texts shown to people |
//! | `chunker`, `manifest`, `chunk_map` | what a game is made of |
//! | `messages`, `library` | what is said on the control stream and on request streams |
//! | `codec` | the only place that knows how messages become bytes |
//! | `close` | why a connection ends |
//! | [`catalog`] | the file that lists the games of a party |

#![warn(missing_docs)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::todo,
    clippy::unimplemented
)]

pub mod catalog;
mod chunk_map;
mod chunker;
mod close;
mod codec;
mod ids;
mod library;
pub mod limits;
mod manifest;
mod manifest_check;
mod messages;
mod names;
mod path;
mod text;
mod version;

pub use catalog::{BadCatalog, Catalog, CatalogGame};
pub use chunk_map::{ChunkLocation, ChunkMap};
pub use chunker::{ChunkAlgorithm, ChunkParams, ChunkerId};
pub use close::CloseCode;
pub use codec::{CodecError, Frame, FrameReader, decode_frame, encode_frame};
pub use ids::{BadId, ChunkHash, GameId, LibraryDigest, ManifestId, PeerId};
pub use library::{library_digest, snapshot_pages};
pub use manifest::{ChunkEntry, FileEntry, Manifest};
pub use manifest_check::BadManifest;
pub use messages::{
    ALPN, BadMessage, ChunkRun, Control, GameSummary, Hello, LibraryDelta, LibraryState,
    PROTOCOL_VERSION, Refusal, Request, Response, SnapshotPage, peek_version,
};
pub use names::{
    BadName, check_component, fold_key, is_litter, is_unprintable, printable, printable_line,
};
pub use path::{RelPath, is_reserved_payload};
pub use text::{BadText, DisplayName, Title};
pub use version::{BadVersion, VersionStamp};
