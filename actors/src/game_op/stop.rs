//! How an operation is asked to stop: one switch, seen by its async part and by its blocking work.
//!
//! Owns the request to stop, never what follows from it. The first reason stays, except that
//! parking overrules a cancel.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;

use crate::operations::table::ending::StopReason;

/// The hand that stops.
#[derive(Clone, Debug)]
pub struct StopSwitch {
    reason: Arc<watch::Sender<Option<StopReason>>>,
    flag: Arc<AtomicBool>,
}

/// The eye that watches for it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop {
    reason: watch::Receiver<Option<StopReason>>,
    flag: Arc<AtomicBool>,
}

impl StopSwitch {
    /// A switch that has not been used, and its first watcher.
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(None);
        let flag = Arc::new(AtomicBool::new(false));
        let stop = Stop { reason: receiver, flag: flag.clone() };
        (Self { reason: Arc::new(sender), flag }, stop)
    }

    /// Asks to stop.
    pub fn stop(&self, reason: StopReason) {
        self.reason.send_modify(|present| {
            if *present != Some(StopReason::Park) {
                *present = Some(reason);
            }
        });
        self.flag.store(true, Ordering::Release);
    }
}

impl Stop {
    /// Resolves when a stop is asked for. Waits for ever once the switch is gone.
    pub async fn requested(&mut self) -> StopReason {
        let asked = self.reason.wait_for(Option::is_some).await.map(|reason| *reason);
        match asked {
            Ok(reason) => reason.unwrap_or(StopReason::Cancel),
            Err(_) => std::future::pending().await,
        }
    }

    /// Why to stop, if it was asked for.
    pub fn now(&self) -> Option<StopReason> {
        *self.reason.borrow()
    }

    /// For blocking work: true from the moment a stop is asked for.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.flag.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves O6.
    #[tokio::test]
    async fn everyone_sees_the_stop() {
        let (switch, mut stop) = StopSwitch::new();
        assert_eq!(stop.now(), None);
        assert!(!stop.flag().load(Ordering::Acquire));
        let waiting = stop.clone();
        switch.stop(StopReason::Cancel);
        assert_eq!(stop.requested().await, StopReason::Cancel);
        assert_eq!(waiting.now(), Some(StopReason::Cancel));
        assert!(stop.flag().load(Ordering::Acquire));
        switch.stop(StopReason::Park);
        switch.stop(StopReason::Cancel);
        assert_eq!(stop.now(), Some(StopReason::Park), "parking overrules");
    }
}
