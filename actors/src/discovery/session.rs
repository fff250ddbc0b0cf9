//! The task behind [`super::mdns`]: drains the daemon at once, keeps the latest of each instance,
//! and watches over the daemon itself.
//!
//! Must never make the daemon wait (it then drops our subscription), and never end without closing
//! the channel of the actor, which is how the actor learns of it.

use std::{ops::ControlFlow, pin::Pin};

use mdns_sd::{DaemonEvent, Error, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent};
use tokio::{
    sync::mpsc,
    task::{consume_budget, spawn_blocking},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    filter::{Heard, HeardAddress, Ignored, judge},
    known::Known,
    mdns::{Daemon, MdnsDiscovery, Order},
};
use crate::net::{
    addresses::{self, InterfaceAddress},
    backend::{Advert, DiscoveryError, DiscoveryNews},
    limits,
};

/// One life of discovery. Ends when the guard goes, the advert is withdrawn, or the daemon dies.
pub(super) struct Session {
    config: MdnsDiscovery,
    advert: Advert,
    daemon: Daemon,
    own: Vec<InterfaceAddress>,
    known: Known,
    /// The subscription ended, or the interfaces changed: to be made again at the next tick.
    must_browse: bool,
    is_subscribed: bool,
    looking: Option<Looking>,
    opened_at: Instant,
    answered_at: Instant,
    renames: u32,
    announced: bool,
    /// What was told last about our advert; `None` if nothing was.
    told: Option<Option<Hindrance>>,
    news: Vec<DiscoveryNews>,
    ignored: u64,
    ignored_last: Option<(String, Ignored)>,
    ignored_told_at: Option<Instant>,
}

/// Why our advert does not get out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Hindrance {
    #[error(
        "the mDNS daemon does not keep up with what arrives on the network; connecting by address \
         works"
    )]
    Flooded,
    #[error(
        "this node cannot announce itself: no network interface is up, or another program keeps the \
         mDNS port (UDP 5353) to itself; connecting by address works"
    )]
    NoWayOut,
}

/// What a look at the daemon and the interfaces showed.
struct Look {
    /// `None` if the system could not say.
    own: Option<Vec<InterfaceAddress>>,
    cache: Cache,
}

enum Cache {
    Pointers(i64),
    /// The daemon has more to do than to answer.
    Busy,
    /// The daemon is gone.
    Dead,
}

type Looking = Pin<Box<dyn Future<Output = Look> + Send>>;

const GOES_ON: ControlFlow<()> = ControlFlow::Continue(());
const ENDS: ControlFlow<()> = ControlFlow::Break(());

impl Session {
    pub(super) fn open(config: MdnsDiscovery, advert: Advert) -> Result<Self, DiscoveryError> {
        let daemon = Daemon::open(&config, &advert);
        let own = addresses::read().unwrap_or_default();
        let now = Instant::now();
        Ok(Self {
            daemon: daemon.map_err(|error| DiscoveryError(error.to_string()))?,
            own: addresses::select(own, &config.interfaces),
            config,
            advert,
            known: Known::new(limits::INSTANCES_MAX),
            must_browse: false,
            is_subscribed: true,
            looking: None,
            opened_at: now,
            answered_at: now,
            renames: 0,
            announced: false,
            told: None,
            news: Vec::new(),
            ignored: 0,
            ignored_last: None,
            ignored_told_at: None,
        })
    }

