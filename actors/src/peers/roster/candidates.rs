//! Who might be where, and when to look: the peers that were heard of, their addresses, and the
//! pauses between attempts. Must never let a mere announcement push out a peer that proved its key,
//! nor make this node knock at a stranger's address more than rarely.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use lanspread_wire::{PeerId, limits::ADDRESSES_MAX};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::address_book::AddressBook;
use crate::peer_connection::limits::{
    CANDIDATES_MAX, DIAL_GRACE, DIAL_STAGGER, GOODBYE_QUIET, KNOWN_PATIENCE, KNOWN_PEERS_MAX,
    REDIAL_FIRST, REDIAL_LATER, REDIAL_LATER_MAX, REDIAL_RARELY, REDIAL_SOON, REDIAL_SOON_MAX,
    REFUSED_PAUSE, STRANGER_PATIENCE, WRONG_ID_PAUSE,
};

/// Everybody who might be there.
#[derive(Debug)]
pub(crate) struct Candidates {
    me: PeerId,
    dice: Xoshiro256PlusPlus,
    peers: BTreeMap<PeerId, Candidate>,
    /// When to look at whom next; an entry may be early, never late. First those with hope.
    schedules: [BTreeSet<(Duration, PeerId)>; 2],
    /// Peers that were only heard of, and when last: the first one makes room.
    strangers: BTreeSet<(Duration, PeerId)>,
    book: AddressBook,
}

/// One peer that might be there.
#[derive(Debug, Default)]
struct Candidate {
    /// It proved its key in this run, or in an earlier one.
    known: bool,
    /// It was there in this run.
    met: bool,
    /// There is a session with it, or one is being made: nobody needs to look for it.
    busy: bool,
    /// It announced another version of the protocol.
    other_version: bool,
    /// Something new speaks for it being there, and no attempt has spoken against it since.
    hope: bool,
    seen_at: Duration,
    lost_at: Option<Duration>,
    /// It said goodbye or refused us: not even an announcement makes us dial before this.
    quiet_until: Duration,
    /// Its next dial; an announcement of a known peer brings it forward.
    not_before: Duration,
    addresses: BTreeMap<SocketAddr, Address>,
    scheduled: Option<(Haste, Duration)>,
}

/// How much speaks for a dial. Dials into the void take long: the patient ones must leave room for
/// the eager ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// The peer was heard of, or lost, a moment ago.
    Eager,
    /// It has been tried in vain since it was last heard of.
    Patient,
}

/// A dial that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) peer: PeerId,
    pub(crate) address: SocketAddr,
    pub(crate) haste: Haste,
    /// How long it may take.
    pub(crate) patience: Duration,
}

/// One address at which a peer might be.
#[derive(Debug, Default)]
struct Address {
    /// This very peer was reached here, or came from this host.
    proved: bool,
    dialing: bool,
    dialed_at: Option<Duration>,
    seen_at: Duration,
    not_before: Duration,
    /// Somebody else was here.
    wrong_until: Duration,
    failures: u32,
}

/// Why a dial or a handshake led to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody answered, or the connection broke.
    Unreachable,
    /// Somebody else is at this address.
    WrongPeer,
    /// It is there and does not want us, or we do not want it.
    Refused,
}

/// How a peer that was there has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// It said goodbye.
    Goodbye,
    /// It vanished, or its connection broke.
    Vanished,
    /// One of us wants nothing of the other for now.
    Refused,
}

impl Candidates {
    pub(crate) fn new(me: PeerId, seed: u64) -> Self {
        Self {
            me,
            dice: Xoshiro256PlusPlus::seed_from_u64(seed),
            peers: BTreeMap::new(),
            schedules: [BTreeSet::new(), BTreeSet::new()],
            strangers: BTreeSet::new(),
            book: AddressBook::default(),
        }
    }

