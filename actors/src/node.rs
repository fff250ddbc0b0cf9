//! The `Node` actor: start order, restart budgets, shutdown order.
//!
//! Owns: its six children, the locks of state and games folder, the settings, the wiring.
//! Receives: the orders of its handle, the deaths of its children, the ends of its own tasks.
//! Sends: who we are and how the parts are to `View`; `runtime-failed` when one is lost for good.
//! Never: waits for a child in a handler, except for the end of a dead one and at its own end.
//! Dies when: its work is done. Whatever fails for good below it ends it in order (A2).
//! Comes back from: nothing; the program is started again.

mod boot;
mod children;
mod games_dir;
mod parts;
mod recovery;
mod start;
mod stop;
mod wiring;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use lanspread_wire::printable_line;
use ractor::{
    Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent,
};
use tokio::{task::JoinSet, time::Instant};

pub use self::parts::{Parts, RealParts, Spawning, spawn};
use self::{
    boot::Boot,
    children::{Children, Part, Spawned},
    games_dir::Switched,
    wiring::Wiring,
};
use crate::{
    api::{ErrorCode, Event, NodeInfo, Refused},
    config::NodeConfig,
    handle::{Commander, Outcome, Signals, StartError},
    settings::Settings,
    supervise::{Death, Verdict},
    view::ViewMsg,
};

/// Messages of the `Node` actor.
pub enum NodeMsg {
    /// From the handle: end in order.
    Shutdown,
    /// From the last handle as it is dropped: a failure, unless a shutdown was ordered (A5).
    CommandSideClosed,
    /// From the handle: share another folder from now on (L8). Answered when it was seen as a
    /// whole.
    SetGamesDir {
        /// The folder.
        path: PathBuf,
        /// Refused by name if it is no good, in use by another program, or an operation runs.
        reply: RpcReplyPort<Result<(), Refused>>,
    },
    /// From the node's own tasks.
    Internal(InternalMsg),
}

/// What the tasks of a node report.
pub struct InternalMsg(Internal);

enum Internal {
    Booted(Result<Box<Boot>, StartError>),
    Spawned(Spawned),
    Recovered(Vec<Event>),
    Restart(Part),
    Addresses(Vec<SocketAddr>),
    Switched(Result<Switched, Refused>, RpcReplyPort<Result<(), Refused>>),
    Saved(Result<(), String>, Option<RpcReplyPort<Result<(), Refused>>>),
    Quiet,
}

impl From<Internal> for NodeMsg {
    fn from(internal: Internal) -> Self {
        Self::Internal(InternalMsg(internal))
    }
}

/// What `Node` is started with.
pub struct NodeArgs {
    /// What the user asked for.
    pub config: Arc<NodeConfig>,
    /// How the children are started.
    pub parts: Arc<dyn Parts>,
    /// The door's ends of the channels.
    pub(crate) signals: Signals,
}

/// The actor.
pub struct Node;

/// How far the node is. Changed by [`NodeState::set_phase`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Booting,
    Booted,
    /// This part starts for the first time; those before it have.
    Starting(Part),
    Recovering,
    Running,
    Stopping,
}

/// What it owns.
pub struct NodeState {
    config: Arc<NodeConfig>,
    parts: Arc<dyn Parts>,
    signals: Signals,
    commander: Commander,
    phase: Phase,
    tasks: JoinSet<()>,
    /// Present from the end of the boot on.
    body: Option<Body>,
    /// Children that died before their spawn was reported.
    early_deaths: BTreeMap<ActorId, Death>,
    /// Set when the end begins.
    end: Option<End>,
}

/// What a booted node is made of.
struct Body {
    boot: Boot,
    wiring: Wiring,
    children: Children,
    info: NodeInfo,
    is_switching: bool,
}

/// The end that has begun.
struct End {
    outcome: Outcome,
    by: Instant,
}

impl Actor for Node {
    type Msg = NodeMsg;
    type State = NodeState;
    type Arguments = NodeArgs;

    async fn pre_start(
        &self,
        me: ActorRef<NodeMsg>,
        args: NodeArgs,
    ) -> Result<NodeState, ActorProcessingErr> {
        let mut state = NodeState::new(&me, args);
        state.boot(&me);
        Ok(state)
    }

    async fn handle(
        &self,
        me: ActorRef<NodeMsg>,
        message: NodeMsg,
        state: &mut NodeState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            NodeMsg::Shutdown => state.end(&me, Outcome::Stopped),
            NodeMsg::CommandSideClosed => state.on_command_side_closed(&me),
            NodeMsg::SetGamesDir { path, reply } => state.on_set_games_dir(&me, path, reply),
            NodeMsg::Internal(InternalMsg(internal)) => state.on_internal(&me, internal).await,
        }
        state.look_at_tasks(&me);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<NodeMsg>,
        event: SupervisionEvent,
        state: &mut NodeState,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(death) = Death::from_event(event) {
            state.on_death(&me, death).await;
        }
        Ok(())
    }
}

