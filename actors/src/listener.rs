//! The `Listener` actor: the accept loop on the endpoint. Hands every authenticated connection to
//! `Peers`.
//!
//! * Owns: the accept loop and the handshakes it began.
//! * Receives: nothing but the end of its loop.
//! * Sends: connections whose other side has proved its key to `Peers`; refusals to `View`, paced.
//! * Dies: when the endpoint accepts nothing any more, or the loop panics.
//! * Comes back from: a clone of the endpoint. Handshakes in progress are dropped; who dialled
//!   tries again. Connections that were handed over live on, and the gate still counts them.
//!
//! Must never hand over a connection before `incoming.await` has proved the key of the other side.

mod accept;
pub mod gate;

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::{sync::watch, task::JoinSet};

use self::{accept::Acceptor, gate::SharedGate};
use crate::{
    net::{addresses::InterfaceAddress, task::spawn_reporting},
    ports::Ports,
};

/// Messages of the `Listener` actor.
pub enum ListenerMsg {
    /// From its own accept loop, at its end: why.
    Ended(Result<String, String>),
}

/// What the actor starts with.
pub struct ListenerArgs {
    /// The wiring of the node.
    pub ports: Ports,
    /// Outlives this actor.
    pub endpoint: quinn::Endpoint,
    /// Counts connections; outlives this actor as they do.
    pub gate: SharedGate,
    /// The addresses of this machine on the interfaces that may be used, kept up to date.
    pub interfaces: watch::Receiver<Arc<Vec<InterfaceAddress>>>,
}

/// The actor type.
pub struct Listener;

/// The state of `Listener`.
pub struct ListenerState {
    /// The accept loop; dropped with the actor.
    _tasks: JoinSet<()>,
}

impl Actor for Listener {
    type Msg = ListenerMsg;
    type State = ListenerState;
    type Arguments = ListenerArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let mut tasks = JoinSet::new();
        let acceptor = Acceptor::new(args)?;
        spawn_reporting(&mut tasks, &myself, acceptor.run(), ListenerMsg::Ended);
        Ok(ListenerState { _tasks: tasks })
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        _state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ListenerMsg::Ended(Ok(why)) => Err(why.into()),
            ListenerMsg::Ended(Err(panic)) => {
                Err(format!("the accept loop panicked: {panic}").into())
            }
        }
    }

    /// It has no children.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        _event: SupervisionEvent,
        _state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}
