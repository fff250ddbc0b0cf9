//! The shelf of a real download: the staging in the game root, and what stands beside it.
//!
//! All calls block. Verifies nothing: its users hash what they read and write.

use std::{path::PathBuf, sync::Arc};

use lanspread_fs_txn::{Dir, DownloadStaging, FsError, payload::system_path};
use lanspread_wire::{RelPath, printable};

use super::{
    failure::code_of,
    reuse::Origin,
    target::Target,
    writer::{Shelf, ShelfError},
};
use crate::api::ErrorCode;

/// The staging of one download.
pub struct StagingShelf {
    staging: DownloadStaging,
    root: Arc<dyn Dir>,
    target: Arc<Target>,
}

/// Only the game root: for looking at it without changing anything.
pub struct RootShelf {
    root: Arc<dyn Dir>,
    target: Arc<Target>,
}

impl StagingShelf {
    pub fn new(staging: DownloadStaging, root: Arc<dyn Dir>, target: Arc<Target>) -> Self {
        Self { staging, root, target }
    }

    /// The staging, to be committed or parked.
    pub fn into_staging(self) -> DownloadStaging {
        self.staging
    }
}

impl RootShelf {
    pub fn new(root: Arc<dyn Dir>, target: Arc<Target>) -> Self {
        Self { root, target }
    }
}

impl Shelf for StagingShelf {
    fn write_at(&self, file: u32, offset: u64, bytes: &[u8]) -> Result<(), ShelfError> {
        Ok(self.staging.write_at(file as usize, offset, bytes)?)
    }

    fn read_at(&self, file: u32, offset: u64, buffer: &mut [u8]) -> Result<usize, ShelfError> {
        Ok(self.staging.read_at(file as usize, offset, buffer)?)
    }

    fn read_in_place(
        &self,
        file: u32,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, ShelfError> {
        read_wanted(&*self.root, &self.target, file, offset, buffer)
    }

    fn read_origin(
        &self,
        origin: &Origin,
        skip: u64,
        buffer: &mut [u8],
    ) -> Result<usize, ShelfError> {
        match origin {
            Origin::Root { path, offset } => read_path(&*self.root, path, offset + skip, buffer),
            Origin::Previous { file, offset } => match self.staging.previous() {
                Some(previous) => Ok(previous
                    .read_at(*file as usize, offset + skip, buffer)
                    .map_err(|error| of_fs(&error))?),
                None => Ok(0),
            },
        }
    }

    fn keep_in_place(&self, file: u32) -> Result<(), ShelfError> {
        Ok(self.staging.keep_in_place(file as usize)?)
    }

    fn save_progress(&self, progress: &[u8]) -> Result<(), ShelfError> {
        Ok(self.staging.save_progress(progress)?)
    }

    fn bytes_free(&self) -> Result<Option<u64>, ShelfError> {
        self.root.free_space().map_err(|error| of_fs(&error))
    }
}

impl Shelf for RootShelf {
    fn write_at(&self, _file: u32, _offset: u64, _bytes: &[u8]) -> Result<(), ShelfError> {
        Err(read_only())
    }

    fn read_at(&self, file: u32, offset: u64, buffer: &mut [u8]) -> Result<usize, ShelfError> {
        read_wanted(&*self.root, &self.target, file, offset, buffer)
    }

    fn read_in_place(
        &self,
        file: u32,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, ShelfError> {
        read_wanted(&*self.root, &self.target, file, offset, buffer)
    }

    fn read_origin(
        &self,
        _origin: &Origin,
        _skip: u64,
        _buffer: &mut [u8],
    ) -> Result<usize, ShelfError> {
        Err(read_only())
    }

    fn keep_in_place(&self, _file: u32) -> Result<(), ShelfError> {
        Err(read_only())
    }

    fn save_progress(&self, _progress: &[u8]) -> Result<(), ShelfError> {
        Err(read_only())
    }

    fn bytes_free(&self) -> Result<Option<u64>, ShelfError> {
        self.root.free_space().map_err(|error| of_fs(&error))
    }
}

fn read_wanted(
    root: &dyn Dir,
    target: &Target,
    file: u32,
    offset: u64,
    buffer: &mut [u8],
) -> Result<usize, ShelfError> {
    match target.manifest.files.get(file as usize) {
        Some(entry) => read_path(root, &entry.path, offset, buffer),
        None => Ok(0),
    }
}

fn read_path(
    root: &dyn Dir,
    path: &RelPath,
    offset: u64,
    buffer: &mut [u8],
) -> Result<usize, ShelfError> {
    let Some(path) = disk_path(path) else {
        let message = format!("{} is no path of this system", printable(path.as_str()));
        return Err(ShelfError { code: ErrorCode::BadContent, message });
    };
    let file = root.open_read(&path).map_err(|error| of_fs(&error))?;
    file.read_at(offset, buffer).map_err(|error| of_fs(&error))
}

/// A payload path as this system writes it.
pub fn disk_path(path: &RelPath) -> Option<PathBuf> {
    system_path(path.as_str())
}

fn of_fs(error: &FsError) -> ShelfError {
    ShelfError { code: code_of(error.code()), message: error.to_string() }
}

fn read_only() -> ShelfError {
    let message = "nothing is written while a game is looked at".to_owned();
    ShelfError { code: ErrorCode::Internal, message }
}
