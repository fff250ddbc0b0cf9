//! The door to every file system: all of this crate goes through [`Vfs`], [`Dir`] and [`File`].
//!
//! A [`Dir`] is a directory *handle*. Every path given to it is relative, consists of plain names,
//! and is resolved below the handle without following a link and without crossing a mount point.
//! [`RealVfs`] is the production one; the simulated one (`sim`) can lose power after each call.
//! Nothing here knows what a game is.

use std::any::Any;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod error;
mod fenced;
mod path;
mod real;
#[cfg(any(test, feature = "sim"))]
pub mod sim;

pub use error::{FsError, FsOp, Refusal, shown};
pub use fenced::FencedDir;
pub use path::{check_plain, is_payload_component, is_plain, parse_payload};
pub use real::RealVfs;

/// A file system.
pub trait Vfs: Send + Sync {
    /// Opens a directory by its full path. The last component must be a directory itself, not a
    /// link to one; what stands before it is the user's choice and is followed.
    fn open_root(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError>;

    /// Creates a directory and the missing ones above it, durable, and opens it.
    fn create_root(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError>;
}

/// What a name stands for. Links are never followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link or a junction.
    Link,
    /// A pipe, socket or device.
    Other,
}

/// What the system tells about a name without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Kind; a link is a link.
    pub kind: FileKind,
    /// Length in bytes of a regular file.
    pub len: u64,
    /// Time of the last change in nanoseconds since 1970. Compare for equality only: clocks jump.
    pub modified_ns: i64,
    /// Number of the file on its device, where the system has one.
    pub inode: Option<u64>,
    /// Number of the device, where the system has one.
    pub device: Option<u64>,
    /// Whether the owner may execute it; `false` where the system has no such bit.
    pub executable: bool,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// Its name, whatever bytes it has.
    pub name: OsString,
    /// What it is; a link is a link.
    pub kind: FileKind,
}

/// How a copy was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyKind {
    /// The file system shares the blocks; nothing was written.
    Shared,
    /// Bytes were read and written.
    Copied,
}

/// A directory handle; see the module for how paths are resolved.
///
/// An empty path means the directory itself where that makes sense (`metadata`, `read_dir`,
/// `open_dir`, `sync_dir`). All calls are blocking.
pub trait Dir: Send + Sync {
    /// Where this handle was opened, for messages. It may have been moved since.
    fn shown_path(&self) -> PathBuf;

    /// Opens a directory below.
    fn open_dir(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError>;

    /// What a name is, without following it.
    fn metadata(&self, path: &Path) -> Result<Metadata, FsError>;

    /// The entries of a directory, sorted by name.
    fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>, FsError>;

    /// Creates one directory; its parent must exist and it must not.
    fn create_dir(&self, path: &Path) -> Result<(), FsError>;

    /// Creates a regular file that must not exist yet, not executable, open for reading and
    /// writing.
    fn create_new(&self, path: &Path) -> Result<Box<dyn File>, FsError>;

    /// Opens a regular file for reading. A pipe or device is refused without being waited for.
    fn open_read(&self, path: &Path) -> Result<Box<dyn File>, FsError>;

    /// Opens a regular file for reading and writing, without changing it.
    fn open_write(&self, path: &Path) -> Result<Box<dyn File>, FsError>;

    /// Renames a file, replacing a file or link that stands at `to`. Never replaces a directory
    /// and never takes one as its source.
    fn rename_file(&self, from: &Path, to: &Path) -> Result<(), FsError>;

    /// Renames a file or directory to a name that must be free.
    fn rename_new(&self, from: &Path, to: &Path) -> Result<(), FsError>;

    /// Gives what stands at `from` below `source` a second name here, which must be free. Links
    /// are linked themselves, not what they point to. Directories cannot be linked.
    fn hard_link(&self, source: &dyn Dir, from: &Path, to: &Path) -> Result<(), FsError>;

    /// Copies a range between two existing files, sharing blocks where the file system can.
    /// A source that ends early is [`Refusal::Short`].
    fn copy_range(&self, source: &dyn Dir, copy: &CopyRange<'_>) -> Result<CopyKind, FsError>;

    /// Removes a file or a link itself.
    fn remove_file(&self, path: &Path) -> Result<(), FsError>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> Result<(), FsError>;

    /// Sets a file to 0755 or 0644; nothing happens on systems without such modes.
    fn set_executable(&self, path: &Path, executable: bool) -> Result<(), FsError>;

    /// Gives the owner back the right to change a directory, so that it can be deleted.
    fn make_dir_writable(&self, path: &Path) -> Result<(), FsError>;

    /// Makes the entries of one directory durable. A system that has no such call orders its
    /// metadata by itself, and this does nothing there.
    fn sync_dir(&self, path: &Path) -> Result<(), FsError>;

    /// Makes the bytes of all `files` and the entries of all `dirs` durable, by one flush of the
    /// file system where that is cheaper. After a failure nothing of it may be believed.
    fn sync_batch(&self, files: &[PathBuf], dirs: &[PathBuf]) -> Result<(), FsError>;

    /// Bytes that this user may still write here, if the system tells.
    fn free_space(&self) -> Result<Option<u64>, FsError>;

    /// Takes the advisory lock of a file, which is created if missing. `None`: another holds it.
    /// The lock is given back on drop and by the end of the process.
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn HeldLock>>, FsError>;

    /// For calls that need two handles of the same file system layer.
    fn as_any(&self) -> &dyn Any;
}

/// What [`Dir::copy_range`] copies; both files exist.
#[derive(Clone, Copy, Debug)]
pub struct CopyRange<'a> {
    /// File below the source handle.
    pub from: &'a Path,
    /// First byte there.
    pub from_offset: u64,
    /// File below this handle.
    pub to: &'a Path,
    /// First byte here.
    pub to_offset: u64,
    /// Bytes to copy.
    pub len: u64,
}

/// A lock that is held as long as the value lives.
pub trait HeldLock: Send + Sync {}

/// An open regular file. Reads and writes name their place, so threads may share it.
pub trait File: Send + Sync {
    /// Reads up to `buffer.len()` bytes; 0 means the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError>;

    /// Writes all of `bytes`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError>;

    /// What the system tells about the open file.
    fn metadata(&self) -> Result<Metadata, FsError>;

    /// Sets the length; new bytes are zero.
    fn set_len(&self, len: u64) -> Result<(), FsError>;

    /// Sets the length and reserves the space where the file system can.
    fn reserve(&self, len: u64) -> Result<(), FsError>;

    /// Sets 0755 or 0644.
    fn set_executable(&self, executable: bool) -> Result<(), FsError>;

    /// Makes the bytes and the length durable. After a failure the bytes must be written again;
    /// a second call that succeeds proves nothing.
    fn sync(&self) -> Result<(), FsError>;
}

/// Reads exactly `buffer.len()` bytes; an early end is [`Refusal::Short`].
pub fn read_exact_at(file: &dyn File, offset: u64, buffer: &mut [u8]) -> Result<(), FsError> {
    let mut done = 0;
    while done < buffer.len() {
        let count = file.read_at(offset + done as u64, &mut buffer[done..])?;
        if count == 0 {
            return Err(FsError::refused(FsOp::Read, PathBuf::new(), Refusal::Short));
        }
        done += count;
    }
    Ok(())
}

/// What stands at `path`, `None` if nothing does.
pub fn look(dir: &dyn Dir, path: &Path) -> Result<Option<Metadata>, FsError> {
    match dir.metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file if it is there; says whether it was.
pub fn remove_file_if_present(dir: &dyn Dir, path: &Path) -> Result<bool, FsError> {
    match dir.remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}
