//! An open file of the simulated machine.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::super::{File, FsError, FsOp, Metadata};
use super::dir::{lock, metadata_of};
use super::machine::{Fault, Machine, errno};
use super::world::{Change, Inode, Thing};

/// An open file.
pub(super) struct SimFile {
    pub(super) machine: Arc<Mutex<Machine>>,
    pub(super) inode: Inode,
    pub(super) shown: PathBuf,
}

/// The code of the system for a full disk.
const NO_SPACE: i32 = if cfg!(windows) { 112 } else { 28 };

impl SimFile {
    fn len(machine: &Machine, inode: Inode) -> usize {
        match machine.seen.thing(inode) {
            Some(Thing::File { bytes, .. }) => bytes.len(),
            _ => 0,
        }
    }

    /// Writes, counted as one call of `op`.
    pub(super) fn write_as(&self, op: FsOp, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        let mut machine = lock(&self.machine);
        let fault = machine.change(op, &self.shown)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let len = Self::len(&machine, self.inode);
        let more = offset.saturating_add(bytes.len()).saturating_sub(len);
        if !machine.has_space(more as u64) {
            return Err(errno(op, &self.shown, NO_SPACE));
        }
        let (bytes, failed) = match fault {
            Some(Fault::HalfThenErrno(code)) => (&bytes[..bytes.len() / 2], Some(code)),
            _ => (bytes, None),
        };
        let modified = machine.now();
        let bytes = bytes.to_vec();
        machine.make(Change::Bytes { file: self.inode, offset, bytes, modified });
        match failed {
            Some(code) => Err(errno(op, &self.shown, code)),
            None => Ok(()),
        }
    }
}

impl File for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError> {
        let mut machine = lock(&self.machine);
        machine.read(FsOp::Read, &self.shown)?;
        let Some(Thing::File { bytes, .. }) = machine.seen.thing(self.inode) else { return Ok(0) };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        self.write_as(FsOp::Write, offset, bytes)
    }

    fn metadata(&self) -> Result<Metadata, FsError> {
        let mut machine = lock(&self.machine);
        machine.read(FsOp::Metadata, &self.shown)?;
        Ok(metadata_of(&machine, self.inode))
    }

    fn set_len(&self, len: u64) -> Result<(), FsError> {
        let mut machine = lock(&self.machine);
        machine.change_whole(FsOp::SetLen, &self.shown)?;
        let now = Self::len(&machine, self.inode) as u64;
        let fits = machine.has_space(len.saturating_sub(now));
        let len = usize::try_from(len).ok().filter(|_| fits);
        let len = len.ok_or_else(|| errno(FsOp::SetLen, &self.shown, NO_SPACE))?;
        let modified = machine.now();
        machine.make(Change::Len { file: self.inode, len, modified });
        Ok(())
    }

    fn reserve(&self, len: u64) -> Result<(), FsError> {
        self.set_len(len)
    }

    fn set_executable(&self, executable: bool) -> Result<(), FsError> {
        let mut machine = lock(&self.machine);
        machine.change_whole(FsOp::SetMode, &self.shown)?;
        machine.make(Change::Mode { file: self.inode, executable });
        Ok(())
    }

    fn sync(&self) -> Result<(), FsError> {
        lock(&self.machine).flush(FsOp::SyncFile, &self.shown, self.inode)
    }
}
