//! Ids of operations. An id names one run of one operation; it is unique, and nothing else.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The id of one run of an operation: 1 to 32 of `a`–`z`, `0`–`9`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OpId(String);

/// A text that is no operation id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("an operation id has 1 to 32 lower-case letters and digits: {0:?}")]
pub struct BadOpId(pub String);

impl OpId {
    /// Checks a text.
    pub fn parse(text: &str) -> Result<Self, BadOpId> {
        let fits = (1..=32).contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if fits && plain { Ok(Self(text.to_owned())) } else { Err(BadOpId(text.to_owned())) }
    }

    /// A fresh id: random, and different from every other of this process.
    #[must_use]
    pub fn fresh() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(count);
        hasher.write_u32(std::process::id());
        Self(format!("{:016x}", hasher.finish()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for OpId {
    type Error = BadOpId;

    fn try_from(text: String) -> Result<Self, BadOpId> {
        Self::parse(&text)
    }
}

impl From<OpId> for String {
    fn from(id: OpId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_and_differ() {
        assert!(OpId::parse("a0").is_ok());
        for bad in ["", "A", "a-b", "a/b", "..", &"x".repeat(33)] {
            assert!(OpId::parse(bad).is_err(), "{bad:?}");
        }
        let (one, two) = (OpId::fresh(), OpId::fresh());
        assert_ne!(one, two);
        assert_eq!(OpId::parse(one.as_str()), Ok(one));
    }
}
