//! The work of the library beside its mailbox: scans, hashes, saves, timers. Each task ends with
//! exactly one message, also when it panics, and none outlives the actor's state without having
//! been told to stop.

use std::{
    any::Any,
    collections::BTreeMap,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use lanspread_wire::{Catalog, GameId};
use ractor::ActorRef;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};

use super::{
    Internal, LibraryMsg,
    folder::BadFolder,
    hash::{Ticket, thread::panic_text},
    index::{HashOutcome, Lane, Listing, ScanOutcome},
    watch::keeper::Armed,
};
use crate::facts::OperationTable;

/// What a task has to say at its end.
pub(crate) enum Done {
    /// As the index takes them.
    Listed {
        epoch: u64,
        result: Result<Listing, String>,
    },
    Scanned {
        epoch: u64,
        lane: Lane,
        results: Vec<(GameId, ScanOutcome)>,
    },
    Hashed {
        game: GameId,
        outcome: HashOutcome,
    },
    Saved(Result<(), String>),
    /// `None`: the watcher panicked and is lost.
    Armed {
        folder_number: u64,
        armed: Option<Armed>,
    },
    /// The names of the folder, the one it was given by first.
    Validated(Result<Vec<PathBuf>, BadFolder>),
    Timer(Timer),
    /// The watcher of this folder has something to say.
    Woken {
        folder_number: u64,
    },
    /// The catalog has changed; the receiver comes back to be waited on again.
    Catalog(watch::Receiver<Arc<Option<Catalog>>>),
    /// The operation table has changed; as with the catalog.
    Operations(watch::Receiver<Arc<OperationTable>>),
    /// A task had nothing to say.
    Nothing,
}

/// A time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// For the look at everything that no watch asked for.
    Sweep,
    /// To see whether the games folder is back. Counted, so that a stale one is known.
    Probe(u64),
    /// To publish how far the hashing is.
    Progress,
}

/// The tasks of one incarnation of the actor.
pub(crate) struct Tasks {
    set: JoinSet<()>,
    me: ActorRef<LibraryMsg>,
    jobs: BTreeMap<GameId, Ticket>,
}

impl Tasks {
    /// No task yet; ends are told to `me`.
    pub(crate) fn new(me: ActorRef<LibraryMsg>) -> Self {
        Self { set: JoinSet::new(), me, jobs: BTreeMap::new() }
    }

    /// Blocking work. `on_panic` makes of a panic what the index can deal with.
    pub(crate) fn blocking(
        &mut self,
        work: impl FnOnce() -> Done + Send + 'static,
        on_panic: impl FnOnce(String) -> Done + Send + 'static,
    ) {
        self.reap();
        let me = self.me.clone();
        self.set.spawn_blocking(move || {
            let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
                let text = panic_text(&*panic);
                tracing::error!(text, "a task of the library panicked");
                on_panic(text)
            });
            tell(&me, done);
        });
    }

    /// Something to wait for.
    pub(crate) fn wait(&mut self, wait: impl Future<Output = Done> + Send + 'static) {
        self.reap();
        let me = self.me.clone();
        self.set.spawn(async move { tell(&me, wait.await) });
    }

    /// A time to wait for.
    pub(crate) fn after(&mut self, delay: Duration, timer: Timer) {
        self.wait(async move {
            tokio::time::sleep(delay).await;
            Done::Timer(timer)
        });
    }

    /// The next value of a channel. The receiver comes back in the message, so that there is never
    /// more than one of them however fast the values change.
    pub(crate) fn next<T: Send + Sync + 'static>(
        &mut self,
        mut values: watch::Receiver<T>,
        done: impl FnOnce(watch::Receiver<T>) -> Done + Send + 'static,
    ) {
        self.wait(async move {
            match values.changed().await {
                Ok(()) => done(values),
                Err(_) => Done::Nothing,
            }
        });
    }

    /// The ticket of a new hash job.
    pub(crate) fn hash_job(&mut self, game: &GameId) -> Ticket {
        let ticket = Ticket::default();
        self.jobs.insert(game.clone(), ticket.clone());
        ticket
    }

    /// The running hash jobs.
    pub(crate) fn hash_jobs(&self) -> &BTreeMap<GameId, Ticket> {
        &self.jobs
    }

    /// A hash job has ended.
    pub(crate) fn hash_ended(&mut self, game: &GameId) {
        self.jobs.remove(game);
    }

    /// Stops everything and waits for it, at most `deadline`.
    pub(crate) async fn shut_down(&mut self, deadline: Duration) {
        self.cancel_jobs();
        self.set.abort_all();
        let all_ended = async { while self.set.join_next().await.is_some() {} };
        if tokio::time::timeout(deadline, all_ended).await.is_err() {
            tracing::warn!("a look at the disk outlives the library: the disk does not answer");
        }
    }

    fn cancel_jobs(&self) {
        for ticket in self.jobs.values() {
            ticket.cancel();
        }
    }

    fn reap(&mut self) {
        while let Some(ended) = self.set.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the library ended without a word");
            }
        }
    }
}

impl Drop for Tasks {
    /// Threads outlive a killed actor: they are told to stop.
    fn drop(&mut self) {
        self.cancel_jobs();
    }
}

fn tell(me: &ActorRef<LibraryMsg>, done: Done) {
    if let Done::Nothing = done {
        return;
    }
    if me.cast(LibraryMsg::Internal(Internal(done))).is_err() {
        tracing::debug!("the library ended before its task");
    }
}

/// Blocking work that is waited for on the spot: at the start and the end of the actor.
pub(crate) async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    tokio::task::spawn_blocking(work).await
}

/// The text of a panic in a scan, as a problem of the game.
pub(crate) fn scan_panicked(panic: &(dyn Any + Send)) -> ScanOutcome {
    let text = panic_text(panic);
    tracing::error!(text, "a scan panicked");
    ScanOutcome::Unreadable(format!("cannot be looked at: internal error: {text}"))
}
