//! The part of `Peers` that writes down whom it met and looks for them at the next start.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
};

use lanspread_wire::PeerId;
use ractor::ActorRef;
use tokio::{task::spawn_blocking, time::sleep};

use super::{
    Internal, PeersMsg, PeersState, Saving,
    acquaintances::{Acquaintances, Loaded},
    internal,
};
use crate::{
    peer_connection::{limits::ACQUAINTANCES_PAUSE, panic_text},
    view::ViewMsg,
};

impl PeersState {
    /// Looks for the peers of earlier runs where they were.
    pub(super) async fn recall(&mut self) {
        let state_dir = self.args.ports.config.state_dir.clone();
        let loaded = spawn_blocking(move || Acquaintances::load(&state_dir)).await;
        let Loaded { acquaintances, notice } = loaded.unwrap_or_else(|error| {
            tracing::error!(%error, "reading the peers of earlier runs died");
            Loaded::default()
        });
        if let Some(message) = notice {
            self.args.ports.view.tell(ViewMsg::Notice { game: None, message });
        }
        for met in acquaintances.latest_first() {
            self.roster.remember(self.started.elapsed(), met.peer, &met.addresses);
        }
        self.acquaintances = acquaintances;
    }

    /// A peer is there.
    pub(super) fn note_acquaintance(&mut self, peer: PeerId, addresses: &[SocketAddr]) {
        if self.acquaintances.note(peer, addresses) {
            self.saving = match self.saving {
                Saving::Done | Saving::Due => Saving::Due,
                Saving::Running | Saving::RunningAndDue => Saving::RunningAndDue,
            };
        }
    }

    /// Waits a while for more to write, if there is something and nobody waits already.
    pub(super) fn save_soon(&mut self, myself: &ActorRef<PeersMsg>) {
        if self.saving == Saving::Due {
            self.saving = Saving::Running;
            let to = myself.clone();
            self.tasks.spawn(async move {
                sleep(ACQUAINTANCES_PAUSE).await;
                // Nobody listens once the actor is gone.
                to.cast(internal(Internal::Save)).ok();
            });
        }
    }

    pub(super) fn on_save(&mut self, myself: &ActorRef<PeersMsg>) {
        // What is new until now is written; what comes from now on is due again.
        self.saving = Saving::Running;
        let (all, to) = (self.acquaintances.clone(), myself.clone());
        let state_dir = self.args.ports.config.state_dir.clone();
        self.tasks.spawn_blocking(move || {
            let save = AssertUnwindSafe(|| all.save(&state_dir));
            let saved = match catch_unwind(save) {
                Ok(saved) => saved.map_err(|error| error.to_string()),
                Err(panic) => Err(panic_text(&*panic)),
            };
            // Nobody listens once the actor is gone.
            to.cast(internal(Internal::Saved(saved))).ok();
        });
    }

    pub(super) fn on_saved(&mut self, saved: Result<(), String>) {
        if let Err(error) = saved {
            // A later peer brings the next try.
            tracing::warn!(error, "the peers of this run were not written down");
        }
        self.saving = match self.saving {
            Saving::RunningAndDue => Saving::Due,
            Saving::Done | Saving::Due | Saving::Running => Saving::Done,
        };
    }
}
