//! Version stamps: the content of `version.ini`. Owns their parsing and their order.
//! Must never give a meaning to a stamp beyond its order as text.

use std::{fmt, str::FromStr, sync::Arc};

use thiserror::Error;

use crate::{
    limits::SENTINEL_BYTES_MAX,
    names::{is_unprintable, printable},
    text::serde_as_text,
};

/// Why bytes are not a version stamp.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadVersion {
    /// Nothing but white space.
    #[error("the version is empty")]
    Empty,
    /// Too long to be a stamp.
    #[error("the version has {bytes} bytes, more than {SENTINEL_BYTES_MAX}")]
    Long {
        /// How many bytes there were.
        bytes: usize,
    },
    /// Not a text.
    #[error("the version is not UTF-8 text")]
    NotText,
    /// A control or direction character, or more than one line.
    #[error("the version holds a character that cannot be shown: \"{0}\"")]
    Unprintable(String),
}

/// The version of a game's content. Ordered as text, which orders `YYYYMMDD` by date.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionStamp(Arc<str>);

impl VersionStamp {
    /// Parses the bytes of `version.ini`: white space at the ends and a byte order mark, which
    /// some editors write, do not count.
    pub fn parse(bytes: &[u8]) -> Result<VersionStamp, BadVersion> {
        if bytes.len() > SENTINEL_BYTES_MAX {
            return Err(BadVersion::Long { bytes: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| BadVersion::NotText)?;
        let stamp = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
        if stamp.is_empty() {
            return Err(BadVersion::Empty);
        }
        if stamp.chars().any(is_unprintable) {
            return Err(BadVersion::Unprintable(printable(stamp)));
        }
        Ok(VersionStamp(stamp.into()))
    }

    /// The stamp as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Stands for the version of a manifest that was never validated.
    pub(crate) fn unreadable() -> VersionStamp {
        VersionStamp("?".into())
    }
}

fn parse_exact(text: &str) -> Result<VersionStamp, BadVersion> {
    VersionStamp::parse(text.as_bytes())
}

impl fmt::Display for VersionStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for VersionStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl FromStr for VersionStamp {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<VersionStamp, BadVersion> {
        VersionStamp::parse(text.as_bytes())
    }
}

serde_as_text!(VersionStamp, parse_exact, "a version stamp");
