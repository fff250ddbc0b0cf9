//! What stands in a game root: everything recovery and the start of an operation decide on.
//! Reads only. What is in a root is told as values; only a failing disk is an error.

use std::path::{Path, PathBuf};

use crate::atomic::read_limited;
use crate::intent::{Intent, IntentState, Operation, Phase, is_odd_file};
use crate::layout;
use crate::limits::SENTINEL_BYTES_MAX;
use crate::marker::{Marker, MarkerState, is_husk};
use crate::ops::{Promotion, inspect_download};
use crate::tree::name_text;
use crate::vfs::{Dir, DirEntry, FileKind, FsError, look};

/// A game root as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootState {
    /// The game.
    pub game: String,
    /// Whether it counts as downloaded.
    pub sentinel: Sentinel,
    /// The sentinel that a commit had moved away, if it is still there.
    pub sentinel_discarded: Option<Vec<u8>>,
    /// Whether it counts as installed.
    pub local: Local,
    /// The recorded intent.
    pub intent: IntentState,
    /// The owned staging of an install.
    pub installing: Option<OwnedDir>,
    /// The owned backup of `local/`.
    pub backup: Option<OwnedDir>,
    /// The owned staging of a download.
    pub download: Option<DownloadFound>,
    /// Owned trash.
    pub trash: Vec<TrashDir>,
    /// Temporary files of ours.
    pub tmps: Vec<String>,
    /// Things under our names that are not provably ours; they stay.
    pub unowned: Vec<Unowned>,
    /// The largest generation in any record found.
    pub generation_newest: u64,
}

/// What stands at `version.ini`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sentinel {
    /// Nothing.
    Absent,
    /// A regular file of an allowed size with these bytes.
    Present(Vec<u8>),
    /// Something that does not count: empty, too large, or no regular file.
    Odd(String),
}

/// What stands at `local`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// Nothing.
    Absent,
    /// A directory.
    Dir {
        /// The record of the install that made it, if it carries one.
        record: Option<Marker>,
        /// Files of the user that an update saved and that are not at their place yet.
        kept_pending: bool,
    },
    /// A file, a link, or a directory on another device.
    Odd(String),
}

/// A directory that carries our marker for this game.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedDir {
    /// Its name in the root.
    pub name: PathBuf,
    /// Its marker.
    pub marker: Marker,
}

/// The staging of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadFound {
    /// Its marker.
    pub marker: Marker,
    /// Whether the manifest in it is whole, so that the download can go on.
    pub manifest_known: bool,
    /// How far its commit is; looked at only when a commit had begun.
    pub promotion: Option<Promotion>,
}

/// A directory that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashDir {
    /// Its name in the root.
    pub name: PathBuf,
    /// Whether it holds more than its marker.
    pub holds_files: bool,
}

/// Something under one of our names that is not provably ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unowned {
    /// Its name in the root.
    pub name: PathBuf,
    /// Why it is not ours.
    pub reason: String,
}

impl Sentinel {
    /// The bytes, if it counts.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Present(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The version stamp: the trimmed text.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        self.bytes().map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned())
    }
}

impl RootState {
    /// Whether the game counts as downloaded.
    #[must_use]
    pub fn is_downloaded(&self) -> bool {
        matches!(self.sentinel, Sentinel::Present(_))
    }

    /// Whether the game counts as installed.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        matches!(self.local, Local::Dir { .. })
    }

    /// The record of the install that made `local/`.
    #[must_use]
    pub fn local_record(&self) -> Option<&Marker> {
        match &self.local {
            Local::Dir { record, .. } => record.as_ref(),
            _ => None,
        }
    }

    /// The valid intent.
    #[must_use]
    pub fn intent_valid(&self) -> Option<&Intent> {
        match &self.intent {
            IntentState::Valid(intent) => Some(intent),
            _ => None,
        }
    }

    /// What of ours stands under `name` and is not provably ours.
    #[must_use]
    pub fn unowned_named(&self, name: &str) -> Option<&Unowned> {
        self.unowned.iter().find(|unowned| unowned.name == Path::new(name))
    }
}

/// Looks at the root of `game`.
pub fn inspect(root: &dyn Dir, game: &str) -> Result<RootState, FsError> {
    let entries = root.read_dir(Path::new(""))?;
    let mut state = RootState {
        game: game.to_owned(),
        sentinel: Sentinel::Absent,
        sentinel_discarded: None,
        local: Local::Absent,
        intent: Intent::read(root, game)?,
        installing: None,
        backup: None,
        download: None,
        trash: Vec::new(),
        tmps: Vec::new(),
        unowned: Vec::new(),
        generation_newest: 0,
    };
    for entry in &entries {
        inspect_entry(root, entry, &mut state)?;
    }
    if let Some(found) = state.download.take() {
        state.download = Some(with_promotion(root, found, &state)?);
    }
    state.generation_newest = newest_generation(&state);
    Ok(state)
}

/// The commit of a download is looked at only when one had begun: it asks for every file.
fn with_promotion(
    root: &dyn Dir,
    mut found: DownloadFound,
    state: &RootState,
) -> Result<DownloadFound, FsError> {
    let promoting = state.intent_valid().is_some_and(|intent| {
        intent.operation == Operation::Download && intent.phase == Phase::Promoting
    });
    if promoting || state.sentinel_discarded.is_some() {
        found.promotion = inspect_download::promotion(root)?;
    }
    Ok(found)
}

