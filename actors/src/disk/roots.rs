//! Who may change which game root. Pure: no actor, no clock, no disk.
//!
//! A root is free (absent), held, or draining: its holder is gone or was fenced, but blocking
//! workers of it still run. Only a free root is given to the next one.

use std::collections::BTreeMap;

use lanspread_wire::GameId;

use super::Holding;

/// Something that waits for a lease and may have stopped waiting.
pub(super) trait Waits {
    /// Whether nobody waits any more.
    fn is_gone(&self) -> bool;
}

/// What the actor has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect<W, F> {
    /// Give the lease to `waiter`.
    Grant { holding: Holding, waiter: W },
    /// Tell `waiter` that `by` holds it.
    Refuse { game: GameId, by: String, waiter: W },
    /// Mark the guard of the present holding as fenced.
    Revoke { game: GameId },
    /// Tell `waiter` that nothing of the fenced holding runs any more.
    Quiet { waiter: F },
}

#[derive(Debug)]
struct Root<W, F> {
    generation: u64,
    phase: Phase,
    workers: usize,
    next: Option<(String, W)>,
    fencing: Vec<F>,
}

#[derive(Debug)]
enum Phase {
    Held { owner: String },
    Draining,
}

/// The table. `W` waits for a lease, `F` waits for the silence after a fence.
#[derive(Debug)]
pub(super) struct Roots<W, F> {
    roots: BTreeMap<GameId, Root<W, F>>,
    generation_last: u64,
}

impl<W, F> Default for Roots<W, F> {
    fn default() -> Self {
        Self { roots: BTreeMap::new(), generation_last: 0 }
    }
}

impl<W: Waits, F> Roots<W, F> {
    /// Games whose root is not free.
    pub(super) fn games(&self) -> impl Iterator<Item = &GameId> {
        self.roots.keys()
    }

    /// `owner` asks for the lease of `game`.
    pub(super) fn acquire(&mut self, game: &GameId, owner: String, waiter: W) -> Vec<Effect<W, F>> {
        let Some(root) = self.roots.get_mut(game) else {
            return vec![self.grant(game, owner, waiter)];
        };
        let by = match (&root.phase, &root.next) {
            (Phase::Held { owner }, _) => Some(owner.clone()),
            (Phase::Draining, Some((owner, first))) if !first.is_gone() => Some(owner.clone()),
            (Phase::Draining, _) => None,
        };
        match by {
            Some(by) => vec![Effect::Refuse { game: game.clone(), by, waiter }],
            None => {
                root.next = Some((owner, waiter));
                Vec::new()
            }
        }
    }

    /// A job of `holding` wants to start: whether it may.
    pub(super) fn begin(&mut self, holding: &Holding) -> bool {
        let Some(root) = self.roots.get_mut(&holding.game) else { return false };
        let may = root.generation == holding.generation && matches!(root.phase, Phase::Held { .. });
        if may {
            root.workers += 1;
        }
        may
    }

    /// A job of `holding` has ended.
    pub(super) fn end(&mut self, holding: &Holding) -> Vec<Effect<W, F>> {
        let Some(root) = self.present(holding) else { return Vec::new() };
        root.workers = root.workers.saturating_sub(1);
        self.free_if_drained(&holding.game)
    }

    /// The holder has dropped its lease. Not told twice, and ignored from a fenced holder.
    pub(super) fn release(&mut self, holding: &Holding) -> Vec<Effect<W, F>> {
        let Some(root) = self.present(holding) else { return Vec::new() };
        if matches!(root.phase, Phase::Draining) {
            return Vec::new();
        }
        root.phase = Phase::Draining;
        self.revoke(&holding.game)
    }

    /// Takes the lease of `game` away from whoever holds it.
    pub(super) fn fence(&mut self, game: &GameId, waiter: F) -> Vec<Effect<W, F>> {
        let Some(root) = self.roots.get_mut(game) else {
            return vec![Effect::Quiet { waiter }];
        };
        root.phase = Phase::Draining;
        root.fencing.push(waiter);
        self.revoke(game)
    }

    fn present(&mut self, holding: &Holding) -> Option<&mut Root<W, F>> {
        self.roots.get_mut(&holding.game).filter(|root| root.generation == holding.generation)
    }

    fn revoke(&mut self, game: &GameId) -> Vec<Effect<W, F>> {
        let mut effects = vec![Effect::Revoke { game: game.clone() }];
        effects.extend(self.free_if_drained(game));
        effects
    }

    fn free_if_drained(&mut self, game: &GameId) -> Vec<Effect<W, F>> {
        let drained = self
            .roots
            .get(game)
            .is_some_and(|root| root.workers == 0 && matches!(root.phase, Phase::Draining));
        if !drained {
            return Vec::new();
        }
        let Some(root) = self.roots.remove(game) else { return Vec::new() };
        let mut effects: Vec<_> =
            root.fencing.into_iter().map(|waiter| Effect::Quiet { waiter }).collect();
        if let Some((owner, waiter)) = root.next.filter(|(_, waiter)| !waiter.is_gone()) {
            effects.push(self.grant(game, owner, waiter));
        }
        effects
    }

