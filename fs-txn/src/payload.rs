//! Which files of a game root on disk are payload (D7). Reads only; judges names by what the disk
//! needs, not by what the wire allows.

use std::path::{Path, PathBuf};

use crate::layout;
use crate::tree::walk;
use crate::vfs::{Dir, FileKind, FsError, is_payload_component, look};

/// The payload of a root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// Regular files, sorted by the bytes of their paths.
    pub files: Vec<PayloadFile>,
    /// Directories in which nothing is, sorted.
    pub empty_dirs: Vec<String>,
    /// What looks like payload and cannot be: links, special files, names that are no text.
    pub skipped: Vec<Skipped>,
}

/// One payload file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadFile {
    /// Path below the root, `/` between components.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change; compare for equality only.
    pub modified_ns: i64,
    /// Number of the file on its device, where the system has one.
    pub inode: Option<u64>,
}

/// Something that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Where, fit for a log line.
    pub path: String,
    /// Why.
    pub reason: &'static str,
}

/// Lists the payload below `root`.
pub fn list_payload(root: &dyn Dir) -> Result<Payload, FsError> {
    let mut payload = Payload::default();
    let mut dirs_with_entries = std::collections::BTreeSet::new();
    let mut dirs = Vec::new();
    for entry in walk(root, Path::new(""), &is_considered)? {
        if !is_considered(&entry.path) {
            continue;
        }
        if let Some(parent) = entry.path.parent() {
            dirs_with_entries.insert(parent.to_path_buf());
        }
        let Some(text) = payload_text(&entry.path) else {
            payload.skip(&entry.path, "its name cannot be a payload path");
            continue;
        };
        match entry.kind {
            FileKind::File => match look(root, &entry.path)? {
                Some(found) => payload.files.push(PayloadFile {
                    path: text,
                    size: found.len,
                    modified_ns: found.modified_ns,
                    inode: found.inode,
                }),
                None => payload.skip(&entry.path, "it has just gone"),
            },
            FileKind::Dir => dirs.push((entry.path, text)),
            FileKind::Link => payload.skip(&entry.path, "links are not shared"),
            FileKind::Other => payload.skip(&entry.path, "special files are not shared"),
        }
    }
    dirs.retain(|(path, _)| !dirs_with_entries.contains(path));
    payload.empty_dirs = dirs.into_iter().map(|(_, text)| text).collect();
    payload.empty_dirs.sort();
    payload.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(payload)
}

impl Payload {
    fn skip(&mut self, path: &Path, reason: &'static str) {
        self.skipped.push(Skipped { path: crate::vfs::shown(path), reason });
    }
}

/// Whether a path below a root is looked at: not ours, not the user's, not hidden, no litter.
#[must_use]
pub fn is_considered(path: &Path) -> bool {
    let mut names = path.components().map(|name| name.as_os_str().to_string_lossy());
    let Some(first) = names.next() else { return true };
    let hidden = first.starts_with('.') || layout::is_reserved_root_name(&first);
    !hidden && !is_litter(&first) && !names.any(|name| is_litter(&name))
}

/// What operating systems leave in every folder.
#[must_use]
pub fn is_litter(name: &str) -> bool {
    ["thumbs.db", "desktop.ini", ".ds_store", "$recycle.bin"]
        .iter()
        .any(|litter| name.eq_ignore_ascii_case(litter))
}

fn payload_text(path: &Path) -> Option<String> {
    let names: Option<Vec<&str>> = path.iter().map(|name| name.to_str()).collect();
    let names = names?;
    names.iter().all(|name| is_payload_component(name)).then(|| names.join("/"))
}

/// A payload path as a path of this system; `None` if it would leave the root.
#[must_use]
pub fn system_path(text: &str) -> Option<PathBuf> {
    crate::vfs::parse_payload(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves D7 for names.
    #[test]
    fn what_is_considered() {
        for path in ["a", "a/b.rar", "data/.hidden", "a/version.ini", "a/local/x"] {
            assert!(is_considered(Path::new(path)), "{path}");
        }
        for path in [
            "version.ini",
            "VERSION.ini",
            "local",
            "local/x",
            ".sync/a",
            ".lanspread.json",
            ".download/s00/0",
            "Thumbs.db",
            "a/desktop.ini",
            "a/.DS_Store",
            "$RECYCLE.BIN/x",
        ] {
            assert!(!is_considered(Path::new(path)), "{path}");
        }
    }
}
