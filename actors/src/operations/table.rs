//! The operation table: which operation works on which game, and what happens to it next (O1–O5).
//!
//! Pure: inputs and time in, effects out. It owns the life of each operation from its
//! acceptance to its terminal event: running, recovering after its actor died, waiting for the
//! rescan. An entry never has a gap between two stages, and it goes only when the rescan is
//! published; its terminal event comes after that (O4).

pub mod ending;
pub mod order;
pub mod rules;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use lanspread_wire::GameId;

use self::{
    ending::{Outcome, StopReason, terminal_event},
    order::Order,
};
use crate::{
    api::{ErrorCode, Event, OperationKind, Phase},
    facts::OperationRow,
    limits::operations::{RESCAN_ASK_INTERVAL, RESTART_DELAY, RESTARTS_MAX, RESTARTS_WINDOW},
};

/// All operations. Cloned as a whole into what survives a restart of its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    entries: BTreeMap<GameId, Entry>,
    /// The node shuts down: nothing begins any more.
    is_parked: bool,
}

/// Which incarnation of which operation: what an older one still says is not believed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    pub game: GameId,
    pub operation: String,
    pub generation: u32,
}

/// What a running operation tells about itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// It is at another step.
    Phase(Phase),
    /// Bytes done and in all.
    Bytes { done: u64, total: u64 },
    /// Something scripts are told at once; never a terminal event.
    Event(Box<Event>),
    /// The download is committed; `finished` is told at the end, and what is left of the
    /// operation is `next` (O3).
    Downloaded { finished: Box<Event>, next: Option<Order> },
    /// It is over. Nothing more comes.
    Ended(Outcome),
}

/// What the owner of the table has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell the library that an operation works on `game`.
    Began { game: GameId },
    /// Start the actor of this operation.
    Spawn { ticket: Ticket, order: Order },
    /// Tell the actor to stop at the next boundary.
    Stop { ticket: Ticket, reason: StopReason },
    /// The actor has said its last word: end it and wait for it.
    Dismiss { ticket: Ticket },
    /// Fence the game root, wait for its workers, and recover it.
    Recover { ticket: Ticket },
    /// Call [`Table::restart_due`] after this delay.
    RestartAfter { ticket: Ticket, delay: Duration },
    /// Ask the library for the rescan that ends the operation.
    AskRescan { game: GameId, operation: String },
    /// Tell the scripts, after the table as it is now.
    Tell(Event),
    /// Answer the command that waits for the end of this operation.
    Answer { operation: String, result: Result<(), (ErrorCode, String)> },
    /// Nothing runs any more, as was asked for with [`Table::park`].
    AllStopped,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    ticket: Ticket,
    order: Order,
    phase: Phase,
    bytes_done: u64,
    bytes_total: u64,
    stage: Stage,
    stop: Option<StopReason>,
    restarts: Vec<Duration>,
    /// Told together with the terminal event, before it.
    milestones: Vec<EqEvent>,
}

/// Events hold floating point figures that were never computed to be compared; equal bits are
/// equal here.
#[derive(Clone, Debug, PartialEq)]
struct EqEvent(Event);

impl Eq for EqEvent {}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// Its actor works.
    Running,
    /// Its actor died; the root is recovered before anything else.
    Recovering { reason: String },
    /// Recovered; its next actor starts after a delay.
    Pausing,
    /// Over; the library looks at the game again.
    Settling { outcome: Outcome, asked_at: Duration },
}

impl Table {
    /// The rows that others see.
    pub fn rows(&self) -> BTreeMap<GameId, OperationRow> {
        self.entries.iter().map(|(game, entry)| (game.clone(), entry.row())).collect()
    }

    /// What works on `game`.
    pub fn kind_of(&self, game: &GameId) -> Option<OperationKind> {
        self.entries.get(game).map(|entry| entry.order.kind())
    }

