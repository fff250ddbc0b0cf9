//! Tests of sessions: two of them talking to each other, and one facing everything that a peer can
//! do wrong.

use lanspread_wire::{GameSummary, snapshot_pages};

use super::{
    super::{
        limits::{DELTA_BATCH, PING_INTERVAL, SILENCE_MAX, SNAPSHOT_ASK_INTERVAL},
        samples::{announced, hello, ms, opening, remote, s, session, summary},
    },
    *,
};

/// Two sessions and what is under way between them.
struct Pair {
    now: Duration,
    dialer: End,
    listener: End,
}

struct End {
    session: Session,
    inbox: Vec<Control>,
    effects: Vec<Effect>,
    snapshots: usize,
}

impl End {
    fn new(session: Session) -> Self {
        Self { session, inbox: Vec::new(), effects: Vec::new(), snapshots: 0 }
    }

    fn input(&mut self, now: Duration, input: Input, to: &mut Vec<Control>) {
        for effect in self.session.step(now, input) {
            match effect {
                Effect::Send(control) => to.push(control),
                Effect::SendLibrary(frames) => {
                    self.snapshots += usize::from(matches!(frames[0], Control::Snapshot(_)));
                    to.extend(frames);
                    self.input(now, Input::Written, to);
                }
                other => self.effects.push(other),
            }
        }
    }

    fn library(&self) -> Option<Arc<RemoteLibrary>> {
        match &self.session.phase {
            Phase::Up { library } => Some(library.clone()),
            _ => None,
        }
    }

    fn end(&self) -> Option<&SessionEnd> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Close(end) => Some(end),
            _ => None,
        })
    }
}

impl Pair {
    fn new(dialer: Opening, listener: Opening) -> Self {
        let session = |opening| End::new(Session::new(Duration::ZERO, opening));
        let (dialer, listener) = (session(dialer), session(listener));
        let mut pair = Self { now: Duration::ZERO, dialer, listener };
        pair.dial_in(Input::Opened);
        pair.listen_in(Input::Opened);
        pair.talk();
        pair
    }

    fn of(dialer: Announced, listener: Announced) -> Self {
        Self::new(opening(Role::Dialer, 1, 2, dialer), opening(Role::Listener, 2, 1, listener))
    }

    fn dial_in(&mut self, input: Input) {
        self.dialer.input(self.now, input, &mut self.listener.inbox);
    }

    fn listen_in(&mut self, input: Input) {
        self.listener.input(self.now, input, &mut self.dialer.inbox);
    }

