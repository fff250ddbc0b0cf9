//! A blocking job on its way to a worker, with the permits that bound the pool.
//!
//! It answers its caller in every case: with its result, its panic, or the refusal to run it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lanspread_fs_txn::LeaseGuard;
use lanspread_wire::GameId;
use ractor::ActorRef;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{DiskError, DiskMsg, Holding};

/// A job. It cannot be built without its permits, so the mailbox of `Disk` is bounded by the pool.
pub struct Job {
    holding: Option<Holding>,
    step: &'static str,
    work: Box<dyn FnOnce(Verdict) + Send>,
    permits: Vec<OwnedSemaphorePermit>,
}

/// Whether a job runs.
enum Verdict {
    Go,
    Fenced,
}

impl Job {
    /// A job that holds a lease.
    pub(super) fn leased<T: Send + 'static>(
        holding: Holding,
        guard: LeaseGuard,
        step: &'static str,
        permits: Vec<OwnedSemaphorePermit>,
        job: impl FnOnce(&LeaseGuard) -> T + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, DiskError>>) {
        let game = holding.game.clone();
        Self::new(Some(holding), Some(game), step, permits, move || job(&guard))
    }

    /// A job that changes no game root.
    pub(super) fn unleased<T: Send + 'static>(
        step: &'static str,
        permits: Vec<OwnedSemaphorePermit>,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, DiskError>>) {
        Self::new(None, None, step, permits, job)
    }

    fn new<T: Send + 'static>(
        holding: Option<Holding>,
        game: Option<GameId>,
        step: &'static str,
        permits: Vec<OwnedSemaphorePermit>,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, DiskError>>) {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |verdict| {
            let result = match (verdict, game) {
                (Verdict::Fenced, Some(game)) => Err(DiskError::Fenced { game, step }),
                _ => catch_unwind(AssertUnwindSafe(job))
                    .map_err(|panic| DiskError::Panicked { step, text: panic_text(&*panic) }),
            };
            // A caller that is gone wants no answer.
            answer.send(result).ok();
        });
        (Self { holding, step, work, permits }, answered)
    }

    /// The lease it works under.
    pub(super) fn holding(&self) -> Option<&Holding> {
        self.holding.as_ref()
    }

    /// What it does, for messages and counters.
    pub(super) fn step(&self) -> &'static str {
        self.step
    }

    /// Does it, on the calling thread.
    pub(super) fn run(self) {
        (self.work)(Verdict::Go);
        drop(self.permits);
    }

    /// Tells the caller that its lease does not stand any more.
    pub(super) fn refuse(self) {
        (self.work)(Verdict::Fenced);
    }
}

/// Tells `Disk` of the end of a worker when it is dropped, also by a panic.
pub(super) struct Ended {
    disk: ActorRef<DiskMsg>,
    holding: Option<Holding>,
}

impl Ended {
    pub(super) fn new(disk: ActorRef<DiskMsg>, holding: Option<Holding>) -> Self {
        Self { disk, holding }
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if self.disk.cast(DiskMsg::Ended(self.holding.take())).is_err() {
            tracing::debug!("a disk worker outlived the disk");
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a text".to_owned())
}
