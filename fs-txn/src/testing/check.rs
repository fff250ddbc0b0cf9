//! The one checker of the invariants I1 to I6 on a machine after a recovery.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::games::{GAME, context, in_root};
use super::place::Place;
use super::scenarios::foreign;
use crate::inspect::{RootState, inspect};
use crate::intent::IntentState;
use crate::layout;
use crate::recover::{Outcome, recover};
use crate::vfs::sim::{Node, SimVfs};

/// What a user sees: everything on the machine but our own records.
pub(super) type View = BTreeMap<PathBuf, Node>;

pub(super) fn view(machine: &SimVfs) -> View {
    let mut view = machine.tree();
    view.retain(|path, _| !is_record(path));
    view
}

fn is_record(path: &Path) -> bool {
    let Ok(inner) = path.strip_prefix(in_root("")) else { return false };
    if let Ok(local) = inner.strip_prefix(layout::LOCAL) {
        return local == Path::new(layout::MARKER)
            || local == Path::new(layout::MARKER_TMP)
            || local == Path::new(layout::INSTALLED_LIST);
    }
    let Some(first) = inner.iter().next() else { return false };
    let exact = [
        layout::INTENT,
        layout::INTENT_TMP,
        layout::SENTINEL_TMP,
        layout::SENTINEL_DISCARDED,
        layout::DOWNLOAD,
        layout::LOCAL_BACKUP,
        layout::LOCAL_INSTALLING,
    ];
    exact.iter().any(|name| first == *name) || layout::is_own_trash_name(GAME, first)
}

/// Recovers and checks what must hold after every recovery. An error says what does not.
pub(super) fn recover_and_check(machine: &SimVfs, removes_all: bool) -> Result<View, String> {
    let context =
        context(&Place::of(machine)).map_err(|error| format!("cannot open the root: {error}"))?;
    let recovery = recover(&context).map_err(|error| format!("cannot recover: {error}"))?;
    if let Outcome::NeedsAttention(failure) = &recovery.outcome {
        return Err(format!("needs attention: {failure}; found {:#?}", recovery.found));
    }
    check_settled(machine, removes_all)
}

/// I2, I4, I5 and I6 on a recovered machine.
pub(super) fn check_settled(machine: &SimVfs, removes_all: bool) -> Result<View, String> {
    let context =
        context(&Place::of(machine)).map_err(|error| format!("cannot open the root: {error}"))?;
    let state = inspect(context.root(), GAME).map_err(|error| format!("inspect: {error}"))?;
    invariant_nothing_left(&state)?;
    invariant_no_name_of_ours(machine, state.download.is_some())?;
    let before = machine.tree();
    let again = recover(&context).map_err(|error| format!("cannot recover again: {error}"))?;
    if !again.actions.is_empty() || machine.tree() != before {
        return Err(format!("I5: the second recovery did {:?}", again.actions));
    }
    let view = view(machine);
    invariant_foreign_untouched(&view, removes_all)?;
    Ok(view)
}

/// I6: no intent, staging, backup, trash or temporary file is left; D may be, for resume.
fn invariant_nothing_left(state: &RootState) -> Result<(), String> {
    let clean = state.intent == IntentState::Absent
        && state.installing.is_none()
        && state.backup.is_none()
        && state.trash.is_empty()
        && state.tmps.is_empty();
    let resumable = state.download.as_ref().is_none_or(|found| found.manifest_known);
    if clean && resumable {
        return Ok(());
    }
    Err(format!("I6: left behind: {state:#?}"))
}

/// I6 by name: also nothing that has lost its marker on the way.
fn invariant_no_name_of_ours(machine: &SimVfs, resumable: bool) -> Result<(), String> {
    let tree = machine.tree();
    let mut ours = tree.keys().filter(|path| path.parent() == Some(&in_root("")));
    let download = in_root(layout::DOWNLOAD);
    match ours.find(|path| is_record(path) && !(resumable && **path == download)) {
        Some(path) => Err(format!("I6: left behind: {}", path.display())),
        None => Ok(()),
    }
}

/// I4: what is not ours is as it was.
fn invariant_foreign_untouched(view: &View, removes_all: bool) -> Result<(), String> {
    for (path, node) in foreign() {
        let in_root = Path::new(path).starts_with(in_root(""));
        match view.get(Path::new(path)) {
            Some(found) if *found == node => {}
            None if removes_all && in_root => {}
            found => return Err(format!("I4: {path:?} is {found:?}")),
        }
    }
    Ok(())
}

/// Where two views differ, for messages.
pub(super) fn difference(found: &View, wanted: &View) -> String {
    let mut lines = Vec::new();
    for (path, node) in found {
        if wanted.get(path) != Some(node) {
            lines.push(format!("+ {} {}", path.display(), short(node)));
        }
    }
    for (path, node) in wanted {
        if found.get(path) != Some(node) {
            lines.push(format!("- {} {}", path.display(), short(node)));
        }
    }
    lines.join("\n")
}

fn short(node: &Node) -> String {
    match node {
        Node::File(bytes, executable) => {
            let start = String::from_utf8_lossy(&bytes[..bytes.len().min(24)]).into_owned();
            format!("{} bytes {start:?} executable {executable}", bytes.len())
        }
        other => format!("{other:?}"),
    }
}
