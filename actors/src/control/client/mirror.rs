//! The snapshot of a remote node: asked for again after events, at a bounded rate, and only while
//! somebody looks at it.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};

use super::{ask, wire::Asked};
use crate::{
    api::{Command, Event, Refused, Reply, Snapshot},
    limits::control::REMOTE_REFRESH_MIN,
};

/// Keeps `snapshots` up to date until the connection ends.
pub(super) async fn keep(
    asks: mpsc::Sender<Asked>,
    mut events: broadcast::Receiver<Event>,
    mut ended: watch::Receiver<bool>,
    snapshots: watch::Sender<Arc<Snapshot>>,
) {
    loop {
        // The connection itself holds one receiver.
        if snapshots.receiver_count() > 1 {
            match fetch(&asks).await {
                Ok(snapshot) => {
                    snapshots.send_replace(Arc::new(snapshot));
                }
                Err(error) => tracing::debug!(%error, "the state of the node was not told"),
            }
        }
        tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => return,
            event = events.recv() => if event == Err(broadcast::error::RecvError::Closed) {
                return;
            },
            () = tokio::time::sleep(4 * REMOTE_REFRESH_MIN) => {}
        }
        tokio::time::sleep(REMOTE_REFRESH_MIN).await;
        events = events.resubscribe(); // whatever came meanwhile is in the next answer
    }
}

async fn fetch(asks: &mpsc::Sender<Asked>) -> Result<Snapshot, Refused> {
    let mut snapshot = Snapshot::default();
    if let Reply::Status { status } = ask(asks, Command::Status {}).await? {
        snapshot.operations = status.operations.clone();
        snapshot.status = *status;
    }
    if let Reply::Games { games } = ask(asks, Command::ListGames {}).await? {
        snapshot.games = games;
    }
    if let Reply::Peers { peers } = ask(asks, Command::ListPeers {}).await? {
        snapshot.peers = peers;
    }
    Ok(snapshot)
}
