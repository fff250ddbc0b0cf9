//! The links of a node: its connections, from the decision to dial (or their arrival) to their end,
//! and which of two links to one peer survives.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use lanspread_wire::PeerId;

use super::types::Ticket;

/// One connection of this node; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(pub(crate) u64);

/// One link.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) origin: Origin,
    pub(crate) phase: Phase,
    /// Who is expected there, or has proved to be.
    pub(crate) peer: Option<PeerId>,
    /// A dial with little hope.
    pub(crate) is_patient: bool,
    /// Where the peer says that it listens.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Whom to tell when it is up or has failed.
    pub(crate) tickets: Vec<Ticket>,
}

/// Who dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This node dialed that listener.
    Dialed(SocketAddr),
    /// The peer did, from there; good for limits and logs, never an address of the peer (P2).
    Accepted(SocketAddr),
}

/// How far a link is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Dialing,
    Greeting,
    /// Up, but an older link stands; it has until then to show that it lives.
    Held {
        until: Duration,
    },
    Up,
    Closing,
}

/// Which of two links to one peer survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// The new one.
    New,
    /// The old one, unless it is dead.
    OldIfAlive,
}

/// All links.
#[derive(Debug, Default)]
pub(crate) struct Links {
    last: u64,
    links: BTreeMap<LinkId, Link>,
}

impl Origin {
    pub(crate) fn address(self) -> SocketAddr {
        match self {
            Origin::Dialed(address) | Origin::Accepted(address) => address,
        }
    }

    /// The address of the peer's listener, if we know it from dialing it.
    pub(crate) fn dialed_address(self) -> Option<SocketAddr> {
        match self {
            Origin::Dialed(address) => Some(address),
            Origin::Accepted(_) => None,
        }
    }

    fn is_dialed(self) -> bool {
        matches!(self, Origin::Dialed(_))
    }
}

impl Link {
    pub(crate) fn dialed(address: SocketAddr, peer: Option<PeerId>, tickets: Vec<Ticket>) -> Self {
        let origin = Origin::Dialed(address);
        let (phase, addresses) = (Phase::Dialing, Vec::new());
        Self { origin, phase, peer, is_patient: false, addresses, tickets }
    }

    pub(crate) fn accepted(peer: PeerId, address: SocketAddr) -> Self {
        let origin = Origin::Accepted(address);
        let (phase, peer) = (Phase::Greeting, Some(peer));
        let (addresses, tickets) = (Vec::new(), Vec::new());
        Self { origin, phase, peer, is_patient: false, addresses, tickets }
    }

    fn is_with(&self, peer: PeerId) -> bool {
        self.peer == Some(peer)
    }

    fn is_shaking_hands(&self) -> bool {
        matches!(self.phase, Phase::Greeting | Phase::Held { .. })
    }
}

impl Links {
    pub(crate) fn next_id(&mut self) -> LinkId {
        self.last += 1;
        LinkId(self.last)
    }

    pub(crate) fn add(&mut self, link: Link) -> LinkId {
        let id = self.next_id();
        self.links.insert(id, link);
        id
    }

    pub(crate) fn insert(&mut self, id: LinkId, link: Link) {
        self.links.insert(id, link);
    }

    pub(crate) fn get(&self, id: LinkId) -> Option<&Link> {
        self.links.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: LinkId) -> Option<Link> {
        self.links.remove(&id)
    }

    pub(crate) fn add_tickets(&mut self, id: LinkId, tickets: Vec<Ticket>) {
        if let Some(link) = self.links.get_mut(&id) {
            link.tickets.extend(tickets);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    pub(crate) fn ids(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    /// Dials under way.
    pub(crate) fn dialing(&self) -> usize {
        self.links.values().filter(|link| link.phase == Phase::Dialing).count()
    }

    /// Those of them with little hope.
    pub(crate) fn dialing_patiently(&self) -> usize {
        let patient = |link: &&Link| link.phase == Phase::Dialing && link.is_patient;
        self.links.values().filter(patient).count()
    }

    /// Users that wait for a link.
    pub(crate) fn tickets(&self) -> usize {
        self.links.values().map(|link| link.tickets.len()).sum()
    }

    /// Handshakes with `peer`.
    pub(crate) fn greetings(&self, peer: PeerId) -> usize {
        self.links.values().filter(|link| link.is_with(peer) && link.is_shaking_hands()).count()
    }

    /// The handshake with `peer` on a link that we dialed.
    pub(crate) fn greeting_by_us(&self, peer: PeerId) -> Option<LinkId> {
        self.find(|link| {
            link.is_with(peer) && link.origin.is_dialed() && link.phase == Phase::Greeting
        })
    }

    /// The link to `peer` that waits for the verdict on an older one.
    pub(crate) fn held(&self, peer: PeerId) -> Option<LinkId> {
        self.find(|link| link.is_with(peer) && matches!(link.phase, Phase::Held { .. }))
    }

    /// Links whose older rivals have had their time.
    pub(crate) fn held_until(&self, now: Duration) -> Vec<(LinkId, PeerId)> {
        let overdue = |(id, link): (&LinkId, &Link)| match link.phase {
            Phase::Held { until } if until <= now => Some((*id, link.peer?)),
            _ => None,
        };
        self.links.iter().filter_map(overdue).collect()
    }

    /// When the next older rival has had its time.
    pub(crate) fn next_held(&self) -> Option<Duration> {
        let until = |link: &Link| match link.phase {
            Phase::Held { until } => Some(until),
            _ => None,
        };
        self.links.values().filter_map(until).min()
    }

    /// Dials under way that look for `peer`.
    pub(crate) fn dials_to(&self, peer: PeerId) -> Vec<LinkId> {
        let looks = |link: &Link| link.is_with(peer) && link.phase == Phase::Dialing;
        self.links.iter().filter(|(_, link)| looks(link)).map(|(id, _)| *id).collect()
    }

    /// Whether one side dialed both.
    pub(crate) fn dialed_by_same_side(&self, one: LinkId, other: LinkId) -> bool {
        let dialed = |id| self.links.get(&id).map(|link| link.origin.is_dialed());
        dialed(one) == dialed(other)
    }

    /// Which of two links to `peer` that are both up survives.
    pub(crate) fn precedence(
        &self,
        me: PeerId,
        peer: PeerId,
        old: LinkId,
        new: LinkId,
    ) -> Precedence {
        let (Some(old), Some(new)) = (self.links.get(&old), self.links.get(&new)) else {
            return Precedence::New;
        };
        if old.origin.is_dialed() != new.origin.is_dialed() {
            let by_lower = new.origin.is_dialed() == (me < peer);
            return if by_lower { Precedence::New } else { Precedence::OldIfAlive };
        }
        let same_place = new.addresses.iter().any(|address| old.addresses.contains(address));
        if new.origin.is_dialed() || same_place {
            // The newest: whoever dials anew has lost the older one.
            return Precedence::New;
        }
        // Another address: either it moved, or another machine uses its key.
        Precedence::OldIfAlive
    }

    fn find(&self, wanted: impl Fn(&Link) -> bool) -> Option<LinkId> {
        self.links.iter().find(|(_, link)| wanted(link)).map(|(id, _)| *id)
    }
}
