//! One file of an install while it is being written.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::list::InstalledFile;
use crate::ops::context::Txn;
use crate::ops::error::{TxnError, TxnFailure};
use crate::ops::magic::{MAGIC_LEN, is_executable};
use crate::ops::step::Step;
use crate::vfs::File;

/// What has been written so far; shared by the staging and its writers.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<WrittenFiles>>);

#[derive(Default)]
pub(super) struct WrittenFiles {
    /// Finished files.
    pub(super) files: Vec<InstalledFile>,
    /// Paths of files that are begun and not finished.
    pub(super) open: BTreeSet<String>,
}

impl Written {
    pub(super) fn lock(&self) -> MutexGuard<'_, WrittenFiles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes one file from its first byte to its last. [`FileWriter::finish`] is needed: an install
/// with a file that was not finished cannot be committed.
pub struct FileWriter {
    pub(super) txn: Txn,
    pub(super) file: Box<dyn File>,
    pub(super) path: String,
    pub(super) executable: Option<bool>,
    pub(super) written: Written,
    offset: u64,
    hasher: blake3::Hasher,
    first_bytes: Vec<u8>,
}

impl FileWriter {
    pub(super) fn new(
        txn: Txn,
        file: Box<dyn File>,
        path: String,
        executable: Option<bool>,
        written: Written,
    ) -> Self {
        let (hasher, first_bytes) = (blake3::Hasher::new(), Vec::with_capacity(MAGIC_LEN));
        Self { txn, file, path, executable, written, offset: 0, hasher, first_bytes }
    }

    /// The path below `local/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.offset
    }

    /// Appends.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), TxnError> {
        let missing = MAGIC_LEN.saturating_sub(self.first_bytes.len()).min(bytes.len());
        self.first_bytes.extend_from_slice(&bytes[..missing]);
        self.hasher.update(bytes);
        self.txn.at(Step::StagingWrite, self.file.write_at(self.offset, bytes))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Sets the mode and makes the file part of the install.
    pub fn finish(self) -> Result<(), TxnError> {
        let txn = self.txn.clone();
        txn.at(Step::StagingWrite, self.finish_file())
    }

    fn finish_file(self) -> Result<(), TxnFailure> {
        if self.executable.unwrap_or_else(|| is_executable(&self.first_bytes)) {
            self.file.set_executable(true)?;
        }
        let found = self.file.metadata()?;
        let file = InstalledFile {
            path: self.path,
            size: self.offset,
            modified_ns: found.modified_ns,
            hash: Some(self.hasher.finalize().to_hex().to_string()),
        };
        let mut written = self.written.lock();
        written.open.remove(&file.path);
        written.files.push(file);
        Ok(())
    }
}