    /// Somebody says that `peer` is at these addresses. `false` if there is no room for it.
    pub(crate) fn seen(
        &mut self,
        now: Duration,
        peer: PeerId,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> bool {
        if !self.make_room(peer) {
            return false;
        }
        let grace = self.grace(peer);
        let not_before = now + grace;
        let candidate = self.entry(now, peer, not_before);
        candidate.other_version = false;
        for address in addresses {
            let known = candidate.known;
            let heard = candidate.hear_of(now, address);
            let is_news = heard.dialed_at.is_none() || known;
            if heard.proved && heard.may_be_hurried(now) {
                heard.not_before = now;
            }
            candidate.hope |= is_news;
        }
        if candidate.known {
            candidate.not_before = candidate.not_before.min(not_before).max(candidate.quiet_until);
        }
        self.reschedule(peer);
        true
    }

    /// `peer` announces another version of the protocol: it is watched, not dialled.
    pub(crate) fn seen_other_version(&mut self, now: Duration, peer: PeerId) {
        if self.make_room(peer) {
            self.entry(now, peer, now).other_version = true;
            self.reschedule(peer);
        }
    }

    /// A session with `peer` stands. It may be found at `addresses`; those that `is_its_own` names
    /// are proved to be its own. Says whether the peer was never there before.
    pub(crate) fn connected(
        &mut self,
        now: Duration,
        peer: PeerId,
        addresses: &[SocketAddr],
        is_its_own: impl Fn(&SocketAddr) -> bool,
    ) -> bool {
        if !self.make_room_for_known(peer) {
            return true;
        }
        let candidate = self.known_entry(now, peer);
        let is_new = !std::mem::replace(&mut candidate.met, true);
        candidate.busy = true;
        candidate.other_version = false;
        candidate.lost_at = None;
        candidate.quiet_until = Duration::ZERO;
        for address in addresses {
            let heard = candidate.hear_of(now, *address);
            heard.failures = 0;
            if is_its_own(address) {
                heard.proved = true;
                heard.wrong_until = Duration::ZERO;
            }
        }
        let own = addresses.iter().filter(|address| is_its_own(address));
        own.for_each(|address| self.book.forgive(*address));
        self.reschedule(peer);
        is_new
    }

    /// `peer` was there in an earlier run; others may live at its addresses by now.
    pub(crate) fn remember(&mut self, now: Duration, peer: PeerId, addresses: &[SocketAddr]) {
        if self.make_room_for_known(peer) {
            let grace = self.grace(peer);
            let candidate = self.known_entry(now, peer);
            candidate.lost_at = Some(now);
            candidate.not_before = now + grace;
            for address in addresses {
                candidate.hear_of(now, *address);
            }
            self.reschedule(peer);
        }
    }

    /// Whether a session with `peer` stands or is being made.
    pub(crate) fn set_busy(&mut self, peer: PeerId, busy: bool) {
        if let Some(candidate) = self.peers.get_mut(&peer) {
            candidate.busy = busy;
            self.reschedule(peer);
        }
    }

    /// The session with `peer` is over.
    pub(crate) fn departed(&mut self, now: Duration, peer: PeerId, how: Departure) {
        let grace = self.grace(peer);
        let first = self.jittered(REDIAL_FIRST);
        let rarely = self.jittered(REDIAL_RARELY);
        let Some(candidate) = self.peers.get_mut(&peer) else {
            return;
        };
        candidate.lost_at = Some(now);
        candidate.busy = false;
        candidate.hope = how == Departure::Vanished;
        (candidate.quiet_until, candidate.not_before) = match how {
            Departure::Goodbye => (now + GOODBYE_QUIET, now + rarely),
            Departure::Vanished => (now, now + grace + first),
            Departure::Refused => (now + REFUSED_PAUSE, now + REFUSED_PAUSE),
        };
        for address in candidate.addresses.values_mut() {
            address.failures = 0;
            address.not_before = candidate.not_before;
        }
        self.reschedule(peer);
    }

    /// An attempt to reach `peer` at `address` has failed.
    pub(crate) fn failed(
        &mut self,
        now: Duration,
        peer: PeerId,
        address: SocketAddr,
        failure: Failure,
    ) {
        self.book.failed(now, address);
        let share = self.dice.random_range(0.5..=1.0);
        let Some(candidate) = self.peers.get_mut(&peer) else {
            return;
        };
        if failure == Failure::Refused {
            candidate.quiet_until = now + REFUSED_PAUSE;
            candidate.not_before = candidate.not_before.max(candidate.quiet_until);
        }
        let longest = candidate.longest_pause(now);
        if let Some(entry) = candidate.addresses.get_mut(&address) {
            entry.dialing = false;
            let doubled = REDIAL_FIRST.saturating_mul(1 << entry.failures.min(16));
            entry.not_before = now + doubled.min(longest).mul_f64(share);
            entry.failures = entry.failures.saturating_add(1);
            if failure == Failure::WrongPeer {
                entry.wrong_until = now + WRONG_ID_PAUSE;
            }
        }
        candidate.hope &= candidate.addresses.values().any(|entry| entry.failures == 0);
        self.reschedule(peer);
    }

    /// A dial of `address` has ended well, or was given up without blame.
    pub(crate) fn dial_over(&mut self, peer: PeerId, address: SocketAddr) {
        if let Some(candidate) = self.peers.get_mut(&peer)
            && let Some(entry) = candidate.addresses.get_mut(&address)
        {
            entry.dialing = false;
            self.reschedule(peer);
        }
    }

    /// The dial of that haste that is due, if any; it counts as begun.
    pub(crate) fn next(&mut self, now: Duration, haste: Haste) -> Option<Due> {
        loop {
            let (at, peer) = self.schedules[haste as usize].first().copied()?;
            if at > now {
                return None;
            }
            match self.due(peer) {
                Some((due, address, patience)) if due <= now => {
                    self.begin(now, peer, address);
                    return Some(Due { peer, address, haste, patience });
                }
                _ => self.reschedule(peer),
            }
        }
    }

    /// When [`Candidates::next`] may have something to give.
    pub(crate) fn wake(&self, haste: Haste) -> Option<Duration> {
        self.schedules[haste as usize].first().map(|(at, _)| *at)
    }

    fn begin(&mut self, now: Duration, peer: PeerId, address: SocketAddr) {
        if let Some(candidate) = self.peers.get_mut(&peer) {
            candidate.not_before = now + DIAL_STAGGER;
            if let Some(entry) = candidate.addresses.get_mut(&address) {
                entry.dialing = true;
                entry.dialed_at = Some(now);
                if !entry.proved {
                    self.book.dialed(now, address);
                }
            }
        }
        self.reschedule(peer);
    }

    /// The next address of `peer` to dial, when, and how long that may take.
    fn due(&self, peer: PeerId) -> Option<(Duration, SocketAddr, Duration)> {
        let candidate = self.peers.get(&peer)?;
        if candidate.busy || candidate.other_version {
            return None;
        }
        let idle = candidate.addresses.iter().filter(|(_, entry)| !entry.dialing);
        let best = idle.map(|(address, entry)| {
            let book = if entry.proved { Duration::ZERO } else { self.book.not_before(*address) };
            let at = candidate.not_before.max(entry.not_before).max(entry.wrong_until).max(book);
            (at, !entry.proved, std::cmp::Reverse(entry.seen_at), *address)
        });
        best.min().map(|(at, stranger, _, address)| {
            let patience = if stranger { STRANGER_PATIENCE } else { KNOWN_PATIENCE };
            (at, address, patience)
        })
    }

    fn reschedule(&mut self, peer: PeerId) {
        let at = self.due(peer).map(|(at, _, _)| at);
        let Some(candidate) = self.peers.get_mut(&peer) else {
            return;
        };
        let haste = if candidate.hope { Haste::Eager } else { Haste::Patient };
        let scheduled = at.map(|at| (haste, at));
        if let Some((haste, at)) = std::mem::replace(&mut candidate.scheduled, scheduled) {
            self.schedules[haste as usize].remove(&(at, peer));
        }
        self.schedules[haste as usize].extend(at.map(|at| (at, peer)));
    }

    /// Both sides see each other at about the same time: the lower id dials at once, the higher one
    /// waits for that dial.
    fn grace(&mut self, peer: PeerId) -> Duration {
        if self.me < peer { Duration::ZERO } else { DIAL_GRACE + self.jittered(DIAL_GRACE / 2) }
    }

    fn jittered(&mut self, pause: Duration) -> Duration {
        pause.mul_f64(self.dice.random_range(0.5..=1.0))
    }

    /// What is known of `peer`, which was heard of just now.
    fn entry(&mut self, now: Duration, peer: PeerId, not_before: Duration) -> &mut Candidate {
        let fresh = || Candidate { seen_at: now, not_before, ..Candidate::default() };
        let candidate = self.peers.entry(peer).or_insert_with(fresh);
        if !candidate.known {
            self.strangers.remove(&(candidate.seen_at, peer));
            self.strangers.insert((now, peer));
        }
        candidate.seen_at = now;
        candidate
    }

    /// What is known of `peer`, which is no stranger from now on.
    fn known_entry(&mut self, now: Duration, peer: PeerId) -> &mut Candidate {
        let candidate = self.peers.entry(peer).or_default();
        self.strangers.remove(&(candidate.seen_at, peer));
        candidate.known = true;
        candidate.seen_at = now;
        candidate
    }

    /// Makes room for a peer that was only heard of: the one heard of longest ago goes.
    fn make_room(&mut self, peer: PeerId) -> bool {
        if self.peers.contains_key(&peer) || self.strangers.len() < CANDIDATES_MAX {
            return true;
        }
        let idle = |peer: &PeerId| self.peers.get(peer).is_none_or(Candidate::is_idle);
        let oldest = self.strangers.iter().map(|(_, peer)| *peer).find(idle);
        self.evict(oldest)
    }

    /// Makes room for a peer that proved its key: the absent one seen longest ago goes.
    fn make_room_for_known(&mut self, peer: PeerId) -> bool {
        if self.peers.get(&peer).is_some_and(|candidate| candidate.known)
            || self.peers.len() - self.strangers.len() < KNOWN_PEERS_MAX
        {
            return true;
        }
        let known = self.peers.iter().filter(|(_, candidate)| candidate.known);
        let idle = known.filter(|(_, candidate)| candidate.is_idle());
        let oldest = idle.min_by_key(|(_, candidate)| candidate.seen_at).map(|(peer, _)| *peer);
        self.evict(oldest)
    }

    fn evict(&mut self, peer: Option<PeerId>) -> bool {
        let Some((peer, gone)) = peer.and_then(|peer| Some((peer, self.peers.remove(&peer)?)))
        else {
            return false;
        };
        self.strangers.remove(&(gone.seen_at, peer));
        if let Some((haste, at)) = gone.scheduled {
            self.schedules[haste as usize].remove(&(at, peer));
        }
        true
    }
}

impl Candidate {
    /// Nobody talks to it, and nobody tries to.
    fn is_idle(&self) -> bool {
        !self.busy && self.addresses.values().all(|entry| !entry.dialing)
    }

