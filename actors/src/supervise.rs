//! Restart budgets and supervised children: the parts every supervisor is made of.
//!
//! [`RestartBudget`] decides (pure); [`Child`] keeps what a supervisor must remember of one child.

use std::{collections::VecDeque, future::Future, sync::Arc, time::Duration};

use ractor::{
    ActorCell, ActorId, ActorRef, Message, SpawnErr, SupervisionEvent, concurrency::JoinHandle,
};
use tokio::time::Instant;

use crate::addr::{Addr, Slot};

/// What the death of a child means to its supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Its death is the death of the parent.
    Required,
    /// It is started again within its budget; past it the failure goes to the parent.
    Restart,
    /// It is started again within its budget; past it the node goes on without it, degraded.
    Degrade,
}

/// How often a child may be restarted: at most `restarts_max` within `window`, each after twice the
/// delay of the one before.
#[derive(Clone, Debug)]
pub struct RestartBudget {
    restarts_max: usize,
    window: Duration,
    delay: Duration,
    recent: VecDeque<Instant>,
    total: u32,
}

impl RestartBudget {
    /// A budget that has not been used yet.
    pub fn new(restarts_max: usize, window: Duration, delay: Duration) -> Self {
        Self { restarts_max, window, delay, recent: VecDeque::new(), total: 0 }
    }

    /// The delay before the next restart, or `None` when the budget is spent.
    pub fn admit(&mut self, now: Instant) -> Option<Duration> {
        self.recent.retain(|at| now.duration_since(*at) < self.window);
        if self.recent.len() >= self.restarts_max {
            return None;
        }
        self.recent.push_back(now);
        self.total = self.total.saturating_add(1);
        let doublings = u32::try_from(self.recent.len() - 1).unwrap_or(u32::MAX).min(16);
        Some(self.delay.saturating_mul(2u32.pow(doublings)))
    }

    /// Restarts admitted since the supervisor started.
    pub fn total(&self) -> u32 {
        self.total
    }
}

/// Why a child is gone, as its supervisor is told.
#[derive(Debug)]
pub struct Death {
    /// Which incarnation died.
    pub actor: ActorId,
    /// What it said last: the error, the panic text or the reason of its stop.
    pub reason: String,
}

impl Death {
    /// Reads a supervision event; `None` if nobody died. Drops the dead actor's state, which may
    /// hold a socket or a lock.
    pub fn from_event(event: SupervisionEvent) -> Option<Self> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                Some(Self { actor: cell.get_id(), reason: error.to_string() })
            }
            SupervisionEvent::ActorTerminated(cell, state, reason) => {
                drop(state);
                Some(Self {
                    actor: cell.get_id(),
                    reason: reason.unwrap_or_else(|| "stopped".to_owned()),
                })
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => None,
        }
    }
}

/// One supervised child: its slot, its running incarnation and its budget.
pub struct Child<M: Message> {
    name: &'static str,
    policy: Policy,
    slot: Arc<Slot<M>>,
    running: Option<(ActorCell, JoinHandle<()>)>,
    budget: RestartBudget,
    last_failure: Option<String>,
}

/// What a supervisor does about a death.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Start it again after this delay.
    RestartAfter(Duration),
    /// The budget is spent or the child was required: fail with this text.
    Escalate(String),
    /// The budget is spent; go on without it.
    GiveUp(String),
}

impl<M: Message> Child<M> {
    /// A child that has not been started yet. `name` appears in events and in `status`.
    /// The slot may be shared with later incarnations of the supervisor, never with another one.
    pub fn new(
        name: &'static str,
        policy: Policy,
        slot: impl Into<Arc<Slot<M>>>,
        budget: RestartBudget,
    ) -> Self {
        Self { name, policy, slot: slot.into(), running: None, budget, last_failure: None }
    }

    /// Its name in events and in `status`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// An address that survives its restarts.
    pub fn addr(&self) -> Addr<M> {
        self.slot.addr()
    }

