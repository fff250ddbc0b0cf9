//! A look at one game root, without reading its payload: sentinel, `local/`, what the files look
//! like, and whether that is what the ledger says. Blocking; changes nothing in a game root.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use lanspread_fs_txn::{
    atomic::read_limited,
    layout,
    vfs::{Dir, DirEntry, FileKind, FsError, Vfs, look},
};
use lanspread_wire::{
    GameId, Manifest, ManifestId, RelPath, VersionStamp, fold_key, limits::SENTINEL_BYTES_MAX,
};

use super::{
    index::{Content, DirIdentity, RootScan, ScanOrder, ScanOutcome, Sentinel},
    ledger::{Ledger, Ledgers, Origin, Stamp, fingerprint},
};
use crate::{limits::library::LOCAL_ENTRIES_MAX, manifests::ManifestStore};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_faults;
#[cfg(test)]
mod tests_kept;
pub(crate) mod walk;

use walk::{Budget, Payload, WalkEnd};

/// Where scanner and hasher work.
#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) games_dir: PathBuf,
    pub(crate) ledgers: Ledgers,
    pub(crate) manifests: ManifestStore,
}

/// What a scan found out about the payload.
struct Seen {
    content: Content,
    bytes_total: u64,
    kept: Option<ManifestId>,
    remarks: Vec<String>,
}

/// Files of a manifest or a ledger compared with what stands on the disk.
pub(crate) struct Compared {
    /// How they look now; a missing file looks as it did.
    pub(crate) now: Vec<Stamp>,
    /// Those that are missing or have another size.
    pub(crate) broken: Vec<RelPath>,
}

/// Which directory a handle is.
pub(crate) fn identity_of(dir: &dyn Dir) -> Result<DirIdentity, FsError> {
    let metadata = dir.metadata(Path::new(""))?;
    Ok(DirIdentity { device: metadata.device, inode: metadata.inode })
}

/// Reads and parses the sentinel of a root; the text says what is wrong with it.
pub(crate) fn read_sentinel(root: &dyn Dir) -> Result<(Sentinel, Vec<u8>), String> {
    let bytes = read_limited(root, layout::SENTINEL, SENTINEL_BYTES_MAX as u64)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| format!("{} has vanished", layout::SENTINEL))?;
    let version = VersionStamp::parse(&bytes).map_err(|error| {
        let path = root.shown_path().join(layout::SENTINEL);
        format!("{}: {error}", lanspread_fs_txn::vfs::shown(&path))
    })?;
    let hash = *blake3::hash(&bytes).as_bytes();
    Ok((Sentinel { version, hash }, bytes))
}

impl Places {
    /// Opens the root of a game below the games folder, following no link.
    pub(crate) fn open_root(&self, game: &GameId) -> Result<Arc<dyn Dir>, FsError> {
        self.vfs.open_root(&self.games_dir)?.open_dir(Path::new(game.as_str()))
    }

    /// Scans one root. `folder` is the folder that was listed; `budget` says how many entries may
    /// be looked at before the payload is left for later.
    pub(crate) fn scan(
        &self,
        folder: Option<DirIdentity>,
        order: &ScanOrder,
        budget: &Budget,
    ) -> ScanOutcome {
        let found = match self.vfs.open_root(&self.games_dir) {
            Ok(dir) => dir,
            Err(error) => return ScanOutcome::FolderGone(error.to_string()),
        };
        match identity_of(&*found) {
            Err(error) => return ScanOutcome::FolderGone(error.to_string()),
            Ok(now) if folder.is_some_and(|listed| listed != now) => {
                return ScanOutcome::FolderReplaced;
            }
            Ok(_) => {}
        }
        match self.scan_below(&*found, order, budget) {
            Ok(outcome) => outcome,
            Err(error) if error.is_not_found() => ScanOutcome::Absent,
            Err(error) => ScanOutcome::Unreadable(error.to_string()),
        }
    }

