//! Signs of life of one peer: when to ask for one, and when to give up. Pure: time is an argument.

use std::time::Duration;

use super::limits::{PING_INTERVAL, SILENCE_MAX};

/// What was heard of the peer, and what it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    heard_at: Duration,
    pinged_at: Duration,
    /// Nonces count up, and the stream keeps their order: everything between `answered` and
    /// `asked` may still come.
    asked: u64,
    answered: u64,
    probe: Option<u64>,
    unasked: u32,
}

/// What the answer to a ping means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// An ordinary sign of life.
    Ordinary,
    /// The one that a probe waited for.
    Probed,
    /// Nobody asked; so many of these there were by now.
    Unasked(u32),
}

impl Life {
    /// A peer that was heard of just now.
    pub(crate) fn new(now: Duration) -> Self {
        Self { heard_at: now, pinged_at: now, asked: 0, answered: 0, probe: None, unasked: 0 }
    }

    /// Any message came.
    pub(crate) fn heard(&mut self, now: Duration) {
        self.heard_at = now;
    }

    /// The nonce of the next ping, which leaves now.
    pub(crate) fn ping(&mut self, now: Duration, probe: bool) -> u64 {
        self.pinged_at = now;
        self.asked += 1;
        if probe {
            self.probe.get_or_insert(self.asked);
        }
        self.asked
    }

    /// A ping was answered.
    pub(crate) fn pong(&mut self, nonce: u64) -> Answer {
        if nonce <= self.answered || nonce > self.asked {
            self.unasked += 1;
            return Answer::Unasked(self.unasked);
        }
        self.answered = nonce;
        match self.probe.take_if(|probe| *probe <= nonce) {
            Some(_) => Answer::Probed,
            None => Answer::Ordinary,
        }
    }

    /// When the next ping is due.
    pub(crate) fn next_ping(&self) -> Duration {
        self.heard_at.max(self.pinged_at) + PING_INTERVAL
    }

    /// When the peer counts as gone.
    pub(crate) fn silent_at(&self) -> Duration {
        self.heard_at + SILENCE_MAX
    }
}
