//! The `PeerConnection` actor: one peer's session: control stream, requests, uploads.
//!
//! * Owns: one authenticated connection, the `session::Session` that decides about it, and the
//!   tasks
//!   that move its bytes: the reader and the writer of the control stream, the uploads.
//! * Receives: our library and orders from `Peers`; what its tasks read and wrote.
//! * Sends: reports to `Peers`, each with the id of its link.
//! * Dies: in order after every end of the connection, which it reports first; by a panic, which
//!   closes the connection with `internal`. A peer's fault is a value ([`SessionEnd`]), never a
//!   panic.
//! * Comes back: never. `Peers` dials anew.
//!
//! Must never wait for the peer in a handler, nor hold more of it than its limits say.

mod announce;
mod control;
mod end;
mod gates;
mod life;
pub mod limits;
mod link;
mod pieces;
pub(crate) mod rate;
mod remote;
mod reply;
#[cfg(test)]
pub(crate) mod samples;
mod serve;
mod served;
mod session;
pub(crate) mod wake;

use std::{any::Any, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use lanspread_wire::{CloseCode, Control, DisplayName, PeerId, encode_frame};
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinSet,
    time::Instant,
};

use self::{
    control::{Heard, Outgoing, Wrote},
    end::Fault,
    limits::WRITER_QUEUE_MAX,
    serve::Server,
    session::{Effect, Input, Opening, Session},
    wake::Wake,
};
pub use self::{
    end::{EndedBy, SessionEnd},
    link::{ChunkStream, PeerLink, RequestError, SourceGuard},
    session::Role,
};
pub(crate) use self::{remote::weight, serve::Uploads};
use crate::{
    addr::Addr,
    facts::{Announced, RemoteLibrary},
    listener::gate::Admission,
    net::limits::PRIORITY_CONTROL,
    peers::{LinkId, PeersMsg},
    view::ViewMsg,
};

/// Messages of the `PeerConnection` actor. All of them come from `Peers` or from its own tasks.
pub enum PeerConnectionMsg {
    /// From `Peers`: our library is this now. Only the latest counts.
    Announce(Announced),
    /// From `Peers`: make sure that the peer lives. Answered with `SessionReport::Alive`, or not.
    Probe,
    /// From `Peers`: close the connection with this code and text. Answered with
    /// `SessionReport::Ended`.
    Close {
        /// The reason as a code.
        code: CloseCode,
        /// The reason in words.
        text: &'static str,
    },
    /// From its own tasks.
    Internal(InternalMsg),
}

/// What the tasks of a connection tell it.
pub struct InternalMsg(Internal);

enum Internal {
    /// The control stream is open, from this side or from the other.
    Opened(SendStream, RecvStream),
    Heard(Heard),
    Wrote(Wrote),
    /// The uploads ended the session.
    Faulted(Fault),
    /// The connection is over.
    Closed(ConnectionError),
    /// A task panicked.
    Panicked(String),
    Tick,
}

/// What a session tells `Peers`.
#[derive(Clone, Debug)]
pub(crate) enum SessionReport {
    /// The handshake is complete and the peer's library is known.
    Up { name: DisplayName, addresses: Vec<SocketAddr>, library: Arc<RemoteLibrary> },
    /// The peer's library is this now.
    Library(Arc<RemoteLibrary>),
    /// The peer has answered a probe.
    Alive,
    /// The session is over. The last report.
    Ended(SessionEnd),
}

/// What a session is made of.
pub(crate) struct PeerConnectionArgs {
    pub(crate) link: LinkId,
    pub(crate) role: Role,
    pub(crate) me: PeerId,
    /// Whose key the connection proved.
    pub(crate) peer: PeerId,
    pub(crate) connection: Connection,
    /// Of a connection that came in.
    pub(crate) admission: Option<Admission>,
    pub(crate) name: DisplayName,
    /// Where this node listens.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) announced: Announced,
    /// What the peer held when it was last here.
    pub(crate) known: Option<Arc<RemoteLibrary>>,
    pub(crate) uploads: Uploads,
    pub(crate) peers: ActorRef<PeersMsg>,
    pub(crate) view: Addr<ViewMsg>,
}

/// The actor type.
pub(crate) struct PeerConnection;

/// The state of one session.
pub(crate) struct PeerConnectionState {
    link: LinkId,
    role: Role,
    peer: PeerId,
    connection: Guarded,
    session: Session,
    started: Instant,
    writer: Option<mpsc::Sender<Outgoing>>,
    /// Of the message that is being handled; its answer takes it along.
    credit: Option<OwnedSemaphorePermit>,
    uploads: Uploads,
    peers: ActorRef<PeersMsg>,
    view: Addr<ViewMsg>,
    wake: Wake,
    tasks: JoinSet<()>,
    over: bool,
    /// Counts as one connection of its address until the session is over.
    _admission: Option<Admission>,
}

