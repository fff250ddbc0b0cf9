//! What stands in the game root before a download, the space that it needs, and its staging.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use lanspread_fs_txn::{
    Dir, DownloadPlan, DownloadStaging, FileKind, FsError, Metadata, PlannedFile, Resumed,
    RootState, TxnContext, TxnError, check_space, payload::system_path, vfs::look,
};
use lanspread_wire::Manifest;

use crate::{
    disk::LeaseGuard,
    game_op::{
        chunk_set::ChunkSet,
        failure::Failure,
        operation::{Held, Operation},
        reuse::{Present, ReusePlan},
        shelf::StagingShelf,
        stock::Stock,
        target::Target,
    },
};

/// A download that can begin.
pub(super) struct Prepared {
    pub(super) shelf: Arc<StagingShelf>,
    pub(super) stock: Stock,
    pub(super) reuse: ReusePlan,
    /// Bytes that need not be fetched if what is here is what it seems.
    pub(super) bytes_expected: u64,
    pub(super) is_installed: bool,
}

/// Looks at the root, checks the space, and opens the staging or takes up an earlier one.
pub(super) async fn prepare(
    op: &Operation,
    held: &Held,
    target: Arc<Target>,
) -> Result<Prepared, Failure> {
    let state = op.inspect(held).await?;
    let old = old_manifest(op, &state).await?;
    let strangers = strangers(op, held, &target, old.as_ref()).await?;
    let in_place = in_place(&target, old.as_ref(), &strangers);
    if !is_resumed(&state, &target) {
        require_space(op, held, &target, &in_place).await?;
    }
    let opened = open_staging(op, held, &target, old.as_ref(), in_place).await?;
    let Opened { staging, recorded, previous } = opened;
    let wanted = target.clone();
    let plan = move || {
        let present = Present {
            recorded: recorded.as_ref(),
            old: old.as_ref(),
            previous: previous.as_ref(),
            strangers: &strangers,
        };
        let reuse = ReusePlan::new(&wanted, present);
        let bytes_expected = wanted.bytes_of(reuse.chunks(&wanted).iter());
        (Stock::new(&wanted), reuse, bytes_expected)
    };
    // Hashes of all chunks are compared: too long for the threads that everybody shares.
    let planned = op.ports.disk.run_unleased("plan the download", plan).await;
    let shelf = Arc::new(StagingShelf::new(staging, held.root.clone(), target));
    let (stock, reuse, bytes_expected) = planned?;
    let is_installed = state.is_installed();
    Ok(Prepared { shelf, stock, reuse, bytes_expected, is_installed })
}

/// Files that probably stay: no space is needed for them.
fn in_place(target: &Target, old: Option<&Manifest>, strangers: &[u32]) -> BTreeSet<u32> {
    ReusePlan::files_in_place(target, Present { old, strangers, ..Present::default() })
        .into_iter()
        .collect()
}

/// The content that the root holds, as far as the library knows it. Without a sentinel there is no
/// version that the download would replace.
async fn old_manifest(op: &Operation, state: &RootState) -> Result<Option<Manifest>, Failure> {
    let id = op.local_game().and_then(|local| local.manifest);
    match id.filter(|_| state.is_downloaded()) {
        Some(id) => op.load_manifest(id).await,
        None => Ok(None),
    }
}

/// Wanted files of which the old version says nothing, but which stand in the root in full length:
/// a folder that was copied by hand, or a commit whose end was never told.
async fn strangers(
    op: &Operation,
    held: &Held,
    target: &Arc<Target>,
    old: Option<&Manifest>,
) -> Result<Vec<u32>, Failure> {
    let known: BTreeSet<String> =
        old.iter().flat_map(|old| &old.files).map(|file| file.path.as_str().to_owned()).collect();
    let (root, wanted) = (held.root.clone(), target.clone());
    let find = move |_: &LeaseGuard| -> Result<Vec<u32>, FsError> {
        let mut found = Vec::new();
        for (number, file) in (0u32..).zip(&wanted.manifest.files) {
            if known.contains(file.path.as_str()) || file.size == 0 {
                continue;
            }
            if has_size(&*root, file.path.as_str(), file.size)? {
                found.push(number);
            }
        }
        Ok(found)
    };
    let found = op.ports.disk.run(&held.lease, "look for files that are here", find).await?;
    found.map_err(|error| Failure::of_fs(op.game(), &error))
}

