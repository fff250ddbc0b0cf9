//! Carrying out one action of recovery. Every action may find that it was done already: recovery
//! may have been killed in the middle of it.

use std::path::{Path, PathBuf};

use super::plan::Action;
use crate::atomic::{rename_to_free, set_aside_corrupt};
use crate::inspect::RootState;
use crate::layout;
use crate::ops::{TxnContext, finish_download, finish_remove, publish_kept};
use crate::tree::remove_trash;
use crate::vfs::{Dir, FsError, look, remove_file_if_present};

const ROOT: &str = "";

/// Does `action` in the root of `context`, below its lease.
pub(super) fn execute(
    context: &TxnContext,
    found: &RootState,
    action: &Action,
) -> Result<(), FsError> {
    let root = context.fenced_root();
    let root = &*root;
    match action {
        Action::SetIntentAside => set_aside_corrupt(root, layout::INTENT).map(|_name| ()),
        Action::RestoreBackup(name) | Action::InstallStaging(name) => {
            rename_durable(root, name, Path::new(layout::LOCAL))
        }
        Action::RestoreSentinel => {
            let from = Path::new(layout::SENTINEL_DISCARDED);
            rename_durable(root, from, Path::new(layout::SENTINEL))
        }
        Action::FinishDownload => finish_download(context, found),
        Action::FinishRemove => finish_remove(context),
        Action::Trash(name) => trash(root, context, name),
        Action::RemoveTrash(name) => match look(root, name)? {
            Some(_) => remove_trash(root, name),
            None => Ok(()), // the action before it has swept it away
        },
        Action::RemoveTmp(name) => {
            remove_file_if_present(root, Path::new(name))?;
            root.sync_dir(Path::new(ROOT))
        }
        Action::PublishKept => publish_kept(root).map(|_kept| ()),
        Action::DropIntent => {
            remove_file_if_present(root, Path::new(layout::INTENT))?;
            root.sync_dir(Path::new(ROOT))
        }
    }
}

fn rename_durable(root: &dyn Dir, from: &Path, to: &Path) -> Result<(), FsError> {
    root.rename_new(from, to)?;
    root.sync_dir(Path::new(ROOT))
}

/// Takes an owned directory out of use, durably, and deletes it.
pub(crate) fn trash(root: &dyn Dir, context: &TxnContext, name: &Path) -> Result<(), FsError> {
    if look(root, name)?.is_none() {
        return Ok(());
    }
    let trash = move_to_trash(root, context, name)?;
    remove_trash(root, &trash)
}

/// Renames an owned directory (it carries its marker) into a trash name, durably.
pub(crate) fn move_to_trash(
    root: &dyn Dir,
    context: &TxnContext,
    name: &Path,
) -> Result<PathBuf, FsError> {
    let trash = rename_to_free(root, name, &|number| {
        layout::trash_name(context.game(), context.op_id(), number).into()
    })?;
    root.sync_dir(Path::new(ROOT))?;
    Ok(trash)
}
