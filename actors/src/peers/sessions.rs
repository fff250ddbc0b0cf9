//! The sessions of `Peers`: starting and joining their actors, and the table of those that count.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use lanspread_wire::{CloseCode, DisplayName, PeerId, limits::ADDRESSES_MAX};
use ractor::{Actor, ActorRef, concurrency::JoinHandle};
use tokio::time::Instant;

use super::{
    Fresh, LinkId, PeersMsg, PeersState,
    roster::{Input, News},
};
use crate::{
    api::Event,
    facts::{PeerEntry, PeerTable, RemoteLibrary},
    net::{addresses::stated_to, endpoint::remote_of},
    peer_connection::{
        PeerConnection, PeerConnectionArgs, PeerConnectionMsg, PeerLink, Role, SessionEnd,
    },
    supervise::Death,
    view::ViewMsg,
};

/// One connection actor and what its peer said.
pub(super) struct Session {
    peer: PeerId,
    actor: ActorRef<PeerConnectionMsg>,
    joined: Option<JoinHandle<()>>,
    link: PeerLink,
    greeting: Option<Greeting>,
    ended: bool,
}

struct Greeting {
    name: DisplayName,
    addresses: Vec<SocketAddr>,
    library: Arc<RemoteLibrary>,
}

impl Session {
    /// Whether its last report was handled.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Sends to the actor; a dead one is reported by supervision.
    pub(super) fn tell(&self, message: PeerConnectionMsg) {
        if self.actor.cast(message).is_err() {
            tracing::debug!(peer = ?self.peer, "message dropped: the session is over");
        }
    }
}

impl PeersState {
    /// Starts the session of a connection that the roster wants to keep.
    pub(super) async fn open(
        &mut self,
        myself: &ActorRef<PeersMsg>,
        link: LinkId,
        peer: PeerId,
        role: Role,
    ) -> Option<Input> {
        let Fresh { connection, admission } = self.fresh.remove(&link)?;
        let peer_link = PeerLink::new(peer, connection.clone());
        let addresses = self.own_addresses(remote_of(&connection).ip());
        let args = PeerConnectionArgs {
            link,
            role,
            me: self.args.ports.me(),
            peer,
            connection,
            admission,
            name: self.name.clone(),
            addresses,
            announced: self.args.ports.announced.borrow().clone(),
            known: self.known_library(peer),
            uploads: self.uploads.clone(),
            peers: myself.clone(),
            view: self.args.ports.view.clone(),
        };
        match PeerConnection::spawn_linked(None, PeerConnection, args, myself.get_cell()).await {
            Ok((actor, joined)) => {
                let joined = Some(joined);
                let session =
                    Session { peer, actor, joined, link: peer_link, greeting: None, ended: false };
                self.sessions.insert(link, session);
                None
            }
            Err(error) => {
                tracing::error!(%peer, %error, "a session did not start");
                let end = SessionEnd::ours(CloseCode::Internal, "the session did not start");
                Some(Input::Ended { link, end })
            }
        }
    }

    pub(super) fn tell(&self, link: LinkId, message: PeerConnectionMsg) {
        if let Some(session) = self.sessions.get(&link) {
            session.tell(message);
        }
    }

    /// Waits for the end of a dead connection actor; says which link it was.
    pub(super) async fn join(&mut self, death: &Death) -> Option<LinkId> {
        let (link, session) =
            self.sessions.iter_mut().find(|(_, session)| session.actor.get_id() == death.actor)?;
        if let Some(joined) = session.joined.take()
            && let Err(error) = joined.await
        {
            tracing::debug!(link = link.0, %error, "joined a dead session");
        }
        Some(*link)
    }

    /// Whether there is room for the library of a link; closes the link otherwise.
    pub(super) fn admit(&mut self, link: LinkId, library: &RemoteLibrary) -> bool {
        let admitted = self.libraries.admit(link, library);
        if !admitted {
            let text = "the libraries of all peers together are too large";
            self.tell(link, PeerConnectionMsg::Close { code: CloseCode::Limit, text });
        }
        admitted
    }

    pub(super) fn note_greeting(
        &mut self,
        link: LinkId,
        name: DisplayName,
        addresses: Vec<SocketAddr>,
        library: Arc<RemoteLibrary>,
    ) {
        if let Some(session) = self.sessions.get_mut(&link) {
            session.greeting = Some(Greeting { name, addresses, library });
        }
    }

