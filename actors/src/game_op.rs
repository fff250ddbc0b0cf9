//! The `GameOp` actor: one running operation of one game.
//!
//! * Owns: the main task of the operation, on its `JoinSet`, and the switch that stops it. The
//!   task takes the lease of the game root and gives it back before it ends.
//! * Receives: `Stop` from `Operations`; from its task the end.
//! * Sends: every report of the operation, the end as the last one, to `Operations`.
//! * Dies: when its task panics. A failure of the operation is no death: it is reported, and the
//!   actor then waits to be stopped, so that its end never overtakes its last report.
//! * Comes back from: what is staged, by a new actor with a new ticket; `Operations` recovers the
//!   root first.
//!
//! The work itself is in the flows: [`download`], [`install`], [`update`], [`uninstall`],
//! [`remove`], [`verify`], [`add`].

pub mod add;
pub mod chunk_set;
pub mod download;
pub mod engine;
pub mod failure;
pub mod feed;
mod fetch;
pub mod install;
pub mod market;
pub mod operation;
pub mod planner;
pub mod progress;
pub mod remove;
pub mod reuse;
pub mod shelf;
pub mod sources;
pub mod stock;
pub mod stop;
pub mod target;
#[cfg(test)]
pub(crate) mod testing;
pub mod uninstall;
pub mod update;
pub mod verify;
pub mod writer;

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::task::JoinSet;

use self::{
    engine::Outbox,
    operation::{OpPorts, Operation},
    stop::StopSwitch,
};
use crate::{
    addr::Addr,
    operations::table::{
        Report, Ticket,
        ending::{Outcome, StopReason},
        order::Order,
    },
    operations::{Internal, OperationsMsg},
};

/// Messages of a `GameOp`.
pub enum GameOpMsg {
    /// From `Operations`: stop at the next boundary. The end is reported as any other.
    Stop(StopReason),
    /// From its own task: the last word, or the text of its panic.
    Ended(Result<Outcome, String>),
}

/// How an operation is started.
pub struct GameOpArgs {
    pub ports: OpPorts,
    pub operations: Addr<OperationsMsg>,
    pub ticket: Ticket,
    pub order: Order,
}

/// The actor.
pub struct GameOp;

/// What it holds.
pub struct GameOpState {
    outbox: Reporter,
    switch: StopSwitch,
    /// The main task. Dropped with the state, which ends it.
    _tasks: JoinSet<()>,
}

/// Sends the reports of one incarnation of one operation.
#[derive(Clone)]
pub struct Reporter {
    operations: Addr<OperationsMsg>,
    ticket: Ticket,
}

impl Outbox for Reporter {
    fn report(&self, report: Report) {
        let ticket = self.ticket.clone();
        self.operations.tell(OperationsMsg::Internal(Internal::Report { ticket, report }));
    }
}

impl Actor for GameOp {
    type Msg = GameOpMsg;
    type State = GameOpState;
    type Arguments = GameOpArgs;

    async fn pre_start(
        &self,
        me: ActorRef<GameOpMsg>,
        args: GameOpArgs,
    ) -> Result<GameOpState, ActorProcessingErr> {
        let GameOpArgs { ports, operations, ticket, order } = args;
        let (switch, stop) = StopSwitch::new();
        let outbox = Reporter { operations, ticket: ticket.clone() };
        let operation = Operation { ports, ticket, order, stop, outbox: Arc::new(outbox.clone()) };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let ended = AssertUnwindSafe(update::run(operation)).catch_unwind().await;
            let ended = ended.unwrap_or_else(|panic| Err(panic_text(&*panic)));
            if me.cast(GameOpMsg::Ended(ended)).is_err() {
                tracing::debug!("an operation outlived its actor");
            }
        });
        Ok(GameOpState { outbox, switch, _tasks: tasks })
    }

    async fn handle(
        &self,
        _me: ActorRef<GameOpMsg>,
        message: GameOpMsg,
        state: &mut GameOpState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            GameOpMsg::Stop(reason) => state.switch.stop(reason),
            GameOpMsg::Ended(Ok(outcome)) => state.outbox.report(Report::Ended(outcome)),
            GameOpMsg::Ended(Err(panic)) => return Err(panic.into()),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<GameOpMsg>,
        _event: SupervisionEvent,
        _state: &mut GameOpState,
    ) -> Result<(), ActorProcessingErr> {
        // It has no children; the default would end it when one dies.
        Ok(())
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a text".to_owned())
}
