//! The staged files of a download: created with their first write, shared by several writers,
//! with a bounded number of open handles. Which file counts as executable is decided by its
//! first bytes, so that the same content has the same mode everywhere.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::plan::PlannedFile;
use crate::layout;
use crate::limits::{RESERVE_EARLY_BYTES_MIN, STAGING_HANDLES_MAX};
use crate::ops::error::TxnFailure;
use crate::ops::magic::{MAGIC_LEN, is_executable};
use crate::tree::regular_file;
use crate::vfs::{Dir, File, FsError, remove_file_if_present};

/// The staged files of one download.
pub(crate) struct StagedFiles {
    dir: Arc<dyn Dir>,
    files: Vec<PlannedFile>,
    slots: Vec<Mutex<Slot>>,
    /// Numbers of files with an open handle, the oldest first.
    open: Mutex<VecDeque<usize>>,
}

#[derive(Default)]
struct Slot {
    handle: Option<Arc<dyn File>>,
    /// Whether the file is known to be there with its full length.
    created: bool,
    /// What its first bytes say; `None` until they have been seen.
    executable: Option<bool>,
    /// Whether its bytes would survive a power cut.
    durability: Durability,
    /// Stays in the root; nothing is staged.
    keep: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Durability {
    /// Not written by this run. An earlier run may have been killed before it flushed, so the
    /// commit flushes such a file although its bytes can be read.
    #[default]
    Unknown,
    /// Written since it was last flushed.
    Dirty,
    /// Flushed.
    Durable,
}

impl StagedFiles {
    pub(crate) fn new(dir: Arc<dyn Dir>, files: Vec<PlannedFile>) -> Self {
        let slot = |file: &PlannedFile| Mutex::new(Slot { keep: file.keep, ..Slot::default() });
        let slots = files.iter().map(slot).collect();
        Self { dir, files, slots, open: Mutex::new(VecDeque::new()) }
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn planned(&self, file: usize) -> Result<&PlannedFile, TxnFailure> {
        self.files.get(file).ok_or_else(|| TxnFailure::OutOfRange(format!("file {file}")))
    }

    fn slot(&self, file: usize) -> Result<MutexGuard<'_, Slot>, TxnFailure> {
        let slot = self.slots.get(file);
        let slot = slot.ok_or_else(|| TxnFailure::OutOfRange(format!("file {file}")))?;
        Ok(slot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn is_kept(&self, file: usize) -> Result<bool, TxnFailure> {
        Ok(self.slot(file)?.keep)
    }

    /// The plan's files with what has been decided about keeping since.
    pub(crate) fn files_now(&self) -> Result<Vec<PlannedFile>, TxnFailure> {
        let mut files = self.files.clone();
        for (number, file) in files.iter_mut().enumerate() {
            file.keep = self.is_kept(number)?;
        }
        Ok(files)
    }

    /// Creates and reserves the large files, so that a full disk shows now and not in the middle.
    /// Those that are spared will probably be kept: they are created if they are written.
    pub(crate) fn reserve_large(
        &self,
        is_spared: &dyn Fn(usize) -> bool,
    ) -> Result<(), TxnFailure> {
        for (number, file) in self.files.iter().enumerate() {
            let is_needed = !is_spared(number) && !self.is_kept(number)?;
            if file.size >= RESERVE_EARLY_BYTES_MIN && is_needed {
                self.open_for_write(number)?;
            }
        }
        Ok(())
    }

    /// Writes part of a file.
    pub(crate) fn write_at(
        &self,
        file: usize,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), TxnFailure> {
        let size = self.check_range(file, offset, bytes.len())?;
        let handle = self.open_for_write(file)?;
        handle.write_at(offset, bytes)?;
        if offset == 0 && (bytes.len() >= MAGIC_LEN || bytes.len() as u64 == size) {
            self.note_first_bytes(file, &*handle, bytes)?;
        }
        drop(handle);
        let mut slot = self.slot(file)?;
        slot.durability = Durability::Dirty;
        if bytes.len() as u64 == size {
            slot.handle = None; // complete: many small files need no handles kept
        }
        Ok(())
    }

    /// Reads part of a file that is staged. 0 bytes mean its end.
    pub(crate) fn read_at(
        &self,
        file: usize,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, TxnFailure> {
        self.planned(file)?;
        let open = self.slot(file)?.handle.clone();
        if let Some(handle) = open {
            return Ok(handle.read_at(offset, buffer)?);
        }
        Ok(self.dir.open_read(&layout::staged_file(file))?.read_at(offset, buffer)?)
    }

    fn check_range(&self, file: usize, offset: u64, len: usize) -> Result<u64, TxnFailure> {
        let planned = self.planned(file)?;
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > planned.size) {
            let path = &planned.path;
            return Err(TxnFailure::OutOfRange(format!("{path} at {offset}, {len} bytes")));
        }
        Ok(planned.size)
    }

    fn open_for_write(&self, file: usize) -> Result<Arc<dyn File>, TxnFailure> {
        let size = self.planned(file)?.size;
        let mut slot = self.slot(file)?;
        if slot.keep {
            return Err(TxnFailure::OutOfRange(format!("{} stays", self.files[file].path)));
        }
        if let Some(handle) = &slot.handle {
            return Ok(Arc::clone(handle));
        }
        let handle: Arc<dyn File> = Arc::from(self.open_or_create(file, size, &mut slot)?);
        slot.handle = Some(Arc::clone(&handle));
        drop(slot);
        self.limit_handles(file)?;
        Ok(handle)
    }

    fn open_or_create(
        &self,
        file: usize,
        size: u64,
        slot: &mut Slot,
    ) -> Result<Box<dyn File>, FsError> {
        let path = layout::staged_file(file);
        let handle = match self.dir.open_write(&path) {
            Err(error) if error.is_not_found() => self.dir.create_new(&path)?,
            handle => handle?,
        };
        if !slot.created {
            // also a file of an earlier run may have been cut short by a power loss
            if handle.metadata()?.len != size {
                if size >= RESERVE_EARLY_BYTES_MIN {
                    handle.reserve(size)?;
                } else {
                    handle.set_len(size)?;
                }
                slot.durability = Durability::Dirty;
            }
            slot.created = true;
        }
        Ok(handle)
    }

    /// Closes the oldest handles beyond the limit. A writer that uses one keeps it alive.
    fn limit_handles(&self, opened: usize) -> Result<(), TxnFailure> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_back(opened);
        let excess = open.len().saturating_sub(STAGING_HANDLES_MAX);
        let oldest: Vec<usize> = open.drain(..excess).collect();
        drop(open);
        for file in oldest.into_iter().filter(|file| *file != opened) {
            self.slot(file)?.handle = None;
        }
        Ok(())
    }

    fn note_first_bytes(
        &self,
        file: usize,
        handle: &dyn File,
        bytes: &[u8],
    ) -> Result<(), TxnFailure> {
        let executable = is_executable(bytes);
        let before = self.slot(file)?.executable;
        // a new file is not executable; one of an earlier run may be
        if executable || before != Some(false) {
            handle.set_executable(executable)?;
        }
        self.slot(file)?.executable = Some(executable);
        Ok(())
    }

    /// Marks a file as staged by other means than [`StagedFiles::write_at`].
    pub(crate) fn note_copied(&self, file: usize) -> Result<(), TxnFailure> {
        let mut slot = self.slot(file)?;
        let durability = Durability::Dirty;
        *slot = Slot { created: true, durability, ..Slot::default() };
        Ok(())
    }

    /// Drops what is staged of a file: its content stands in the root already.
    pub(crate) fn keep(&self, file: usize) -> Result<(), TxnFailure> {
        let mut slot = self.slot(file)?;
        slot.handle = None;
        remove_file_if_present(&*self.dir, &layout::staged_file(file))?;
        *slot = Slot { keep: true, ..Slot::default() };
        Ok(())
    }

    /// Closes all handles: some systems rename nothing that is open.
    pub(crate) fn close_all(&self) -> Result<(), TxnFailure> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
        for file in 0..self.len() {
            self.slot(file)?.handle = None;
        }
        Ok(())
    }