/// A connection that is closed with `internal` unless it was closed with something better before.
struct Guarded(Connection);

impl Guarded {
    /// Closes the connection unless it is over. Closing it once more would hide from its streams
    /// why it ended.
    fn close(&self, code: CloseCode, text: &str) {
        if self.0.close_reason().is_none() {
            self.0.close(code.as_u32().into(), text.as_bytes());
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // After a panic or a kill; every other end has closed it before.
        self.close(CloseCode::Internal, "the session ended unexpectedly");
    }
}

impl Actor for PeerConnection {
    type Msg = PeerConnectionMsg;
    type State = PeerConnectionState;
    type Arguments = PeerConnectionArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let opening = Opening {
            role: args.role,
            me: args.me,
            peer: args.peer,
            name: args.name,
            addresses: args.addresses,
            announced: args.announced,
            known: args.known,
        };
        let mut state = PeerConnectionState {
            link: args.link,
            role: args.role,
            peer: args.peer,
            connection: Guarded(args.connection),
            session: Session::new(Duration::ZERO, opening),
            started: Instant::now(),
            writer: None,
            credit: None,
            uploads: args.uploads,
            peers: args.peers,
            view: args.view,
            wake: Wake::default(),
            tasks: JoinSet::new(),
            over: false,
            _admission: args.admission,
        };
        state.watch(&myself);
        state.open(&myself);
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
            PeerConnectionMsg::Announce(announced) => {
                state.step(&myself, Input::Announced(announced));
            }
            PeerConnectionMsg::Probe => state.step(&myself, Input::Probe),
            PeerConnectionMsg::Close { code, text } => {
                state.end(&myself, SessionEnd::ours(code, text));
            }
            PeerConnectionMsg::Internal(InternalMsg(message)) => {
                state.on_internal(&myself, message)?;
            }
        }
        state.settle(&myself);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        _event: SupervisionEvent,
        _state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // It has no children.
        Ok(())
    }
}

