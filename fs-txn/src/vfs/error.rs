//! The one error of the file system layer: what was tried, on which path, and the system's word.
//! Never hides the cause: the code of the operating system stays readable through it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What was being done when a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FsOp {
    /// Opening a directory.
    OpenDir,
    /// Reading what kind of thing a name is.
    Metadata,
    /// Listing a directory.
    ReadDir,
    /// Creating a directory.
    CreateDir,
    /// Creating a file that must not exist yet.
    CreateFile,
    /// Opening a file.
    OpenFile,
    /// Reading bytes.
    Read,
    /// Writing bytes.
    Write,
    /// Setting or reserving the length of a file.
    SetLen,
    /// Setting the permission of a file.
    SetMode,
    /// Renaming.
    Rename,
    /// Making a second name of a file.
    Link,
    /// Copying a range between files.
    Copy,
    /// Removing a file.
    RemoveFile,
    /// Removing an empty directory.
    RemoveDir,
    /// Making a file durable.
    SyncFile,
    /// Making a directory durable.
    SyncDir,
    /// Making many files and directories durable.
    SyncBatch,
    /// Asking for free space.
    FreeSpace,
    /// Taking a lock.
    Lock,
}

impl FsOp {
    /// A stable word for logs and tests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenDir => "open directory",
            Self::Metadata => "look at",
            Self::ReadDir => "list",
            Self::CreateDir => "create directory",
            Self::CreateFile => "create",
            Self::OpenFile => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::SetLen => "set length of",
            Self::SetMode => "set mode of",
            Self::Rename => "rename",
            Self::Link => "link",
            Self::Copy => "copy",
            Self::RemoveFile => "remove",
            Self::RemoveDir => "remove directory",
            Self::SyncFile => "flush",
            Self::SyncDir => "flush directory",
            Self::SyncBatch => "flush files below",
            Self::FreeSpace => "ask free space of",
            Self::Lock => "lock",
        }
    }
}

impl fmt::Display for FsOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failed call: operation, path and cause.
#[derive(Debug, Error)]
#[error("{op} {}: {source}", shown(path))]
pub struct FsError {
    /// What was tried.
    pub op: FsOp,
    /// On which path, as far as it is known; absolute where the handle knows its place.
    pub path: PathBuf,
    /// The cause, with the code of the operating system where there is one.
    pub source: io::Error,
}

impl FsError {
    /// An error from the system's own word.
    pub fn new(op: FsOp, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self { op, path: path.into(), source: source.into() }
    }

    /// An error for a thing this crate refuses by itself.
    pub fn refused(op: FsOp, path: impl Into<PathBuf>, refusal: Refusal) -> Self {
        Self::new(op, path, io::Error::new(refusal.kind(), refusal))
    }

    /// The refusal behind this error, if this crate itself refused.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.source.get_ref()?.downcast_ref::<Refusal>().copied()
    }

    /// The code of the operating system, if it was the one to refuse.
    #[must_use]
    pub fn os_code(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// Whether the name does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// A stable code for events and scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        if let Some(refusal) = self.refusal() {
            return refusal.code();
        }
        match self.source.kind() {
            io::ErrorKind::NotFound => "not-found",
            io::ErrorKind::PermissionDenied => "permission",
            io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => "exists",
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => "disk-full",
            io::ErrorKind::ReadOnlyFilesystem => "read-only",
            io::ErrorKind::ResourceBusy
            | io::ErrorKind::ExecutableFileBusy
            | io::ErrorKind::WouldBlock => "busy",
            io::ErrorKind::CrossesDevices => "other-device",
            io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => "wrong-kind",
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => "bad-name",
            io::ErrorKind::Unsupported => "unsupported",
            io::ErrorKind::UnexpectedEof => "changed",
            _ => self.code_of_system(),
        }
    }

    /// The codes that the standard library has no stable word for.
    fn code_of_system(&self) -> &'static str {
        match self.os_code() {
            #[cfg(unix)]
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => "link",
            #[cfg(unix)]
            Some(code) if code == rustix::io::Errno::MFILE.raw_os_error() => "too-many-files",
            #[cfg(unix)]
            Some(code) if code == rustix::io::Errno::NFILE.raw_os_error() => "too-many-files",
            // ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION, ERROR_TOO_MANY_OPEN_FILES
            #[cfg(windows)]
            Some(32 | 33) => "busy",
            #[cfg(windows)]
            Some(4) => "too-many-files",
            _ => "io",
        }
    }
}

