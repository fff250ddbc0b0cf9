//! What the `Operations` actor holds, and how it carries out what the table decides. Decides
//! nothing itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lanspread_wire::GameId;
use ractor::{Actor, ActorId, ActorRef, RpcReplyPort, concurrency::JoinHandle};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{
    Internal, OperationsArgs, OperationsMsg,
    table::{Effect, Table, Ticket, order::Order},
};
use crate::{
    api::{ErrorCode, Event, Refused},
    facts::{OperationTable, operations::Ledger},
    game_op::{GameOp, GameOpArgs, GameOpMsg, operation::OpPorts},
    library::LibraryMsg,
    limits::operations::RESCAN_ASK_INTERVAL,
    ports::Ports,
    supervise::Death,
    view::ViewMsg,
};

/// What the actor holds.
pub struct State {
    pub(super) me: ActorRef<OperationsMsg>,
    pub(super) ports: Ports,
    pub(super) op_ports: OpPorts,
    pub(super) table: Table,
    published: Arc<watch::Sender<Arc<OperationTable>>>,
    running: BTreeMap<GameId, Running>,
    /// Recoveries, waits for actors that end, and a change of the games folder.
    pub(super) tasks: JoinSet<()>,
    /// Who waits for the end of an `add`, by operation.
    pub(super) replies: BTreeMap<String, RpcReplyPort<Result<(), Refused>>>,
    pub(super) parking: Vec<RpcReplyPort<()>>,
    /// The library switches the folder: nothing begins meanwhile.
    pub(super) is_changing_folder: bool,
    is_ticking: bool,
    began_at: Instant,
}

/// The actor of one operation.
struct Running {
    ticket: Ticket,
    actor: ActorRef<GameOpMsg>,
    joined: JoinHandle<()>,
}

impl State {
    /// A first start finds an empty ledger; after a restart every entry that was there goes on.
    pub(super) async fn start(
        me: ActorRef<OperationsMsg>,
        args: OperationsArgs,
        op_ports: OpPorts,
    ) -> Self {
        let OperationsArgs { ports, table: published } = args;
        let table = published.borrow().ledger.table().clone();
        let mut state = Self {
            op_ports,
            me,
            ports,
            table,
            published,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            replies: BTreeMap::new(),
            parking: Vec::new(),
            is_changing_folder: false,
            is_ticking: false,
            began_at: Instant::now(),
        };
        let effects = state.table.revive(state.now());
        state.perform(effects).await;
        state.settle();
        state
    }

    pub(super) fn now(&self) -> Duration {
        self.began_at.elapsed()
    }

    pub(super) async fn on_rescanned(&mut self, game: &GameId, operation: &str) {
        let effects = self.table.rescanned(game, operation);
        self.perform(effects).await;
    }

    pub(super) async fn on_internal(&mut self, internal: Internal) {
        let now = self.now();
        let effects = match internal {
            Internal::Report { ticket, report } => self.table.report(now, &ticket, report),
            Internal::Recovered { ticket, result } => self.table.recovered(now, &ticket, result),
            Internal::RestartDue { ticket } => self.table.restart_due(&ticket),
            Internal::FolderChanged => {
                self.is_changing_folder = false;
                Vec::new()
            }
            Internal::Tick => {
                self.is_ticking = false;
                self.table.tick(now)
            }
        };
        self.perform(effects).await;
    }

    /// An operation's actor is gone. One that was dismissed is nobody's loss.
    pub(super) async fn on_death(&mut self, death: Death) {
        let Some(running) = self.take_running(death.actor) else { return };
        // Only now is its state dropped and its task ended.
        if let Err(error) = running.joined.await {
            tracing::debug!(%error, "joined a dead operation");
        }
        let (ticket, reason) = (running.ticket, death.reason);
        tracing::warn!(game = %ticket.game, operation = %ticket.operation, reason, "it died");
        self.ports.view.tell(ViewMsg::Count { counter: "operation-deaths", by: 1 });
        let effects = self.table.died(self.now(), &ticket, &reason);
        self.perform(effects).await;
    }

    pub(super) fn on_publish(&mut self) {
        let table = self.published.borrow().clone();
        self.ports.view.tell(ViewMsg::Operations(table));
    }