impl NodeState {
    fn new(me: &ActorRef<NodeMsg>, args: NodeArgs) -> Self {
        let commander = Commander::new(me.clone(), args.signals.clone());
        Self {
            config: args.config,
            parts: args.parts,
            signals: args.signals,
            commander,
            phase: Phase::Booting,
            tasks: JoinSet::new(),
            body: None,
            early_deaths: BTreeMap::new(),
            end: None,
        }
    }

    fn set_phase(&mut self, phase: Phase) {
        tracing::debug!(from = ?self.phase, to = ?phase, "node");
        self.phase = phase;
    }

    async fn on_internal(&mut self, me: &ActorRef<NodeMsg>, internal: Internal) {
        match internal {
            Internal::Booted(booted) => self.on_booted(me, booted),
            Internal::Spawned(spawned) => self.on_spawned(me, spawned).await,
            Internal::Recovered(findings) => self.on_recovered(me, findings),
            Internal::Restart(part) => self.on_restart(me, part),
            Internal::Addresses(addresses) => self.on_addresses(me, addresses),
            Internal::Switched(switched, reply) => self.on_switched(me, switched, reply),
            Internal::Saved(saved, reply) => self.on_saved(saved, reply),
            Internal::Quiet => self.on_quiet(me).await,
        }
    }

    async fn on_death(&mut self, me: &ActorRef<NodeMsg>, death: Death) {
        if self.phase == Phase::Stopping {
            return;
        }
        let Some(body) = &mut self.body else { return };
        let Some(part) = body.children.part_of(death.actor) else {
            self.early_deaths.insert(death.actor, death);
            return;
        };
        let verdict = body.children.on_death(part, &death).await;
        tracing::warn!(component = part.name(), reason = death.reason, ?verdict, "a part died");
        self.obey(me, part, verdict);
    }

    /// Does what the budget of a dead part says.
    fn obey(&mut self, me: &ActorRef<NodeMsg>, part: Part, verdict: Verdict) {
        match verdict {
            Verdict::RestartAfter(delay) => {
                me.send_after(delay, move || Internal::Restart(part).into());
            }
            Verdict::Escalate(error) => self.fail(me, part.name(), error),
            Verdict::GiveUp(last) => {
                let text = format!("{} is gone for good: {}", part.name(), printable_line(&last));
                tracing::error!(text, "degraded");
                self.tell(ViewMsg::Problem { part: part.name(), text: Some(text) });
                self.go_on_without(me, part);
            }
        }
        self.tell_health();
    }

    fn on_restart(&mut self, me: &ActorRef<NodeMsg>, part: Part) {
        if self.phase != Phase::Stopping {
            self.start_part(me, part);
        }
    }

    async fn on_spawned(&mut self, me: &ActorRef<NodeMsg>, spawned: Spawned) {
        let Some(body) = &mut self.body else { return };
        let (part, admitted) = body.children.admit(spawned).await;
        if self.phase == Phase::Stopping {
            return; // it is stopped with the others
        }
        if let Err(error) = admitted {
            return self.on_failed_start(me, part, &error);
        }
        let early: Vec<Death> = std::mem::take(&mut self.early_deaths).into_values().collect();
        if let Some(death) = early.into_iter().find(|death| {
            self.body.as_mut().and_then(|body| body.children.part_of(death.actor)) == Some(part)
        }) {
            return self.on_death(me, death).await;
        }
        match self.phase {
            Phase::Starting(first) if first == part => self.on_first_start(me, part),
            _ => self.on_restarted(part),
        }
    }

    fn on_failed_start(&mut self, me: &ActorRef<NodeMsg>, part: Part, error: &SpawnErr) {
        if let (Phase::Starting(_), Some(refused)) = (self.phase, refusal_of(error)) {
            let error = StartError { code: refused.code, message: refused.message };
            return self.fail_start(me, error);
        }
        let Some(body) = &mut self.body else { return };
        let verdict = body.children.on_failed_start(part, error);
        tracing::warn!(component = part.name(), %error, ?verdict, "a part did not start");
        self.obey(me, part, verdict);
    }

    fn on_restarted(&mut self, part: Part) {
        let Some(body) = &mut self.body else { return };
        let health = body.children.health_of(part);
        let info = body.info.clone();
        if part == Part::View {
            self.tell(ViewMsg::Node(info));
        }
        self.tell_health();
        self.tell(ViewMsg::Event(Event::ActorRestarted {
            component: health.name,
            reason: health.last_failure.unwrap_or_default(),
            restarts: health.restarts,
        }));
    }

    fn on_command_side_closed(&mut self, me: &ActorRef<NodeMsg>) {
        if self.end.is_none() {
            let error = "the command side was closed without a shutdown".to_owned();
            self.fail(me, "handle", error);
        }
    }

