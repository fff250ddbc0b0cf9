//! Whom to dial, and what became of it: the half of the roster that looks for peers.

use std::{net::SocketAddr, time::Duration};

use lanspread_wire::{CloseCode, PROTOCOL_VERSION, PeerId};

use super::{
    Presence, REDUNDANT, Roster,
    candidates::{Due, Failure, Haste},
    links::{Link, LinkId},
    types::{Effect, Ticket},
    verdicts::{Explanation, explain, is_dialable, refusal_of},
};
use crate::{
    api::{ErrorCode, Refused},
    net::{
        endpoint::DialError,
        limits::{CONNECTIONS_MAX, DIALS_IN_FLIGHT_MAX, HANDSHAKE_DEADLINE},
    },
    peer_connection::{
        Role, SessionEnd,
        limits::{DIALS_BY_HAND_MAX, PATIENT_DIALS_MAX},
    },
};

impl Roster {
    pub(super) fn on_seen(
        &mut self,
        now: Duration,
        peer: PeerId,
        protocol: u16,
        addresses: Vec<SocketAddr>,
        out: &mut Vec<Effect>,
    ) {
        if peer == self.me || self.stopping {
            return;
        }
        if protocol != PROTOCOL_VERSION {
            self.candidates.seen_other_version(now, peer);
            out.push(Effect::Count("peers-of-another-version-seen"));
            return;
        }
        let usable = addresses.into_iter().filter(is_dialable);
        if !self.candidates.seen(now, peer, usable) {
            out.push(Effect::Count("candidates-dropped"));
        }
        self.mark_busy(peer);
    }

    pub(super) fn on_connect(
        &mut self,
        ticket: Ticket,
        address: SocketAddr,
        out: &mut Vec<Effect>,
    ) {
        let waiting = self.by_hand.len() + self.links.tickets();
        let refused = if self.stopping {
            Some(Refused::new(ErrorCode::ShuttingDown, "the node is shutting down"))
        } else if waiting >= DIALS_BY_HAND_MAX {
            Some(Refused::new(ErrorCode::Limit, "too many addresses are being dialed already"))
        } else {
            None
        };
        match refused {
            Some(refused) => out.push(Effect::Answer { ticket, result: Err(refused) }),
            None => self.by_hand.push_back((ticket, address)),
        }
    }

    pub(super) fn on_dialed(&mut self, id: LinkId, peer: PeerId, out: &mut Vec<Effect>) {
        const SELF_TEXT: &str = "we dialed ourselves";
        let refuse = |code, text| Effect::Refuse { link: id, code, text };
        if self.links.get(id).is_none() {
            out.push(refuse(CloseCode::Duplicate, REDUNDANT));
        } else if peer == self.me {
            out.push(refuse(CloseCode::SelfConnect, SELF_TEXT));
            let end = SessionEnd::ours(CloseCode::SelfConnect, SELF_TEXT);
            self.drop_link(id, &Err(refusal_of(&end)), out);
        } else if let Some(Presence::Here(_)) = self.present.get(&peer) {
            out.push(refuse(CloseCode::Duplicate, REDUNDANT));
            self.drop_link(id, &Ok(peer), out);
        } else if let Some(other) = self.links.greeting_by_us(peer) {
            // An earlier dial of ours is about to come up: whoever waits for this one waits for it.
            out.push(refuse(CloseCode::Duplicate, REDUNDANT));
            let tickets = self.forget(id).map(|link| link.tickets).unwrap_or_default();
            self.links.add_tickets(other, tickets);
        } else {
            self.open(id, peer, Role::Dialer, out);
        }
    }

    pub(super) fn on_dial_failed(
        &mut self,
        now: Duration,
        id: LinkId,
        error: DialError,
        out: &mut Vec<Effect>,
    ) {
        let Some(link) = self.links.get(id) else {
            return;
        };
        let (address, expected) = (link.origin.address(), link.peer);
        let Explanation { failure, code } = explain(&error);
        if let Some(peer) = expected {
            self.candidates.failed(now, peer, address, failure);
        }
        if failure != Failure::Unreachable {
            let text = error.to_string();
            out.extend(self.rejections.tell(now, address, expected, code, &text));
        }
        self.drop_link(id, &Err(error.to_refused()), out);
    }

    /// Begins the dials that are due and allowed: first those by hand, last those with little hope.
    pub(super) fn dial(&mut self, now: Duration, out: &mut Vec<Effect>) {
        while self.next_dial().is_some_and(|at| at <= now) {
            if let Err(wait) = self.bucket.take(now, 1) {
                self.bucket_full_at = now + wait;
                return;
            }
            let dial = match self.by_hand.pop_front() {
                Some((ticket, address)) => {
                    Some((Link::dialed(address, None, vec![ticket]), HANDSHAKE_DEADLINE))
                }
                None => self.next_due(now).map(|due| {
                    let Due { peer, address, haste, patience } = due;
                    let link = Link::dialed(address, Some(peer), Vec::new());
                    (Link { is_patient: haste == Haste::Patient, ..link }, patience)
                }),
            };
            if let Some((link, patience)) = dial {
                let (address, expected) = (link.origin.address(), link.peer);
                let link = self.links.add(link);
                out.push(Effect::Dial { link, address, expected, patience });
            }
        }
    }

    /// When the next dial is due, as far as there is room for it.
    pub(super) fn next_dial(&self) -> Option<Duration> {
        let has_room =
            self.links.dialing() < DIALS_IN_FLIGHT_MAX && self.links.len() < CONNECTIONS_MAX;
        if self.stopping || !has_room {
            return None;
        }
        if !self.by_hand.is_empty() {
            return Some(Duration::ZERO);
        }
        let patient = self.candidates.wake(Haste::Patient).filter(|_| self.has_room_for_patient());
        self.candidates.wake(Haste::Eager).into_iter().chain(patient).min()
    }

    fn next_due(&mut self, now: Duration) -> Option<Due> {
        let eager = self.candidates.next(now, Haste::Eager);
        if eager.is_some() || !self.has_room_for_patient() {
            return eager;
        }
        self.candidates.next(now, Haste::Patient)
    }

    fn has_room_for_patient(&self) -> bool {
        self.links.dialing_patiently() < PATIENT_DIALS_MAX
    }
}
