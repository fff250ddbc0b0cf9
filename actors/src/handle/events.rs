//! The events of a node for one reader: bounded, honest about what was missed, with an end.

use tokio::sync::{broadcast, watch};

use super::{Outcome, Signals};
use crate::api::Event;

/// Events from the moment it was made. Ends when the node has ended and all were read.
pub struct EventStream {
    receiver: broadcast::Receiver<Event>,
    outcome: watch::Receiver<Option<Outcome>>,
    is_failure_told: bool,
}

impl EventStream {
    pub(super) fn new(signals: &Signals) -> Self {
        Self {
            receiver: signals.events.subscribe(),
            outcome: signals.outcome.subscribe(),
            is_failure_told: false,
        }
    }

    /// The next event. A reader that was too slow is told `events-missed`; a failed node always
    /// tells `runtime-failed`, also when the part that tells events was the one that failed.
    pub async fn next(&mut self) -> Option<Event> {
        let event = tokio::select! {
            biased;
            event = self.receiver.recv() => event,
            // The node's end of this channel may be gone with the node: the same end.
            _ = self.outcome.wait_for(Option::is_some) => {
                Err(broadcast::error::RecvError::Closed)
            }
        };
        match event {
            Ok(event) => {
                self.is_failure_told |= matches!(event, Event::RuntimeFailed { .. });
                Some(event)
            }
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Event::EventsMissed { count }),
            Err(broadcast::error::RecvError::Closed) => self.untold_failure(),
        }
    }

    fn untold_failure(&mut self) -> Option<Event> {
        if std::mem::replace(&mut self.is_failure_told, true) {
            return None;
        }
        match self.outcome.borrow().clone() {
            Some(Outcome::Failed { component, error }) => {
                Some(Event::RuntimeFailed { component, error })
            }
            Some(Outcome::Stopped | Outcome::NotStarted(_)) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::node::EVENTS_BUFFERED_MAX;

    fn notice(number: usize) -> Event {
        Event::Notice { game: None, message: number.to_string() }
    }

    /// Proves F27: a slow reader holds up nobody and is told how many events it missed.
    #[tokio::test]
    async fn a_slow_reader_is_told_what_it_missed() {
        let signals = Signals::new();
        let mut events = EventStream::new(&signals);
        for number in 0..EVENTS_BUFFERED_MAX + 5 {
            signals.events.send(notice(number)).unwrap();
        }
        assert_eq!(events.next().await, Some(Event::EventsMissed { count: 5 }));
        assert_eq!(events.next().await, Some(notice(5)));
    }

    /// Proves A2: the failure is told once, whether the node could still tell it or not.
    #[tokio::test]
    async fn a_failure_is_told_exactly_once() {
        let failed = Event::RuntimeFailed { component: "disk".to_owned(), error: "x".to_owned() };
        for is_told in [true, false] {
            let signals = Signals::new();
            let mut events = EventStream::new(&signals);
            signals.events.send(notice(1)).unwrap();
            if is_told {
                signals.events.send(failed.clone()).unwrap();
            }
            let (component, error) = ("disk".to_owned(), "x".to_owned());
            signals.outcome.send_replace(Some(Outcome::Failed { component, error }));
            assert_eq!(events.next().await, Some(notice(1)));
            assert_eq!(events.next().await, Some(failed.clone()));
            assert_eq!(events.next().await, None);
        }
    }

    /// Proves A5: an end that was asked for is silent.
    #[tokio::test]
    async fn an_ordered_end_is_silent() {
        let signals = Signals::new();
        let mut events = EventStream::new(&signals);
        signals.events.send(notice(1)).unwrap();
        signals.outcome.send_replace(Some(Outcome::Stopped));
        assert_eq!(events.next().await, Some(notice(1)));
        assert_eq!(events.next().await, None);
        assert_eq!(events.next().await, None);
    }
}
