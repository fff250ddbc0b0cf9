//! The door to the blocking pool for everyone else, and the lease of a game root.

use std::{sync::Arc, time::Duration};

use lanspread_fs_txn::LeaseGuard;
use lanspread_wire::GameId;
use ractor::RpcReplyPort;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{DiskMsg, Holding, Job, roots::Waits};
use crate::{
    addr::{Addr, CallError},
    api::ErrorCode,
    limits::disk::{
        DISK_DRAIN_DEADLINE, DISK_READERS_MAX, DISK_WORKERS_MAX, DISK_WORKERS_PER_LEASE_MAX,
    },
};

/// Why a lease was not given or a job has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    /// Another operation holds the lease.
    #[error("{game} is busy: {by} is not done with its files")]
    Busy {
        /// The game.
        game: GameId,
        /// Who holds it.
        by: String,
    },
    /// A blocking worker of an earlier operation does not come back: the disk does not answer.
    #[error("{game} is busy: the disk has not answered an earlier operation yet")]
    Draining {
        /// The game.
        game: GameId,
    },
    /// The lease was taken away.
    #[error("{game}: {step} was stopped: another worker has taken over")]
    Fenced {
        /// The game.
        game: GameId,
        /// What was about to be done.
        step: &'static str,
    },
    /// The job panicked; it is a bug.
    #[error("{step} failed: {text}")]
    Panicked {
        /// What was being done.
        step: &'static str,
        /// What the panic said.
        text: String,
    },
    /// The node is ending.
    #[error("the disk component is not running")]
    Gone,
}

impl DiskError {
    /// The stable code of it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Busy { .. } | Self::Draining { .. } => ErrorCode::OperationInProgress,
            Self::Gone => ErrorCode::ShuttingDown,
            Self::Fenced { .. } | Self::Panicked { .. } => ErrorCode::Internal,
        }
    }
}

/// The door to the blocking pool. Cheap to clone; clones share the pool.
#[derive(Clone)]
pub struct DiskHandle {
    addr: Addr<DiskMsg>,
    workers: Arc<Semaphore>,
    readers: Arc<Semaphore>,
}

/// The right to change one game root. Dropping it gives it back.
pub struct Lease {
    holding: Holding,
    guard: LeaseGuard,
    disk: Addr<DiskMsg>,
    workers: Arc<Semaphore>,
}

impl DiskHandle {
    /// A door to the `Disk` at `addr`, with a pool of its own.
    pub fn new(addr: Addr<DiskMsg>) -> Self {
        let workers = Arc::new(Semaphore::new(DISK_WORKERS_MAX));
        let readers = Arc::new(Semaphore::new(DISK_READERS_MAX));
        Self { addr, workers, readers }
    }

    /// A door behind which nobody is: for tests that leave the disk out.
    pub fn nobody() -> Self {
        Self::new(Addr::nobody())
    }

    /// Takes the lease of `game` for `owner`. Waits until the workers of a fenced or dropped
    /// predecessor are gone, up to a deadline; a living holder is a refusal at once.
    pub async fn acquire(&self, game: &GameId, owner: &str) -> Result<Lease, DiskError> {
        let ask = |reply| DiskMsg::Acquire { game: game.clone(), owner: owner.to_owned(), reply };
        match self.addr.call(ask, DISK_DRAIN_DEADLINE).await {
            Ok(answer) => answer,
            Err(CallError::Deadline) => Err(DiskError::Draining { game: game.clone() }),
            Err(CallError::Absent | CallError::Died) => Err(DiskError::Gone),
        }
    }

    /// Runs a blocking job that changes the root of `lease`. `step` names it in errors.
    ///
    /// Not interrupted when the future is dropped: the job ends by itself, at the latest at its
    /// next change once the lease is gone.
    pub async fn run<T: Send + 'static>(
        &self,
        lease: &Lease,
        step: &'static str,
        job: impl FnOnce(&LeaseGuard) -> T + Send + 'static,
    ) -> Result<T, DiskError> {
        let permits = vec![permit(&lease.workers).await?, permit(&self.workers).await?];
        let holding = lease.holding.clone();
        let (job, answered) = Job::leased(holding, lease.guard.clone(), step, permits, job);
        self.send(job, answered).await
    }

    /// Runs a blocking job that changes no game root: reads and state files.
    pub async fn run_unleased<T: Send + 'static>(
        &self,
        step: &'static str,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, DiskError> {
        let permits = vec![permit(&self.readers).await?];
        let (job, answered) = Job::unleased(step, permits, job);
        self.send(job, answered).await
    }

    /// Takes the lease of `game` away from whoever holds it, and waits until its workers have
    /// ended, up to a deadline.
    pub async fn fence(&self, game: &GameId) -> Result<(), DiskError> {
        let ask = |reply| DiskMsg::Fence { game: game.clone(), reply };
        match self.addr.call(ask, DISK_DRAIN_DEADLINE).await {
            Ok(()) => Ok(()),
            Err(CallError::Deadline) => Err(DiskError::Draining { game: game.clone() }),
            Err(CallError::Absent | CallError::Died) => Err(DiskError::Gone),
        }
    }

    /// Waits until no job runs, at most for `deadline`; says whether that came true.
    pub async fn flush(&self, deadline: Duration) -> bool {
        self.addr.call(|reply| DiskMsg::Flush { reply }, deadline).await.is_ok()
    }

    async fn send<T>(
        &self,
        job: Job,
        answered: oneshot::Receiver<Result<T, DiskError>>,
    ) -> Result<T, DiskError> {
        if self.addr.cast(DiskMsg::Run(job)).is_err() {
            return Err(DiskError::Gone);
        }
        answered.await.unwrap_or(Err(DiskError::Gone))
    }
}

async fn permit(pool: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, DiskError> {
    // Nobody closes a pool; if somebody did, the disk would be gone.
    pool.clone().acquire_owned().await.map_err(|_| DiskError::Gone)
}

impl Lease {
    pub(super) fn new(holding: Holding, guard: LeaseGuard, disk: Addr<DiskMsg>) -> Self {
        let workers = Arc::new(Semaphore::new(DISK_WORKERS_PER_LEASE_MAX));
        Self { holding, guard, disk, workers }
    }

    /// The game it is for.
    pub fn game(&self) -> &GameId {
        &self.holding.game
    }

    /// Its number; later leases have larger ones.
    pub fn generation(&self) -> u64 {
        self.holding.generation
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lease").field(&self.holding).finish()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.disk.tell(DiskMsg::Release(self.holding.clone()));
    }
}

/// A caller of `acquire`.
pub(super) struct Waiter(pub(super) RpcReplyPort<Result<Lease, DiskError>>);

impl Waiter {
    pub(super) fn answer(self, answer: Result<Lease, DiskError>) {
        // Sent to a caller that gave up, a lease comes back by its drop.
        self.0.send(answer).ok();
    }
}

impl Waits for Waiter {
    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}
