//! What the planner knows of one source: what it holds, how fast it answers, whether it rests.
//!
//! Decides how much may be outstanding at it. Never knows which chunks those are.

use std::time::Duration;

use crate::{
    game_op::chunk_set::ChunkSet,
    limits::transfer::{
        BENCH_TIME, FAILURE_REST, FAILURE_REST_MAX, FAILURES_MAX, REQUEST_BYTES_AIMED,
        REQUESTS_PER_SOURCE_MAX, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN, WINDOW_BYTES_START,
        WINDOW_ROUND_TRIPS, WINDOW_TIME_MIN,
    },
};

/// Which chunks a source can give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It has the whole game.
    All,
    /// It is still receiving; the set grows.
    Some(ChunkSet),
}

impl Holds {
    /// Whether it can give `chunk`.
    pub fn contains(&self, chunk: u32) -> bool {
        match self {
            Self::All => true,
            Self::Some(chunks) => chunks.contains(chunk),
        }
    }
}

/// One source.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) holds: Holds,
    /// Bytes asked for and not yet received or given up.
    pub(super) outstanding_bytes: u64,
    pub(super) outstanding_requests: usize,
    /// The last sign of life, or the moment the first of the open requests was sent.
    pub(super) heard_at: Duration,
    /// How often it was passed over since it last brought something.
    pub(super) stalls: u32,
    window_bytes: u64,
    window_time: Duration,
    /// Seconds a byte takes, queueing included.
    pace: Option<f64>,
    rests_until: Duration,
    failures: u32,
    bench: Bench,
}

/// Whether a source counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bench {
    Off,
    /// It failed so often that it counts as none until then.
    Until(Duration),
    /// It does not give this content until it announces itself anew.
    ForGood,
}

impl Source {
    pub(super) fn new(now: Duration, holds: Holds) -> Self {
        Self {
            holds,
            outstanding_bytes: 0,
            outstanding_requests: 0,
            heard_at: now,
            stalls: 0,
            window_bytes: WINDOW_BYTES_START,
            window_time: WINDOW_TIME_MIN,
            pace: None,
            rests_until: Duration::ZERO,
            failures: 0,
            bench: Bench::Off,
        }
    }

    /// It announced itself anew: what was held against it is forgotten, what was measured is kept.
    pub(super) fn rejoin(&mut self, holds: Holds) {
        self.holds = holds;
        self.bench = Bench::Off;
        self.failures = 0;
        self.rests_until = Duration::ZERO;
    }

    pub(super) fn round_trip(&mut self, rtt: Duration) {
        self.window_time = WINDOW_TIME_MIN.max(rtt.saturating_mul(WINDOW_ROUND_TRIPS));
    }

    /// The bytes of the next request to it, or `None` while it has enough to do.
    pub(super) fn room(&self, window_min: u64) -> Option<u64> {
        let window = self.window_bytes.max(window_min);
        let request = (window / 2).clamp(WINDOW_BYTES_MIN, REQUEST_BYTES_AIMED);
        let fits = self.outstanding_bytes + request <= window;
        let allowed = self.outstanding_requests < REQUESTS_PER_SOURCE_MAX;
        (allowed && (fits || self.outstanding_bytes == 0)).then_some(request)
    }

    /// Whether it may be asked now.
    pub(super) fn is_willing(&self, now: Duration) -> bool {
        !self.is_benched(now) && now >= self.rests_until
    }

    /// Whether it counts as no source at the moment.
    pub(super) fn is_benched(&self, now: Duration) -> bool {
        match self.bench {
            Bench::Off => false,
            Bench::Until(until) => now < until,
            Bench::ForGood => true,
        }
    }

    /// When it may be asked again, if not now.
    pub(super) fn wakes_at(&self, now: Duration) -> Option<Duration> {
        let at = match self.bench {
            Bench::Off => self.rests_until,
            Bench::Until(until) => until.max(self.rests_until),
            Bench::ForGood => return None,
        };
        (at > now).then_some(at)
    }

    /// A chunk came `took` after it was asked for, the last of `queued_bytes` then outstanding.
    pub(super) fn measure(&mut self, queued_bytes: u64, took: Duration) {
        let took = took.as_secs_f64().max(SECONDS_MIN);
        let queued = queued_bytes as f64;
        let target = queued * self.window_time.as_secs_f64() / took;
        let capped = target.min(2.0 * self.window_bytes as f64).min(WINDOW_BYTES_MAX as f64);
        let mean = 0.75 * self.window_bytes as f64 + 0.25 * capped;
        self.window_bytes = (mean as u64).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
        let pace = took / queued.max(1.0);
        self.pace = Some(self.pace.map_or(pace, |old| 0.75 * old + 0.25 * pace));
        self.failures = 0;
        self.stalls = 0;
    }

    /// How long it would take to bring `bytes` more.
    pub(super) fn expected(&self, bytes: u64) -> Duration {
        let queue = (self.outstanding_bytes + bytes) as f64;
        match self.pace {
            None => self.window_time,
            Some(pace) => Duration::from_secs_f64((pace * queue).min(SECONDS_MAX)),
        }
    }

