//! The commit of a download, and its redo by recovery.

use super::inspect::stored_plan;
use super::promote::Promote;
use super::staging::{DownloadStaging, write_plan};
use crate::inspect::RootState;
use crate::intent::{Operation, Phase};
use crate::layout;
use crate::marker::{Marker, MarkerState};
use crate::ops::context::{Txn, TxnContext};
use crate::ops::error::{TxnError, TxnFailure};
use crate::ops::report::Done;
use crate::ops::step::Step;
use crate::vfs::{FsError, FsOp};

impl DownloadStaging {
    /// Makes the download visible: files durable, old sentinel away, files into place, new
    /// sentinel. Until the intent says "promoting" a failure leaves everything as it was and the
    /// staging in place; after it, what is left is redone at once, or by the next recovery.
    pub fn commit(mut self) -> Result<Done, TxnError> {
        let txn = self.txn.clone();
        let sealed = self.seal().map_err(|error| txn.recovered(error))?;
        drop(self); // some systems rename no directory in which a handle is open
        txn.guarded(|| promote(&txn, &sealed))
    }

    fn seal(&mut self) -> Result<Sealed, TxnError> {
        self.drop_previous()?;
        let txn = &self.txn;
        txn.enter(Step::FilesDurable)?;
        txn.at(Step::FilesDurable, self.files.complete())?;
        txn.at(Step::FilesDurable, self.files.close_all())?;
        txn.at(Step::FilesDurable, self.files.make_all_durable())?;
        txn.enter(Step::Seal)?;
        self.plan.files = txn.at(Step::Seal, self.files.files_now())?;
        let sentinel = txn.at(Step::Seal, self.plan.sentinel_bytes().ok_or_else(no_sentinel))?;
        let promote = Promote::new(txn, &self.plan, sentinel.clone());
        txn.at(Step::Seal, promote.check())?;
        txn.at(Step::Seal, promote.make_kept_durable())?;
        txn.at(Step::Seal, write_plan(&*self.dir, &self.plan))?;
        let version = String::from_utf8_lossy(&sentinel).trim().to_owned();
        let mut marker = txn.marker(Some(&version), Some(&self.plan.manifest_id));
        marker.sealed = true;
        txn.at(Step::Seal, marker.write(&*self.dir))?;
        Ok(Sealed { plan: self.plan.clone(), sentinel, version })
    }
}

struct Sealed {
    plan: super::plan::StoredPlan,
    sentinel: Vec<u8>,
    version: String,
}

fn promote(txn: &Txn, sealed: &Sealed) -> Result<Done, TxnError> {
    let mut intent = txn.intent(Operation::Download, Phase::Promoting);
    intent.from_version.clone_from(&sealed.plan.from_version);
    intent.to_version = Some(sealed.version.clone());
    intent.manifest_id = Some(sealed.plan.manifest_id.clone());
    txn.write_intent(Step::IntentPromoting, &intent)?;
    let mut promote = Promote::new(txn, &sealed.plan, sealed.sentinel.clone());
    promote.run()?;
    let mut done = Done { kept: std::mem::take(&mut promote.kept), ..Done::default() };
    txn.enter(Step::CleanUp)?;
    done.note(promote.clean_up());
    txn.settle(&mut done)?;
    Ok(done)
}

fn no_sentinel() -> TxnFailure {
    TxnFailure::BadPath(layout::SENTINEL.to_owned())
}

/// Row 14 of the recovery table: redoes what is left of a commit. The intent stays; recovery
/// drops it last.
pub(crate) fn finish_download(context: &TxnContext, found: &RootState) -> Result<(), FsError> {
    let root = context.fenced_root();
    let shown = root.shown_path().join(layout::DOWNLOAD);
    let lost = || FsError::new(FsOp::Read, &shown, std::io::ErrorKind::NotFound);
    let marker = Marker::read(&*root, layout::DOWNLOAD.as_ref(), context.game())?;
    let MarkerState::Valid(_) = marker else { return Err(lost()) };
    let plan = stored_plan(&*root)?.ok_or_else(lost)?;
    let sentinel = plan.sentinel_bytes().ok_or_else(lost)?;
    let generation = found.generation_newest;
    let txn = Txn { context: context.clone(), root, generation };
    let mut promote = Promote::new(&txn, &plan, sentinel);
    promote.run().map_err(|error| into_fs_error(error, &shown))?;
    promote.clean_up()
}

fn into_fs_error(error: TxnError, shown: &std::path::Path) -> FsError {
    match error.source {
        TxnFailure::Fs(error) => error,
        other => FsError::new(FsOp::Rename, shown, std::io::Error::other(other.to_string())),
    }
}
