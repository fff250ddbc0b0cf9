//! What `Peers` does about the decisions of its roster: one arm for each effect.

use std::net::SocketAddr;

use lanspread_wire::PeerId;
use ractor::ActorRef;

use super::{
    PeersMsg, PeersState,
    roster::{Effect, Input, Ticket},
};
use crate::{
    api::{Event, Refused},
    discovery::DiscoveryMsg,
    peer_connection::PeerConnectionMsg,
    view::ViewMsg,
};

impl PeersState {
    /// Does what the roster decided; a session that cannot even start is an input of its own.
    pub(super) async fn perform(
        &mut self,
        myself: &ActorRef<PeersMsg>,
        effect: Effect,
    ) -> Option<Input> {
        match effect {
            Effect::Dial { link, address, expected, patience } => {
                self.dial(myself, link, address, expected, patience);
            }
            Effect::Abort { link } => self.abort(link),
            Effect::Open { link, peer, role } => return self.open(myself, link, peer, role).await,
            Effect::Refuse { link, code, text } => self.refuse(link, code, text),
            Effect::Close { link, code, text } => {
                self.tell(link, PeerConnectionMsg::Close { code, text });
            }
            Effect::Probe { link } => self.tell(link, PeerConnectionMsg::Probe),
            Effect::Connected { peer, link, news } => self.connected(peer, link, news),
            Effect::Lost { peer, end } => self.lost(peer, &end),
            Effect::Rejected { address, claimed, code, text } => {
                self.rejected(address, claimed, code, text);
            }
            Effect::Answer { ticket, result } => self.answer(ticket, result),
            Effect::Cloned { peer } => self.cloned(peer),
            Effect::Refresh => self.args.ports.discovery.tell(DiscoveryMsg::Refresh),
            Effect::Count(counter) => {
                self.args.ports.view.tell(ViewMsg::Count { counter, by: 1 });
            }
        }
        None
    }

    fn rejected(
        &self,
        address: SocketAddr,
        claimed_id: Option<PeerId>,
        code: &'static str,
        message: String,
    ) {
        tracing::info!(%address, claimed = ?claimed_id, code, message, "a peer was rejected");
        let code = code.to_owned();
        let event = Event::PeerRejected { address, claimed_id, code, message };
        self.args.ports.view.tell(ViewMsg::Event(event));
    }

    fn cloned(&self, peer: PeerId) {
        let message = format!(
            "two machines use the identity {}: the later one is refused. Remove the file \
             identity.key from the state folder of one of them and start it again",
            peer.short()
        );
        tracing::warn!(%peer, "cloned identity");
        self.args.ports.view.tell(ViewMsg::Notice { game: None, message });
    }

    fn answer(&mut self, ticket: Ticket, result: Result<PeerId, Refused>) {
        if let Some(reply) = self.tickets.remove(&ticket)
            && reply.send(result).is_err()
        {
            tracing::debug!("nobody waits for this dial any more");
        }
    }
}
