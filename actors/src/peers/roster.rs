//! Who is there: the decisions of `Peers`. Pure: time, ids and seeds are arguments, and what is to
//! be done comes back as effects.
//!
//! A *link* is one connection, from the decision to dial (or its arrival) to its end:
//!
//! ```text
//! dialed    Dialing → Greeting → Up          accepted    Greeting → Up
//! ↘ Held (the link that is up must first prove that it lives) ↗
//! ```
//! Two nodes keep one link: the one that the lower id dialed, and among links dialed by the same
//! side the newest. Both sides reach the same verdict, because both know who dialed. A link that
//! would lose against an older one only does so once the older one has shown a sign of life: it may
//! be the left-over of a crash that only one side knows of.

mod address_book;
mod candidates;
mod dialing;
mod links;
mod rejections;
mod types;
mod verdicts;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use lanspread_wire::{CloseCode, PeerId};

use self::{
    candidates::{Candidates, Departure, Failure},
    links::{Link, Links, Phase, Precedence},
    rejections::Rejections,
    verdicts::{bars, is_dialable, refusal_of},
};
pub(crate) use self::{
    links::LinkId,
    types::{Effect, Input, News, Ticket},
};
use crate::{
    api::{ErrorCode, Refused},
    net::limits::CONNECTIONS_MAX,
    peer_connection::{
        Role, SessionEnd,
        limits::{DIAL_RATE, GREETINGS_PER_PEER_MAX, PROBE_DEADLINE, SUCCESSOR_DEADLINE},
        rate::TokenBucket,
    },
};

/// Everything that `Peers` knows of links and of who might be there.
#[derive(Debug)]
pub(crate) struct Roster {
    me: PeerId,
    candidates: Candidates,
    links: Links,
    present: BTreeMap<PeerId, Presence>,
    by_hand: VecDeque<(Ticket, SocketAddr)>,
    bucket: TokenBucket,
    bucket_full_at: Duration,
    rejections: Rejections,
    stopping: bool,
}

#[derive(Clone, Debug)]
enum Presence {
    Here(LinkId),
    /// The peer closed the link for a better one that is not up yet.
    Between {
        until: Duration,
        end: SessionEnd,
    },
}

impl Roster {
    /// Nobody is known. `seed` throws the dice of the pauses.
    pub(crate) fn new(me: PeerId, seed: u64) -> Self {
        Self {
            me,
            candidates: Candidates::new(me, seed),
            links: Links::default(),
            present: BTreeMap::new(),
            by_hand: VecDeque::new(),
            bucket: TokenBucket::new(DIAL_RATE, DIAL_RATE),
            bucket_full_at: Duration::ZERO,
            rejections: Rejections::default(),
            stopping: false,
        }
    }

    /// The id of a link that is about to come in.
    pub(crate) fn next_link(&mut self) -> LinkId {
        self.links.next_id()
    }

    /// A peer of an earlier run or incarnation, to be looked for where it was.
    pub(crate) fn remember(&mut self, now: Duration, peer: PeerId, addresses: &[SocketAddr]) {
        if peer != self.me {
            self.candidates.remember(now, peer, addresses);
        }
    }

    /// Takes one input and says what is to be done.
    pub(crate) fn step(&mut self, now: Duration, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        let out = &mut effects;
        match input {
            Input::Seen { peer, protocol, addresses } => {
                self.on_seen(now, peer, protocol, addresses, out);
            }
            Input::Connect { ticket, address } => self.on_connect(ticket, address, out),
            Input::Dialed { link, result: Ok(peer) } => self.on_dialed(link, peer, out),
            Input::Dialed { link, result: Err(fault) } => {
                self.on_dial_failed(now, link, fault, out);
            }
            Input::Incoming { link, peer, address } => self.on_incoming(link, peer, address, out),
            Input::Up { link, addresses } => self.on_up(now, link, addresses, out),
            Input::Alive { link } => self.on_alive(link, out),
            Input::Ended { link, end } => self.on_ended(now, link, end, out),
            Input::Goodbye => self.on_goodbye(out),
            Input::Tick => self.on_tick(now, out),
        }
        self.dial(now, out);
        effects
    }

    /// When the roster wants a [`Input::Tick`], at the latest.
    pub(crate) fn wake(&self) -> Option<Duration> {
        if self.stopping {
            return None;
        }
        let dial = self.next_dial().map(|at| at.max(self.bucket_full_at));
        let between = self.present.values().filter_map(|presence| match presence {
            Presence::Between { until, .. } => Some(*until),
            Presence::Here(_) => None,
        });
        between.chain(self.links.next_held()).chain(dial).min()
    }

