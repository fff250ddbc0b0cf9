//! The group `Peers`, `Listener`, `Discovery`: who lives, who is restarted when, and in which
//! order.
//!
//! Must never start one before the one before it lives, and never decide when time has passed: the
//! timers are its owner's.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use lanspread_wire::PROTOCOL_VERSION;
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr};
use tokio::sync::watch;

use super::{NetworkMsg, NetworkSlots};
use crate::{
    addr::Slot,
    api::Event,
    discovery::{self, Discovery, DiscoveryArgs, DiscoveryMsg},
    facts::PeerTable,
    listener::{Listener, ListenerArgs, ListenerMsg, gate::SharedGate},
    net::{addresses::InterfaceAddress, backend::Advert, limits},
    peers::{Peers, PeersArgs, PeersMsg},
    ports::Ports,
    supervise::{Child, Death, Policy, RestartBudget, Verdict},
    view::ViewMsg,
};

/// The name of the supervisor in `status`.
const SUPERVISOR: &str = "network";

/// What the group is made with.
pub(super) struct GroupArgs {
    pub(super) ports: Ports,
    pub(super) peer_table: Arc<watch::Sender<Arc<PeerTable>>>,
    pub(super) slots: NetworkSlots,
    pub(super) endpoint: quinn::Endpoint,
    pub(super) local: SocketAddr,
    pub(super) addresses: Arc<watch::Sender<Vec<SocketAddr>>>,
    pub(super) interfaces: Arc<watch::Sender<Arc<Vec<InterfaceAddress>>>>,
}

/// The three children.
pub(super) struct Group {
    args: GroupArgs,
    gate: SharedGate,
    peers: Child<PeersMsg>,
    listener: Child<ListenerMsg>,
    discovery: Child<DiscoveryMsg>,
    discovery_mode: DiscoveryMode,
    /// The generation of the restart that is waited for; an older timer is stale.
    generation: u64,
}

/// Whether discovery is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DiscoveryMode {
    Wanted,
    /// Its budget is spent; tried again later.
    GivenUp,
    /// The node is about to end.
    Withdrawn,
}

/// The members in the order of their start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Peers,
    Listener,
    Discovery,
}

/// What the owner has to do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// Call [`Group::start_missing`] after `delay`, if the generation is then still due.
    StartAfter {
        delay: Duration,
        generation: u64,
    },
    /// Call [`Group::reconsider_discovery`] after a long while.
    RetryDiscovery,
}

impl Group {
    pub(super) fn new(args: GroupArgs) -> Self {
        let peers = Child::new("peers", Policy::Restart, args.slots.peers.clone(), budget());
        let listener = Child::new("listener", Policy::Restart, Slot::new().0, budget());
        let slot = args.slots.discovery.clone();
        let discovery = Child::new("discovery", Policy::Degrade, slot, budget());
        Self {
            args,
            gate: SharedGate::default(),
            peers,
            listener,
            discovery,
            discovery_mode: DiscoveryMode::Wanted,
            generation: 0,
        }
    }

    /// Whether a timer of this generation still counts.
    pub(super) fn is_due(&self, generation: u64) -> bool {
        self.generation == generation
    }

    /// Starts, in order, whoever does not live. A start that fails goes through the same budget as
    /// a death, and those after it wait.
    pub(super) async fn start_missing(
        &mut self,
        network: &ActorRef<NetworkMsg>,
    ) -> Result<Next, ActorProcessingErr> {
        for part in [Part::Peers, Part::Listener, Part::Discovery] {
            if self.lives(part) || (part == Part::Discovery && !self.wants_discovery()) {
                continue;
            }
            if let Err(error) = self.start(part, network).await {
                tracing::warn!(?part, %error, "cannot start");
                let verdict = match part {
                    Part::Peers => self.peers.on_failed_start(&error),
                    Part::Listener => self.listener.on_failed_start(&error),
                    Part::Discovery => self.discovery.on_failed_start(&error),
                };
                return self.judge(part, verdict, &error.to_string());
            }
        }
        self.tell_health();
        Ok(Next::Nothing)
    }

    /// A child died: those after it are stopped, and the start from it on is planned.
    pub(super) async fn on_death(&mut self, death: &Death) -> Result<Next, ActorProcessingErr> {
        let Some(part) = self.part_of(death) else {
            return Ok(Next::Nothing);
        };
        tracing::warn!(?part, reason = %death.reason, "died");
        if part < Part::Discovery {
            self.discovery.stop("a neighbour died", limits::STOP_DEADLINE).await;
        }
        if part < Part::Listener {
            self.listener.stop("a neighbour died", limits::STOP_DEADLINE).await;
        }
        let verdict = match part {
            Part::Peers => self.peers.on_death(death).await,
            Part::Listener => self.listener.on_death(death).await,
            Part::Discovery => self.discovery.on_death(death).await,
        };
        self.judge(part, verdict, &death.reason)
    }

