//! Where a scenario runs: a file system and the folder that stands for `/` on it, so that the
//! same operations run on the simulated machine and on the real one.

#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(unix)]
use crate::vfs::RealVfs;
use crate::vfs::sim::SimVfs;
use crate::vfs::{Dir, FsError, Vfs};

/// A file system and its top.
pub(super) struct Place {
    vfs: Box<dyn Vfs>,
    top: PathBuf,
}

impl Place {
    /// A simulated machine.
    pub(super) fn of(machine: &SimVfs) -> Self {
        Self { vfs: Box::new(machine.clone()), top: "/".into() }
    }

    /// A folder of the real one.
    #[cfg(unix)]
    pub(super) fn real(top: &Path) -> Self {
        Self { vfs: Box::new(RealVfs), top: top.to_path_buf() }
    }

    /// Opens a folder by its path on the simulated machine.
    pub(super) fn open(&self, path: &str) -> Result<Arc<dyn Dir>, FsError> {
        self.vfs.open_root(&self.top.join(path.trim_start_matches('/')))
    }
}
