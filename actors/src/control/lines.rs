//! Reads lines with a limit. Cancel safe: a dropped `next` loses nothing.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// A reader of lines that never keeps more than one line of the allowed length.
pub struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    bytes_max: usize,
    is_too_long: bool,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Its text, without the line feed.
    Text(String),
    /// It was longer than allowed, and is gone.
    TooLong,
    /// It was no UTF-8.
    NotText,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines of at most `bytes_max` bytes.
    pub fn new(input: R, bytes_max: usize) -> Self {
        Self { input: BufReader::new(input), line: Vec::new(), bytes_max, is_too_long: false }
    }

    /// The next line; `None` at the end. Empty lines are passed over.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let bytes = self.input.fill_buf().await?;
            let is_end = bytes.is_empty();
            let feed = bytes.iter().position(|byte| *byte == b'\n');
            let taken = feed.unwrap_or(bytes.len());
            if self.line.len() + taken > self.bytes_max {
                self.is_too_long = true;
                self.line = Vec::new();
            } else if !self.is_too_long {
                self.line.extend_from_slice(&bytes[..taken]);
            }
            let consumed = taken + usize::from(feed.is_some());
            self.input.consume(consumed);
            if feed.is_none() && !is_end {
                continue;
            }
            match self.take() {
                Some(line) => return Ok(Some(line)),
                None if is_end => return Ok(None),
                None => {}
            }
        }
    }

    fn take(&mut self) -> Option<Line> {
        if std::mem::take(&mut self.is_too_long) {
            return Some(Line::TooLong);
        }
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8(bytes).map(|text| text.trim().to_owned());
        match text {
            Ok(text) if text.is_empty() => None,
            Ok(text) => Some(Line::Text(text)),
            Err(_) => Some(Line::NotText),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(input: &[u8], bytes_max: usize) -> Vec<Line> {
        let mut lines = Lines::new(input, bytes_max);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        found
    }

    fn text(text: &str) -> Line {
        Line::Text(text.to_owned())
    }

    #[tokio::test]
    async fn lines_end_with_a_feed_or_the_end() {
        assert_eq!(all(b"a\r\n\n  \nb", 8).await, [text("a"), text("b")]);
        assert_eq!(all(b"", 8).await, []);
        assert_eq!(all(b"\xff\nok\n", 8).await, [Line::NotText, text("ok")]);
    }

    /// Proves the limit at limit, limit + 1 and far beyond the read buffer, and that the next line
    /// is whole.
    #[tokio::test]
    async fn a_line_that_is_too_long_is_dropped_alone() {
        assert_eq!(all(b"12345678\nok\n", 8).await, [text("12345678"), text("ok")]);
        assert_eq!(all(b"123456789\nok\n", 8).await, [Line::TooLong, text("ok")]);
        let mut long = vec![b'x'; 100_000];
        long.extend_from_slice(b"\nok");
        assert_eq!(all(&long, 8).await, [Line::TooLong, text("ok")]);
    }

    /// Proves that a `next` that is dropped half way loses nothing.
    #[tokio::test]
    async fn a_cancelled_wait_keeps_what_was_read() {
        use tokio::io::AsyncWriteExt;
        let (mut far, near) = tokio::io::duplex(64);
        let mut lines = Lines::new(near, 64);
        far.write_all(b"half ").await.unwrap();
        let wait = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, lines.next()).await.is_err());
        far.write_all(b"and half\n").await.unwrap();
        assert_eq!(lines.next().await.unwrap(), Some(text("half and half")));
    }
}