    /// Delivers until nothing is under way.
    fn talk(&mut self) {
        while !self.dialer.inbox.is_empty() || !self.listener.inbox.is_empty() {
            for control in std::mem::take(&mut self.listener.inbox) {
                self.listen_in(Input::Received { control, bytes: 100 });
            }
            for control in std::mem::take(&mut self.dialer.inbox) {
                self.dial_in(Input::Received { control, bytes: 100 });
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let wakes = [self.dialer.session.wake(), self.listener.session.wake()];
            let next = wakes.into_iter().flatten().min().filter(|at| *at <= until);
            self.now = next.unwrap_or(until).max(self.now);
            if next.is_none() {
                return;
            }
            self.dial_in(Input::Tick);
            self.listen_in(Input::Tick);
            self.talk();
        }
    }
}

/// Proves P4: both sides are up with the library of the other.
#[test]
fn two_sessions_learn_each_others_library() {
    let pair = Pair::of(announced(3, &[("a", 1)]), announced(9, &[("b", 1), ("c", 2)]));
    assert_eq!(*pair.dialer.library().unwrap(), remote(9, &[("b", 1), ("c", 2)]));
    assert_eq!(*pair.listener.library().unwrap(), remote(3, &[("a", 1)]));
    let up = pair.dialer.effects.iter().find_map(|effect| match effect {
        Effect::Up { name, addresses, .. } => Some((name.to_string(), addresses.clone())),
        _ => None,
    });
    assert_eq!(up, Some(("node 2".to_owned(), vec![([10, 0, 0, 2], 4000).into()])));
    let served = |end: &End| end.effects.contains(&Effect::Serve);
    assert!(served(&pair.dialer) && served(&pair.listener));
}

/// Proves P4: who still holds the digest is sent nothing, and takes the revision of the greeting.
#[test]
fn a_known_library_does_not_travel() {
    let known = |revision, list: &[(&str, u32)]| Some(Arc::new(remote(revision, list)));
    let (mine, theirs) = (announced(30, &[("a", 1)]), announced(90, &[("b", 1)]));
    let dialer =
        Opening { known: known(80, &[("b", 1)]), ..opening(Role::Dialer, 1, 2, mine.clone()) };
    let listener = opening(Role::Listener, 2, 1, theirs.clone());
    let pair = Pair::new(dialer.clone(), listener.clone());
    assert_eq!(*pair.dialer.library().unwrap(), remote(90, &[("b", 1)]));
    assert_eq!((pair.dialer.snapshots, pair.listener.snapshots), (1, 0));

    let listener = Opening { known: known(30, &[("a", 1)]), ..listener };
    let pair = Pair::new(dialer, listener.clone());
    assert_eq!(*pair.listener.library().unwrap(), remote(30, &[("a", 1)]));
    assert_eq!((pair.dialer.snapshots, pair.listener.snapshots), (0, 0));

    let outdated = Opening { known: known(30, &[("z", 1)]), ..listener };
    let pair = Pair::new(opening(Role::Dialer, 1, 2, mine), outdated);
    assert_eq!(*pair.listener.library().unwrap(), remote(30, &[("a", 1)]));
    assert_eq!(pair.dialer.snapshots, 1);
}

/// Proves P8, also when nothing but the digest was exchanged before.
#[test]
fn changes_reach_the_other_side() {
    let theirs = announced(90, &[("b", 1)]);
    let known = Some(Arc::new(remote(90, &[("b", 1)])));
    let dialer = Opening { known, ..opening(Role::Dialer, 1, 2, announced(3, &[])) };
    let mut pair = Pair::new(dialer, opening(Role::Listener, 2, 1, theirs));
    pair.listen_in(Input::Announced(announced(91, &[("b", 2), ("d", 1)])));
    pair.dial_in(Input::Announced(announced(4, &[("a", 1)])));
    pair.pass(DELTA_BATCH + ms(1));
    assert_eq!(*pair.dialer.library().unwrap(), remote(91, &[("b", 2), ("d", 1)]));
    assert_eq!(*pair.listener.library().unwrap(), remote(4, &[("a", 1)]));
    let told = |effect: &&Effect| matches!(effect, Effect::Library(_));
    assert_eq!(pair.dialer.effects.iter().filter(told).count(), 1);
    assert_eq!((pair.dialer.snapshots, pair.listener.snapshots), (1, 0));
}

/// Proves P8: a change of the library during the handshake is not lost.
#[test]
fn a_change_during_the_handshake_is_told() {
    let (mine, theirs) = (announced(3, &[]), announced(9, &[("b", 1)]));
    let known = Some(Arc::new(remote(9, &[("b", 1)])));
    let dialer = Opening { known, ..opening(Role::Dialer, 1, 2, mine) };
    let mut dialer = End::new(Session::new(Duration::ZERO, dialer));
    let mut listener = End::new(session(Role::Listener, 2, 1, theirs));
    let mut to_listener = Vec::new();
    let mut to_dialer = Vec::new();
    dialer.input(Duration::ZERO, Input::Opened, &mut to_listener);
    listener.input(Duration::ZERO, Input::Opened, &mut to_dialer);
    let changed = announced(10, &[("b", 2)]);
    listener.input(Duration::ZERO, Input::Announced(changed), &mut to_dialer);
    let mut pair = Pair { now: Duration::ZERO, dialer, listener };
    (pair.dialer.inbox, pair.listener.inbox) = (to_dialer, to_listener);
    pair.talk();
    pair.pass(s(1));
    assert_eq!(*pair.dialer.library().unwrap(), remote(10, &[("b", 2)]));
}

/// Proves P9: an idle pair keeps itself alive with pings.
#[test]
fn an_idle_session_stays() {
    let mut pair = Pair::of(announced(1, &[]), announced(1, &[]));
    pair.pass(s(3600));
    assert_eq!((pair.dialer.end(), pair.listener.end()), (None, None));
    assert_eq!(pair.now, s(3600));
}

/// A session that was greeted, and knows the peer's library (revision 5, one game) if `up`.
fn greeted(role: Role, up: bool) -> Session {
    let held = remote(5, &[("a", 1)]);
    let known = up.then(|| Arc::new(held.clone()));
    let opening = Opening { known, ..opening(role, 1, 2, announced(1, &[])) };
    let mut session = Session::new(Duration::ZERO, opening);
    session.step(Duration::ZERO, Input::Opened);
    let hello = hello(2, &held);
    let control = match role {
        Role::Dialer => Control::HelloAck(hello),
        Role::Listener => Control::Hello(hello),
    };
    let effects = hear(&mut session, Duration::ZERO, control);
    assert_eq!(effects.iter().any(|effect| matches!(effect, Effect::Up { .. })), up);
    session.step(Duration::ZERO, Input::Written);
    session
}

fn hear(session: &mut Session, now: Duration, control: Control) -> Vec<Effect> {
    session.step(now, Input::Received { control, bytes: 100 })
}

fn delta(from: u64, to: u64) -> Control {
    let after = remote(to, &[("a", 1), ("b", 1)]);
    Control::Delta(LibraryDelta {
        from,
        to,
        digest: after.state.digest,
        added: vec![summary("b", 1)],
        updated: Vec::new(),
        removed: Vec::new(),
    })
}

fn page(library: &RemoteLibrary) -> Control {
    let games: Vec<GameSummary> = library.games.values().cloned().collect();
    Control::Snapshot(snapshot_pages(library.state, &games).remove(0))
}

#[track_caller]
fn closed_with(effects: &[Effect]) -> (CloseCode, String) {
    match effects.last() {
        Some(Effect::Close(end)) => {
            assert_eq!(end.by, super::super::end::EndedBy::Us);
            (end.code, end.text.clone())
        }
        other => panic!("{other:?} instead of an end"),
    }
}

/// Proves T32: every message that does not belong to the phase ends the session.
#[test]
fn messages_in_the_wrong_state_end_the_session() {
    let held = remote(5, &[("a", 1)]);
    let greeting = || Control::Hello(hello(2, &held));
    let ack = || Control::HelloAck(hello(2, &held));
    let before: Vec<Control> = vec![
        page(&held),
        delta(5, 6),
        Control::SnapshotWanted { known_revision: 0 },
        Control::Ping { nonce: 1 },
        Control::Pong { nonce: 1 },
    ];
    for role in [Role::Dialer, Role::Listener] {
        let wrong_greeting = if role == Role::Dialer { greeting() } else { ack() };
        for control in before.iter().cloned().chain([wrong_greeting]) {
            let mut session = session(role, 1, 2, announced(1, &[]));
            session.step(Duration::ZERO, Input::Opened);
            let effects = hear(&mut session, s(1), control.clone());
            assert_eq!(closed_with(&effects).0, CloseCode::State, "{role:?} {control:?}");
            assert_eq!(hear(&mut session, s(1), control), [], "it is over");
        }
        for up in [false, true] {
            for control in [greeting(), ack()] {
                let effects = hear(&mut greeted(role, up), s(1), control.clone());
                assert_eq!(closed_with(&effects).0, CloseCode::State, "{role:?} {control:?}");
            }
        }
        let effects = hear(&mut greeted(role, false), s(1), delta(5, 6));
        assert_eq!(closed_with(&effects).0, CloseCode::State, "a change before the library");
    }
}

/// Proves T32: nothing comes between the pages of a library.
#[test]
fn a_change_between_pages_ends_the_session() {
    let mut session = greeted(Role::Dialer, true);
    let Control::Snapshot(mut first) = page(&remote(6, &[("a", 2)])) else { panic!("a page") };
    first.last = false;
    assert_eq!(hear(&mut session, s(1), Control::Snapshot(first)), []);
    let effects = hear(&mut session, s(1), delta(5, 6));
    assert_eq!(closed_with(&effects).0, CloseCode::State);
}

/// Proves T05, T06, P1.
#[test]
fn a_greeting_must_name_the_proved_peer() {
    for (claimed, code) in [(3, CloseCode::IdMismatch), (1, CloseCode::SelfConnect)] {
        let mut listener = session(Role::Listener, 1, 2, announced(1, &[]));
        listener.step(Duration::ZERO, Input::Opened);
        let control = Control::Hello(hello(claimed, &remote(5, &[])));
        let effects = hear(&mut listener, s(1), control);
        assert_eq!(closed_with(&effects).0, code);
        assert_eq!(effects.len(), 1, "nothing is answered");
    }
}

/// Proves P5, T08: the error names both versions, whichever side finds it.
#[test]
fn another_version_is_refused_with_both_versions() {
    for (role, dialer, listener) in [(Role::Dialer, 1, 7), (Role::Listener, 7, 1)] {
        let mut session = session(role, 1, 2, announced(1, &[]));
        session.step(Duration::ZERO, Input::Opened);
        let effects = session.step(s(1), Input::OtherVersion { theirs: 7 });
        let (code, text) = closed_with(&effects);
        assert_eq!(code, CloseCode::VersionMismatch);
        let expected =
            format!("the dialer speaks protocol version {dialer}, the listener {listener}");
        assert_eq!(text, expected);
    }
}

/// Proves T23, on both sides and with or without a control stream.
#[test]
fn a_peer_that_never_greets_is_let_go() {
    for role in [Role::Dialer, Role::Listener] {
        for opened in [false, true] {
            let mut session = session(role, 1, 2, announced(1, &[]));
            if opened {
                session.step(s(1), Input::Opened);
            }
            assert_eq!(session.wake(), Some(HELLO_DEADLINE));
            assert_eq!(session.step(HELLO_DEADLINE - ms(1), Input::Tick), []);
            let effects = session.step(HELLO_DEADLINE, Input::Tick);
            assert_eq!(closed_with(&effects).0, CloseCode::HelloTimeout);
            assert_eq!(session.wake(), None);
        }
    }
}

/// A peer that greets and keeps its library to itself, while it answers every ping.
#[test]
fn a_library_that_never_comes_ends_the_session() {
    let mut session = greeted(Role::Listener, false);
    loop {
        let now = session.wake().unwrap();
        let effects = session.step(now, Input::Tick);
        if let [Effect::Send(Control::Ping { nonce })] = effects[..] {
            assert_eq!(hear(&mut session, now, Control::Pong { nonce }), []);
            continue;
        }
        assert_eq!(closed_with(&effects).0, CloseCode::Stalled);
        assert_eq!(now, LIBRARY_DEADLINE);
        return;
    }
}

/// Proves P9: an idle peer is pinged, a silent one is let go, and any word of it counts.
#[test]
fn a_silent_peer_is_let_go() {
    let mut session = greeted(Role::Listener, true);
    let word = hear(&mut session, s(2), Control::Ping { nonce: 77 });
    assert_eq!(word, [Effect::Send(Control::Pong { nonce: 77 })]);
    assert_eq!(session.wake(), Some(s(2) + PING_INTERVAL));
    let mut pings = 0;
    loop {
        let now = session.wake().unwrap();
        let effects = session.step(now, Input::Tick);
        if let [Effect::Send(Control::Ping { .. })] = effects.as_slice() {
            pings += 1;
            continue;
        }
        assert_eq!(closed_with(&effects).0, CloseCode::Silent);
        assert_eq!((now, pings), (s(2) + SILENCE_MAX, 2));
        break;
    }
}

/// Proves T33: a few answers that nobody asked for are counted, many end the session.
#[test]
fn answers_that_nobody_asked_for_are_counted() {
    let mut session = greeted(Role::Listener, true);
    for number in 1..UNASKED_MAX {
        let effects = hear(&mut session, s(1), Control::Pong { nonce: u64::from(number) });
        assert_eq!(effects, [Effect::Count("answers-nobody-asked-for")]);
    }
    let effects = hear(&mut session, s(1), Control::Pong { nonce: 1 });
    assert_eq!(closed_with(&effects).0, CloseCode::Abuse);
}

/// An honest peer on a slow link answers pings late and in order; none of them is unasked for.
#[test]
fn late_answers_are_answers() {
    let mut session = greeted(Role::Listener, true);
    for round in 0..50 {
        let now = s(round);
        let probe = session.step(now, Input::Probe);
        let second = session.step(now, Input::Probe);
        let nonces: Vec<u64> = [probe, second]
            .iter()
            .map(|effects| match effects.as_slice() {
                [Effect::Send(Control::Ping { nonce })] => *nonce,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(hear(&mut session, now, Control::Pong { nonce: nonces[0] }), [Effect::Alive]);
        assert_eq!(hear(&mut session, now, Control::Pong { nonce: nonces[1] }), []);
    }
}

/// Proves T34: a gap asks for the whole library, at most once in a while, and the answer heals it.
#[test]
fn a_gap_asks_for_the_whole_library() {
    let mut session = greeted(Role::Listener, true);
    let asked = Effect::Send(Control::SnapshotWanted { known_revision: 5 });
    let effects = hear(&mut session, s(10), delta(8, 9));
    assert_eq!(effects, [Effect::Count("library-gap"), asked.clone()]);
    for _ in 0..20 {
        assert_eq!(hear(&mut session, s(11), delta(9, 10)), [Effect::Count("library-gap")]);
    }
    let whole = remote(10, &[("a", 1), ("z", 1)]);
    let effects = hear(&mut session, s(12), page(&whole));
    assert_eq!(effects, [Effect::Library(Arc::new(whole))]);

    // The next gap comes too soon to ask, but is not forgotten.
    assert_eq!(hear(&mut session, s(13), delta(20, 21)), [Effect::Count("library-gap")]);
    assert_eq!(session.wake(), Some(s(10) + SNAPSHOT_ASK_INTERVAL));
    let effects = session.step(s(10) + SNAPSHOT_ASK_INTERVAL, Input::Tick);
    assert_eq!(effects, [Effect::Send(Control::SnapshotWanted { known_revision: 10 })]);
}

/// Proves P4: an older or equal library never replaces a newer one.
#[test]
fn an_older_library_never_replaces_a_newer_one() {
    let mut session = greeted(Role::Listener, true);
    for older in [remote(4, &[]), remote(5, &[("x", 1)])] {
        let effects = hear(&mut session, s(1), page(&older));
        assert_eq!(effects, [Effect::Count("library-out-of-date")]);
    }
    let newer = remote(6, &[("x", 1)]);
    assert_eq!(hear(&mut session, s(1), page(&newer)), [Effect::Library(Arc::new(newer))]);

    // In the handshake the greeting says what must come at least.
    let effects = hear(&mut greeted(Role::Listener, false), s(1), page(&remote(4, &[])));
    assert_eq!(closed_with(&effects).0, CloseCode::State);
}

#[test]
fn a_repeated_change_is_counted_and_nothing_else() {
    let mut session = greeted(Role::Listener, true);
    let after = Arc::new(remote(6, &[("a", 1), ("b", 1)]));
    assert_eq!(hear(&mut session, s(1), delta(5, 6)), [Effect::Library(after)]);
    assert_eq!(hear(&mut session, s(1), delta(5, 6)), [Effect::Count("library-change-repeated")]);
}

/// Our own library was set back: the peer can only learn it from a new greeting.
#[test]
fn our_library_set_back_ends_the_session() {
    let mut session = greeted(Role::Dialer, true);
    session.step(s(1), Input::Announced(announced(9, &[("q", 1)])));
    let effects = session.step(s(2), Input::Announced(announced(8, &[])));
    assert_eq!(closed_with(&effects).0, CloseCode::Internal);
}
