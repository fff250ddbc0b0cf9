//! The `Discovery` actor: what is advertised and who was seen.
//!
//! * Owns: the life of the discovery backend, whether anybody else was ever seen, and when the
//!   advert was said again last.
//! * Receives: news from the backend's channel, each with a permit; `Refresh` from `Peers`.
//! * Sends: every sighting of somebody else to `Peers`, paced; problems, counts and notices to
//!   `View`.
//! * Dies: when the backend ends or cannot start.
//! * Comes back from: nothing. It is told again who is there, because a new backend asks the
//!   network.
//!
//! Must never decide whom to dial, and never say that somebody left: liveness is the business of
//! connections (T12).

pub(crate) mod filter;
pub(crate) mod known;
pub mod mdns;
mod session;

use std::{sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    net::{
        addresses::InterfaceAddress,
        backend::{Advert, DiscoveryGuard, DiscoveryNews, Sighting},
        bucket::Bucket,
        limits,
        task::spawn_reporting,
    },
    peers::PeersMsg,
    ports::Ports,
    view::ViewMsg,
};

/// Messages of the `Discovery` actor.
pub enum DiscoveryMsg {
    /// From `Peers`: somebody was lost; advertise again so that it finds us.
    Refresh,
    /// From its own tasks and timers.
    Internal(DiscoveryInternal),
}

/// What the actor tells itself.
pub struct DiscoveryInternal(Internal);

enum Internal {
    /// From the pump. The permit bounds how many wait.
    News(DiscoveryNews, OwnedSemaphorePermit),
    /// From the pump, at its end: the channel closed, or it panicked.
    Ended(Result<(), String>),
    /// The pause after a refresh is over, and another was wanted meanwhile.
    RefreshDue,
    /// Time to tell the user if nobody was seen.
    QuietDue,
    /// Our own id was seen at an address that was not ours; time to look again.
    CloneDue(Sighting),
}

/// What the actor starts with.
pub struct DiscoveryArgs {
    /// The wiring of the node.
    pub ports: Ports,
    /// What is told about this node.
    pub advert: Advert,
    /// The addresses of this machine, kept up to date.
    pub interfaces: watch::Receiver<Arc<Vec<InterfaceAddress>>>,
}

/// The actor type.
pub struct Discovery;

/// The state of `Discovery`.
pub struct DiscoveryState {
    args: DiscoveryArgs,
    guard: Option<Box<dyn DiscoveryGuard>>,
    refresh: Refresh,
    saw_others: bool,
    cloned: Cloned,
    /// The pump.
    _tasks: JoinSet<()>,
}

/// Saying again what we are is paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refresh {
    Ready,
    Pausing,
    /// Pausing, and another one is wanted.
    Wanted,
}

/// Whether somebody else uses our identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cloned {
    Unseen,
    /// Our id was seen elsewhere; our own addresses may just have changed.
    Suspected,
    /// The user was told.
    Told,
}

/// Part of the node in problems told to the user: discovery itself.
pub(crate) const PART: &str = "discovery";
/// Part of the node in problems told to the user: that nobody was found.
const PART_NEIGHBOURS: &str = "neighbours";

impl Actor for Discovery {
    type Msg = DiscoveryMsg;
    type State = DiscoveryState;
    type Arguments = DiscoveryArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let (found, news) = mpsc::channel(limits::SIGHTINGS_IN_FLIGHT_MAX);
        let guard = args.ports.config.discovery.start(args.advert.clone(), found)?;
        let mut tasks = JoinSet::new();
        spawn_reporting(&mut tasks, &myself, pump(news, myself.clone()), |end| {
            internal(Internal::Ended(end))
        });
        myself.send_after(limits::QUIET_HINT_AFTER, || internal(Internal::QuietDue));
        args.ports.view.tell(ViewMsg::Problem { part: PART, text: None });
        Ok(DiscoveryState {
            args,
            guard: Some(guard),
            refresh: Refresh::Ready,
            saw_others: false,
            cloned: Cloned::Unseen,
            _tasks: tasks,
        })
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(guard) = state.guard.take() {
            guard.withdraw().await;
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
            DiscoveryMsg::Refresh => state.on_refresh(&myself),
            DiscoveryMsg::Internal(DiscoveryInternal(message)) => match message {
                Internal::News(news, _permit) => state.on_news(&myself, news),
                Internal::Ended(end) => return Err(end_of(end).into()),
                Internal::RefreshDue => state.on_refresh_due(&myself),
                Internal::QuietDue => state.on_quiet_due(),
                Internal::CloneDue(sighting) => state.on_clone_due(&sighting),
            },
        }
        Ok(())
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

impl DiscoveryState {
    fn on_news(&mut self, myself: &ActorRef<DiscoveryMsg>, news: DiscoveryNews) {
        let view = &self.args.ports.view;
        match news {
            DiscoveryNews::Seen(sighting) if sighting.peer == self.args.advert.peer => {
                self.on_own_id(myself, sighting);
            }
            DiscoveryNews::Seen(sighting) => {
                if !self.saw_others {
                    self.saw_others = true;
                    view.tell(ViewMsg::Problem { part: PART_NEIGHBOURS, text: None });
                }
                self.args.ports.peers.tell(PeersMsg::Seen(sighting));
            }
            DiscoveryNews::Ignored { count, last } => {
                tracing::info!(count, last, "announcements ignored");
                view.tell(ViewMsg::Count { counter: "announcements-ignored", by: count });
            }
            DiscoveryNews::Hindered(text) => {
                view.tell(ViewMsg::Problem { part: PART, text });
            }
        }
    }

