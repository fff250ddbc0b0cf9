//! The file system of the machine. On Unix every call is made below a directory handle; elsewhere
//! each component is checked for links before a path is used.

use std::path::Path;
use std::sync::Arc;

use super::{Dir, FsError, Vfs};

#[cfg(not(unix))]
mod portable;
#[cfg(not(unix))]
mod portable_file;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
mod unix_copy;
#[cfg(unix)]
mod unix_file;
#[cfg(unix)]
mod unix_resolve;

#[cfg(not(unix))]
use portable as system;
#[cfg(unix)]
use unix as system;

/// The production file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealVfs;

impl Vfs for RealVfs {
    fn open_root(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError> {
        Ok(Arc::new(system::open_root(path)?))
    }

    fn create_root(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError> {
        create_missing(path)?;
        self.open_root(path)
    }
}

/// Creates what is missing of `path`, the topmost first, each made durable in its parent.
fn create_missing(path: &Path) -> Result<(), FsError> {
    let mut missing = Vec::new();
    for ancestor in path.ancestors() {
        if ancestor.as_os_str().is_empty() {
            break;
        }
        match std::fs::metadata(ancestor) {
            Ok(_) => break,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => missing.push(ancestor),
            Err(error) => return Err(FsError::new(super::FsOp::Metadata, ancestor, error)),
        }
    }
    for directory in missing.into_iter().rev() {
        match std::fs::create_dir(directory) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(FsError::new(super::FsOp::CreateDir, directory, error)),
        }
        let parent = match directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        system::sync_path(parent)?;
    }
    Ok(())
}
