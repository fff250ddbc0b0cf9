//! What one peer is told of our library, and when. Pure: time and libraries are arguments.
//!
//! There is one pending change per peer, however often the library changes meanwhile: the
//! difference between what the peer was last sent and what is now. It waits for a batch to gather
//! and for the frames sent before it to leave, so a slow peer costs one library of memory and not a
//! queue.

use std::time::Duration;

use lanspread_wire::{
    Control, GameId, GameSummary, LibraryDelta, LibraryDigest, LibraryState, encode_frame,
    snapshot_pages,
};

use super::limits::{DELTA_BATCH, SNAPSHOT_ASK_INTERVAL};
use crate::facts::Announced;

/// Decides what to send of our library to one peer.
#[derive(Debug)]
pub(crate) struct Announcer {
    latest: Announced,
    /// What the peer holds of us; `None` until its greeting said what it knows.
    sent: Option<Announced>,
    /// When the pending change is due.
    due: Option<Duration>,
    /// Frames were handed to the writer and have not left yet.
    writing: bool,
    snapshot_wanted: bool,
    snapshot_at: Option<Duration>,
}

/// The library's revision went back: only a new session can tell the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WentBack;

impl Announcer {
    /// Nothing is told before [`Announcer::greeted`].
    pub(crate) fn new(latest: Announced) -> Self {
        Self {
            latest,
            sent: None,
            due: None,
            writing: false,
            snapshot_wanted: false,
            snapshot_at: None,
        }
    }

    /// The library as it is now.
    pub(crate) fn latest(&self) -> &Announced {
        &self.latest
    }

    /// The library changed.
    pub(crate) fn offer(&mut self, now: Duration, latest: Announced) -> Result<(), WentBack> {
        if latest.state == self.latest.state {
            return Ok(());
        }
        if latest.state.revision <= self.latest.state.revision {
            return Err(WentBack);
        }
        self.latest = latest;
        if self.due.is_none() {
            self.due = Some(now + DELTA_BATCH);
        }
        Ok(())
    }

    /// The peer greeted us and still holds our library of digest `known`; `told` is the library
    /// that our own greeting spoke of.
    pub(crate) fn greeted(&mut self, now: Duration, told: Announced, known: Option<LibraryDigest>) {
        if known == Some(told.state.digest) {
            self.sent = Some(told);
            self.due = Some(now);
        } else {
            self.snapshot_wanted = true;
        }
    }

    /// The peer lost the thread and wants everything.
    pub(crate) fn want_snapshot(&mut self) {
        self.snapshot_wanted = true;
    }

    /// The frames given last have left.
    pub(crate) fn written(&mut self) {
        self.writing = false;
    }

    /// What is to be sent now; answered by [`Announcer::written`].
    pub(crate) fn poll(&mut self, now: Duration) -> Option<Vec<Control>> {
        if self.writing {
            return None;
        }
        let frames = if self.snapshot_due().is_some_and(|due| due <= now) {
            Some(self.snapshot(now))
        } else {
            self.change(now)
        };
        self.writing = frames.is_some();
        frames
    }

    /// When [`Announcer::poll`] has something to give, if it is only a matter of time.
    pub(crate) fn wake(&self) -> Option<Duration> {
        if self.writing {
            return None;
        }
        let change = self.due.filter(|_| self.sent.is_some());
        [self.snapshot_due(), change].into_iter().flatten().min()
    }

    fn snapshot_due(&self) -> Option<Duration> {
        let after_last = |at: Duration| at + SNAPSHOT_ASK_INTERVAL;
        self.snapshot_wanted.then(|| self.snapshot_at.map_or(Duration::ZERO, after_last))
    }

    fn snapshot(&mut self, now: Duration) -> Vec<Control> {
        self.snapshot_wanted = false;
        self.snapshot_at = Some(now);
        self.due = None;
        self.sent = Some(self.latest.clone());
        let games: Vec<GameSummary> = self.latest.games.values().cloned().collect();
        let pages = snapshot_pages(self.latest.state, &games);
        pages.into_iter().map(Control::Snapshot).collect()
    }

    fn change(&mut self, now: Duration) -> Option<Vec<Control>> {
        let sent = self.sent.as_ref()?;
        self.due.filter(|due| *due <= now)?;
        self.due = None;
        if sent.state.digest == self.latest.state.digest {
            // It changed there and back. The peer keeps its revision, and so do we for the next
            // change to begin at.
            return None;
        }
        let delta = Control::Delta(difference(sent, &self.latest));
        if encode_frame(&delta).is_err() {
            return Some(self.snapshot(now));
        }
        self.sent = Some(self.latest.clone());
        Some(vec![delta])
    }
}

/// The change that leads from one library to another.
fn difference(from: &Announced, to: &Announced) -> LibraryDelta {
    let LibraryState { revision, digest } = to.state;
    let (mut added, mut updated) = (Vec::new(), Vec::new());
    for (game, summary) in to.games.iter() {
        match from.games.get(game) {
            None => added.push(summary.clone()),
            Some(before) if before != summary => updated.push(summary.clone()),
            Some(_) => {}
        }
    }
    let gone = |game: &&GameId| !to.games.contains_key(*game);
    let removed = from.games.keys().filter(gone).cloned().collect();
    LibraryDelta { from: from.state.revision, to: revision, digest, added, updated, removed }
}

#[cfg(test)]
#[path = "announce_tests.rs"]
mod tests;
