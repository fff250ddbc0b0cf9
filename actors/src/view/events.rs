//! Events on their way out: `ready` is the first one, what happened before it follows it.

use std::collections::VecDeque;

use tokio::sync::broadcast;

use crate::{api::Event, limits::node::EVENTS_HELD_MAX};

/// Holds events back until `ready` was told.
pub(super) struct Outgoing {
    held: VecDeque<Event>,
    missed: u64,
    is_ready_told: bool,
}

impl Outgoing {
    pub(super) fn new(is_ready_told: bool) -> Self {
        Self { held: VecDeque::new(), missed: 0, is_ready_told }
    }

    pub(super) fn is_ready_told(&self) -> bool {
        self.is_ready_told
    }

    /// Sends `event`, or keeps it until `ready` was sent. The end of the node is told at once.
    pub(super) fn send(&mut self, event: Event, out: &broadcast::Sender<Event>) {
        match event {
            Event::Ready { .. } => {
                self.is_ready_told = true;
                broadcast(event, out);
                self.release_all(out);
            }
            Event::RuntimeFailed { .. } => broadcast(event, out),
            _ if self.is_ready_told => broadcast(event, out),
            _ => self.hold(event),
        }
    }

    /// Sends what was held back.
    pub(super) fn release_all(&mut self, out: &broadcast::Sender<Event>) {
        if self.missed > 0 {
            broadcast(Event::EventsMissed { count: self.missed }, out);
            self.missed = 0;
        }
        self.held.drain(..).for_each(|event| broadcast(event, out));
    }

    fn hold(&mut self, event: Event) {
        if self.held.len() == EVENTS_HELD_MAX {
            self.held.pop_front();
            self.missed += 1;
        }
        self.held.push_back(event);
    }
}

fn broadcast(event: Event, out: &broadcast::Sender<Event>) {
    // Nobody listens: nobody needs it.
    out.send(event).ok();
}

#[cfg(test)]
mod tests {

    use lanspread_wire::PeerId;

    use super::*;

    fn ready() -> Event {
        Event::Ready {
            peer_id: PeerId([1; 32]),
            name: "n".to_owned(),
            addresses: Vec::new(),
            games_dir: None,
            state_dir: "/s".into(),
            version: "0".to_owned(),
            protocol: 1,
        }
    }

    fn notice(number: usize) -> Event {
        Event::Notice { game: None, message: number.to_string() }
    }

    /// Proves that `ready` is the first record, and that nothing of before is lost.
    #[test]
    fn ready_comes_first_and_the_rest_follows_in_order() {
        let (out, mut seen) = broadcast::channel(8);
        let mut outgoing = Outgoing::new(false);
        outgoing.send(notice(1), &out);
        outgoing.send(notice(2), &out);
        assert!(seen.try_recv().is_err());
        outgoing.send(ready(), &out);
        outgoing.send(notice(3), &out);
        let order: Vec<_> = std::iter::from_fn(|| seen.try_recv().ok()).collect();
        assert_eq!(order, [ready(), notice(1), notice(2), notice(3)]);
    }

    /// Proves A6: what is held back is bounded, and the loss is told.
    #[test]
    fn too_many_early_events_are_counted() {
        let (out, mut seen) = broadcast::channel(2 * EVENTS_HELD_MAX);
        let mut outgoing = Outgoing::new(false);
        for number in 0..EVENTS_HELD_MAX + 3 {
            outgoing.send(notice(number), &out);
        }
        outgoing.send(ready(), &out);
        assert_eq!(seen.try_recv(), Ok(ready()));
        assert_eq!(seen.try_recv(), Ok(Event::EventsMissed { count: 3 }));
        assert_eq!(seen.try_recv(), Ok(notice(3)));
    }

    #[test]
    fn a_restarted_view_holds_nothing_back() {
        let (out, mut seen) = broadcast::channel(2);
        Outgoing::new(true).send(notice(1), &out);
        assert_eq!(seen.try_recv(), Ok(notice(1)));
        let failed = Event::RuntimeFailed { component: "disk".to_owned(), error: "x".to_owned() };
        Outgoing::new(false).send(failed.clone(), &out);
        assert_eq!(seen.try_recv(), Ok(failed), "a failed start is told");
    }
}
