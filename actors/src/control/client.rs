//! A node in another process, reached over its control socket: the same commands, snapshot,
//! events, shutdown and end as [`crate::handle::NodeHandle`] has in this process.

mod mirror;
mod wire;

use std::{path::Path, sync::Arc};

use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinSet,
};

use self::wire::Asked;
use super::socket;
pub use super::socket::SocketError as ConnectError;
use crate::{
    api::{Command, ErrorCode, Event, Refused, Reply, Snapshot},
    limits::control::{CLIENT_RECORDS_BUFFERED_MAX, COMMANDS_IN_FLIGHT_MAX},
};

/// A connection to a running node. Dropping it leaves the node running.
pub struct RemoteNode {
    asks: mpsc::Sender<Asked>,
    events: broadcast::Sender<Event>,
    ended: watch::Receiver<bool>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    _tasks: JoinSet<()>,
}

/// The events of a remote node from the moment it was asked for.
pub struct RemoteEvents {
    receiver: broadcast::Receiver<Event>,
    ended: watch::Receiver<bool>,
}

impl RemoteNode {
    /// Connects to the node that runs on `state_dir`.
    pub async fn connect(state_dir: &Path) -> Result<Self, ConnectError> {
        let stream = socket::connect(state_dir).await?;
        let (input, output) = tokio::io::split(stream);
        let (events, _) = broadcast::channel(CLIENT_RECORDS_BUFFERED_MAX);
        let (asks, asked) = mpsc::channel(COMMANDS_IN_FLIGHT_MAX);
        let (end, ended) = watch::channel(false);
        let (snapshots, snapshot) = watch::channel(Arc::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(wire::drive(input, output, asked, events.clone(), end));
        tasks.spawn(mirror::keep(asks.clone(), events.subscribe(), ended.clone(), snapshots));
        Ok(Self { asks, events, ended, snapshot, _tasks: tasks })
    }

    /// Gives a command and waits for its answer.
    pub async fn command(&self, command: Command) -> Result<Reply, Refused> {
        ask(&self.asks, command).await
    }

    /// The events from now on.
    pub fn events(&self) -> RemoteEvents {
        RemoteEvents { receiver: self.events.subscribe(), ended: self.ended.clone() }
    }

    /// The state of the node, asked for again whenever something happened.
    pub fn snapshot(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// Tells the node to end, and waits until it has let go of the connection.
    pub async fn shutdown(&self) -> Result<(), Refused> {
        self.command(Command::Shutdown {}).await?;
        self.wait_stopped().await;
        Ok(())
    }

    /// Waits until the node has ended or the connection is lost.
    pub async fn wait_stopped(&self) {
        // The task that holds the other end is gone as well when this fails.
        self.ended.clone().wait_for(|ended| *ended).await.ok();
    }
}

impl RemoteEvents {
    /// The next event; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            biased;
            event = self.receiver.recv() => match event {
                Ok(event) => Some(event),
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    Some(Event::EventsMissed { count })
                }
                Err(broadcast::error::RecvError::Closed) => None,
            },
            _ = self.ended.wait_for(|ended| *ended) => None,
        }
    }
}

async fn ask(asks: &mpsc::Sender<Asked>, command: Command) -> Result<Reply, Refused> {
    let gone = || Refused::new(ErrorCode::ShuttingDown, "the node has ended the connection");
    let (answer, answered) = oneshot::channel();
    asks.send(Asked { command, answer }).await.map_err(|_| gone())?;
    answered.await.unwrap_or_else(|_| Err(gone()))
}
