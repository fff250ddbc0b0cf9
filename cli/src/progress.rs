//! The progress of one operation: a bar on a terminal, a line per step elsewhere.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lanspread_actors::api::{Event, OperationView, Phase};

use crate::{exit::say, human};

const BAR: &str = "{prefix} [{bar:30}] {bytes}/{total_bytes} {percent}% {msg}";
const STEP: &str = "{prefix} {spinner} {msg}";

/// Shows how an operation goes.
pub(crate) struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
    phase: Option<Phase>,
}

impl Progress {
    /// For the operation on `game`; shows nothing if `is_quiet`.
    pub(crate) fn new(game: &str, is_quiet: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal() && !is_quiet;
        let target =
            if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_style(style(STEP));
        bar.set_prefix(human::shown(game));
        Self { bar, is_terminal: is_terminal || is_quiet, phase: None }
    }

    /// Takes in how far the transfer is.
    pub(crate) fn on_event(&mut self, event: &Event) {
        if let Event::DownloadProgress {
            bytes_done,
            bytes_total,
            bytes_per_second,
            peers,
            eta_s,
            ..
        } = event
        {
            self.show(*bytes_done, *bytes_total);
            self.bar.set_message(transfer(*bytes_per_second, *peers, *eta_s));
        }
    }

    /// Takes in what the operation is doing.
    pub(crate) fn on_operation(&mut self, operation: &OperationView) {
        let is_new = self.phase.replace(operation.phase) != Some(operation.phase);
        let words = human::phase(operation.phase);
        if is_new && !self.is_terminal {
            say(&format!("{}: {words}", operation.game));
        }
        if operation.phase != Phase::Fetching {
            self.show(operation.bytes_done, operation.bytes_total);
            self.bar.set_message(words);
        }
    }

    /// Takes the bar away before something is said.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Says a line above the bar.
    pub(crate) fn note(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }

    fn show(&self, done: u64, total: u64) {
        self.bar.set_style(style(if total > 0 { BAR } else { STEP }));
        if total > 0 {
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
    }
}

/// Rate, time left and peers stand together.
fn transfer(bytes_per_second: u64, peers: usize, eta_s: Option<u64>) -> String {
    let left = eta_s.map_or_else(
        || "time left unknown".to_owned(),
        |eta| format!("{} left", human::seconds(eta)),
    );
    let peers = human::peer_count(peers);
    format!("{}/s, {left}, {peers}", human::bytes(bytes_per_second))
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants and a test renders them.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_sound() {
        for template in [BAR, STEP] {
            ProgressStyle::with_template(template).unwrap();
        }
    }

    #[test]
    fn rate_time_and_peers_stand_together() {
        assert_eq!(transfer(2048, 1, Some(45)), "2.00 KiB/s, 45 seconds left, 1 peer");
        assert_eq!(transfer(0, 3, None), "0 B/s, time left unknown, 3 peers");
    }
}