/// What this crate refuses by itself, whatever the system would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A link or junction stands where a plain file or directory must be.
    #[error("a link stands in the way and is not followed")]
    Link,
    /// A mount point stands in the path.
    #[error("another file system is mounted there")]
    OtherDevice,
    /// A path has a component that is not a plain name.
    #[error("not a plain relative path")]
    BadName,
    /// A directory, pipe, socket or device stands where a regular file must be.
    #[error("not a regular file")]
    NotAFile,
    /// Something other than a directory stands where one must be.
    #[error("not a directory")]
    NotADirectory,
    /// The target of a rename exists and must not be replaced.
    #[error("something stands there already")]
    Exists,
    /// The lease of this worker was taken away; it must not write any more.
    #[error("another worker has taken over this game")]
    Fenced,
    /// A file is larger than anything this program writes under that name.
    #[error("larger than anything this program writes there")]
    TooLarge,
    /// A directory holds more entries than any operation lists.
    #[error("more entries than are listed")]
    TooManyEntries,
    /// The file ended before the bytes that were asked for.
    #[error("the file is shorter than it was")]
    Short,
    /// The simulated machine has stopped.
    #[error("the simulated machine has stopped")]
    Stopped,
    /// The two handles do not belong to the same file system layer.
    #[error("the two directories belong to different file systems")]
    ForeignHandle,
}

impl Refusal {
    fn code(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::OtherDevice | Self::ForeignHandle => "other-device",
            Self::BadName => "bad-name",
            Self::NotAFile | Self::NotADirectory => "wrong-kind",
            Self::Exists => "exists",
            Self::Fenced => "fenced",
            Self::TooLarge | Self::TooManyEntries => "too-large",
            Self::Short => "changed",
            Self::Stopped => "io",
        }
    }

    fn kind(self) -> io::ErrorKind {
        match self {
            Self::BadName => io::ErrorKind::InvalidInput,
            Self::NotADirectory => io::ErrorKind::NotADirectory,
            Self::Exists => io::ErrorKind::AlreadyExists,
            Self::OtherDevice | Self::ForeignHandle => io::ErrorKind::CrossesDevices,
            Self::Short => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::Other,
        }
    }
}

/// A path as text without control characters, fit for a log line.
#[must_use]
pub fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_direction_mark(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// Characters that reorder the text around them: a file name must not rewrite a log line.
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable_words() {
        let full = FsError::new(FsOp::Write, "a", io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.code(), "disk-full");
        let link = FsError::refused(FsOp::OpenDir, "a", Refusal::Link);
        assert_eq!((link.code(), link.refusal()), ("link", Some(Refusal::Link)));
        let fenced = FsError::refused(FsOp::Rename, "a", Refusal::Fenced);
        assert_eq!(fenced.code(), "fenced");
    }

    #[cfg(unix)]
    #[test]
    fn codes_of_the_system_are_told_apart() {
        use rustix::io::Errno;
        let code = |errno: Errno| FsError::new(FsOp::OpenFile, "a", errno).code();
        assert_eq!(code(Errno::LOOP), "link");
        assert_eq!(code(Errno::MFILE), "too-many-files");
        assert_eq!(code(Errno::NFILE), "too-many-files");
        assert_eq!(code(Errno::NOSPC), "disk-full");
        assert_eq!(code(Errno::DQUOT), "disk-full");
        assert_eq!(code(Errno::ROFS), "read-only");
        assert_eq!(code(Errno::ACCESS), "permission");
        assert_eq!(code(Errno::BUSY), "busy");
        assert_eq!(code(Errno::IO), "io");
        assert_eq!(code(Errno::XDEV), "other-device");
    }

    /// Proves I15 for paths: no control character of a file name reaches a log line.
    #[test]
    fn shown_paths_have_no_control_characters() {
        let text = shown(Path::new("a\u{1b}[31m\nb\u{202e}c"));
        assert_eq!(text, "a\\u{1b}[31m\\u{a}b\\u{202e}c");
    }
}
