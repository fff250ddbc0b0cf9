//! Dials of `Peers`: one task each, which always reports back, also when it panics.

use std::{net::SocketAddr, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use lanspread_wire::{CloseCode, PeerId};
use ractor::ActorRef;
use tokio::time::timeout;

use super::{Internal, LinkId, PeersMsg, PeersState, internal};
use crate::{
    net::endpoint::{DialError, dial},
    peer_connection::panic_text,
};

impl PeersState {
    /// Dials an address; told with [`Internal::Dialed`].
    pub(super) fn dial(
        &mut self,
        myself: &ActorRef<PeersMsg>,
        link: LinkId,
        address: SocketAddr,
        expected: Option<PeerId>,
        patience: Duration,
    ) {
        let (endpoint, identity) = (self.args.endpoint.clone(), self.args.ports.identity.clone());
        let to = myself.clone();
        let task = self.tasks.spawn(async move {
            let dialed = timeout(patience, dial(&endpoint, &identity, address, expected));
            let result = match AssertUnwindSafe(dialed).catch_unwind().await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => {
                    Err(DialError::Unreachable { address, reason: "timed out".to_owned() })
                }
                Err(panic) => {
                    let reason = panic_text(&*panic);
                    tracing::error!(%address, reason, "a dial died");
                    Err(DialError::Local { address, reason })
                }
            };
            // Nobody listens once the actor is gone; the connection is dropped with the message.
            to.cast(internal(Internal::Dialed { link, result })).ok();
        });
        self.dials.insert(link, task);
    }

    /// Gives a dial up.
    pub(super) fn abort(&mut self, link: LinkId) {
        if let Some(task) = self.dials.remove(&link) {
            task.abort();
        }
    }

    /// Closes a connection that has no session.
    pub(super) fn refuse(&mut self, link: LinkId, code: CloseCode, text: &str) {
        if let Some(fresh) = self.fresh.remove(&link) {
            fresh.connection.close(code.as_u32().into(), text.as_bytes());
        }
    }
}
