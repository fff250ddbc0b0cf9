//! Which game is hashed next: the newest wish first, a few at a time, one job for a game. Pure;
//! knows nothing of files.

use std::collections::BTreeMap;

use lanspread_wire::GameId;

use super::facts::HashOrder;
use crate::limits::library::HASHES_MAX;

/// The games that wait to be hashed and those that are.
#[derive(Clone, Debug, Default)]
pub(super) struct HashQueue {
    /// The newest wish is the last.
    waiting: Vec<(GameId, HashOrder)>,
    running: BTreeMap<GameId, Job>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Job {
    /// Its result is awaited. It was wanted again meanwhile, or not.
    Active { again: bool },
    /// It was told to stop and has not said that it did; then comes what is wanted since.
    Stopping(Option<HashOrder>),
}

impl HashQueue {
    /// Wants a game to be hashed. A job under way is left alone: what it finds is compared with
    /// what was seen last, and a difference leads back here; one that finds nothing tells at its
    /// end that it was wanted again.
    pub(super) fn request(&mut self, game: &GameId, order: HashOrder) {
        match self.running.get_mut(game) {
            Some(Job::Active { again }) => *again = true,
            Some(Job::Stopping(next)) => *next = Some(order),
            None => {
                self.waiting.retain(|(waiting, _)| waiting != game);
                self.waiting.push((game.clone(), order));
            }
        }
    }

    /// Wants a game no longer. Returns whether a job has to be told to stop.
    pub(super) fn withdraw(&mut self, game: &GameId) -> bool {
        self.waiting.retain(|(waiting, _)| waiting != game);
        match self.running.get_mut(game) {
            Some(job @ Job::Active { .. }) => {
                *job = Job::Stopping(None);
                true
            }
            Some(Job::Stopping(next)) => {
                *next = None;
                false
            }
            None => false,
        }
    }

    /// Wants nothing any more. Returns the games whose jobs have to be told to stop.
    pub(super) fn withdraw_all(&mut self) -> Vec<GameId> {
        self.waiting.clear();
        let running: Vec<GameId> = self.running.keys().cloned().collect();
        running.into_iter().filter(|game| self.withdraw(game)).collect()
    }

    /// A job has ended. If its result counts, tells whether the game was wanted again meanwhile.
    pub(super) fn ended(&mut self, game: &GameId) -> Option<bool> {
        match self.running.remove(game) {
            Some(Job::Active { again }) => Some(again),
            Some(Job::Stopping(next)) => {
                if let Some(order) = next {
                    self.request(game, order);
                }
                None
            }
            None => None,
        }
    }

    /// The next game to start with, if there is room for one more.
    pub(super) fn start_next(&mut self) -> Option<(GameId, HashOrder)> {
        if self.running.len() >= HASHES_MAX {
            return None;
        }
        let (game, order) = self.waiting.pop()?;
        self.running.insert(game.clone(), Job::Active { again: false });
        Some((game, order))
    }

    /// Whether a job of this game is still to stop: nothing else may touch its ledger before.
    pub(super) fn is_stopping(&self, game: &GameId) -> bool {
        matches!(self.running.get(game), Some(Job::Stopping(_)))
    }

    /// Whether a game is hashed or will be.
    pub(super) fn is_wanted(&self, game: &GameId) -> bool {
        self.waiting.iter().any(|(waiting, _)| waiting == game)
            || matches!(self.running.get(game), Some(Job::Active { .. } | Job::Stopping(Some(_))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game(name: &str) -> GameId {
        GameId::parse(name).unwrap()
    }

    #[test]
    fn the_newest_wish_comes_first_and_few_run_at_once() {
        let mut queue = HashQueue::default();
        let names = ["a", "b", "c", "d", "e"];
        for name in names {
            queue.request(&game(name), HashOrder::Payload);
        }
        queue.request(&game("a"), HashOrder::Payload);
        let mut order = Vec::new();
        let mut most = 0;
        loop {
            while let Some((next, _)) = queue.start_next() {
                order.push(next);
            }
            most = most.max(queue.running.len());
            let Some(done) = queue.running.keys().next().cloned() else { break };
            assert_eq!(queue.ended(&done), Some(false));
        }
        let expected: Vec<GameId> = ["a", "e", "d", "c", "b"].map(game).to_vec();
        assert_eq!(order, expected);
        assert_eq!(most, HASHES_MAX);
    }

    #[test]
    fn a_withdrawn_job_counts_no_more_and_a_new_wish_waits_for_its_end() {
        let mut queue = HashQueue::default();
        let a = game("a");
        queue.request(&a, HashOrder::Payload);
        queue.start_next().unwrap();
        assert!(queue.withdraw(&a), "it must be told");
        assert!(!queue.withdraw(&a), "once");
        assert!(queue.is_stopping(&a));
        queue.request(&a, HashOrder::Payload);
        assert!(queue.start_next().is_none(), "never two jobs for one game");
        assert_eq!(queue.ended(&a), None, "its result is stale");
        assert!(!queue.is_stopping(&a));
        assert_eq!(queue.start_next().map(|(game, _)| game), Some(a.clone()));
        queue.request(&a, HashOrder::Payload);
        assert_eq!(queue.ended(&a), Some(true), "it was wanted again");
        assert!(!queue.is_wanted(&a));
    }
}