    fn scan_below(
        &self,
        folder: &dyn Dir,
        order: &ScanOrder,
        budget: &Budget,
    ) -> Result<ScanOutcome, FsError> {
        let name = Path::new(order.game.as_str());
        match look(folder, name)?.map(|found| found.kind) {
            Some(FileKind::Dir) => {}
            Some(FileKind::Link) => {
                let path = lanspread_fs_txn::vfs::shown(&self.games_dir.join(name));
                return Ok(ScanOutcome::Unreadable(format!("{path} is a link, not a folder")));
            }
            Some(FileKind::File | FileKind::Other) | None => {
                self.ledgers.forget(&order.game);
                return Ok(ScanOutcome::Absent);
            }
        }
        let root = folder.open_dir(name)?;
        let top = root.read_dir(Path::new(""))?;
        let mut scan = RootScan {
            identity: identity_of(&*root)?,
            sentinel: None,
            installed: false,
            bytes_total: 0,
            content: Content::Absent,
            kept: None,
            problem: None,
            remarks: Vec::new(),
        };
        look_at_local(&top, &mut scan);
        match find_sentinel(&top) {
            SentinelEntry::Absent => {}
            SentinelEntry::Misnamed(problem) => scan.problem = Some(problem),
            SentinelEntry::Odd(text) => scan.content = Content::Blocked(text),
            SentinelEntry::File => match read_sentinel(&*root) {
                Err(text) => scan.content = Content::Blocked(text),
                Ok((sentinel, bytes)) => {
                    self.look_at_payload(
                        &*root,
                        &top,
                        order,
                        (sentinel, &bytes),
                        budget,
                        &mut scan,
                    );
                }
            },
        }
        if scan.sentinel.is_none() && scan.installed {
            scan.bytes_total = walk::bytes_below(&*root, layout::LOCAL, LOCAL_ENTRIES_MAX);
        }
        Ok(ScanOutcome::Found(Box::new(scan)))
    }

    fn look_at_payload(
        &self,
        root: &dyn Dir,
        top: &[DirEntry],
        order: &ScanOrder,
        (sentinel, bytes): (Sentinel, &[u8]),
        budget: &Budget,
        scan: &mut RootScan,
    ) {
        let look = Look { places: self, root, top, order, sentinel: &sentinel, budget };
        let seen = look.payload(bytes, scan.identity);
        scan.content = seen.content;
        scan.bytes_total = seen.bytes_total;
        scan.kept = seen.kept;
        scan.remarks = seen.remarks;
        scan.sentinel = Some(sentinel);
    }
}

/// One look at the payload of a root with a valid sentinel.
struct Look<'a> {
    places: &'a Places,
    root: &'a dyn Dir,
    top: &'a [DirEntry],
    order: &'a ScanOrder,
    sentinel: &'a Sentinel,
    budget: &'a Budget,
}

