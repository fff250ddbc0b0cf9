//! The removal: the whole game root goes, whoever put things there (D9).
//!
//! Never removes a folder in which there is nothing of this program.

use lanspread_fs_txn::{Dir, FsError, RootState, layout, remove as remove_root};
use lanspread_wire::VersionStamp;

use super::{
    download::tell_leftovers,
    failure::Failure,
    operation::{Held, Operation, RootWanted},
};
use crate::{
    api::{ErrorCode, Phase},
    disk::LeaseGuard,
};

/// Removes the game; returns the version that was here.
pub async fn remove(op: &Operation) -> Result<Option<VersionStamp>, Failure> {
    op.check_stop()?;
    op.phase(Phase::Removing);
    let held = op.hold(RootWanted::Present).await?;
    let state = op.inspect(&held).await?;
    if !state.is_downloaded() && !state.is_installed() {
        require_only_ours(op, &held, &state).await?;
    }
    op.close_gate().await;
    let games = held.games.clone();
    let job = move |context| remove_root(&context, &*games);
    let done = op.transact(&held, "remove the game", job).await?;
    tell_leftovers(op, &done);
    let sentinel = state.sentinel.bytes();
    Ok(sentinel.and_then(|bytes| VersionStamp::parse(bytes).ok()))
}

/// A folder that is neither downloaded nor installed is removed only if all that is in it is the
/// rest of an operation: else it may be any folder of the user.
async fn require_only_ours(op: &Operation, held: &Held, state: &RootState) -> Result<(), Failure> {
    let root = held.root.clone();
    let list = move |_: &LeaseGuard| foreign_entry(&*root);
    let found = op.ports.disk.run(&held.lease, "look for files of others", list).await?;
    let foreign = found.map_err(|error| Failure::of_fs(op.game(), &error))?;
    let foreign = foreign.or_else(|| {
        state.unowned.first().map(|unowned| unowned.name.to_string_lossy().into_owned())
    });
    match foreign {
        None => Ok(()),
        Some(name) => {
            let text = format!(
                "{} is not downloaded, and its folder holds files of others: {name}",
                op.game()
            );
            Err(Failure::new(ErrorCode::NotDownloaded, text))
        }
    }
}

/// Something in the root that this program did not make.
fn foreign_entry(root: &dyn Dir) -> Result<Option<String>, FsError> {
    let entries = root.read_dir("".as_ref())?;
    let foreign = entries.iter().find(|entry| {
        let name = entry.name.to_string_lossy();
        !layout::is_reserved_root_name(&name)
    });
    Ok(foreign.map(|entry| lanspread_fs_txn::vfs::shown(entry.name.as_ref())))
}
