//! A directory "handle" on systems where the standard library has no calls below a handle
//! (Windows): a full path, each component of which is checked for links and junctions before use.
//!
//! Between check and use another program of the same user could plant a link; one that can do
//! that can write there itself. Renames are tried again for a while when a file is held open by
//! a virus scanner or an indexer. Directories have no flush call: NTFS keeps the order of its
//! metadata, so after a power cut either the old or the new state is found.

use std::any::Any;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::super::path::check_plain;
use super::super::{
    CopyKind, CopyRange, Dir, DirEntry, File, FileKind, FsError, FsOp, HeldLock, Metadata, Refusal,
    read_exact_at,
};
use super::portable_file::{RealFile, RealLock};
use crate::limits::{BUSY_ATTEMPTS_MAX, COPY_BUFFER_BYTES, DIRECTORY_ENTRIES_MAX};

/// A directory by its full path.
pub(super) struct RealDir {
    path: PathBuf,
}

/// Opens a directory by its full path; its last component must not be a link.
pub(super) fn open_root(path: &Path) -> Result<RealDir, FsError> {
    let absolute = std::path::absolute(path);
    let path = absolute.map_err(|error| FsError::new(FsOp::OpenDir, path, error))?;
    check_directory(FsOp::OpenDir, &path)?;
    Ok(RealDir { path })
}

/// Directories have no flush call here.
pub(super) fn sync_path(_path: &Path) -> Result<(), FsError> {
    Ok(())
}

fn check_directory(op: FsOp, path: &Path) -> Result<(), FsError> {
    let found = fs::symlink_metadata(path).map_err(|error| FsError::new(op, path, error))?;
    match kind_of(&found) {
        FileKind::Dir => Ok(()),
        FileKind::Link => Err(FsError::refused(op, path, Refusal::Link)),
        _ => Err(FsError::refused(op, path, Refusal::NotADirectory)),
    }
}

impl RealDir {
    /// The full path of `path`, all directories above its last component checked.
    fn resolve(&self, op: FsOp, path: &Path) -> Result<PathBuf, FsError> {
        check_plain(op, path)?;
        let mut full = self.path.clone();
        check_directory(op, &full)?;
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            full.push(component);
            if components.peek().is_some() {
                check_directory(op, &full)?;
            }
        }
        Ok(full)
    }

    fn resolve_dir(&self, op: FsOp, path: &Path) -> Result<PathBuf, FsError> {
        let full = self.resolve(op, path)?;
        check_directory(op, &full)?;
        Ok(full)
    }

    fn open_file(&self, path: &Path, options: &fs::OpenOptions) -> Result<RealFile, FsError> {
        let full = self.resolve(FsOp::OpenFile, path)?;
        let found = fs::symlink_metadata(&full);
        let found = found.map_err(|error| FsError::new(FsOp::OpenFile, &full, error))?;
        match kind_of(&found) {
            FileKind::File => {}
            FileKind::Link => return Err(FsError::refused(FsOp::OpenFile, full, Refusal::Link)),
            _ => return Err(FsError::refused(FsOp::OpenFile, full, Refusal::NotAFile)),
        }
        let file = options.open(&full);
        let file = file.map_err(|error| FsError::new(FsOp::OpenFile, &full, error))?;
        Ok(RealFile::new(file, full))
    }

    fn real<'a>(&self, op: FsOp, other: &'a dyn Dir, path: &Path) -> Result<&'a Self, FsError> {
        other
            .as_any()
            .downcast_ref()
            .ok_or_else(|| FsError::refused(op, self.path.join(path), Refusal::ForeignHandle))
    }
}

impl Dir for RealDir {
    fn shown_path(&self) -> PathBuf {
        self.path.clone()
    }

