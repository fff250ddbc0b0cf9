//! The gate in front of the files of one game (O8): uploads pass it, an operation closes it.
//!
//! It never blocks an upload that is inside; it only tells the operation when the last one left.

use std::sync::Arc;

use tokio::sync::watch;

/// Shared by everybody who serves or changes one game. Cheap to clone; clones are the same gate.
#[derive(Clone, Debug)]
pub struct ServeGate(Arc<watch::Sender<State>>);

/// Held by one running upload.
#[derive(Debug)]
pub struct ServeGuard(Arc<watch::Sender<State>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    closed: bool,
    inside: usize,
}

impl Default for ServeGate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }
}

impl ServeGate {
    /// Enters with a new upload; `None` while an operation changes the files.
    pub fn enter(&self) -> Option<ServeGuard> {
        let entered = self.0.send_if_modified(|state| {
            if !state.closed {
                state.inside += 1;
            }
            !state.closed
        });
        entered.then(|| ServeGuard(self.0.clone()))
    }

    /// Lets no new upload in. Idempotent.
    pub fn close(&self) {
        self.0.send_modify(|state| state.closed = true);
    }

    /// Opens it again. Idempotent.
    pub fn open(&self) {
        self.0.send_modify(|state| state.closed = false);
    }

    /// Resolves once it is closed for new uploads and the last running one has left.
    pub async fn drained(&self) {
        let mut states = self.0.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        states.wait_for(|state| state.closed && state.inside == 0).await.ok();
    }

    /// Resolves when an operation closes the gate: a running upload stops at its next chunk.
    pub async fn closing(&self) {
        self.0.subscribe().wait_for(|state| state.closed).await.ok();
    }

    /// Whether no new upload is let in.
    pub fn is_closed(&self) -> bool {
        self.0.borrow().closed
    }

    /// Running uploads.
    pub fn inside(&self) -> usize {
        self.0.borrow().inside
    }
}

impl Drop for ServeGuard {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.inside -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves O8.
    #[tokio::test]
    async fn a_closed_gate_waits_for_the_uploads_inside() {
        let gate = ServeGate::default();
        let first = gate.enter().expect("open");
        let second = gate.enter().expect("open");
        gate.close();
        assert!(gate.enter().is_none(), "no new upload while an operation runs");

        let mut tasks = tokio::task::JoinSet::new();
        let waiting = gate.clone();
        tasks.spawn(async move { waiting.drained().await });
        drop(first);
        tokio::task::yield_now().await;
        assert!(tasks.try_join_next().is_none(), "one upload is still inside");
        drop(second);
        tasks.join_next().await.expect("a task").expect("drained");

        gate.open();
        assert!(gate.enter().is_some());
    }
}
