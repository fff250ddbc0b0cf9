//! A token bucket: so many at once, then one per pause. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Paces something that others can cause.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    capacity: u32,
    pause: Duration,
    tokens: u32,
    filled_at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(capacity: u32, pause: Duration, now: Instant) -> Self {
        Self { capacity, pause, tokens: capacity, filled_at: now }
    }

    /// Takes one token, or says how long it takes until there is one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let earned = now.duration_since(self.filled_at).as_nanos() / self.pause.as_nanos().max(1);
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(earned).min(self.capacity);
            self.filled_at += self.pause.saturating_mul(earned);
        }
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => Err((self.filled_at + self.pause).duration_since(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves T13, T16: what others cause is paced.
    #[test]
    fn a_burst_passes_and_then_one_per_pause() {
        let pause = Duration::from_millis(10);
        let start = Instant::now();
        let mut bucket = Bucket::new(3, pause, start);
        for _ in 0..3 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        assert_eq!(bucket.take(start), Err(pause));
        assert_eq!(bucket.take(start + pause / 2), Err(pause / 2));
        assert_eq!(bucket.take(start + pause), Ok(()));
        assert_eq!(bucket.take(start + pause), Err(pause));
        // A long rest earns no more than the burst.
        let later = start + pause * 1000;
        let passed = (0..10).filter(|_| bucket.take(later).is_ok()).count();
        assert_eq!(passed, 3);
    }
}