fn inspect_entry(root: &dyn Dir, entry: &DirEntry, state: &mut RootState) -> Result<(), FsError> {
    // exact names: on a file system without case a look by name would find `Version.INI` too
    let Some(name) = entry.name.to_str() else { return Ok(()) };
    match name {
        layout::SENTINEL => state.sentinel = read_sentinel(root, entry.kind, name)?,
        layout::LOCAL => state.local = inspect_local(root, entry, &state.game)?,
        layout::DOWNLOAD => inspect_staging(root, entry, state)?,
        layout::SENTINEL_TMP | layout::INTENT_TMP | layout::SENTINEL_DISCARDED => {
            if entry.kind != FileKind::File {
                push_unowned(state, entry, "not a regular file");
                return Ok(());
            }
            if name == layout::SENTINEL_DISCARDED {
                let sentinel = read_sentinel(root, entry.kind, name)?;
                state.sentinel_discarded = sentinel.bytes().map(<[u8]>::to_vec);
            }
            state.tmps.push(name.to_owned());
        }
        layout::LOCAL_BACKUP => state.backup = owned_dir(root, entry, state)?,
        layout::LOCAL_INSTALLING => state.installing = owned_dir(root, entry, state)?,
        // copies that other programs make carry our marker, and are not ours for that
        _ if layout::is_like_ours(&entry.name) => push_unowned(state, entry, "a copy"),
        _ if layout::is_trash_name(&entry.name) => inspect_trash(root, entry, state)?,
        _ => {}
    }
    Ok(())
}

fn read_sentinel(root: &dyn Dir, kind: FileKind, name: &str) -> Result<Sentinel, FsError> {
    if kind != FileKind::File {
        return Ok(Sentinel::Odd("not a regular file".to_owned()));
    }
    match read_limited(root, name, SENTINEL_BYTES_MAX) {
        Ok(None) => Ok(Sentinel::Absent),
        Ok(Some(bytes)) if bytes.trim_ascii().is_empty() => {
            Ok(Sentinel::Odd("it is empty".to_owned()))
        }
        Ok(Some(bytes)) => Ok(Sentinel::Present(bytes)),
        Err(error) if is_odd_file(&error) => Ok(Sentinel::Odd(error.to_string())),
        Err(error) => Err(error),
    }
}

fn inspect_local(root: &dyn Dir, entry: &DirEntry, game: &str) -> Result<Local, FsError> {
    let path = Path::new(layout::LOCAL);
    match entry.kind {
        FileKind::Dir => {}
        FileKind::Link => return Ok(Local::Odd("it is a link".to_owned())),
        FileKind::File | FileKind::Other => return Ok(Local::Odd("it is a file".to_owned())),
    }
    if root.metadata(path)?.device != root.metadata(Path::new(""))?.device {
        return Ok(Local::Odd("another file system is mounted there".to_owned()));
    }
    let record = Marker::read(root, path, game)?.valid();
    let kept_pending = look(root, &path.join(layout::KEPT_PENDING))?
        .is_some_and(|found| found.kind == FileKind::Dir && record.is_some());
    Ok(Local::Dir { record, kept_pending })
}

fn inspect_staging(root: &dyn Dir, entry: &DirEntry, state: &mut RootState) -> Result<(), FsError> {
    if let Some(owned) = owned_dir(root, entry, state)? {
        let manifest_known = inspect_download::manifest_known(root, &owned.marker)?;
        let marker = owned.marker;
        state.download = Some(DownloadFound { marker, manifest_known, promotion: None });
    }
    Ok(())
}

/// The directory with its marker, or a note that it is not ours.
fn owned_dir(
    root: &dyn Dir,
    entry: &DirEntry,
    state: &mut RootState,
) -> Result<Option<OwnedDir>, FsError> {
    if entry.kind != FileKind::Dir {
        push_unowned(state, entry, "not a directory");
        return Ok(None);
    }
    let name = PathBuf::from(&entry.name);
    match Marker::read(root, &name, &state.game) {
        Ok(MarkerState::Valid(marker)) => return Ok(Some(OwnedDir { name, marker })),
        Ok(MarkerState::Absent) => push_unowned(state, entry, "it has no marker"),
        Ok(MarkerState::Corrupt(why)) => {
            push_unowned(state, entry, &format!("its marker is damaged: {why}"));
        }
        Ok(MarkerState::Foreign(game)) => {
            push_unowned(state, entry, &format!("it belongs to the game {game}"));
        }
        // a mount point: the device of another
        Err(error) if error.code() == "other-device" => {
            push_unowned(state, entry, "another file system is mounted there");
        }
        Err(error) => return Err(error),
    }
    Ok(None)
}

fn inspect_trash(root: &dyn Dir, entry: &DirEntry, state: &mut RootState) -> Result<(), FsError> {
    if entry.kind == FileKind::Dir && is_husk(root, &entry.name, &state.game)? {
        state.trash.push(TrashDir { name: entry.name.clone().into(), holds_files: false });
    } else if let Some(owned) = owned_dir(root, entry, state)? {
        let entries = root.read_dir(&owned.name)?;
        let holds_files = entries.iter().any(|entry| entry.name != layout::MARKER);
        state.trash.push(TrashDir { name: owned.name, holds_files });
    }
    Ok(())
}

fn push_unowned(state: &mut RootState, entry: &DirEntry, reason: &str) {
    let reason = format!("{}: {reason}", name_text(&entry.name));
    state.unowned.push(Unowned { name: entry.name.clone().into(), reason });
}

fn newest_generation(state: &RootState) -> u64 {
    let intent = state.intent_valid().map(|intent| intent.generation);
    let local = state.local_record().map(|marker| marker.generation);
    let download = state.download.as_ref().map(|found| found.marker.generation);
    let dirs = state.installing.iter().chain(&state.backup).map(|dir| dir.marker.generation);
    intent.into_iter().chain(local).chain(download).chain(dirs).max().unwrap_or(0)
}