    fn on_incoming(
        &mut self,
        id: LinkId,
        peer: PeerId,
        address: SocketAddr,
        out: &mut Vec<Effect>,
    ) {
        let refused = if self.stopping {
            Some((CloseCode::Shutdown, "the node is shutting down"))
        } else if peer == self.me {
            Some((CloseCode::SelfConnect, "this is your own id"))
        } else if self.links.len() >= CONNECTIONS_MAX {
            Some((CloseCode::Limit, "too many connections"))
        } else if self.links.greetings(peer) >= GREETINGS_PER_PEER_MAX {
            Some((CloseCode::Limit, "too many handshakes with one peer"))
        } else {
            None
        };
        if let Some((code, text)) = refused {
            out.push(Effect::Refuse { link: id, code, text });
            out.push(Effect::Count("connections-refused"));
            return;
        }
        self.links.insert(id, Link::accepted(peer, address));
        self.open(id, peer, Role::Listener, out);
    }

    fn open(&mut self, id: LinkId, peer: PeerId, role: Role, out: &mut Vec<Effect>) {
        if let Some(link) = self.links.get_mut(id) {
            link.peer = Some(peer);
            link.phase = Phase::Greeting;
            self.candidates.dial_over(peer, link.origin.address());
            out.push(Effect::Open { link: id, peer, role });
        }
        self.mark_busy(peer);
    }

    fn on_up(
        &mut self,
        now: Duration,
        id: LinkId,
        addresses: Vec<SocketAddr>,
        out: &mut Vec<Effect>,
    ) {
        let Some(link) = self.links.get_mut(id).filter(|link| link.phase == Phase::Greeting) else {
            return;
        };
        let Some(peer) = link.peer else {
            return;
        };
        link.addresses = addresses;
        let Some(Presence::Here(old)) = self.present.get(&peer).cloned() else {
            self.settle_on(now, id, peer, out);
            return;
        };
        match self.links.precedence(self.me, peer, old, id) {
            Precedence::New => {
                self.settle_on(now, id, peer, out);
                self.close(old, CloseCode::Duplicate, REDUNDANT, out);
            }
            Precedence::OldIfAlive if self.links.held(peer).is_some() => {
                self.close(id, CloseCode::Duplicate, REDUNDANT, out);
            }
            Precedence::OldIfAlive => {
                let until = now + PROBE_DEADLINE;
                if let Some(link) = self.links.get_mut(id) {
                    link.phase = Phase::Held { until };
                }
                out.push(Effect::Probe { link: old });
            }
        }
    }

    /// `id` is the link to `peer` from now on.
    fn settle_on(&mut self, now: Duration, id: LinkId, peer: PeerId, out: &mut Vec<Effect>) {
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        link.phase = Phase::Up;
        let (origin, addresses) = (link.origin, link.addresses.clone());
        let tickets = std::mem::take(&mut link.tickets);
        let host = origin.address().ip();
        let dialed = origin.dialed_address();
        // Stated addresses are claims: of this machine only if it is the peer's as well.
        let usable = |address: &SocketAddr| {
            is_dialable(address) && (host.is_loopback() || !address.ip().is_loopback())
        };
        let stated = addresses.into_iter().filter(usable);
        let all: Vec<SocketAddr> = stated.chain(dialed).collect();
        let is_new = self.candidates.connected(now, peer, &all, |address| address.ip() == host);
        let before = self.present.insert(peer, Presence::Here(id));
        let news = match (before, is_new) {
            (Some(_), _) => News::Relinked,
            (None, true) => News::Discovered,
            (None, false) => News::Returned,
        };
        out.push(Effect::Connected { peer, link: id, news });
        answer(&tickets, &Ok(peer), out);
        for dial in self.links.dials_to(peer) {
            out.push(Effect::Abort { link: dial });
            self.drop_link(dial, &Ok(peer), out);
        }
    }

    fn on_alive(&mut self, id: LinkId, out: &mut Vec<Effect>) {
        let Some(peer) = self.links.get(id).and_then(|link| link.peer) else {
            return;
        };
        let Some(held) = self.links.held(peer).filter(|_| self.is_here(peer, id)) else {
            return;
        };
        if self.links.dialed_by_same_side(id, held) {
            // An honest peer never dials while its own connection stands.
            out.push(Effect::Cloned { peer });
            let text = "another machine with this id is connected: reset the id of one of them";
            self.close(held, CloseCode::Duplicate, text, out);
        } else {
            self.close(held, CloseCode::Duplicate, REDUNDANT, out);
        }
    }

    fn on_ended(&mut self, now: Duration, id: LinkId, end: SessionEnd, out: &mut Vec<Effect>) {
        let Some(link) = self.links.remove(id) else {
            return;
        };
        let Some(peer) = link.peer else {
            return;
        };
        match link.phase {
            Phase::Greeting => self.on_handshake_failed(now, &link, peer, &end, out),
            Phase::Up if self.is_here(peer, id) => self.on_departed(now, peer, end.clone(), out),
            Phase::Dialing | Phase::Held { .. } | Phase::Up | Phase::Closing => {}
        }
        self.mark_busy(peer);
        // Whoever waited for this link wanted the peer: another link to it will do.
        let is_here = matches!(self.present.get(&peer), Some(Presence::Here(_)));
        let result = if is_here { Ok(peer) } else { Err(refusal_of(&end)) };
        answer(&link.tickets, &result, out);
    }

