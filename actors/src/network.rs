//! The `Network` actor: the QUIC endpoint and discovery as values, and the group `Peers`,
//! `Listener`, `Discovery`.
//!
//! * Owns: the endpoint (its socket outlives every actor that merely holds a clone), the gate for
//!   incoming connections, the addresses of this machine, and the restart budgets of the group.
//! * Receives: `Withdraw` from `Node` at shutdown; deaths of its children; its own timers and
//!   tasks.
//! * Sends: problems, restarts and health to `View`; `Refresh` to `Discovery` when addresses
//!   change.
//! * Dies: when the endpoint cannot be opened, or the budget of `Peers` or `Listener` is spent.
//!   Discovery past its budget is given up: the node goes on without it and tries again later.
//! * Comes back from: its `Args`: the port it had, and the slots and watches that outlive it.
//!
//! The group is restarted in order (rest-for-one): who dies takes those after it along, and they
//! are started again from it on. Must never have two of one kind alive, and never start one before
//! the one before it lives.

mod bind;
mod group;

use std::{net::SocketAddr, sync::Arc};

use lanspread_wire::CloseCode;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::{
    sync::watch,
    task::{JoinSet, spawn_blocking},
    time::timeout,
};

use self::group::{Group, GroupArgs};
use crate::{
    addr::Slot,
    discovery::DiscoveryMsg,
    facts::PeerTable,
    net::{
        addresses::{self, InterfaceAddress},
        backend::Transport,
        endpoint::Bound,
        limits,
        task::spawn_reporting,
    },
    peers::PeersMsg,
    ports::Ports,
    supervise::Death,
    view::ViewMsg,
};

/// Messages of the `Network` actor.
pub enum NetworkMsg {
    /// From `Node`, first thing at shutdown: withdraw the advert, so that nobody dials us any more.
    /// Answered when it is withdrawn. Stopping the actor does the rest: farewell of `Peers`, close
    /// of the endpoint, a short wait for the last frames.
    Withdraw { reply: RpcReplyPort<()> },
    /// From its own tasks and timers.
    Internal(NetworkInternal),
}

/// What the actor tells itself.
pub struct NetworkInternal(Internal);

enum Internal {
    /// Start whoever of the group is missing. Stale if the generation is not the present one.
    Start { generation: u64 },
    /// Time to read the addresses of this machine.
    ReadAddresses,
    /// They were read, or not.
    Addresses(Result<Vec<InterfaceAddress>, String>),
    /// Time to try discovery again.
    RetryDiscovery,
}

/// The write ends of the addresses of the group. Shared by every incarnation of `Network`, written
/// by the living one alone.
#[derive(Clone)]
pub struct NetworkSlots {
    /// Where `Peers` is.
    pub peers: Arc<Slot<PeersMsg>>,
    /// Where `Discovery` is.
    pub discovery: Arc<Slot<DiscoveryMsg>>,
}

/// What the actor starts with. Everything in it outlives the actor.
#[derive(Clone)]
pub struct NetworkArgs {
    /// The wiring of the node.
    pub ports: Ports,
    /// The write end of the table of peers, for `Peers`.
    pub peer_table: Arc<watch::Sender<Arc<PeerTable>>>,
    /// The addresses of the group.
    pub slots: NetworkSlots,
    /// Where this node can be reached, real addresses first, loopback last: for greetings and for
    /// user interfaces. Changes with the network.
    pub addresses: Arc<watch::Sender<Vec<SocketAddr>>>,
    /// The port of the listener: the one to take, if any, and then the one that was taken. A
    /// restarted `Network` takes it again, and whoever stores it lets the next process take it.
    pub port: Arc<watch::Sender<Option<u16>>>,
}

/// The actor type.
pub struct Network;

/// The state of `Network`.
pub struct NetworkState {
    args: NetworkArgs,
    bound: EndpointGuard,
    interfaces: Arc<watch::Sender<Arc<Vec<InterfaceAddress>>>>,
    group: Group,
    tasks: JoinSet<()>,
}

/// Closes the connections of an endpoint whose owner died: their tasks may hold clones of it, and
/// the port is free only when the last connection is gone.
struct EndpointGuard(Bound);

impl Drop for EndpointGuard {
    fn drop(&mut self) {
        let code = CloseCode::Internal;
        self.0.endpoint.close(code.as_u32().into(), code.code().as_bytes());
    }
}

impl Actor for Network {
    type Msg = NetworkMsg;
    type State = NetworkState;
    type Arguments = NetworkArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let bound = EndpointGuard(bind::open(&args).await?);
        let interfaces = Arc::new(watch::Sender::new(Arc::default()));
        let group = Group::new(GroupArgs {
            ports: args.ports.clone(),
            peer_table: args.peer_table.clone(),
            slots: args.slots.clone(),
            endpoint: bound.0.endpoint.clone(),
            local: bound.0.local,
            addresses: args.addresses.clone(),
            interfaces: interfaces.clone(),
        });
        let mut state = NetworkState { args, bound, interfaces, group, tasks: JoinSet::new() };
        state.note_addresses(read_addresses(&state.args.ports).await);
        state.start(&myself).await?;
        state.read_addresses_later(&myself);
        Ok(state)
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        state.tasks.abort_all();
        state.group.farewell().await;
        let endpoint = &state.bound.0.endpoint;
        let code = CloseCode::Shutdown;
        endpoint.close(code.as_u32().into(), code.code().as_bytes());
        if timeout(limits::GOODBYE_DEADLINE, endpoint.wait_idle()).await.is_err() {
            tracing::debug!("some peers did not take the goodbye in time");
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            NetworkMsg::Withdraw { reply } => state.on_withdraw(reply).await,
            NetworkMsg::Internal(NetworkInternal(message)) => match message {
                Internal::Start { generation } => state.on_start(&myself, generation).await?,
                Internal::ReadAddresses => state.on_read_addresses(&myself),
                Internal::Addresses(read) => state.on_addresses(&myself, read).await?,
                Internal::RetryDiscovery => state.on_retry_discovery(&myself).await?,
            },
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(death) = Death::from_event(event) {
            let next = state.group.on_death(&death).await?;
            state.follow(&myself, next);
        }
        Ok(())
    }
}

