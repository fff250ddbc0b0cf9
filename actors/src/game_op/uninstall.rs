//! The uninstall: `local/` goes, the downloaded payload stays (T4).

use lanspread_wire::VersionStamp;

use super::{
    download::tell_leftovers,
    failure::Failure,
    operation::{Operation, RootWanted},
};
use crate::api::Phase;

/// Uninstalls; returns the version of what is still downloaded.
pub async fn uninstall(op: &Operation) -> Result<Option<VersionStamp>, Failure> {
    op.check_stop()?;
    op.phase(Phase::Removing);
    let held = op.hold(RootWanted::Present).await?;
    let state = op.inspect(&held).await?;
    let job = |context| lanspread_fs_txn::uninstall(&context);
    let done = op.transact(&held, "uninstall", job).await?;
    tell_leftovers(op, &done);
    let sentinel = state.sentinel.bytes();
    Ok(sentinel.and_then(|bytes| VersionStamp::parse(bytes).ok()))
}
