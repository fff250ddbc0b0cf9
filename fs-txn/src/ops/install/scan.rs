//! What of the old `local/` is the user's: everything that is not in the list of installed files,
//! or not as that list says. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::list::{InstalledFile, InstalledList};
use super::staging::hash_file;
use crate::layout;
use crate::tree::walk;
use crate::vfs::{Dir, FileKind, FsError, Metadata, look};

/// What the user has in `local/`. Two equal scans: nothing was written in between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Files, links and other things, with what the system tells about them.
    pub(super) things: BTreeMap<PathBuf, Metadata>,
    /// Directories the user made, outermost first.
    pub(super) dirs: BTreeSet<PathBuf>,
}

/// Looks through `local/`.
pub(super) fn scan_user_files(
    local: &dyn Dir,
    installed: Option<&InstalledList>,
) -> Result<Scan, FsError> {
    let shipped = installed.map(InstalledList::by_path).unwrap_or_default();
    let shipped_dirs: BTreeSet<PathBuf> =
        installed.map(|list| list.dir_paths().into_iter().collect()).unwrap_or_default();
    let mut scan = Scan::default();
    for entry in walk(local, Path::new(""), &|path| !is_ours(path))? {
        if is_ours(&entry.path) {
            continue;
        }
        if entry.kind == FileKind::Dir {
            if !shipped_dirs.contains(&entry.path) {
                scan.dirs.insert(entry.path);
            }
            continue;
        }
        // gone since the directory was listed: nothing to carry
        let Some(found) = look(local, &entry.path)? else { continue };
        let shipped_file = shipped.get(&entry.path);
        let untouched = match shipped_file {
            Some(file) => is_untouched(local, &entry.path, file, &found)?,
            None => false,
        };
        if !untouched {
            scan.things.insert(entry.path, found);
        }
    }
    Ok(scan)
}

/// Size and time decide; where a copy of the whole folder has changed the times, the content.
fn is_untouched(
    local: &dyn Dir,
    path: &Path,
    file: &InstalledFile,
    found: &Metadata,
) -> Result<bool, FsError> {
    if found.kind != FileKind::File || found.len != file.size {
        return Ok(false);
    }
    if file.looks_untouched(found) {
        return Ok(true);
    }
    match &file.hash {
        Some(hash) => Ok(hash_file(local, path)? == *hash),
        None => Ok(false),
    }
}

/// Our own records directly in `local/`.
fn is_ours(path: &Path) -> bool {
    [layout::MARKER, layout::MARKER_TMP, layout::INSTALLED_LIST, layout::KEPT_PENDING]
        .iter()
        .any(|name| path == Path::new(name))
        || path == Path::new(&layout::tmp_name(layout::INSTALLED_LIST))
}
