//! What the planner must hold whatever happens, and how well it does in a simulated network.

use proptest::prelude::*;

use super::*;

const KIB: u64 = 1024;

fn peer(number: u8) -> PeerId {
    PeerId([number; 32])
}

fn planner(lens: Vec<u32>, seed: u64) -> Planner {
    let mut planner = Planner::new(lens.into(), seed);
    for chunk in 0..planner.layout.bound() {
        planner.want(chunk);
    }
    planner
}

impl Planner {
    /// Every count agrees with what it counts. Large games are left to the network's own checks.
    fn check(&self) {
        if self.layout.bound() > 500 {
            return;
        }
        let in_requests: u64 = self
            .requests
            .values()
            .flat_map(|request| request.chunks.keys())
            .map(|chunk| self.layout.len(*chunk))
            .sum();
        assert_eq!(self.in_flight_bytes, in_requests);
        assert!(self.in_flight_bytes <= IN_FLIGHT_BYTES_MAX, "bounded in flight");
        for chunk in 0..self.layout.bound() {
            let carried = self.carriers.contains_key(&chunk);
            let free = self.free.contains(chunk);
            assert_eq!(self.wanted.contains(chunk), carried != free, "chunk {chunk}");
            assert!(!(carried && free), "chunk {chunk} is outstanding and free");
        }
        for (id, request) in &self.requests {
            let wanted = request.chunks.keys().filter(|chunk| {
                self.carriers
                    .get(chunk)
                    .is_some_and(|carriers| carriers.first == *id || carriers.second == Some(*id))
            });
            assert_eq!(wanted.count(), request.wanted_left);
            assert!(!self.expelled.contains(&request.peer));
        }
        for (peer, source) in &self.sources {
            let open = self.requests_at(*peer);
            assert_eq!(source.outstanding_requests, open.len());
            let bytes: u64 = open
                .iter()
                .flat_map(|id| self.requests[id].chunks.keys())
                .map(|chunk| self.layout.len(*chunk))
                .sum();
            assert_eq!(source.outstanding_bytes, bytes);
        }
    }

