//! One session with one peer: greeting, libraries both ways, signs of life. Pure: time and messages
//! come as arguments, what to do comes back as effects.
//!
//! ```text
//! dialer     Opening → Greeting → Loading → Up
//! listener   Opening → Greeting → Loading → Up
//!            (no stream) (no greeting) (its library is unknown)     anything wrong → Over
//! ```
//! A message that does not belong to the phase ends the session with the code `state`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use lanspread_wire::{
    CloseCode, Control, DisplayName, Hello, LibraryDelta, PROTOCOL_VERSION, PeerId, SnapshotPage,
};

use super::{
    announce::Announcer,
    end::{Fault, SessionEnd},
    life::{Answer, Life},
    limits::{HELLO_DEADLINE, LIBRARY_DEADLINE, UNASKED_MAX},
    remote::{Applied, Pages, Question, apply},
};
use crate::facts::{Announced, RemoteLibrary};

/// Which end of the connection this node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We dialled: we open the control stream and greet first.
    Dialer,
    /// The peer dialled.
    Listener,
}

/// What a session begins with.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) role: Role,
    pub(crate) me: PeerId,
    /// Whose key the connection proved.
    pub(crate) peer: PeerId,
    pub(crate) name: DisplayName,
    /// Where this node listens.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) announced: Announced,
    /// The peer's library as it was when the last session with it ended.
    pub(crate) known: Option<Arc<RemoteLibrary>>,
}

/// What happened to a session.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// The control stream is there.
    Opened,
    /// A message of the peer, which came in so many bytes.
    Received { control: Control, bytes: usize },
    /// The peer speaks another version of the protocol.
    OtherVersion { theirs: u16 },
    /// The reader or the writer of the control stream, or an upload, met something inadmissible.
    Faulted(Fault),
    /// Our library changed.
    Announced(Announced),
    /// The library frames that were sent last have left.
    Written,
    /// Is the peer there? Answered by [`Effect::Alive`], or not at all.
    Probe,
    /// A time that [`Session::wake`] named has come.
    Tick,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Write one small frame.
    Send(Control),
    /// Write these frames one after the other, then tell [`Input::Written`].
    SendLibrary(Vec<Control>),
    /// The peer has greeted: its requests may be served from now on.
    Serve,
    /// The handshake is complete and the peer's library is known.
    Up { name: DisplayName, addresses: Vec<SocketAddr>, library: Arc<RemoteLibrary> },
    /// The peer's library changed.
    Library(Arc<RemoteLibrary>),
    /// The peer answered a probe.
    Alive,
    /// A named counter goes up.
    Count(&'static str),
    /// Close the connection; the session takes no input any more.
    Close(SessionEnd),
}

/// The state of one session.
#[derive(Debug)]
pub(crate) struct Session {
    opening: Opening,
    phase: Phase,
    announcer: Announcer,
    /// The library that our greeting spoke of.
    told: Announced,
    pages: Pages,
    question: Question,
    life: Life,
}

#[derive(Clone, Debug)]
enum Phase {
    /// The control stream is not there yet.
    Opening {
        until: Duration,
    },
    /// The peer has not greeted yet.
    Greeting {
        until: Duration,
    },
    /// The peer's library is not known yet.
    Loading {
        until: Duration,
        greeting: Greeting,
    },
    Up {
        library: Arc<RemoteLibrary>,
    },
    Over,
}

#[derive(Clone, Debug)]
struct Greeting {
    name: DisplayName,
    addresses: Vec<SocketAddr>,
    revision: u64,
}

impl Session {
    /// A session whose connection is made and authenticated, at time `now`.
    pub(crate) fn new(now: Duration, opening: Opening) -> Self {
        Self {
            phase: Phase::Opening { until: now + HELLO_DEADLINE },
            announcer: Announcer::new(opening.announced.clone()),
            told: opening.announced.clone(),
            opening,
            pages: Pages::default(),
            question: Question::default(),
            life: Life::new(now),
        }
    }

    /// Takes one input and says what is to be done.
    pub(crate) fn step(&mut self, now: Duration, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        if matches!(self.phase, Phase::Over) {
            return effects;
        }
        let done = match input {
            Input::Opened => self.on_opened(now, &mut effects),
            Input::Received { control, bytes } => {
                self.on_received(now, control, bytes, &mut effects)
            }
            Input::OtherVersion { theirs } => Err(self.other_version(theirs)),
            Input::Faulted(fault) => Err(fault),
            Input::Announced(announced) => self.on_announced(now, announced),
            Input::Written => {
                self.announcer.written();
                Ok(())
            }
            Input::Probe => {
                self.send_ping(now, true, &mut effects);
                Ok(())
            }
            Input::Tick => self.on_tick(now, &mut effects),
        };
        match done {
            Ok(()) => self.settle(now, &mut effects),
            Err(fault) => {
                self.phase = Phase::Over;
                effects.push(Effect::Close(SessionEnd::ours(fault.code, fault.text)));
            }
        }
        effects
    }

