//! How far a download is, how fast, and how long it still takes.
//!
//! Pure: bytes and time in, figures out. What was reused counts as done but never as speed.

use std::{collections::VecDeque, time::Duration};

use crate::limits::transfer::{PROGRESS_INTERVAL, RATE_WINDOW};

/// The figures of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    pub bytes_done: u64,
    pub bytes_total: u64,
    pub bytes_per_second: u64,
    /// `None` while nothing moves.
    pub eta_s: Option<u64>,
}

/// The account of one download.
#[derive(Clone, Debug)]
pub struct Progress {
    bytes_total: u64,
    bytes_received: u64,
    bytes_reused: u64,
    /// Bytes received in each slice of the recent past, oldest first.
    recent: VecDeque<(Duration, u64)>,
    began_at: Duration,
    told_at: Option<Duration>,
}

impl Progress {
    /// A download of `bytes_total` of which nothing is here yet.
    pub fn new(now: Duration, bytes_total: u64) -> Self {
        Self {
            bytes_total,
            bytes_received: 0,
            bytes_reused: 0,
            recent: VecDeque::new(),
            began_at: now,
            told_at: None,
        }
    }

    /// Bytes came from a peer and are right.
    pub fn received(&mut self, now: Duration, bytes: u64) {
        self.bytes_received += bytes;
        match self.recent.back_mut() {
            Some((slice, sum)) if now.saturating_sub(*slice) < PROGRESS_INTERVAL => *sum += bytes,
            _ => self.recent.push_back((now, bytes)),
        }
        self.forget(now);
    }

    /// Bytes were here already, or came along with equal ones.
    pub fn reused(&mut self, bytes: u64) {
        self.bytes_reused += bytes;
    }

    /// Bytes that came from peers.
    pub fn bytes_received(&self) -> u64 {
        self.bytes_received
    }

    /// Bytes that did not have to come.
    pub fn bytes_reused(&self) -> u64 {
        self.bytes_reused
    }

    /// The figures, if it is time to tell them again.
    pub fn due(&mut self, now: Duration) -> Option<Figures> {
        if self.told_at.is_some_and(|told_at| now < told_at + PROGRESS_INTERVAL) {
            return None;
        }
        self.told_at = Some(now);
        Some(self.figures(now))
    }

    /// When [`Progress::due`] has something to tell again.
    pub fn due_at(&self) -> Duration {
        self.told_at.map_or(Duration::ZERO, |told_at| told_at + PROGRESS_INTERVAL)
    }

    /// The figures of this moment.
    pub fn figures(&mut self, now: Duration) -> Figures {
        self.forget(now);
        let bytes_done = (self.bytes_received + self.bytes_reused).min(self.bytes_total);
        let span = now.saturating_sub(self.began_at).min(RATE_WINDOW).max(PROGRESS_INTERVAL);
        let moved: u64 = self.recent.iter().map(|(_, bytes)| bytes).sum();
        let bytes_per_second = (moved as f64 / span.as_secs_f64()) as u64;
        let left = self.bytes_total - bytes_done;
        let eta_s = (bytes_per_second > 0).then(|| left.div_ceil(bytes_per_second));
        Figures { bytes_done, bytes_total: self.bytes_total, bytes_per_second, eta_s }
    }

    fn forget(&mut self, now: Duration) {
        while self
            .recent
            .front()
            .is_some_and(|(slice, _)| now.saturating_sub(*slice) >= RATE_WINDOW)
        {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_steady_stream_has_its_rate_and_end() {
        let mut progress = Progress::new(Duration::ZERO, 1000 * MIB);
        progress.reused(500 * MIB);
        let mut now = Duration::ZERO;
        for _ in 0..100 {
            now += Duration::from_millis(100);
            progress.received(now, MIB);
        }
        let figures = progress.figures(now);
        assert_eq!(figures.bytes_done, 600 * MIB);
        let rate = figures.bytes_per_second as f64 / (10 * MIB) as f64;
        assert!((0.95..1.05).contains(&rate), "{figures:?}");
        assert_eq!(figures.eta_s, Some((400 * MIB).div_ceil(figures.bytes_per_second)));
        assert_eq!((progress.bytes_received(), progress.bytes_reused()), (100 * MIB, 500 * MIB));
    }

    #[test]
    fn a_stopped_stream_falls_to_nothing_and_promises_no_end() {
        let mut progress = Progress::new(Duration::ZERO, 10 * MIB);
        progress.received(Duration::from_secs(1), MIB);
        assert!(progress.figures(Duration::from_secs(2)).bytes_per_second > 0);
        let figures = progress.figures(Duration::from_secs(1) + RATE_WINDOW);
        assert_eq!((figures.bytes_per_second, figures.eta_s), (0, None));
    }

    #[test]
    fn the_first_moment_promises_no_absurd_rate() {
        let mut progress = Progress::new(Duration::from_secs(9), 10 * MIB);
        progress.received(Duration::from_secs(9), MIB);
        let figures = progress.figures(Duration::from_secs(9));
        assert_eq!(figures.bytes_per_second, 4 * MIB, "over the shortest span, not over nothing");
    }

    #[test]
    fn it_is_told_at_most_four_times_a_second() {
        let mut progress = Progress::new(Duration::ZERO, MIB);
        let told = (0..1000)
            .filter(|millis| progress.due(Duration::from_millis(*millis)).is_some())
            .count();
        assert_eq!(told, 4);
    }

    #[test]
    fn more_than_all_is_never_shown() {
        let mut progress = Progress::new(Duration::ZERO, 10);
        progress.reused(8);
        progress.received(Duration::ZERO, 8);
        assert_eq!(progress.figures(Duration::ZERO).bytes_done, 10);
    }
}
