//! The `Peers` actor: who is there and what they hold; supervisor of the connections.
//!
//! * Owns: the `roster::Roster` that decides whom to dial and which connection to keep, one
//!   `PeerConnection` per link, and the table of connected peers. Sole writer of that table.
//! * Receives: sightings, incoming connections, dials by hand; reports of its connections; our
//!   library.
//! * Sends: our library to every connection; the table and events to `View`; `Refresh` to
//!   `Discovery`.
//! * Dies: by a panic. A connection that dies takes nobody else with it: its peer is dialed again.
//! * Comes back from: the last table, whose peers are dialed where they were, and discovery.
//!
//! Must never wait for a peer in a handler, nor tell of a peer before its library is known (P4).

mod acquaintances;
mod dial;
mod effects;
mod libraries;
mod remember;
mod roster;
mod sessions;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use lanspread_wire::{CloseCode, DisplayName, PeerId};
use quinn::{Connection, Endpoint};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::{
    sync::{Notify, watch},
    task::{AbortHandle, JoinSet},
    time::Instant,
};

pub(crate) use self::roster::LinkId;
use self::{
    acquaintances::Acquaintances,
    libraries::Libraries,
    roster::{Input, Roster, Ticket},
    sessions::Session,
};
use crate::{
    api::Refused,
    facts::PeerTable,
    listener::gate::Admission,
    net::{
        backend::{Sighting, Transport},
        endpoint::{DialError, Dialled, remote_of},
    },
    peer_connection::{
        PeerConnectionMsg, SessionEnd, SessionReport, Uploads, limits::GOODBYE_DEADLINE, wake::Wake,
    },
    ports::Ports,
    supervise::Death,
    view::ViewMsg,
};

/// Messages of the `Peers` actor.
pub enum PeersMsg {
    /// From `Discovery`: a hint that somebody is there.
    Seen(Sighting),
    /// From `Listener`: TLS is done and proved `peer`; the handshake of the program is still to
    /// come.
    Incoming {
        /// Whose key was proved.
        peer: PeerId,
        /// The connection.
        connection: Connection,
        /// Lives as long as the connection: it is what the limits per address count.
        admission: Admission,
    },
    /// From the handle: dial an address by hand; answered when the handshake is complete or has
    /// failed.
    Connect {
        /// Where.
        address: SocketAddr,
        /// Who is there, or why nobody is.
        reply: RpcReplyPort<Result<PeerId, Refused>>,
    },
    /// From `View` after its restart.
    Publish,
    /// From `Network` at shutdown: close every connection with the goodbye code (P10). Answered
    /// when all have ended, or after a short time.
    Goodbye {
        /// Answered once.
        reply: RpcReplyPort<()>,
    },
    /// From its own connections and tasks.
    Internal(InternalMsg),
}

/// What the connections and tasks of `Peers` tell it.
pub struct InternalMsg(Internal);

enum Internal {
    Dialed {
        link: LinkId,
        result: Result<Dialled, DialError>,
    },
    Session {
        link: LinkId,
        report: SessionReport,
    },
    /// A connection actor is gone; its last report, if it sent one, was handled before.
    Gone {
        link: LinkId,
        reason: String,
    },
    /// `ports.announced` has changed.
    AnnouncedChanged,
    /// New peers have gathered; write them down.
    Save,
    /// They are written down, or why not.
    Saved(Result<(), String>),
    GoodbyeOver,
    Tick,
}

/// What `Peers` is made of.
#[derive(Clone)]
pub struct PeersArgs {
    /// The wiring of the node.
    pub ports: Ports,
    /// For dialing; outlives this actor.
    pub endpoint: Endpoint,
    /// Where this node listens, for greetings.
    pub addresses: watch::Receiver<Vec<SocketAddr>>,
    /// The write end of the table; outlives this actor.
    pub peer_table: Arc<watch::Sender<Arc<PeerTable>>>,
}

/// The actor type.
pub struct Peers;

/// The state of `Peers`.
pub struct PeersState {
    args: PeersArgs,
    /// What this node calls itself.
    name: DisplayName,
    started: Instant,
    roster: Roster,
    uploads: Uploads,
    libraries: Libraries,
    /// Dials under way.
    dials: BTreeMap<LinkId, AbortHandle>,
    /// Connections that the roster has not decided about yet.
    fresh: BTreeMap<LinkId, Fresh>,
    sessions: BTreeMap<LinkId, Session>,
    table: Arc<PeerTable>,
    acquaintances: Acquaintances,
    saving: Saving,
    tickets: BTreeMap<Ticket, RpcReplyPort<Result<PeerId, Refused>>>,
    last_ticket: u64,
    goodbyes: Vec<RpcReplyPort<()>>,
    /// The last change of `ports.announced` was handled.
    announced_handled: Arc<Notify>,
    wake: Wake,
    tasks: JoinSet<()>,
}