    /// Runs the session; returning drops `found`, which tells the actor.
    pub(super) async fn run(
        mut self,
        found: mpsc::Sender<DiscoveryNews>,
        mut orders: mpsc::Receiver<Order>,
    ) {
        let mut check = interval(limits::MDNS_CACHE_CHECK_EVERY);
        let mut repeat = interval(limits::SIGHTINGS_REPEAT_EVERY);
        for clock in [&mut check, &mut repeat] {
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            // Events may be ready without end; other tasks of this thread must have their turn.
            consume_budget().await;
            let flow = tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(Order::Refresh) => self.refresh(),
                    Some(Order::Withdraw(done)) => {
                        self.daemon.close().await;
                        done.send(()).ok();
                        return;
                    }
                    None => ENDS,
                },
                permit = found.reserve(), if self.has_news() => match permit {
                    Ok(permit) => {
                        if let Some(news) = self.next_news() {
                            permit.send(news);
                        }
                        GOES_ON
                    }
                    Err(_) => ENDS,
                },
                look = ended(&mut self.looking) => self.on_look(look),
                _ = check.tick() => self.on_tick(),
                _ = repeat.tick() => {
                    self.known.tell_all_again();
                    GOES_ON
                }
                event = self.daemon.monitor.recv_async() => match event {
                    Ok(event) => self.on_daemon_event(event),
                    Err(_) => ENDS,
                },
                event = self.daemon.events.recv_async(), if self.is_subscribed => {
                    match event {
                        Ok(event) => self.on_event(event),
                        // It ran full, or the daemon is gone: the next look tells.
                        Err(_) => (self.is_subscribed, self.must_browse) = (false, true),
                    }
                    GOES_ON
                }
            };
            if flow.is_break() {
                return;
            }
        }
    }

    fn has_news(&self) -> bool {
        !self.news.is_empty() || self.known.has_news()
    }

    fn next_news(&mut self) -> Option<DiscoveryNews> {
        self.news.pop().or_else(|| self.known.next_news().map(DiscoveryNews::Seen))
    }

    fn refresh(&mut self) -> ControlFlow<()> {
        self.known.tell_all_again();
        self.must_browse = true;
        self.survives(self.daemon.announce_again())
    }

    /// A full queue of the daemon passes; a dead daemon does not.
    fn survives(&self, result: Result<(), Error>) -> ControlFlow<()> {
        match result {
            Err(Error::DaemonShutdown) => ENDS,
            Err(error) => {
                tracing::debug!(%error, "the mDNS daemon did not take an order");
                GOES_ON
            }
            Ok(()) => GOES_ON,
        }
    }

    fn on_tick(&mut self) -> ControlFlow<()> {
        if self.must_browse {
            match self.daemon.browse_again() {
                Ok(()) => (self.is_subscribed, self.must_browse) = (true, false),
                error => return self.survives(error),
            }
        }
        if self.looking.is_none() {
            self.looking = Some(Box::pin(look(self.daemon.handle.clone())));
        }
        self.judge_health();
        self.tell_ignored();
        GOES_ON
    }

    fn on_look(&mut self, look: Look) -> ControlFlow<()> {
        if let Some(own) = look.own {
            let own = addresses::select(own, &self.config.interfaces);
            if own != self.own {
                // What came from a network that we did not know yet was ignored: ask again.
                self.own = own;
                self.must_browse = true;
            }
        }
        match look.cache {
            Cache::Dead => return ENDS,
            Cache::Busy => {}
            Cache::Pointers(pointers) => {
                self.answered_at = Instant::now();
                if pointers > limits::MDNS_CACHE_POINTERS_MAX {
                    return self.recycle("its cache is full of instances");
                }
            }
        }
        GOES_ON
    }

    /// Replaces the daemon by a new one with an empty cache and another random name.
    fn recycle(&mut self, why: &'static str) -> ControlFlow<()> {
        if self.opened_at.elapsed() < limits::MDNS_RECYCLE_PAUSE {
            return GOES_ON;
        }
        tracing::warn!(why, "the mDNS daemon is replaced");
        match Daemon::open(&self.config, &self.advert) {
            Ok(daemon) => self.daemon = daemon,
            Err(error) => {
                tracing::warn!(%error, "the mDNS daemon cannot be replaced");
                return ENDS;
            }
        }
        (self.is_subscribed, self.must_browse) = (true, false);
        (self.looking, self.renames, self.announced) = (None, 0, false);
        self.opened_at = Instant::now();
        self.answered_at = self.opened_at;
        GOES_ON
    }

    fn on_event(&mut self, event: ServiceEvent) {
        match event {
            ServiceEvent::ServiceResolved(service) => self.on_resolved(&service),
            ServiceEvent::ServiceRemoved(_, instance) => {
                self.known.remove(&instance.to_lowercase());
            }
            _ => {}
        }
    }

    fn on_resolved(&mut self, service: &ResolvedService) {
        let heard = Heard {
            port: service.get_port(),
            addresses: service.get_addresses().iter().map(heard_address).collect(),
            txt: service
                .get_properties()
                .iter()
                .map(|property| (property.key(), property.val()))
                .collect(),
        };
        let instance = service.get_fullname().to_lowercase();
        match judge(&heard, &self.own) {
            Ok(sighting) => {
                if !self.known.put(&instance, sighting) {
                    self.ignore(instance, Ignored::TooMany);
                }
            }
            Err(why) => {
                self.known.remove(&instance);
                self.ignore(instance, why);
            }
        }
    }

    fn ignore(&mut self, instance: String, why: Ignored) {
        self.ignored += 1;
        self.ignored_last = Some((instance, why));
    }

    fn tell_ignored(&mut self) {
        let paced =
            self.ignored_told_at.is_none_or(|at| at.elapsed() >= limits::IGNORED_NOTE_EVERY);
        if !paced {
            return;
        }
        if let Some((instance, why)) = self.ignored_last.take() {
            let last = format!("{}: {why}", lanspread_wire::printable(&instance));
            let count = std::mem::take(&mut self.ignored);
            self.ignored_told_at = Some(Instant::now());
            self.news.push(DiscoveryNews::Ignored { count, last });
        }
    }

    fn on_daemon_event(&mut self, event: DaemonEvent) -> ControlFlow<()> {
        match event {
            DaemonEvent::Announce(_, addresses) => {
                tracing::debug!(%addresses, "announced by mDNS");
                self.announced = true;
                self.judge_health();
            }
            DaemonEvent::Error(error) => tracing::warn!(%error, "mDNS reports a fault"),
            DaemonEvent::NameChange(change) => {
                self.renames += 1;
                tracing::info!(from = %change.original, "somebody else claims our mDNS name");
                if self.renames > limits::MDNS_RENAMES_MAX {
                    return self.recycle("somebody claims each of its names");
                }
            }
            _ => {}
        }
        GOES_ON
    }

    /// Tells whether our advert gets out, whenever that changes; nothing as long as it is unclear.
    fn judge_health(&mut self) {
        let hindrance = if self.answered_at.elapsed() > limits::MDNS_ANSWER_DEADLINE {
            Some(Hindrance::Flooded)
        } else if self.announced {
            None
        } else if self.opened_at.elapsed() > limits::MDNS_ANNOUNCE_DEADLINE {
            Some(Hindrance::NoWayOut)
        } else {
            return;
        };
        if self.told != Some(hindrance) {
            tracing::debug!(from = ?self.told, to = ?hindrance, "discovery");
            self.told = Some(hindrance);
            self.news.retain(|news| !matches!(news, DiscoveryNews::Hindered(_)));
            let text = hindrance.map(|hindrance| hindrance.to_string());
            self.news.push(DiscoveryNews::Hindered(text));
        }
    }
}

