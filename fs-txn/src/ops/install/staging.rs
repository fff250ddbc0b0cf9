//! The staging of an install or update: a tree that is written below `.local.installing/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::list::{InstalledFile, InstalledList};
use super::writer::{FileWriter, Written};
use crate::atomic::create_dirs;
use crate::inspect::Local;
use crate::intent::{Intent, Operation, Phase};
use crate::layout;
use crate::limits::COPY_BUFFER_BYTES;
use crate::marker::create_marked;
use crate::ops::context::{Txn, TxnContext};
use crate::ops::error::{TxnError, TxnFailure};
use crate::ops::magic::{MAGIC_LEN, is_executable};
use crate::ops::report::Done;
use crate::ops::step::Step;
use crate::tree::regular_file;
use crate::vfs::{CopyKind, CopyRange, Dir, FsError, parse_payload};

/// A tree that will become `local/`.
pub struct InstallStaging {
    pub(super) txn: Txn,
    pub(super) dir: Arc<dyn Dir>,
    pub(super) intent: Intent,
    pub(super) written: Written,
    pub(super) dirs: BTreeSet<PathBuf>,
}

impl InstallStaging {
    /// Begins an install, or an update if `local/` stands. `version` and `manifest_id` say what
    /// is installed.
    pub fn create(
        context: &TxnContext,
        version: &str,
        manifest_id: Option<&str>,
    ) -> Result<Self, TxnError> {
        let (txn, state) = Txn::begin(context)?;
        let operation = match &state.local {
            Local::Absent => Operation::Install,
            Local::Dir { .. } => Operation::Update,
            Local::Odd(why) => {
                let reason = format!("local is in the way: {why}");
                return Err(txn.fail(Step::Check, TxnFailure::Blocked { reason }));
            }
        };
        txn.refuse_unowned(&state, &[layout::LOCAL_INSTALLING, layout::LOCAL_BACKUP])?;
        let record = state.local_record();
        let mut intent = txn.intent(operation, Phase::Staging);
        intent.from_version = record.and_then(|record| record.version.clone());
        intent.to_version = Some(version.to_owned());
        intent.manifest_id = manifest_id.map(str::to_owned);
        let dir = txn.guarded(|| {
            txn.write_intent(Step::IntentWrite, &intent)?;
            txn.enter(Step::StagingCreate)?;
            txn.at(Step::StagingCreate, create(&txn, version, manifest_id))
        })?;
        let written = Written::default();
        Ok(Self { txn, dir, intent, written, dirs: BTreeSet::new() })
    }

    /// Whether this replaces an older `local/`.
    #[must_use]
    pub fn is_update(&self) -> bool {
        self.intent.operation == Operation::Update
    }

