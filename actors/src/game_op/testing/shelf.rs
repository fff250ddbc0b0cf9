//! A shelf in memory that fails when it is told to, and a pool that runs its jobs at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    api::ErrorCode,
    game_op::{
        reuse::Origin,
        target::Target,
        writer::{Pool, Shelf, ShelfError},
    },
};

/// What goes wrong on a shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShelfFault {
    None,
    /// Nothing fits once so many bytes were written.
    FullAfter(u64),
    /// The write that brings the sum to this fails.
    BrokenAfter(u64),
    /// The write that brings the sum to this panics.
    PanicsAfter(u64),
    /// Progress cannot be saved.
    NoSave,
}

/// Files in memory.
pub(crate) struct MemoryShelf {
    state: Mutex<State>,
}

struct State {
    staged: Vec<Vec<u8>>,
    kept: Vec<bool>,
    /// What stands in the root, by path.
    root: BTreeMap<String, Vec<u8>>,
    paths: Vec<String>,
    written: u64,
    fault: ShelfFault,
    saved: Option<Vec<u8>>,
    saves: usize,
}

impl MemoryShelf {
    pub(crate) fn new(target: &Target) -> Arc<Self> {
        let files = &target.manifest.files;
        let state = State {
            staged: files.iter().map(|file| vec![0; file.size as usize]).collect(),
            kept: vec![false; files.len()],
            root: BTreeMap::new(),
            paths: files.iter().map(|file| file.path.as_str().to_owned()).collect(),
            written: 0,
            fault: ShelfFault::None,
            saved: None,
            saves: 0,
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    pub(crate) fn set_fault(&self, fault: ShelfFault) {
        self.lock().fault = fault;
    }

    pub(crate) fn put_in_root(&self, path: &str, bytes: Vec<u8>) {
        self.lock().root.insert(path.to_owned(), bytes);
    }

    pub(crate) fn put_staged(&self, file: usize, bytes: Vec<u8>) {
        self.lock().staged[file] = bytes;
    }

    pub(crate) fn bytes_written(&self) -> u64 {
        self.lock().written
    }

    pub(crate) fn saved(&self) -> Option<Vec<u8>> {
        self.lock().saved.clone()
    }

    pub(crate) fn saves(&self) -> usize {
        self.lock().saves
    }

    /// The files as a commit would make them.
    pub(crate) fn result(&self) -> Vec<Vec<u8>> {
        let state = self.lock();
        let file = |number: usize| match state.kept[number] {
            true => state.root[&state.paths[number]].clone(),
            false => state.staged[number].clone(),
        };
        (0..state.staged.len()).map(file).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn failure(code: ErrorCode, text: &str) -> ShelfError {
    ShelfError { code, message: text.to_owned() }
}

fn part(bytes: &[u8], offset: u64, buffer: &mut [u8]) -> usize {
    let from = (offset as usize).min(bytes.len());
    let count = buffer.len().min(bytes.len() - from);
    buffer[..count].copy_from_slice(&bytes[from..from + count]);
    count
}

impl Shelf for MemoryShelf {
    fn write_at(&self, file: u32, offset: u64, bytes: &[u8]) -> Result<(), ShelfError> {
        let mut state = self.lock();
        let sum = state.written + bytes.len() as u64;
        match state.fault {
            ShelfFault::FullAfter(limit) if sum > limit => {
                return Err(failure(ErrorCode::DiskFull, "quake: needs more, has nothing"));
            }
            ShelfFault::BrokenAfter(limit) if sum > limit => {
                return Err(failure(ErrorCode::Io, "quake: input/output error"));
            }
            ShelfFault::PanicsAfter(limit) if sum > limit => panic!("a bug in the shelf"),
            _ => {}
        }
        assert!(!state.kept[file as usize], "a file that stays is not written");
        state.written = sum;
        let from = offset as usize;
        state.staged[file as usize][from..from + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, file: u32, offset: u64, buffer: &mut [u8]) -> Result<usize, ShelfError> {
        let state = self.lock();
        let file = file as usize;
        let bytes = match state.kept[file] {
            true => &state.root[&state.paths[file]],
            false => &state.staged[file],
        };
        Ok(part(bytes, offset, buffer))
    }

    fn read_in_place(
        &self,
        file: u32,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, ShelfError> {
        let state = self.lock();
        match state.root.get(&state.paths[file as usize]) {
            Some(bytes) => Ok(part(bytes, offset, buffer)),
            None => Err(failure(ErrorCode::Io, "not found")),
        }
    }

    fn read_origin(
        &self,
        origin: &Origin,
        skip: u64,
        buffer: &mut [u8],
    ) -> Result<usize, ShelfError> {
        let state = self.lock();
        match origin {
            Origin::Root { path, offset } => match state.root.get(path.as_str()) {
                Some(bytes) => Ok(part(bytes, offset + skip, buffer)),
                None => Err(failure(ErrorCode::Io, "not found")),
            },
            Origin::Previous { .. } => Err(failure(ErrorCode::Io, "not found")),
        }
    }

    fn keep_in_place(&self, file: u32) -> Result<(), ShelfError> {
        self.lock().kept[file as usize] = true;
        Ok(())
    }

    fn save_progress(&self, progress: &[u8]) -> Result<(), ShelfError> {
        let mut state = self.lock();
        if state.fault == ShelfFault::NoSave {
            return Err(failure(ErrorCode::Io, "quake: the flush failed"));
        }
        state.saves += 1;
        state.saved = Some(progress.to_vec());
        Ok(())
    }

    fn bytes_free(&self) -> Result<Option<u64>, ShelfError> {
        let state = self.lock();
        Ok(Some(match state.fault {
            ShelfFault::FullAfter(limit) => limit.saturating_sub(state.written),
            _ => u64::MAX,
        }))
    }
}

/// Runs each job where it is asked for, after a delay on the paused clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct InlinePool {
    pub(crate) delay: Duration,
}

impl Pool for InlinePool {
    async fn run<T: Send + 'static>(
        &self,
        _step: &'static str,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ShelfError> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        Ok(job())
    }
}