fn heard_address(address: &ScopedIp) -> HeardAddress {
    let interfaces = match address {
        ScopedIp::V4(v4) => v4.interface_ids().iter().map(|id| id.index).collect(),
        ScopedIp::V6(v6) => vec![v6.scope_id().index],
        _ => Vec::new(),
    };
    HeardAddress { ip: address.to_ip_addr(), interfaces }
}

/// The end of what is going on, if anything is.
async fn ended(looking: &mut Option<Looking>) -> Look {
    match looking {
        Some(going_on) => {
            let look = going_on.await;
            *looking = None;
            look
        }
        None => std::future::pending().await,
    }
}

async fn look(daemon: ServiceDaemon) -> Look {
    let own = match spawn_blocking(addresses::read).await {
        Ok(Ok(own)) => Some(own),
        Ok(Err(error)) => {
            tracing::debug!(%error, "the network interfaces cannot be read");
            None
        }
        Err(error) => {
            tracing::error!(%error, "reading the network interfaces");
            None
        }
    };
    let cache = match daemon.get_metrics() {
        Err(Error::DaemonShutdown) => Cache::Dead,
        Err(_) => Cache::Busy,
        Ok(answer) => match timeout(limits::MDNS_ANSWER_DEADLINE, answer.recv_async()).await {
            Ok(Ok(metrics)) => Cache::Pointers(metrics.get("cached-ptr").copied().unwrap_or(0)),
            Ok(Err(_)) => Cache::Dead,
            Err(_) => Cache::Busy,
        },
    };
    Look { own, cache }
}
