//! Recovery of every game root of a folder: at the start and on a change of folder (T5). Each root
//! under its lease, on the disk's workers; what was found is told, nothing of it stops the node.

use std::{path::Path, sync::Arc};

use futures::{StreamExt as _, stream};
use lanspread_fs_txn::{
    Dir, FileKind, FsError, LeaseGuard, OpId, Outcome, RealVfs, Recovery, RecoveryFailure,
    TxnContext, Vfs, open_game_root, recover,
};
use lanspread_wire::{GameId, printable_line};

use crate::{api::Event, disk::DiskHandle, limits::disk::DISK_WORKERS_MAX};

/// Recovers all game roots of `games_dir` and returns what is to be told.
pub(crate) async fn recover_all(disk: &DiskHandle, games_dir: &Path) -> Vec<Event> {
    let path = games_dir.to_path_buf();
    let listed = disk.run_unleased("list game roots", move || list(&path)).await;
    let (games, roots) = match listed {
        Ok(Ok(listed)) => listed,
        Ok(Err(error)) => return vec![notice(None, &error)],
        Err(error) => return vec![notice(None, &error)],
    };
    let one = |game| recover_one(disk, games.clone(), game);
    let told: Vec<Vec<Event>> =
        stream::iter(roots).map(one).buffered(DISK_WORKERS_MAX).collect().await;
    told.into_iter().flatten().collect()
}

fn list(games_dir: &Path) -> Result<(Arc<dyn Dir>, Vec<GameId>), FsError> {
    let games = RealVfs.open_root(games_dir)?;
    let entries = games.read_dir(Path::new(""))?;
    let mut roots: Vec<GameId> = entries
        .into_iter()
        .filter(|entry| entry.kind == FileKind::Dir)
        .filter_map(|entry| GameId::parse(entry.name.to_str()?).ok())
        .collect();
    roots.sort();
    Ok((games, roots))
}

async fn recover_one(disk: &DiskHandle, games: Arc<dyn Dir>, game: GameId) -> Vec<Event> {
    let lease = match disk.acquire(&game, "recovery").await {
        Ok(lease) => lease,
        Err(error) => return vec![notice(Some(game), &error)],
    };
    let name = game.clone();
    let job = move |guard: &LeaseGuard| recover_root(&*games, &name, guard);
    match disk.run(&lease, "recover", job).await {
        Ok(Ok(recovery)) => told(&game, &recovery),
        Ok(Err(failure)) => vec![finding(&game, &failure, "left alone")],
        Err(error) => vec![notice(Some(game), &error)],
    }
}

fn recover_root(
    games: &dyn Dir,
    game: &GameId,
    guard: &LeaseGuard,
) -> Result<Recovery, RecoveryFailure> {
    let root = open_game_root(games, game.as_str())
        .map_err(|source| RecoveryFailure::Unreadable { game: game.to_string(), source })?;
    recover(&TxnContext::new(root, OpId::fresh(), guard.clone()))
}

fn told(game: &GameId, recovery: &Recovery) -> Vec<Event> {
    let done: Vec<String> = recovery.actions.iter().map(ToString::to_string).collect();
    let mut events = Vec::new();
    match &recovery.outcome {
        Outcome::Clean if done.is_empty() => {}
        Outcome::Clean => events.push(finding(game, &"leftovers", &done.join(", "))),
        Outcome::RolledBack => {
            events.push(finding(game, &"an unfinished operation", &undone("undone", &done)));
        }
        Outcome::RolledForward => {
            events.push(finding(game, &"an unfinished operation", &undone("finished", &done)));
        }
        Outcome::NeedsAttention(failure) => events.push(finding(game, failure, "left alone")),
    }
    let warn = |warning: &String| notice(Some(game.clone()), warning);
    events.extend(recovery.warnings.iter().map(warn));
    events
}

fn undone(how: &str, done: &[String]) -> String {
    if done.is_empty() { how.to_owned() } else { format!("{how}: {}", done.join(", ")) }
}

fn finding(game: &GameId, found: &dyn std::fmt::Display, action: &str) -> Event {
    let found = printable_line(&found.to_string());
    Event::Recovery { game: game.to_string(), found, action: printable_line(action) }
}

fn notice(game: Option<GameId>, text: &dyn std::fmt::Display) -> Event {
    Event::Notice { game, message: printable_line(&text.to_string()) }
}