    /// Whether no operation exists (L8).
    pub fn is_idle(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the node shuts down.
    pub fn is_parked(&self) -> bool {
        self.is_parked
    }

    /// Enters an operation that the rules allow. The caller has seen that no other works on the
    /// game.
    pub fn begin(&mut self, game: GameId, operation: String, order: Order) -> Vec<Effect> {
        debug_assert!(!self.entries.contains_key(&game), "one operation per game");
        let ticket = Ticket { game: game.clone(), operation, generation: 0 };
        let entry = Entry {
            ticket: ticket.clone(),
            order: order.clone(),
            phase: Phase::Queued,
            bytes_done: 0,
            bytes_total: 0,
            stage: Stage::Running,
            stop: None,
            restarts: Vec::new(),
            milestones: Vec::new(),
        };
        self.entries.insert(game.clone(), entry);
        vec![Effect::Began { game }, Effect::Spawn { ticket, order }]
    }

    /// Asks the operation of `game` to stop; its id, or `None` if there is none.
    pub fn cancel(&mut self, now: Duration, game: &GameId) -> Option<(String, Vec<Effect>)> {
        let entry = self.entries.get_mut(game)?;
        let effects = entry.stop(now, StopReason::Cancel);
        Some((entry.ticket.operation.clone(), effects))
    }

    /// Asks every operation to stop and lets none begin. [`Effect::AllStopped`] follows once
    /// none is left.
    pub fn park(&mut self, now: Duration) -> Vec<Effect> {
        self.is_parked = true;
        let mut effects: Vec<Effect> =
            self.entries.values_mut().flat_map(|entry| entry.stop(now, StopReason::Park)).collect();
        let settling: Vec<GameId> = self
            .entries
            .iter()
            .filter(|(_, entry)| matches!(entry.stage, Stage::Settling { .. }))
            .map(|(game, _)| game.clone())
            .collect();
        for game in settling {
            effects.extend(self.close(&game));
        }
        effects.extend(self.all_stopped());
        effects
    }

    /// A running operation tells something.
    pub fn report(&mut self, now: Duration, ticket: &Ticket, report: Report) -> Vec<Effect> {
        let Some(entry) = self.running(ticket) else {
            return Vec::new();
        };
        match report {
            Report::Phase(phase) => entry.phase = phase,
            Report::Bytes { done, total } => {
                (entry.bytes_done, entry.bytes_total) = (done, total);
            }
            Report::Event(event) => return vec![Effect::Tell(*event)],
            Report::Downloaded { finished, next } => {
                entry.milestones.push(EqEvent(*finished));
                if let Some(next) = next {
                    entry.order = next;
                    (entry.bytes_done, entry.bytes_total) = (0, 0);
                }
            }
            Report::Ended(outcome) => {
                let dismiss = Effect::Dismiss { ticket: ticket.clone() };
                return [dismiss]
                    .into_iter()
                    .chain(self.settle(now, &ticket.game, outcome))
                    .collect();
            }
        }
        Vec::new()
    }

    /// The actor of an operation died, of a panic, an error or a kill (O5).
    pub fn died(&mut self, now: Duration, ticket: &Ticket, reason: &str) -> Vec<Effect> {
        let Some(entry) = self.running(ticket) else {
            return Vec::new();
        };
        if entry.stop == Some(StopReason::Park) {
            // No time to recover: the next start does it.
            return self.settle(now, &ticket.game, Outcome::Parked);
        }
        entry.phase = Phase::Recovering;
        entry.stage = Stage::Recovering { reason: reason.to_owned() };
        vec![Effect::Recover { ticket: ticket.clone() }]
    }

    /// The actor could not be started. Nothing was touched.
    pub fn not_started(&mut self, now: Duration, ticket: &Ticket, reason: &str) -> Vec<Effect> {
        let Some(entry) = self.running(ticket) else {
            return Vec::new();
        };
        let verb = entry.order.kind().verb();
        let message = format!("{}: the {verb} could not be started: {reason}", ticket.game);
        self.settle(now, &ticket.game, Outcome::Failed { code: ErrorCode::Internal, message })
    }

    /// The root of a dead actor was recovered, or not.
    pub fn recovered(
        &mut self,
        now: Duration,
        ticket: &Ticket,
        result: Result<(), String>,
    ) -> Vec<Effect> {
        let Some(entry) = self.entries.get_mut(&ticket.game) else {
            return Vec::new();
        };
        let Stage::Recovering { reason } = entry.stage.clone() else {
            return Vec::new();
        };
        if entry.ticket != *ticket {
            return Vec::new();
        }
        let kind = entry.order.kind();
        let failed = |code, text: String| Outcome::Failed { code, message: text };
        let outcome = match (result, entry.stop) {
            (Err(error), _) => {
                let text = format!("{}: recovery after a failure ({reason}): {error}", ticket.game);
                failed(ErrorCode::Io, text)
            }
            (Ok(()), Some(stop)) => stop.outcome(),
            (Ok(()), None) => match entry.admit(now) {
                Some(delay) => {
                    entry.stage = Stage::Pausing;
                    return vec![Effect::RestartAfter { ticket: ticket.clone(), delay }];
                }
                None => {
                    let text = format!("{}: the {} failed: {reason}", ticket.game, kind.verb());
                    failed(ErrorCode::Internal, text)
                }
            },
        };
        self.settle(now, &ticket.game, outcome)
    }

    /// The delay before a restart is over.
    pub fn restart_due(&mut self, ticket: &Ticket) -> Vec<Effect> {
        match self.entries.get_mut(&ticket.game) {
            Some(entry) if entry.ticket == *ticket && entry.stage == Stage::Pausing => {
                entry.stage = Stage::Running;
                entry.phase = Phase::Queued;
                entry.ticket.generation += 1;
                let (ticket, order) = (entry.ticket.clone(), entry.order.clone());
                vec![Effect::Spawn { ticket, order }]
            }
            _ => Vec::new(),
        }
    }

    /// The rescan of `game` is published: its entry goes, then its events come (O4).
    pub fn rescanned(&mut self, game: &GameId, operation: &str) -> Vec<Effect> {
        match self.entries.get(game) {
            Some(Entry { ticket, stage: Stage::Settling { .. }, .. })
                if ticket.operation == operation =>
            {
                self.close(game)
            }
            _ => Vec::new(),
        }
    }

    /// Asks again for rescans that were not answered: the library may have been restarted.
    pub fn tick(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (game, entry) in &mut self.entries {
            if let Stage::Settling { asked_at, .. } = &mut entry.stage
                && now >= *asked_at + RESCAN_ASK_INTERVAL
            {
                *asked_at = now;
                let operation = entry.ticket.operation.clone();
                effects.push(Effect::AskRescan { game: game.clone(), operation });
            }
        }
        effects
    }

    /// The owner of the table was restarted: every actor is gone with it, every entry goes on
    /// from the disk.
    pub fn revive(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (game, entry) in &mut self.entries {
            effects.push(Effect::Began { game: game.clone() });
            // They were counted on the clock of the former owner.
            entry.restarts.clear();
            match &mut entry.stage {
                Stage::Settling { asked_at, .. } => {
                    *asked_at = now;
                    let operation = entry.ticket.operation.clone();
                    effects.push(Effect::AskRescan { game: game.clone(), operation });
                }
                stage => {
                    *stage = Stage::Recovering { reason: "its supervisor failed".to_owned() };
                    entry.phase = Phase::Recovering;
                    entry.ticket.generation += 1;
                    effects.push(Effect::Recover { ticket: entry.ticket.clone() });
                }
            }
        }
        effects
    }

    fn running(&mut self, ticket: &Ticket) -> Option<&mut Entry> {
        self.entries
            .get_mut(&ticket.game)
            .filter(|entry| entry.ticket == *ticket && entry.stage == Stage::Running)
    }

    fn settle(&mut self, now: Duration, game: &GameId, outcome: Outcome) -> Vec<Effect> {
        let is_parked = self.is_parked;
        let Some(entry) = self.entries.get_mut(game) else {
            return Vec::new();
        };
        entry.phase = Phase::Settling;
        entry.stage = Stage::Settling { outcome, asked_at: now };
        if is_parked {
            // The library stops as well: nobody would answer, and the next start scans everything.
            return self.close(game);
        }
        let operation = entry.ticket.operation.clone();
        vec![Effect::AskRescan { game: game.clone(), operation }]
    }

    /// Takes a settled entry out and tells its end.
    fn close(&mut self, game: &GameId) -> Vec<Effect> {
        let Some(entry) = self.entries.remove(game) else {
            return Vec::new();
        };
        let Stage::Settling { outcome, .. } = entry.stage else {
            return Vec::new();
        };
        let mut effects: Vec<Effect> =
            entry.milestones.into_iter().map(|EqEvent(event)| Effect::Tell(event)).collect();
        let kind = entry.order.kind();
        effects.extend(terminal_event(kind, game, &outcome).map(Effect::Tell));
        if kind == OperationKind::Adding {
            let result = match outcome {
                Outcome::Finished { .. } => Ok(()),
                Outcome::Failed { code, message } => Err((code, message)),
                Outcome::Cancelled => Err((ErrorCode::Cancelled, "cancelled".to_owned())),
                Outcome::Parked => Err((ErrorCode::ShuttingDown, "the node shuts down".to_owned())),
            };
            effects.push(Effect::Answer { operation: entry.ticket.operation, result });
        }
        effects.extend(self.all_stopped());
        effects
    }

    fn all_stopped(&self) -> Option<Effect> {
        (self.is_parked && self.entries.is_empty()).then_some(Effect::AllStopped)
    }
}

impl Entry {
    fn row(&self) -> OperationRow {
        OperationRow {
            operation: self.ticket.operation.clone(),
            kind: self.order.kind(),
            phase: self.phase,
            bytes_done: self.bytes_done,
            bytes_total: self.bytes_total,
        }
    }

