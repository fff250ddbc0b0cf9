//! The recovery table: from what stands in a root to what is done about it. Pure and total.
//!
//! Row numbers in comments are those of the table in the documentation of the disk. Letters:
//! I intent, L `local/`, S `.local.installing/`, B `.local.backup/`, V `version.ini`,
//! D `.download/`, T trash.

use std::fmt;
use std::path::PathBuf;

use crate::inspect::{Local, OwnedDir, RootState, Sentinel};
use crate::intent::{Intent, IntentState, Operation, Phase};
use crate::layout;

/// One thing recovery does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The damaged or foreign intent is renamed, so that it decides nothing and is not lost.
    SetIntentAside,
    /// B becomes L again.
    RestoreBackup(PathBuf),
    /// A sealed S becomes L.
    InstallStaging(PathBuf),
    /// The commit of a download is done to its end.
    FinishDownload,
    /// The old V comes back: nothing under it had been changed.
    RestoreSentinel,
    /// Everything in the root goes.
    FinishRemove,
    /// An owned directory is taken out of use and deleted.
    Trash(PathBuf),
    /// A trash directory is deleted.
    RemoveTrash(PathBuf),
    /// A temporary file is deleted.
    RemoveTmp(String),
    /// Files of the user that an update saved go to their place in the root.
    PublishKept,
    /// The intent goes: always last.
    DropIntent,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &PathBuf| crate::vfs::shown(path);
        match self {
            Self::SetIntentAside => write!(f, "set the intent aside"),
            Self::RestoreBackup(name) => write!(f, "restore local from {}", shown(name)),
            Self::InstallStaging(name) => write!(f, "move {} to local", shown(name)),
            Self::FinishDownload => write!(f, "finish the download"),
            Self::RestoreSentinel => write!(f, "restore version.ini"),
            Self::FinishRemove => write!(f, "finish the removal"),
            Self::Trash(name) | Self::RemoveTrash(name) => write!(f, "delete {}", shown(name)),
            Self::RemoveTmp(name) => write!(f, "delete {name}"),
            Self::PublishKept => write!(f, "put the kept files in place"),
            Self::DropIntent => write!(f, "drop the intent"),
        }
    }
}

/// Which way an interrupted operation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// There was no operation to decide about.
    None,
    /// Undone.
    Back,
    /// Finished.
    Forward,
}

/// What fits neither way; nothing is done then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attention {
    /// Row 9b, the unsealed half: the only copy of the game may be incomplete.
    StagingUnsealed,
    /// Something without our marker stands where the old game should be.
    BackupUnowned,
    /// `local` is a file, a link or a mount point in the middle of an update.
    LocalOdd(String),
    /// L, B and S all stand: someone made a new `local/` in the middle of an update.
    LocalReappeared,
}

impl fmt::Display for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StagingUnsealed => write!(
                f,
                "an update was interrupted and its files in {} may be incomplete",
                layout::LOCAL_INSTALLING
            ),
            Self::BackupUnowned => write!(
                f,
                "an update was interrupted and {} is not known as ours",
                layout::LOCAL_BACKUP
            ),
            Self::LocalOdd(why) => {
                write!(f, "an update was interrupted and local is in the way: {why}")
            }
            Self::LocalReappeared => write!(
                f,
                "an update was interrupted and a new local stands beside {}",
                layout::LOCAL_BACKUP
            ),
        }
    }
}

/// What is to be done about a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub actions: Vec<Action>,
    /// Which way the interrupted operation goes.
    pub direction: Direction,
    /// Set when nothing may be done; there are no actions then.
    pub attention: Option<Attention>,
}

/// Decides. Total: every state has exactly one plan.
#[must_use]
pub fn plan(state: &RootState) -> Plan {
    let decided = match &state.intent {
        IntentState::Absent => Ok(Draft::new(Direction::None, Vec::new())), // row 1
        IntentState::Corrupt(_) | IntentState::Foreign(_) => {
            Ok(Draft::new(Direction::None, vec![Action::SetIntentAside])) // row 4
        }
        IntentState::Valid(intent) => with_intent(state, intent),
    };
    match decided {
        Ok(Draft { mut actions, mut direction }) => {
            let decided = actions.len();
            clear_up_local(state, &mut actions);
            clear_up_download(state, &mut actions);
            if direction == Direction::None && actions.len() > decided {
                direction = Direction::Back;
            }
            clear_up_rest(state, &mut actions);
            Plan { actions, direction, attention: None }
        }
        Err(attention) => {
            Plan { actions: Vec::new(), direction: Direction::None, attention: Some(attention) }
        }
    }
}

struct Draft {
    actions: Vec<Action>,
    direction: Direction,
}

impl Draft {
    fn new(direction: Direction, actions: Vec<Action>) -> Self {
        Self { actions, direction }
    }

    fn forward(actions: Vec<Action>) -> Self {
        Self::new(Direction::Forward, actions)
    }

    /// Finished if `done`, else undone; what is left lying about is cleared up in either case.
    fn finished(done: bool) -> Self {
        Self::new(if done { Direction::Forward } else { Direction::Back }, Vec::new())
    }
}

fn with_intent(state: &RootState, intent: &Intent) -> Result<Draft, Attention> {
    match (intent.operation, intent.phase) {
        (Operation::Download, Phase::Promoting) => Ok(download_promoting(state)),
        (Operation::Download, _) => Ok(Draft::finished(false)), // row 13
        // rows 5 and 6
        (Operation::Install, _) => {
            Ok(Draft::finished(state.is_installed() && state.installing.is_none()))
        }
        (Operation::Update, Phase::Swap) => update_swap(state),
        (Operation::Update, _) => Ok(Draft::finished(false)), // row 7
        (Operation::Uninstall, _) => Ok(uninstall(state)),
        (Operation::Remove, _) => Ok(remove(state)),
    }
}

