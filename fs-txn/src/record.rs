//! Small records on disk: one JSON object whose last member is a checksum over all before it.
//! Pure. A record of one kind never passes for another; damage is a value, never a panic.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum BadRecord {
    /// The frame around the body is not there: empty, cut off, or another file altogether.
    #[error("cut off or no record at all")]
    Torn,
    /// The checksum does not fit the bytes.
    #[error("the checksum does not fit")]
    Checksum,
    /// The checksum fits but the content is of another shape (another version of the program).
    #[error("not understood: {0}")]
    Shape(String),
}

const OPEN: &str = ",\"checksum\":\"";
const CLOSE: &str = "\"}\n";
const HEX_LEN: usize = 64;

/// Writes `body` as a record of `kind`.
pub(crate) fn encode<T: Serialize>(kind: Kind, body: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec(body)?;
    let checksum = kind.checksum(&bytes);
    bytes.pop(); // the closing brace comes back behind the checksum
    bytes.extend_from_slice(OPEN.as_bytes());
    bytes.extend_from_slice(checksum.as_bytes());
    bytes.extend_from_slice(CLOSE.as_bytes());
    Ok(bytes)
}

/// Reads a record of `kind`.
pub(crate) fn decode<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, BadRecord> {
    let tail = OPEN.len() + HEX_LEN + CLOSE.len();
    let body_len = bytes.len().checked_sub(tail).ok_or(BadRecord::Torn)?;
    let (body, rest) = bytes.split_at(body_len);
    let rest = rest.strip_prefix(OPEN.as_bytes()).ok_or(BadRecord::Torn)?;
    let (checksum, close) = rest.split_at(HEX_LEN);
    if close != CLOSE.as_bytes() {
        return Err(BadRecord::Torn);
    }
    let body = [body, b"}"].concat();
    if kind.checksum(&body).as_bytes() != checksum {
        return Err(BadRecord::Checksum);
    }
    serde_json::from_slice(&body).map_err(|error| BadRecord::Shape(error.to_string()))
}

/// What a record is about; part of its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What an operation is about to do.
    Intent,
    /// Whose a directory is.
    Marker,
    /// What a download consists of.
    Plan,
    /// How far a download is.
    Progress,
    /// What an install wrote.
    InstalledList,
}

impl Kind {
    fn checksum(self, body: &[u8]) -> String {
        let context = match self {
            Self::Intent => "lanspread 2025 record intent",
            Self::Marker => "lanspread 2025 record marker",
            Self::Plan => "lanspread 2025 record plan",
            Self::Progress => "lanspread 2025 record progress",
            Self::InstalledList => "lanspread 2025 record installed list",
        };
        hex::encode(blake3::derive_key(context, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
    struct Body {
        name: String,
        number: u64,
    }

    fn sample() -> (Body, Vec<u8>) {
        let body = Body { name: "a \"quoted\" }\u{1b}".into(), number: u64::MAX };
        let bytes = encode(Kind::Intent, &body).unwrap();
        (body, bytes)
    }

    #[test]
    fn records_are_json_and_come_back() {
        let (body, bytes) = sample();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["number"], u64::MAX);
        assert!(value["checksum"].is_string());
        assert_eq!(decode::<Body>(Kind::Intent, &bytes), Ok(body));
    }

    /// Proves T70: each byte flipped, cut at each length, and something behind it.
    #[test]
    fn damage_is_always_noticed() {
        let (_, bytes) = sample();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(decode::<Body>(Kind::Intent, &flipped).is_err(), "byte {at} bit {bit}");
            }
            assert!(decode::<Body>(Kind::Intent, &bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(decode::<Body>(Kind::Intent, &[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn kinds_are_not_mixed_up() {
        let (_, bytes) = sample();
        assert_eq!(decode::<Body>(Kind::Marker, &bytes), Err(BadRecord::Checksum));
    }

    #[test]
    fn another_shape_is_told_apart_from_damage() {
        let bytes = encode(Kind::Intent, &serde_json::json!({"other": 1})).unwrap();
        assert!(matches!(decode::<Body>(Kind::Intent, &bytes), Err(BadRecord::Shape(_))));
    }
}