    fn stop(&mut self, now: Duration, reason: StopReason) -> Vec<Effect> {
        // Whoever shuts down does not wait for the answer to a cancel, so parking wins.
        if self.stop != Some(StopReason::Park) {
            self.stop = Some(reason);
        }
        match self.stage {
            Stage::Running => vec![Effect::Stop { ticket: self.ticket.clone(), reason }],
            Stage::Pausing | Stage::Recovering { .. } if reason == StopReason::Park => {
                self.stage = Stage::Settling { outcome: Outcome::Parked, asked_at: now };
                Vec::new()
            }
            Stage::Pausing => {
                self.phase = Phase::Settling;
                self.stage = Stage::Settling { outcome: reason.outcome(), asked_at: now };
                let (game, operation) = (self.ticket.game.clone(), self.ticket.operation.clone());
                vec![Effect::AskRescan { game, operation }]
            }
            Stage::Recovering { .. } | Stage::Settling { .. } => Vec::new(),
        }
    }

    /// The delay before one more start, or `None` when it has died too often.
    fn admit(&mut self, now: Duration) -> Option<Duration> {
        self.restarts.retain(|at| now.saturating_sub(*at) < RESTARTS_WINDOW);
        if !self.order.is_repeatable() || self.restarts.len() >= RESTARTS_MAX {
            return None;
        }
        let doublings = u32::try_from(self.restarts.len()).unwrap_or(u32::MAX).min(16);
        self.restarts.push(now);
        Some(RESTART_DELAY.saturating_mul(2u32.pow(doublings)))
    }
}