    /// It was passed over for its silence.
    pub(super) fn stall(&mut self, until: Duration) {
        self.stalls = self.stalls.saturating_add(1);
        self.rest(until);
    }

    pub(super) fn rest(&mut self, until: Duration) {
        self.rests_until = self.rests_until.max(until);
    }

    /// It refused or broke off: it rests, each time longer, and is benched in the end.
    pub(super) fn fail(&mut self, now: Duration) {
        self.failures += 1;
        let rest = FAILURE_REST.saturating_mul(4u32.saturating_pow(self.failures - 1));
        self.rest(now + rest.min(FAILURE_REST_MAX));
        if self.failures >= FAILURES_MAX && self.bench != Bench::ForGood {
            self.failures = 0;
            self.bench = Bench::Until(now + BENCH_TIME);
        }
    }

    /// It does not give this content until it announces itself anew.
    pub(super) fn bench(&mut self) {
        self.bench = Bench::ForGood;
    }
}

/// Clocks have a grain; nothing takes no time.
const SECONDS_MIN: f64 = 1e-6;
/// Longer than any download, short enough for a `Duration`.
const SECONDS_MAX: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: u64 = 64 * 1024;

    fn run(source: &mut Source, bytes_per_second: f64, chunks: u32) {
        for _ in 0..chunks {
            let queued = source.window_bytes;
            source.measure(queued, Duration::from_secs_f64(queued as f64 / bytes_per_second));
        }
    }

    /// A window follows the rate of its source up and down.
    #[test]
    fn a_window_is_what_a_source_sends_in_a_short_time() {
        let mut source = Source::new(Duration::ZERO, Holds::All);
        run(&mut source, 100e6, 100);
        let expected = 100e6 * WINDOW_TIME_MIN.as_secs_f64();
        assert!((source.window_bytes as f64 / expected - 1.0).abs() < 0.05);
        run(&mut source, 1e6, 100);
        assert_eq!(source.window_bytes, WINDOW_BYTES_MIN, "a slow source holds little");
        run(&mut source, 1e10, 200);
        assert!(source.window_bytes > WINDOW_BYTES_MAX / 100 * 99);
    }

    #[test]
    fn a_long_way_takes_a_larger_window() {
        let mut near = Source::new(Duration::ZERO, Holds::All);
        let mut far = near.clone();
        far.round_trip(Duration::from_millis(100));
        run(&mut near, 10e6, 100);
        run(&mut far, 10e6, 100);
        assert!(far.window_bytes > 5 * near.window_bytes);
    }

    #[test]
    fn there_is_room_while_the_window_is_not_full_or_nothing_is_outstanding() {
        let mut source = Source::new(Duration::ZERO, Holds::All);
        assert_eq!(source.room(WINDOW_BYTES_MIN), Some(WINDOW_BYTES_START / 2));
        source.outstanding_bytes = WINDOW_BYTES_START / 2;
        assert!(source.room(WINDOW_BYTES_MIN).is_some());
        source.outstanding_bytes += 1;
        assert!(source.room(WINDOW_BYTES_MIN).is_none());
        run(&mut source, 1.0, 100);
        source.outstanding_bytes = CHUNK;
        assert!(source.room(WINDOW_BYTES_MIN).is_none());
        source.outstanding_bytes = 0;
        assert_eq!(source.room(WINDOW_BYTES_MIN), Some(CHUNK));
        source.outstanding_requests = REQUESTS_PER_SOURCE_MAX;
        assert_eq!(source.room(WINDOW_BYTES_MIN), None);
    }

    /// Proves T54: the rests grow and end on the bench; a delivery or a new announcement clears
    /// the record.
    #[test]
    fn a_source_that_always_fails_is_benched() {
        let mut source = Source::new(Duration::ZERO, Holds::All);
        let mut now = Duration::ZERO;
        let mut rests = Vec::new();
        loop {
            source.fail(now);
            if source.is_benched(now) {
                break;
            }
            let wakes_at = source.wakes_at(now).expect("it rests");
            rests.push(wakes_at - now);
            now = wakes_at;
            assert!(source.is_willing(now));
        }
        assert_eq!(rests.len(), FAILURES_MAX as usize - 1);
        assert!(rests.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(rests.last(), Some(&FAILURE_REST_MAX));
        assert_eq!(source.wakes_at(now), Some(now + BENCH_TIME));
        assert!(source.is_willing(now + BENCH_TIME), "another chance");
        source.bench();
        assert!(!source.is_willing(now + Duration::from_secs(3600)));
        source.rejoin(Holds::All);
        assert!(source.is_willing(now));
        source.fail(now);
        source.measure(CHUNK, Duration::from_millis(1));
        source.fail(now);
        assert_eq!(source.wakes_at(now), Some(now + FAILURE_REST), "a delivery clears the record");
    }
}