impl PeerConnectionState {
    fn on_internal(
        &mut self,
        myself: &ActorRef<PeerConnectionMsg>,
        message: Internal,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Internal::Opened(send, receive) => self.on_opened(myself, send, receive),
            Internal::Heard(heard) => self.on_heard(myself, heard),
            Internal::Wrote(Wrote::Library) => self.step(myself, Input::Written),
            Internal::Wrote(Wrote::Faulted(fault)) | Internal::Faulted(fault) => {
                self.step(myself, Input::Faulted(fault));
            }
            Internal::Closed(error) => self.end(myself, SessionEnd::of_connection(&error)),
            // A bug of ours: the session dies of it, and the connection with it.
            Internal::Panicked(text) => return Err(text.into()),
            Internal::Tick => self.step(myself, Input::Tick),
        }
        Ok(())
    }

    fn on_opened(
        &mut self,
        myself: &ActorRef<PeerConnectionMsg>,
        send: SendStream,
        receive: RecvStream,
    ) {
        // It fails on a stream that is closed, which the reader finds out.
        send.set_priority(PRIORITY_CONTROL).ok();
        let (writer, queue) = mpsc::channel(WRITER_QUEUE_MAX);
        self.writer = Some(writer);
        let to = myself.clone();
        self.spawn(myself, async move {
            control::read(receive, |heard| to.cast(internal(Internal::Heard(heard))).is_ok()).await;
        });
        let to = myself.clone();
        self.spawn(myself, async move {
            control::write(send, queue, |wrote| to.cast(internal(Internal::Wrote(wrote))).is_ok())
                .await;
        });
        self.step(myself, Input::Opened);
    }

    fn on_heard(&mut self, myself: &ActorRef<PeerConnectionMsg>, heard: Heard) {
        match heard {
            Heard::Message { control, bytes, credit } => {
                self.credit = Some(credit);
                self.step(myself, Input::Received { control, bytes });
                self.credit = None;
            }
            Heard::OtherVersion { theirs } => self.step(myself, Input::OtherVersion { theirs }),
            Heard::Faulted(fault) => self.step(myself, Input::Faulted(fault)),
        }
    }

    fn step(&mut self, myself: &ActorRef<PeerConnectionMsg>, input: Input) {
        for effect in self.session.step(self.started.elapsed(), input) {
            self.perform(myself, effect);
        }
    }

    fn perform(&mut self, myself: &ActorRef<PeerConnectionMsg>, effect: Effect) {
        match effect {
            Effect::Send(control) => self.write(myself, std::slice::from_ref(&control), false),
            Effect::SendLibrary(frames) => self.write(myself, &frames, true),
            Effect::Serve => self.serve(myself),
            Effect::Up { name, addresses, library } => {
                self.report(SessionReport::Up { name, addresses, library });
            }
            Effect::Library(library) => self.report(SessionReport::Library(library)),
            Effect::Alive => self.report(SessionReport::Alive),
            Effect::Count(counter) => self.view.tell(ViewMsg::Count { counter, by: 1 }),
            Effect::Close(end) => self.end(myself, end),
        }
    }

    fn write(
        &mut self,
        myself: &ActorRef<PeerConnectionMsg>,
        controls: &[Control],
        is_library: bool,
    ) {
        let frames: Result<Vec<Vec<u8>>, _> = controls.iter().map(encode_frame).collect();
        let mut frames = match frames {
            Ok(frames) => frames,
            Err(error) => {
                let text = format!("a message of ours cannot be written: {error}");
                return self.end(myself, SessionEnd::ours(CloseCode::Internal, text));
            }
        };
        let outgoing = match frames.pop() {
            Some(frame) if !is_library => Outgoing::Frame { frame, credit: self.credit.take() },
            last => {
                frames.extend(last);
                Outgoing::Library(frames)
            }
        };
        let queued = self.writer.as_ref().is_some_and(|writer| writer.try_send(outgoing).is_ok());
        if !queued && !self.over {
            let text = "the peer does not read its control stream";
            self.end(myself, SessionEnd::ours(CloseCode::Stalled, text));
        }
    }

    /// Ends the session: closes the connection, tells `Peers`, stops. Only the first end counts.
    fn end(&mut self, myself: &ActorRef<PeerConnectionMsg>, end: SessionEnd) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        tracing::debug!(peer = ?self.peer, link = self.link.0, %end, "session over");
        self.connection.close(end.code, &end.text);
        self.report(SessionReport::Ended(end));
        myself.stop(None);
    }

    fn report(&self, report: SessionReport) {
        if self.peers.cast(PeersMsg::session(self.link, report)).is_err() {
            tracing::debug!(peer = ?self.peer, "nobody listens to this session");
        }
    }

    /// Opens the control stream, or waits for the peer to do so.
    fn open(&mut self, myself: &ActorRef<PeerConnectionMsg>) {
        let (connection, role, to) = (self.connection.0.clone(), self.role, myself.clone());
        self.spawn(myself, async move {
            let opened = match role {
                Role::Dialer => connection.open_bi().await,
                Role::Listener => connection.accept_bi().await,
            };
            // A failure is the end of the connection, which is told by whoever watches it.
            if let Ok((send, receive)) = opened {
                to.cast(internal(Internal::Opened(send, receive))).ok();
            }
        });
    }

    /// Waits for the end of the connection.
    fn watch(&mut self, myself: &ActorRef<PeerConnectionMsg>) {
        let (connection, to) = (self.connection.0.clone(), myself.clone());
        self.spawn(myself, async move {
            let error = connection.closed().await;
            to.cast(internal(Internal::Closed(error))).ok();
        });
    }

    /// Answers the requests of the peer from now on.
    fn serve(&mut self, myself: &ActorRef<PeerConnectionMsg>) {
        let server = Server::new(self.uploads.clone(), self.peer);
        let (connection, to) = (self.connection.0.clone(), myself.clone());
        self.spawn(myself, async move {
            if let Some(fault) = server.run(connection).await {
                to.cast(internal(Internal::Faulted(fault))).ok();
            }
        });
    }

    fn spawn(
        &mut self,
        myself: &ActorRef<PeerConnectionMsg>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let to = myself.clone();
        self.tasks.spawn(async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                to.cast(internal(Internal::Panicked(panic_text(&*panic)))).ok();
            }
        });
    }

    fn settle(&mut self, myself: &ActorRef<PeerConnectionMsg>) {
        // Panics were caught inside the tasks, so there is nothing to learn of those that ended.
        while self.tasks.try_join_next().is_some() {}
        let at = self.session.wake().filter(|_| !self.over).map(|at| self.started + at);
        self.wake.set(at, myself, || internal(Internal::Tick));
    }
}

fn internal(message: Internal) -> PeerConnectionMsg {
    PeerConnectionMsg::Internal(InternalMsg(message))
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a task panicked: {}", text.unwrap_or_else(|| "without a word".to_owned()))
}
