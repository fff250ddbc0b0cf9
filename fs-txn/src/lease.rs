//! Who may write into a game root. The table is plain data owned by one actor; the guard travels
//! with the worker. A lease that was taken away stops its worker at the next change.
//!
//! A killed actor leaves its blocking worker running ("ghost"). [`LeaseTable::fence`] marks the
//! ghost's guard at once; [`LeaseGuard::wait_quiet`] then waits until no call of it is inside the
//! file system, and only after that a new lease may be given out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;

/// The worker's lease was taken away: it writes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("another worker has taken over this game")]
pub struct Fenced;

/// Why a lease was not given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LeaseError {
    /// A worker holds it and is not fenced.
    #[error("{game}: another operation holds the lease of this game")]
    Held {
        /// The game.
        game: String,
    },
    /// The fenced worker of before is still inside a call.
    #[error("{game}: the worker of an ended operation is still inside the file system")]
    Busy {
        /// The game.
        game: String,
    },
}

/// One lease per game. Plain data: its owner decides when to give and when to fence.
#[derive(Debug, Default)]
pub struct LeaseTable {
    leases: HashMap<String, LeaseGuard>,
    generation_last: u64,
}

impl LeaseTable {
    /// A table without leases.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the lease of `game`, if no living worker holds it.
    pub fn acquire(&mut self, game: &str) -> Result<LeaseGuard, LeaseError> {
        if let Some(guard) = self.leases.get(game) {
            let game = game.to_owned();
            // a worker that ended has dropped its guard: only the table's own is left
            let held = Arc::strong_count(&guard.shared) > 1;
            if held && !guard.is_fenced() {
                return Err(LeaseError::Held { game });
            }
            if !guard.is_quiet() {
                return Err(LeaseError::Busy { game });
            }
        }
        self.generation_last += 1;
        let guard = LeaseGuard::new(game, self.generation_last);
        self.leases.insert(game.to_owned(), guard.clone());
        Ok(guard)
    }

    /// Takes the lease of `game` away. The returned guard tells when its worker has left the file
    /// system. `None`: nobody held one.
    pub fn fence(&mut self, game: &str) -> Option<LeaseGuard> {
        let guard = self.leases.get(game)?;
        guard.fence();
        Some(guard.clone())
    }

    /// Forgets a lease whose worker has ended.
    pub fn release(&mut self, game: &str) {
        if self.leases.get(game).is_some_and(|guard| Arc::strong_count(&guard.shared) == 1) {
            self.leases.remove(game);
        }
    }

    /// Games whose lease is held by a living worker.
    pub fn held(&self) -> impl Iterator<Item = &str> {
        self.leases
            .iter()
            .filter(|(_, guard)| Arc::strong_count(&guard.shared) > 1 && !guard.is_fenced())
            .map(|(game, _)| game.as_str())
    }
}

/// The right to change one game root, held by one worker. Clones are the same lease.
#[derive(Clone, Debug)]
pub struct LeaseGuard {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    game: String,
    generation: u64,
    fenced: AtomicBool,
    /// Calls that are inside the file system right now.
    inside: Mutex<usize>,
    left: Condvar,
}

impl LeaseGuard {
    /// A lease outside any table: for tools and tests that have the folder for themselves.
    #[must_use]
    pub fn standalone(game: &str) -> Self {
        Self::new(game, 0)
    }

    fn new(game: &str, generation: u64) -> Self {
        let shared = Shared {
            game: game.to_owned(),
            generation,
            fenced: AtomicBool::new(false),
            inside: Mutex::new(0),
            left: Condvar::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The game this lease is for.
    #[must_use]
    pub fn game(&self) -> &str {
        &self.shared.game
    }

    /// Its number in the table; later leases have larger ones.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.generation
    }

    /// Whether the lease still stands.
    pub fn check(&self) -> Result<(), Fenced> {
        if self.is_fenced() { Err(Fenced) } else { Ok(()) }
    }

    /// Takes the lease away from its worker.
    pub fn fence(&self) {
        self.shared.fenced.store(true, Ordering::SeqCst);
    }

    /// Whether the lease was taken away.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.shared.fenced.load(Ordering::SeqCst)
    }

    /// Whether no call of the worker is inside the file system.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        *self.inside() == 0
    }

    /// Waits until no call is inside the file system; says whether that came true in time.
    #[must_use]
    pub fn wait_quiet(&self, timeout: Duration) -> bool {
        let waited =
            self.shared.left.wait_timeout_while(self.inside(), timeout, |inside| *inside > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }

    /// Asks for one change. Counted first and asked second: a fence that came before the count
    /// is seen here, one that comes after it finds the call counted and waits for it.
    pub(crate) fn enter(&self) -> Result<LeasePass<'_>, Fenced> {
        *self.inside() += 1;
        let pass = LeasePass { lease: self };
        self.check()?;
        Ok(pass)
    }

    fn inside(&self) -> MutexGuard<'_, usize> {
        self.shared.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call on its way through the file system.
pub(crate) struct LeasePass<'a> {
    lease: &'a LeaseGuard,
}

impl Drop for LeasePass<'_> {
    fn drop(&mut self) {
        let mut inside = self.lease.inside();
        *inside = inside.saturating_sub(1);
        if *inside == 0 {
            self.lease.shared.left.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_game_has_one_living_lease() {
        let mut table = LeaseTable::new();
        let first = table.acquire("a").unwrap();
        assert_eq!(table.acquire("a").unwrap_err(), LeaseError::Held { game: "a".into() });
        assert!(table.acquire("b").is_ok(), "another game is free");
        drop(first);
        let second = table.acquire("a").unwrap();
        assert!(second.generation() > 1);
        assert_eq!(table.held().collect::<Vec<_>>(), ["a"]);
    }

    /// A fenced worker is refused, and its successor waits until it has left the file system.
    #[test]
    fn a_successor_waits_for_the_ghost() {
        let mut table = LeaseTable::new();
        let ghost = table.acquire("a").unwrap();
        let pass = ghost.enter().unwrap();
        let fenced = table.fence("a").unwrap();
        assert!(ghost.enter().is_err());
        assert!(!fenced.is_quiet());
        assert_eq!(table.acquire("a").unwrap_err(), LeaseError::Busy { game: "a".into() });
        assert!(!fenced.wait_quiet(Duration::ZERO));
        drop(pass);
        assert!(fenced.wait_quiet(Duration::ZERO));
        let next = table.acquire("a").unwrap();
        assert!(next.check().is_ok());
        assert!(ghost.check().is_err(), "the ghost stays fenced");
    }

    #[test]
    fn waiting_ends_when_the_ghost_leaves() {
        let guard = LeaseGuard::standalone("a");
        let pass = guard.enter().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| guard.wait_quiet(Duration::from_secs(60)));
            drop(pass);
            assert!(waiter.join().unwrap());
        });
    }

    #[test]
    fn release_forgets_only_ended_workers() {
        let mut table = LeaseTable::new();
        let guard = table.acquire("a").unwrap();
        table.release("a");
        assert_eq!(table.held().count(), 1);
        drop(guard);
        table.release("a");
        assert!(table.leases.is_empty());
    }
}