    /// Takes every order there is, each checked against the rules.
    fn orders(&mut self, now: Duration) -> Vec<Order> {
        let mut orders = Vec::new();
        loop {
            let was_free = !self.free.set().is_empty();
            let outstanding: Vec<u32> = self.carriers.keys().copied().collect();
            let Some(order) = self.next(now) else { break };
            assert!(order.chunks.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(!order.chunks.is_empty());
            let source = &self.sources[&order.peer];
            assert!(source.is_willing(now));
            for chunk in &order.chunks {
                assert!(source.holds.contains(*chunk), "it is asked for what it has");
                let twice = outstanding.contains(chunk);
                assert!(!(twice && was_free), "a chunk twice outside the end game");
            }
            self.check();
            orders.push(order);
        }
        orders
    }
}

#[derive(Clone, Debug)]
enum Step {
    Join(u8),
    JoinPartly(u8, Vec<u32>),
    Gain(u8, u32),
    Leave(u8),
    Expel(u8),
    Deliver(usize),
    End(usize, End),
    Find(u32),
    Wait(u64),
    Hear(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let ends =
        prop::sample::select(vec![End::Complete, End::Refused, End::RefusedForGood, End::Broken]);
    prop_oneof![
        2 => (0u8..5).prop_map(Step::Join),
        2 => (0u8..5, prop::collection::vec(0u32..80, 0..30))
            .prop_map(|(peer, chunks)| Step::JoinPartly(peer, chunks)),
        2 => (0u8..5, 0u32..80).prop_map(|(peer, chunk)| Step::Gain(peer, chunk)),
        1 => (0u8..5).prop_map(Step::Leave),
        1 => (0u8..3).prop_map(Step::Expel),
        20 => (0usize..1000).prop_map(Step::Deliver),
        2 => (0usize..1000, ends).prop_map(|(request, end)| Step::End(request, end)),
        1 => (0u32..80).prop_map(Step::Find),
        6 => (1u64..900).prop_map(Step::Wait),
        2 => (0u8..5).prop_map(Step::Hear),
    ]
}

/// Does one step to the planner; late messages of cancelled requests are part of the game.
fn apply(planner: &mut Planner, now: &mut Duration, known: &mut Vec<Order>, step: Step) {
    match step {
        Step::Join(number) => {
            planner.source_joined(*now, peer(number), Holds::All);
        }
        Step::JoinPartly(number, chunks) => {
            let mut holds = ChunkSet::empty(planner.layout.bound());
            for chunk in chunks {
                holds.insert(chunk);
            }
            planner.source_joined(*now, peer(number), Holds::Some(holds));
        }
        Step::Gain(number, chunk) => {
            planner.source_gained(peer(number), ChunkRun { first: chunk, count: 3 });
        }
        Step::Leave(number) => {
            planner.source_left(peer(number));
        }
        Step::Expel(number) => {
            planner.expel(peer(number));
        }
        Step::Deliver(choice) => {
            if let Some(order) = known.get(choice % known.len().max(1)).cloned() {
                let chunk = order.chunks[choice % order.chunks.len()];
                planner.delivered(*now, order.request, chunk);
            }
        }
        Step::End(choice, end) => {
            if let Some(order) = known.get(choice % known.len().max(1)) {
                planner.ended(*now, order.request, end);
            }
        }
        Step::Find(chunk) => {
            planner.found(chunk);
        }
        Step::Wait(millis) => *now += Duration::from_millis(millis),
        Step::Hear(number) => planner.heard(*now, peer(number)),
    }
    planner.tick(*now);
    planner.check();
    known.extend(planner.orders(*now));
}

/// Lets one sound source bring whatever is missing.
fn finish(planner: &mut Planner, mut now: Duration) {
    let sound = peer(200);
    for number in 0..5 {
        planner.source_left(peer(number));
    }
    planner.source_joined(now, sound, Holds::All);
    let chunks = planner.layout.bound();
    for _ in 0..=chunks {
        if planner.outlook(now) == Outlook::Done {
            return;
        }
        let orders = planner.orders(now);
        assert!(!orders.is_empty(), "something is wanted and a source is there");
        for order in orders {
            for chunk in &order.chunks {
                now += Duration::from_millis(1);
                assert!(planner.delivered(now, order.request, *chunk).fresh);
            }
            planner.ended(now, order.request, End::Complete);
            planner.check();
        }
    }
    panic!("not everything was fetched");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Proves R4, R5, T54, T57: whatever sources do, the books are right, nothing is asked for
    /// twice outside the end game, and one sound source is enough to get everything.
    #[test]
    fn everything_is_fetched_in_the_end(
        seed: u64,
        lens in prop::collection::vec(1u32..400_000, 1..80),
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut planner = planner(lens, seed);
        let mut now = Duration::ZERO;
        let mut known = Vec::new();
        for step in steps {
            apply(&mut planner, &mut now, &mut known, step);
        }
        finish(&mut planner, now);
    }

    /// Proves R5: what was outstanding at a lost source can be had elsewhere at once.
    #[test]
    fn a_lost_source_frees_its_chunks_at_once(seed: u64, chunks in 1usize..60) {
        let mut planner = planner(vec![100_000; chunks], seed);
        planner.source_joined(Duration::ZERO, peer(1), Holds::All);
        let lost = planner.orders(Duration::ZERO);
        let dropped = planner.source_left(peer(1));
        prop_assert_eq!(dropped.len(), lost.len());
        planner.check();
        for order in &lost {
            for chunk in &order.chunks {
                prop_assert!(planner.free.contains(*chunk));
            }
        }
        finish(&mut planner, Duration::ZERO);
    }
}

/// The same seed gives the same orders, another one others.
#[test]
fn orders_follow_from_the_seed() {
    let run = |seed| {
        let mut planner = planner(vec![70_000; 300], seed);
        for number in 0..3 {
            planner.source_joined(Duration::ZERO, peer(number), Holds::All);
        }
        planner.orders(Duration::ZERO)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// Chunks that few have come first, whatever else the source could give.
#[test]
fn the_rarest_come_first() {
    let mut planner = planner(vec![64 * 1024; 256], 5);
    let mut common = ChunkSet::full(256);
    for rare in 100..104 {
        common.remove(rare);
    }
    for number in 1..4 {
        planner.source_joined(Duration::ZERO, peer(number), Holds::Some(common.clone()));
        planner.sources.get_mut(&peer(number)).expect("joined").bench();
    }
    planner.source_joined(Duration::ZERO, peer(9), Holds::All);
    let order = planner.next(Duration::ZERO).expect("an order");
    let rare = order.chunks.iter().filter(|chunk| (100..104).contains(*chunk)).count();
    assert!(rare > 0, "64 probes of 256 chunks find one of four rare ones: {:?}", order.chunks);
}

/// Proves R4: an expelled source is out, also when it announces itself anew.
#[test]
fn an_expelled_source_stays_out() {
    let mut planner = planner(vec![64 * 1024; 8], 1);
    assert!(planner.source_joined(Duration::ZERO, peer(1), Holds::All));
    assert!(planner.next(Duration::ZERO).is_some());
    assert_eq!(planner.expel(peer(1)).len(), 1);
    assert!(!planner.source_joined(Duration::ZERO, peer(1), Holds::All));
    assert_eq!(planner.next(Duration::ZERO), None);
    assert_eq!(planner.outlook(Duration::ZERO), Outlook::Starved);
}

/// A network of sources with a rate each, one queue per source.
struct Network {
    rates: BTreeMap<PeerId, f64>,
    queues: BTreeMap<PeerId, Vec<(RequestId, u32)>>,
    /// When the head of each queue is complete.
    busy_until: BTreeMap<PeerId, Duration>,
    stalled: BTreeSet<PeerId>,
    bytes_sent: u64,
}

impl Network {
    fn new(rates: &[f64]) -> Self {
        let rates = (1..).zip(rates).map(|(number, rate)| (peer(number), *rate)).collect();
        Self {
            rates,
            queues: BTreeMap::new(),
            busy_until: BTreeMap::new(),
            stalled: BTreeSet::new(),
            bytes_sent: 0,
        }
    }

    fn start(&mut self, planner: &Planner, now: Duration, order: Order) {
        let queue = self.queues.entry(order.peer).or_default();
        let was_idle = queue.is_empty();
        queue.extend(order.chunks.iter().map(|chunk| (order.request, *chunk)));
        if was_idle {
            self.begin_head(planner, now, order.peer);
        }
    }

    fn begin_head(&mut self, planner: &Planner, now: Duration, source: PeerId) {
        self.busy_until.remove(&source);
        let head = self.queues.get(&source).and_then(|queue| queue.first());
        if let Some((_, chunk)) = head
            && !self.stalled.contains(&source)
        {
            let takes = planner.layout.len(*chunk) as f64 / self.rates[&source];
            self.busy_until.insert(source, now + Duration::from_secs_f64(takes));
        }
    }

    fn cancel(&mut self, planner: &Planner, now: Duration, requests: &[RequestId]) {
        for (source, queue) in self.queues.clone() {
            let kept: Vec<_> =
                queue.iter().copied().filter(|(id, _)| !requests.contains(id)).collect();
            if kept.len() != queue.len() {
                self.queues.insert(source, kept);
                self.begin_head(planner, now, source);
            }
        }
    }

    /// Runs until everything is here; returns how long it took. `at` may change the network as
    /// time goes by.
    fn run(&mut self, planner: &mut Planner, mut at: impl FnMut(Duration, &mut Self)) -> Duration {
        let mut now = Duration::ZERO;
        for source in self.rates.keys() {
            planner.source_joined(now, *source, Holds::All);
        }
        while planner.outlook(now) != Outlook::Done {
            for order in planner.orders(now) {
                self.start(planner, now, order);
            }
            let next = self.busy_until.iter().map(|(source, at)| (*at, *source)).min();
            let wake = planner.wake_at(now).unwrap_or(Duration::MAX);
            match next {
                Some((until, source)) if until <= wake => {
                    now = until;
                    let (request, chunk) = self.queues.get_mut(&source).expect("queue").remove(0);
                    self.begin_head(planner, now, source);
                    self.bytes_sent += planner.layout.len(chunk);
                    let delivery = planner.delivered(now, request, chunk);
                    self.cancel(planner, now, &delivery.cancel);
                    let is_over = !self.queues[&source].iter().any(|(id, _)| *id == request);
                    if is_over {
                        planner.ended(now, request, End::Complete);
                    }
                }
                _ => {
                    assert!(wake < Duration::from_secs(10_000), "nothing would ever happen");
                    now = now.max(wake);
                }
            }
            at(now, self);
            // A slow source is not a silent one: its bytes arrive all the time.
            for source in self.busy_until.keys() {
                planner.heard(now, *source);
            }
            let given_up = planner.tick(now);
            self.cancel(planner, now, &given_up);
        }
        now
    }
}

const SIZE: u64 = 256 * KIB * KIB;

fn game() -> Planner {
    planner(vec![64 * 1024; (SIZE / (64 * KIB)) as usize], 11)
}

fn ideal(rates: &[f64]) -> f64 {
    SIZE as f64 / rates.iter().sum::<f64>()
}

#[test]
fn all_sources_are_used_to_the_full() {
    for rates in [vec![100e6], vec![100e6; 8], vec![1e9, 100e6, 10e6], vec![5e6; 64]] {
        let mut planner = game();
        let took = Network::new(&rates).run(&mut planner, |_, _| {}).as_secs_f64();
        // The end game has a grain of some milliseconds, whatever the rates.
        assert!(
            took < 1.02 * ideal(&rates) + 0.02,
            "{rates:?}: {took} s, ideal {} s",
            ideal(&rates)
        );
    }
}

/// Proves T53: a source that sends a kilobyte a second delays nobody, and little is sent twice.
#[test]
fn a_very_slow_source_delays_nobody() {
    let rates = [50e6, 1e3, 50e6];
    let mut network = Network::new(&rates);
    let took = network.run(&mut game(), |_, _| {}).as_secs_f64();
    assert!(took < 1.05 * ideal(&rates), "{took} s, ideal {} s", ideal(&rates));
    assert!(network.bytes_sent < SIZE + SIZE / 100, "little is sent twice");
}

/// Proves R5, T53: a source that falls silent in the middle is passed over.
#[test]
fn a_source_that_falls_silent_is_passed_over() {
    let rates = [20e6, 20e6];
    let took = Network::new(&rates).run(&mut game(), |now, network| {
        if now > Duration::from_secs(2) && network.stalled.insert(peer(2)) {
            network.busy_until.remove(&peer(2));
        }
    });
    let alone = 2.0 + (SIZE as f64 - 2.0 * 40e6) / 20e6;
    assert!(took.as_secs_f64() < alone + 0.7, "{took:?}, alone {alone} s");
}

/// Small files: many chunks in one request, and still everything comes.
#[test]
fn small_chunks_travel_in_large_requests() {
    let mut planner = planner(vec![1_500; 20_000], 3);
    planner.source_joined(Duration::ZERO, peer(1), Holds::All);
    let order = planner.next(Duration::ZERO).expect("an order");
    assert!(order.chunks.len() > 60, "{} chunks in one request", order.chunks.len());
    assert!(order.runs().len() <= 2);
    planner.source_left(peer(1));
    let took = Network::new(&[10e6, 10e6]).run(&mut planner, |_, _| {});
    assert!(took.as_secs_f64() < 1.03 * 30e6 / 20e6, "{took:?}");
}

/// A chunk of the greatest length can be asked for although no window is as large.
#[test]
fn the_largest_chunks_can_be_asked_for() {
    let lens = vec![lanspread_wire::limits::CHUNK_BYTES_MAX; 40];
    let mut planner = planner(lens, 3);
    let took = Network::new(&[10e6, 40e6]).run(&mut planner, |_, _| {});
    let ideal = 40.0 * f64::from(lanspread_wire::limits::CHUNK_BYTES_MAX) / 50e6;
    assert!(took.as_secs_f64() < 1.15 * ideal, "{took:?}, ideal {ideal} s");
}

/// Two sources that are both too slow to give a sign of life in time do not take turns for ever.
#[test]
fn two_slow_sources_do_not_take_turns() {
    let mut planner = planner(vec![64 * 1024; 4], 3);
    let mut now = Duration::ZERO;
    for number in [1, 2] {
        planner.source_joined(now, peer(number), Holds::All);
    }
    // Nobody is heard between the end of one chunk and the end of the next.
    let mut given_up = 0;
    let mut last = BTreeMap::new();
    for order in planner.orders(now) {
        last.insert(order.peer, order);
    }
    for _ in 0..200 {
        now += Duration::from_millis(100);
        given_up += planner.tick(now).len();
        for order in planner.orders(now) {
            last.insert(order.peer, order);
        }
    }
    assert!(given_up <= 8, "{given_up} requests were given up in vain");
    assert!(!planner.requests.is_empty(), "somebody is waited for");
}
