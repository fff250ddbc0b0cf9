//! The install: archives unpacked, or the payload copied, beside `local/`, then put in its place.
//!
//! It serves installs and updates alike: whether an older `local/` is replaced depends on what
//! stands there. Until the commit the old one stays as it is (T2, T3).

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use lanspread_fs_txn::{
    Dir, FileWriter, InstallStaging, SpaceError, TxnContext, TxnError, check_space, list_payload,
};
use lanspread_wire::{ManifestId, RelPath, VersionStamp};

use super::{
    download::tell_leftovers,
    failure::Failure,
    operation::{Held, Meter, Operation, RootWanted},
};
use crate::{
    api::{ErrorCode, Phase},
    disk::LeaseGuard,
    unpack::{
        ArchiveSet, SinkError, TreeSink, UnpackError, UnpackLimits, UnpackProgress, UnpackRequest,
        find_archives, unpack,
    },
};

/// Installs what is downloaded; returns its version. `held` is the root of a download that has
/// just ended, and `content` what it has committed.
pub async fn install(
    op: &Operation,
    held: Option<Held>,
    content: Option<ManifestId>,
) -> Result<Option<VersionStamp>, Failure> {
    op.check_stop()?;
    op.phase(Phase::Unpacking);
    let held = match held {
        Some(held) => held,
        None => op.hold(RootWanted::Present).await?,
    };
    let state = op.inspect(&held).await?;
    let Some(sentinel) = state.sentinel.bytes() else {
        let text = format!("{} is not downloaded", op.game());
        return Err(Failure::new(ErrorCode::NotDownloaded, text));
    };
    let version = VersionStamp::parse(sentinel).map_err(|error| {
        Failure::new(ErrorCode::BadContent, format!("{}: version.ini: {error}", op.game()))
    })?;
    let manifest = content.or_else(|| op.local_game().and_then(|local| local.manifest));
    let payload = payload(op, &held, manifest).await?;
    let archives = find_archives(payload.files.iter().map(|(path, _)| path.as_str()))
        .map_err(|error| Failure::of_unpack(op.game(), &error, None))?;
    let work = Work {
        version: version.clone(),
        manifest,
        root: held.root.clone(),
        path: held.path.clone(),
        program: op.ports.unpack_program.clone(),
        meter: op.meter(),
        stop: op.stop.flag(),
    };
    let staged = op
        .ports
        .disk
        .run(&held.lease, "install", work.job(op, &held, payload, archives))
        .await?
        .map_err(|error| error.into_failure(op))?;
    op.phase(Phase::Promoting);
    let done = op.transact(&held, "put the game in place", move |_| staged.commit()).await?;
    tell_leftovers(op, &done);
    Ok(Some(version))
}

/// The payload files with their sizes, and the directories in which nothing is.
struct Payload {
    files: Vec<(String, u64)>,
    empty_dirs: Vec<String>,
}

/// By the manifest if it is known: files of others in the root are not installed (D9).
async fn payload(
    op: &Operation,
    held: &Held,
    manifest: Option<ManifestId>,
) -> Result<Payload, Failure> {
    let manifest = match manifest {
        Some(id) => op.load_manifest(id).await?,
        None => None,
    };
    if let Some(manifest) = manifest {
        let file = |file: lanspread_wire::FileEntry| (file.path.as_str().to_owned(), file.size);
        return Ok(Payload {
            files: manifest.files.into_iter().map(file).collect(),
            empty_dirs: manifest.empty_dirs.iter().map(|dir| dir.as_str().to_owned()).collect(),
        });
    }
    let root = held.root.clone();
    let list = move |_: &LeaseGuard| list_payload(&*root);
    let listed = op.ports.disk.run(&held.lease, "list the payload", list).await?;
    let listed = listed.map_err(|error| Failure::of_fs(op.game(), &error))?;
    let files = listed.files.into_iter().map(|file| (file.path, file.size)).collect();
    Ok(Payload { files, empty_dirs: listed.empty_dirs })
}

/// What the blocking part of an install works with.
struct Work {
    version: VersionStamp,
    manifest: Option<ManifestId>,
    root: Arc<dyn Dir>,
    path: PathBuf,
    program: PathBuf,
    meter: Meter,
    stop: Arc<AtomicBool>,
}

/// Why nothing was staged.
enum StageError {
    Txn(TxnError),
    Space(SpaceError),
    Unpack(UnpackError),
    Stopped,
}

