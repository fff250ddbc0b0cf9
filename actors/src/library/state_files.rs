//! One folder of the state folder and the files in it: read with a limit, written whole or not at
//! all, set aside when damaged. Blocking. Knows nothing of what is in the files.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use lanspread_fs_txn::{
    atomic::{read_limited, set_aside_corrupt, write_atomic_by},
    vfs::{Dir, FsError, RealVfs, Vfs, remove_file_if_present},
};

/// A folder for state files. It is made when the first file is written.
#[derive(Clone, Debug)]
pub(crate) struct StateFiles {
    dir: PathBuf,
}

impl StateFiles {
    /// The files of this folder.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// A whole file of at most `bytes_max` bytes, or `None` if there is none.
    pub(crate) fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, FsError> {
        match self.open()? {
            Some(dir) => read_limited(&*dir, name, bytes_max),
            None => Ok(None),
        }
    }

    /// Whether a file of that name is there.
    pub(crate) fn contains(&self, name: &str) -> Result<bool, FsError> {
        let Some(dir) = self.open()? else {
            return Ok(false);
        };
        Ok(lanspread_fs_txn::vfs::look(&*dir, Path::new(name))?.is_some())
    }

    /// Writes a file whole or not at all. Several threads may write the same name.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FsError> {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let number = WRITES.fetch_add(1, Ordering::Relaxed);
        let dir = RealVfs.create_root(&self.dir)?;
        let tmp = format!(".{name}.{}.{number}.tmp", std::process::id());
        let written = write_atomic_by(&*dir, &tmp, name, bytes);
        if written.is_err() {
            // The first error is the one to report.
            remove_file_if_present(&*dir, Path::new(&tmp)).ok();
        }
        written
    }

    /// Removes a file if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), FsError> {
        match self.open()? {
            Some(dir) => remove_file_if_present(&*dir, Path::new(name)).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Puts a damaged file out of the way; returns where it is now.
    pub(crate) fn set_aside(&self, name: &str) -> Result<PathBuf, FsError> {
        let dir = RealVfs.create_root(&self.dir)?;
        Ok(self.dir.join(set_aside_corrupt(&*dir, name)?))
    }

    fn open(&self) -> Result<Option<Arc<dyn Dir>>, FsError> {
        match RealVfs.open_root(&self.dir) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
