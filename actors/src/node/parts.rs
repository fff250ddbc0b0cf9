//! How the children of a node are started: the real ones, or stand-ins in tests of supervision.
//!
//! A stand-in has the message type of the part it replaces, so the node cannot tell the difference.

use futures::{FutureExt as _, future::BoxFuture};
use ractor::{Actor, ActorCell, ActorRef, Message, SpawnErr, concurrency::JoinHandle};

use crate::{
    control::{Control, ControlArgs, ControlMsg},
    disk::{Disk, DiskArgs, DiskMsg},
    library::{Library, LibraryArgs, LibraryMsg},
    network::{Network, NetworkArgs, NetworkMsg},
    operations::{Operations, OperationsArgs, OperationsMsg},
    view::{View, ViewArgs, ViewMsg},
};

/// A child on its way: done when its `pre_start` is.
pub type Spawning<M> = BoxFuture<'static, Result<(ActorRef<M>, JoinHandle<()>), SpawnErr>>;

/// Starts the children of a node, linked to `parent`.
pub trait Parts: Send + Sync + 'static {
    /// Starts `View`.
    fn view(&self, args: ViewArgs, parent: ActorCell) -> Spawning<ViewMsg> {
        spawn(View, args, parent)
    }

    /// Starts `Disk`.
    fn disk(&self, args: DiskArgs, parent: ActorCell) -> Spawning<DiskMsg> {
        spawn(Disk, args, parent)
    }

    /// Starts `Library`.
    fn library(&self, args: LibraryArgs, parent: ActorCell) -> Spawning<LibraryMsg> {
        spawn(Library::default(), args, parent)
    }

    /// Starts `Operations`.
    fn operations(&self, args: OperationsArgs, parent: ActorCell) -> Spawning<OperationsMsg> {
        spawn(Operations, args, parent)
    }

    /// Starts `Network`.
    fn network(&self, args: NetworkArgs, parent: ActorCell) -> Spawning<NetworkMsg> {
        spawn(Network, args, parent)
    }

    /// Starts `Control`.
    fn control(&self, args: ControlArgs, parent: ActorCell) -> Spawning<ControlMsg> {
        spawn(Control, args, parent)
    }
}

/// The parts of a real node.
pub struct RealParts;

impl Parts for RealParts {}

/// Starts any actor the way [`Parts`] does.
pub fn spawn<A, M>(actor: A, args: A::Arguments, parent: ActorCell) -> Spawning<M>
where
    A: Actor<Msg = M>,
    M: Message,
{
    async move { A::spawn_linked(None, actor, args, parent).await }.boxed()
}