    /// Bytes in finished files so far.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.written.lock().files.iter().map(|file| file.size).sum()
    }

    /// Creates a directory and what is missing above it.
    pub fn create_dir(&mut self, path: &str) -> Result<(), TxnError> {
        let created = tree_path(path).and_then(|path| Ok(self.create_dirs(&path)?));
        self.txn.at(Step::StagingWrite, created)
    }

    /// Creates a file and what directories are missing above it. `executable`: `None` lets the
    /// content decide.
    pub fn create_file(
        &mut self,
        path: &str,
        executable: Option<bool>,
    ) -> Result<FileWriter, TxnError> {
        let created = tree_path(path).and_then(|system_path| {
            self.create_parents(&system_path)?;
            Ok(self.dir.create_new(&system_path)?)
        });
        let file = self.txn.at(Step::StagingWrite, created)?;
        self.written.lock().open.insert(path.to_owned());
        let written = self.written.clone();
        Ok(FileWriter::new(self.txn.clone(), file, path.to_owned(), executable, written))
    }

    /// Copies a file of the downloaded payload to the same path, sharing blocks where the file
    /// system can.
    pub fn copy_payload(&mut self, path: &str) -> Result<(), TxnError> {
        let copied = self.copy_from_root(path);
        self.txn.at(Step::StagingWrite, copied)
    }

    fn copy_from_root(&mut self, text: &str) -> Result<(), TxnFailure> {
        let path = tree_path(text)?;
        let incomplete = || TxnFailure::Incomplete { path: text.to_owned() };
        let size = regular_file(&*self.txn.root, &path)?.ok_or_else(incomplete)?.len;
        self.create_parents(&path)?;
        drop(self.dir.create_new(&path)?);
        let copy = CopyRange { from: &path, from_offset: 0, to: &path, to_offset: 0, len: size };
        let kind = self.dir.copy_range(&*self.txn.root, &copy)?;
        let file = self.dir.open_read(&path)?;
        let mut magic = [0; MAGIC_LEN];
        let count = file.read_at(0, &mut magic)?;
        if is_executable(&magic[..count]) {
            self.dir.set_executable(&path, true)?;
        }
        let hash = match kind {
            CopyKind::Shared => None,
            CopyKind::Copied => Some(hash_file(&*self.dir, &path)?),
        };
        let found = file.metadata()?;
        if found.len != size {
            return Err(incomplete());
        }
        let modified_ns = found.modified_ns;
        let file = InstalledFile { path: text.to_owned(), size, modified_ns, hash };
        self.written.lock().files.push(file);
        Ok(())
    }

    /// Makes everything durable and puts it in the place of `local/`. On an error the old
    /// `local/` stands, or nothing if there was none.
    pub fn commit(mut self) -> Result<Done, TxnError> {
        let txn = self.txn.clone();
        let sealed = self.make_durable();
        sealed.map_err(|error| txn.recovered(error))?;
        txn.guarded(|| self.put_in_place())
    }

    /// Gives up: what was staged is deleted, the game is as before.
    pub fn abort(self) -> Result<(), TxnError> {
        let Self { txn, dir, .. } = self;
        drop(dir);
        txn.enter(Step::Abort)?;
        txn.at(Step::Abort, txn.trash(layout::LOCAL_INSTALLING))?;
        txn.at(Step::Abort, txn.drop_intent())
    }

    fn make_durable(&mut self) -> Result<(), TxnError> {
        let txn = self.txn.clone();
        txn.enter(Step::FilesDurable)?;
        txn.at(Step::FilesDurable, self.check_finished())?;
        let list = InstalledList {
            files: self.written.lock().files.clone(),
            dirs: self.dirs.iter().map(|dir| payload_text(dir)).collect(),
        };
        let files: Vec<PathBuf> = list.by_path().into_keys().collect();
        let mut dirs: Vec<PathBuf> = self.dirs.iter().rev().cloned().collect();
        dirs.push(PathBuf::new());
        txn.at(Step::FilesDurable, self.dir.sync_batch(&files, &dirs))?;
        txn.at(Step::FilesDurable, list.write(&*self.dir))
    }

    fn create_parents(&mut self, path: &Path) -> Result<(), FsError> {
        match path.parent() {
            Some(parent) => self.create_dirs(parent),
            None => Ok(()),
        }
    }

    fn create_dirs(&mut self, path: &Path) -> Result<(), FsError> {
        if path.as_os_str().is_empty() || self.dirs.contains(path) {
            return Ok(());
        }
        let mut created = Vec::new();
        create_dirs(&*self.dir, path, &mut created)?;
        self.dirs.extend(created);
        Ok(())
    }

    fn check_finished(&self) -> Result<(), TxnFailure> {
        match self.written.lock().open.first() {
            Some(path) => Err(TxnFailure::Incomplete { path: path.clone() }),
            None => Ok(()),
        }
    }
}

/// Makes a staging that carries its marker from the instant it has its name.
fn create(txn: &Txn, version: &str, manifest_id: Option<&str>) -> Result<Arc<dyn Dir>, FsError> {
    let (name, dir) = create_marked(&*txn.root, &txn.marker(Some(version), manifest_id))?;
    drop(dir);
    let staging = Path::new(layout::LOCAL_INSTALLING);
    txn.root.rename_new(&name, staging)?;
    txn.sync_root()?;
    txn.root.open_dir(staging)
}

/// A path below `local/`; no component may look like one of ours.
fn tree_path(text: &str) -> Result<PathBuf, TxnFailure> {
    let ours = text.split('/').any(|name| name.to_ascii_lowercase().starts_with(".lanspread"));
    let path = parse_payload(text).filter(|_| !ours);
    path.ok_or_else(|| TxnFailure::BadPath(text.to_owned()))
}

fn payload_text(path: &Path) -> String {
    let names = path.components().map(|name| name.as_os_str().to_string_lossy().into_owned());
    names.collect::<Vec<_>>().join("/")
}

/// The content's hash in hexadecimal.
pub(super) fn hash_file(dir: &dyn Dir, path: &Path) -> Result<String, FsError> {
    let file = dir.open_read(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    let mut offset = 0;
    loop {
        let count = file.read_at(offset, &mut buffer)?;
        if count == 0 {
            return Ok(hasher.finalize().to_hex().to_string());
        }
        hasher.update(&buffer[..count]);
        offset += count as u64;
    }
}
