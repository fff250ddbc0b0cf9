//! What the roster is told and what it wants done. Plain data.

use std::{net::SocketAddr, time::Duration};

use lanspread_wire::{CloseCode, PeerId};

use super::links::LinkId;
use crate::{
    api::Refused,
    net::endpoint::DialError,
    peer_connection::{Role, SessionEnd},
};

/// An order to dial by hand, to be answered once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(crate) u64);

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Somebody announces itself.
    Seen { peer: PeerId, protocol: u16, addresses: Vec<SocketAddr> },
    /// A user names an address.
    Connect { ticket: Ticket, address: SocketAddr },
    /// A dial has ended: with a connection that proved a key, or not.
    Dialed { link: LinkId, result: Result<PeerId, DialError> },
    /// Somebody has dialed us and proved its key.
    Incoming { link: LinkId, peer: PeerId, address: SocketAddr },
    /// The handshake on a link is complete; the peer says that it listens at `addresses`.
    Up { link: LinkId, addresses: Vec<SocketAddr> },
    /// The peer has answered a probe on this link.
    Alive { link: LinkId },
    /// The session on a link is over.
    Ended { link: LinkId, end: SessionEnd },
    /// Shut down: close everything, open nothing.
    Goodbye,
    /// A time that [`Roster::wake`] named has come.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Dial, at most so long, and tell [`Input::Dialed`].
    Dial { link: LinkId, address: SocketAddr, expected: Option<PeerId>, patience: Duration },
    /// Give up this dial; it tells nothing any more.
    Abort { link: LinkId },
    /// Begin a session on the connection of this link.
    Open { link: LinkId, peer: PeerId, role: Role },
    /// Close the connection of this link, which has no session.
    Refuse { link: LinkId, code: CloseCode, text: &'static str },
    /// End the session of this link.
    Close { link: LinkId, code: CloseCode, text: &'static str },
    /// Ask the peer on this link for a sign of life, and tell [`Input::Alive`].
    Probe { link: LinkId },
    /// From now on this link is the one to `peer`.
    Connected { peer: PeerId, link: LinkId, news: News },
    /// `peer` is gone.
    Lost { peer: PeerId, end: SessionEnd },
    /// A connection was refused, by us or by the other side.
    Rejected { address: SocketAddr, claimed: Option<PeerId>, code: &'static str, text: String },
    /// The answer to a dial by hand.
    Answer { ticket: Ticket, result: Result<PeerId, Refused> },
    /// Another machine uses the key of `peer`.
    Cloned { peer: PeerId },
    /// Announce ourselves again, so that a lost peer finds us.
    Refresh,
    /// A named counter goes up.
    Count(&'static str),
}

/// What is new about a peer that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It was never there before in this run.
    Discovered,
    /// It was away.
    Returned,
    /// It was there all the time; only the connection is another one.
    Relinked,
}
