//! Virtual discovery: nodes of one process find each other without a packet, and a test decides who
//! sees whom, who is forged, and when discovery dies.
//!
//! Owns the adverts of one virtual segment. Must never keep a node from being found because another
//! is slow, and never invent an order: news go out in the order of the peer ids.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lanspread_actors::net::backend::{
    Advert, DiscoveryBackend, DiscoveryError, DiscoveryGuard, DiscoveryNews, Sighting, Withdrawal,
};
use lanspread_wire::PeerId;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep,
};

/// One virtual segment. Cheap to clone; every clone is the same segment and the backend of one node.
#[derive(Clone)]
pub struct VirtualDiscovery {
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<u64>>,
}

struct State {
    delay: Duration,
    adverts: BTreeMap<u64, Advert>,
    forged: Vec<Sighting>,
    hidden: BTreeSet<(PeerId, PeerId)>,
    refreshed: BTreeMap<PeerId, u64>,
    broken: BTreeSet<PeerId>,
    killed: BTreeSet<u64>,
    next: u64,
}

impl VirtualDiscovery {
    /// An empty segment where news take `delay`.
    pub fn new(delay: Duration) -> Self {
        let state = State {
            delay,
            adverts: BTreeMap::new(),
            forged: Vec::new(),
            hidden: BTreeSet::new(),
            refreshed: BTreeMap::new(),
            broken: BTreeSet::new(),
            killed: BTreeSet::new(),
            next: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::new(watch::Sender::new(0)) }
    }

    /// The segment as the backend of one node.
    pub fn backend(&self) -> Arc<dyn DiscoveryBackend> {
        Arc::new(self.clone())
    }

    /// Who advertises now.
    pub fn present(&self) -> Vec<PeerId> {
        self.lock().adverts.values().map(|advert| advert.peer).collect()
    }

    /// From now on `watcher` hears nothing of `shown` (who was seen already stays seen).
    pub fn hide(&self, shown: PeerId, watcher: PeerId) {
        self.change(|state| state.hidden.insert((shown, watcher)));
    }

    /// Everybody hears of everybody again.
    pub fn show_all(&self) {
        self.change(|state| state.hidden.clear());
    }

    /// Everybody hears of this, true or not (T11, T13).
    pub fn forge(&self, sighting: Sighting) {
        self.change(|state| state.forged.push(sighting));
    }

    /// The discovery of `peer` dies once; it can be started again.
    pub fn kill(&self, peer: PeerId) {
        self.change(|state| {
            let dying = state.adverts.iter().filter(|(_, advert)| advert.peer == peer);
            let dying: Vec<u64> = dying.map(|(key, _)| *key).collect();
            state.killed.extend(dying);
        });
    }

    /// From now on the discovery of `peer` cannot start (`true`) or can again.
    pub fn set_broken(&self, peer: PeerId, broken: bool) {
        let broken_peers = &mut self.lock().broken;
        if broken {
            broken_peers.insert(peer);
        } else {
            broken_peers.remove(&peer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) {
        change(&mut self.lock());
        self.changed.send_modify(|version| *version += 1);
    }
}

impl fmt::Debug for VirtualDiscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualDiscovery").field("present", &self.present()).finish_non_exhaustive()
    }
}

