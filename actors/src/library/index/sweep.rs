//! The look through all game roots: listed once, then each root scanned, then over. Pure; knows
//! nothing of what is found.

use std::collections::BTreeSet;

use lanspread_wire::GameId;

/// How far the sweep is.
#[derive(Clone, Debug, Default)]
pub(super) struct Sweep {
    phase: Phase,
    /// One more is wanted once this one is over.
    again: bool,
}

#[derive(Clone, Debug, Default)]
enum Phase {
    #[default]
    Idle,
    /// Wanted, not started.
    Due,
    Listing,
    /// These are not scanned yet.
    Scanning(BTreeSet<GameId>),
    /// The folder cannot be read.
    GivenUp,
}

impl Sweep {
    /// Wants all roots looked at. During a sweep: exactly once more.
    pub(super) fn want(&mut self) {
        match self.phase {
            Phase::Idle => self.phase = Phase::Due,
            Phase::Due => {}
            Phase::Listing | Phase::Scanning(_) | Phase::GivenUp => self.again = true,
        }
    }

    /// Whether the folder has to be listed now.
    pub(super) fn start_listing(&mut self) -> bool {
        let due = matches!(self.phase, Phase::Due);
        if due {
            self.phase = Phase::Listing;
        }
        due
    }

    /// These roots are scanned in this sweep.
    pub(super) fn listed(&mut self, roots: impl Iterator<Item = GameId>) {
        self.phase = Phase::Scanning(roots.collect());
    }

    /// This root needs no scan any more.
    pub(super) fn done(&mut self, game: &GameId) {
        if let Phase::Scanning(left) = &mut self.phase {
            left.remove(game);
        }
    }

    /// The folder cannot be read: the sweep is over, and so is every wish for another.
    pub(super) fn give_up(&mut self) {
        self.again = false;
        if !matches!(self.phase, Phase::Idle) {
            self.phase = Phase::GivenUp;
        }
    }

    /// Whether the sweep is over and no other is due; true once for each.
    pub(super) fn ended(&mut self) -> bool {
        let over = match &self.phase {
            Phase::Scanning(left) => left.is_empty(),
            Phase::GivenUp => true,
            Phase::Idle | Phase::Due | Phase::Listing => false,
        };
        if !over {
            return false;
        }
        if std::mem::take(&mut self.again) {
            self.phase = Phase::Due;
            return false;
        }
        self.phase = Phase::Idle;
        true
    }
}
