//! Two rosters over a network of which only the order of events is random: whatever happens, one
//! connection survives, the same on both sides, and users are told a story that makes sense.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// One end of a connection.
#[derive(Clone, Debug, Default)]
struct End {
    link: Option<LinkId>,
    session: bool,
    closed: bool,
    /// The roster was told of the end.
    told: bool,
}

#[derive(Clone, Debug)]
struct Connection {
    dialer: usize,
    ends: [End; 2],
    /// Nobody at the other end, and no packet says so.
    dead: bool,
}

/// Something under way, which may be overtaken by anything else.
#[derive(Clone, Debug)]
enum Event {
    Arrives(usize),
    Dialed(usize),
    Up(usize, usize),
    Alive(usize, usize),
    Ended(usize, usize, SessionEnd),
}

struct World {
    now: Duration,
    rosters: [Roster; 2],
    connections: Vec<Connection>,
    events: Vec<Event>,
    present: [bool; 2],
    asked: [BTreeSet<Ticket>; 2],
    last_ticket: u64,
    reachable: bool,
}

const IDS: [u8; 2] = [1, 2];

impl World {
    fn new() -> Self {
        Self {
            now: s(1),
            rosters: IDS.map(|id| Roster::new(peer(id), u64::from(id))),
            connections: Vec::new(),
            events: Vec::new(),
            present: [false; 2],
            asked: Default::default(),
            last_ticket: 0,
            reachable: true,
        }
    }

    fn input(&mut self, side: usize, input: Input) {
        for effect in self.rosters[side].step(self.now, input) {
            self.perform(side, effect);
        }
    }

    fn perform(&mut self, side: usize, effect: Effect) {
        match effect {
            Effect::Dial { link, .. } => self.dial(side, link),
            Effect::Abort { link } => self.close(side, link, CloseCode::Internal),
            Effect::Open { link, .. } => self.open(side, link),
            Effect::Refuse { link, code, .. } | Effect::Close { link, code, .. } => {
                self.close(side, link, code);
            }
            Effect::Probe { link } => {
                if let Some(number) = self.find(side, link) {
                    self.events.push(Event::Alive(number, side));
                }
            }
            Effect::Connected { news, .. } => {
                assert_eq!(self.present[side], news == News::Relinked, "side {side}");
                self.present[side] = true;
            }
            Effect::Lost { .. } => {
                assert!(self.present[side], "side {side}: lost what was not there");
                self.present[side] = false;
            }
            Effect::Answer { ticket, .. } => {
                assert!(self.asked[side].remove(&ticket), "answered twice");
            }
            Effect::Cloned { .. } => panic!("nobody is cloned here"),
            Effect::Rejected { .. } | Effect::Refresh | Effect::Count(_) => {}
        }
    }

    fn find(&self, side: usize, link: LinkId) -> Option<usize> {
        self.connections.iter().position(|connection| connection.ends[side].link == Some(link))
    }

    fn dial(&mut self, side: usize, link: LinkId) {
        let number = self.connections.len();
        let mut ends = [End::default(), End::default()];
        ends[side].link = Some(link);
        self.connections.push(Connection { dialer: side, ends, dead: !self.reachable });
        self.events.push(Event::Dialed(number));
        if self.reachable {
            self.events.push(Event::Arrives(number));
        }
    }

    fn open(&mut self, side: usize, link: LinkId) {
        let number = self.find(side, link).expect("a link");
        let connection = &mut self.connections[number];
        connection.ends[side].session = true;
        if connection.ends[1 - side].closed {
            let end = end(EndedBy::Peer, CloseCode::Duplicate);
            self.events.push(Event::Ended(number, side, end));
        } else if connection.ends[1 - side].session && !connection.dead {
            self.events.push(Event::Up(number, 0));
            self.events.push(Event::Up(number, 1));
        }
    }

    fn close(&mut self, side: usize, link: LinkId, code: CloseCode) {
        let Some(number) = self.find(side, link) else { return };
        let connection = &mut self.connections[number];
        connection.ends[side].closed = true;
        let (ours, theirs) = (&connection.ends[side], &connection.ends[1 - side]);
        if ours.session {
            self.events.push(Event::Ended(number, side, end(EndedBy::Us, code)));
        }
        if theirs.session && !connection.dead {
            self.events.push(Event::Ended(number, 1 - side, end(EndedBy::Peer, code)));
        }
    }

    /// The connection breaks without a word; each side notices some time.
    fn cut(&mut self, number: usize) {
        self.connections[number].dead = true;
        for side in [0, 1] {
            if self.connections[number].ends[side].session {
                self.events.push(Event::Ended(number, side, vanished()));
            }
        }
    }

    /// The program of one side dies and starts again; the other side notices later or never.
    fn crash(&mut self, side: usize) {
        self.rosters[side] = Roster::new(peer(IDS[side]), u64::from(IDS[side]) + 10);
        self.present[side] = false;
        self.asked[side].clear();
        for number in 0..self.connections.len() {
            let connection = &mut self.connections[number];
            connection.ends[side] = End { closed: true, told: true, ..End::default() };
            connection.dead = true;
            if connection.ends[1 - side].session {
                self.events.push(Event::Ended(number, 1 - side, vanished()));
            }
        }
    }

