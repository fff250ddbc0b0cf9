//! Unpacking of archives. A child process of the same program decodes and writes a stream of
//! entries; the parent judges every frame and hands what is left to a [`TreeSink`]. Must never
//! decode in the node's own process, and must never decide where a tree is stored.
//!
//! * [`find_archives`]: which files of a game root are archives, and which are volumes of one.
//! * [`unpack`]: the parent. Blocking; for a worker thread.
//! * [`child_main`]: the child. A program that calls [`unpack`] with its own path runs it, before
//!   anything else, when its first argument is [`CHILD_COMMAND`].
//!
//! The child opens its volumes and then gives up everything else (`confine`): a decoder that is
//! taken over can only send frames. So the frames are what is not trusted: their form
//! (`protocol`), order, names and sizes (`policy`).
//!
//! Only regular files and directories come out. Links, devices, recovery volumes, alternate
//! streams, times and owners do not; of the permissions only the execute bit.

mod calls;
mod child;
mod confine;
mod decode_rar;
mod decode_sevenz;
mod decode_tar;
mod decode_zip;
mod detect;
mod emit;
mod error;
mod limits;
mod names;
mod parent;
mod policy;
mod process;
mod protocol;
mod rar_volumes;
mod sink;
mod unix_mode;
mod volumes;

pub use child::{CHILD_COMMAND, child_main};
pub use confine::{Confinement, confine};
pub use detect::Format;
pub use error::{SinkError, UnpackError};
pub use limits::UnpackLimits;
pub use parent::{UnpackProgress, UnpackRequest, UnpackSummary, unpack};
pub use protocol::SpecialKind;
pub use sink::TreeSink;
pub use volumes::{ArchiveSet, LocatedArchive, find_archives};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
