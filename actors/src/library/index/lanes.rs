//! The order in which games are scanned: what somebody waits for goes ahead of a sweep through
//! all of them. Pure. A game may stand in a lane more than once; its gate says whether it counts.

use std::collections::VecDeque;

use lanspread_wire::GameId;

use crate::limits::library::{SCANS_URGENT_MAX, SWEEP_BATCH_ROOTS};

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A single game, now.
    Urgent,
    /// Some games of a sweep, one after the other.
    Sweep,
}

/// The two lanes.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    urgent: VecDeque<GameId>,
    sweep: VecDeque<GameId>,
    urgent_running: usize,
    sweep_running: usize,
}

impl Lanes {
    /// A game waits.
    pub(super) fn push(&mut self, lane: Lane, game: GameId) {
        match lane {
            Lane::Urgent => self.urgent.push_back(game),
            Lane::Sweep => self.sweep.push_back(game),
        }
    }

    /// The games of the next scan, if its lane has room. `may_start` says of a game whether it
    /// still waits (`None`: forget it) and whether it can start at once.
    pub(super) fn start_next(
        &mut self,
        mut may_start: impl FnMut(&GameId) -> Option<bool>,
    ) -> Option<(Lane, Vec<GameId>)> {
        if self.urgent_running < SCANS_URGENT_MAX
            && let Some(game) = take_first(&mut self.urgent, &mut may_start)
        {
            self.urgent_running += 1;
            return Some((Lane::Urgent, vec![game]));
        }
        if self.sweep_running > 0 {
            return None;
        }
        let mut batch = Vec::new();
        while batch.len() < SWEEP_BATCH_ROOTS
            && let Some(game) = take_first(&mut self.sweep, |game| {
                if batch.contains(game) { None } else { may_start(game) }
            })
        {
            batch.push(game);
        }
        if batch.is_empty() {
            return None;
        }
        self.sweep_running += 1;
        Some((Lane::Sweep, batch))
    }

    /// A scan of this lane has ended.
    pub(super) fn ended(&mut self, lane: Lane) {
        let running = match lane {
            Lane::Urgent => &mut self.urgent_running,
            Lane::Sweep => &mut self.sweep_running,
        };
        *running = running.saturating_sub(1);
    }

    /// Forgets who waits; what runs goes on to its end.
    pub(super) fn clear(&mut self) {
        self.urgent.clear();
        self.sweep.clear();
    }
}

/// The first game that can start; on the way drops those that wait no more.
fn take_first(
    lane: &mut VecDeque<GameId>,
    mut may_start: impl FnMut(&GameId) -> Option<bool>,
) -> Option<GameId> {
    let mut index = 0;
    while let Some(game) = lane.get(index) {
        match may_start(game) {
            None => {
                lane.remove(index);
            }
            Some(false) => index += 1,
            Some(true) => return lane.remove(index),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game(name: &str) -> GameId {
        GameId::parse(name).unwrap()
    }

    /// Proves L3: a single game does not wait for a sweep.
    #[test]
    fn a_single_game_overtakes_a_sweep_and_a_sweep_comes_in_batches() {
        let mut lanes = Lanes::default();
        let count = SWEEP_BATCH_ROOTS + 1;
        for index in 0..count {
            lanes.push(Lane::Sweep, game(&format!("g{index}")));
        }
        lanes.push(Lane::Urgent, game("now"));
        let (lane, games) = lanes.start_next(|_| Some(true)).unwrap();
        assert_eq!((lane, games), (Lane::Urgent, vec![game("now")]));
        let (lane, games) = lanes.start_next(|_| Some(true)).unwrap();
        assert_eq!((lane, games.len()), (Lane::Sweep, SWEEP_BATCH_ROOTS));
        assert!(lanes.start_next(|_| Some(true)).is_none(), "one batch at a time");
        lanes.ended(Lane::Sweep);
        let (_, games) = lanes.start_next(|_| Some(true)).unwrap();
        assert_eq!(games.len(), 1);
    }

    #[test]
    fn who_cannot_start_yet_keeps_his_place_and_who_waits_no_more_is_dropped() {
        let mut lanes = Lanes::default();
        for name in ["gone", "later", "now"] {
            lanes.push(Lane::Urgent, game(name));
        }
        let verdict = |game: &GameId| match game.as_str() {
            "gone" => None,
            "later" => Some(false),
            _ => Some(true),
        };
        assert_eq!(lanes.start_next(verdict), Some((Lane::Urgent, vec![game("now")])));
        assert_eq!(lanes.start_next(verdict), None);
        lanes.ended(Lane::Urgent);
        let next = lanes.start_next(|_| Some(true));
        assert_eq!(next, Some((Lane::Urgent, vec![game("later")])));
    }

    #[test]
    fn only_so_many_single_scans_run_at_once() {
        let mut lanes = Lanes::default();
        for index in 0..=SCANS_URGENT_MAX {
            lanes.push(Lane::Urgent, game(&format!("g{index}")));
        }
        for _ in 0..SCANS_URGENT_MAX {
            assert!(lanes.start_next(|_| Some(true)).is_some());
        }
        assert!(lanes.start_next(|_| Some(true)).is_none());
        lanes.ended(Lane::Urgent);
        assert!(lanes.start_next(|_| Some(true)).is_some());
    }
}
