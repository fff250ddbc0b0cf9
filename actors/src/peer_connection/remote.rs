//! What one peer holds, as its pages and changes tell it. Pure: takes messages, gives libraries.
//! Must never let a part of a snapshot or a change that does not fit be seen.

use std::{collections::BTreeMap, time::Duration};

use lanspread_wire::{
    CloseCode, GameId, GameSummary, LibraryDelta, LibraryState, SnapshotPage, library_digest,
    limits::{GAMES_PER_PEER_MAX, SNAPSHOT_BYTES_MAX},
};

use super::{
    end::Fault,
    limits::{LIBRARY_DEADLINE, REMOTE_GAME_OVERHEAD_BYTES, SNAPSHOT_ASK_INTERVAL},
};
use crate::facts::RemoteLibrary;

/// Puts the pages of one snapshot together.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    state: Option<LibraryState>,
    next: u32,
    games: BTreeMap<GameId, GameSummary>,
    bytes: usize,
}

impl Pages {
    /// Whether a snapshot was begun and has not ended.
    pub(crate) fn is_open(&self) -> bool {
        self.state.is_some()
    }

    /// Takes the next page, which came in `bytes` bytes; gives the library after the last one.
    pub(crate) fn push(
        &mut self,
        page: SnapshotPage,
        bytes: usize,
    ) -> Result<Option<RemoteLibrary>, Fault> {
        if page.page != self.next || self.state.is_some_and(|state| state != page.state) {
            return Err(Fault::new(
                CloseCode::State,
                format!("page {} of a library where page {} was due", page.page, self.next),
            ));
        }
        self.bytes = self.bytes.saturating_add(bytes);
        let games = self.games.len() + page.games.len();
        if games > GAMES_PER_PEER_MAX || self.bytes > SNAPSHOT_BYTES_MAX {
            return Err(too_large());
        }
        let last = self.games.keys().next_back();
        if let (Some(last), Some(first)) = (last, page.games.first())
            && first.game <= *last
        {
            return Err(Fault::new(
                CloseCode::Decode,
                format!("the game {} is out of order in a library", first.game),
            ));
        }
        self.state = Some(page.state);
        self.next += 1;
        self.games.extend(page.games.into_iter().map(|summary| (summary.game.clone(), summary)));
        if page.last { self.close(page.state).map(Some) } else { Ok(None) }
    }

    fn close(&mut self, state: LibraryState) -> Result<RemoteLibrary, Fault> {
        let games = std::mem::take(self).games;
        if library_digest(games.values()) != state.digest {
            return Err(Fault::new(
                CloseCode::Decode,
                format!("the library of revision {} has another digest", state.revision),
            ));
        }
        Ok(RemoteLibrary { state, games })
    }
}

/// What a change of a library led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It fits; this is the library after it.
    Changed(RemoteLibrary),
    /// It was applied before.
    Repeated,
    /// It does not fit what we hold: the whole library must be asked for.
    Gap,
}

/// Applies a change to what we hold of a peer.
pub(crate) fn apply(held: &RemoteLibrary, delta: LibraryDelta) -> Result<Applied, Fault> {
    let LibraryDelta { from, to, digest, added, updated, removed } = delta;
    let state = LibraryState { revision: to, digest };
    if state == held.state {
        return Ok(Applied::Repeated);
    }
    if from != held.state.revision {
        return Ok(Applied::Gap);
    }
    let mut games = held.games.clone();
    for game in &removed {
        games.remove(game);
    }
    for summary in added.into_iter().chain(updated) {
        games.insert(summary.game.clone(), summary);
    }
    if games.len() > GAMES_PER_PEER_MAX {
        return Err(too_large());
    }
    if library_digest(games.values()) != digest {
        return Ok(Applied::Gap);
    }
    Ok(Applied::Changed(RemoteLibrary { state, games }))
}

/// The question for a peer's whole library, asked when its changes do not fit what we hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Question {
    /// A gap was seen and nobody asked since.
    open: bool,
    asked_at: Option<Duration>,
    allowed_at: Duration,
}

impl Question {
    /// A gap was seen.
    pub(crate) fn raise(&mut self) {
        self.open = true;
    }

    /// Whether to ask now. Once asked, gaps need no question of their own until the answer is here:
    /// it will be newer than they are.
    pub(crate) fn ask(&mut self, now: Duration) -> bool {
        let due = self.open && self.asked_at.is_none() && self.allowed_at <= now;
        if due {
            self.open = false;
            self.asked_at = Some(now);
            self.allowed_at = now + SNAPSHOT_ASK_INTERVAL;
        }
        due
    }

    /// The whole library came, asked for or not.
    pub(crate) fn answered(&mut self) {
        *self = Self { open: false, asked_at: None, allowed_at: self.allowed_at };
    }

    /// Whether the peer owes the answer for too long.
    pub(crate) fn is_overdue(&self, now: Duration) -> bool {
        self.asked_at.is_some_and(|at| at + LIBRARY_DEADLINE <= now)
    }

    /// When there is something to do.
    pub(crate) fn wake(&self) -> Option<Duration> {
        match self.asked_at {
            Some(at) => Some(at + LIBRARY_DEADLINE),
            None => self.open.then_some(self.allowed_at),
        }
    }
}

/// About what a library takes in memory.
pub(crate) fn weight(library: &RemoteLibrary) -> usize {
    let texts = |summary: &GameSummary| {
        summary.game.as_str().len() + summary.title.as_str().len() + summary.version.as_str().len()
    };
    library.games.values().map(|summary| texts(summary) + REMOTE_GAME_OVERHEAD_BYTES).sum()
}

fn too_large() -> Fault {
    Fault::new(
        CloseCode::Limit,
        format!(
            "the peer's library is too large: more than {GAMES_PER_PEER_MAX} games or \
             {SNAPSHOT_BYTES_MAX} bytes"
        ),
    )
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
