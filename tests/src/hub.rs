//! A virtual network: sockets that deliver datagrams to each other in one process, on the clock of
//! the tokio runtime, with loss, duplication, reordering, delay, a rate per link and partitions.
//!
//! Everything is drawn from one seed, and every directed link has its own dice, so that changing one
//! fault does not change the others. The hub must never touch a real socket or a real clock: the
//! same seed gives the same deliveries. It knows datagrams, never what is in them.
//!
//! A test that uses it runs on the paused clock of a current-thread runtime and passes
//! [`Hub::transport`] to each node.

mod socket;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use lanspread_actors::net::backend::Transport;
use quinn::udp::EcnCodepoint;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until},
};

pub use socket::{HubRuntime, HubSocket};

/// What one direction of a link does to datagrams. The default is a perfect gigabit LAN.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Share of datagrams that vanish, 0 to 1.
    pub loss: f64,
    /// Share that arrives twice, the copy one [`Link::delay`] later.
    pub duplication: f64,
    /// Share that is held back by [`Link::reorder_by`], so that later ones overtake it.
    pub reordering: f64,
    /// How long a reordered datagram is held back.
    pub reorder_by: Duration,
    /// One-way delay. Timers tick in whole milliseconds, so it is rounded up to one.
    pub delay: Duration,
    /// Up to this much more, drawn for each datagram.
    pub jitter: Duration,
    /// Bytes per second; `None` is infinitely fast.
    pub rate: Option<u64>,
    /// Bytes that may wait for the link; what comes on top is lost.
    pub queue_bytes_max: usize,
    /// Larger datagrams vanish.
    pub mtu_bytes: usize,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            reorder_by: Duration::from_millis(3),
            delay: Duration::from_micros(100),
            jitter: Duration::ZERO,
            rate: Some(125_000_000),
            queue_bytes_max: 512 * 1024,
            // Ethernet without the headers of IPv4 and UDP.
            mtu_bytes: 1472,
        }
    }
}

/// What became of the datagrams so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubCounts {
    /// Handed to the hub.
    pub sent: u64,
    /// Arrived, copies included.
    pub delivered: u64,
    /// Lost by the dice, a full queue, a cut, their size, or because nobody is there.
    pub lost: u64,
}

/// The virtual network. It runs as long as this value lives.
pub struct Hub {
    shared: Arc<Shared>,
    /// Moves datagrams when they are due.
    _pump: JoinSet<()>,
}

struct Shared {
    state: Mutex<State>,
    /// Something is due, perhaps earlier than the pump thinks.
    scheduled: Notify,
}

struct State {
    seed: u64,
    started: Instant,
    default_link: Link,
    links: BTreeMap<(IpAddr, IpAddr), Link>,
    flows: BTreeMap<(IpAddr, IpAddr), Flow>,
    cut: BTreeSet<(IpAddr, IpAddr)>,
    due: BTreeMap<(Instant, u64), Datagram>,
    inboxes: BTreeMap<SocketAddr, Inbox>,
    sequence: u64,
    trace: u64,
    counts: HubCounts,
}

/// The dice and the sending queue of one direction between two hosts.
struct Flow {
    dice: StdRng,
    free_at: Instant,
}

struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    ecn: Option<EcnCodepoint>,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Inbox {
    queue: VecDeque<Datagram>,
    queued_bytes: usize,
    /// Every endpoint that reads here: one that was restarted shares the socket with its dying
    /// predecessor for a while.
    wakers: Vec<Waker>,
}

/// Bytes that wait in one socket for its owner, like the buffer of a real one.
const INBOX_BYTES_MAX: usize = 4 * 1024 * 1024;

impl Hub {
    /// A network where every link is `default_link` until told otherwise. Must be called within a
    /// tokio runtime.
    pub fn new(seed: u64, default_link: Link) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                seed,
                started: Instant::now(),
                default_link,
                links: BTreeMap::new(),
                flows: BTreeMap::new(),
                cut: BTreeSet::new(),
                due: BTreeMap::new(),
                inboxes: BTreeMap::new(),
                sequence: 0,
                trace: seed,
                counts: HubCounts::default(),
            }),
            scheduled: Notify::new(),
        });
        let mut pump = JoinSet::new();
        pump.spawn(run_pump(shared.clone()));
        Self { shared, _pump: pump }
    }

    /// A socket at `address`. A second one at the same address takes over from the first.
    pub fn bind(&self, address: SocketAddr) -> Arc<HubSocket> {
        self.shared.lock().inboxes.insert(address, Inbox::default());
        Arc::new(HubSocket::new(self.shared.clone(), address))
    }

    /// Closes the socket at `address`: what comes for it is lost from now on.
    pub fn unbind(&self, address: SocketAddr) {
        self.shared.lock().inboxes.remove(&address);
    }

    /// What a node at `address` is configured with.
    pub fn transport(&self, address: SocketAddr) -> Transport {
        let mut seed = [0; 32];
        let hub_seed = self.shared.lock().seed;
        StdRng::seed_from_u64(mix(&[hub_seed, hash_address(address)])).fill_bytes(&mut seed);
        Transport::Virtual { socket: self.bind(address), runtime: Arc::new(HubRuntime), seed }
    }

    /// Changes one direction of one link from now on.
    pub fn set_link(&self, from: IpAddr, to: IpAddr, link: Link) {
        self.shared.lock().links.insert((from, to), link);
    }

    /// Changes both directions of one link from now on.
    pub fn set_links(&self, one: IpAddr, other: IpAddr, link: &Link) {
        self.set_link(one, other, link.clone());
        self.set_link(other, one, link.clone());
    }

    /// From now on nothing gets from `from` to `to`; what is under way still arrives.
    pub fn cut(&self, from: IpAddr, to: IpAddr) {
        self.shared.lock().cut.insert((from, to));
    }

    /// No datagram passes between the two groups any more.
    pub fn partition(&self, one: &[IpAddr], other: &[IpAddr]) {
        for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
            self.cut(a, b);
            self.cut(b, a);
        }
    }

    /// Undoes every cut.
    pub fn heal(&self) {
        self.shared.lock().cut.clear();
    }

    /// What became of the datagrams so far.
    pub fn counts(&self) -> HubCounts {
        self.shared.lock().counts
    }

    /// A hash over every delivery so far: when, from whom, to whom, how long. Two runs of one seed
    /// must agree in it.
    pub fn trace(&self) -> u64 {
        self.shared.lock().trace
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of a test inside the hub does not make its tables wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, datagrams: impl Iterator<Item = Datagram>) {
        let now = Instant::now();
        let mut state = self.lock();
        for datagram in datagrams {
            state.send(now, datagram);
        }
        drop(state);
        self.scheduled.notify_one();
    }
}