    /// Makes what this run wrote durable. Files whose bytes may be lost are removed and must be
    /// written again: a flush that failed once is not believed when it later succeeds.
    pub(crate) fn make_written_durable(&self) -> Result<(), TxnFailure> {
        let files = self.take_unflushed(&|durability| durability == Durability::Dirty)?;
        if files.is_empty() {
            return Ok(());
        }
        let shards = files.iter().map(|file| layout::staged_file(*file));
        let shards: Vec<PathBuf> = shards.collect();
        self.flush(&files, &crate::tree::parents_of(shards.iter().map(PathBuf::as_path)))
    }

    /// Makes all staged files durable, whoever wrote them, and their names; all must be there.
    pub(crate) fn make_all_durable(&self) -> Result<(), TxnFailure> {
        let files = self.take_unflushed(&|durability| durability != Durability::Durable)?;
        let shards = (0..crate::limits::STAGING_SHARDS).map(layout::staged_shard);
        self.flush(&files, &shards.map(PathBuf::from).collect::<Vec<_>>())
    }

    fn flush(&self, files: &[usize], shards: &[PathBuf]) -> Result<(), TxnFailure> {
        let paths: Vec<PathBuf> = files.iter().map(|file| layout::staged_file(*file)).collect();
        let result = self.dir.sync_batch(&paths, shards);
        if result.is_err() {
            for file in files {
                self.distrust(*file)?;
            }
        }
        Ok(result?)
    }

