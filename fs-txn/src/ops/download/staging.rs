//! The staging of one download: opened or resumed, written by several threads, and at the end
//! committed, parked for later, or discarded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::StagedFiles;
use super::inspect::stored_plan;
use super::plan::{DownloadPlan, StoredPlan, payload_path, planned_path};
use crate::atomic::{read_limited, read_limited_at, write_atomic, write_new_durable};
use crate::inspect::RootState;
use crate::intent::{Operation, Phase, is_odd_file};
use crate::layout;
use crate::limits::{MANIFEST_BYTES_MAX, PROGRESS_BYTES_MAX};
use crate::marker::create_marked;
use crate::ops::context::{Txn, TxnContext};
use crate::ops::error::{TxnError, TxnFailure};
use crate::ops::step::Step;
use crate::record::{self, Kind};
use crate::recover::execute;
use crate::tree::{copy_file, regular_file, remove_trash};
use crate::vfs::{Dir, FsError, FsOp, remove_file_if_present};

/// A download that is being filled. Reads and writes may come from several threads.
pub struct DownloadStaging {
    pub(crate) txn: Txn,
    pub(super) dir: Arc<dyn Dir>,
    pub(super) files: StagedFiles,
    pub(super) plan: StoredPlan,
    previous: Option<PreviousStaging>,
}

/// What an opened staging already holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Whether files of this manifest were staged before.
    pub same_manifest: bool,
    /// What was last saved with [`DownloadStaging::save_progress`]. A hint only: after a power
    /// cut it may claim more than is on disk, so every chunk is hashed again before it counts.
    pub progress: Option<Vec<u8>>,
}

/// The staging of another manifest that was in the way: its files may be read as a source of
/// chunks until the new download ends.
pub struct PreviousStaging {
    name: PathBuf,
    dir: Arc<dyn Dir>,
    /// The manifest's id.
    pub manifest_id: String,
    /// The manifest, by which its files are numbered.
    pub manifest_bytes: Vec<u8>,
}

impl PreviousStaging {
    /// Reads part of a staged file. It may be incomplete: hash what you read.
    pub fn read_at(&self, file: usize, offset: u64, buffer: &mut [u8]) -> Result<usize, FsError> {
        self.dir.open_read(&layout::staged_file(file))?.read_at(offset, buffer)
    }
}

impl DownloadStaging {
    /// Opens the staging of this manifest, or creates it.
    ///
    /// Space is not checked here: only the caller knows how much of the content it will reuse.
    /// See [`crate::check_space`] and [`DownloadPlan::bytes_to_write`].
    pub fn open_or_create(
        context: &TxnContext,
        plan: &DownloadPlan,
    ) -> Result<(Self, Resumed), TxnError> {
        Self::open_or_create_sparing(context, plan, &|_file| false)
    }

    /// The same, without reserving space for files that `is_spared`: those that the caller
    /// expects to keep in place but has not hashed yet.
    pub fn open_or_create_sparing(
        context: &TxnContext,
        plan: &DownloadPlan,
        is_spared: &dyn Fn(usize) -> bool,
    ) -> Result<(Self, Resumed), TxnError> {
        let (txn, state) = Txn::begin(context)?;
        txn.at(Step::Check, plan.validate())?;
        txn.at(Step::Check, check_manifest(plan))?;
        txn.refuse_unowned(&state, &[layout::DOWNLOAD])?;
        let from_version = state.sentinel.version();
        let mut intent = txn.intent(Operation::Download, Phase::Staging);
        intent.from_version.clone_from(&from_version);
        intent.to_version = Some(plan.version());
        intent.manifest_id = Some(plan.manifest_id.clone());
        let stored = plan.stored(from_version);
        txn.guarded(|| {
            txn.write_intent(Step::IntentWrite, &intent)?;
            Self::open(&txn, &state, plan, (stored, is_spared))
        })
    }

    fn open(
        txn: &Txn,
        state: &RootState,
        plan: &DownloadPlan,
        (stored, is_spared): (StoredPlan, &dyn Fn(usize) -> bool),
    ) -> Result<(Self, Resumed), TxnError> {
        txn.enter(Step::StagingCreate)?;
        let step = Step::StagingCreate;
        let present = state.download.is_some();
        let same = present && txn.at(step, same_staging(&*txn.root, &stored))?;
        let mut previous = None;
        if present && !same {
            previous = txn.at(step, set_previous_aside(txn))?;
        }
        let dir = if same {
            txn.at(step, reopen(txn, state, &stored))?
        } else {
            txn.at(step, create(txn, plan, &stored))?
        };
        let progress = if same { txn.at(step, read_progress(&*dir))? } else { None };
        let files = StagedFiles::new(Arc::clone(&dir), stored.files.clone());
        txn.at(step, files.reserve_large(is_spared))?;
        let staging = Self { txn: txn.clone(), dir, files, plan: stored, previous };
        Ok((staging, Resumed { same_manifest: same, progress }))
    }

