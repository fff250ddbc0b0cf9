//! Negative controls: without these flushes the crash tests must turn red. A suite that stays
//! green without them would prove nothing.

use std::path::Path;

use super::explore::{Thorough, explore};
use super::games::in_root;
use super::scenarios;
use crate::layout;
use crate::vfs::FsOp;
use crate::vfs::sim::Call;

/// Without the flushes that `lies` names, some crash of `scenario` must be recovered wrongly.
fn noticed(scenario: &str, lies: fn(&Call) -> bool) {
    let scenario = scenarios::all().into_iter().find(|found| found.name == scenario).unwrap();
    let thorough = Thorough { singles_max: usize::MAX, recovery_every: 0, lies: Some(lies) };
    let result = explore(&scenario, thorough);
    assert!(result.is_err(), "{}: nobody notices that it is not flushed", scenario.name);
}

fn is_file_below(call: &Call, dir: &str) -> bool {
    call.op == FsOp::SyncFile && call.path.starts_with(in_root(dir))
}

fn is_dir(call: &Call, dir: &str) -> bool {
    // a handle's own directory is shown with a separator at the end
    call.op == FsOp::SyncDir && call.path.components().eq(in_root(dir).components())
}

fn is_named(call: &Call, name: &str) -> bool {
    call.op == FsOp::SyncFile && call.path.file_name() == Some(name.as_ref())
}

fn is_in_root(call: &Call) -> bool {
    is_dir(call, "")
}

fn is_in_trash(call: &Call) -> bool {
    let inner = call.path.strip_prefix(in_root("")).unwrap_or(Path::new(""));
    call.op == FsOp::SyncDir && inner.components().count() == 1 && {
        inner.iter().next().is_some_and(layout::is_trash_name)
    }
}

macro_rules! controls {
    ($($test:ident: $scenario:literal, $lies:expr;)*) => {
        $(
            #[test]
            fn $test() {
                noticed($scenario, $lies);
            }
        )*
    };
}

controls! {
    staged_files: "download", |call| is_file_below(call, ".download/s00");
    staged_names: "download", |call| is_dir(call, ".download/s00");
    plan_of_a_download: "download", |call| is_named(call, "plan.tmp") || is_named(call, "plan");
    seal_of_a_download: "download of a new version", |call| {
        is_named(call, layout::MARKER) || is_named(call, layout::MARKER_TMP)
    };
    intent_of_a_download: "download of a new version", |call| is_named(call, layout::INTENT_TMP);
    sentinel: "download", |call| is_named(call, layout::SENTINEL_TMP);
    new_directories_of_a_download: "download", |call| {
        is_dir(call, "bin") || is_dir(call, "saves")
    };
    kept_files_of_a_download: "download of a new version", |call| {
        is_dir(call, ".lanspread.kept/1")
    };
    root_of_a_download: "download of a new version", is_in_root;
    unpacked_files: "install", |call| is_file_below(call, ".local.installing/game.exe");
    unpacked_names: "install", |call| is_dir(call, ".local.installing/maps");
    root_of_an_install: "install", is_in_root;
    carried_names: "update", |call| is_dir(call, ".local.installing/saves");
    root_of_an_update: "update", is_in_root;
    published_files: "update", |call| {
        is_dir(call, ".lanspread.kept") || is_dir(call, "local/.lanspread_kept")
    };
    root_of_an_uninstall: "uninstall", is_in_root;
    root_of_a_removal: "remove", is_in_root;
    trash_before_its_marker: "uninstall", is_in_trash;
    trash_of_a_removal: "remove", is_in_trash;
    marker_before_its_content: "download", is_in_trash;
}
