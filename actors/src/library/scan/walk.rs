//! The payload of a game root found on disk (D7): every regular file and empty directory but the
//! names of the program, hidden ones, and litter. Reads names and sizes, never bytes.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use lanspread_fs_txn::{
    layout,
    vfs::{Dir, DirEntry, FileKind, FsError, look, parse_payload},
};
use lanspread_wire::{
    RelPath, fold_key, is_litter, is_reserved_payload,
    limits::{GAME_BYTES_MAX, MANIFEST_ENTRIES_MAX},
    printable,
};

use crate::{library::ledger::Stamp, limits::library::REMARK_NAMES_MAX};

/// The payload of a root as it looks, in the order of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) files: Vec<Stamp>,
    pub(crate) empty_dirs: Vec<RelPath>,
    pub(crate) bytes_total: u64,
    /// What is left out, in sentences.
    pub(crate) remarks: Vec<String>,
}

/// Why there is no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WalkEnd {
    /// It cannot be shared as it stands.
    Blocked(String),
    /// More entries than this scan may look at.
    Budget,
}

/// How many entries may be looked at, over several scans.
#[derive(Debug)]
pub(crate) struct Budget(Option<AtomicUsize>);

impl Budget {
    /// As many as there are.
    pub(crate) const UNLIMITED: Self = Self(None);

    /// So many and no more.
    pub(crate) fn of(entries: usize) -> Self {
        Self(Some(AtomicUsize::new(entries)))
    }

    /// Takes this many; `false` if they are not left.
    pub(crate) fn take(&self, entries: usize) -> bool {
        let Some(left) = &self.0 else {
            return true;
        };
        let taken = |left: usize| left.checked_sub(entries);
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }
}

/// How a payload file looks; `None` if no regular file of that name is there.
pub(crate) fn stamp(root: &dyn Dir, path: &RelPath) -> Result<Option<Stamp>, FsError> {
    let Some(below) = parse_payload(path.as_str()) else {
        return Ok(None);
    };
    let found = look(root, &below)?.filter(|found| found.kind == FileKind::File);
    Ok(found.map(|found| Stamp {
        path: path.clone(),
        size: found.len,
        modified_ns: found.modified_ns,
        inode: found.inode,
    }))
}

/// Walks the payload. `top` is the listing of the root itself.
pub(crate) fn walk(root: &dyn Dir, top: &[DirEntry], budget: &Budget) -> Result<Payload, WalkEnd> {
    let mut walk = Walk { root, budget, payload: Payload::default(), left_out: BTreeMap::new() };
    let mut folders = Vec::new();
    walk.folder(None, top, &mut folders)?;
    while let Some(folder) = folders.pop() {
        match root.read_dir(Path::new(folder.as_str())) {
            Ok(entries) => {
                if !walk.folder(Some(&folder), &entries, &mut folders)? {
                    walk.payload.empty_dirs.push(folder);
                }
            }
            // It was removed meanwhile, which the watch or the next scan sees.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(WalkEnd::Blocked(error.to_string())),
        }
    }
    Ok(walk.finish())
}

/// The size of everything below a folder, as far as it can be seen; for a number in a list.
pub(crate) fn bytes_below(root: &dyn Dir, folder: &str, entries_max: usize) -> u64 {
    let mut bytes: u64 = 0;
    let mut entries_left = entries_max;
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = root.read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            if entries_left == 0 {
                return bytes;
            }
            entries_left -= 1;
            let path = folder.join(&entry.name);
            match entry.kind {
                FileKind::Dir => folders.push(path),
                FileKind::File => {
                    let len = root.metadata(&path).map_or(0, |found| found.len);
                    bytes = bytes.saturating_add(len);
                }
                FileKind::Link | FileKind::Other => {}
            }
        }
    }
    bytes
}

struct Walk<'a> {
    root: &'a dyn Dir,
    budget: &'a Budget,
    payload: Payload,
    /// By reason: some names, and how many there are.
    left_out: BTreeMap<&'static str, (Vec<String>, usize)>,
}

