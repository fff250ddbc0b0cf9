//! Adopting a folder as a game: its payload is copied (or moved) into a new game root through the
//! same staging and commit as a download, `version.ini` last.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::context::TxnContext;
use super::download::{DownloadPlan, DownloadStaging, PlannedFile};
use super::error::{TxnError, TxnFailure};
use super::report::Done;
use super::step::Step;
use crate::atomic::read_limited;
use crate::intent::is_odd_file;
use crate::layout;
use crate::lease::Fenced;
use crate::limits::SENTINEL_BYTES_MAX;
use crate::payload::{Payload, list_payload, system_path};
use crate::space::check_space;
use crate::tree::parents_of;
use crate::vfs::{Dir, FsError, look};

/// What becomes of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdoptMode {
    /// It stays as it is.
    Copy,
    /// What was taken over is deleted there once the game is complete here.
    Move,
}

/// What to adopt.
pub struct AdoptRequest {
    /// The folder, opened.
    pub source: Arc<dyn Dir>,
    /// Bytes of `version.ini`; `None` takes the folder's own.
    pub sentinel: Option<Vec<u8>>,
    /// What becomes of the folder.
    pub mode: AdoptMode,
}

/// Adopts a folder. The game must not be downloaded yet. On an error nothing of the game is
/// visible and the source is as it was.
pub fn adopt(context: &TxnContext, request: &AdoptRequest) -> Result<Done, TxnError> {
    let fail = |source| TxnError {
        game: context.game().to_owned(),
        step: Step::Check,
        source,
        after: None,
    };
    let (plan, payload) = plan_of(context, request).map_err(fail)?;
    let (staging, _resumed) = DownloadStaging::open_or_create(context, &plan)?;
    if let Err(error) = fill(&staging, request, &payload) {
        // the first error is the one to report; what the discard leaves, recovery clears away
        staging.discard().ok();
        return Err(error);
    }
    let mut done = staging.commit()?;
    if request.mode == AdoptMode::Move {
        done.note(remove_source(context, request, &payload));
    }
    Ok(done)
}

fn plan_of(
    context: &TxnContext,
    request: &AdoptRequest,
) -> Result<(DownloadPlan, Payload), TxnFailure> {
    let source = &*request.source;
    if look(context.root(), Path::new(layout::SENTINEL))?.is_some() {
        return Err(TxnFailure::NoGame("the game is there already".to_owned()));
    }
    let sentinel = match &request.sentinel {
        Some(bytes) => Some(bytes.clone()),
        None => match read_limited(source, layout::SENTINEL, SENTINEL_BYTES_MAX) {
            Err(error) if is_odd_file(&error) => None,
            result => result?,
        },
    };
    let sentinel = sentinel.filter(|bytes| !bytes.trim_ascii().is_empty());
    let sentinel = sentinel.ok_or_else(|| {
        let folder = crate::vfs::shown(&source.shown_path());
        TxnFailure::NoGame(format!("no version.ini with a version in {folder}"))
    })?;
    let payload = list_payload(source)?;
    let file = |file: &crate::payload::PayloadFile| PlannedFile {
        path: file.path.clone(),
        size: file.size,
        keep: false,
    };
    let files: Vec<PlannedFile> = payload.files.iter().map(file).collect();
    let manifest_bytes = serde_json::to_vec(&(&files, &payload.empty_dirs))?;
    let plan = DownloadPlan {
        manifest_id: blake3::hash(&manifest_bytes).to_hex().to_string(),
        manifest_bytes,
        files,
        empty_dirs: payload.empty_dirs.clone(),
        sentinel,
        old_files: Vec::new(),
    };
    check_space(context.root(), plan.bytes_to_write()?)?;
    Ok((plan, payload))
}

fn fill(
    staging: &DownloadStaging,
    request: &AdoptRequest,
    payload: &Payload,
) -> Result<(), TxnError> {
    let total = payload.files.len() as u64;
    for (number, file) in payload.files.iter().enumerate() {
        let path = path_of(&file.path);
        staging.stage_from(number, &*request.source, &path, request.mode == AdoptMode::Move)?;
        staging.txn.progress(Step::StagingWrite, number as u64 + 1, total);
    }
    Ok(())
}

/// Deletes what was taken over and has not changed since; directories that are empty then go too.
fn remove_source(
    context: &TxnContext,
    request: &AdoptRequest,
    payload: &Payload,
) -> Result<(), FsError> {
    let source = crate::vfs::FencedDir::new(Arc::clone(&request.source), context.lease().clone());
    if context.lease().check() == Err(Fenced) {
        return Ok(());
    }
    let mut paths = Vec::new();
    for file in &payload.files {
        let path = path_of(&file.path);
        let found = look(&source, &path)?;
        if found.is_some_and(|found| is_unchanged(&found, file)) {
            source.remove_file(&path)?;
            paths.push(path);
        }
    }
    if request.sentinel.is_none() {
        source.remove_file(Path::new(layout::SENTINEL))?;
    }
    let empty = payload.empty_dirs.iter().map(|dir| path_of(dir).join("inside"));
    paths.extend(empty);
    for dir in parents_of(paths.iter().map(PathBuf::as_path)).iter().rev() {
        if source.read_dir(dir)?.is_empty() {
            source.remove_dir(dir)?;
        }
    }
    Ok(())
}

fn is_unchanged(found: &crate::vfs::Metadata, file: &crate::payload::PayloadFile) -> bool {
    found.len == file.size && found.modified_ns == file.modified_ns && found.inode == file.inode
}

fn path_of(text: &str) -> PathBuf {
    system_path(text).unwrap_or_else(|| PathBuf::from(text))
}
