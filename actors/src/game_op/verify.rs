//! The verification: every file of a downloaded game is hashed again. Changes nothing.

use std::sync::Arc;

use futures::{StreamExt, stream};
use lanspread_fs_txn::{Dir, FileKind, FsError, vfs::look};
use lanspread_wire::{VersionStamp, printable};

use super::{
    failure::Failure,
    operation::{Held, LeasedPool, Operation, RootWanted},
    reuse::batches,
    shelf::{RootShelf, disk_path},
    target::Target,
    writer::{Found, Workshop},
};
use crate::{
    api::{ErrorCode, Phase},
    disk::LeaseGuard,
    library::LibraryMsg,
    limits::operations::{DAMAGED_NAMED_MAX, VERIFY_WORKERS},
};

/// Verifies the game; returns its version. A damaged one is a failure that names the files.
pub async fn verify(op: &Operation) -> Result<Option<VersionStamp>, Failure> {
    op.check_stop()?;
    op.phase(Phase::Hashing);
    let held = op.hold(RootWanted::Present).await?;
    let local = op.local_game();
    let id = local.and_then(|local| local.manifest);
    let manifest = match id {
        Some(id) => op.load_manifest(id).await?.map(|manifest| (id, manifest)),
        None => None,
    };
    let Some((id, manifest)) = manifest else {
        let text = format!("{}: there is no record to compare it with", op.game());
        return Err(Failure::new(ErrorCode::NotDownloaded, text));
    };
    let target = Target::new(op.game().clone(), id, manifest);
    let mut damaged = misfits(op, &held, &target).await?;
    hash(op, &held, &target, &mut damaged).await?;
    let names = names(&target, &damaged);
    let game = op.game().clone();
    if names.is_empty() {
        op.ports.library.tell(LibraryMsg::Committed { game, manifest: id });
        return Ok(Some(target.manifest.version()));
    }
    let failure = Failure::new(ErrorCode::Damaged, damaged_text(op, &names));
    op.ports.library.tell(LibraryMsg::Damaged { game, files: names });
    Err(failure)
}

/// The files that are missing, are no files, or have another length; the sentinel is the last.
async fn misfits(op: &Operation, held: &Held, target: &Arc<Target>) -> Result<Vec<bool>, Failure> {
    let (root, wanted) = (held.root.clone(), target.clone());
    let look_at_all = move |_: &LeaseGuard| -> Result<Vec<bool>, FsError> {
        let files = wanted.manifest.files.iter();
        files.map(|file| is_misfit(&*root, file)).collect()
    };
    let state = op.inspect(held).await?;
    let mut damaged = op
        .ports
        .disk
        .run(&held.lease, "look at the files", look_at_all)
        .await?
        .map_err(|error| Failure::of_fs(op.game(), &error))?;
    damaged.push(state.sentinel.bytes() != Some(&*target.manifest.sentinel));
    Ok(damaged)
}

fn is_misfit(root: &dyn Dir, file: &lanspread_wire::FileEntry) -> Result<bool, FsError> {
    let Some(path) = disk_path(&file.path) else {
        return Ok(true);
    };
    match look(root, &path) {
        Ok(found) => {
            Ok(found.is_none_or(|found| found.kind != FileKind::File || found.len != file.size))
        }
        Err(error) if matches!(error.code(), "wrong-kind" | "link") => Ok(true),
        Err(error) => Err(error),
    }
}

/// Hashes what is there, a few pieces at once.
async fn hash(
    op: &Operation,
    held: &Held,
    target: &Arc<Target>,
    damaged: &mut [bool],
) -> Result<(), Failure> {
    let shelf = Arc::new(RootShelf::new(held.root.clone(), target.clone()));
    let workshop: Workshop<LeasedPool> = Workshop::new(op.pool(held), shelf, target.clone());
    let (meter, total) = (op.meter(), target.manifest.bytes_total());
    let sound = (0..target.map.file_count()).filter(|file| !damaged[*file as usize]);
    let pieces: Vec<(u32, Vec<u32>)> = sound
        .flat_map(|file| {
            let chunks = batches(target, target.map.file_chunks(file));
            chunks.into_iter().map(move |chunks| (file, chunks))
        })
        .collect();
    let hashing = stream::iter(pieces).map(|(file, chunks)| {
        let workshop = workshop.clone();
        async move { (file, workshop.check_in_place(file, chunks).await) }
    });
    let mut hashing = hashing.buffer_unordered(VERIFY_WORKERS);
    let mut done = 0;
    let mut result = Ok(());
    while let Some((file, Found { right, wrong, error })) = hashing.next().await {
        damaged[file as usize] |= !wrong.is_empty();
        done += target.bytes_of(right.into_iter().chain(wrong));
        meter.tell(done, total);
        result = error.map_or_else(|| op.check_stop(), |error| Err(error.into()));
        if result.is_err() {
            break;
        }
    }
    drop(hashing);
    // What was under way holds the lease until its end.
    workshop.quiet().await;
    result
}

fn names(target: &Target, damaged: &[bool]) -> Vec<String> {
    let paths = target.manifest.files.iter().map(|file| file.path.as_str());
    let paths = paths.chain(["version.ini"]);
    let found = paths.zip(damaged).filter(|(_, is_damaged)| **is_damaged);
    found.map(|(path, _)| path.to_owned()).collect()
}

fn damaged_text(op: &Operation, names: &[String]) -> String {
    let shown: Vec<String> =
        names.iter().take(DAMAGED_NAMED_MAX).map(|name| printable(name)).collect();
    let more = match names.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}: damaged: {}{more}; `download` repairs it", op.game(), shown.join(", "))
}