impl Walk<'_> {
    /// Takes the entries of one folder; returns whether any of them is payload.
    fn folder(
        &mut self,
        folder: Option<&RelPath>,
        entries: &[DirEntry],
        folders: &mut Vec<RelPath>,
    ) -> Result<bool, WalkEnd> {
        let mut names: HashMap<String, &str> = HashMap::new();
        let mut any = false;
        for entry in entries {
            let Some(path) = self.payload_path(folder, entry)? else {
                continue;
            };
            if let Some(name) = entry.name.to_str()
                && let Some(twin) = names.insert(fold_key(name), name)
            {
                let (first, second) = (in_folder(folder, twin), in_folder(folder, name));
                return Err(blocked(format!("{first} and {second} are one name on some systems")));
            }
            self.count()?;
            match entry.kind {
                FileKind::Dir => {
                    folders.push(path);
                    any = true;
                }
                _ => any |= self.file(&path)?,
            }
        }
        Ok(any)
    }

    /// The path of an entry that is payload, or nothing if it is left out.
    fn payload_path(
        &mut self,
        folder: Option<&RelPath>,
        entry: &DirEntry,
    ) -> Result<Option<RelPath>, WalkEnd> {
        let lossy = entry.name.to_string_lossy();
        if is_left_out_silently(folder, &lossy) {
            return Ok(None);
        }
        let shown = in_folder(folder, &lossy);
        if matches!(entry.kind, FileKind::Link | FileKind::Other) {
            self.leave_out(LINKS, shown);
            return Ok(None);
        }
        if entry.name.to_str().is_none() {
            return Err(blocked(format!("the name {shown} is not valid text")));
        }
        let parsed = match folder {
            None => RelPath::parse(&lossy),
            Some(folder) => folder.join(&lossy),
        };
        let path = parsed.map_err(|error| blocked(error.to_string()))?;
        if is_reserved_payload(&path) {
            self.leave_out(RESERVED, shown);
            return Ok(None);
        }
        Ok(Some(path))
    }

    fn file(&mut self, path: &RelPath) -> Result<bool, WalkEnd> {
        let found = stamp(self.root, path).map_err(|error| blocked(error.to_string()))?;
        let Some(found) = found else {
            // Removed or replaced meanwhile, which the watch or the next scan sees.
            return Ok(false);
        };
        self.payload.bytes_total = self.payload.bytes_total.saturating_add(found.size);
        if self.payload.bytes_total > GAME_BYTES_MAX {
            return Err(blocked(format!("more than {GAME_BYTES_MAX} bytes")));
        }
        self.payload.files.push(found);
        Ok(true)
    }

    fn count(&mut self) -> Result<(), WalkEnd> {
        if self.payload.files.len() + self.payload.empty_dirs.len() >= MANIFEST_ENTRIES_MAX {
            return Err(blocked(format!("more than {MANIFEST_ENTRIES_MAX} files")));
        }
        if self.budget.take(1) { Ok(()) } else { Err(WalkEnd::Budget) }
    }

    fn leave_out(&mut self, reason: &'static str, shown: String) {
        let (names, count) = self.left_out.entry(reason).or_default();
        *count += 1;
        if names.len() < REMARK_NAMES_MAX {
            names.push(shown);
        }
    }

    fn finish(mut self) -> Payload {
        self.payload.files.sort_unstable_by(|left, right| left.path.cmp(&right.path));
        self.payload.empty_dirs.sort_unstable();
        let remarks = self.left_out.into_iter().map(|(reason, (names, count))| {
            let names_text = names.join(", ");
            match count - names.len() {
                0 => format!("{reason}: {names_text}"),
                more => format!("{reason}: {names_text} and {more} more"),
            }
        });
        self.payload.remarks = remarks.collect();
        self.payload
    }
}

/// What is never payload and worth no word.
fn is_left_out_silently(folder: Option<&RelPath>, name: &str) -> bool {
    is_litter(name)
        || folder.is_none()
            && (name.starts_with('.') || name == layout::SENTINEL || name == layout::LOCAL)
}

fn in_folder(folder: Option<&RelPath>, name: &str) -> String {
    match folder {
        None => printable(name),
        Some(folder) => format!("{folder}/{}", printable(name)),
    }
}

fn blocked(text: String) -> WalkEnd {
    WalkEnd::Blocked(format!("cannot be shared: {text}"))
}

const LINKS: &str = "shared without links and special files";
const RESERVED: &str = "shared without names that the program keeps for itself";