impl NetworkState {
    /// Stops discovery in order; the answer tells that the advert is withdrawn.
    async fn on_withdraw(&mut self, reply: RpcReplyPort<()>) {
        self.group.withdraw().await;
        if reply.send(()).is_err() {
            tracing::debug!("nobody waits for the withdrawal any more");
        }
    }

    async fn start(&mut self, myself: &ActorRef<NetworkMsg>) -> Result<(), ActorProcessingErr> {
        let next = self.group.start_missing(myself).await?;
        self.follow(myself, next);
        Ok(())
    }

    async fn on_start(
        &mut self,
        myself: &ActorRef<NetworkMsg>,
        generation: u64,
    ) -> Result<(), ActorProcessingErr> {
        if self.group.is_due(generation) { self.start(myself).await } else { Ok(()) }
    }

    async fn on_retry_discovery(
        &mut self,
        myself: &ActorRef<NetworkMsg>,
    ) -> Result<(), ActorProcessingErr> {
        if self.group.reconsider_discovery() { self.start(myself).await } else { Ok(()) }
    }

    /// Arms the timers that the group wants.
    fn follow(&mut self, myself: &ActorRef<NetworkMsg>, next: group::Next) {
        match next {
            group::Next::Nothing => {}
            group::Next::StartAfter { delay, generation } => {
                myself.send_after(delay, move || internal(Internal::Start { generation }));
            }
            group::Next::RetryDiscovery => {
                myself.send_after(limits::DISCOVERY_RETRY_AFTER, || {
                    internal(Internal::RetryDiscovery)
                });
            }
        }
    }

    /// A virtual network has no interfaces to read.
    fn read_addresses_later(&mut self, myself: &ActorRef<NetworkMsg>) {
        if matches!(self.args.ports.config.transport, Transport::Udp) {
            myself.send_after(limits::ADDRESS_CHECK_EVERY, || internal(Internal::ReadAddresses));
        }
    }

    fn on_read_addresses(&mut self, myself: &ActorRef<NetworkMsg>) {
        let ports = self.args.ports.clone();
        let read = async move { read_addresses(&ports).await };
        spawn_reporting(&mut self.tasks, myself, read, |read| {
            internal(Internal::Addresses(read.and_then(|read| read)))
        });
    }

    async fn on_addresses(
        &mut self,
        myself: &ActorRef<NetworkMsg>,
        read: Result<Vec<InterfaceAddress>, String>,
    ) -> Result<(), ActorProcessingErr> {
        self.read_addresses_later(myself);
        if !self.note_addresses(read) {
            return Ok(());
        }
        self.args.ports.discovery.tell(DiscoveryMsg::Refresh);
        // Another network may have what discovery lacked.
        self.on_retry_discovery(myself).await
    }

    /// Publishes the addresses of this machine; `true` if they changed.
    fn note_addresses(&mut self, read: Result<Vec<InterfaceAddress>, String>) -> bool {
        let local = self.bound.0.local;
        let interfaces = match read {
            Ok(interfaces) => interfaces,
            Err(error) => {
                tracing::warn!(%error, "the addresses of this machine cannot be read");
                return false;
            }
        };
        let reachable = addresses::listening(local, &interfaces);
        let none = reachable.is_empty().then(|| {
            "no network interface that this node may use has an address; it is alone until one has"
                .to_owned()
        });
        let changed = self.args.addresses.send_if_modified(|published| {
            let changed = *published != reachable;
            published.clone_from(&reachable);
            changed
        });
        let interfaces = Arc::new(interfaces);
        let changed = self.interfaces.send_if_modified(|published| {
            let changed = *published != interfaces;
            published.clone_from(&interfaces);
            changed
        }) || changed;
        if changed {
            tracing::info!(addresses = ?reachable, "this node can be reached at");
            self.args.ports.view.tell(ViewMsg::Problem { part: PART, text: none });
        }
        changed
    }
}

/// Part of the node in problems told to the user.
const PART: &str = "network";

/// The addresses of the interfaces that may be used; none on a virtual network.
async fn read_addresses(ports: &Ports) -> Result<Vec<InterfaceAddress>, String> {
    if !matches!(ports.config.transport, Transport::Udp) {
        return Ok(Vec::new());
    }
    match spawn_blocking(addresses::read).await {
        Ok(Ok(all)) => Ok(addresses::select(all, &ports.config.interfaces)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(panic.to_string()),
    }
}

fn internal(message: Internal) -> NetworkMsg {
    NetworkMsg::Internal(NetworkInternal(message))
}
