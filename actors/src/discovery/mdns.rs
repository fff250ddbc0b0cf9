//! Discovery by multicast DNS: the real implementation of [`DiscoveryBackend`].
//!
//! Owns one mDNS daemon (a thread of its library) and the task that drains it at once into a
//! bounded structure. Must never put a host or user name on the wire, never let a flood grow its
//! memory, and never answer on an interface that was not named. A killed node is never announced as
//! gone, so nothing here says that a peer left.

use mdns_sd::{DaemonEvent, Error, IfKind, Receiver, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

use super::{
    filter::{TXT_ID, TXT_PROTOCOL},
    session::Session,
};
use crate::net::{
    backend::{
        Advert, DiscoveryBackend, DiscoveryError, DiscoveryGuard, DiscoveryNews, Withdrawal,
    },
    limits,
};

/// The name of the service.
pub const SERVICE: &str = "_lanspread._udp.local.";

/// Discovery by multicast DNS on some or all interfaces.
#[derive(Clone, Debug)]
pub struct MdnsDiscovery {
    pub(super) interfaces: Vec<String>,
    port: u16,
}

impl MdnsDiscovery {
    /// On the interfaces named, or on all of them if none is.
    pub fn new(interfaces: Vec<String>) -> Self {
        Self { interfaces, port: mdns_sd::MDNS_PORT }
    }

    /// On another port than the standard's: a swarm of its own, for tests.
    pub fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }
}

impl DiscoveryBackend for MdnsDiscovery {
    fn start(
        &self,
        advert: Advert,
        found: mpsc::Sender<DiscoveryNews>,
    ) -> Result<Box<dyn DiscoveryGuard>, DiscoveryError> {
        let session = Session::open(self.clone(), advert)?;
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(session.run(found, inbox));
        Ok(Box::new(MdnsGuard { orders, _tasks: tasks }))
    }
}

/// Orders to the task that wait at once; each says everything, so a full queue loses nothing.
const ORDERS_MAX: usize = 4;

/// What the actor wants of the task.
#[derive(Debug)]
pub(super) enum Order {
    /// Announce and ask again, and tell everybody again.
    Refresh,
    /// Say goodbye, answer and end.
    Withdraw(oneshot::Sender<()>),
}

/// Dropping it aborts the task, which drops the daemon, which says goodbye and ends its thread.
struct MdnsGuard {
    orders: mpsc::Sender<Order>,
    _tasks: JoinSet<()>,
}

impl DiscoveryGuard for MdnsGuard {
    fn refresh(&mut self) {
        if self.orders.try_send(Order::Refresh).is_err() {
            tracing::debug!("discovery is busy with an earlier refresh, or gone");
        }
    }

    fn withdraw(self: Box<Self>) -> Withdrawal {
        Box::pin(async move {
            let (done, withdrawn) = oneshot::channel();
            let withdrawal = async {
                self.orders.send(Order::Withdraw(done)).await.ok();
                withdrawn.await.ok();
            };
            if timeout(limits::MDNS_WITHDRAW_DEADLINE, withdrawal).await.is_err() {
                tracing::debug!("the withdrawal of the advert took too long");
            }
        })
    }
}

/// The library's daemon with our subscriptions. Dropping it withdraws the advert.
pub(super) struct Daemon {
    pub(super) handle: ServiceDaemon,
    pub(super) events: Receiver<ServiceEvent>,
    pub(super) monitor: Receiver<DaemonEvent>,
    service: ServiceInfo,
}

impl Daemon {
    /// Starts a daemon that browses and advertises. What goes wrong on the network is told later,
    /// by what it does not announce.
    pub(super) fn open(config: &MdnsDiscovery, advert: &Advert) -> Result<Self, Error> {
        let handle = ServiceDaemon::new_with_port(config.port)?;
        let monitor = handle.monitor()?;
        // Before anything is sent: what is not named stays silent.
        if !config.interfaces.is_empty() {
            let named: Vec<IfKind> = config.interfaces.iter().map(IfKind::from).collect();
            handle.disable_interface(IfKind::All)?;
            handle.enable_interface(named)?;
        }
        let events = handle.browse(SERVICE)?;
        let service = service_of(advert)?;
        handle.register(service.clone())?;
        Ok(Self { handle, events, monitor, service })
    }

    /// Asks again who is there. What the daemon knows already is told again too.
    pub(super) fn browse_again(&mut self) -> Result<(), Error> {
        self.events = self.handle.browse(SERVICE)?;
        Ok(())
    }

    /// Says again who we are.
    pub(super) fn announce_again(&self) -> Result<(), Error> {
        self.handle.register(self.service.clone())
    }

    /// Says goodbye and ends; resolves when both are done.
    pub(super) async fn close(self) {
        match self.handle.shutdown() {
            Ok(done) => {
                done.recv_async().await.ok();
            }
            Err(error) => tracing::debug!(%error, "the mDNS daemon cannot be told to end"),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        match self.handle.shutdown() {
            // Gone already is what we want.
            Ok(_) | Err(Error::DaemonShutdown) => {}
            Err(error) => tracing::debug!(%error, "the mDNS daemon cannot be told to end"),
        }
    }
}

/// Our advert: a random instance on a random host, so that it tells nothing about person or machine
/// and collides with nobody (T18, T72).
fn service_of(advert: &Advert) -> Result<ServiceInfo, Error> {
    let (instance, host) = (rand::random::<u64>(), rand::random::<u64>());
    let txt = [(TXT_ID, advert.peer.to_string()), (TXT_PROTOCOL, advert.protocol.to_string())];
    let (instance, host) = (format!("{instance:016x}"), format!("{host:016x}.local."));
    let service = ServiceInfo::new(SERVICE, &instance, &host, "", advert.port, &txt[..])?;
    Ok(service.enable_addr_auto())
}

#[cfg(test)]
#[path = "mdns_tests.rs"]
mod tests;
