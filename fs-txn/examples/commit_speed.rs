//! How long a download of many small files takes to stage and to commit, on the disk of a folder:
//! `cargo run --release -p lanspread-fs-txn --example commit_speed -- FOLDER [FILES] [BYTES]`

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use lanspread_fs_txn::{
    DownloadPlan, DownloadStaging, LeaseGuard, OpId, PlannedFile, RealVfs, TxnContext, Vfs,
    create_game_root, remove,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let folder = words.next().ok_or("usage: commit_speed FOLDER [FILES] [BYTES]")?;
    let files: usize = words.next().map_or(Ok(20_000), |word| word.parse())?;
    let bytes: usize = words.next().map_or(Ok(16 * 1024), |word| word.parse())?;
    let games = RealVfs.create_root(Path::new(&folder))?;
    let root = create_game_root(&*games, "speed")?;
    let context = || {
        let lease = LeaseGuard::standalone("speed");
        TxnContext::new(Arc::clone(&root), OpId::fresh(), lease)
    };
    for (name, old) in [("first", vec![]), ("update", plan(files, bytes, vec![]).0)] {
        let plan = plan(files, bytes, old).1;
        let started = SystemTime::now();
        let watched = context().observed(move |progress| {
            if progress.total == 0 {
                let at = started.elapsed().unwrap_or_default();
                println!("  {:>7.3} s {}", at.as_secs_f64(), progress.step);
            }
        });
        let (staging, _) = DownloadStaging::open_or_create(&watched, &plan)?;
        stage(&staging, files, bytes)?;
        println!("{name}: staged after {:.3} s", started.elapsed()?.as_secs_f64());
        let commit = SystemTime::now();
        staging.commit()?;
        println!("{name}: committed in {:.3} s", commit.elapsed()?.as_secs_f64());
    }
    let started = SystemTime::now();
    remove(&context(), &*games)?;
    println!("removed in {:.3} s", started.elapsed()?.as_secs_f64());
    Ok(())
}

/// Writes from four threads, as a transfer does.
fn stage(staging: &DownloadStaging, files: usize, bytes: usize) -> Result<(), Failure> {
    std::thread::scope(|scope| {
        let worker = |first: usize| {
            move || -> Result<(), Failure> {
                let content = vec![b'x'; bytes];
                for file in (first..files).step_by(4) {
                    staging.write_at(file, 0, &content)?;
                }
                Ok(())
            }
        };
        let workers: Vec<_> = (0..4).map(|first| scope.spawn(worker(first))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a writer died")?)
    })
}

fn plan(files: usize, bytes: usize, old_files: Vec<String>) -> (Vec<String>, DownloadPlan) {
    let paths: Vec<String> =
        (0..files).map(|file| format!("dir{:02}/{file:05}.dat", file % 50)).collect();
    let file = |path: &String| PlannedFile { path: path.clone(), size: bytes as u64, keep: false };
    let plan = DownloadPlan {
        manifest_id: blake3::hash(b"manifest").to_hex().to_string(),
        manifest_bytes: b"manifest".to_vec(),
        files: paths.iter().map(file).collect(),
        empty_dirs: Vec::new(),
        sentinel: b"20250101".to_vec(),
        old_files,
    };
    (paths, plan)
}
