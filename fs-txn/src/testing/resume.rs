//! Downloads that are interrupted and go on.

use super::games::{GAME, context, download, file_content, fill, games, in_root, plan_of, plant};
use super::place::Place;
use crate::inspect::inspect;
use crate::layout;
use crate::ops::DownloadStaging;
use crate::recover::recover;
use crate::vfs::sim::{Crash, Node, SimVfs};

const FILES: &[&str] = &["a", "b/c", "run.sh"];

fn machine() -> SimVfs {
    let machine = SimVfs::new();
    crate::create_game_root(&*games(&machine), GAME).unwrap();
    plant(&machine, "old.rar", "old payload");
    plant(&machine, "version.ini", "1");
    machine
}

/// What a killed run wrote and never flushed is flushed by the run that commits it: it can read
/// those bytes, and still they are not durable.
#[test]
fn bytes_of_a_killed_run_are_made_durable_by_the_next() {
    let machine = machine();
    let plan = plan_of("2", FILES, &[], &["old.rar"]);
    let (staging, resumed) =
        DownloadStaging::open_or_create(&context(&Place::of(&machine)).unwrap(), &plan).unwrap();
    assert!(!resumed.same_manifest);
    fill(&staging, &plan).unwrap();
    let killed = machine.crash(&Crash::Kill);
    drop(staging);

    let context = context(&Place::of(&killed)).unwrap();
    let (staging, resumed) = DownloadStaging::open_or_create(&context, &plan).unwrap();
    assert!(resumed.same_manifest);
    for (number, file) in plan.files.iter().enumerate() {
        let mut bytes = vec![0; file_content(&file.path, "2").len()];
        staging.read_at(number, 0, &mut bytes).unwrap();
        assert_eq!(bytes, file_content(&file.path, "2"), "the next run hashes and believes it");
    }
    staging.commit().unwrap();
    let after = killed.crash(&Crash::PowerNone);
    for file in &plan.files {
        let bytes = after.read_file(&in_root(&file.path));
        assert_eq!(bytes, Some(file_content(&file.path, "2")), "{}", file.path);
    }
}

/// Progress comes back as it was saved, and its chunks are durable before it is.
#[test]
fn saved_progress_is_never_newer_than_its_bytes() {
    let machine = machine();
    let plan = plan_of("2", FILES, &[], &[]);
    let place = Place::of(&machine);
    let (staging, _) = DownloadStaging::open_or_create(&context(&place).unwrap(), &plan).unwrap();
    staging.write_at(1, 0, &file_content("b/c", "2")).unwrap();
    staging.save_progress(b"one chunk").unwrap();
    staging.write_at(0, 0, &file_content("a", "2")).unwrap();
    drop(staging);

    let after = machine.crash(&Crash::PowerNone);
    let context = context(&Place::of(&after)).unwrap();
    let recovery = recover(&context).unwrap();
    assert!(recovery.outcome.is_usable());
    let (staging, resumed) = DownloadStaging::open_or_create(&context, &plan).unwrap();
    assert_eq!(resumed.progress.as_deref(), Some(&b"one chunk"[..]));
    let mut bytes = vec![0; file_content("b/c", "2").len()];
    staging.read_at(1, 0, &mut bytes).unwrap();
    assert_eq!(bytes, file_content("b/c", "2"));
}

/// Proves R6 and row 13: a half download is not visible, and the old version stays downloaded.
#[test]
fn a_parked_download_leaves_the_old_version() {
    let machine = machine();
    let plan = plan_of("2", FILES, &[], &["old.rar"]);
    let context = context(&Place::of(&machine)).unwrap();
    let (staging, _) = DownloadStaging::open_or_create(&context, &plan).unwrap();
    staging.write_at(0, 0, b"half").unwrap();
    staging.park().unwrap();
    let state = inspect(context.root(), GAME).unwrap();
    assert_eq!(state.sentinel.version().as_deref(), Some("1"));
    assert!(state.download.is_some_and(|found| found.manifest_known));
    assert_eq!(machine.read_file(&in_root("old.rar")), Some(b"old payload".to_vec()));
}

/// An incomplete download cannot be committed; nothing is lost by trying.
#[test]
fn an_incomplete_download_is_not_committed() {
    let machine = machine();
    let plan = plan_of("2", FILES, &[], &["old.rar"]);
    let place = Place::of(&machine);
    let (staging, _) = DownloadStaging::open_or_create(&context(&place).unwrap(), &plan).unwrap();
    staging.write_at(0, 0, &file_content("a", "2")).unwrap();
    let error = staging.commit().unwrap_err();
    assert_eq!(error.code(), "incomplete");
    assert!(error.to_string().contains("b/c"), "{error}");
    assert_eq!(machine.read_file(&in_root("version.ini")), Some(b"1".to_vec()));
    let (staging, resumed) =
        DownloadStaging::open_or_create(&context(&place).unwrap(), &plan).unwrap();
    assert!(resumed.same_manifest && staging.has_file(0).unwrap());
}

