//! An open regular file on Unix.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{Mode, fchmod, fstat};
use rustix::io::{Errno, retry_on_intr};

use super::super::{File, FsError, FsOp, HeldLock, Metadata};
use super::unix::metadata_of;

/// A file and the path it was opened by.
pub(super) struct RealFile {
    file: fs::File,
    shown: PathBuf,
}

impl RealFile {
    pub(super) fn new(fd: OwnedFd, shown: PathBuf) -> Self {
        Self { file: fs::File::from(fd), shown }
    }

    pub(super) fn inner(&self) -> &fs::File {
        &self.file
    }

    fn error(&self, op: FsOp, source: impl Into<std::io::Error>) -> FsError {
        FsError::new(op, self.shown.clone(), source)
    }
}

impl File for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(FsOp::Read, error)),
                Ok(count) => return Ok(count),
            }
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        self.file.write_all_at(bytes, offset).map_err(|error| self.error(FsOp::Write, error))
    }

    fn metadata(&self) -> Result<Metadata, FsError> {
        let stat = retry_on_intr(|| fstat(&self.file));
        stat.map(|stat| metadata_of(&stat)).map_err(|error| self.error(FsOp::Metadata, error))
    }

    fn set_len(&self, len: u64) -> Result<(), FsError> {
        self.file.set_len(len).map_err(|error| self.error(FsOp::SetLen, error))
    }

    fn reserve(&self, len: u64) -> Result<(), FsError> {
        self.set_len(len)?;
        reserve_blocks(&self.file, len).map_err(|error| self.error(FsOp::SetLen, error))
    }

    fn set_executable(&self, executable: bool) -> Result<(), FsError> {
        set_mode(&self.file, executable).map_err(|error| self.error(FsOp::SetMode, error))
    }

    fn sync(&self) -> Result<(), FsError> {
        self.file.sync_all().map_err(|error| self.error(FsOp::SyncFile, error))
    }
}

/// Reserves blocks; a file system that cannot is told apart from one that is full.
#[cfg(target_os = "linux")]
fn reserve_blocks(file: &fs::File, len: u64) -> rustix::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};

    if len == 0 {
        return Ok(());
    }
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, len)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV | Errno::INVAL) => Ok(()),
        result => result,
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve_blocks(_file: &fs::File, _len: u64) -> rustix::io::Result<()> {
    Ok(())
}

/// Sets one of the two modes that files of a game may have. File systems without modes refuse
/// the call; what they show is then decided by their mount and cannot be wrong.
pub(super) fn set_mode(fd: impl std::os::fd::AsFd, executable: bool) -> rustix::io::Result<()> {
    let mode = if executable { 0o755 } else { 0o644 };
    match retry_on_intr(|| fchmod(&fd, Mode::from_raw_mode(mode))) {
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        result => result,
    }
}

/// The file that carries a lock; closing it gives the lock back.
pub(super) struct RealLock(#[expect(dead_code, reason = "held for its drop")] pub(super) fs::File);

impl HeldLock for RealLock {}