fn has_size(root: &dyn Dir, path: &str, size: u64) -> Result<bool, FsError> {
    let Some(path): Option<PathBuf> = system_path(path) else {
        return Ok(false);
    };
    match look(root, &path) {
        Ok(found) => {
            Ok(found
                .is_some_and(|found: Metadata| found.kind == FileKind::File && found.len == size))
        }
        // A file where a directory should be, or a link: not what is looked for.
        Err(error) if matches!(error.code(), "wrong-kind" | "link") => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether an earlier run has staged the same content: its space is taken already.
fn is_resumed(state: &RootState, target: &Target) -> bool {
    state.download.as_ref().is_some_and(|found| {
        found.manifest_known && found.marker.manifest_id == Some(target.id.to_string())
    })
}

/// A full disk is a clear error before the download starts (R7).
async fn require_space(
    op: &Operation,
    held: &Held,
    target: &Target,
    in_place: &BTreeSet<u32>,
) -> Result<(), Failure> {
    let files = (0u32..).zip(&target.manifest.files);
    let bytes: u64 = files
        .filter(|(number, _)| !in_place.contains(number))
        .fold(0, |sum, (_, file)| sum.saturating_add(file.size));
    let root = held.root.clone();
    let check = move |_: &LeaseGuard| check_space(&*root, bytes);
    let checked = op.ports.disk.run(&held.lease, "look for space", check).await?;
    checked.map_err(|error| Failure::of_space(op.game(), &error))
}

struct Opened {
    staging: DownloadStaging,
    recorded: Option<ChunkSet>,
    previous: Option<Manifest>,
}

async fn open_staging(
    op: &Operation,
    held: &Held,
    target: &Arc<Target>,
    old: Option<&Manifest>,
    in_place: BTreeSet<u32>,
) -> Result<Opened, Failure> {
    let (target, old_files) = (target.clone(), paths(old));
    let open = move |context: TxnContext| -> Result<Opened, TxnError> {
        let plan = plan_of(&target, old_files);
        let is_spared =
            |file: usize| u32::try_from(file).is_ok_and(|file| in_place.contains(&file));
        let (staging, resumed) =
            DownloadStaging::open_or_create_sparing(&context, &plan, &is_spared)?;
        let Resumed { progress, .. } = resumed;
        let recorded =
            progress.and_then(|bytes| ChunkSet::from_bytes(&bytes, target.chunk_count()));
        let previous = staging.previous().and_then(|previous| {
            // It lay on disk: what does not decode is of no use.
            Manifest::decode(&previous.manifest_bytes).ok()
        });
        Ok(Opened { staging, recorded, previous })
    };
    op.transact(held, "open the download", open).await
}

fn plan_of(target: &Target, old_files: Vec<String>) -> DownloadPlan {
    let manifest = &target.manifest;
    let planned = |file: &lanspread_wire::FileEntry| PlannedFile {
        path: file.path.as_str().to_owned(),
        size: file.size,
        keep: false,
    };
    DownloadPlan {
        manifest_id: target.id.to_string(),
        manifest_bytes: manifest.encode(),
        files: manifest.files.iter().map(planned).collect(),
        empty_dirs: manifest.empty_dirs.iter().map(|dir| dir.as_str().to_owned()).collect(),
        sentinel: manifest.sentinel.clone(),
        old_files,
    }
}

fn paths(manifest: Option<&Manifest>) -> Vec<String> {
    let files = manifest.iter().flat_map(|manifest| &manifest.files);
    files.map(|file| file.path.as_str().to_owned()).collect()
}
