//! A directory handle on Unix: every call goes through `*at` functions below an open directory.

use std::any::Any;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, fstat, fstatvfs, fsync, linkat, mkdirat, open, openat,
    renameat, statat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::super::path::check_plain;
use super::super::{
    CopyKind, CopyRange, Dir, DirEntry, File, FileKind, FsError, FsOp, HeldLock, Metadata, Refusal,
};
use super::unix_copy::copy_range;
use super::unix_file::{RealFile, RealLock, set_mode};
use super::unix_resolve::{Parent, device_number, device_of, open_below, open_parent};
use crate::limits::{DIRECTORY_ENTRIES_MAX, SYNC_EACH_MAX};

/// An open directory.
pub(super) struct RealDir {
    fd: OwnedFd,
    device: u64,
    shown: PathBuf,
}

/// Opens a directory by its full path; its last component must not be a link.
pub(super) fn open_root(path: &Path) -> Result<RealDir, FsError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = retry_on_intr(|| open(path, flags, Mode::empty()))
        .map_err(|error| open_dir_error(path.into(), error))?;
    RealDir::new(fd, path.into())
}

/// Makes the entries of a directory durable that is named by its full path.
pub(super) fn sync_path(path: &Path) -> Result<(), FsError> {
    std::fs::File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| FsError::new(FsOp::SyncDir, path, error))
}

impl RealDir {
    fn new(fd: OwnedFd, shown: PathBuf) -> Result<Self, FsError> {
        let device = device_of(fd.as_fd());
        let device = device.map_err(|error| FsError::new(FsOp::Metadata, &shown, error))?;
        Ok(Self { fd, device, shown })
    }

    fn error(&self, op: FsOp, path: &Path, error: Errno) -> FsError {
        FsError::new(op, self.shown.join(path), error)
    }

    /// Runs `call` with the open parent directory of `path` and its last name.
    fn at<T>(
        &self,
        op: FsOp,
        path: &Path,
        call: impl Fn(BorrowedFd<'_>, &OsStr) -> rustix::io::Result<T>,
    ) -> Result<T, FsError> {
        let (parent, name) = self.parent(op, path)?;
        retry_on_intr(|| call(parent.as_fd(), name)).map_err(|error| self.error(op, path, error))
    }

    fn parent<'a>(&'a self, op: FsOp, path: &'a Path) -> Result<(Parent<'a>, &'a OsStr), FsError> {
        check_plain(op, path)?;
        open_parent(self.fd.as_fd(), self.device, path).map_err(|error| self.error(op, path, error))
    }

    fn open_directory(&self, op: FsOp, path: &Path) -> Result<OwnedFd, FsError> {
        check_plain(op, path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if path.as_os_str().is_empty() {
            return retry_on_intr(|| openat(&self.fd, ".", flags, Mode::empty()))
                .map_err(|error| self.error(op, path, error));
        }
        open_below(self.fd.as_fd(), self.device, path, flags)
            .map_err(|error| open_dir_error(self.shown.join(path), error))
    }

    fn open_file(&self, path: &Path, flags: OFlags) -> Result<RealFile, FsError> {
        check_plain(FsOp::OpenFile, path)?;
        // without NONBLOCK a pipe that someone planted would hold this thread for ever
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        let shown = self.shown.join(path);
        let fd = open_below(self.fd.as_fd(), self.device, path, flags)
            .map_err(|error| FsError::new(FsOp::OpenFile, shown.clone(), error))?;
        let stat = retry_on_intr(|| fstat(&fd));
        let stat = stat.map_err(|error| FsError::new(FsOp::Metadata, shown.clone(), error))?;
        if kind_of(FileType::from_raw_mode(stat.st_mode)) != FileKind::File {
            return Err(FsError::refused(FsOp::OpenFile, shown, Refusal::NotAFile));
        }
        Ok(RealFile::new(fd, shown))
    }

    fn real<'a>(&self, op: FsOp, other: &'a dyn Dir, path: &Path) -> Result<&'a Self, FsError> {
        other
            .as_any()
            .downcast_ref()
            .ok_or_else(|| FsError::refused(op, self.shown.join(path), Refusal::ForeignHandle))
    }
}

impl Dir for RealDir {
    fn shown_path(&self) -> PathBuf {
        self.shown.clone()
    }