async fn run_pump(shared: Arc<Shared>) {
    loop {
        let next = shared.lock().deliver(Instant::now());
        match next {
            None => shared.scheduled.notified().await,
            Some(at) => tokio::select! {
                biased;
                () = shared.scheduled.notified() => {}
                () = sleep_until(at) => {}
            },
        }
    }
}

impl State {
    /// Decides the fate of one datagram. Always draws the same number of values, so that one fault
    /// more or less does not shift the dice of the others.
    fn send(&mut self, now: Instant, datagram: Datagram) {
        self.counts.sent += 1;
        let hosts = (datagram.from.ip(), datagram.to.ip());
        let link = self.links.get(&hosts).unwrap_or(&self.default_link).clone();
        let seed = mix(&[self.seed, hash_ip(hosts.0), hash_ip(hosts.1)]);
        let flow = self
            .flows
            .entry(hosts)
            .or_insert_with(|| Flow { dice: StdRng::seed_from_u64(seed), free_at: now });
        let [lost, twice, late, jitter] = std::array::from_fn(|_| flow.dice.random::<f64>());
        let length = datagram.bytes.len();
        let vanishes = self.cut.contains(&hosts) || length > link.mtu_bytes || lost < link.loss;
        let sent_at = if vanishes { None } else { flow.transmit(now, length, &link) };
        let Some(sent_at) = sent_at else {
            self.counts.lost += 1;
            return;
        };
        let held_back = if late < link.reordering { link.reorder_by } else { Duration::ZERO };
        let arrives_at = sent_at + link.delay + link.jitter.mul_f64(jitter) + held_back;
        if twice < link.duplication {
            self.schedule(arrives_at + link.delay, datagram.copy());
        }
        self.schedule(arrives_at, datagram);
    }

    fn schedule(&mut self, at: Instant, datagram: Datagram) {
        self.sequence += 1;
        self.due.insert((at, self.sequence), datagram);
    }

    /// Moves what is due into the inboxes; returns when the next datagram is due.
    fn deliver(&mut self, now: Instant) -> Option<Instant> {
        while let Some(first) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), datagram) = first.remove_entry();
            self.arrive(at, datagram);
        }
        self.due.keys().next().map(|(at, _)| *at)
    }

    fn arrive(&mut self, at: Instant, datagram: Datagram) {
        let length = datagram.bytes.len();
        let inbox = self.inboxes.get_mut(&datagram.to);
        let Some(inbox) = inbox.filter(|inbox| inbox.queued_bytes + length <= INBOX_BYTES_MAX)
        else {
            self.counts.lost += 1;
            return;
        };
        self.counts.delivered += 1;
        // Only the time since the start is the same in every run.
        let since = u64::try_from(at.duration_since(self.started).as_nanos()).unwrap_or(u64::MAX);
        let ends = [hash_address(datagram.from), hash_address(datagram.to)];
        self.trace = mix(&[self.trace, since, ends[0], ends[1], length as u64]);
        inbox.queued_bytes += length;
        inbox.queue.push_back(datagram);
        inbox.wakers.drain(..).for_each(Waker::wake);
    }
}

impl Flow {
    /// When the last bit of a datagram has left; `None` if the queue before the link is full.
    fn transmit(&mut self, now: Instant, length: usize, link: &Link) -> Option<Instant> {
        let Some(rate) = link.rate else {
            return Some(now);
        };
        let rate = rate.max(1) as f64;
        let waiting_bytes = self.free_at.saturating_duration_since(now).as_secs_f64() * rate;
        if waiting_bytes + length as f64 > link.queue_bytes_max as f64 {
            return None;
        }
        self.free_at = self.free_at.max(now) + Duration::from_secs_f64(length as f64 / rate);
        Some(self.free_at)
    }
}

impl Datagram {
    fn copy(&self) -> Self {
        Self { from: self.from, to: self.to, ecn: self.ecn, bytes: self.bytes.clone() }
    }
}

/// One step of a hash that is the same on every system and in every run.
fn mix(values: &[u64]) -> u64 {
    values.iter().fold(0x9e37_79b9_7f4a_7c15, |hash, value| {
        let mut mixed = (hash ^ value).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^= mixed >> 29;
        mixed.wrapping_mul(0x94d0_49bb_1331_11eb) ^ (mixed >> 32)
    })
}

fn hash_ip(ip: IpAddr) -> u64 {
    let bits = match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    mix(&[(bits >> 64) as u64, bits as u64])
}

fn hash_address(address: SocketAddr) -> u64 {
    mix(&[hash_ip(address.ip()), u64::from(address.port())])
}

#[cfg(test)]
#[path = "hub/tests.rs"]
mod tests;
