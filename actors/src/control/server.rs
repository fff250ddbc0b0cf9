//! The `Control` actor: the local control socket and its sessions.
//!
//! Owns: the listening socket and the sessions of its clients, as tasks. Receives: their ends.
//! Never: carries out a command by itself; that is the business of [`Commander`].
//! Dies when: the socket breaks; it is then started again, and the node goes on without it if
//! that does not help. Comes back from: nothing, its clients connect again.

use std::{path::PathBuf, sync::Arc};

use interprocess::local_socket::{
    tokio::{Listener, Stream},
    traits::tokio::Listener as _,
};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::{
    session::{InputEnd, SessionOptions, serve},
    socket,
};
use crate::{
    addr::Addr,
    handle::Commander,
    limits::control::{CONTROL_CLIENTS_MAX, CONTROL_WRITE_DEADLINE},
    view::ViewMsg,
};

/// Messages of the `Control` actor.
pub enum ControlMsg {
    /// From its accept loop: somebody of the same user has connected.
    Connected {
        /// The connection.
        stream: Stream,
        /// One of the places for clients, taken.
        place: OwnedSemaphorePermit,
    },
    /// From a session: it has ended.
    SessionEnded,
    /// From its accept loop: it cannot go on.
    Broken {
        /// Why.
        reason: String,
    },
}

/// What `Control` is started with.
#[derive(Clone)]
pub struct ControlArgs {
    /// Where the socket lies.
    pub state_dir: PathBuf,
    /// Carries out the commands.
    pub commander: Commander,
    /// For counters.
    pub view: Addr<ViewMsg>,
}

/// The actor.
pub struct Control;

/// What it owns.
pub struct ControlState {
    args: ControlArgs,
    accepting: JoinSet<()>,
    sessions: JoinSet<()>,
}

impl Actor for Control {
    type Msg = ControlMsg;
    type State = ControlState;
    type Arguments = ControlArgs;

    async fn pre_start(
        &self,
        me: ActorRef<ControlMsg>,
        args: ControlArgs,
    ) -> Result<ControlState, ActorProcessingErr> {
        let listener = socket::listen(&args.state_dir).await?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, me, args.view.clone()));
        Ok(ControlState { args, accepting, sessions: JoinSet::new() })
    }

    async fn handle(
        &self,
        me: ActorRef<ControlMsg>,
        message: ControlMsg,
        state: &mut ControlState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ControlMsg::Connected { stream, place } => state.on_connected(&me, stream, place),
            ControlMsg::SessionEnded => state.on_session_ended(),
            ControlMsg::Broken { reason } => return Err(reason.into()),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<ControlMsg>,
        _event: SupervisionEvent,
        _state: &mut ControlState,
    ) -> Result<(), ActorProcessingErr> {
        Ok(()) // it has no children
    }

    /// The last records, `result` of a `shutdown` among them, reach their clients.
    async fn post_stop(
        &self,
        _me: ActorRef<ControlMsg>,
        state: &mut ControlState,
    ) -> Result<(), ActorProcessingErr> {
        state.accepting.shutdown().await;
        while state.sessions.join_next().await.is_some() {}
        Ok(())
    }
}

impl ControlState {
    fn on_connected(
        &mut self,
        me: &ActorRef<ControlMsg>,
        stream: Stream,
        place: OwnedSemaphorePermit,
    ) {
        let commander = self.args.commander.clone();
        let me = me.clone();
        self.sessions.spawn(async move {
            let events = commander.events();
            let options = SessionOptions {
                input_end: InputEnd::Leave,
                write_deadline: Some(CONTROL_WRITE_DEADLINE),
            };
            let (input, output) = tokio::io::split(stream);
            if let Err(error) = serve(input, output, commander, events, options).await {
                tracing::debug!(%error, "a control session broke");
            }
            drop(place);
            me.cast(ControlMsg::SessionEnded).ok();
        });
    }

    fn on_session_ended(&mut self) {
        while let Some(ended) = self.sessions.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a control session panicked");
                self.args.view.tell(ViewMsg::Count { counter: "control-panics", by: 1 });
            }
        }
    }
}

/// Accepts clients of the same user while there are places.
async fn accept(listener: Listener, me: ActorRef<ControlMsg>, view: Addr<ViewMsg>) {
    let places = Arc::new(Semaphore::new(CONTROL_CLIENTS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                me.cast(ControlMsg::Broken { reason: error.to_string() }).ok();
                return;
            }
        };
        match socket::is_same_user(&stream) {
            Ok(true) => {}
            refused => {
                tracing::warn!(?refused, "a client of another user was refused");
                view.tell(ViewMsg::Count { counter: "control-refused", by: 1 });
                continue;
            }
        }
        if me.cast(ControlMsg::Connected { stream, place }).is_err() {
            return;
        }
    }
}