/// Whether the peers that were met are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saving {
    Done,
    /// There is something new.
    Due,
    /// A task waits for more, or writes.
    Running,
    /// The same, and there is something new again.
    RunningAndDue,
}

/// A connection without a session.
struct Fresh {
    connection: Connection,
    /// Of one that came in.
    admission: Option<Admission>,
}

impl PeersMsg {
    /// A report of the session on `link`.
    pub(crate) fn session(link: LinkId, report: SessionReport) -> Self {
        internal(Internal::Session { link, report })
    }
}

impl Actor for Peers {
    type Msg = PeersMsg;
    type State = PeersState;
    type Arguments = PeersArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let me = args.ports.me();
        let mut state = PeersState {
            name: own_name(&args.ports)?,
            started: Instant::now(),
            roster: Roster::new(me, seed(&args.ports, me)),
            uploads: Uploads::new(&args.ports),
            libraries: Libraries::default(),
            dials: BTreeMap::new(),
            fresh: BTreeMap::new(),
            sessions: BTreeMap::new(),
            table: Arc::default(),
            acquaintances: Acquaintances::default(),
            saving: Saving::Done,
            tickets: BTreeMap::new(),
            last_ticket: 0,
            goodbyes: Vec::new(),
            announced_handled: Arc::new(Notify::new()),
            wake: Wake::default(),
            tasks: JoinSet::new(),
            args,
        };
        state.inherit();
        state.recall().await;
        state.watch_announced(&myself);
        state.run(&myself, Input::Tick).await;
        state.settle(&myself);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            PeersMsg::Seen(sighting) => state.on_seen(&myself, sighting).await,
            PeersMsg::Incoming { peer, connection, admission } => {
                state.on_incoming(&myself, peer, connection, admission).await;
            }
            PeersMsg::Connect { address, reply } => state.on_connect(&myself, address, reply).await,
            PeersMsg::Publish => state.args.ports.view.tell(ViewMsg::Peers(state.table.clone())),
            PeersMsg::Goodbye { reply } => state.on_goodbye(&myself, reply).await,
            PeersMsg::Internal(InternalMsg(message)) => state.on_internal(&myself, message).await,
        }
        state.settle(&myself);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(death) = Death::from_event(event) {
            state.on_death(&myself, death).await;
        }
        state.settle(&myself);
        Ok(())
    }
}

impl PeersState {
    async fn on_seen(&mut self, myself: &ActorRef<PeersMsg>, sighting: Sighting) {
        let Sighting { peer, protocol, addresses } = sighting;
        self.run(myself, Input::Seen { peer, protocol, addresses }).await;
    }

    async fn on_incoming(
        &mut self,
        myself: &ActorRef<PeersMsg>,
        peer: PeerId,
        connection: Connection,
        admission: Admission,
    ) {
        let link = self.roster.next_link();
        let address = remote_of(&connection);
        self.fresh.insert(link, Fresh { connection, admission: Some(admission) });
        self.run(myself, Input::Incoming { link, peer, address }).await;
    }