    fn happen(&mut self, index: usize) {
        match self.events.swap_remove(index) {
            Event::Arrives(number) => {
                let dialer = self.connections[number].dialer;
                if self.connections[number].dead || self.connections[number].ends[dialer].closed {
                    return;
                }
                let side = 1 - dialer;
                let link = self.rosters[side].next_link();
                self.connections[number].ends[side].link = Some(link);
                let (id, address) = (peer(IDS[dialer]), at(IDS[dialer]));
                self.input(side, Input::Incoming { link, peer: id, address });
            }
            Event::Dialed(number) => {
                let side = self.connections[number].dialer;
                let Some(link) = self.connections[number].ends[side].link else { return };
                let other = at(IDS[1 - side]);
                let result = if self.connections[number].dead {
                    Err(unreachable(other))
                } else {
                    Ok(peer(IDS[1 - side]))
                };
                self.input(side, Input::Dialed { link, result });
            }
            Event::Up(number, side) => {
                let connection = &self.connections[number];
                let Some(link) = connection.ends[side].link.filter(|_| !connection.dead) else {
                    return;
                };
                // A close by the other side overtakes the handshake.
                if connection.ends.iter().all(|end| !end.closed) {
                    let addresses = vec![at(IDS[1 - side])];
                    self.input(side, Input::Up { link, addresses });
                }
            }
            Event::Alive(number, side) => {
                let connection = &self.connections[number];
                let alive = !connection.dead && connection.ends.iter().all(|end| !end.closed);
                if let Some(link) = connection.ends[side].link.filter(|_| alive) {
                    self.input(side, Input::Alive { link });
                }
            }
            Event::Ended(number, side, end) => {
                let over = &mut self.connections[number].ends[side];
                over.closed = true;
                if let Some(link) = over.link.filter(|_| !over.told) {
                    over.told = true;
                    self.input(side, Input::Ended { link, end });
                }
            }
        }
    }

    fn tick(&mut self, time: Duration) {
        self.now += time;
        for side in [0, 1] {
            if self.rosters[side].wake().is_some_and(|at| at <= self.now) {
                self.input(side, Input::Tick);
            }
        }
    }

    fn see(&mut self, side: usize) {
        let (id, addresses) = (peer(IDS[1 - side]), vec![at(IDS[1 - side])]);
        self.input(side, Input::Seen { peer: id, protocol: PROTOCOL_VERSION, addresses });
    }

    fn connect(&mut self, side: usize) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.asked[side].insert(ticket);
        self.input(side, Input::Connect { ticket, address: at(IDS[1 - side]) });
    }

    /// Nothing goes wrong any more.
    fn heal(&mut self) {
        self.reachable = true;
        for round in 0..400 {
            if round % 60 == 0 {
                self.see(0);
                self.see(1);
            }
            while !self.events.is_empty() {
                self.happen(0);
            }
            self.tick(ms(500));
        }
    }

    fn standing(&self) -> Vec<usize> {
        let stands =
            |connection: &Connection| connection.ends.iter().any(|end| end.session && !end.closed);
        (0..self.connections.len()).filter(|number| stands(&self.connections[*number])).collect()
    }
}

#[derive(Clone, Debug)]
enum Action {
    Happen(prop::sample::Index),
    Tick(u64),
    See(usize),
    Connect(usize),
    Cut(prop::sample::Index),
    Crash(usize),
    Reachable(bool),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => any::<prop::sample::Index>().prop_map(Action::Happen),
        4 => (0_u64..3000).prop_map(Action::Tick),
        3 => (0_usize..2).prop_map(Action::See),
        2 => (0_usize..2).prop_map(Action::Connect),
        1 => any::<prop::sample::Index>().prop_map(Action::Cut),
        1 => (0_usize..2).prop_map(Action::Crash),
        1 => any::<bool>().prop_map(Action::Reachable),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Proves P7, P9: after any history, one connection stands, the same on both sides, everybody
    /// is told of it, and every dial by hand has its answer.
    #[test]
    fn one_connection_survives_whatever_happened(
        actions in prop::collection::vec(action(), 1..120),
    ) {
        let mut world = World::new();
        for action in actions {
            match action {
                Action::Happen(index) if !world.events.is_empty() => {
                    world.happen(index.index(world.events.len()));
                }
                Action::Tick(millis) => world.tick(ms(millis)),
                Action::See(side) => world.see(side),
                Action::Connect(side) => world.connect(side),
                Action::Cut(index) if !world.connections.is_empty() => {
                    world.cut(index.index(world.connections.len()));
                }
                Action::Crash(side) => world.crash(side),
                Action::Reachable(reachable) => world.reachable = reachable,
                Action::Happen(_) | Action::Cut(_) => {}
            }
        }
        world.heal();
        let standing = world.standing();
        prop_assert_eq!(standing.len(), 1, "connections {:?}", standing);
        prop_assert_eq!(world.present, [true, true]);
        for side in [0, 1] {
            let link = world.connections[standing[0]].ends[side].link.unwrap();
            prop_assert!(world.rosters[side].is_here(peer(IDS[1 - side]), link), "side {}", side);
            prop_assert!(world.asked[side].is_empty(), "unanswered on side {}", side);
        }
    }
}
