//! The `Disk` actor: a lease per game root and a bounded pool of blocking workers.
//!
//! Owns: who may change which game root (with a generation), and the running blocking jobs.
//! Receives: orders of [`DiskHandle`] and the ends of its own workers. Sends: answers only.
//! Never: decides what to write; that is the job's business.
//! Dies when: one of its own invariants breaks; it is required, so its death ends the node.
//! Comes back from: recorded intents, by the recovery at the next start of the program.
//!
//! Blocking work cannot be interrupted. A job whose caller is gone (a killed operation) goes on,
//! but its lease is fenced, so that it changes nothing more, and nobody gets the lease of that game
//! before the job has ended.

mod handle;
mod job;
mod roots;

pub use handle::{DiskError, DiskHandle, Lease};
pub use job::Job;
pub use lanspread_fs_txn::LeaseGuard;

use std::collections::BTreeMap;

use lanspread_fs_txn::LeaseTable;
use lanspread_wire::GameId;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::task::JoinSet;

use self::{
    handle::Waiter,
    job::Ended,
    roots::{Effect, Roots},
};
use crate::{addr::Addr, view::ViewMsg};

/// Names one holding of the lease of one game. A later holding has another generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The game.
    pub game: GameId,
    /// Which holding of it.
    pub generation: u64,
}

/// Messages of the `Disk` actor. Sent through [`DiskHandle`] only.
pub enum DiskMsg {
    /// Asks for the lease of a game. Answered at once, or when the ghost of a predecessor is gone.
    Acquire {
        /// The game.
        game: GameId,
        /// Who asks, for the refusal of the next one.
        owner: String,
        /// Where the lease goes. A caller that gave up in between gives it back by dropping it.
        reply: RpcReplyPort<Result<Lease, DiskError>>,
    },
    /// A lease was dropped.
    Release(Holding),
    /// Takes the lease of a game away; answered when its workers have ended.
    Fence {
        /// The game.
        game: GameId,
        /// Answered when nothing of it runs any more.
        reply: RpcReplyPort<()>,
    },
    /// Runs a job on the pool. The job holds the permits that bound the pool.
    Run(Job),
    /// From a worker, at its very end.
    Ended(Option<Holding>),
    /// Answered when no job runs.
    Flush {
        /// Answered once.
        reply: RpcReplyPort<()>,
    },
}

/// What `Disk` is started with.
pub struct DiskArgs {
    /// For counters.
    pub ports_view: Addr<ViewMsg>,
    /// Its own address, for the leases it gives out.
    pub disk: Addr<DiskMsg>,
}

/// The actor.
pub struct Disk;

/// What it owns.
pub struct DiskState {
    args: DiskArgs,
    roots: Roots<Waiter, RpcReplyPort<()>>,
    leases: LeaseTable,
    workers: JoinSet<()>,
    running: usize,
    flushing: Vec<RpcReplyPort<()>>,
    steps: BTreeMap<&'static str, u64>,
}

impl Actor for Disk {
    type Msg = DiskMsg;
    type State = DiskState;
    type Arguments = DiskArgs;

    async fn pre_start(
        &self,
        _me: ActorRef<DiskMsg>,
        args: DiskArgs,
    ) -> Result<DiskState, ActorProcessingErr> {
        Ok(DiskState {
            args,
            roots: Roots::default(),
            leases: LeaseTable::new(),
            workers: JoinSet::new(),
            running: 0,
            flushing: Vec::new(),
            steps: BTreeMap::new(),
        })
    }

    async fn handle(
        &self,
        me: ActorRef<DiskMsg>,
        message: DiskMsg,
        state: &mut DiskState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            DiskMsg::Acquire { game, owner, reply } => state.on_acquire(game, owner, reply),
            DiskMsg::Release(holding) => state.on_release(&holding),
            DiskMsg::Fence { game, reply } => state.on_fence(&game, reply),
            DiskMsg::Run(job) => state.on_run(&me, job),
            DiskMsg::Ended(holding) => state.on_ended(holding),
            DiskMsg::Flush { reply } => state.on_flush(reply),
        }
        state.settle();
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<DiskMsg>,
        _event: SupervisionEvent,
        _state: &mut DiskState,
    ) -> Result<(), ActorProcessingErr> {
        Ok(()) // it has no children
    }
}