impl Look<'_> {
    fn payload(&self, sentinel_bytes: &[u8], identity: DirIdentity) -> Seen {
        let game = &self.order.game;
        let mut ledger = self.places.ledgers.load(game);
        if let Some(manifest) = self.committed(sentinel_bytes) {
            match &mut ledger {
                Some(ledger) if is_found_as(ledger, &manifest) => {
                    self.take_proof(ledger, &manifest)
                }
                _ => return self.take_commit(&manifest, identity),
            }
        }
        if let Some(ledger) = &mut ledger
            && !self.order.damaged.is_empty()
        {
            ledger.set_damaged(self.order.damaged.clone());
            self.places.ledgers.save(game, ledger);
        }
        match &ledger {
            Some(ledger) if self.is_kept(ledger, identity) => self.compare_kept(ledger),
            Some(_) => self.compare_found(ledger.as_ref()),
            None => match self.order.kept.and_then(|kept| self.manifest(kept, sentinel_bytes)) {
                Some(manifest) => self.compare_manifest(&manifest),
                None => self.compare_found(None),
            },
        }
    }

    fn committed(&self, sentinel: &[u8]) -> Option<Manifest> {
        self.order.committed.and_then(|committed| self.manifest(committed, sentinel))
    }

    /// The manifest, if it is in the store and the sentinel is the one it names: whoever writes
    /// another version into `version.ini` makes a new version by hand.
    fn manifest(&self, wanted: ManifestId, sentinel: &[u8]) -> Option<Manifest> {
        match self.places.manifests.load(wanted) {
            Ok(found) => found.filter(|manifest| manifest.sentinel == sentinel),
            Err(error) => {
                tracing::warn!(game = %self.order.game, %error, "manifest not loaded");
                None
            }
        }
    }

    fn is_kept(&self, ledger: &Ledger, identity: DirIdentity) -> bool {
        ledger.origin == Origin::Download
            && ledger.sentinel == self.sentinel.hash
            && ledger.root.inode == identity.inode
    }

    /// A verification has just found that a root found on disk is what its manifest says: it
    /// stays a found one, and whatever is added to it becomes part of it.
    fn take_proof(&self, ledger: &mut Ledger, manifest: &Manifest) {
        ledger.files = compare(self.root, &expected(manifest)).now;
        ledger.damaged.clear();
        self.places.ledgers.save(&self.order.game, ledger);
    }

    /// A download has just put this there: how it looks now is how it should look.
    fn take_commit(&self, manifest: &Manifest, identity: DirIdentity) -> Seen {
        let id = manifest.id();
        let compared = compare(self.root, &expected(manifest));
        let mut ledger = Ledger {
            manifest: id,
            origin: Origin::Download,
            root: identity,
            sentinel: self.sentinel.hash,
            files: compared.now,
            empty_dirs: manifest.empty_dirs.clone(),
            damaged: Vec::new(),
        };
        ledger.set_damaged(self.order.damaged.clone());
        self.places.ledgers.save(&self.order.game, &ledger);
        let damaged = if compared.broken.is_empty() {
            ledger.damaged.clone()
        } else {
            texts(&compared.broken)
        };
        let content = if damaged.is_empty() {
            Content::Known { fingerprint: Some(ledger.fingerprint()), manifest: id }
        } else {
            Content::Damaged { manifest: id, files: damaged }
        };
        kept(content, id, manifest.bytes_total())
    }

    /// The root of a download is compared with what it looked like after the commit (D7).
    fn compare_kept(&self, ledger: &Ledger) -> Seen {
        let bytes_total = ledger.files.iter().map(|stamp| stamp.size).sum();
        if !self.budget.take(ledger.files.len()) {
            return kept(Content::Unwalked, ledger.manifest, bytes_total);
        }
        let compared = compare(self.root, &ledger.files);
        let now = fingerprint(&self.sentinel.hash, &compared.now, &ledger.empty_dirs);
        let manifest = ledger.manifest;
        let content = if !compared.broken.is_empty() {
            Content::Damaged { manifest, files: texts(&compared.broken) }
        } else if now != ledger.fingerprint() || !self.is_stored(manifest) {
            Content::Suspect { fingerprint: now, manifest }
        } else if !ledger.damaged.is_empty() {
            Content::Damaged { manifest, files: ledger.damaged.clone() }
        } else {
            Content::Known { fingerprint: Some(now), manifest }
        };
        kept(content, manifest, bytes_total)
    }

    /// The ledger is lost but the index knows that a download made the root: everything is read.
    fn compare_manifest(&self, manifest: &Manifest) -> Seen {
        let id = manifest.id();
        let bytes_total = manifest.bytes_total();
        if !self.budget.take(manifest.files.len()) {
            return kept(Content::Unwalked, id, bytes_total);
        }
        let compared = compare(self.root, &expected(manifest));
        let content = if compared.broken.is_empty() {
            let now = fingerprint(&self.sentinel.hash, &compared.now, &manifest.empty_dirs);
            Content::Suspect { fingerprint: now, manifest: id }
        } else {
            Content::Damaged { manifest: id, files: texts(&compared.broken) }
        };
        kept(content, id, bytes_total)
    }

    /// Any other root: its payload is whatever lies in it.
    fn compare_found(&self, ledger: Option<&Ledger>) -> Seen {
        match walk::walk(self.root, self.top, self.budget) {
            Ok(payload) => self.compare_payload(payload, ledger),
            Err(WalkEnd::Blocked(text)) => found(Content::Blocked(text), 0, Vec::new()),
            Err(WalkEnd::Budget) => found(Content::Unwalked, 0, Vec::new()),
        }
    }

    fn compare_payload(&self, payload: Payload, ledger: Option<&Ledger>) -> Seen {
        let now = fingerprint(&self.sentinel.hash, &payload.files, &payload.empty_dirs);
        let known = ledger.filter(|ledger| {
            ledger.origin != Origin::Partial
                && ledger.fingerprint() == now
                && self.is_stored(ledger.manifest)
        });
        let content = match known {
            None => Content::Unhashed { fingerprint: now },
            Some(ledger) if !ledger.damaged.is_empty() => {
                Content::Damaged { manifest: ledger.manifest, files: ledger.damaged.clone() }
            }
            Some(ledger) => Content::Known { fingerprint: Some(now), manifest: ledger.manifest },
        };
        found(content, payload.bytes_total, payload.remarks)
    }

    fn is_stored(&self, manifest: ManifestId) -> bool {
        self.places.manifests.contains(manifest).unwrap_or_else(|error| {
            tracing::warn!(game = %self.order.game, %error, "manifest not looked for");
            false
        })
    }
}

