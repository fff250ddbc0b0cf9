//! A file system in which somebody else is at work: a hook runs before each call that looks at
//! something, so that a test can change, remove or forbid things at exactly that moment.

use std::{
    any::Any,
    path::{Path, PathBuf},
    sync::Arc,
};

use lanspread_fs_txn::vfs::{
    CopyKind, CopyRange, Dir, DirEntry, File, FsError, FsOp, HeldLock, Metadata, RealVfs, Vfs,
};

/// Called with what is about to be done, and the path below the handle it is done on.
pub(crate) type Hook = Arc<dyn Fn(FsOp, &Path) -> Result<(), FsError> + Send + Sync>;

/// The real file system with a hook.
pub(crate) struct MeddledVfs(pub(crate) Hook);

struct MeddledDir {
    inner: Arc<dyn Dir>,
    hook: Hook,
}

struct MeddledFile {
    inner: Box<dyn File>,
    path: PathBuf,
    hook: Hook,
}

impl Vfs for MeddledVfs {
    fn open_root(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError> {
        (self.0)(FsOp::OpenDir, path)?;
        let inner = RealVfs.open_root(path)?;
        Ok(Arc::new(MeddledDir { inner, hook: self.0.clone() }))
    }
    fn create_root(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError> {
        RealVfs.create_root(path)
    }
}

impl Dir for MeddledDir {
    fn shown_path(&self) -> PathBuf {
        self.inner.shown_path()
    }
    fn open_dir(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError> {
        (self.hook)(FsOp::OpenDir, path)?;
        let inner = self.inner.open_dir(path)?;
        Ok(Arc::new(MeddledDir { inner, hook: self.hook.clone() }))
    }
    fn metadata(&self, path: &Path) -> Result<Metadata, FsError> {
        (self.hook)(FsOp::Metadata, path)?;
        self.inner.metadata(path)
    }
    fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>, FsError> {
        (self.hook)(FsOp::ReadDir, path)?;
        self.inner.read_dir(path)
    }
    fn create_dir(&self, path: &Path) -> Result<(), FsError> {
        self.inner.create_dir(path)
    }
    fn create_new(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        self.inner.create_new(path)
    }
    fn open_read(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        (self.hook)(FsOp::OpenFile, path)?;
        let inner = self.inner.open_read(path)?;
        Ok(Box::new(MeddledFile { inner, path: path.to_path_buf(), hook: self.hook.clone() }))
    }
    fn open_write(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        self.inner.open_write(path)
    }
    fn rename_file(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        self.inner.rename_file(from, to)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        self.inner.rename_new(from, to)
    }
    fn hard_link(&self, source: &dyn Dir, from: &Path, to: &Path) -> Result<(), FsError> {
        self.inner.hard_link(source, from, to)
    }
    fn copy_range(&self, source: &dyn Dir, copy: &CopyRange<'_>) -> Result<CopyKind, FsError> {
        self.inner.copy_range(source, copy)
    }
    fn remove_file(&self, path: &Path) -> Result<(), FsError> {
        self.inner.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> Result<(), FsError> {
        self.inner.remove_dir(path)
    }
    fn set_executable(&self, path: &Path, executable: bool) -> Result<(), FsError> {
        self.inner.set_executable(path, executable)
    }
    fn make_dir_writable(&self, path: &Path) -> Result<(), FsError> {
        self.inner.make_dir_writable(path)
    }
    fn sync_dir(&self, path: &Path) -> Result<(), FsError> {
        self.inner.sync_dir(path)
    }
    fn sync_batch(&self, files: &[PathBuf], dirs: &[PathBuf]) -> Result<(), FsError> {
        self.inner.sync_batch(files, dirs)
    }
    fn free_space(&self) -> Result<Option<u64>, FsError> {
        self.inner.free_space()
    }
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn HeldLock>>, FsError> {
        self.inner.try_lock(path)
    }
    fn as_any(&self) -> &dyn Any {
        self.inner.as_any()
    }
}

impl File for MeddledFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError> {
        (self.hook)(FsOp::Read, &self.path)?;
        self.inner.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        self.inner.write_at(offset, bytes)
    }
    fn metadata(&self) -> Result<Metadata, FsError> {
        self.inner.metadata()
    }
    fn set_len(&self, len: u64) -> Result<(), FsError> {
        self.inner.set_len(len)
    }
    fn reserve(&self, len: u64) -> Result<(), FsError> {
        self.inner.reserve(len)
    }
    fn set_executable(&self, executable: bool) -> Result<(), FsError> {
        self.inner.set_executable(executable)
    }
    fn sync(&self) -> Result<(), FsError> {
        self.inner.sync()
    }
}