    /// The files to flush, counted as flushed from now on: a write that comes meanwhile counts
    /// them as dirty again.
    fn take_unflushed(
        &self,
        wanted: &dyn Fn(Durability) -> bool,
    ) -> Result<Vec<usize>, TxnFailure> {
        let mut files = Vec::new();
        for file in 0..self.len() {
            let mut slot = self.slot(file)?;
            if !slot.keep && wanted(slot.durability) {
                slot.durability = Durability::Durable;
                files.push(file);
            }
        }
        Ok(files)
    }

    fn distrust(&self, file: usize) -> Result<(), TxnFailure> {
        let mut slot = self.slot(file)?;
        *slot = Slot { keep: slot.keep, ..Slot::default() };
        // a disk that fails to flush may fail to remove as well; the flush is the error to report
        remove_file_if_present(&*self.dir, &layout::staged_file(file)).ok();
        Ok(())
    }

    /// Before the commit: every file is there in full and has its mode. Empty files are created.
    pub(crate) fn complete(&self) -> Result<(), TxnFailure> {
        for (number, file) in self.files.iter().enumerate() {
            if self.is_kept(number)? {
                continue;
            }
            if file.size == 0 {
                self.open_for_write(number)?;
                self.slot(number)?.handle = None;
                continue;
            }
            let found = regular_file(&*self.dir, &layout::staged_file(number))?;
            if found.is_none_or(|found| found.len != file.size) {
                return Err(TxnFailure::Incomplete { path: file.path.clone() });
            }
            if self.slot(number)?.executable.is_none() {
                self.sniff(number)?;
            }
        }
        Ok(())
    }

    fn sniff(&self, file: usize) -> Result<(), TxnFailure> {
        let path = layout::staged_file(file);
        let mut magic = [0; MAGIC_LEN];
        let handle = self.dir.open_read(&path)?;
        let count = handle.read_at(0, &mut magic)?;
        let executable = is_executable(&magic[..count]);
        if handle.metadata()?.executable != executable {
            self.dir.set_executable(&path, executable)?;
        }
        self.slot(file)?.executable = Some(executable);
        Ok(())
    }
}