impl DiskState {
    fn on_acquire(
        &mut self,
        game: GameId,
        owner: String,
        reply: RpcReplyPort<Result<Lease, DiskError>>,
    ) {
        let effects = self.roots.acquire(&game, owner, Waiter(reply));
        self.perform(effects);
    }

    fn on_release(&mut self, holding: &Holding) {
        let effects = self.roots.release(holding);
        self.perform(effects);
    }

    fn on_fence(&mut self, game: &GameId, reply: RpcReplyPort<()>) {
        let effects = self.roots.fence(game, reply);
        self.perform(effects);
    }

    fn on_run(&mut self, me: &ActorRef<DiskMsg>, job: Job) {
        if job.holding().is_some_and(|holding| !self.roots.begin(holding)) {
            job.refuse();
            return;
        }
        *self.steps.entry(job.step()).or_default() += 1;
        self.running += 1;
        let ended = Ended::new(me.clone(), job.holding().cloned());
        self.workers.spawn_blocking(move || {
            // Declared first, dropped last: the end is told when nothing of the job is left.
            let _ended = ended;
            job.run();
        });
    }

    fn on_ended(&mut self, holding: Option<Holding>) {
        self.running = self.running.saturating_sub(1);
        if let Some(holding) = holding {
            let effects = self.roots.end(&holding);
            self.perform(effects);
        }
    }

    fn on_flush(&mut self, reply: RpcReplyPort<()>) {
        self.flushing.push(reply);
    }

    fn perform(&mut self, effects: Vec<Effect<Waiter, RpcReplyPort<()>>>) {
        for effect in effects {
            match effect {
                Effect::Grant { holding, waiter } => self.grant(holding, waiter),
                Effect::Refuse { game, by, waiter } => {
                    waiter.answer(Err(DiskError::Busy { game, by }));
                }
                Effect::Revoke { game } => {
                    self.leases.fence(game.as_str());
                }
                Effect::Quiet { waiter } => answer(waiter),
            }
        }
    }

    fn grant(&mut self, holding: Holding, waiter: Waiter) {
        match self.leases.acquire(holding.game.as_str()) {
            Ok(guard) => {
                let lease = Lease::new(holding, guard, self.args.disk.clone());
                // A caller that is gone drops the lease, which gives it back.
                waiter.answer(Ok(lease));
            }
            Err(error) => {
                // Nothing of an earlier holding runs: only a job that kept its guard can do this.
                tracing::error!(game = %holding.game, %error, "a free lease is held");
                let game = holding.game.clone();
                waiter.answer(Err(DiskError::Draining { game }));
                let effects = self.roots.release(&holding);
                self.perform(effects);
            }
        }
    }

    /// Looks at ended workers, answers who waits for silence.
    fn settle(&mut self) {
        while let Some(ended) = self.workers.try_join_next() {
            if let Err(error) = ended {
                // A job's panic is caught inside the job: this one was in the frame around it.
                tracing::error!(%error, "a disk worker ended badly");
                let counter = "disk-worker-failures";
                self.args.ports_view.tell(ViewMsg::Count { counter, by: 1 });
            }
        }
        if self.running == 0 {
            self.flushing.drain(..).for_each(answer);
        }
    }
}

impl Drop for DiskState {
    /// Whatever still runs must not change anything after the last owner of the leases is gone.
    fn drop(&mut self) {
        for game in self.roots.games() {
            self.leases.fence(game.as_str());
        }
        tracing::debug!(steps = ?self.steps, "disk jobs by step");
    }
}

fn answer(reply: RpcReplyPort<()>) {
    // The caller may have stopped waiting: nothing to do about it.
    reply.send(()).ok();
}

#[cfg(test)]
mod tests;