    /// Discovery that was given up may try again; `true` if it was given up.
    pub(super) fn reconsider_discovery(&mut self) -> bool {
        let given_up = self.discovery_mode == DiscoveryMode::GivenUp;
        if given_up {
            self.discovery_mode = DiscoveryMode::Wanted;
        }
        given_up
    }

    /// Withdraws the advert for good.
    pub(super) async fn withdraw(&mut self) {
        self.discovery_mode = DiscoveryMode::Withdrawn;
        self.discovery.stop("shutdown", limits::STOP_DEADLINE).await;
    }

    /// Ends the group in order: nobody finds us, everybody is told, nobody comes in.
    pub(super) async fn farewell(&mut self) {
        self.withdraw().await;
        let farewell = |reply| PeersMsg::Goodbye { reply };
        let peers = self.peers.addr();
        if let Err(error) = peers.call(farewell, limits::FAREWELL_DEADLINE).await {
            tracing::debug!(%error, "no goodbye was said");
        }
        self.listener.stop("shutdown", limits::STOP_DEADLINE).await;
        self.peers.stop("shutdown", limits::STOP_DEADLINE).await;
    }

    fn judge(
        &mut self,
        part: Part,
        verdict: Verdict,
        reason: &str,
    ) -> Result<Next, ActorProcessingErr> {
        self.tell_health();
        match verdict {
            Verdict::RestartAfter(delay) => {
                self.tell_restart(part, reason);
                self.generation += 1;
                Ok(Next::StartAfter { delay, generation: self.generation })
            }
            Verdict::GiveUp(text) => {
                self.discovery_mode = DiscoveryMode::GivenUp;
                let text = format!(
                    "other nodes are not found any more, this node goes on without it ({text}); \
                     connecting by address works"
                );
                let problem = ViewMsg::Problem { part: discovery::PART, text: Some(text) };
                self.args.ports.view.tell(problem);
                Ok(Next::RetryDiscovery)
            }
            Verdict::Escalate(text) => Err(text.into()),
        }
    }

    async fn start(&mut self, part: Part, network: &ActorRef<NetworkMsg>) -> Result<(), SpawnErr> {
        let (parent, args) = (network.get_cell(), &self.args);
        match part {
            Part::Peers => {
                let args = PeersArgs {
                    ports: args.ports.clone(),
                    endpoint: args.endpoint.clone(),
                    addresses: args.addresses.subscribe(),
                    peer_table: args.peer_table.clone(),
                };
                self.peers.start(Actor::spawn_linked(None, Peers, args, parent)).await
            }
            Part::Listener => {
                let args = ListenerArgs {
                    ports: args.ports.clone(),
                    endpoint: args.endpoint.clone(),
                    gate: self.gate.clone(),
                    interfaces: args.interfaces.subscribe(),
                };
                self.listener.start(Actor::spawn_linked(None, Listener, args, parent)).await
            }
            Part::Discovery => {
                let args = DiscoveryArgs {
                    ports: args.ports.clone(),
                    advert: self.advert(),
                    interfaces: args.interfaces.subscribe(),
                };
                self.discovery.start(Actor::spawn_linked(None, Discovery, args, parent)).await
            }
        }
    }

    fn advert(&self) -> Advert {
        let address = self.args.local;
        let peer = self.args.ports.me();
        Advert { peer, protocol: PROTOCOL_VERSION, port: address.port(), address }
    }

    fn wants_discovery(&self) -> bool {
        self.discovery_mode == DiscoveryMode::Wanted
    }

    fn lives(&self, part: Part) -> bool {
        match part {
            Part::Peers => self.peers.is_running(),
            Part::Listener => self.listener.is_running(),
            Part::Discovery => self.discovery.is_running(),
        }
    }

    /// `None` for an incarnation that was stopped on purpose.
    fn part_of(&self, death: &Death) -> Option<Part> {
        let dead = death.actor;
        [
            (self.peers.is(dead), Part::Peers),
            (self.listener.is(dead), Part::Listener),
            (self.discovery.is(dead), Part::Discovery),
        ]
        .into_iter()
        .find_map(|(is_it, part)| is_it.then_some(part))
    }

    fn tell_health(&self) {
        let actors = vec![self.peers.health(), self.listener.health(), self.discovery.health()];
        self.args.ports.view.tell(ViewMsg::Health { supervisor: SUPERVISOR, actors });
    }

    fn tell_restart(&self, part: Part, reason: &str) {
        let health = match part {
            Part::Peers => self.peers.health(),
            Part::Listener => self.listener.health(),
            Part::Discovery => self.discovery.health(),
        };
        self.args.ports.view.tell(ViewMsg::Event(Event::ActorRestarted {
            component: health.name,
            reason: reason.to_owned(),
            restarts: health.restarts,
        }));
    }
}

fn budget() -> RestartBudget {
    RestartBudget::new(limits::RESTARTS_MAX, limits::RESTARTS_WINDOW, limits::RESTART_DELAY)
}
