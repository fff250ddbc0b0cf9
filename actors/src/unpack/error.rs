//! What can go wrong while a game is unpacked, with the archive, the part and the entry by name.
//! Must never carry a name from an archive that was not made printable.

use std::{io, path::PathBuf};

use lanspread_wire::{limits::PRINTABLE_CHARS_MAX, printable};

use super::{limits::MESSAGE_CHARS_MAX, protocol::SpecialKind};

/// Why a game was not unpacked. Nothing of it counts as installed.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The caller asked to stop.
    #[error("unpacking was cancelled")]
    Cancelled,
    /// A volume could not be looked at.
    #[error("cannot read archive {}: {source}", .path.display())]
    Open {
        /// The volume.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The content is none of the known formats, or not the one its name says.
    #[error("{archive} is not an archive that can be unpacked: {message}")]
    NotAnArchive {
        /// First volume.
        archive: String,
        /// What is wrong with it.
        message: String,
    },
    /// A known kind of archive that is not unpacked.
    #[error("{archive} cannot be unpacked: {message}")]
    Unsupported {
        /// First volume.
        archive: String,
        /// Which feature it needs.
        message: String,
    },
    /// A password would be needed.
    #[error("{archive} is encrypted ({entry})")]
    Encrypted {
        /// First volume.
        archive: String,
        /// The first such entry, or what else is encrypted.
        entry: String,
    },
    /// A volume of a set is not there.
    #[error("{archive} is incomplete: {part} is missing")]
    MissingVolume {
        /// First volume.
        archive: String,
        /// The volume that was looked for.
        part: String,
    },
    /// Two files claim the same place in a set of volumes.
    #[error("{archive} is ambiguous: {first} and {second} claim to be the same part")]
    AmbiguousVolume {
        /// First volume.
        archive: String,
        /// One file.
        first: String,
        /// The other.
        second: String,
    },
    /// A checksum, a length or a structure is wrong.
    #[error("{part} is damaged: {message}")]
    Damaged {
        /// The volume at fault, or the first one when that is not known.
        part: String,
        /// What is wrong, with the entry where it is known.
        message: String,
    },
    /// Decoding takes more memory than a child may have.
    #[error("{archive} needs too much memory: {message}")]
    Memory {
        /// First volume.
        archive: String,
        /// How much, for what.
        message: String,
    },
    /// A name that must not reach a disk.
    #[error("{archive} has an entry that is refused: {message}")]
    BadName {
        /// First volume.
        archive: String,
        /// Which name and why.
        message: String,
    },
    /// A name that belongs to this program.
    #[error("{archive} has an entry with a reserved name: {name}")]
    Reserved {
        /// First volume.
        archive: String,
        /// The entry.
        name: String,
    },
    /// Two entries that are the same file, on some system at least.
    #[error("{archive} has two entries for one place: {first} and {second}")]
    Collision {
        /// First volume.
        archive: String,
        /// The entry that came first.
        first: String,
        /// The one that collides with it.
        second: String,
    },
    /// An entry that is neither a regular file nor a directory.
    #[error("{archive} has a {kind}, which is refused: {name}")]
    Special {
        /// First volume.
        archive: String,
        /// What it is.
        kind: SpecialKind,
        /// The entry.
        name: String,
    },
    /// More files and directories than a game may have.
    #[error("{archive} has more than {limit} entries")]
    TooManyEntries {
        /// First volume.
        archive: String,
        /// The bound.
        limit: u32,
    },
    /// More output than there may be.
    #[error("{archive} unpacks to more than {limit} bytes")]
    TooLarge {
        /// First volume.
        archive: String,
        /// The bound.
        limit: u64,
    },
    /// More output than the archive's size or its headers account for.
    #[error("{archive} looks like a bomb: {message}")]
    Bomb {
        /// First volume.
        archive: String,
        /// Which rule.
        message: String,
    },
    /// An entry is longer or shorter than its header says.
    #[error("{archive}: {name} has {written} bytes instead of {declared}")]
    SizeMismatch {
        /// First volume.
        archive: String,
        /// The entry.
        name: String,
        /// What its header says.
        declared: u64,
        /// What came out, as far as it was read.
        written: u64,
    },
    /// The child said something that it must not say.
    #[error("the unpacking of {archive} broke off: {message}")]
    Protocol {
        /// First volume.
        archive: String,
        /// What it was.
        message: String,
    },
    /// The child could not be started.
    #[error("cannot start {} to unpack {archive}: {source}", .program.display())]
    Start {
        /// First volume.
        archive: String,
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The child ended without a word.
    #[error("the unpacking of {archive} broke off: its process {how}")]
    Died {
        /// First volume.
        archive: String,
        /// How it ended.
        how: String,
    },
    /// The child was silent for too long.
    #[error("the unpacking of {archive} stood still for {seconds} s")]
    Stalled {
        /// First volume.
        archive: String,
        /// How long it was silent.
        seconds: u64,
    },
    /// The child took too long in all.
    #[error("the unpacking of {archive} took longer than {seconds} s")]
    TooSlow {
        /// First volume.
        archive: String,
        /// The bound.
        seconds: u64,
    },
    /// The receiver of the tree failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl UnpackError {
    /// The stable code for events and scripts. A failing receiver has its own, such as
    /// `disk-full`.
    pub fn code(&self) -> &'static str {
        match self {
            UnpackError::Cancelled => "cancelled",
            UnpackError::Open { .. } => "io",
            UnpackError::Sink(error) => error.code,
            _ => "unpack-failed",
        }
    }

    /// The stable code that tells the kinds of `unpack-failed` apart.
    pub fn reason(&self) -> &'static str {
        match self {
            UnpackError::Cancelled => "cancelled",
            UnpackError::Open { .. } => "archive-unreadable",
            UnpackError::NotAnArchive { .. } => "archive-unknown",
            UnpackError::Unsupported { .. } => "archive-unsupported",
            UnpackError::Encrypted { .. } => "archive-encrypted",
            UnpackError::MissingVolume { .. } => "archive-part-missing",
            UnpackError::AmbiguousVolume { .. } => "archive-part-ambiguous",
            UnpackError::Damaged { .. } => "archive-damaged",
            UnpackError::Memory { .. } => "archive-memory",
            UnpackError::BadName { .. } => "entry-name",
            UnpackError::Reserved { .. } => "entry-reserved",
            UnpackError::Collision { .. } => "entry-collision",
            UnpackError::Special { .. } => "entry-special",
            UnpackError::TooManyEntries { .. } => "too-many-entries",
            UnpackError::TooLarge { .. } => "too-large",
            UnpackError::Bomb { .. } => "archive-bomb",
            UnpackError::SizeMismatch { .. } => "entry-size",
            UnpackError::Protocol { .. } => "child-protocol",
            UnpackError::Start { .. } => "child-start",
            UnpackError::Died { .. } => "child-died",
            UnpackError::Stalled { .. } => "child-stalled",
            UnpackError::TooSlow { .. } => "child-too-slow",
            UnpackError::Sink(_) => "sink",
        }
    }
}

/// Why the receiver of the tree could not take something.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct SinkError {
    /// The stable code of the cause, such as `disk-full` or `io`.
    pub code: &'static str,
    /// The cause, which names the file.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl SinkError {
    /// Wraps the receiver's own error.
    pub fn new(
        code: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        SinkError { code, source: source.into() }
    }
}

/// A sentence that came from a child, safe to show: escaped like a name, but longer.
pub(super) fn sentence(text: &str) -> String {
    let chars: Vec<char> = text.chars().take(MESSAGE_CHARS_MAX).collect();
    let pieces = chars.chunks(PRINTABLE_CHARS_MAX);
    pieces.map(|piece| printable(&piece.iter().collect::<String>())).collect()
}
