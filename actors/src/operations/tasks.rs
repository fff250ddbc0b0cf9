//! The recovery of a game root whose operation died (O5): fenced, waited for, recovered.

use std::{panic::AssertUnwindSafe, path::PathBuf, sync::Arc};

use futures::FutureExt;
use lanspread_fs_txn::{OpId, Outcome, TxnContext, Vfs, open_game_root, recover};
use lanspread_wire::GameId;

use super::{Internal, OperationsMsg, state::State, table::Ticket};
use crate::{
    disk::{DiskHandle, LeaseGuard},
    game_op::panic_text,
};

impl State {
    /// Starts the recovery; it reports back whatever happens to it.
    pub(super) fn recover(&mut self, ticket: Ticket) {
        let rescue = Rescue {
            disk: self.op_ports.disk.clone(),
            vfs: self.op_ports.vfs.clone(),
            games_dir: self.ports.local.borrow().games_dir.clone(),
            game: ticket.game.clone(),
        };
        let me = self.me.clone();
        self.tasks.spawn(async move {
            let rescued = AssertUnwindSafe(rescue.run()).catch_unwind().await;
            let result = rescued.unwrap_or_else(|panic| Err(panic_text(&*panic)));
            let recovered = Internal::Recovered { ticket, result };
            if me.cast(OperationsMsg::Internal(recovered)).is_err() {
                tracing::debug!("a recovery outlived the operations");
            }
        });
    }
}

struct Rescue {
    disk: DiskHandle,
    vfs: Arc<dyn Vfs>,
    games_dir: Option<PathBuf>,
    game: GameId,
}

impl Rescue {
    /// Nobody writes into the root any more when this begins to look at it: the lease of the dead
    /// operation is fenced, and its workers have ended.
    async fn run(self) -> Result<(), String> {
        let Some(games_dir) = self.games_dir else {
            return Ok(());
        };
        self.disk.fence(&self.game).await.map_err(|error| error.to_string())?;
        let lease = self.disk.acquire(&self.game, "recovery").await;
        let lease = lease.map_err(|error| error.to_string())?;
        let (vfs, game) = (self.vfs, self.game.to_string());
        let job = move |guard: &LeaseGuard| -> Result<(), String> {
            let games = vfs.open_root(&games_dir).map_err(|error| error.to_string())?;
            let root = match open_game_root(&*games, &game) {
                Err(error) if error.is_not_found() => return Ok(()),
                root => root.map_err(|error| error.to_string())?,
            };
            let context = TxnContext::new(root, OpId::fresh(), guard.clone());
            let recovery = recover(&context).map_err(|error| error.to_string())?;
            match recovery.outcome {
                Outcome::NeedsAttention(failure) => Err(failure.to_string()),
                Outcome::Clean | Outcome::RolledBack | Outcome::RolledForward => Ok(()),
            }
        };
        self.disk.run(&lease, "recover", job).await.map_err(|error| error.to_string())?
    }
}
