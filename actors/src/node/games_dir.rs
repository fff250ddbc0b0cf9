//! Another games folder while the node runs (L8): checked, locked and recovered before the library
//! switches to it; remembered after.

use std::path::PathBuf;

use lanspread_fs_txn::{
    lock::FolderLock,
    vfs::{RealVfs, shown},
};

use super::{boot::lock_games_dir, recovery::recover_all};
use crate::{
    api::{ErrorCode, Event, Refused},
    library::folder,
    limits::node::SET_GAMES_DIR_DEADLINE,
    operations::OperationsMsg,
    ports::Ports,
};

/// A folder the library has switched to.
pub(crate) struct Switched {
    pub(crate) path: PathBuf,
    /// The lock of the new folder; `None` for a mere refresh of the present one.
    pub(crate) lock: Option<Option<FolderLock>>,
    /// What is to be told.
    pub(crate) events: Vec<Event>,
}

/// Switches to `path`. A refusal changes nothing.
pub(crate) async fn switch(ports: &Ports, path: PathBuf) -> Result<Switched, Refused> {
    let path = std::path::absolute(&path).map_err(|error| {
        let message = format!("the games folder {}: {error}", shown(&path));
        Refused::new(ErrorCode::BadGamesDir, message)
    })?;
    let is_refresh = ports.local.borrow().games_dir.as_ref() == Some(&path);
    if is_refresh {
        tell_operations(ports, path.clone()).await?;
        return Ok(Switched { path, lock: None, events: Vec::new() });
    }
    // The owner of the table decides again; this spares a busy node the work below.
    if let Some(game) = ports.operation_table.borrow().rows.keys().next() {
        let message = format!("{game} is busy: the games folder cannot be changed now");
        return Err(Refused::of_game(ErrorCode::OperationInProgress, game, message));
    }
    let (lock, notices) = check_and_lock(ports, path.clone()).await?;
    let mut events: Vec<Event> =
        notices.into_iter().map(|message| Event::Notice { game: None, message }).collect();
    events.extend(recover_all(&ports.disk, &path).await);
    tell_operations(ports, path.clone()).await?;
    Ok(Switched { path, lock: Some(lock), events })
}

async fn check_and_lock(
    ports: &Ports,
    path: PathBuf,
) -> Result<(Option<FolderLock>, Vec<String>), Refused> {
    let checked = ports.disk.run_unleased("check games folder", move || {
        folder::validate(&RealVfs, &path)
            .map_err(|error| Refused::new(ErrorCode::BadGamesDir, error.to_string()))?;
        let mut notices = Vec::new();
        let lock = lock_games_dir(&path, &mut notices)
            .map_err(|error| Refused::new(error.code, error.message))?;
        Ok((lock, notices))
    });
    checked.await.map_err(|error| Refused::new(error.code(), error.to_string()))?
}

async fn tell_operations(ports: &Ports, path: PathBuf) -> Result<(), Refused> {
    let ask = |reply| OperationsMsg::SetGamesDir { path, reply };
    let answer = ports.operations.call(ask, SET_GAMES_DIR_DEADLINE).await;
    answer.map_err(|error| Refused::new(ErrorCode::Internal, error.to_string()))?
}