    /// Called once after every message: ended tasks are looked at, what changed is published, and
    /// the next tick is set.
    pub(super) fn settle(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended {
                // A task of ours that panics has told nothing: the entry it worked for stays
                // until the user cancels it, and the log says why.
                tracing::error!(%error, "a task of the operations failed");
            }
        }
        self.publish();
        if !self.is_ticking && !self.table.is_idle() {
            self.is_ticking = true;
            self.me.send_after(RESCAN_ASK_INTERVAL, || OperationsMsg::Internal(Internal::Tick));
        }
    }

    /// What the table decided. State goes out before the events that tell of it.
    pub(super) async fn perform(&mut self, effects: Vec<Effect>) {
        let mut told = Vec::new();
        for effect in effects {
            match effect {
                Effect::Began { game } => {
                    self.ports.library.tell(LibraryMsg::OperationBegan { game });
                }
                Effect::Spawn { ticket, order } => self.spawn(ticket, order).await,
                Effect::Stop { ticket, reason } => {
                    self.cast(&ticket, GameOpMsg::Stop(reason));
                }
                Effect::Dismiss { ticket } => self.dismiss(&ticket),
                Effect::Recover { ticket } => self.recover(ticket),
                Effect::RestartAfter { ticket, delay } => {
                    let due = move || OperationsMsg::Internal(Internal::RestartDue { ticket });
                    self.me.send_after(delay, due);
                }
                Effect::AskRescan { game, operation } => {
                    self.ports.library.tell(LibraryMsg::OperationEnded { game, operation });
                }
                later => told.push(later),
            }
        }
        self.publish();
        for effect in told {
            self.tell(effect);
        }
    }

    fn tell(&mut self, effect: Effect) {
        match effect {
            Effect::Tell(event) => self.ports.view.tell(ViewMsg::Event(event)),
            Effect::Answer { operation, result } => {
                let Some(reply) = self.replies.remove(&operation) else { return };
                let result = result.map_err(|(code, message)| Refused::new(code, message));
                answer(reply, result);
            }
            Effect::AllStopped => {
                for reply in self.parking.drain(..) {
                    answer(reply, ());
                }
            }
            _ => {}
        }
    }

    /// The whole table, when a row changed; the event only when more than figures did.
    fn publish(&mut self) {
        let present = self.published.borrow().clone();
        let rows = self.table.rows();
        let ledger = Ledger::of(&self.table);
        if present.rows == rows && present.ledger == ledger {
            return;
        }
        let table = Arc::new(OperationTable { rows, ledger });
        self.published.send_replace(table.clone());
        if present.rows == table.rows {
            return;
        }
        let shape = |table: &OperationTable| -> Vec<_> {
            table.rows.iter().map(|(game, row)| (game.clone(), row.kind, row.phase)).collect()
        };
        let is_reshaped = shape(&present) != shape(&table);
        self.ports.view.tell(ViewMsg::Operations(table.clone()));
        if is_reshaped {
            let operations = table.views();
            self.ports.view.tell(ViewMsg::Event(Event::ActiveOperationsChanged { operations }));
        }
    }

    async fn spawn(&mut self, ticket: Ticket, order: Order) {
        let args = GameOpArgs {
            ports: self.op_ports.clone(),
            operations: self.ports.operations.clone(),
            ticket: ticket.clone(),
            order,
        };
        match GameOp::spawn_linked(None, GameOp, args, self.me.get_cell()).await {
            Ok((actor, joined)) => {
                let game = ticket.game.clone();
                self.running.insert(game, Running { ticket, actor, joined });
            }
            Err(error) => {
                let effects = self.table.not_started(self.now(), &ticket, &error.to_string());
                // Settles the entry: no further spawn comes of it.
                Box::pin(self.perform(effects)).await;
            }
        }
    }

    fn cast(&mut self, ticket: &Ticket, message: GameOpMsg) {
        let running = self.running.get(&ticket.game).filter(|running| running.ticket == *ticket);
        if let Some(running) = running
            && running.actor.cast(message).is_err()
        {
            tracing::debug!(game = %ticket.game, "it has just died; its death is on its way");
        }
    }

    /// The operation has said its last word.
    fn dismiss(&mut self, ticket: &Ticket) {
        let is_it = self.running.get(&ticket.game).is_some_and(|running| running.ticket == *ticket);
        let Some(running) = is_it.then(|| self.running.remove(&ticket.game)).flatten() else {
            return;
        };
        running.actor.stop(None);
        self.tasks.spawn(async move {
            if let Err(error) = running.joined.await {
                tracing::debug!(%error, "joined an ended operation");
            }
        });
    }

    fn take_running(&mut self, actor: ActorId) -> Option<Running> {
        let game = self
            .running
            .iter()
            .find(|(_, running)| running.actor.get_id() == actor)
            .map(|(game, _)| game.clone())?;
        self.running.remove(&game)
    }
}

/// Answers whoever asked; it may have gone.
pub(super) fn answer<T: Send + 'static>(reply: RpcReplyPort<T>, answer: T) {
    if reply.send(answer).is_err() {
        tracing::debug!("nobody waits for the answer any more");
    }
}

/// Nothing can be begun: why.
pub(super) fn shutting_down() -> Refused {
    Refused::new(ErrorCode::ShuttingDown, "the node is shutting down")
}
