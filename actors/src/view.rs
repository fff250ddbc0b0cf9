//! The `View` actor: folds what the owners publish into the snapshot that user interfaces see, and
//! passes events on.
//!
//! Owners cast their state *and* their events to it, in causal order, so that the snapshot is never
//! older than an event that was told (O4).
//!
//! Owns: the published snapshot, the event channel, counters and problems.
//! Receives: facts and events from every owner. Sends: `Publish` to the owners when it starts.
//! Never: decides anything; never waits for a reader.
//! Dies when: one of its own invariants breaks. Comes back from: the facts in the `watch`
//! channels, what it kept beside its snapshot, and the owners, which publish again.

mod events;
mod fold;

use std::{collections::BTreeMap, sync::Arc};

use lanspread_wire::GameId;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::{
    sync::{broadcast, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use self::{
    events::Outgoing,
    fold::{Facts, Offers, PeerFacts, fold},
};
use crate::{
    api::{ActorHealth, Event, NodeInfo, Snapshot},
    facts::{LocalLibrary, OperationTable, PeerTable},
    library::LibraryMsg,
    limits::node::VIEW_TICK,
    operations::OperationsMsg,
    peers::PeersMsg,
    ports::Ports,
};

/// Messages of the `View` actor.
pub enum ViewMsg {
    /// From `Node`: who we are and where; addresses change with the network.
    Node(NodeInfo),
    /// From `Library`, after every change.
    Library(Arc<LocalLibrary>),
    /// From `Peers`, after every change.
    Peers(Arc<PeerTable>),
    /// From `Operations`, after every change, at most a few times a second for mere progress.
    Operations(Arc<OperationTable>),
    /// From supervisors: restarts and failures of the actors they watch.
    Health { supervisor: &'static str, actors: Vec<ActorHealth> },
    /// From anyone: a named counter goes up.
    Count { counter: &'static str, by: u64 },
    /// From anyone: a part of the node is degraded (`Some(sentence)`) or well again (`None`).
    Problem { part: &'static str, text: Option<String> },
    /// From anyone: tell the scripts. Broadcast after everything cast before it is in the snapshot.
    Event(Event),
    /// From `GameOp` and others: a log-worthy note for the user about one game.
    Notice { game: Option<GameId>, message: String },
    /// From the handle: the snapshot of this instant, with ages and round trips as they are now.
    Read { reply: RpcReplyPort<Arc<Snapshot>> },
    /// From itself.
    Internal(InternalMsg),
}

/// What `View` tells itself.
pub enum InternalMsg {
    /// Everything that was queued when the first change came has been taken in: publish it.
    Publish,
    /// Look at what changes without a message.
    Tick,
    /// The catalog was replaced.
    Catalog,
}

/// What outlives a `View` beside its snapshot. Held by `Node`; only `View` writes it.
#[derive(Clone, Debug, Default)]
pub struct ViewMemory {
    node: NodeInfo,
    health: BTreeMap<&'static str, Vec<ActorHealth>>,
    counters: BTreeMap<&'static str, u64>,
    problems: BTreeMap<&'static str, String>,
    is_ready_told: bool,
}

/// What `View` is started with.
#[derive(Clone)]
pub struct ViewArgs {
    /// The facts to start from, and the owners to ask.
    pub ports: Ports,
    /// Where the snapshot is published.
    pub snapshot: Arc<watch::Sender<Arc<Snapshot>>>,
    /// Where events go.
    pub events: broadcast::Sender<Event>,
    /// What an earlier incarnation kept.
    pub memory: Arc<watch::Sender<ViewMemory>>,
}

/// The actor.
pub struct View;

/// What it owns.
pub struct ViewState {
    args: ViewArgs,
    facts: Facts,
    peers: Arc<PeerTable>,
    offers: Offers,
    outgoing: Outgoing,
    is_dirty: bool,
    tasks: JoinSet<()>,
}

impl Actor for View {
    type Msg = ViewMsg;
    type State = ViewState;
    type Arguments = ViewArgs;

    async fn pre_start(
        &self,
        me: ActorRef<ViewMsg>,
        args: ViewArgs,
    ) -> Result<ViewState, ActorProcessingErr> {
        let mut state = ViewState::new(args);
        state.tasks.spawn(tick(me.clone()));
        state.tasks.spawn(watch_catalog(me, state.args.ports.clone()));
        state.publish();
        state.ask_owners();
        Ok(state)
    }

    async fn handle(
        &self,
        me: ActorRef<ViewMsg>,
        message: ViewMsg,
        state: &mut ViewState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ViewMsg::Node(node) => state.facts.node = node,
            ViewMsg::Library(local) => state.facts.local = local,
            ViewMsg::Peers(peers) => state.on_peers(peers),
            ViewMsg::Operations(table) => state.facts.operations = table,
            ViewMsg::Health { supervisor, actors } => {
                state.facts.health.insert(supervisor, actors);
            }
            ViewMsg::Count { counter, by } => state.on_count(counter, by),
            ViewMsg::Problem { part, text } => state.on_problem(part, text),
            ViewMsg::Event(event) => return state.on_event(event),
            ViewMsg::Notice { game, message } => {
                return state.on_event(Event::Notice { game, message });
            }
            ViewMsg::Read { reply } => return state.on_read(reply),
            ViewMsg::Internal(InternalMsg::Publish) => return state.on_publish(),
            ViewMsg::Internal(InternalMsg::Tick) => return state.on_tick(),
            ViewMsg::Internal(InternalMsg::Catalog) => state.on_catalog(),
        }
        state.settle(&me)
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<ViewMsg>,
        _event: SupervisionEvent,
        _state: &mut ViewState,
    ) -> Result<(), ActorProcessingErr> {
        Ok(()) // it has no children
    }

    async fn post_stop(
        &self,
        _me: ActorRef<ViewMsg>,
        state: &mut ViewState,
    ) -> Result<(), ActorProcessingErr> {
        state.publish();
        state.outgoing.release_all(&state.args.events);
        Ok(())
    }
}

impl ViewState {
    fn new(args: ViewArgs) -> Self {
        let memory = args.memory.borrow().clone();
        let facts = Facts {
            node: memory.node,
            local: args.ports.local.borrow().clone(),
            operations: args.ports.operation_table.borrow().clone(),
            catalog: args.ports.catalog.borrow().clone(),
            health: memory.health,
            counters: memory.counters,
            problems: memory.problems,
            peers: Vec::new(),
        };
        let peers = args.ports.peer_table.borrow().clone();
        let outgoing = Outgoing::new(memory.is_ready_told);
        let offers = Offers::default();
        let tasks = JoinSet::new();
        let mut state =
            Self { args, facts, peers: Arc::default(), offers, outgoing, is_dirty: false, tasks };
        state.on_peers(peers);
        state
    }

    /// What was cast while nobody was here is lost: the owners say it again.
    fn ask_owners(&self) {
        let ports = &self.args.ports;
        ports.library.cast(LibraryMsg::Publish).ok();
        ports.peers.cast(PeersMsg::Publish).ok();
        ports.operations.cast(OperationsMsg::Publish).ok();
    }

    fn on_peers(&mut self, peers: Arc<PeerTable>) {
        self.peers = peers;
        self.measure_peers();
        self.offers = Offers::new(&self.facts.peers, self.facts.catalog.as_ref().as_ref());
    }

    fn on_catalog(&mut self) {
        self.facts.catalog = self.args.ports.catalog.borrow().clone();
        self.offers = Offers::new(&self.facts.peers, self.facts.catalog.as_ref().as_ref());
    }

    fn on_count(&mut self, counter: &'static str, by: u64) {
        let count = self.facts.counters.entry(counter).or_default();
        *count = count.saturating_add(by);
    }

    fn on_problem(&mut self, part: &'static str, text: Option<String>) {
        match text {
            Some(text) => self.facts.problems.insert(part, text),
            None => self.facts.problems.remove(part),
        };
    }

    fn on_event(&mut self, event: Event) -> Result<(), ActorProcessingErr> {
        if self.is_dirty {
            self.publish();
        }
        let event = match event {
            Event::LocalLibraryChanged { .. } => self.local_library_changed(),
            other => other,
        };
        let is_ready = matches!(event, Event::Ready { .. });
        self.outgoing.send(event, &self.args.events);
        if is_ready {
            self.remember();
        }
        Ok(())
    }

    /// The owner knows what is here, this actor also what the others have (L5).
    fn local_library_changed(&self) -> Event {
        let here = &self.facts.local.games;
        let games = self.args.snapshot.borrow().games.clone();
        Event::LocalLibraryChanged {
            games: games.into_iter().filter(|view| here.contains_key(&view.id)).collect(),
        }
    }

    fn on_read(&mut self, reply: RpcReplyPort<Arc<Snapshot>>) -> Result<(), ActorProcessingErr> {
        self.measure_peers();
        self.publish();
        // A caller that gave up wants no answer.
        reply.send(self.args.snapshot.borrow().clone()).ok();
        Ok(())
    }

    fn on_publish(&mut self) -> Result<(), ActorProcessingErr> {
        if self.is_dirty {
            self.publish();
        }
        Ok(())
    }

    /// Uploads come and go without a message; a window is woken only if something shows.
    fn on_tick(&mut self) -> Result<(), ActorProcessingErr> {
        let uploads = &fold(&self.facts, &self.offers).status.uploads;
        if *uploads != self.args.snapshot.borrow().status.uploads {
            self.measure_peers();
            self.publish();
        }
        while let Some(ended) = self.tasks.try_join_next() {
            ended?; // its timer or its watch of the catalog panicked
        }
        Ok(())
    }

    /// Publishes once for everything that is queued by now.
    fn settle(&mut self, me: &ActorRef<ViewMsg>) -> Result<(), ActorProcessingErr> {
        if !self.is_dirty {
            self.is_dirty = true;
            me.cast(ViewMsg::Internal(InternalMsg::Publish))?;
        }
        Ok(())
    }

    fn publish(&mut self) {
        self.is_dirty = false;
        let snapshot = Arc::new(fold(&self.facts, &self.offers));
        self.args.snapshot.send_if_modified(|published| {
            let is_new = **published != *snapshot;
            *published = snapshot;
            is_new
        });
        self.remember();
    }

    fn remember(&self) {
        self.args.memory.send_replace(ViewMemory {
            node: self.facts.node.clone(),
            health: self.facts.health.clone(),
            counters: self.facts.counters.clone(),
            problems: self.facts.problems.clone(),
            is_ready_told: self.outgoing.is_ready_told(),
        });
    }

    fn measure_peers(&mut self) {
        let now = Instant::now();
        let measured = self.peers.peers.values().map(|entry| PeerFacts {
            peer: entry.peer,
            name: entry.name.clone(),
            addresses: entry.addresses.clone(),
            connected_s: now.saturating_duration_since(entry.connected_at).as_secs(),
            rtt_ms: u64::try_from(entry.link.rtt().as_millis()).unwrap_or(u64::MAX),
            library: entry.library.clone(),
        });
        self.facts.peers = measured.collect();
    }
}

/// Wakes `View` for what changes without a message.
async fn tick(me: ActorRef<ViewMsg>) {
    let mut ticks = tokio::time::interval(VIEW_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if me.cast(ViewMsg::Internal(InternalMsg::Tick)).is_err() {
            return;
        }
    }
}

async fn watch_catalog(me: ActorRef<ViewMsg>, ports: Ports) {
    let mut catalog = ports.catalog;
    while catalog.changed().await.is_ok() {
        if me.cast(ViewMsg::Internal(InternalMsg::Catalog)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