    /// The library of a link changed; if it is the link to its peer, everybody is told.
    pub(super) fn note_library(&mut self, link: LinkId, library: Arc<RemoteLibrary>) {
        let Some(session) = self.sessions.get_mut(&link) else {
            return;
        };
        let peer = session.peer;
        if let Some(greeting) = &mut session.greeting {
            greeting.library = library.clone();
        }
        let is_here = self.roster.is_here(peer, link);
        let Some(entry) = Arc::make_mut(&mut self.table).peers.get_mut(&peer).filter(|_| is_here)
        else {
            return;
        };
        if library.state.revision < entry.library.state.revision {
            // A link that came up late catches up with what is known by another one (P4).
            return;
        }
        entry.library = library;
        self.publish();
        self.tell_library(peer);
    }

    pub(super) fn note_ended(&mut self, link: LinkId) {
        if let Some(session) = self.sessions.get_mut(&link) {
            session.ended = true;
        }
    }

    /// From now on `link` is the one to `peer`.
    pub(super) fn connected(&mut self, peer: PeerId, link: LinkId, news: News) {
        let Some(session) = self.sessions.get(&link) else {
            return;
        };
        let Some(Greeting { name, addresses, library }) = &session.greeting else {
            return;
        };
        let (name, addresses) = (name.to_string(), addresses.clone());
        let before = self.table.peers.get(&peer);
        let library = match before {
            Some(before) if before.library.state.revision > library.state.revision => {
                before.library.clone()
            }
            _ => library.clone(),
        };
        let connected_at = before.map_or_else(Instant::now, |before| before.connected_at);
        let is_news = before.is_none_or(|before| before.library != library);
        let link = session.link.clone();
        let entry = PeerEntry {
            peer,
            name: name.clone(),
            addresses: addresses.clone(),
            connected_at,
            library,
            link,
        };
        self.note_acquaintance(peer, &entry.addresses);
        Arc::make_mut(&mut self.table).peers.insert(peer, entry);
        self.libraries.forget(peer);
        self.publish();
        tracing::info!(%peer, name, ?news, "peer connected");
        let (peer_id, view) = (peer, &self.args.ports.view);
        if news == News::Discovered {
            let (name, addresses) = (name.clone(), addresses.clone());
            view.tell(ViewMsg::Event(Event::PeerDiscovered { peer_id, name, addresses }));
        }
        if news != News::Relinked {
            view.tell(ViewMsg::Event(Event::PeerConnected { peer_id, name, addresses }));
        }
        if is_news {
            self.tell_library(peer);
        }
    }

    /// `peer` is gone.
    pub(super) fn lost(&mut self, peer: PeerId, end: &SessionEnd) {
        let Some(entry) = Arc::make_mut(&mut self.table).peers.remove(&peer) else {
            return;
        };
        self.libraries.keep(peer, entry.library.clone());
        self.publish();
        tracing::info!(%peer, name = entry.name, %end, "peer lost");
        self.tell_lost(entry, end.to_string());
    }

    /// Takes over from an earlier incarnation: its connections have no session any more, and its
    /// peers are looked for where they were.
    pub(super) fn inherit(&mut self) {
        let last = self.args.peer_table.borrow().clone();
        if last.peers.is_empty() {
            return;
        }
        self.publish();
        for entry in last.peers.values() {
            entry.link.close(CloseCode::Internal, "the session was lost in a restart");
            let now = self.started.elapsed();
            self.roster.remember(now, entry.peer, &entry.addresses);
            self.libraries.keep(entry.peer, entry.library.clone());
            self.tell_lost(entry.clone(), "the sessions of this node were restarted".to_owned());
        }
    }

    fn tell_lost(&self, entry: PeerEntry, reason: String) {
        let PeerEntry { peer: peer_id, name, addresses, .. } = entry;
        let event = Event::PeerLost { peer_id, name, addresses, reason };
        self.args.ports.view.tell(ViewMsg::Event(event));
    }

    fn tell_library(&self, peer: PeerId) {
        if let Some(entry) = self.table.peers.get(&peer) {
            let games = entry.library.games.keys().cloned().collect();
            let event = Event::RemoteLibraryChanged { peer_id: peer, games };
            self.args.ports.view.tell(ViewMsg::Event(event));
        }
    }

    /// The table to whoever watches it and to `View`, before the event that tells of it.
    fn publish(&self) {
        let table: Arc<PeerTable> = self.table.clone();
        self.args.peer_table.send_replace(table.clone());
        self.args.ports.view.tell(ViewMsg::Peers(table));
    }

    fn known_library(&self, peer: PeerId) -> Option<Arc<RemoteLibrary>> {
        let here = self.table.peers.get(&peer).map(|entry| entry.library.clone());
        here.or_else(|| self.libraries.recall(peer))
    }

    fn own_addresses(&self, remote: IpAddr) -> Vec<SocketAddr> {
        let stated = stated_to(&self.args.addresses.borrow(), remote);
        stated.into_iter().take(ADDRESSES_MAX).collect()
    }
}