impl StageError {
    fn into_failure(self, op: &Operation) -> Failure {
        match self {
            Self::Txn(error) => error.into(),
            Self::Space(error) => Failure::of_space(op.game(), &error),
            Self::Unpack(error) => Failure::of_unpack(op.game(), &error, op.stop.now()),
            Self::Stopped => match op.stop.now() {
                Some(reason) => Failure::Stopped(reason),
                None => Failure::new(ErrorCode::Internal, "stopped without a reason"),
            },
        }
    }
}

impl From<TxnError> for StageError {
    fn from(error: TxnError) -> Self {
        Self::Txn(error)
    }
}

impl Work {
    /// The blocking part: everything but the commit. Gives up without a trace when it fails.
    fn job(
        self,
        op: &Operation,
        held: &Held,
        payload: Payload,
        archives: Vec<ArchiveSet>,
    ) -> impl FnOnce(&LeaseGuard) -> Result<InstallStaging, StageError> + Send + 'static + use<>
    {
        let context = op.context(held);
        move |guard| {
            let context = context(guard);
            let manifest = self.manifest.map(|id| id.to_string());
            if archives.is_empty() {
                let bytes =
                    payload.files.iter().fold(0, |sum: u64, (_, size)| sum.saturating_add(*size));
                check_space(&*self.root, bytes).map_err(StageError::Space)?;
            }
            let mut staging =
                InstallStaging::create(&context, self.version.as_str(), manifest.as_deref())?;
            let staged = match archives.is_empty() {
                true => self.copy(&mut staging, &payload),
                false => self.unpack(&mut staging, &archives),
            };
            match staged {
                Ok(()) => Ok(staging),
                Err(error) => {
                    give_up(&context, staging);
                    Err(error)
                }
            }
        }
    }

    fn copy(&self, staging: &mut InstallStaging, payload: &Payload) -> Result<(), StageError> {
        let total = payload.files.iter().map(|(_, size)| size).sum();
        let mut done = 0;
        for (path, size) in &payload.files {
            if self.stop.load(Ordering::Acquire) {
                return Err(StageError::Stopped);
            }
            staging.copy_payload(path)?;
            done += size;
            self.meter.tell(done, total);
        }
        for dir in &payload.empty_dirs {
            staging.create_dir(dir)?;
        }
        Ok(())
    }

    fn unpack(
        &self,
        staging: &mut InstallStaging,
        archives: &[ArchiveSet],
    ) -> Result<(), StageError> {
        let request = UnpackRequest {
            program: self.program.clone(),
            archives: archives.iter().map(|archive| archive.located(&self.path)).collect(),
            limits: UnpackLimits::default(),
        };
        let mut sink = StagingSink { staging, root: &*self.root, file: None };
        let mut progress = |progress: UnpackProgress<'_>| {
            self.meter.tell(progress.bytes_done, progress.bytes_total.unwrap_or(0));
        };
        unpack(&request, &mut sink, &mut progress, &self.stop).map_err(StageError::Unpack)?;
        Ok(())
    }
}

/// The staging is of no use any more. What cannot be deleted now is cleared away later.
fn give_up(context: &TxnContext, staging: InstallStaging) {
    if let Err(error) = staging.abort() {
        tracing::warn!(game = context.game(), %error, "an install could not be cleared away");
    }
}

/// Writes an unpacked tree into the staging.
struct StagingSink<'a> {
    staging: &'a mut InstallStaging,
    root: &'a dyn Dir,
    file: Option<FileWriter>,
}

impl TreeSink for StagingSink<'_> {
    fn announce(&mut self, _entries: u32, bytes: Option<u64>) -> Result<(), SinkError> {
        match bytes {
            None => Ok(()),
            Some(bytes) => check_space(self.root, bytes).map_err(|error| {
                let code = match &error {
                    SpaceError::Fs(error) => error.code(),
                    SpaceError::Short { .. } | SpaceError::Overflow => "disk-full",
                };
                SinkError::new(code, error)
            }),
        }
    }

    fn create_dir(&mut self, path: &RelPath) -> Result<(), SinkError> {
        self.staging.create_dir(path.as_str()).map_err(of_txn)
    }

    fn begin_file(&mut self, path: &RelPath, executable: Option<bool>) -> Result<(), SinkError> {
        self.file = Some(self.staging.create_file(path.as_str(), executable).map_err(of_txn)?);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        match &mut self.file {
            Some(file) => file.write(bytes).map_err(of_txn),
            None => Err(SinkError::new("internal", "bytes without a file")),
        }
    }

    fn end_file(&mut self) -> Result<(), SinkError> {
        match self.file.take() {
            Some(file) => file.finish().map_err(of_txn),
            None => Err(SinkError::new("internal", "the end of no file")),
        }
    }
}

fn of_txn(error: TxnError) -> SinkError {
    SinkError::new(error.code(), error)
}