    /// One more address, or the same again; the one heard of longest ago goes if there are too
    /// many.
    fn hear_of(&mut self, now: Duration, address: SocketAddr) -> &mut Address {
        if !self.addresses.contains_key(&address) && self.addresses.len() >= ADDRESSES_MAX {
            let idle = self.addresses.iter().filter(|(_, entry)| !entry.dialing);
            let oldest = idle.min_by_key(|(_, entry)| (entry.proved, entry.seen_at));
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.addresses.remove(&oldest);
            }
        }
        let entry = self.addresses.entry(address).or_default();
        entry.seen_at = now;
        entry
    }

    /// How long a proved address may rest between two attempts.
    fn longest_pause(&self, now: Duration) -> Duration {
        match self.lost_at.map(|at| now.saturating_sub(at)) {
            Some(away) if away < REDIAL_SOON => REDIAL_SOON_MAX,
            Some(away) if away < REDIAL_LATER => REDIAL_LATER_MAX,
            _ => REDIAL_RARELY,
        }
    }
}

impl Address {
    /// An announcement brings the next dial forward, but a flood of them is no reason to dial more
    /// often than for a peer lost a moment ago.
    fn may_be_hurried(&self, now: Duration) -> bool {
        !self.dialing && self.dialed_at.is_none_or(|at| at + REDIAL_SOON_MAX <= now)
    }
}

#[cfg(test)]
#[path = "candidates_tests.rs"]
mod tests;
