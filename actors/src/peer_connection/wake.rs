//! The alarm clock of an actor: one message to itself at the time its core wants one.

use ractor::{ActorRef, Message};
use tokio::{task::AbortHandle, time::Instant};

/// At most one alarm is set. Dropping it cancels the alarm.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    set: Option<(Instant, AbortHandle)>,
}

impl Wake {
    /// Sets the alarm to `at`, or to nothing. An alarm that has gone off may still be in the
    /// mailbox: the core takes an early or a repeated one calmly.
    pub(crate) fn set<M: Message>(
        &mut self,
        at: Option<Instant>,
        actor: &ActorRef<M>,
        alarm: fn() -> M,
    ) {
        let standing = self.set.as_ref().filter(|(_, timer)| !timer.is_finished());
        if standing.map(|(set, _)| *set) == at {
            return;
        }
        self.cancel();
        self.set = at.map(|at| {
            let delay = at.saturating_duration_since(Instant::now());
            (at, actor.send_after(delay, alarm).abort_handle())
        });
    }

    fn cancel(&mut self) {
        if let Some((_, timer)) = self.set.take() {
            timer.abort();
        }
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        self.cancel();
    }
}
