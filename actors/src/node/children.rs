//! The children of a node as its supervisor sees them: which there are, in which order they start,
//! what the death of each means.

use ractor::{ActorId, ActorRef, Message, SpawnErr, concurrency::JoinHandle};

use super::wiring::Slots;
use crate::{
    api::ActorHealth,
    control::ControlMsg,
    disk::DiskMsg,
    library::LibraryMsg,
    limits::node::{RESTART_DELAY, RESTARTS_MAX, RESTARTS_WINDOW},
    network::NetworkMsg,
    operations::OperationsMsg,
    supervise::{Child, Death, Policy, RestartBudget, Verdict},
    view::ViewMsg,
};

/// A child, named. Declared in the order of the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    View,
    Disk,
    Library,
    Operations,
    Network,
    Control,
}

impl Part {
    /// All of them, in the order of the start.
    pub(crate) const ALL: [Self; 6] =
        [Self::View, Self::Disk, Self::Library, Self::Operations, Self::Network, Self::Control];

    /// Its name in events and in `status`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Disk => "disk",
            Self::Library => "library",
            Self::Operations => "operations",
            Self::Network => "network",
            Self::Control => "control",
        }
    }

    /// What its death means.
    fn policy(self) -> Policy {
        match self {
            // Whoever owns the leases cannot be replaced under running workers.
            Self::Disk => Policy::Required,
            Self::View | Self::Library | Self::Operations | Self::Network => Policy::Restart,
            // A node that scripts cannot reach still serves its peers.
            Self::Control => Policy::Degrade,
        }
    }
}

/// A child that has just been spawned, or that could not be.
pub(crate) enum Spawned {
    View(Result<(ActorRef<ViewMsg>, JoinHandle<()>), SpawnErr>),
    Disk(Result<(ActorRef<DiskMsg>, JoinHandle<()>), SpawnErr>),
    Library(Result<(ActorRef<LibraryMsg>, JoinHandle<()>), SpawnErr>),
    Operations(Result<(ActorRef<OperationsMsg>, JoinHandle<()>), SpawnErr>),
    Network(Result<(ActorRef<NetworkMsg>, JoinHandle<()>), SpawnErr>),
    Control(Result<(ActorRef<ControlMsg>, JoinHandle<()>), SpawnErr>),
}

/// The children.
pub(crate) struct Children {
    pub(crate) view: Child<ViewMsg>,
    pub(crate) disk: Child<DiskMsg>,
    pub(crate) library: Child<LibraryMsg>,
    pub(crate) operations: Child<OperationsMsg>,
    pub(crate) network: Child<NetworkMsg>,
    pub(crate) control: Child<ControlMsg>,
}

/// Does the same with the child of any message type.
macro_rules! with {
    ($children:expr, $part:expr, $child:ident => $body:expr) => {
        match $part {
            Part::View => {
                let $child = &mut $children.view;
                $body
            }
            Part::Disk => {
                let $child = &mut $children.disk;
                $body
            }
            Part::Library => {
                let $child = &mut $children.library;
                $body
            }
            Part::Operations => {
                let $child = &mut $children.operations;
                $body
            }
            Part::Network => {
                let $child = &mut $children.network;
                $body
            }
            Part::Control => {
                let $child = &mut $children.control;
                $body
            }
        }
    };
}

impl Children {
    pub(crate) fn new(slots: Slots) -> Self {
        Self {
            view: child(Part::View, slots.view),
            disk: child(Part::Disk, slots.disk),
            library: child(Part::Library, slots.library),
            operations: child(Part::Operations, slots.operations),
            network: child(Part::Network, slots.network),
            control: child(Part::Control, slots.control),
        }
    }

    /// Whose present incarnation this is.
    pub(crate) fn part_of(&mut self, actor: ActorId) -> Option<Part> {
        Part::ALL.into_iter().find(|part| with!(self, *part, child => child.is(actor)))
    }

    /// Takes a spawned child in. An error means that it did not start.
    pub(crate) async fn admit(&mut self, spawned: Spawned) -> (Part, Result<(), SpawnErr>) {
        match spawned {
            Spawned::View(child) => (Part::View, admit(&mut self.view, child).await),
            Spawned::Disk(child) => (Part::Disk, admit(&mut self.disk, child).await),
            Spawned::Library(child) => (Part::Library, admit(&mut self.library, child).await),
            Spawned::Operations(child) => {
                (Part::Operations, admit(&mut self.operations, child).await)
            }
            Spawned::Network(child) => (Part::Network, admit(&mut self.network, child).await),
            Spawned::Control(child) => (Part::Control, admit(&mut self.control, child).await),
        }
    }

    pub(crate) async fn on_death(&mut self, part: Part, death: &Death) -> Verdict {
        with!(self, part, child => child.on_death(death).await)
    }

    pub(crate) fn on_failed_start(&mut self, part: Part, error: &SpawnErr) -> Verdict {
        with!(self, part, child => child.on_failed_start(error))
    }

    /// Stops the present incarnation, if there is one.
    pub(crate) async fn stop(&mut self, part: Part, deadline: std::time::Duration) {
        with!(self, part, child => child.stop("shutdown", deadline).await);
    }

    pub(crate) fn health_of(&mut self, part: Part) -> ActorHealth {
        with!(self, part, child => child.health())
    }

    pub(crate) fn health(&mut self) -> Vec<ActorHealth> {
        Part::ALL.into_iter().map(|part| self.health_of(part)).collect()
    }
}

fn child<M: Message>(part: Part, slot: crate::addr::Slot<M>) -> Child<M> {
    let budget = RestartBudget::new(RESTARTS_MAX, RESTARTS_WINDOW, RESTART_DELAY);
    Child::new(part.name(), part.policy(), slot, budget)
}

async fn admit<M: Message>(
    child: &mut Child<M>,
    spawned: Result<(ActorRef<M>, JoinHandle<()>), SpawnErr>,
) -> Result<(), SpawnErr> {
    child.start(std::future::ready(spawned)).await
}