    fn on_handshake_failed(
        &mut self,
        now: Duration,
        link: &Link,
        peer: PeerId,
        end: &SessionEnd,
        out: &mut Vec<Effect>,
    ) {
        let address = link.origin.address();
        let failure = if bars(end) { Failure::Refused } else { Failure::Unreachable };
        if end.code != CloseCode::Duplicate {
            self.candidates.failed(now, peer, address, failure);
        }
        if end.is_fault_of_peer() || bars(end) {
            let told = self.rejections.tell(now, address, Some(peer), end.code.code(), &end.text);
            out.extend(told);
        }
    }

    fn on_departed(&mut self, now: Duration, peer: PeerId, end: SessionEnd, out: &mut Vec<Effect>) {
        if let Some(held) = self.links.held(peer) {
            self.settle_on(now, held, peer, out);
        } else if end.code == CloseCode::Duplicate {
            let until = now + SUCCESSOR_DEADLINE;
            self.present.insert(peer, Presence::Between { until, end });
        } else {
            self.lose(now, peer, end, out);
        }
    }

    fn lose(&mut self, now: Duration, peer: PeerId, end: SessionEnd, out: &mut Vec<Effect>) {
        self.present.remove(&peer);
        let how = if end.is_goodbye() {
            Departure::Goodbye
        } else if end.code == CloseCode::Duplicate || bars(&end) {
            Departure::Refused
        } else {
            Departure::Vanished
        };
        self.candidates.departed(now, peer, how);
        self.mark_busy(peer);
        out.push(Effect::Lost { peer, end });
        out.push(Effect::Refresh);
    }

    fn on_goodbye(&mut self, out: &mut Vec<Effect>) {
        self.stopping = true;
        let bye = || Refused::new(ErrorCode::ShuttingDown, "the node is shutting down");
        for (ticket, _) in std::mem::take(&mut self.by_hand) {
            out.push(Effect::Answer { ticket, result: Err(bye()) });
        }
        for id in self.links.ids() {
            let phase = self.links.get(id).map(|link| link.phase.clone());
            if let Some(link) = self.links.get_mut(id) {
                answer(&std::mem::take(&mut link.tickets), &Err(bye()), out);
            }
            match phase {
                Some(Phase::Dialing) => {
                    out.push(Effect::Abort { link: id });
                    self.links.remove(id);
                }
                _ => self.close(id, CloseCode::Goodbye, "the node shuts down", out),
            }
        }
    }

    fn on_tick(&mut self, now: Duration, out: &mut Vec<Effect>) {
        for (held, peer) in self.links.held_until(now) {
            if let Some(Presence::Here(old)) = self.present.get(&peer).cloned() {
                self.settle_on(now, held, peer, out);
                self.close(old, CloseCode::Silent, "a newer connection replaced it", out);
            }
        }
        let overdue = |presence: &Presence| match presence {
            Presence::Between { until, end } if *until <= now => Some(end.clone()),
            _ => None,
        };
        let lost: Vec<(PeerId, SessionEnd)> = self
            .present
            .iter()
            .filter_map(|(peer, presence)| Some((*peer, overdue(presence)?)))
            .collect();
        for (peer, end) in lost {
            self.lose(now, peer, end, out);
        }
    }

    /// Whether `id` is the link to `peer`.
    pub(crate) fn is_here(&self, peer: PeerId, id: LinkId) -> bool {
        matches!(self.present.get(&peer), Some(Presence::Here(here)) if *here == id)
    }

    /// Nobody looks for a peer that is there or about to be.
    fn mark_busy(&mut self, peer: PeerId) {
        let busy = self.present.contains_key(&peer) || self.links.greetings(peer) > 0;
        self.candidates.set_busy(peer, busy);
    }

    fn close(&mut self, id: LinkId, code: CloseCode, text: &'static str, out: &mut Vec<Effect>) {
        if let Some(link) = self.links.get_mut(id)
            && link.phase != Phase::Closing
        {
            link.phase = Phase::Closing;
            out.push(Effect::Close { link: id, code, text });
        }
    }

    /// Forgets a link that has no session (any more), and answers whoever waits for it.
    fn drop_link(&mut self, id: LinkId, result: &Result<PeerId, Refused>, out: &mut Vec<Effect>) {
        if let Some(link) = self.forget(id) {
            answer(&link.tickets, result, out);
        }
    }

    fn forget(&mut self, id: LinkId) -> Option<Link> {
        let link = self.links.remove(id)?;
        if let Some(peer) = link.peer {
            self.candidates.dial_over(peer, link.origin.address());
        }
        Some(link)
    }
}

fn answer(tickets: &[Ticket], result: &Result<PeerId, Refused>, out: &mut Vec<Effect>) {
    let answers =
        tickets.iter().map(|ticket| Effect::Answer { ticket: *ticket, result: result.clone() });
    out.extend(answers);
}

/// What the loser of two connections is closed with.
const REDUNDANT: &str = "another connection survives";

#[cfg(test)]
mod tests;
