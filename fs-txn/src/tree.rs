//! Walking and removing directory trees below a handle. Follows no link, crosses no mount point,
//! and needs a bounded number of handles whatever the depth.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::layout;
use crate::limits::TREE_DEPTH_MAX;
use crate::vfs::{Dir, FileKind, FsError, FsOp, Metadata, Refusal, look, remove_file_if_present};

/// One thing found by [`walk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkEntry {
    /// Its path below the start.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
}

/// Lists everything below `start`, parents before children, sorted within each directory.
/// `enter` says of each directory whether it is entered.
pub fn walk(
    dir: &dyn Dir,
    start: &Path,
    enter: &dyn Fn(&Path) -> bool,
) -> Result<Vec<WalkEntry>, FsError> {
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(directory) = waiting.pop() {
        for entry in dir.read_dir(&below(start, &directory))? {
            let path = directory.join(&entry.name);
            if entry.kind == FileKind::Dir && enter(&path) {
                waiting.push(path.clone());
            }
            found.push(WalkEntry { path, kind: entry.kind });
        }
    }
    Ok(found)
}

/// Joins without leaving a separator at the end when there is nothing to join.
pub(crate) fn below(start: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { start.to_path_buf() } else { start.join(path) }
}

/// Deletes a trash directory: everything in it, then (with the rest durably gone) its marker,
/// then the directory. Killed anywhere, what is left is still known as ours.
pub(crate) fn remove_trash(root: &dyn Dir, name: &Path) -> Result<(), FsError> {
    let trash = root.open_dir(name)?;
    remove_contents(&*trash, Some(OsStr::new(layout::MARKER)))?;
    trash.sync_dir(Path::new(""))?;
    remove_file_if_present(&*trash, Path::new(layout::MARKER))?;
    drop(trash);
    root.remove_dir(name)
}

/// Deletes everything in the directory `top` but the entry `keep`.
pub(crate) fn remove_contents(top: &dyn Dir, keep: Option<&OsStr>) -> Result<(), FsError> {
    let mut removal = Removal { top, folded: 0 };
    loop {
        let folded_before = removal.folded;
        removal.empty(top, Path::new(""), 0, keep)?;
        if removal.folded == folded_before {
            return Ok(());
        }
    }
}

struct Removal<'a> {
    top: &'a dyn Dir,
    /// Directories that were too deep and now lie directly in `top`.
    folded: u32,
}

impl Removal<'_> {
    fn empty(
        &mut self,
        dir: &dyn Dir,
        path: &Path,
        depth: usize,
        keep: Option<&OsStr>,
    ) -> Result<(), FsError> {
        for entry in dir.read_dir(Path::new(""))? {
            if keep == Some(&*entry.name) {
                continue;
            }
            let name = Path::new(&entry.name);
            if entry.kind != FileKind::Dir {
                self.remove_file(dir, path, name)?;
            } else if depth + 1 >= TREE_DEPTH_MAX {
                self.fold(&path.join(name))?;
            } else {
                let below = self.open(dir, path, name)?;
                self.empty(&*below, &path.join(name), depth + 1, None)?;
                drop(below);
                self.remove_dir(dir, path, name)?;
            }
        }
        Ok(())
    }

    /// Moves a directory that lies too deep to the top, where the next round finds it.
    fn fold(&mut self, path: &Path) -> Result<(), FsError> {
        loop {
            self.folded += 1;
            let to = PathBuf::from(format!(".folded-{}", self.folded));
            if look(self.top, &to)?.is_none() {
                return self.top.rename_new(path, &to);
            }
        }
    }

    fn open(&self, dir: &dyn Dir, path: &Path, name: &Path) -> Result<Arc<dyn Dir>, FsError> {
        self.unlocking(&path.join(name), || dir.open_dir(name))
    }

    fn remove_file(&self, dir: &dyn Dir, path: &Path, name: &Path) -> Result<(), FsError> {
        self.unlocking(path, || dir.remove_file(name))
    }

    fn remove_dir(&self, dir: &dyn Dir, path: &Path, name: &Path) -> Result<(), FsError> {
        self.unlocking(path, || dir.remove_dir(name))
    }

    /// A game may have made its own directory read-only; the owner may still delete it.
    fn unlocking<T>(
        &self,
        path: &Path,
        call: impl Fn() -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        match call() {
            Err(error) if error.code() == "permission" && !path.as_os_str().is_empty() => {
                self.top.make_dir_writable(path)?;
                call()
            }
            result => result,
        }
    }
}

/// What stands at `path` as a regular file, `None` if nothing or something else does. A parent
/// that is no directory counts as nothing.
pub(crate) fn regular_file(dir: &dyn Dir, path: &Path) -> Result<Option<Metadata>, FsError> {
    Ok(look_loosely(dir, path)?.filter(|found| found.kind == FileKind::File))
}

/// As [`look`], but a parent that is a file or link counts as "nothing there".
pub(crate) fn look_loosely(dir: &dyn Dir, path: &Path) -> Result<Option<Metadata>, FsError> {
    match look(dir, path) {
        Err(error) if matches!(error.code(), "wrong-kind" | "link") => Ok(None),
        result => result,
    }
}

/// Copies a whole file between two handles, sharing blocks where possible; `to` must not exist.
pub(crate) fn copy_file(
    source: &dyn Dir,
    from: &Path,
    target: &dyn Dir,
    to: &Path,
    len: u64,
) -> Result<(), FsError> {
    target.create_new(to)?;
    let copy = crate::vfs::CopyRange { from, from_offset: 0, to, to_offset: 0, len };
    target.copy_range(source, &copy)?;
    let copied = target.metadata(to)?.len;
    if copied == len {
        return Ok(());
    }
    Err(FsError::refused(FsOp::Copy, target.shown_path().join(to), Refusal::Short))
}

/// Every directory that is a parent of one of `paths`, each once, outermost first.
pub(crate) fn parents_of<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    let mut parents = std::collections::BTreeSet::new();
    for path in paths {
        let mut current = path.parent();
        while let Some(parent) = current.filter(|parent| !parent.as_os_str().is_empty()) {
            if !parents.insert(parent.to_path_buf()) {
                break;
            }
            current = parent.parent();
        }
    }
    parents.into_iter().collect()
}

/// A name as text for messages.
pub(crate) fn name_text(name: &OsString) -> String {
    crate::vfs::shown(Path::new(name))
}
