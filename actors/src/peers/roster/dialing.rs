//! Whom to dial, and what became of it: the half of the roster that looks for peers.

use std::{net::SocketAddr, time::Duration};

use lanspread_wire::{CloseCode, PROTOCOL_VERSION, PeerId};

use super::{
    Presence, REDUNDANT, Roster,
    candidates::Failure,
    links::{Link, LinkId},
    types::{Effect, Ticket},
    verdicts::{Explanation, explain, is_dialable, refusal_of},
};
use crate::{
    api::{ErrorCode, Refused},
    net::{
        endpoint::DialError,
        limits::{CONNECTIONS_MAX, DIALS_IN_FLIGHT_MAX},
    },
    peer_connection::{Role, SessionEnd, limits::DIALS_BY_HAND_MAX},
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

    /// Begins the dials that are due and allowed.
    pub(super) fn dial(&mut self, now: Duration, out: &mut Vec<Effect>) {
        while !self.stopping && self.has_room_to_dial() {
            let by_hand = !self.by_hand.is_empty();
            if !by_hand && self.candidates.wake().is_none_or(|at| at > now) {
                return;
            }
            if let Err(wait) = self.bucket.take(now, 1) {
                self.bucket_full_at = now + wait;
                return;
            }
            if let Some((ticket, address)) = self.by_hand.pop_front() {
                let link = self.links.add(Link::dialed(address, None, vec![ticket]));
                out.push(Effect::Dial { link, address, expected: None });
            } else if let Some((peer, address)) = self.candidates.next(now) {
                let link = self.links.add(Link::dialed(address, Some(peer), Vec::new()));
                out.push(Effect::Dial { link, address, expected: Some(peer) });
            }
        }
    }

    pub(super) fn has_room_to_dial(&self) -> bool {
        self.links.dialing() < DIALS_IN_FLIGHT_MAX && self.links.len() < CONNECTIONS_MAX
    }
}
