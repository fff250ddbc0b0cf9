//! A simulated machine: what programs see, what the disk holds, and what lies between the two.
//! Counts calls, fails them on demand, and stops dead after a given number of changes.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::{FsError, FsOp, Refusal};
use super::world::{Change, Inode, Thing, World};

/// What a call does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with this code of the system and changes nothing. A flush that fails so loses
    /// what it should have made durable, and calls it clean.
    Errno(i32),
    /// A write writes its first half, then fails with this code; other calls as [`Fault::Errno`].
    HalfThenErrno(i32),
}

/// A call as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was called.
    pub op: FsOp,
    /// On what.
    pub path: PathBuf,
    /// Whether it changes something or makes it durable.
    pub changes: bool,
}

/// Another program that writes a file at each look of ours at it, so often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meddler {
    /// The file, by its full path.
    pub path: PathBuf,
    /// How often.
    pub times: usize,
}

/// Which flushes say they are done and do nothing.
#[derive(Clone)]
pub(super) struct Lies(pub(super) Arc<dyn Fn(&Call) -> bool + Send + Sync>);

impl fmt::Debug for Lies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lies")
    }
}

/// Everything about one machine.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) seen: World,
    pub(super) disk: World,
    pub(super) pending: Vec<Change>,
    pub(super) calls: Vec<Call>,
    pub(super) changes: usize,
    pub(super) stop_after_changes: Option<usize>,
    /// Set by the first call after the last change allowed.
    pub(super) stopped: bool,
    /// Call number (from 0) and what happens to it.
    pub(super) fault: Option<(usize, Fault)>,
    pub(super) capacity: Option<u64>,
    pub(super) locked: BTreeSet<Inode>,
    pub(super) links_refused: bool,
    pub(super) lies: Option<Lies>,
    pub(super) meddler: Option<Meddler>,
    meddled: usize,
    clock: i64,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self {
            seen: World::new(),
            disk: World::new(),
            pending: Vec::new(),
            calls: Vec::new(),
            changes: 0,
            stop_after_changes: None,
            stopped: false,
            fault: None,
            capacity: None,
            locked: BTreeSet::new(),
            links_refused: false,
            lies: None,
            meddler: None,
            meddled: 0,
            clock: 1_700_000_000_000_000_000,
        }
    }

    /// Enters a call that only reads.
    pub(super) fn read(&mut self, op: FsOp, path: &Path) -> Result<(), FsError> {
        match self.enter(op, path, false)? {
            None => Ok(()),
            Some(Fault::Errno(code) | Fault::HalfThenErrno(code)) => Err(errno(op, path, code)),
        }
    }

    /// Enters a call that changes something; the fault that is to strike in its middle comes back.
    pub(super) fn change(&mut self, op: FsOp, path: &Path) -> Result<Option<Fault>, FsError> {
        match self.enter(op, path, true)? {
            Some(Fault::Errno(code)) => Err(errno(op, path, code)),
            fault => Ok(fault),
        }
    }

    /// As [`Machine::change`] for calls that happen whole or not at all.
    pub(super) fn change_whole(&mut self, op: FsOp, path: &Path) -> Result<(), FsError> {
        match self.change(op, path)? {
            Some(Fault::HalfThenErrno(code)) => Err(errno(op, path, code)),
            _ => Ok(()),
        }
    }

    fn enter(&mut self, op: FsOp, path: &Path, changes: bool) -> Result<Option<Fault>, FsError> {
        if self.stopped || (changes && self.stop_after_changes == Some(self.changes)) {
            self.stopped = true;
            return Err(FsError::refused(op, path, Refusal::Stopped));
        }
        let number = self.calls.len();
        self.calls.push(Call { op, path: path.to_path_buf(), changes });
        self.changes += usize::from(changes);
        Ok(self.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault))
    }

    /// Lets the other program write, if `path` is its file.
    pub(super) fn meddle(&mut self, path: &Path, inode: Inode) {
        let wanted = |meddler: &Meddler| meddler.path == path && self.meddled < meddler.times;
        if self.meddler.as_ref().is_some_and(wanted) {
            self.meddled += 1;
            let bytes = format!("written by another program {}", self.meddled).into_bytes();
            let modified = self.now();
            self.make(Change::Len { file: inode, len: 0, modified });
            self.make(Change::Bytes { file: inode, offset: 0, bytes, modified });
        }
    }

    /// Time goes on with every change.
    pub(super) fn now(&mut self) -> i64 {
        self.clock += 1_000;
        self.clock
    }

    /// Makes a change that is seen at once and durable later.
    pub(super) fn make(&mut self, change: Change) {
        self.seen.apply(&change);
        self.pending.push(change);
    }

    /// A new thing, on both sides, without a name on either.
    pub(super) fn create(&mut self, thing: Thing) -> Inode {
        let inode = self.seen.reserve();
        self.seen.put(inode, thing.clone());
        self.disk.put(inode, thing);
        inode
    }

    /// Makes everything about `inode` durable.
    pub(super) fn flush(&mut self, op: FsOp, path: &Path, inode: Inode) -> Result<(), FsError> {
        match self.enter(op, path, true)? {
            None if self.is_lie() => {}
            None => self.persist(inode),
            Some(Fault::Errno(code) | Fault::HalfThenErrno(code)) => {
                // what could not be written is dropped and called clean: asking again "succeeds".
                // Names are kept in a journal that does not forget them.
                let is_bytes = |change: &Change| !matches!(change, Change::Names(_));
                self.pending.retain(|change| !(is_bytes(change) && change.concerns(inode)));
                return Err(errno(op, path, code));
            }
        }
        Ok(())
    }

    /// Whether the last call entered is a flush that does nothing.
    fn is_lie(&self) -> bool {
        let call = self.calls.last();
        call.is_some_and(|call| self.lies.as_ref().is_some_and(|lies| (lies.0)(call)))
    }

    fn persist(&mut self, inode: Inode) {
        let mut wanted: Vec<bool> =
            self.pending.iter().map(|change| change.concerns(inode)).collect();
        // a later change of a name cannot be durable before an earlier one of the same name
        for later in (0..self.pending.len()).rev() {
            if wanted[later] {
                let (before, after) = self.pending.split_at(later);
                for (earlier, wanted) in before.iter().zip(&mut wanted) {
                    *wanted |= earlier.shares_name(&after[0]);
                }
            }
        }
        let mut left = Vec::new();
        for (change, wanted) in std::mem::take(&mut self.pending).into_iter().zip(wanted) {
            if wanted {
                self.disk.apply(&change);
            } else {
                left.push(change);
            }
        }
        self.pending = left;
    }

    /// Whether `more` bytes fit.
    pub(super) fn has_space(&self, more: u64) -> bool {
        self.capacity.is_none_or(|capacity| self.seen.bytes_used() + more <= capacity)
    }
}

/// An error with a code of the system.
pub(super) fn errno(op: FsOp, path: &Path, code: i32) -> FsError {
    FsError::new(op, path, io::Error::from_raw_os_error(code))
}