    async fn on_connect(
        &mut self,
        myself: &ActorRef<PeersMsg>,
        address: SocketAddr,
        reply: RpcReplyPort<Result<PeerId, Refused>>,
    ) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.tickets.insert(ticket, reply);
        self.run(myself, Input::Connect { ticket, address }).await;
    }

    async fn on_goodbye(&mut self, myself: &ActorRef<PeersMsg>, reply: RpcReplyPort<()>) {
        self.goodbyes.push(reply);
        myself.send_after(GOODBYE_DEADLINE, || internal(Internal::GoodbyeOver));
        self.run(myself, Input::Goodbye).await;
        self.answer_goodbyes_if_alone();
    }

    async fn on_internal(&mut self, myself: &ActorRef<PeersMsg>, message: Internal) {
        match message {
            Internal::Dialed { link, result } => self.on_dialed(myself, link, result).await,
            Internal::Session { link, report } => self.on_report(myself, link, report).await,
            Internal::Gone { link, reason } => self.on_gone(myself, link, reason).await,
            Internal::AnnouncedChanged => self.on_announced(),
            Internal::Save => self.on_save(myself),
            Internal::Saved(result) => self.on_saved(result),
            Internal::GoodbyeOver => self.answer_goodbyes(),
            Internal::Tick => self.run(myself, Input::Tick).await,
        }
    }

    async fn on_dialed(
        &mut self,
        myself: &ActorRef<PeersMsg>,
        link: LinkId,
        result: Result<Dialled, DialError>,
    ) {
        self.dials.remove(&link);
        let result = result.map(|Dialled { peer, connection }| {
            self.fresh.insert(link, Fresh { connection, admission: None });
            peer
        });
        self.run(myself, Input::Dialed { link, result }).await;
    }

    async fn on_report(
        &mut self,
        myself: &ActorRef<PeersMsg>,
        link: LinkId,
        report: SessionReport,
    ) {
        match report {
            SessionReport::Up { name, addresses, library } => {
                if self.admit(link, &library) {
                    self.note_greeting(link, name, addresses.clone(), library);
                    self.run(myself, Input::Up { link, addresses }).await;
                }
            }
            SessionReport::Library(library) => {
                if self.admit(link, &library) {
                    self.note_library(link, library);
                }
            }
            SessionReport::Alive => self.run(myself, Input::Alive { link }).await,
            SessionReport::Ended(end) => self.on_ended(myself, link, end).await,
        }
    }

    async fn on_ended(&mut self, myself: &ActorRef<PeersMsg>, link: LinkId, end: SessionEnd) {
        self.note_ended(link);
        self.run(myself, Input::Ended { link, end }).await;
        self.libraries.release(link);
        self.answer_goodbyes_if_alone();
    }

    /// Nobody is left who could be told goodbye: whoever waits for the last one need not.
    fn answer_goodbyes_if_alone(&mut self) {
        if self.sessions.values().all(Session::has_ended) {
            self.answer_goodbyes();
        }
    }

    async fn on_death(&mut self, myself: &ActorRef<PeersMsg>, death: Death) {
        let Some(link) = self.join(&death).await else {
            return;
        };
        // Supervision overtakes messages: the last report is still on its way.
        let reason = death.reason;
        if myself.cast(internal(Internal::Gone { link, reason })).is_err() {
            tracing::debug!("peers is stopping");
        }
    }

    async fn on_gone(&mut self, myself: &ActorRef<PeersMsg>, link: LinkId, reason: String) {
        let Some(session) = self.sessions.remove(&link) else {
            return;
        };
        if !session.has_ended() {
            tracing::error!(link = link.0, reason, "a connection died");
            let end = SessionEnd::ours(CloseCode::Internal, "its session failed");
            self.on_ended(myself, link, end).await;
        }
    }

    fn on_announced(&mut self) {
        let announced = self.args.ports.announced.borrow().clone();
        for session in self.sessions.values() {
            session.tell(PeerConnectionMsg::Announce(announced.clone()));
        }
        self.announced_handled.notify_one();
    }

    fn answer_goodbyes(&mut self) {
        for reply in self.goodbyes.drain(..) {
            if reply.send(()).is_err() {
                tracing::debug!("nobody waits for the goodbye any more");
            }
        }
    }

    /// Lets the roster decide, and does what it decides.
    async fn run(&mut self, myself: &ActorRef<PeersMsg>, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for effect in self.roster.step(self.started.elapsed(), input) {
                inputs.extend(self.perform(myself, effect).await);
            }
        }
    }

    /// One message at a time tells of new libraries, however often they change.
    fn watch_announced(&mut self, myself: &ActorRef<PeersMsg>) {
        let mut announced = self.args.ports.announced.clone();
        let (handled, to) = (self.announced_handled.clone(), myself.clone());
        self.tasks.spawn(async move {
            while announced.changed().await.is_ok() {
                if to.cast(internal(Internal::AnnouncedChanged)).is_err() {
                    return;
                }
                handled.notified().await;
            }
        });
    }

    fn settle(&mut self, myself: &ActorRef<PeersMsg>) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(%error, "a task of peers died");
            }
        }
        self.save_soon(myself);
        let at = self.roster.wake().map(|at| self.started + at);
        self.wake.set(at, myself, || internal(Internal::Tick));
    }
}

fn internal(message: Internal) -> PeersMsg {
    PeersMsg::Internal(InternalMsg(message))
}

/// What others read in their list. Never the name of the machine or of its user.
fn own_name(ports: &Ports) -> Result<DisplayName, ActorProcessingErr> {
    let configured = ports.config.name.as_deref().and_then(DisplayName::nearest);
    let name = configured.or_else(|| DisplayName::nearest(&ports.me().short()));
    name.ok_or_else(|| "this node has no name that can be shown".into())
}

/// The seed of the dice: the same run again in a simulation, another one in each real start.
fn seed(ports: &Ports, me: PeerId) -> u64 {
    match &ports.config.transport {
        Transport::Udp => rand::random(),
        Transport::Virtual { seed, .. } => {
            let mut mixed = [0; 8];
            for (index, byte) in seed.iter().chain(&me.0).enumerate() {
                mixed[index % mixed.len()] ^= byte.rotate_left(index as u32 / 8);
            }
            u64::from_le_bytes(mixed)
        }
    }
}
