//! The marker inside a directory: proves that this program made it, for which game and by which
//! operation. A directory is ours to delete only if its name fits and its marker names this game.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::atomic::{read_limited_at, write_atomic_by, write_new_durable};
use crate::intent::is_odd_file;
use crate::layout;
use crate::limits::{FREE_NAME_ATTEMPTS_MAX, RECORD_BYTES_MAX};
use crate::op::OpId;
use crate::record::{self, Kind};
use crate::vfs::{Dir, FsError, FsOp, Refusal, look};

/// The only form of marker this program writes and trusts.
pub const MARKER_SCHEMA: u32 = 1;

/// The record itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// Form of this record.
    pub schema: u32,
    /// Which run of an operation made the directory.
    pub op_id: OpId,
    /// Counts the operations on this root; the larger one is the later one.
    pub generation: u64,
    /// The game.
    pub game_id: String,
    /// Version of what is inside, if known.
    pub version: Option<String>,
    /// Manifest of what is inside, if there is one.
    pub manifest_id: Option<String>,
    /// Set only when everything inside is complete and durable.
    pub sealed: bool,
}

/// What stands where a marker would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkerState {
    /// Nothing.
    Absent,
    /// A marker of this game.
    Valid(Marker),
    /// Bytes that are no marker; with the reason.
    Corrupt(String),
    /// A marker of another game.
    Foreign(String),
}

impl MarkerState {
    /// The marker, if it proves ownership.
    #[must_use]
    pub fn valid(self) -> Option<Marker> {
        match self {
            Self::Valid(marker) => Some(marker),
            _ => None,
        }
    }
}

impl Marker {
    /// Bytes for the disk.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        record::encode(Kind::Marker, self)
    }

    /// What `bytes`, found in a root of `game`, mean.
    #[must_use]
    pub fn decode(bytes: &[u8], game: &str) -> MarkerState {
        match record::decode::<Self>(Kind::Marker, bytes) {
            Err(error) => MarkerState::Corrupt(error.to_string()),
            Ok(marker) if marker.schema != MARKER_SCHEMA => {
                MarkerState::Corrupt(format!("written in form {}", marker.schema))
            }
            Ok(marker) if marker.game_id != game => MarkerState::Foreign(marker.game_id),
            Ok(marker) => MarkerState::Valid(marker),
        }
    }

    /// Reads the marker of the directory `inside`. Only a failing disk is an error.
    pub fn read(root: &dyn Dir, inside: &Path, game: &str) -> Result<MarkerState, FsError> {
        match read_limited_at(root, &inside.join(layout::MARKER), RECORD_BYTES_MAX) {
            Ok(None) => Ok(MarkerState::Absent),
            Ok(Some(bytes)) => Ok(Self::decode(&bytes, game)),
            Err(error) if is_odd_file(&error) => Ok(MarkerState::Corrupt(error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// Writes or replaces the marker of an open directory, durable.
    pub(crate) fn write(&self, dir: &dyn Dir) -> Result<(), FsError> {
        write_atomic_by(dir, layout::MARKER_TMP, layout::MARKER, &self.bytes(dir)?)
    }

    fn bytes(&self, dir: &dyn Dir) -> Result<Vec<u8>, FsError> {
        self.encode().map_err(|error| {
            FsError::new(FsOp::Write, dir.shown_path().join(layout::MARKER), error)
        })
    }
}

/// Creates a trash directory that carries its marker, durable before anything else is put there,
/// and tells its name. That name itself is durable when the caller has flushed the root.
///
/// The name alone proves an empty one as ours (see [`layout::trash_name`]), so a crash between
/// creating it and writing the marker leaves nothing that nobody may delete.
pub(crate) fn create_marked(
    root: &dyn Dir,
    marker: &Marker,
) -> Result<(PathBuf, Arc<dyn Dir>), FsError> {
    let name = create_trash_dir(root, marker)?;
    let dir = root.open_dir(&name)?;
    write_new_durable(&*dir, Path::new(layout::MARKER), &marker.bytes(&*dir)?)?;
    dir.sync_dir(Path::new(""))?;
    Ok((name, dir))
}

fn create_trash_dir(root: &dyn Dir, marker: &Marker) -> Result<PathBuf, FsError> {
    for number in 1..=FREE_NAME_ATTEMPTS_MAX {
        let name = PathBuf::from(layout::trash_name(&marker.game_id, &marker.op_id, number));
        match root.create_dir(&name) {
            Ok(()) => return Ok(name),
            Err(error) if error.code() == "exists" => {}
            Err(error) => return Err(error),
        }
    }
    let shown = root.shown_path().join(layout::TRASH_PREFIX);
    Err(FsError::refused(FsOp::CreateDir, shown, Refusal::Exists))
}

/// Whether the trash directory `name` is a husk: its name proves it as ours, and nothing is in
/// it but a marker that did not get finished, or nothing at all.
pub(crate) fn is_husk(root: &dyn Dir, name: &OsStr, game: &str) -> Result<bool, FsError> {
    if !layout::is_own_trash_name(game, name) {
        return Ok(false);
    }
    let entries = match look(root, Path::new(name))? {
        Some(_) => root.read_dir(Path::new(name))?,
        None => return Ok(false),
    };
    Ok(entries.iter().all(|entry| {
        let is_file = entry.kind == crate::vfs::FileKind::File;
        is_file && (entry.name == layout::MARKER || entry.name == layout::MARKER_TMP)
    }))
}
