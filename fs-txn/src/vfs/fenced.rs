//! A directory handle that asks a lease before every change: a worker whose lease was taken away
//! can read on, but not one byte or name below the handle changes by it any more.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CopyKind, CopyRange, Dir, DirEntry, File, FsError, FsOp, HeldLock, Metadata, Refusal};
use crate::lease::{LeaseGuard, LeasePass};

/// A handle under a lease. Handles and files opened through it are under the same lease.
pub struct FencedDir {
    inner: Arc<dyn Dir>,
    lease: LeaseGuard,
}

impl FencedDir {
    /// Puts a handle under a lease.
    #[must_use]
    pub fn new(inner: Arc<dyn Dir>, lease: LeaseGuard) -> Self {
        Self { inner, lease }
    }

    fn pass(&self, op: FsOp, path: &Path) -> Result<LeasePass<'_>, FsError> {
        pass(&self.lease, op, || self.inner.shown_path().join(path))
    }

    fn fence_file(&self, file: Box<dyn File>, path: &Path) -> Box<dyn File> {
        let path = self.inner.shown_path().join(path);
        Box::new(FencedFile { inner: file, lease: self.lease.clone(), path })
    }
}

fn pass<'a>(
    lease: &'a LeaseGuard,
    op: FsOp,
    path: impl FnOnce() -> PathBuf,
) -> Result<LeasePass<'a>, FsError> {
    lease.enter().map_err(|_fenced| FsError::refused(op, path(), Refusal::Fenced))
}

impl Dir for FencedDir {
    fn shown_path(&self) -> PathBuf {
        self.inner.shown_path()
    }

    fn open_dir(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError> {
        Ok(Arc::new(Self { inner: self.inner.open_dir(path)?, lease: self.lease.clone() }))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, FsError> {
        self.inner.metadata(path)
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>, FsError> {
        self.inner.read_dir(path)
    }

    fn create_dir(&self, path: &Path) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::CreateDir, path)?;
        self.inner.create_dir(path)
    }

    fn create_new(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        let _pass = self.pass(FsOp::CreateFile, path)?;
        Ok(self.fence_file(self.inner.create_new(path)?, path))
    }

    fn open_read(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        self.inner.open_read(path)
    }

    fn open_write(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        let _pass = self.pass(FsOp::OpenFile, path)?;
        Ok(self.fence_file(self.inner.open_write(path)?, path))
    }

    fn rename_file(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::Rename, from)?;
        self.inner.rename_file(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::Rename, from)?;
        self.inner.rename_new(from, to)
    }

    fn hard_link(&self, source: &dyn Dir, from: &Path, to: &Path) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::Link, to)?;
        self.inner.hard_link(source, from, to)
    }

    fn copy_range(&self, source: &dyn Dir, copy: &CopyRange<'_>) -> Result<CopyKind, FsError> {
        let _pass = self.pass(FsOp::Copy, copy.to)?;
        self.inner.copy_range(source, copy)
    }

    fn remove_file(&self, path: &Path) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::RemoveFile, path)?;
        self.inner.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::RemoveDir, path)?;
        self.inner.remove_dir(path)
    }

    fn set_executable(&self, path: &Path, executable: bool) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::SetMode, path)?;
        self.inner.set_executable(path, executable)
    }

    fn make_dir_writable(&self, path: &Path) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::SetMode, path)?;
        self.inner.make_dir_writable(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::SyncDir, path)?;
        self.inner.sync_dir(path)
    }

    fn sync_batch(&self, files: &[PathBuf], dirs: &[PathBuf]) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::SyncBatch, Path::new(""))?;
        self.inner.sync_batch(files, dirs)
    }

    fn free_space(&self) -> Result<Option<u64>, FsError> {
        self.inner.free_space()
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn HeldLock>>, FsError> {
        let _pass = self.pass(FsOp::Lock, path)?;
        self.inner.try_lock(path)
    }

    fn as_any(&self) -> &dyn Any {
        // calls that need two handles need the system's own
        self.inner.as_any()
    }
}

struct FencedFile {
    inner: Box<dyn File>,
    lease: LeaseGuard,
    path: PathBuf,
}

impl FencedFile {
    fn pass(&self, op: FsOp) -> Result<LeasePass<'_>, FsError> {
        pass(&self.lease, op, || self.path.clone())
    }
}

impl File for FencedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError> {
        self.inner.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::Write)?;
        self.inner.write_at(offset, bytes)
    }

    fn metadata(&self) -> Result<Metadata, FsError> {
        self.inner.metadata()
    }

    fn set_len(&self, len: u64) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::SetLen)?;
        self.inner.set_len(len)
    }

    fn reserve(&self, len: u64) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::SetLen)?;
        self.inner.reserve(len)
    }

    fn set_executable(&self, executable: bool) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::SetMode)?;
        self.inner.set_executable(executable)
    }

    fn sync(&self) -> Result<(), FsError> {
        let _pass = self.pass(FsOp::SyncFile)?;
        self.inner.sync()
    }
}