    /// Whether `actor` is its present incarnation.
    pub fn is(&self, actor: ActorId) -> bool {
        self.running.as_ref().is_some_and(|(cell, _)| cell.get_id() == actor)
    }

    /// Whether an incarnation lives.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Restarts so far and the last failure.
    pub fn health(&self) -> crate::api::ActorHealth {
        crate::api::ActorHealth {
            name: self.name.to_owned(),
            restarts: self.budget.total(),
            last_failure: self.last_failure.clone(),
        }
    }

    /// Starts an incarnation with `spawn` (a `spawn_linked` future) and publishes its address.
    ///
    /// A start that fails is a death like any other: feed the error to [`Child::on_failed_start`].
    pub async fn start(
        &mut self,
        spawn: impl Future<Output = Result<(ActorRef<M>, JoinHandle<()>), SpawnErr>>,
    ) -> Result<(), SpawnErr> {
        let (actor, joined) = spawn.await?;
        self.running = Some((actor.get_cell(), joined));
        self.slot.publish(Some(actor));
        Ok(())
    }

    /// Takes note of the death of the present incarnation, waits for its end, and decides.
    ///
    /// The wait matters: a successor that starts before the old state is dropped finds its socket
    /// or lock taken.
    pub async fn on_death(&mut self, death: &Death) -> Verdict {
        self.slot.publish(None);
        if let Some((_, joined)) = self.running.take()
            && let Err(error) = joined.await
        {
            tracing::debug!(component = self.name, %error, "joined a dead actor");
        }
        self.decide(death.reason.clone())
    }

    /// A start failed: the same budget as a death.
    pub fn on_failed_start(&mut self, error: &SpawnErr) -> Verdict {
        self.slot.publish(None);
        self.decide(error.to_string())
    }

    /// Stops the present incarnation in order and waits for it, at most `deadline`; kills it after
    /// that.
    pub async fn stop(&mut self, reason: &str, deadline: Duration) {
        self.slot.publish(None);
        let Some((cell, joined)) = self.running.take() else {
            return;
        };
        if cell.stop_and_wait(Some(reason.to_owned()), Some(deadline)).await.is_err() {
            tracing::warn!(component = self.name, "did not stop in time and was killed");
            cell.kill();
        }
        if let Err(error) = joined.await {
            tracing::debug!(component = self.name, %error, "joined a stopped actor");
        }
    }

    fn decide(&mut self, reason: String) -> Verdict {
        let text = format!("{}: {reason}", self.name);
        self.last_failure = Some(reason);
        if self.policy == Policy::Required {
            return Verdict::Escalate(text);
        }
        match (self.budget.admit(Instant::now()), self.policy) {
            (Some(delay), _) => Verdict::RestartAfter(delay),
            (None, Policy::Degrade) => Verdict::GiveUp(text),
            (None, _) => Verdict::Escalate(format!("restart budget spent, last failure: {text}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);
    const DELAY: Duration = Duration::from_millis(100);

    /// Proves A2.
    #[test]
    fn a_budget_doubles_its_delay_and_ends() {
        let mut budget = RestartBudget::new(3, WINDOW, DELAY);
        let start = Instant::now();
        assert_eq!(budget.admit(start), Some(DELAY));
        assert_eq!(budget.admit(start), Some(DELAY * 2));
        assert_eq!(budget.admit(start), Some(DELAY * 4));
        assert_eq!(budget.admit(start), None);
        assert_eq!(budget.total(), 3);
    }

    /// Proves A2.
    #[test]
    fn restarts_outside_the_window_do_not_count() {
        let mut budget = RestartBudget::new(1, WINDOW, DELAY);
        let start = Instant::now();
        assert_eq!(budget.admit(start), Some(DELAY));
        assert_eq!(budget.admit(start + WINDOW / 2), None);
        assert_eq!(budget.admit(start + WINDOW), Some(DELAY));
    }
}