    /// When the session wants a [`Input::Tick`], at the latest.
    pub(crate) fn wake(&self) -> Option<Duration> {
        let phase = match &self.phase {
            Phase::Opening { until } | Phase::Greeting { until } | Phase::Loading { until, .. } => {
                Some(*until)
            }
            Phase::Up { .. } => None,
            Phase::Over => return None,
        };
        let life = self.has_greeted().then(|| self.life.next_ping().min(self.life.silent_at()));
        let question = self.question.wake();
        [phase, life, question, self.announcer.wake()].into_iter().flatten().min()
    }

    /// What is due whatever the input was.
    fn settle(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if let Phase::Up { library } = &self.phase
            && self.question.ask(now)
        {
            let known_revision = library.state.revision;
            effects.push(Effect::Send(Control::SnapshotWanted { known_revision }));
        }
        effects.extend(self.announcer.poll(now).map(Effect::SendLibrary));
    }

    fn on_opened(&mut self, now: Duration, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        let Phase::Opening { until } = self.phase else {
            return Err(Fault::new(CloseCode::State, "a second control stream"));
        };
        self.phase = Phase::Greeting { until };
        if self.opening.role == Role::Dialer {
            let hello = self.greeting();
            effects.push(Effect::Send(Control::Hello(hello)));
        }
        self.life.heard(now);
        Ok(())
    }

    fn on_received(
        &mut self,
        now: Duration,
        control: Control,
        bytes: usize,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        self.life.heard(now);
        match control {
            Control::Hello(hello) => self.on_hello(now, hello, effects),
            Control::HelloAck(hello) => self.on_hello_ack(now, hello, effects),
            Control::Snapshot(page) => self.on_page(page, bytes, effects),
            Control::Delta(delta) => self.on_delta(delta, effects),
            Control::SnapshotWanted { .. } => self.on_snapshot_wanted(),
            Control::Ping { nonce } => self.on_ping(nonce, effects),
            Control::Pong { nonce } => self.on_pong(nonce, effects),
        }
    }

    fn on_hello(
        &mut self,
        now: Duration,
        hello: Hello,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let greeting = matches!(self.phase, Phase::Greeting { .. });
        if !greeting || self.opening.role == Role::Dialer {
            return Err(misplaced("a greeting"));
        }
        self.check_identity(&hello)?;
        let ack = self.greeting();
        effects.push(Effect::Send(Control::HelloAck(ack)));
        self.on_greeted(now, hello, effects);
        Ok(())
    }

    fn on_hello_ack(
        &mut self,
        now: Duration,
        hello: Hello,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let greeting = matches!(self.phase, Phase::Greeting { .. });
        if !greeting || self.opening.role == Role::Listener {
            return Err(misplaced("the answer to a greeting"));
        }
        self.check_identity(&hello)?;
        self.on_greeted(now, hello, effects);
        Ok(())
    }

    fn check_identity(&self, hello: &Hello) -> Result<(), Fault> {
        let proved = self.opening.peer;
        if hello.peer == self.opening.me {
            return Err(Fault::new(CloseCode::SelfConnect, "the peer greeted with our own id"));
        }
        if hello.peer != proved {
            let (claimed, proved) = (hello.peer.short(), proved.short());
            return Err(Fault::new(
                CloseCode::IdMismatch,
                format!("greeted as {claimed}, proved to be {proved}"),
            ));
        }
        Ok(())
    }

    fn on_greeted(&mut self, now: Duration, hello: Hello, effects: &mut Vec<Effect>) {
        let Hello { name, addresses, library, known, .. } = hello;
        let told = self.told.clone();
        self.announcer.greeted(now, told, known);
        effects.push(Effect::Serve);
        let greeting = Greeting { name, addresses, revision: library.revision };
        match self.opening.known.take().filter(|held| held.state.digest == library.digest) {
            Some(held) => {
                let games = held.games.clone();
                self.go_up(greeting, RemoteLibrary { state: library, games }, effects);
            }
            None => self.phase = Phase::Loading { until: now + LIBRARY_DEADLINE, greeting },
        }
    }

    fn go_up(&mut self, greeting: Greeting, library: RemoteLibrary, effects: &mut Vec<Effect>) {
        let library = Arc::new(library);
        self.phase = Phase::Up { library: library.clone() };
        let Greeting { name, addresses, .. } = greeting;
        effects.push(Effect::Up { name, addresses, library });
    }