    fn on_set_games_dir(
        &mut self,
        me: &ActorRef<NodeMsg>,
        path: PathBuf,
        reply: RpcReplyPort<Result<(), Refused>>,
    ) {
        let refusal = match (&self.phase, &self.body) {
            (Phase::Running, Some(body)) if body.is_switching => Some(Refused::new(
                ErrorCode::OperationInProgress,
                "the games folder is being changed already",
            )),
            (Phase::Running, Some(_)) => None,
            _ => Some(Refused::new(ErrorCode::ShuttingDown, "the node is not running")),
        };
        if let Some(refusal) = refusal {
            reply.send(Err(refusal)).ok();
            return;
        }
        let Some(body) = &mut self.body else { return };
        body.is_switching = true;
        let ports = body.wiring.ports.clone();
        self.spawn_task(me, async move {
            Internal::Switched(games_dir::switch(&ports, path).await, reply)
        });
    }

    fn on_switched(
        &mut self,
        me: &ActorRef<NodeMsg>,
        switched: Result<Switched, Refused>,
        reply: RpcReplyPort<Result<(), Refused>>,
    ) {
        let Some(body) = &mut self.body else { return };
        body.is_switching = false;
        let switched = match switched {
            Ok(switched) => switched,
            Err(refused) => {
                reply.send(Err(refused)).ok();
                return;
            }
        };
        if let Some(lock) = switched.lock {
            body.boot.locks.games = lock; // the old folder is free for others now
        }
        body.boot.games_dir = Some(switched.path.clone());
        body.info.games_dir = Some(switched.path.clone());
        body.boot.settings.games_dir = Some(switched.path);
        let info = body.info.clone();
        self.tell(ViewMsg::Node(info));
        for event in switched.events {
            self.tell(ViewMsg::Event(event));
        }
        self.save_settings(me, Some(reply));
    }

    /// Writes the settings; whoever asked for the change is answered when they are durable.
    fn save_settings(
        &mut self,
        me: &ActorRef<NodeMsg>,
        reply: Option<RpcReplyPort<Result<(), Refused>>>,
    ) {
        let Some(body) = &self.body else { return };
        let disk = body.wiring.ports.disk.clone();
        let dir = body.boot.state_dir.clone();
        let settings: Settings = body.boot.settings.clone();
        self.spawn_task(me, async move {
            let saved = disk.run_unleased("save settings", move || settings.save(&*dir)).await;
            let saved = match saved {
                Ok(saved) => saved.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            Internal::Saved(saved, reply)
        });
    }

    fn on_saved(
        &mut self,
        saved: Result<(), String>,
        reply: Option<RpcReplyPort<Result<(), Refused>>>,
    ) {
        if let Err(error) = &saved {
            let message = format!("what was changed is not remembered: {error}");
            self.tell(ViewMsg::Notice { game: None, message });
        }
        if let Some(reply) = reply {
            // The change itself stands: the notice tells what is missing.
            reply.send(Ok(())).ok();
        }
    }

    fn on_addresses(&mut self, me: &ActorRef<NodeMsg>, addresses: Vec<SocketAddr>) {
        let Some(body) = &mut self.body else { return };
        let port = *body.wiring.facts.port.borrow();
        body.info.addresses = addresses;
        let is_new_port = port.is_some() && body.boot.settings.port != port;
        let info = body.info.clone();
        if is_new_port && self.config.listen.is_none() {
            body.boot.settings.port = port;
            self.save_settings(me, None);
        }
        self.tell(ViewMsg::Node(info));
    }

    fn tell(&self, message: ViewMsg) {
        if let Some(body) = &self.body {
            body.wiring.ports.view.tell(message);
        }
    }

    fn tell_health(&mut self) {
        let Some(body) = &mut self.body else { return };
        let actors = body.children.health();
        self.tell(ViewMsg::Health { supervisor: "node", actors });
    }

    /// Runs a task that reports its end as a message.
    fn spawn_task(
        &mut self,
        me: &ActorRef<NodeMsg>,
        task: impl Future<Output = Internal> + Send + 'static,
    ) {
        let me = me.clone();
        self.tasks.spawn(async move {
            // A node that has ended needs no report.
            me.cast(task.await.into()).ok();
        });
    }

    fn look_at_tasks(&mut self, me: &ActorRef<NodeMsg>) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended {
                self.fail(me, "node", error.to_string());
            }
        }
    }
}

/// The refusal behind a failed start, if the part gave one: then it is no accident to be retried.
fn refusal_of(error: &SpawnErr) -> Option<Refused> {
    match error {
        SpawnErr::StartupFailed(cause) => cause.downcast_ref::<Refused>().cloned(),
        SpawnErr::ActorAlreadyStarted | SpawnErr::ActorAlreadyRegistered(_) => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
