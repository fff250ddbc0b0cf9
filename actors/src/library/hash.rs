//! Makes a game's content known: cuts and hashes what has changed, looks up what has not, stores
//! the manifest and writes the ledger. Blocking, on a thread of its own; changes nothing in a game
//! root. This file owns the job and how it is told to stop; the parts do the work.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use lanspread_fs_txn::vfs::Dir;
use lanspread_wire::{GameId, ManifestId};

use super::{
    index::{DirIdentity, HashOrder, HashOutcome, Sentinel},
    ledger::{Ledger, Origin},
    scan::{Places, identity_of, read_sentinel},
};
use crate::facts::HashProgress;

pub(crate) mod cutter;
mod payload;
mod reading;
mod recheck;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_recheck;
pub(crate) mod thread;

use cutter::Cutter;

/// How far a job is and whether it should go on; shared with the actor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ticket(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
}

/// One piece of work.
pub(crate) struct HashJob {
    pub(crate) places: Places,
    pub(crate) game: GameId,
    pub(crate) order: HashOrder,
    pub(crate) ticket: Ticket,
}

/// Why the work ends before its time.
#[derive(Debug)]
enum End {
    /// The ticket was cancelled.
    Cancelled,
    /// As it is told to the index.
    Outcome(HashOutcome),
}

/// A root that is being hashed.
struct Work<'a> {
    job: &'a HashJob,
    root: &'a dyn Dir,
    identity: DirIdentity,
    sentinel: Sentinel,
    sentinel_bytes: Vec<u8>,
    cutter: Cutter,
}

impl Ticket {
    /// Tells the job to stop at its next read.
    pub(crate) fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> HashProgress {
        let bytes_total = self.0.total.load(Ordering::Relaxed);
        let bytes_done = self.0.done.load(Ordering::Relaxed).min(bytes_total);
        HashProgress { bytes_done, bytes_total }
    }

    fn begin(&self, bytes_total: u64) {
        self.0.done.store(0, Ordering::Relaxed);
        self.0.total.store(bytes_total, Ordering::Relaxed);
    }

    /// Takes note of bytes that are dealt with; `false` if the job should stop.
    fn advance(&self, bytes: u64) -> bool {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
        !self.0.cancelled.load(Ordering::Relaxed)
    }

    /// Bytes that have to be read again.
    fn go_back(&self, bytes: u64) {
        self.0.done.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl HashJob {
    /// Does the work.
    pub(crate) fn run(&self) -> HashOutcome {
        let root = match self.places.open_root(&self.game) {
            Ok(root) => root,
            Err(error) => {
                tracing::debug!(game = %self.game, %error, "root gone before it was hashed");
                return HashOutcome::Cancelled;
            }
        };
        match self.run_in(&*root) {
            Ok(outcome) | Err(End::Outcome(outcome)) => outcome,
            Err(End::Cancelled) => HashOutcome::Cancelled,
        }
    }

    fn run_in(&self, root: &dyn Dir) -> Result<HashOutcome, End> {
        let identity = identity_of(root).map_err(failed)?;
        // A sentinel that is wrong by now is the scanner's to tell.
        let (sentinel, sentinel_bytes) = read_sentinel(root).map_err(|_| End::Cancelled)?;
        let cutter = Cutter::default();
        let mut work = Work { job: self, root, identity, sentinel, sentinel_bytes, cutter };
        match self.order {
            HashOrder::Payload => work.payload(),
            HashOrder::Recheck(manifest) => work.recheck(manifest),
        }
    }
}

impl Work<'_> {
    fn is_sentinel_as_it_was(&self) -> bool {
        read_sentinel(self.root).is_ok_and(|(now, _)| now == self.sentinel)
    }

    /// Writes the ledger; the manifest is in the store already.
    fn write_ledger(&self, ledger: &Ledger) {
        let Places { ledgers, manifests, .. } = &self.job.places;
        let before = ledgers.load(&self.job.game);
        ledgers.save(&self.job.game, ledger);
        // Nobody else can have use for the manifest of half a game.
        if let Some(before) = before
            && before.origin == Origin::Partial
            && before.manifest != ledger.manifest
            && let Err(error) = manifests.remove(before.manifest)
        {
            tracing::warn!(game = %self.job.game, %error, "manifest of half a game left over");
        }
    }

    fn done(&self, ledger: &Ledger, bytes_total: u64) -> HashOutcome {
        let manifest: ManifestId = ledger.manifest;
        HashOutcome::Done { fingerprint: ledger.fingerprint(), manifest, bytes_total }
    }
}

fn failed(reason: impl ToString) -> End {
    End::Outcome(HashOutcome::Failed(reason.to_string()))
}
