//! One program per folder: an advisory lock that names the process which holds it.

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use crate::atomic::{read_limited, write_atomic};
use crate::layout;
use crate::limits::RECORD_BYTES_MAX;
use crate::vfs::{Dir, FsError, HeldLock, remove_file_if_present};

/// The lock of a games or state folder, held as long as the value lives.
pub struct FolderLock {
    dir: Arc<dyn Dir>,
    held: Option<Box<dyn HeldLock>>,
}

/// Why a folder could not be locked.
#[derive(Debug, Error)]
pub enum FolderLockError {
    /// Another program works on it.
    #[error("{folder} is in use by another program ({holder})")]
    Held {
        /// The folder.
        folder: String,
        /// Who, as that program wrote it: its process id and program name.
        holder: String,
    },
    /// The folder does not allow a lock.
    #[error("cannot lock the folder: {0}")]
    Fs(#[from] FsError),
}

impl FolderLock {
    /// Locks a folder for this process; `program` is what others are told beside the process id.
    pub fn acquire(dir: Arc<dyn Dir>, program: &str) -> Result<Self, FolderLockError> {
        match dir.try_lock(Path::new(layout::FOLDER_LOCK))? {
            Some(held) => {
                let lock = Self { dir, held: Some(held) };
                let holder = format!("process {}, {program}", std::process::id());
                write_atomic(&*lock.dir, layout::FOLDER_LOCK_HOLDER, holder.as_bytes())?;
                Ok(lock)
            }
            None => Err(FolderLockError::Held {
                folder: crate::vfs::shown(&dir.shown_path()),
                holder: read_holder(&*dir),
            }),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // a stale holder file only matters while the lock is held, so a failure changes nothing
        remove_file_if_present(&*self.dir, Path::new(layout::FOLDER_LOCK_HOLDER)).ok();
        self.held.take();
    }
}

fn read_holder(dir: &dyn Dir) -> String {
    let bytes = read_limited(dir, layout::FOLDER_LOCK_HOLDER, RECORD_BYTES_MAX);
    match bytes {
        Ok(Some(bytes)) => crate::vfs::shown(Path::new(String::from_utf8_lossy(&bytes).as_ref())),
        _ => "unknown process".to_owned(),
    }
}