/// Rows 8 to 10b.
fn update_swap(state: &RootState) -> Result<Draft, Attention> {
    let (staging, backup) = (&state.installing, &state.backup);
    match (&state.local, backup, staging) {
        (Local::Odd(why), _, _) => Err(Attention::LocalOdd(why.clone())),
        (Local::Dir { .. }, Some(_), Some(_)) => Err(Attention::LocalReappeared),
        (Local::Dir { .. }, None, Some(_)) => Ok(Draft::finished(false)), // row 8
        (Local::Dir { .. }, Some(_), None) => Ok(Draft::finished(true)),  // row 10
        (Local::Dir { .. }, None, None) => Ok(Draft::finished(true)),     // row 10b
        (Local::Absent, Some(_), _) => Ok(Draft::finished(false)),        // row 9
        (Local::Absent, None, _) if state.unowned_named(layout::LOCAL_BACKUP).is_some() => {
            Err(Attention::BackupUnowned)
        }
        (Local::Absent, None, Some(staging)) if staging.marker.sealed => {
            Ok(Draft::forward(vec![Action::InstallStaging(staging.name.clone())])) // row 9b
        }
        (Local::Absent, None, Some(_)) => Err(Attention::StagingUnsealed),
        // all three are gone: somebody deleted them, and nothing can bring them back
        (Local::Absent, None, None) => Ok(Draft::finished(false)),
    }
}

/// Rows 11 and 12. A backup says that `local/` had gone, whoever put a new one there since.
fn uninstall(state: &RootState) -> Draft {
    match &state.backup {
        Some(backup) => Draft::forward(vec![Action::Trash(backup.name.clone())]),
        None => Draft::finished(!state.is_installed()),
    }
}

/// V goes first and durably, so V says whether anything was touched.
fn remove(state: &RootState) -> Draft {
    if state.is_downloaded() {
        return Draft::finished(false);
    }
    Draft::forward(vec![Action::FinishRemove])
}

/// Rows 14 and 15.
fn download_promoting(state: &RootState) -> Draft {
    let Some(found) = &state.download else {
        // D goes only after V is durable, so without V somebody deleted D
        return Draft::finished(state.is_downloaded());
    };
    let Some(promotion) = &found.promotion else { return Draft::finished(false) };
    let sentinel_is_new = state.sentinel.bytes() == Some(&promotion.sentinel[..]);
    if sentinel_is_new && promotion.staged_left == 0 {
        return Draft::forward(vec![Action::Trash(layout::DOWNLOAD.into())]); // row 15
    }
    if promotion.missing.is_empty() && found.marker.sealed {
        return Draft::forward(vec![Action::FinishDownload]); // row 14
    }
    Draft::finished(false)
}

/// Rows 2 and 3, whatever the intent says: S and B that were not decided about go, but a B without
/// L comes back: a game must not stay lost while its backup stands.
fn clear_up_local(state: &RootState, actions: &mut Vec<Action>) {
    if actions.contains(&Action::FinishRemove) {
        return;
    }
    let undecided = |dir: &&OwnedDir| {
        !actions.iter().any(|action| match action {
            Action::Trash(name) | Action::InstallStaging(name) => *name == dir.name,
            _ => false,
        })
    };
    let backup = state.backup.as_ref().filter(undecided).map(|dir| dir.name.clone());
    let staging = state.installing.as_ref().filter(undecided).map(|dir| dir.name.clone());
    if let (Local::Absent, Some(name)) = (&state.local, &backup) {
        actions.push(Action::RestoreBackup(name.clone()));
    }
    actions.extend(staging.map(Action::Trash));
    if let (Local::Dir { .. }, Some(name)) = (&state.local, backup) {
        actions.push(Action::Trash(name));
    }
}

/// The old V comes back if nothing under it was changed, which only D can tell; a D that cannot
/// be resumed goes.
fn clear_up_download(state: &RootState, actions: &mut Vec<Action>) {
    let decided = |action: &Action| {
        matches!(action, Action::FinishDownload | Action::FinishRemove)
            || *action == Action::Trash(layout::DOWNLOAD.into())
    };
    let (Some(found), false) = (&state.download, actions.iter().any(decided)) else { return };
    let trash_is_empty = state.trash.iter().all(|trash| !trash.holds_files);
    let untouched = found.promotion.as_ref().is_some_and(|promotion| promotion.untouched);
    let absent = matches!(state.sentinel, Sentinel::Absent);
    if absent && untouched && trash_is_empty && state.sentinel_discarded.is_some() {
        actions.push(Action::RestoreSentinel);
    }
    if !found.manifest_known {
        actions.push(Action::Trash(layout::DOWNLOAD.into()));
    }
}

/// What holds in every row: kept files, T, temporary files, and I last.
fn clear_up_rest(state: &RootState, actions: &mut Vec<Action>) {
    let moved_in = actions
        .iter()
        .any(|action| matches!(action, Action::RestoreBackup(_) | Action::InstallStaging(_)));
    let pending = matches!(state.local, Local::Dir { kept_pending: true, .. });
    if moved_in || (pending && !actions.contains(&Action::FinishRemove)) {
        actions.push(Action::PublishKept);
    }
    for trash in &state.trash {
        actions.push(Action::RemoveTrash(trash.name.clone()));
    }
    for tmp in &state.tmps {
        let restored =
            tmp == layout::SENTINEL_DISCARDED && actions.contains(&Action::RestoreSentinel);
        if !restored {
            actions.push(Action::RemoveTmp(tmp.clone()));
        }
    }
    if state.intent_valid().is_some() {
        actions.push(Action::DropIntent);
    }
}