    fn open_dir(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError> {
        let fd = self.open_directory(FsOp::OpenDir, path)?;
        Ok(Arc::new(Self::new(fd, self.shown.join(path))?))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, FsError> {
        if path.as_os_str().is_empty() {
            let stat = retry_on_intr(|| fstat(&self.fd));
            let stat = stat.map_err(|error| self.error(FsOp::Metadata, path, error))?;
            return Ok(metadata_of(&stat));
        }
        self.at(FsOp::Metadata, path, |parent, name| {
            statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        })
        .map(|stat| metadata_of(&stat))
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>, FsError> {
        let fd = self.open_directory(FsOp::ReadDir, path)?;
        let mut entries = list(&fd).map_err(|error| self.error(FsOp::ReadDir, path, error))?;
        if entries.len() > DIRECTORY_ENTRIES_MAX {
            let refusal = Refusal::TooManyEntries;
            return Err(FsError::refused(FsOp::ReadDir, self.shown.join(path), refusal));
        }
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, path: &Path) -> Result<(), FsError> {
        self.at(FsOp::CreateDir, path, |parent, name| {
            mkdirat(parent, name, Mode::from_raw_mode(0o755))
        })
    }

    fn create_new(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = self.at(FsOp::CreateFile, path, |parent, name| {
            openat(parent, name, flags, Mode::from_raw_mode(0o644))
        })?;
        set_mode(&fd, false).map_err(|error| self.error(FsOp::SetMode, path, error))?;
        Ok(Box::new(RealFile::new(fd, self.shown.join(path))))
    }

    fn open_read(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        Ok(Box::new(self.open_file(path, OFlags::RDONLY)?))
    }

    fn open_write(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        Ok(Box::new(self.open_file(path, OFlags::RDWR)?))
    }

    fn rename_file(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        // the kernel would let a directory replace an empty one
        if self.metadata(from)?.kind == FileKind::Dir {
            let refusal = Refusal::NotAFile;
            return Err(FsError::refused(FsOp::Rename, self.shown.join(from), refusal));
        }
        let (source, source_name) = self.parent(FsOp::Rename, from)?;
        self.at(FsOp::Rename, to, |target, name| {
            renameat(source.as_fd(), source_name, target, name)
        })
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        let (source, source_name) = self.parent(FsOp::Rename, from)?;
        self.at(FsOp::Rename, to, |target, name| {
            rename_to_free_name(source.as_fd(), source_name, target, name)
        })
    }

    fn hard_link(&self, source: &dyn Dir, from: &Path, to: &Path) -> Result<(), FsError> {
        let source = self.real(FsOp::Link, source, to)?;
        let (source, source_name) = source.parent(FsOp::Link, from)?;
        self.at(FsOp::Link, to, |target, name| {
            linkat(source.as_fd(), source_name, target, name, AtFlags::empty())
        })
    }

    fn copy_range(&self, source: &dyn Dir, copy: &CopyRange<'_>) -> Result<CopyKind, FsError> {
        let source = self.real(FsOp::Copy, source, copy.to)?;
        let from = source.open_file(copy.from, OFlags::RDONLY)?;
        let to = self.open_file(copy.to, OFlags::RDWR)?;
        copy_range(from.inner(), copy.from_offset, to.inner(), copy.to_offset, copy.len)
            .map_err(|error| FsError::new(FsOp::Copy, self.shown.join(copy.to), error))
    }

    fn remove_file(&self, path: &Path) -> Result<(), FsError> {
        self.at(FsOp::RemoveFile, path, |parent, name| unlinkat(parent, name, AtFlags::empty()))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FsError> {
        self.at(FsOp::RemoveDir, path, |parent, name| unlinkat(parent, name, AtFlags::REMOVEDIR))
    }

    fn set_executable(&self, path: &Path, executable: bool) -> Result<(), FsError> {
        let file = self.open_file(path, OFlags::RDONLY)?;
        set_mode(file.inner(), executable).map_err(|error| self.error(FsOp::SetMode, path, error))
    }

    fn make_dir_writable(&self, path: &Path) -> Result<(), FsError> {
        // opening needs the right to read, which a directory of the user nearly always has
        let fd = self.open_directory(FsOp::SetMode, path)?;
        retry_on_intr(|| {
            let mode = Mode::from_raw_mode(fstat(&fd)?.st_mode) | Mode::RWXU;
            rustix::fs::fchmod(&fd, mode)
        })
        .map_err(|error| self.error(FsOp::SetMode, path, error))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), FsError> {
        let fd = self.open_directory(FsOp::SyncDir, path)?;
        retry_on_intr(|| fsync(&fd)).map_err(|error| self.error(FsOp::SyncDir, path, error))
    }

    fn sync_batch(&self, files: &[PathBuf], dirs: &[PathBuf]) -> Result<(), FsError> {
        let many = files.len() + dirs.len() > SYNC_EACH_MAX;
        if many && let Some(result) = sync_whole(&self.fd) {
            return result.map_err(|error| self.error(FsOp::SyncBatch, Path::new(""), error));
        }
        for file in files {
            self.open_file(file, OFlags::RDONLY)?.sync()?;
        }
        for dir in dirs {
            self.sync_dir(dir)?;
        }
        Ok(())
    }

    fn free_space(&self) -> Result<Option<u64>, FsError> {
        let stat = retry_on_intr(|| fstatvfs(&self.fd))
            .map_err(|error| self.error(FsOp::FreeSpace, Path::new(""), error))?;
        Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn HeldLock>>, FsError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = self.at(FsOp::Lock, path, |parent, name| {
            openat(parent, name, flags | OFlags::NONBLOCK, Mode::from_raw_mode(0o644))
        })?;
        let file = std::fs::File::from(fd);
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(RealLock(file)))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => {
                Err(FsError::new(FsOp::Lock, self.shown.join(path), error))
            }
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What `stat` says, in the words of this crate.
#[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
pub(super) fn metadata_of(stat: &Stat) -> Metadata {
    let seconds = i64::from(stat.st_mtime).saturating_mul(1_000_000_000);
    Metadata {
        kind: kind_of(FileType::from_raw_mode(stat.st_mode)),
        len: u64::try_from(stat.st_size).unwrap_or(0),
        modified_ns: seconds.saturating_add(stat.st_mtime_nsec as i64),
        inode: Some(stat.st_ino as u64),
        device: Some(device_number(stat)),
        executable: stat.st_mode & 0o100 != 0,
    }
}

fn kind_of(file_type: FileType) -> FileKind {
    match file_type {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Dir,
        FileType::Symlink => FileKind::Link,
        _ => FileKind::Other,
    }
}

/// `O_DIRECTORY | O_NOFOLLOW` on a link says "not a directory"; the user needs to know it is one.
fn open_dir_error(path: PathBuf, error: Errno) -> FsError {
    let is_link = std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
    match error {
        Errno::NOTDIR | Errno::LOOP if is_link => {
            FsError::refused(FsOp::OpenDir, path, Refusal::Link)
        }
        Errno::XDEV => FsError::refused(FsOp::OpenDir, path, Refusal::OtherDevice),
        _ => FsError::new(FsOp::OpenDir, path, error),
    }
}

/// Lists one more entry than the limit, so that the caller can tell.
fn list(fd: &OwnedFd) -> rustix::io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    let mut reader = rustix::fs::Dir::read_from(fd)?;
    while let Some(entry) = reader.read() {
        let entry = entry?;
        let bytes = entry.file_name().to_bytes();
        if bytes == b"." || bytes == b".." {
            continue;
        }
        let name = OsStr::from_bytes(bytes);
        let kind = match entry.file_type() {
            FileType::Unknown => match statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                stat => FileType::from_raw_mode(stat?.st_mode),
            },
            known => known,
        };
        entries.push(DirEntry { name: name.to_owned(), kind: kind_of(kind) });
        if entries.len() > DIRECTORY_ENTRIES_MAX {
            break;
        }
    }
    Ok(entries)
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn rename_to_free_name(
    source: BorrowedFd<'_>,
    source_name: &OsStr,
    target: BorrowedFd<'_>,
    name: &OsStr,
) -> rustix::io::Result<()> {
    use rustix::fs::{RenameFlags, renameat_with};

    match renameat_with(source, source_name, target, name, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            rename_after_look(source, source_name, target, name)
        }
        result => result,
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn rename_to_free_name(
    source: BorrowedFd<'_>,
    source_name: &OsStr,
    target: BorrowedFd<'_>,
    name: &OsStr,
) -> rustix::io::Result<()> {
    rename_after_look(source, source_name, target, name)
}

/// For file systems that cannot refuse by themselves. Between look and rename another program
/// could take the name; ours cannot, it holds the lease.
fn rename_after_look(
    source: BorrowedFd<'_>,
    source_name: &OsStr,
    target: BorrowedFd<'_>,
    name: &OsStr,
) -> rustix::io::Result<()> {
    match statat(target, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => renameat(source, source_name, target, name),
        Err(error) => Err(error),
    }
}

/// One flush of the file system, `None` where that does not exist or does not tell its errors.
#[cfg(target_os = "linux")]
fn sync_whole(fd: &OwnedFd) -> Option<rustix::io::Result<()>> {
    use std::sync::LazyLock;

    // before 5.8 syncfs returned success whatever had happened to the pages
    static TELLS_ERRORS: LazyLock<bool> = LazyLock::new(|| {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        kernel_is_at_least(&release, 5, 8)
    });
    TELLS_ERRORS.then(|| retry_on_intr(|| rustix::fs::syncfs(fd)))
}

#[cfg(not(target_os = "linux"))]
fn sync_whole(_fd: &OwnedFd) -> Option<rustix::io::Result<()>> {
    None
}

#[cfg(target_os = "linux")]
fn kernel_is_at_least(release: &str, major: u32, minor: u32) -> bool {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    let mut next = || numbers.next().and_then(|text| text.parse::<u32>().ok());
    match (next(), next()) {
        (Some(found_major), Some(found_minor)) => (found_major, found_minor) >= (major, minor),
        _ => false,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_compared_by_number() {
        assert!(kernel_is_at_least("6.18.44-x", 5, 8));
        assert!(kernel_is_at_least("5.8.0", 5, 8));
        assert!(kernel_is_at_least("5.10", 5, 8));
        assert!(!kernel_is_at_least("5.7.19", 5, 8));
        assert!(!kernel_is_at_least("4.19.0", 5, 8));
        assert!(!kernel_is_at_least("", 5, 8));
    }
}