    fn grant(&mut self, game: &GameId, owner: String, waiter: W) -> Effect<W, F> {
        self.generation_last += 1;
        let generation = self.generation_last;
        let phase = Phase::Held { owner };
        let root = Root { generation, phase, workers: 0, next: None, fencing: Vec::new() };
        self.roots.insert(game.clone(), root);
        Effect::Grant { holding: Holding { game: game.clone(), generation }, waiter }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Caller(&'static str, bool);

    impl Waits for Caller {
        fn is_gone(&self) -> bool {
            self.1
        }
    }

    type Table = Roots<Caller, &'static str>;

    fn game() -> GameId {
        GameId::parse("quake").expect("a game id")
    }

    fn grant(table: &mut Table, name: &'static str) -> Holding {
        match table.acquire(&game(), name.to_owned(), Caller(name, false)).pop() {
            Some(Effect::Grant { holding, .. }) => holding,
            other => panic!("{other:?}"),
        }
    }

    /// Proves O1: one holder per root, and the refusal names it.
    #[test]
    fn a_held_root_is_refused_by_name() {
        let mut table = Table::default();
        let first = grant(&mut table, "install");
        let refused = table.acquire(&game(), "remove".to_owned(), Caller("remove", false));
        let by = "install".to_owned();
        let waiter = Caller("remove", false);
        assert_eq!(refused, [Effect::Refuse { game: game(), by, waiter }]);
        table.release(&first);
        let second = grant(&mut table, "remove");
        assert!(second.generation > first.generation);
    }

    /// Proves the fence: the successor gets the root only when the last ghost has left.
    #[test]
    fn a_successor_waits_for_the_workers_of_a_fenced_holder() {
        let mut table = Table::default();
        let first = grant(&mut table, "one");
        assert!(table.begin(&first));
        assert!(table.begin(&first));
        assert_eq!(table.fence(&game(), "fencer"), [Effect::Revoke { game: game() }]);
        assert!(!table.begin(&first), "a fenced holder starts nothing");

        assert_eq!(table.acquire(&game(), "two".to_owned(), Caller("two", false)), []);
        assert_eq!(table.end(&first), [], "one ghost is left");
        let effects = table.end(&first);
        assert_eq!(effects[0], Effect::Quiet { waiter: "fencer" });
        let Effect::Grant { holding, waiter } = &effects[1] else { panic!("{effects:?}") };
        assert_eq!((waiter.0, holding.generation > first.generation), ("two", true));
        assert_eq!(table.release(&first), [], "the late drop of the old lease frees nothing");
        assert!(table.begin(holding));
    }

    #[test]
    fn a_waiter_that_gave_up_is_passed_over() {
        let mut table = Table::default();
        let first = grant(&mut table, "one");
        assert!(table.begin(&first));
        table.release(&first);
        assert_eq!(table.acquire(&game(), "two".to_owned(), Caller("two", true)), []);
        assert_eq!(table.acquire(&game(), "three".to_owned(), Caller("three", false)), []);
        let busy = table.acquire(&game(), "four".to_owned(), Caller("four", false));
        assert!(matches!(&busy[..], [Effect::Refuse { by, .. }] if by == "three"));
        let effects = table.end(&first);
        assert!(matches!(&effects[..], [Effect::Grant { waiter: Caller("three", _), .. }]));
    }

    #[test]
    fn a_fence_of_a_free_root_is_answered_at_once() {
        let mut table = Table::default();
        assert_eq!(table.fence(&game(), "fencer"), [Effect::Quiet { waiter: "fencer" }]);
    }

    /// Proves that a crowd of holders, ghosts and fences never leaves two holders of one root.
    #[test]
    fn random_histories_never_have_two_holders() {
        use proptest::prelude::*;
        proptest!(|(steps in proptest::collection::vec(0u8..5, 0..200))| {
            let mut table = Table::default();
            let mut holder: Option<Holding> = None;
            let mut ghosts: Vec<Holding> = Vec::new();
            for step in steps {
                let effects = match (step, holder.clone()) {
                    (0, _) => table.acquire(&game(), "x".to_owned(), Caller("x", false)),
                    (1, Some(held)) => {
                        prop_assert!(table.begin(&held));
                        ghosts.push(held);
                        Vec::new()
                    }
                    (2, Some(held)) => { holder = None; table.release(&held) }
                    (3, _) => { holder = None; table.fence(&game(), "f") }
                    (4, _) => ghosts.pop().map(|held| table.end(&held)).unwrap_or_default(),
                    _ => Vec::new(),
                };
                for effect in effects {
                    if let Effect::Grant { holding, .. } = effect {
                        prop_assert!(holder.is_none());
                        prop_assert!(ghosts.iter().all(|g| g.generation == holding.generation));
                        holder = Some(holding);
                    }
                }
            }
        });
    }
}