/// Whether the root was hashed as it was found, and the manifest is what came out.
fn is_found_as(ledger: &Ledger, manifest: &Manifest) -> bool {
    ledger.origin == Origin::Found && ledger.manifest == manifest.id()
}

/// How the files of a manifest must look, as far as it says.
pub(crate) fn expected(manifest: &Manifest) -> Vec<Stamp> {
    let files = manifest.files.iter();
    files
        .map(|file| Stamp {
            path: file.path.clone(),
            size: file.size,
            modified_ns: i64::MIN,
            inode: None,
        })
        .collect()
}

/// Looks at each of these files.
pub(crate) fn compare(root: &dyn Dir, expected: &[Stamp]) -> Compared {
    let mut now = Vec::with_capacity(expected.len());
    let mut broken = Vec::new();
    for stamp in expected {
        match walk::stamp(root, &stamp.path) {
            Ok(Some(seen)) if seen.size == stamp.size => now.push(seen),
            Ok(_) | Err(_) => {
                broken.push(stamp.path.clone());
                now.push(stamp.clone());
            }
        }
    }
    Compared { now, broken }
}

fn kept(content: Content, manifest: ManifestId, bytes_total: u64) -> Seen {
    Seen { content, bytes_total, kept: Some(manifest), remarks: Vec::new() }
}

fn found(content: Content, bytes_total: u64, remarks: Vec<String>) -> Seen {
    Seen { content, bytes_total, kept: None, remarks }
}

fn texts(paths: &[RelPath]) -> Vec<String> {
    paths.iter().take(crate::limits::library::DAMAGED_FILES_MAX).map(ToString::to_string).collect()
}

enum SentinelEntry {
    Absent,
    File,
    /// Something that does not count stands under its name.
    Odd(String),
    /// It differs by case only, which other systems would not tell apart.
    Misnamed(String),
}

/// By the exact name: a look by name would find `Version.INI` on systems without case.
fn find_sentinel(top: &[DirEntry]) -> SentinelEntry {
    if let Some(entry) = top.iter().find(|entry| entry.name == layout::SENTINEL) {
        return match entry.kind {
            FileKind::File => SentinelEntry::File,
            _ => SentinelEntry::Odd(format!("{} is not a regular file", layout::SENTINEL)),
        };
    }
    let names = top.iter().filter_map(|entry| entry.name.to_str());
    match names.into_iter().find(|name| fold_key(name) == layout::SENTINEL) {
        Some(name) => SentinelEntry::Misnamed(format!(
            "{name} does not count as {}: it must be written in small letters",
            layout::SENTINEL
        )),
        None => SentinelEntry::Absent,
    }
}

fn look_at_local(top: &[DirEntry], scan: &mut RootScan) {
    let Some(entry) = top.iter().find(|entry| entry.name == layout::LOCAL) else {
        return;
    };
    match entry.kind {
        FileKind::Dir => scan.installed = true,
        FileKind::Link => scan.problem = Some(format!("{} is a link, not a folder", layout::LOCAL)),
        FileKind::File | FileKind::Other => {
            scan.problem = Some(format!("{} is not a folder", layout::LOCAL));
        }
    }
}

/// Whether a listing has a regular sentinel.
pub(crate) fn has_sentinel(top: &[DirEntry]) -> bool {
    matches!(find_sentinel(top), SentinelEntry::File)
}