    /// The staging of another manifest that this one replaced.
    #[must_use]
    pub fn previous(&self) -> Option<&PreviousStaging> {
        self.previous.as_ref()
    }

    /// Deletes the staging of the other manifest, to have its space.
    pub fn drop_previous(&mut self) -> Result<(), TxnError> {
        match self.previous.take() {
            Some(previous) => {
                let PreviousStaging { name, dir, .. } = previous;
                drop(dir);
                self.txn.at(Step::CleanUp, remove_trash(&*self.txn.root, &name))
            }
            None => Ok(()),
        }
    }

    /// Writes part of a file. Parts may come in any order and from any thread; nothing is
    /// durable before [`DownloadStaging::save_progress`] or the commit.
    pub fn write_at(&self, file: usize, offset: u64, bytes: &[u8]) -> Result<(), TxnError> {
        self.txn.at(Step::StagingWrite, self.files.write_at(file, offset, bytes))
    }

    /// Reads part of a staged file, or of the file in the root that stays. 0 bytes mean the end.
    pub fn read_at(&self, file: usize, offset: u64, buffer: &mut [u8]) -> Result<usize, TxnError> {
        self.txn.at(Step::StagingWrite, self.read(file, offset, buffer))
    }

    fn read(&self, file: usize, offset: u64, buffer: &mut [u8]) -> Result<usize, TxnFailure> {
        if self.files.is_kept(file)? {
            let path = planned_path(&self.files.planned(file)?.path);
            return Ok(self.txn.root.open_read(&path)?.read_at(offset, buffer)?);
        }
        self.files.read_at(file, offset, buffer)
    }

    /// Whether anything of a file is staged (or the file stays).
    pub fn has_file(&self, file: usize) -> Result<bool, TxnError> {
        let found = || -> Result<bool, TxnFailure> {
            self.files.planned(file)?;
            let staged = regular_file(&*self.dir, &layout::staged_file(file))?;
            Ok(self.files.is_kept(file)? || staged.is_some())
        };
        self.txn.at(Step::StagingWrite, found())
    }

    /// Stages a copy of a file of the root whose whole content is that of file number `file`,
    /// sharing blocks where the file system can. The caller has hashed it.
    pub fn reuse_from_root(&self, file: usize, old_path: &str) -> Result<(), TxnError> {
        self.txn.at(Step::StagingWrite, self.reuse(file, old_path))
    }

    fn reuse(&self, file: usize, old_path: &str) -> Result<(), TxnFailure> {
        let size = self.files.planned(file)?.size;
        let staged = layout::staged_file(file);
        self.files.close_all()?;
        remove_file_if_present(&*self.dir, &staged)?;
        copy_file(&*self.txn.root, &payload_path(old_path)?, &*self.dir, &staged, size)?;
        self.files.note_copied(file)
    }

    /// Stages a file of another folder whole: as a second name of it if `link`, where the file
    /// system can, else as a copy.
    pub(crate) fn stage_from(
        &self,
        file: usize,
        source: &dyn Dir,
        path: &Path,
        link: bool,
    ) -> Result<(), TxnError> {
        self.txn.at(Step::StagingWrite, self.stage(file, source, path, link))
    }

    fn stage(
        &self,
        file: usize,
        source: &dyn Dir,
        path: &Path,
        link: bool,
    ) -> Result<(), TxnFailure> {
        let size = self.files.planned(file)?.size;
        let staged = layout::staged_file(file);
        remove_file_if_present(&*self.dir, &staged)?;
        let linked = link && self.dir.hard_link(source, path, &staged).is_ok();
        if !linked {
            copy_file(source, path, &*self.dir, &staged, size)?;
        }
        self.files.note_copied(file)
    }

    /// Declares that the file in the root at its planned path has the planned content and stays
    /// as it is. The caller has hashed it.
    pub fn keep_in_place(&self, file: usize) -> Result<(), TxnError> {
        self.txn.at(Step::StagingWrite, self.files.keep(file))
    }

    /// Saves how far the download is, after making durable what was written so far. `progress`
    /// means nothing to this crate.
    pub fn save_progress(&self, progress: &[u8]) -> Result<(), TxnError> {
        self.txn.enter(Step::ProgressSave)?;
        let saved = self.files.make_written_durable().and_then(|()| {
            let record = SavedProgress { progress: hex::encode(progress) };
            let bytes = record::encode(Kind::Progress, &record)?;
            Ok(write_atomic(&*self.dir, layout::STAGED_PROGRESS, &bytes)?)
        });
        self.txn.at(Step::ProgressSave, saved)
    }

    /// Ends the run and keeps what is staged for a later one.
    pub fn park(mut self) -> Result<(), TxnError> {
        self.txn.enter(Step::Abort)?;
        self.txn.at(Step::Abort, self.files.close_all())?;
        self.drop_previous()?;
        self.txn.at(Step::Abort, self.txn.drop_intent())
    }

