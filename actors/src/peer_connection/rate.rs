//! Rates: how much may come how fast. Pure: the time is an argument.

use std::{collections::VecDeque, time::Duration};

/// A token bucket: so many tokens a second on average, so many at once.
#[derive(Clone, Debug)]
pub(crate) struct TokenBucket {
    rate: u32,
    burst: u32,
    /// In nanotokens, so that a tenth of a millisecond at any rate is not rounded away.
    level: u128,
    at: Duration,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        Self { rate, burst, level: u128::from(burst) * NANO, at: Duration::ZERO }
    }

    /// Takes `tokens`, or says how long to wait until they are there. More than fit the bucket are
    /// given when it is full.
    pub(crate) fn take(&mut self, now: Duration, tokens: u32) -> Result<(), Duration> {
        self.fill(now);
        let wanted = u128::from(tokens.min(self.burst)) * NANO;
        if wanted <= self.level {
            self.level -= wanted;
            return Ok(());
        }
        let nanos = (wanted - self.level).div_ceil(u128::from(self.rate.max(1)));
        Err(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        let level = self.level + passed.as_nanos() * u128::from(self.rate);
        self.level = level.min(u128::from(self.burst) * NANO);
    }
}

/// Counts what happened within the last `window`.
#[derive(Clone, Debug)]
pub(crate) struct RateWindow {
    max: usize,
    window: Duration,
    recent: VecDeque<Duration>,
}

impl RateWindow {
    /// At most `max` events within `window` are fine.
    pub(crate) fn new(max: usize, window: Duration) -> Self {
        Self { max, window, recent: VecDeque::new() }
    }

    /// Counts one event; `false` once there were more than allowed.
    pub(crate) fn admit(&mut self, now: Duration) -> bool {
        let window = self.window;
        self.recent.retain(|at| now.saturating_sub(*at) < window);
        self.recent.push_back(now);
        self.recent.truncate(self.max + 1);
        self.recent.len() <= self.max
    }
}

/// A billion: one token in nanotokens.
const NANO: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves T31: the rate holds over any time, whatever the burst.
    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = TokenBucket::new(10, 3);
        let start = Duration::from_secs(7);
        for _ in 0..3 {
            assert_eq!(bucket.take(start, 1), Ok(()));
        }
        assert_eq!(bucket.take(start, 1), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(start, 2), Err(Duration::from_millis(200)));
        assert_eq!(bucket.take(start + Duration::from_millis(99), 1), Err(ms(1)));
        assert_eq!(bucket.take(start + Duration::from_millis(100), 1), Ok(()));
        assert_eq!(bucket.take(start + Duration::from_secs(60), 3), Ok(()));
        assert_eq!(bucket.take(start + Duration::from_secs(60), 1), Err(ms(100)));
    }

    #[test]
    fn more_than_the_bucket_holds_is_given_when_it_is_full() {
        let mut bucket = TokenBucket::new(10, 3);
        assert_eq!(bucket.take(Duration::ZERO, 100), Ok(()));
        assert_eq!(bucket.take(Duration::ZERO, 100), Err(ms(300)));
    }

    #[test]
    fn time_that_goes_back_gives_nothing() {
        let mut bucket = TokenBucket::new(10, 1);
        assert_eq!(bucket.take(Duration::from_secs(5), 1), Ok(()));
        assert!(bucket.take(Duration::from_secs(1), 1).is_err());
        assert_eq!(bucket.take(Duration::from_secs(5), 1), Err(ms(100)));
    }

    /// Proves T26: the limit is met exactly.
    #[test]
    fn a_window_forgets_what_is_old() {
        let mut window = RateWindow::new(2, Duration::from_secs(10));
        assert!(window.admit(Duration::from_secs(0)));
        assert!(window.admit(Duration::from_secs(1)));
        assert!(!window.admit(Duration::from_secs(2)));
        assert!(!window.admit(Duration::from_secs(3)));
        assert!(window.admit(Duration::from_secs(20)));
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }
}
