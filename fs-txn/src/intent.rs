//! The intent: what an operation is about to do to a game root, durable before it does it.
//!
//! A damaged intent, or one of another game, is a value that recovery reports; nothing is ever
//! deleted on its word.

use serde::{Deserialize, Serialize};

use crate::atomic::{read_limited, write_atomic_by};
use crate::layout;
use crate::limits::RECORD_BYTES_MAX;
use crate::op::OpId;
use crate::record::{self, Kind};
use crate::vfs::{Dir, FsError, FsOp};

/// The only form of intent this program writes and acts on.
pub const INTENT_SCHEMA: u32 = 1;

/// What is done to a game.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A new payload replaces the old one, if any.
    Download,
    /// `local/` comes into being.
    Install,
    /// A new `local/` replaces the old one.
    Update,
    /// `local/` goes.
    Uninstall,
    /// Everything goes.
    Remove,
}

/// How far an operation is, as far as recovery must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Work beside the game: giving up changes nothing.
    Staging,
    /// A download goes into place: from here on recovery goes forward.
    Promoting,
    /// An update changes `local/` for the new one.
    Swap,
    /// Something goes away.
    Removing,
}

/// The record itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Form of this record.
    pub schema: u32,
    /// Which run of an operation wrote it.
    pub op_id: OpId,
    /// Counts the operations on this root.
    pub generation: u64,
    /// The game; equals the name of the root.
    pub game_id: String,
    /// What is done.
    pub operation: Operation,
    /// How far it is.
    pub phase: Phase,
    /// Version before, if known.
    pub from_version: Option<String>,
    /// Version after, if there is one.
    pub to_version: Option<String>,
    /// Manifest of the version after, if there is one.
    pub manifest_id: Option<String>,
}

/// What stands where the intent would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntentState {
    /// Nothing.
    Absent,
    /// An intent of this game.
    Valid(Intent),
    /// Bytes that are no intent, or not a file; with the reason.
    Corrupt(String),
    /// An intent of another game: the folder was copied or renamed.
    Foreign(String),
}

impl Intent {
    /// Bytes for the disk.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        record::encode(Kind::Intent, self)
    }

    /// What `bytes`, found in the root of `game`, mean.
    #[must_use]
    pub fn decode(bytes: &[u8], game: &str) -> IntentState {
        match record::decode::<Self>(Kind::Intent, bytes) {
            Err(error) => IntentState::Corrupt(error.to_string()),
            Ok(intent) if intent.schema != INTENT_SCHEMA => {
                IntentState::Corrupt(format!("written in form {}", intent.schema))
            }
            Ok(intent) if intent.game_id != game => IntentState::Foreign(intent.game_id),
            Ok(intent) => IntentState::Valid(intent),
        }
    }

    /// Reads the intent of a root. Only a failing disk is an error.
    pub fn read(root: &dyn Dir, game: &str) -> Result<IntentState, FsError> {
        match read_limited(root, layout::INTENT, RECORD_BYTES_MAX) {
            Ok(None) => Ok(IntentState::Absent),
            Ok(Some(bytes)) => Ok(Self::decode(&bytes, game)),
            Err(error) if is_odd_file(&error) => Ok(IntentState::Corrupt(error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// Makes the intent durable in the root.
    pub(crate) fn write(&self, root: &dyn Dir) -> Result<(), FsError> {
        let bytes = self.encode().map_err(|error| {
            FsError::new(FsOp::Write, root.shown_path().join(layout::INTENT), error)
        })?;
        write_atomic_by(root, layout::INTENT_TMP, layout::INTENT, &bytes)
    }
}

/// Whether an error means "a strange thing stands there" and not "the disk fails".
pub(crate) fn is_odd_file(error: &FsError) -> bool {
    matches!(error.code(), "link" | "wrong-kind" | "too-large" | "changed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Intent {
        Intent {
            schema: INTENT_SCHEMA,
            op_id: OpId::parse("op1").unwrap(),
            generation: 7,
            game_id: "quake".into(),
            operation: Operation::Update,
            phase: Phase::Swap,
            from_version: Some("20240101".into()),
            to_version: Some("20250101".into()),
            manifest_id: None,
        }
    }

    #[test]
    fn intents_come_back() {
        let bytes = sample().encode().unwrap();
        assert_eq!(Intent::decode(&bytes, "quake"), IntentState::Valid(sample()));
    }

    /// Proves T7: an intent of another game is no intent.
    #[test]
    fn an_intent_of_another_game_is_foreign() {
        let bytes = sample().encode().unwrap();
        assert_eq!(Intent::decode(&bytes, "doom"), IntentState::Foreign("quake".into()));
    }

    #[test]
    fn another_form_is_not_acted_on() {
        let bytes = Intent { schema: 2, ..sample() }.encode().unwrap();
        assert!(matches!(Intent::decode(&bytes, "quake"), IntentState::Corrupt(_)));
    }
}
