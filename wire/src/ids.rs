//! Identifiers: keys and hashes of fixed length, and game ids. Owns their text and serde forms.
//! Must never hold an id that its `parse` would refuse.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

use crate::{
    limits::GAME_ID_CHARS_MAX,
    names::{BadName, check_component, printable},
    text::serde_as_text,
};

/// Why a text is not one of the fixed-length identifiers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a {kind}, which is 64 hexadecimal digits: \"{text}\"")]
pub struct BadId {
    /// What the text should have been.
    kind: &'static str,
    /// The text, escaped.
    text: String,
}

macro_rules! fixed_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The first eight digits: enough for a log line, never for a decision.
            pub fn short(&self) -> String {
                hex::encode(&self.0[..4])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.short())
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let mut bytes = [0; 32];
                match hex::decode_to_slice(text, &mut bytes) {
                    Ok(()) => Ok(Self(bytes)),
                    Err(_) => Err(BadId { kind: $kind, text: printable(text) }),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(D::Error::custom)
                } else {
                    <[u8; 32]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

fixed_id!(
    /// Who a peer is: its Ed25519 public key.
    PeerId, "peer id"
);
fixed_id!(
    /// What a game's content is: the BLAKE3 hash of its manifest's canonical bytes.
    ManifestId, "manifest id"
);
fixed_id!(
    /// The BLAKE3 hash of one chunk.
    ChunkHash, "chunk hash"
);
fixed_id!(
    /// What a library holds, see [`crate::library_digest`].
    LibraryDigest, "library digest"
);

impl ChunkHash {
    /// The hash of a chunk's bytes.
    pub fn of(bytes: &[u8]) -> ChunkHash {
        ChunkHash(*blake3::hash(bytes).as_bytes())
    }
}

/// Which game: the name of its folder, the same on every system. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GameId(Arc<str>);

impl GameId {
    /// Parses an id: small letters, digits, `.`, `_` and `-`, beginning with a letter or a digit,
    /// not ending with a dot, and no name that a system reserves for a device.
    pub fn parse(text: &str) -> Result<GameId, BadName> {
        let fits = text.len() <= GAME_ID_CHARS_MAX
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.bytes().all(is_game_id_byte);
        if !fits {
            return Err(BadName::GameId(printable(text)));
        }
        check_component(text)?;
        Ok(GameId(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_game_id_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
}

impl fmt::Display for GameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for GameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for GameId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<GameId, BadName> {
        GameId::parse(text)
    }
}

impl AsRef<str> for GameId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

serde_as_text!(GameId, GameId::parse, "a game id");
