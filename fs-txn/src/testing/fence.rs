//! A worker whose lease is taken away changes nothing more.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::check::recover_and_check;
use super::explore::{ends, is_same};
use super::games::{GAME, fill, games, plan_of};
use super::place::Place;
use super::scenarios;
use crate::ops::{DownloadStaging, TxnContext, TxnFailure};
use crate::vfs::sim::{Crash, SimVfs};
use crate::vfs::{CopyRange, Dir, FencedDir, FsError};
use crate::{LeaseGuard, LeaseTable, OpId, Step, create_game_root};

/// Every changing call of a handle under a fenced lease is refused and does nothing; reading goes
/// on.
#[test]
fn a_fenced_handle_changes_nothing() {
    let machine = SimVfs::new();
    let plain = games(&machine);
    plain.create_dir(Path::new("dir")).unwrap();
    let file = plain.create_new(Path::new("file")).unwrap();
    file.write_at(0, b"content").unwrap();
    let lease = LeaseGuard::standalone(GAME);
    let fenced = FencedDir::new(Arc::clone(&plain), lease.clone());
    let open = fenced.open_write(Path::new("file")).unwrap();
    let below = fenced.open_dir(Path::new("dir")).unwrap();
    lease.fence();
    let before = machine.tree();
    let copy = CopyRange {
        from: Path::new("file"),
        from_offset: 0,
        to: Path::new("file"),
        to_offset: 1,
        len: 1,
    };
    let (dir, name, new) = (Path::new("dir"), Path::new("file"), Path::new("new"));
    let refused: Vec<Result<(), FsError>> = vec![
        fenced.create_dir(new),
        below.create_dir(new),
        fenced.create_new(new).map(drop),
        fenced.open_write(name).map(drop),
        fenced.rename_file(name, new),
        fenced.rename_new(name, new),
        fenced.hard_link(&*plain, name, new),
        fenced.copy_range(&*plain, &copy).map(drop),
        fenced.remove_file(name),
        fenced.remove_dir(dir),
        fenced.set_executable(name, true),
        fenced.make_dir_writable(dir),
        fenced.sync_dir(dir),
        fenced.sync_batch(&[name.into()], &[]),
        fenced.try_lock(new).map(drop),
        open.write_at(0, b"x"),
        open.set_len(0),
        open.reserve(9),
        open.set_executable(true),
        open.sync(),
    ];
    for (number, result) in refused.into_iter().enumerate() {
        assert_eq!(result.unwrap_err().code(), "fenced", "call {number}");
    }
    assert_eq!(machine.tree(), before);
    assert!(fenced.metadata(name).is_ok() && fenced.read_dir(Path::new("")).is_ok());
}

/// Fenced at any step, a download changes nothing more, and its successor's recovery ends in the
/// old or the new state.
#[test]
fn a_download_fenced_at_any_step_stops_there() {
    let scenario =
        scenarios::all().into_iter().find(|scenario| scenario.name == "download").unwrap();
    let ends = ends(&scenario);
    let plan = plan_of(
        "2",
        &["game.rar", "data/new.pak", "bin/run.sh", "tofile", "mine.cfg", "empty.cfg"],
        &[],
        &[],
    );
    let mut reached = Vec::new();
    for step in Step::ALL {
        let machine = ends.start.fork();
        let lease = LeaseGuard::standalone(GAME);
        let at_fence = Arc::new(Mutex::new(None));
        let games = Place::of(&machine).open("/games").unwrap();
        let root = create_game_root(&*games, GAME).unwrap();
        let context = TxnContext::new(root, OpId::fresh(), lease.clone());
        let (watch, note) = (machine.clone(), Arc::clone(&at_fence));
        let context = context.observed(move |progress| {
            if progress.step == step && !lease.is_fenced() {
                lease.fence();
                *note.lock().unwrap() = Some(watch.tree());
            }
        });
        let result = DownloadStaging::open_or_create(&context, &plan).and_then(|(staging, _)| {
            fill(&staging, &plan)?;
            staging.save_progress(b"1")?;
            staging.commit()
        });
        let Some(tree) = at_fence.lock().unwrap().take() else { continue };
        reached.push(step);
        match result {
            Err(error) => {
                assert!(matches!(error.source, TxnFailure::Fenced(_)), "{step}: {error}");
                assert!(error.after.is_none(), "{step}: a fenced worker must not recover");
            }
            // committed before: what is left over is the successor's
            Ok(done) => assert!(step >= Step::CleanUp && !done.leftovers.is_empty(), "{step}"),
        }
        assert_eq!(machine.tree(), tree, "{step}: something was changed after the fence");
        let found = recover_and_check(&machine.crash(&Crash::PowerNone), false).unwrap();
        assert!(
            is_same(&scenario, &found, &ends.old) || is_same(&scenario, &found, &ends.new),
            "{step}"
        );
    }
    assert!(reached.len() >= 10, "only {reached:?} were reached");
}

/// A ghost held inside a step is fenced from another thread; the successor gets its lease when
/// the ghost has left the file system, and the ghost's work ends without a change.
#[test]
fn a_successor_takes_over_from_a_ghost() {
    let machine = SimVfs::new();
    let games = games(&machine);
    let root = create_game_root(&*games, GAME).unwrap();
    let mut table = LeaseTable::new();
    let (reached, wait_reached) = sync_channel(1);
    let (resume, wait_resume) = sync_channel::<()>(1);
    let wait_resume = Mutex::new(wait_resume);
    let ghost = table.acquire(GAME).unwrap();
    let context = TxnContext::new(Arc::clone(&root), OpId::fresh(), ghost).observed(move |at| {
        if at.step == Step::Seal {
            reached.send(()).unwrap();
            wait_resume.lock().unwrap().recv().unwrap();
        }
    });
    let plan = plan_of("2", &["a"], &[], &[]);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let (staging, _) = DownloadStaging::open_or_create(&context, &plan)?;
            fill(&staging, &plan)?;
            staging.commit()
        });
        wait_reached.recv().unwrap();
        let fenced = table.fence(GAME).unwrap();
        assert!(fenced.wait_quiet(Duration::from_secs(60)));
        let successor = table.acquire(GAME).unwrap();
        let next = TxnContext::new(Arc::clone(&root), OpId::fresh(), successor);
        crate::recover(&next).unwrap();
        let before = machine.tree();
        resume.send(()).unwrap();
        let error = worker.join().unwrap().unwrap_err();
        assert_eq!(error.code(), "fenced");
        assert_eq!(machine.tree(), before);
    });
}
