//! Which files an install wrote, kept beside the marker: what is not in it, or not as it says, is
//! the user's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic::{read_limited_at, write_atomic};
use crate::intent::is_odd_file;
use crate::layout;
use crate::limits::INSTALLED_LIST_BYTES_MAX;
use crate::record::{self, Kind};
use crate::vfs::{Dir, FsError, FsOp, Metadata};

/// One installed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledFile {
    /// Path below `local/`, `/` between components.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change as the system told it after the last write.
    pub modified_ns: i64,
    /// BLAKE3 of the content in hexadecimal; absent where the blocks are shared with the payload
    /// and were not read.
    pub hash: Option<String>,
}

/// Everything an install wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstalledList {
    /// Files, in the order in which they were written.
    pub files: Vec<InstalledFile>,
    /// Directories, outermost first.
    pub dirs: Vec<String>,
}

impl InstalledList {
    /// Reads the list of `inside`, a directory below `root`; `None` if there is none or it is
    /// damaged: then nothing is known and every file counts as the user's.
    pub fn read(root: &dyn Dir, inside: &Path) -> Result<Option<Self>, FsError> {
        let path = inside.join(layout::INSTALLED_LIST);
        let bytes = match read_limited_at(root, &path, INSTALLED_LIST_BYTES_MAX) {
            Err(error) if is_odd_file(&error) => None,
            result => result?,
        };
        Ok(bytes.and_then(|bytes| record::decode(Kind::InstalledList, &bytes).ok()))
    }

    pub(crate) fn write(&self, dir: &dyn Dir) -> Result<(), FsError> {
        let bytes = record::encode(Kind::InstalledList, self).map_err(|error| {
            FsError::new(FsOp::Write, dir.shown_path().join(layout::INSTALLED_LIST), error)
        })?;
        write_atomic(dir, layout::INSTALLED_LIST, &bytes)
    }

    /// Files by their path on this system.
    pub(crate) fn by_path(&self) -> BTreeMap<PathBuf, &InstalledFile> {
        self.files.iter().map(|file| (system_path(&file.path), file)).collect()
    }

    /// Directories on this system.
    pub(crate) fn dir_paths(&self) -> Vec<PathBuf> {
        self.dirs.iter().map(|dir| system_path(dir)).collect()
    }
}

impl InstalledFile {
    /// Whether size and time say that nobody touched the file since.
    pub(crate) fn looks_untouched(&self, found: &Metadata) -> bool {
        self.size == found.len && self.modified_ns == found.modified_ns
    }
}

fn system_path(text: &str) -> PathBuf {
    text.split('/').collect()
}
