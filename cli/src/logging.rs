//! Logs on stderr. Whatever a peer or a file put into a line, no control character gets out (I15).

use std::io::{self, Write};

use tracing_subscriber::{EnvFilter, fmt};

const NODE_FILTER: &str = "warn,lanspread=info,lanspread_actors=info";
const CLIENT_FILTER: &str = "warn";

/// Starts logging with the filter the user gave, or the one that fits.
pub(crate) fn start(filter: Option<&str>, is_node: bool) {
    let fallback = if is_node { NODE_FILTER } else { CLIENT_FILTER };
    let filter = match filter.map(EnvFilter::try_new) {
        None => EnvFilter::new(fallback),
        Some(Ok(filter)) => filter,
        Some(Err(error)) => {
            crate::exit::say(&format!("lanspread: the log filter is ignored: {error}"));
            EnvFilter::new(fallback)
        }
    };
    let lines = fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(|| Printable { inner: io::stderr().lock() });
    // A second start can only come from a test in the same process; the first one stands.
    lines.try_init().ok();
}

/// Writes log lines with control and direction characters escaped.
struct Printable<W> {
    inner: W,
}

impl<W: Write> Write for Printable<W> {
    /// Called once for each line, which ends with its only line feed.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        writeln!(self.inner, "{}", crate::human::shown(text))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves I15.
    #[test]
    fn a_log_line_cannot_move_the_cursor_or_fake_another_line() {
        let mut out = Vec::new();
        let line = "a\u{1b}[2J\r\nERROR faked\u{202e}b\n";
        Printable { inner: &mut out }.write_all(line.as_bytes()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
        assert!(!text.contains('\u{202e}'));
    }
}
