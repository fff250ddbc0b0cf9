//! `NodeHandle`: the one door to a node for user interfaces in this process. Over the control
//! socket it is [`crate::control::RemoteNode`].
//!
//! A [`NodeHandle`] is the command side of its node: when the last one is dropped without a
//! shutdown, the node fails (A5). A [`Commander`] gives the same commands but does not count.

mod commands;
mod events;

use std::sync::Arc;

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use ractor::{Actor, ActorRef};
use tokio::sync::{broadcast, watch};

pub use self::events::EventStream;
use crate::{
    api::{Command, ErrorCode, Event, NodeInfo, Refused, Reply, Snapshot},
    config::NodeConfig,
    limits::node::{EVENTS_BUFFERED_MAX, SHUTDOWN_DEADLINE},
    node::{Node, NodeArgs, NodeMsg, Parts, RealParts},
    ports::Ports,
};

/// How a node ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was told to.
    Stopped,
    /// It never became ready, and nothing of it ran for long.
    NotStarted(StartError),
    /// A part of it failed for good; `runtime-failed` was told.
    Failed {
        /// The part.
        component: String,
        /// What it said.
        error: String,
    },
}

/// Why a node did not start. Nothing of it runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// Stable, for scripts.
    pub code: ErrorCode,
    /// What is wrong, with the folder or file, and what to do.
    pub message: String,
}

/// How far a node is.
#[derive(Clone)]
pub(crate) enum Started {
    Starting,
    Ready { info: Box<NodeInfo>, ports: Box<Ports> },
    Failed(StartError),
}

/// The ends of the channels that a node writes to and its door reads from.
#[derive(Clone)]
pub(crate) struct Signals {
    pub(crate) snapshot: Arc<watch::Sender<Arc<Snapshot>>>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) started: Arc<watch::Sender<Started>>,
    pub(crate) outcome: Arc<watch::Sender<Option<Outcome>>>,
}

impl Signals {
    pub(crate) fn new() -> Self {
        Self {
            snapshot: Arc::new(watch::Sender::new(Arc::default())),
            events: broadcast::Sender::new(EVENTS_BUFFERED_MAX),
            started: Arc::new(watch::Sender::new(Started::Starting)),
            outcome: Arc::new(watch::Sender::new(None)),
        }
    }
}

/// Gives commands to a node and reads what it tells. Does not keep it running.
#[derive(Clone)]
pub struct Commander {
    node: ActorRef<NodeMsg>,
    signals: Signals,
}

/// The door to a node in this process. Clones are the same door.
#[derive(Clone)]
pub struct NodeHandle {
    commander: Commander,
    ended: Shared<BoxFuture<'static, ()>>,
    _side: Arc<CommandSide>,
}

/// Tells the node when the last handle is gone.
struct CommandSide(ActorRef<NodeMsg>);

impl Drop for CommandSide {
    fn drop(&mut self) {
        // A node that has ended need not be told.
        self.0.cast(NodeMsg::CommandSideClosed).ok();
    }
}

impl NodeHandle {
    /// Starts a node and waits until it is ready.
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        let handle = Self::launch(config).await?;
        handle.ready().await?;
        Ok(handle)
    }

    /// Starts a node and returns at once: for callers that want its events from the first one on.
    pub async fn launch(config: NodeConfig) -> Result<Self, StartError> {
        Self::launch_with(config, Arc::new(RealParts)).await
    }

    /// As [`NodeHandle::launch`], with other parts than the real ones: for tests of supervision.
    pub async fn launch_with(
        config: NodeConfig,
        parts: Arc<dyn Parts>,
    ) -> Result<Self, StartError> {
        let signals = Signals::new();
        let args = NodeArgs { config: Arc::new(config), parts, signals: signals.clone() };
        let (node, joined) = Actor::spawn(None, Node, args).await.map_err(|error| StartError {
            code: ErrorCode::Internal,
            message: format!("the node cannot start: {error}"),
        })?;
        let ended = joined.map(|_| ()).boxed().shared();
        let side = Arc::new(CommandSide(node.clone()));
        Ok(Self { commander: Commander { node, signals }, ended, _side: side })
    }

    /// Waits until the node is ready: the first scan is done, the listener accepts.
    pub async fn ready(&self) -> Result<NodeInfo, StartError> {
        self.commander.ready().await
    }

    /// Gives a command and waits for its answer. The end of an operation comes as an event.
    pub async fn command(&self, command: Command) -> Result<Reply, Refused> {
        self.commander.command(command).await
    }

    /// The state of the node; the latest one wins.
    pub fn snapshot(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.commander.signals.snapshot.subscribe()
    }

    /// The events from now on.
    pub fn events(&self) -> EventStream {
        self.commander.events()
    }

    /// The same commands without the duty to keep the handle.
    pub fn commander(&self) -> Commander {
        self.commander.clone()
    }

    /// Ends the node in order and waits for its end, at most for the deadline of A4.
    pub async fn shutdown(&self) -> Outcome {
        self.commander.begin_shutdown();
        if tokio::time::timeout(SHUTDOWN_DEADLINE, self.ended.clone()).await.is_err() {
            tracing::warn!("the node did not end in time and was killed");
            self.commander.node.kill();
        }
        self.wait_stopped().await
    }

    /// What a fault does to the root.
    #[cfg(test)]
    pub(crate) fn kill_for_test(&self) {
        self.commander.node.kill();
    }

    /// Waits for the end of the node, whoever causes it.
    pub async fn wait_stopped(&self) -> Outcome {
        self.ended.clone().await;
        self.commander.outcome()
    }
}

impl Commander {
    pub(crate) fn new(node: ActorRef<NodeMsg>, signals: Signals) -> Self {
        Self { node, signals }
    }

    /// Waits until the node is ready: the first scan is done, the listener accepts.
    pub async fn ready(&self) -> Result<NodeInfo, StartError> {
        match self.started().await {
            Started::Ready { info, .. } => Ok(*info),
            Started::Failed(error) => Err(error),
            Started::Starting => Err(StartError {
                code: ErrorCode::Internal,
                message: "the node ended while it started".to_owned(),
            }),
        }
    }

    /// Gives a command and waits for its answer. The end of an operation comes as an event.
    pub async fn command(&self, command: Command) -> Result<Reply, Refused> {
        commands::carry_out(self, command).await
    }

    /// The events from now on.
    pub fn events(&self) -> EventStream {
        EventStream::new(&self.signals)
    }

    /// Tells the node to end, and returns at once.
    pub fn begin_shutdown(&self) {
        // A node that has ended need not be told.
        self.node.cast(NodeMsg::Shutdown).ok();
    }

    /// The first state that is not `Starting`, or `Starting` if the node ended before.
    async fn started(&self) -> Started {
        let mut started = self.signals.started.subscribe();
        let mut outcome = self.signals.outcome.subscribe();
        tokio::select! {
            biased;
            started = started.wait_for(|started| !matches!(started, Started::Starting)) => {
                // This side holds a sender, so waiting cannot fail.
                started.map_or(Started::Starting, |started| started.clone())
            }
            _ = outcome.wait_for(Option::is_some) => Started::Starting,
        }
    }

    fn outcome(&self) -> Outcome {
        self.signals.outcome.borrow().clone().unwrap_or_else(|| Outcome::Failed {
            component: "node".to_owned(),
            error: "it ended without a word".to_owned(),
        })
    }
}