    fn on_page(
        &mut self,
        page: SnapshotPage,
        bytes: usize,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        if !self.has_greeted() {
            return Err(misplaced("a page of a library"));
        }
        let Some(snapshot) = self.pages.push(page, bytes)? else {
            return Ok(());
        };
        self.question.answered();
        match &self.phase {
            Phase::Loading { greeting, .. } => {
                if snapshot.state.revision < greeting.revision {
                    return Err(misplaced("a library older than the greeting"));
                }
                let greeting = greeting.clone();
                self.go_up(greeting, snapshot, effects);
            }
            Phase::Up { library } if snapshot.state.revision > library.state.revision => {
                self.replace(snapshot, effects);
            }
            Phase::Up { library } if snapshot.state == library.state => {}
            _ => effects.push(Effect::Count("library-out-of-date")),
        }
        Ok(())
    }

    fn on_delta(&mut self, delta: LibraryDelta, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        let Phase::Up { library } = &self.phase else {
            return Err(misplaced("a change of a library"));
        };
        if self.pages.is_open() {
            return Err(misplaced("a change between the pages of a library"));
        }
        match apply(library, delta)? {
            Applied::Changed(library) => self.replace(library, effects),
            Applied::Repeated => effects.push(Effect::Count("library-change-repeated")),
            Applied::Gap => {
                self.question.raise();
                effects.push(Effect::Count("library-gap"));
            }
        }
        Ok(())
    }

    fn replace(&mut self, library: RemoteLibrary, effects: &mut Vec<Effect>) {
        let library = Arc::new(library);
        self.phase = Phase::Up { library: library.clone() };
        effects.push(Effect::Library(library));
    }

    fn on_snapshot_wanted(&mut self) -> Result<(), Fault> {
        if !self.has_greeted() {
            return Err(misplaced("a question for our library"));
        }
        self.announcer.want_snapshot();
        Ok(())
    }

    fn on_ping(&mut self, nonce: u64, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        if !self.has_greeted() {
            return Err(misplaced("a ping"));
        }
        effects.push(Effect::Send(Control::Pong { nonce }));
        Ok(())
    }

    fn on_pong(&mut self, nonce: u64, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        if !self.has_greeted() {
            return Err(misplaced("the answer to a ping"));
        }
        match self.life.pong(nonce) {
            Answer::Ordinary => {}
            Answer::Probed => effects.push(Effect::Alive),
            Answer::Unasked(count) => {
                effects.push(Effect::Count("answers-nobody-asked-for"));
                if count >= UNASKED_MAX {
                    return Err(Fault::new(CloseCode::Abuse, "answers that nobody asked for"));
                }
            }
        }
        Ok(())
    }

    fn on_announced(&mut self, now: Duration, announced: Announced) -> Result<(), Fault> {
        let offered = self.announcer.offer(now, announced);
        offered.map_err(|_| Fault::new(CloseCode::Internal, "our library was set back"))
    }

    fn on_tick(&mut self, now: Duration, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        match &self.phase {
            Phase::Opening { until } | Phase::Greeting { until } if *until <= now => {
                return Err(Fault::new(CloseCode::HelloTimeout, "no greeting came"));
            }
            Phase::Loading { until, .. } if *until <= now => {
                return Err(Fault::new(CloseCode::Stalled, "the library did not come"));
            }
            _ => {}
        }
        if self.question.is_overdue(now) {
            return Err(Fault::new(CloseCode::Stalled, "the library did not come"));
        }
        if !self.has_greeted() {
            return Ok(());
        }
        if self.life.silent_at() <= now {
            return Err(Fault::new(CloseCode::Silent, "no sign of life came"));
        }
        if self.life.next_ping() <= now {
            self.send_ping(now, false, effects);
        }
        Ok(())
    }

    fn send_ping(&mut self, now: Duration, probe: bool, effects: &mut Vec<Effect>) {
        let nonce = self.life.ping(now, probe);
        effects.push(Effect::Send(Control::Ping { nonce }));
    }

    fn greeting(&mut self) -> Hello {
        self.told = self.announcer.latest().clone();
        Hello {
            version: PROTOCOL_VERSION,
            peer: self.opening.me,
            name: self.opening.name.clone(),
            addresses: self.opening.addresses.clone(),
            library: self.told.state,
            known: self.opening.known.as_ref().map(|held| held.state.digest),
        }
    }

    fn other_version(&self, theirs: u16) -> Fault {
        let (dialer, listener) = match self.opening.role {
            Role::Dialer => (PROTOCOL_VERSION, theirs),
            Role::Listener => (theirs, PROTOCOL_VERSION),
        };
        Fault::new(
            CloseCode::VersionMismatch,
            format!("the dialer speaks protocol version {dialer}, the listener {listener}"),
        )
    }

    fn has_greeted(&self) -> bool {
        matches!(self.phase, Phase::Loading { .. } | Phase::Up { .. })
    }
}

fn misplaced(what: &str) -> Fault {
    Fault::new(CloseCode::State, format!("{what} at the wrong moment"))
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