/// The staging of another manifest is offered as a source and then goes.
#[test]
fn another_manifest_takes_the_place_and_can_read_the_old() {
    let machine = machine();
    let first = plan_of("2", FILES, &[], &[]);
    let place = Place::of(&machine);
    let (staging, _) = DownloadStaging::open_or_create(&context(&place).unwrap(), &first).unwrap();
    fill(&staging, &first).unwrap();
    staging.park().unwrap();
    let second = plan_of("3", &["a", "other"], &[], &[]);
    let (staging, resumed) =
        DownloadStaging::open_or_create(&context(&place).unwrap(), &second).unwrap();
    assert!(!resumed.same_manifest);
    let previous = staging.previous().unwrap();
    assert_eq!(previous.manifest_id, first.manifest_id);
    assert_eq!(previous.manifest_bytes, first.manifest_bytes);
    let mut bytes = vec![0; file_content("b/c", "2").len()];
    previous.read_at(1, 0, &mut bytes).unwrap();
    assert_eq!(bytes, file_content("b/c", "2"));
    fill(&staging, &second).unwrap();
    staging.commit().unwrap();
    assert_eq!(machine.read_file(&in_root("other")), Some(file_content("other", "3")));
    assert!(machine.tree().keys().all(|path| !path.to_string_lossy().contains(".trash-")));
}

/// A file of the root is reused whole, and one that stands already is kept without a copy.
#[test]
fn files_of_the_root_are_reused() {
    let machine = machine();
    let moved = file_content("a", "2");
    machine.plant(&in_root("old/name"), Node::File(moved.clone(), false));
    machine.plant(&in_root("run.sh"), Node::File(file_content("run.sh", "2"), true));
    let plan = plan_of("2", FILES, &[], &["old/name", "run.sh", "old.rar"]);
    let place = Place::of(&machine);
    let (staging, _) = DownloadStaging::open_or_create(&context(&place).unwrap(), &plan).unwrap();
    staging.reuse_from_root(0, "old/name").unwrap();
    staging.write_at(1, 0, &file_content("b/c", "2")).unwrap();
    staging.keep_in_place(2).unwrap();
    assert_eq!(staging.write_at(2, 0, b"x").unwrap_err().code(), "out-of-range");
    let mut start = [0; 2];
    staging.read_at(2, 0, &mut start).unwrap();
    assert_eq!(&start, b"#!");
    staging.commit().unwrap();
    assert_eq!(machine.read_file(&in_root("a")), Some(moved));
    let tree = machine.tree();
    assert_eq!(tree[&in_root("run.sh")], Node::File(file_content("run.sh", "2"), true));
    assert!(!tree.contains_key(&in_root("old")) && !tree.contains_key(&in_root("old.rar")));
}

/// Parts outside of a file or of the plan are refused and change nothing.
#[test]
fn writes_outside_of_the_plan_are_refused() {
    let machine = machine();
    let plan = plan_of("2", FILES, &[], &[]);
    let (staging, _) =
        DownloadStaging::open_or_create(&context(&Place::of(&machine)).unwrap(), &plan).unwrap();
    let size = plan.files[0].size;
    staging.write_at(0, size - 1, b"x").unwrap();
    for (file, offset, bytes) in
        [(0, size, &b"x"[..]), (0, size - 1, b"xy"), (0, u64::MAX, b"xy"), (3, 0, b"x")]
    {
        let error = staging.write_at(file, offset, bytes).unwrap_err();
        assert_eq!(error.code(), "out-of-range", "file {file} at {offset}");
    }
}

/// Proves T70: whatever byte of the staging's records is damaged, the next run starts, and ends
/// with the right files.
#[test]
fn damaged_records_of_a_staging_never_stop_a_download() {
    let machine = machine();
    let plan = plan_of("2", FILES, &[], &["old.rar"]);
    let (staging, _) =
        DownloadStaging::open_or_create(&context(&Place::of(&machine)).unwrap(), &plan).unwrap();
    fill(&staging, &plan).unwrap();
    staging.save_progress(b"all").unwrap();
    staging.park().unwrap();
    for name in [layout::STAGED_MANIFEST, layout::STAGED_PLAN, layout::STAGED_PROGRESS] {
        let path = in_root(layout::DOWNLOAD).join(name);
        let whole = machine.read_file(&path).unwrap();
        for damaged in damages(&whole) {
            let machine = machine.fork();
            machine.plant(&path, Node::File(damaged, false));
            download(&Place::of(&machine), &plan).unwrap();
            assert_eq!(machine.read_file(&in_root("a")), Some(file_content("a", "2")));
        }
        let machine = machine.fork();
        machine.plant(&path, Node::Link);
        download(&Place::of(&machine), &plan).unwrap();
    }
}

/// Cut at many lengths, and single bytes changed.
fn damages(whole: &[u8]) -> Vec<Vec<u8>> {
    let step = (whole.len() / 40).max(1);
    let cut = (0..whole.len()).step_by(step).map(|len| whole[..len].to_vec());
    let flipped = (0..whole.len()).step_by(step).map(|at| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 0x20;
        bytes
    });
    cut.chain(flipped).collect()
}
