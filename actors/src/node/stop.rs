//! The end of a node (A4): discovery withdraws, operations park, then the parts stop: the network
//! with its goodbyes, the operations, the library, the disk, and `View` last. Everything has a
//! deadline, and nothing on disk depends on any of it.

use ractor::ActorRef;
use tokio::time::Instant;

use super::{End, Internal, NodeMsg, NodeState, Phase, children::Part};
use crate::{
    addr::Addr,
    api::{ErrorCode, Event},
    handle::{Outcome, StartError, Started},
    limits::node::{
        FLUSH_DEADLINE, GOODBYE_DEADLINE, PARK_DEADLINE, SHUTDOWN_DEADLINE, STOP_DEADLINE,
        STOP_RESERVE, WITHDRAW_DEADLINE,
    },
    network::NetworkMsg,
    operations::OperationsMsg,
    ports::Ports,
    view::ViewMsg,
};

impl NodeState {
    /// A part is lost for good: tell it, and end in order.
    pub(super) fn fail(&mut self, me: &ActorRef<NodeMsg>, component: &str, error: String) {
        if self.end.is_some() {
            tracing::warn!(component, error, "failed while the node was ending");
            return;
        }
        tracing::error!(component, error, "runtime failed");
        let component = component.to_owned();
        let failed = Event::RuntimeFailed { component: component.clone(), error: error.clone() };
        self.tell(ViewMsg::Event(failed));
        self.end(me, Outcome::Failed { component, error });
    }

    /// Begins the end. The first reason counts.
    pub(super) fn end(&mut self, me: &ActorRef<NodeMsg>, outcome: Outcome) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(End { outcome, by: Instant::now() + SHUTDOWN_DEADLINE - STOP_RESERVE });
        let is_booting = self.phase == Phase::Booting;
        self.set_phase(Phase::Stopping);
        self.signals.started.send_if_modified(|started| {
            let is_starting = matches!(started, Started::Starting);
            if is_starting {
                let message = "the node was ended while it started".to_owned();
                *started = Started::Failed(StartError { code: ErrorCode::ShuttingDown, message });
            }
            is_starting
        });
        let quiet = self
            .body
            .as_ref()
            .map(|body| quiet_down(body.wiring.ports.clone(), body.children.network.addr()));
        self.spawn_task(me, async move {
            match quiet {
                Some(quiet) => quiet.await,
                // The boot still reads from the disk; its end comes first, if it ever ends.
                None if is_booting => tokio::time::sleep(SHUTDOWN_DEADLINE - STOP_RESERVE).await,
                None => {}
            }
            Internal::Quiet
        });
    }

    /// The boot ended after the end had begun. Who asks for an end at once, by an input that is
    /// empty, is still told what is wrong. The locks go with the boot.
    pub(super) fn on_booted_too_late(&mut self, me: &ActorRef<NodeMsg>, error: Option<StartError>) {
        if let (Some(end), Some(error)) = (&mut self.end, error)
            && end.outcome == Outcome::Stopped
        {
            end.outcome = Outcome::NotStarted(error);
        }
        self.spawn_task(me, std::future::ready(Internal::Quiet));
    }

    /// Nothing is sent and nothing is written any more: the parts stop.
    pub(super) async fn on_quiet(&mut self, me: &ActorRef<NodeMsg>) {
        let Some(End { outcome, by }) = self.end.take() else { return };
        if let Some(body) = &mut self.body {
            // Its end is the goodbye to every peer (P10).
            body.children.stop(Part::Network, left(by, GOODBYE_DEADLINE)).await;
            body.children.stop(Part::Operations, left(by, STOP_DEADLINE)).await;
            body.children.stop(Part::Library, left(by, FLUSH_DEADLINE)).await;
            let is_flushed = body.wiring.ports.disk.flush(left(by, FLUSH_DEADLINE)).await;
            if !is_flushed && body.children.disk.is_running() {
                tracing::warn!("the disk is still busy at the end");
            }
            body.children.stop(Part::Disk, left(by, STOP_DEADLINE)).await;
            // Answered after everything that was told before: the last events are out then.
            let view = &body.wiring.ports.view;
            let told = view.call(|reply| ViewMsg::Read { reply }, left(by, STOP_DEADLINE));
            log("view", told.await.map(drop));
            body.children.stop(Part::View, left(by, STOP_DEADLINE)).await;
        }
        // The readers of events see their end; the sessions of the control socket are among them.
        self.signals.outcome.send_replace(Some(outcome));
        if let Some(body) = &mut self.body {
            body.children.stop(Part::Control, STOP_DEADLINE).await;
        }
        me.stop(None);
    }
}

impl Drop for NodeState {
    /// A node that dies by a panic or a kill must not look like one that still runs.
    fn drop(&mut self) {
        let left = self.end.take().map(|end| end.outcome);
        self.signals.outcome.send_if_modified(|outcome| {
            let is_open = outcome.is_none();
            if is_open {
                *outcome = Some(left.unwrap_or_else(|| Outcome::Failed {
                    component: "node".to_owned(),
                    error: "it ended without a word".to_owned(),
                }));
            }
            is_open
        });
    }
}

async fn quiet_down(ports: Ports, network: Addr<NetworkMsg>) {
    let withdraw = network.call(|reply| NetworkMsg::Withdraw { reply }, WITHDRAW_DEADLINE);
    log("discovery", withdraw.await);
    let park = ports.operations.call(|reply| OperationsMsg::Park { reply }, PARK_DEADLINE);
    log("operations", park.await);
}

fn log(part: &str, quiet: Result<(), crate::addr::CallError>) {
    if let Err(error) = quiet {
        tracing::debug!(part, %error, "did not quiet down");
    }
}

/// What a step may take: its own deadline, but never past the end of the whole.
fn left(by: Instant, deadline: std::time::Duration) -> std::time::Duration {
    by.saturating_duration_since(Instant::now()).min(deadline)
}
