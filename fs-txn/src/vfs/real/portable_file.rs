//! An open regular file on systems without Unix handles (Windows).

use std::fs;
use std::path::PathBuf;

use super::super::{File, FsError, FsOp, HeldLock, Metadata, Refusal};
use super::portable::metadata_of;

/// A file and the path it was opened by.
pub(super) struct RealFile {
    file: fs::File,
    shown: PathBuf,
}

impl RealFile {
    pub(super) fn new(file: fs::File, shown: PathBuf) -> Self {
        Self { file, shown }
    }

    fn error(&self, op: FsOp, source: std::io::Error) -> FsError {
        FsError::new(op, self.shown.clone(), source)
    }
}

impl File for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError> {
        loop {
            match read_once(&self.file, buffer, offset) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(FsOp::Read, error)),
                Ok(count) => return Ok(count),
            }
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        let mut done = 0;
        while done < bytes.len() {
            match write_once(&self.file, &bytes[done..], offset + done as u64) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(FsOp::Write, error)),
                Ok(0) => return Err(FsError::refused(FsOp::Write, &self.shown, Refusal::Short)),
                Ok(count) => done += count,
            }
        }
        Ok(())
    }

    fn metadata(&self) -> Result<Metadata, FsError> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(|error| self.error(FsOp::Metadata, error))?;
        Ok(metadata_of(&metadata))
    }

    fn set_len(&self, len: u64) -> Result<(), FsError> {
        self.file.set_len(len).map_err(|error| self.error(FsOp::SetLen, error))
    }

    fn reserve(&self, len: u64) -> Result<(), FsError> {
        // NTFS allocates the clusters of a file when its length is set
        self.set_len(len)
    }

    fn set_executable(&self, _executable: bool) -> Result<(), FsError> {
        Ok(())
    }

    fn sync(&self) -> Result<(), FsError> {
        self.file.sync_all().map_err(|error| self.error(FsOp::SyncFile, error))
    }
}

#[cfg(windows)]
fn read_once(file: &fs::File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(windows)]
fn write_once(file: &fs::File, bytes: &[u8], offset: u64) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
}

#[cfg(not(windows))]
fn read_once(_file: &fs::File, _buffer: &mut [u8], _offset: u64) -> std::io::Result<usize> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(not(windows))]
fn write_once(_file: &fs::File, _bytes: &[u8], _offset: u64) -> std::io::Result<usize> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// The file that carries a lock; closing it gives the lock back.
pub(super) struct RealLock(#[expect(dead_code, reason = "held for its drop")] pub(super) fs::File);

impl HeldLock for RealLock {}