    /// Ends the run and deletes what is staged.
    pub fn discard(mut self) -> Result<(), TxnError> {
        self.txn.enter(Step::Abort)?;
        self.txn.at(Step::Abort, self.files.close_all())?;
        self.drop_previous()?;
        let Self { txn, dir, files, .. } = self;
        drop((dir, files));
        txn.at(Step::Abort, txn.trash(layout::DOWNLOAD))?;
        txn.at(Step::Abort, txn.drop_intent())
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct SavedProgress {
    /// Hexadecimal: a list of numbers would be four times as long.
    progress: String,
}

fn check_manifest(plan: &DownloadPlan) -> Result<(), TxnFailure> {
    let id = blake3::hash(&plan.manifest_bytes).to_hex();
    if id.as_str() == plan.manifest_id {
        return Ok(());
    }
    Err(TxnFailure::NoGame(format!("the manifest is not {}", plan.manifest_id)))
}

fn same_staging(root: &dyn Dir, wanted: &StoredPlan) -> Result<bool, FsError> {
    Ok(stored_plan(root)?.is_some_and(|stored| stored.stages_the_same(wanted)))
}

/// Moves the staging of another manifest out of the way; it can still be read there.
fn set_previous_aside(txn: &Txn) -> Result<Option<PreviousStaging>, FsError> {
    let old_plan = stored_plan(&*txn.root)?;
    let name = execute::move_to_trash(&*txn.root, &txn.context, Path::new(layout::DOWNLOAD))?;
    let manifest_path = name.join(layout::STAGED_MANIFEST);
    let manifest = match read_limited_at(&*txn.root, &manifest_path, MANIFEST_BYTES_MAX) {
        Err(error) if is_odd_file(&error) => None,
        result => result?,
    };
    match (old_plan, manifest) {
        (Some(plan), Some(manifest_bytes)) => {
            let dir = txn.root.open_dir(&name)?;
            Ok(Some(PreviousStaging { name, dir, manifest_id: plan.manifest_id, manifest_bytes }))
        }
        _ => {
            remove_trash(&*txn.root, &name)?;
            Ok(None)
        }
    }
}

/// Makes a staging that is whole from the instant it has its name.
fn create(txn: &Txn, plan: &DownloadPlan, stored: &StoredPlan) -> Result<Arc<dyn Dir>, FsError> {
    let marker = txn.marker(Some(&plan.version()), Some(&plan.manifest_id));
    let (name, dir) = create_marked(&*txn.root, &marker)?;
    for shard in 0..crate::limits::STAGING_SHARDS {
        dir.create_dir(Path::new(&layout::staged_shard(shard)))?;
    }
    // nobody looks in there before it has its name, so nothing need be atomic yet
    write_new_durable(&*dir, Path::new(layout::STAGED_MANIFEST), &plan.manifest_bytes)?;
    write_new_durable(&*dir, Path::new(layout::STAGED_PLAN), &plan_bytes(&*dir, stored)?)?;
    dir.sync_dir(Path::new(""))?;
    drop(dir);
    txn.root.rename_new(&name, Path::new(layout::DOWNLOAD))?;
    txn.sync_root()?;
    txn.root.open_dir(Path::new(layout::DOWNLOAD))
}

/// Takes a staging over: it is this run's now, and no commit of it has begun.
fn reopen(txn: &Txn, state: &RootState, stored: &StoredPlan) -> Result<Arc<dyn Dir>, FsError> {
    let dir = txn.root.open_dir(Path::new(layout::DOWNLOAD))?;
    if let Some(found) = &state.download {
        let mut marker = found.marker.clone();
        marker.sealed = false;
        marker.generation = txn.generation;
        marker.op_id = txn.context.op_id().clone();
        marker.write(&*dir)?;
    }
    write_plan(&*dir, stored)?;
    for shard in 0..crate::limits::STAGING_SHARDS {
        match dir.create_dir(Path::new(&layout::staged_shard(shard))) {
            Err(error) if error.code() != "exists" => return Err(error),
            _ => {}
        }
    }
    Ok(dir)
}

pub(super) fn write_plan(dir: &dyn Dir, stored: &StoredPlan) -> Result<(), FsError> {
    write_atomic(dir, layout::STAGED_PLAN, &plan_bytes(dir, stored)?)
}

fn plan_bytes(dir: &dyn Dir, stored: &StoredPlan) -> Result<Vec<u8>, FsError> {
    record::encode(Kind::Plan, stored).map_err(|error| {
        FsError::new(FsOp::Write, dir.shown_path().join(layout::STAGED_PLAN), error)
    })
}

fn read_progress(dir: &dyn Dir) -> Result<Option<Vec<u8>>, FsError> {
    let bytes = match read_limited(dir, layout::STAGED_PROGRESS, PROGRESS_BYTES_MAX) {
        Err(error) if is_odd_file(&error) => None,
        result => result?,
    };
    let saved =
        bytes.and_then(|bytes| record::decode::<SavedProgress>(Kind::Progress, &bytes).ok());
    Ok(saved.and_then(|saved| hex::decode(saved.progress).ok()))
}
