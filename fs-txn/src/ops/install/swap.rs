//! The commit of an install or update: renames between `.local.installing/`, `local/` and
//! `.local.backup/`.

use std::path::{Path, PathBuf};

use super::staging::InstallStaging;
use crate::atomic::rename_to_free;
use crate::intent::Phase;
use crate::layout;
use crate::marker::{Marker, MarkerState};
use crate::ops::context::Txn;
use crate::ops::error::TxnError;
use crate::ops::report::Done;
use crate::ops::step::Step;
use crate::vfs::{Dir, FsError, look};

impl InstallStaging {
    /// Everything after the unpacked files are durable.
    pub(super) fn put_in_place(self) -> Result<Done, TxnError> {
        if self.is_update() { self.commit_update() } else { self.commit_install() }
    }

    fn commit_install(self) -> Result<Done, TxnError> {
        let txn = self.txn.clone();
        self.seal()?;
        drop(self); // some systems rename no directory in which a handle is open
        swap_in(&txn)?;
        let mut done = Done::default();
        txn.settle(&mut done)?;
        Ok(done)
    }

    fn commit_update(self) -> Result<Done, TxnError> {
        let txn = self.txn.clone();
        txn.enter(Step::Carry)?;
        let kept = txn.at(Step::Carry, self.carry_user_files())?;
        self.seal()?;
        let mut intent = self.intent.clone();
        intent.phase = Phase::Swap;
        drop(self);
        txn.write_intent(Step::IntentSwap, &intent)?;
        move_local_aside(&txn, intent.from_version.as_deref())?;
        swap_in(&txn)?;
        // committed: what fails from here on is left for the next recovery
        let mut done = Done::default();
        txn.enter(Step::CleanUp)?;
        let published = publish_kept(&*txn.root);
        done.kept = kept_paths(&kept, published.as_deref().unwrap_or_default());
        done.note(published.map(|_places| ()));
        done.note(txn.trash(layout::LOCAL_BACKUP));
        txn.settle(&mut done)?;
        Ok(done)
    }

    fn seal(&self) -> Result<(), TxnError> {
        let txn = &self.txn;
        txn.enter(Step::Seal)?;
        let version = self.intent.to_version.as_deref();
        let mut marker = txn.marker(version, self.intent.manifest_id.as_deref());
        marker.sealed = true;
        txn.at(Step::Seal, marker.write(&*self.dir))
    }
}

/// S → L, durable: the commit.
fn swap_in(txn: &Txn) -> Result<(), TxnError> {
    txn.enter(Step::SwapIn)?;
    let (staging, local) = (Path::new(layout::LOCAL_INSTALLING), Path::new(layout::LOCAL));
    txn.at(Step::SwapIn, txn.root.rename_new(staging, local))?;
    txn.enter(Step::SwapDurable)?;
    txn.at(Step::SwapDurable, txn.sync_root())
}

/// L → B. A `local/` that no install of ours made gets a marker first: its backup must be known
/// as ours.
pub(crate) fn move_local_aside(txn: &Txn, version: Option<&str>) -> Result<(), TxnError> {
    txn.enter(Step::BackupAside)?;
    let (local, backup) = (Path::new(layout::LOCAL), Path::new(layout::LOCAL_BACKUP));
    let moved = || -> Result<(), FsError> {
        let found = Marker::read(&*txn.root, local, txn.context.game())?;
        if !matches!(found, MarkerState::Valid(_)) {
            txn.marker(version, None).write(&*txn.root.open_dir(local)?)?;
        }
        txn.root.rename_new(local, backup)
    };
    txn.at(Step::BackupAside, moved())
}

/// Moves the kept files from the new `local/` to their place in the root. May be run again from
/// any point. Tells which directory went where.
pub(crate) fn publish_kept(root: &dyn Dir) -> Result<Vec<(PathBuf, PathBuf)>, FsError> {
    let pending = Path::new(layout::LOCAL).join(layout::KEPT_PENDING);
    if look(root, &pending)?.is_none() {
        return Ok(Vec::new());
    }
    let kept = Path::new(layout::KEPT);
    match root.create_dir(kept) {
        Err(error) if error.code() != "exists" => return Err(error),
        _ => root.sync_dir(Path::new(""))?,
    }
    let mut published = Vec::new();
    for version in root.read_dir(&pending)? {
        let to = rename_to_free(root, &pending.join(&version.name), &|number| {
            let mut name = version.name.clone();
            if number > 1 {
                name.push(format!(".{number}"));
            }
            kept.join(name)
        })?;
        published.push((version.name.into(), to));
    }
    root.sync_dir(kept)?;
    root.sync_dir(&pending)?;
    root.remove_dir(&pending)?;
    root.sync_dir(Path::new(layout::LOCAL))?;
    Ok(published)
}

/// Where the kept files are in the end, below the root.
fn kept_paths(kept: &[PathBuf], published: &[(PathBuf, PathBuf)]) -> Vec<String> {
    let place = |path: &PathBuf| {
        let path = path.strip_prefix(layout::KEPT_PENDING).unwrap_or(path);
        let moved = published
            .iter()
            .find_map(|(from, to)| path.strip_prefix(from).ok().map(|rest| to.join(rest)));
        crate::vfs::shown(&moved.unwrap_or_else(|| Path::new(layout::KEPT).join(path)))
    };
    kept.iter().map(place).collect()
}