    fn open_dir(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError> {
        Ok(Arc::new(Self { path: self.resolve_dir(FsOp::OpenDir, path)? }))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, FsError> {
        let full = self.resolve(FsOp::Metadata, path)?;
        let found = fs::symlink_metadata(&full);
        Ok(metadata_of(&found.map_err(|error| FsError::new(FsOp::Metadata, full, error))?))
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>, FsError> {
        let full = self.resolve_dir(FsOp::ReadDir, path)?;
        let error = |error| FsError::new(FsOp::ReadDir, &full, error);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&full).map_err(error)? {
            let entry = entry.map_err(error)?;
            let kind = kind_of(&entry.metadata().map_err(error)?);
            entries.push(DirEntry { name: entry.file_name(), kind });
            if entries.len() > DIRECTORY_ENTRIES_MAX {
                return Err(FsError::refused(FsOp::ReadDir, full, Refusal::TooManyEntries));
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, path: &Path) -> Result<(), FsError> {
        let full = self.resolve(FsOp::CreateDir, path)?;
        fs::create_dir(&full).map_err(|error| FsError::new(FsOp::CreateDir, full, error))
    }

    fn create_new(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        let full = self.resolve(FsOp::CreateFile, path)?;
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&full);
        let file = file.map_err(|error| FsError::new(FsOp::CreateFile, &full, error))?;
        Ok(Box::new(RealFile::new(file, full)))
    }

    fn open_read(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        Ok(Box::new(self.open_file(path, fs::OpenOptions::new().read(true))?))
    }

    fn open_write(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        Ok(Box::new(self.open_file(path, fs::OpenOptions::new().read(true).write(true))?))
    }

    fn rename_file(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        if self.metadata(from)?.kind == FileKind::Dir {
            return Err(FsError::refused(FsOp::Rename, self.path.join(from), Refusal::NotAFile));
        }
        let source = self.resolve(FsOp::Rename, from)?;
        let target = self.resolve(FsOp::Rename, to)?;
        if fs::symlink_metadata(&target).is_ok_and(|found| kind_of(&found) == FileKind::Dir) {
            return Err(FsError::refused(FsOp::Rename, target, Refusal::Exists));
        }
        patiently(|| fs::rename(&source, &target))
            .map_err(|error| FsError::new(FsOp::Rename, target, error))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        let source = self.resolve(FsOp::Rename, from)?;
        let target = self.resolve(FsOp::Rename, to)?;
        match fs::symlink_metadata(&target) {
            Ok(_) => return Err(FsError::refused(FsOp::Rename, target, Refusal::Exists)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FsError::new(FsOp::Rename, target, error)),
        }
        patiently(|| fs::rename(&source, &target))
            .map_err(|error| FsError::new(FsOp::Rename, target, error))
    }

    fn hard_link(&self, source: &dyn Dir, from: &Path, to: &Path) -> Result<(), FsError> {
        let source = self.real(FsOp::Link, source, to)?.resolve(FsOp::Link, from)?;
        let target = self.resolve(FsOp::Link, to)?;
        fs::hard_link(source, &target).map_err(|error| FsError::new(FsOp::Link, target, error))
    }

    fn copy_range(&self, source: &dyn Dir, copy: &CopyRange<'_>) -> Result<CopyKind, FsError> {
        let source = self.real(FsOp::Copy, source, copy.to)?;
        let (from, to) = (source.open_read(copy.from)?, self.open_write(copy.to)?);
        let mut buffer = vec![0; COPY_BUFFER_BYTES];
        let mut done = 0;
        while done < copy.len {
            let left = usize::try_from(copy.len - done).unwrap_or(usize::MAX);
            let step = &mut buffer[..left.min(COPY_BUFFER_BYTES)];
            read_exact_at(&*from, copy.from_offset + done, step)?;
            to.write_at(copy.to_offset + done, step)?;
            done += step.len() as u64;
        }
        Ok(CopyKind::Copied)
    }

    fn remove_file(&self, path: &Path) -> Result<(), FsError> {
        let full = self.resolve(FsOp::RemoveFile, path)?;
        let found = fs::symlink_metadata(&full);
        let found = found.map_err(|error| FsError::new(FsOp::RemoveFile, &full, error))?;
        // a link to a directory is itself a directory here and has its own call
        let removed = if kind_of(&found) == FileKind::Link && is_directory_link(&found) {
            fs::remove_dir(&full)
        } else {
            fs::remove_file(&full)
        };
        removed.map_err(|error| FsError::new(FsOp::RemoveFile, full, error))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FsError> {
        let full = self.resolve_dir(FsOp::RemoveDir, path)?;
        patiently(|| fs::remove_dir(&full))
            .map_err(|error| FsError::new(FsOp::RemoveDir, full, error))
    }

    fn set_executable(&self, _path: &Path, _executable: bool) -> Result<(), FsError> {
        Ok(())
    }

    fn make_dir_writable(&self, _path: &Path) -> Result<(), FsError> {
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> Result<(), FsError> {
        self.resolve_dir(FsOp::SyncDir, path).map(|_| ())
    }

    fn sync_batch(&self, files: &[PathBuf], _dirs: &[PathBuf]) -> Result<(), FsError> {
        for file in files {
            // flushing needs the right to write here
            self.open_write(file)?.sync()?;
        }
        Ok(())
    }

    fn free_space(&self) -> Result<Option<u64>, FsError> {
        free_space(&self.path).map_err(|error| FsError::new(FsOp::FreeSpace, &self.path, error))
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn HeldLock>>, FsError> {
        let full = self.resolve(FsOp::Lock, path)?;
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&full).map_err(|error| FsError::new(FsOp::Lock, &full, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(RealLock(file)))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(FsError::new(FsOp::Lock, full, error)),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What the system says, in the words of this crate.
pub(super) fn metadata_of(found: &fs::Metadata) -> Metadata {
    let modified = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified_ns = modified.map_or(0, |age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
    let kind = kind_of(found);
    Metadata {
        kind,
        len: if kind == FileKind::File { found.len() } else { 0 },
        modified_ns,
        inode: None,
        device: None,
        executable: false,
    }
}

fn kind_of(found: &fs::Metadata) -> FileKind {
    let file_type = found.file_type();
    if file_type.is_symlink() {
        FileKind::Link
    } else if file_type.is_dir() {
        FileKind::Dir
    } else if file_type.is_file() {
        FileKind::File
    } else {
        FileKind::Other
    }
}

#[cfg(windows)]
fn is_directory_link(found: &fs::Metadata) -> bool {
    // FILE_ATTRIBUTE_DIRECTORY
    std::os::windows::fs::MetadataExt::file_attributes(found) & 0x10 != 0
}

#[cfg(not(windows))]
fn is_directory_link(_found: &fs::Metadata) -> bool {
    false
}

#[cfg(windows)]
fn free_space(path: &Path) -> io::Result<Option<u64>> {
    fs4::available_space(path).map(Some)
}

#[cfg(not(windows))]
fn free_space(_path: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a blocking worker waits for another program, which sends no event"
)]
/// Tries again while another program holds the file: a virus scanner lets go within a second.
fn patiently(call: impl Fn() -> io::Result<()>) -> io::Result<()> {
    let mut pause = Duration::from_millis(50);
    for _ in 1..BUSY_ATTEMPTS_MAX {
        match call() {
            Err(error) if is_held(&error) => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            result => return result,
        }
    }
    call()
}

/// ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION: what an open handle of
/// another program looks like.
fn is_held(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(5 | 32 | 33))
}