impl DiscoveryBackend for VirtualDiscovery {
    fn start(
        &self,
        advert: Advert,
        found: mpsc::Sender<DiscoveryNews>,
    ) -> Result<Box<dyn DiscoveryGuard>, DiscoveryError> {
        let me = advert.peer;
        if self.lock().broken.contains(&me) {
            return Err(DiscoveryError("the test broke it".to_owned()));
        }
        let mut key = 0;
        self.change(|state| {
            key = state.next;
            state.next += 1;
            state.adverts.insert(key, advert);
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(tell(self.clone(), me, key, found));
        Ok(Box::new(Guard { segment: self.clone(), me, key, _tasks: tasks }))
    }
}

/// Tells one node of every other as long as it listens.
async fn tell(segment: VirtualDiscovery, me: PeerId, key: u64, found: mpsc::Sender<DiscoveryNews>) {
    let mut changed = segment.changed.subscribe();
    let mut told = BTreeSet::new();
    let mut refreshed = 0;
    loop {
        let (delay, fresh) = {
            let state = segment.lock();
            if state.killed.contains(&key) {
                return;
            }
            let refreshed_now = state.refreshed.get(&me).copied().unwrap_or_default();
            if refreshed_now != refreshed {
                refreshed = refreshed_now;
                told.clear();
            }
            (state.delay, state.fresh_for(me, key, &mut told))
        };
        if !fresh.is_empty() {
            sleep(delay).await;
        }
        for sighting in fresh {
            if found.send(DiscoveryNews::Seen(sighting)).await.is_err() {
                return;
            }
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// What was told: the key of an advert, or the number of a forged one.
type Told = (bool, u64);

impl State {
    fn fresh_for(&self, me: PeerId, key: u64, told: &mut BTreeSet<Told>) -> Vec<Sighting> {
        let mut fresh: Vec<Sighting> = self
            .adverts
            .iter()
            .filter(|(other, advert)| {
                **other != key
                    && !self.hidden.contains(&(advert.peer, me))
                    && told.insert((true, **other))
            })
            .map(|(_, advert)| Sighting {
                peer: advert.peer,
                protocol: advert.protocol,
                addresses: vec![advert.address],
            })
            .collect();
        fresh.sort_by_key(|sighting| sighting.peer);
        for (number, forged) in (0..).zip(&self.forged) {
            if told.insert((false, number)) {
                fresh.push(forged.clone());
            }
        }
        fresh
    }
}

struct Guard {
    segment: VirtualDiscovery,
    me: PeerId,
    key: u64,
    _tasks: JoinSet<()>,
}

impl DiscoveryGuard for Guard {
    fn refresh(&mut self) {
        self.segment.change(|state| *state.refreshed.entry(self.me).or_default() += 1);
    }

    fn withdraw(self: Box<Self>) -> Withdrawal {
        drop(self);
        Box::pin(std::future::ready(()))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.segment.change(|state| state.adverts.remove(&self.key));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn advert(number: u8) -> Advert {
        let address = ([10, 0, 0, number], 4000).into();
        Advert { peer: PeerId([number; 32]), protocol: 1, port: 4000, address }
    }

    type News = mpsc::Receiver<DiscoveryNews>;

    fn start(segment: &VirtualDiscovery, number: u8) -> (Box<dyn DiscoveryGuard>, News) {
        let (found, news) = mpsc::channel(1);
        (segment.start(advert(number), found).unwrap(), news)
    }

    async fn seen(news: &mut News) -> Vec<u8> {
        let mut all = Vec::new();
        while let Ok(Some(news)) = timeout(Duration::from_secs(5), news.recv()).await {
            let DiscoveryNews::Seen(sighting) = news else { panic!("{news:?}") };
            all.push(sighting.peer.0[0]);
        }
        all
    }

    /// Proves P6: whoever comes first or last, everybody sees everybody once, and never itself.
    #[tokio::test(start_paused = true)]
    async fn everybody_is_told_of_everybody() {
        let segment = VirtualDiscovery::new(Duration::from_millis(80));
        let (_one, mut of_one) = start(&segment, 1);
        let (two, mut of_two) = start(&segment, 2);
        let (_three, mut of_three) = start(&segment, 3);
        assert_eq!(seen(&mut of_one).await, [2, 3]);
        assert_eq!(seen(&mut of_two).await, [1, 3]);
        assert_eq!(seen(&mut of_three).await, [1, 2]);
        two.withdraw().await;
        assert_eq!(segment.present(), [PeerId([1; 32]), PeerId([3; 32])]);
        assert_eq!(seen(&mut of_one).await, [0; 0]);
        let (_two, _) = start(&segment, 2);
        assert_eq!(seen(&mut of_one).await, [2]);
    }

    /// A refresh tells again who is there.
    #[tokio::test(start_paused = true)]
    async fn a_refresh_repeats_what_is_known() {
        let segment = VirtualDiscovery::new(Duration::ZERO);
        let (mut one, mut of_one) = start(&segment, 1);
        let (_two, _of_two) = start(&segment, 2);
        assert_eq!(seen(&mut of_one).await, [2]);
        one.refresh();
        assert_eq!(seen(&mut of_one).await, [2]);
    }

    /// Proves F1, F3: a test can kill discovery and keep it from starting.
    #[tokio::test(start_paused = true)]
    async fn a_test_decides_when_discovery_dies() {
        let segment = VirtualDiscovery::new(Duration::ZERO);
        let (one, mut of_one) = start(&segment, 1);
        segment.kill(PeerId([1; 32]));
        assert_eq!(of_one.recv().await, None);
        drop(one);
        segment.set_broken(PeerId([1; 32]), true);
        assert!(segment.start(advert(1), mpsc::channel(1).0).is_err());
        segment.set_broken(PeerId([1; 32]), false);
        let (_one, mut of_one) = start(&segment, 1);
        segment.hide(PeerId([2; 32]), PeerId([1; 32]));
        let (_two, _of_two) = start(&segment, 2);
        assert_eq!(seen(&mut of_one).await, [0; 0]);
        segment.show_all();
        let forged = Sighting { peer: PeerId([9; 32]), protocol: 1, addresses: vec![] };
        segment.forge(forged);
        assert_eq!(seen(&mut of_one).await, [2, 9]);
    }
}