    /// Our own id is ours as long as it is at one of our addresses. Elsewhere it is a copy of this
    /// installation, or somebody who pretends (T06), or a new address that we do not know of yet.
    fn on_own_id(&mut self, myself: &ActorRef<DiscoveryMsg>, sighting: Sighting) {
        if self.cloned == Cloned::Unseen && !self.is_ours(&sighting) {
            self.cloned = Cloned::Suspected;
            let later = move || internal(Internal::CloneDue(sighting));
            myself.send_after(limits::ADDRESS_CHECK_EVERY * 2, later);
        }
    }

    fn is_ours(&self, sighting: &Sighting) -> bool {
        let interfaces = self.args.interfaces.borrow();
        sighting.addresses.iter().any(|address| {
            *address == self.args.advert.address
                || interfaces.iter().any(|own| own.ip == address.ip())
        })
    }

    /// Said once: anybody can claim it again.
    fn on_clone_due(&mut self, sighting: &Sighting) {
        if self.is_ours(sighting) {
            self.cloned = Cloned::Unseen;
            return;
        }
        self.cloned = Cloned::Told;
        let addresses: Vec<String> = sighting.addresses.iter().map(ToString::to_string).collect();
        let message = format!(
            "cloned identity: another machine ({}) announces itself as this node, {}. If this \
             installation was copied, remove {} in the state folder of one of them",
            addresses.join(", "),
            self.args.advert.peer.short(),
            crate::net::identity::KEY_FILE,
        );
        self.args.ports.view.tell(ViewMsg::Notice { game: None, message });
    }

    fn on_refresh(&mut self, myself: &ActorRef<DiscoveryMsg>) {
        match self.refresh {
            Refresh::Ready => self.refresh_now(myself),
            Refresh::Pausing | Refresh::Wanted => self.refresh = Refresh::Wanted,
        }
    }

    fn on_refresh_due(&mut self, myself: &ActorRef<DiscoveryMsg>) {
        match self.refresh {
            Refresh::Wanted => self.refresh_now(myself),
            Refresh::Ready | Refresh::Pausing => self.refresh = Refresh::Ready,
        }
    }

    fn refresh_now(&mut self, myself: &ActorRef<DiscoveryMsg>) {
        if let Some(guard) = &mut self.guard {
            guard.refresh();
        }
        self.refresh = Refresh::Pausing;
        myself.send_after(limits::REFRESH_PAUSE, || internal(Internal::RefreshDue));
    }

    /// Says why nobody may be found (T20). An empty hall looks the same from here, so it is no
    /// fault.
    fn on_quiet_due(&self) {
        if self.saw_others {
            return;
        }
        let text = format!(
            "no other node was found yet. If others are running: they may be in another network or \
             VLAN, the access point may keep its clients apart, or a firewall may block mDNS (UDP \
             5353) or this node's port (UDP {}). `connect ADDRESS` works without discovery",
            self.args.advert.port,
        );
        let problem = ViewMsg::Problem { part: PART_NEIGHBOURS, text: Some(text) };
        self.args.ports.view.tell(problem);
    }
}

/// Carries news from the backend to the actor: sightings paced, and never more under way than there
/// are permits, so that a flood ends in the bounded structure of the backend.
async fn pump(mut news: mpsc::Receiver<DiscoveryNews>, actor: ActorRef<DiscoveryMsg>) {
    let permits = Arc::new(Semaphore::new(limits::SIGHTINGS_IN_FLIGHT_MAX));
    let mut pace = Bucket::new(limits::SIGHTINGS_BURST_MAX, limits::SIGHTING_PAUSE, Instant::now());
    while let Some(news) = news.recv().await {
        while let Err(wait) = pace.take(Instant::now()) {
            sleep(wait.max(Duration::from_millis(1))).await;
        }
        // The semaphore lives here and is never closed.
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        if actor.cast(internal(Internal::News(news, permit))).is_err() {
            return;
        }
    }
}

fn internal(message: Internal) -> DiscoveryMsg {
    DiscoveryMsg::Internal(DiscoveryInternal(message))
}

fn end_of(end: Result<(), String>) -> String {
    match end {
        Ok(()) => "discovery ended by itself".to_owned(),
        Err(panic) => format!("the task of discovery panicked: {panic}"),
    }
}
