//! Unpacking with a real child process: every format, and children that hang, die, lie, flood or
//! are killed. The program is the example `unpack_child`, which cargo builds beside this test.

#![allow(clippy::unwrap_used, reason = "a step that fails is the end of its test")]
#![allow(clippy::disallowed_methods, reason = "real processes take real time")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
#[cfg(target_os = "linux")]
use std::{io::Read, process::Stdio};

use lanspread_actors::unpack::{
    ArchiveSet, LocatedArchive, SinkError, TreeSink, UnpackError, UnpackLimits, UnpackRequest,
    UnpackSummary, find_archives, unpack,
};

#[allow(dead_code, reason = "shared with the tests inside the crate")]
#[path = "../src/unpack/fixtures.rs"]
mod fixtures;
#[allow(dead_code, reason = "shared with the tests inside the crate")]
#[path = "../src/unpack/memory_sink.rs"]
mod memory_sink;

use fixtures::{Item, file, game, gz, noise, rar, rar_volumes, sevenz, tar, xz, zip, zst};
use memory_sink::{MemorySink, Node};

/// Longer than anything takes that is not stuck.
const LONG: Duration = Duration::from_secs(60);

fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let program = folder
        .join("examples")
        .join("unpack_child")
        .with_extension(std::env::consts::EXE_EXTENSION);
    assert!(program.is_file(), "{} is missing: run all targets", program.display());
    program
}

struct Run {
    root: tempfile::TempDir,
    request: UnpackRequest,
    cancel: Arc<AtomicBool>,
    sink: MemorySink,
    progress: Vec<(String, u64, Option<u64>)>,
}

impl Run {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(root.path().join(name), bytes).unwrap();
        }
        let sets = find_archives(files.iter().map(|(name, _)| *name)).unwrap();
        let archives: Vec<LocatedArchive> =
            sets.iter().map(|set| set.located(root.path())).collect();
        Run {
            root,
            request: UnpackRequest { program: program(), archives, limits: limits() },
            cancel: Arc::default(),
            sink: MemorySink::default(),
            progress: Vec::new(),
        }
    }

    fn misbehaving(order: &str) -> Self {
        Run::new(&[(&format!("misbehave-{order}.zip"), b"PK\x03\x04")])
    }

    fn unpack(&mut self) -> Result<UnpackSummary, UnpackError> {
        let progress = &mut self.progress;
        let mut told = |p: lanspread_actors::unpack::UnpackProgress<'_>| {
            progress.push((p.entry.as_str().to_owned(), p.bytes_done, p.bytes_total));
        };
        unpack(&self.request, &mut self.sink, &mut told, &self.cancel)
    }

    fn refused(&mut self) -> (&'static str, String) {
        let began = Instant::now();
        let error = self.unpack().expect_err("it must fail");
        assert!(began.elapsed() < LONG, "{error}: took {:?}", began.elapsed());
        (error.reason(), error.to_string())
    }
}

fn limits() -> UnpackLimits {
    UnpackLimits { stall: LONG, ..UnpackLimits::default() }
}

fn bytes_of(items: &[Item]) -> u64 {
    items.iter().flat_map(|item| &item.bytes).map(|bytes| bytes.len() as u64).sum()
}

fn assert_is_game(sink: &MemorySink) {
    for item in game() {
        let node = match item.bytes {
            None => Node::Dir,
            Some(bytes) => Node::File(bytes, item.mode & 0o111 != 0),
        };
        assert!(sink.tree.get(&item.name) == Some(&node), "{} is wrong", item.name);
    }
    assert_eq!(sink.tree.len(), game().len() + 1, "{:?}", sink.tree.keys());
}

#[test]
fn every_format_comes_out_of_a_real_child() {
    let archives: [(&str, Vec<u8>); 7] = [
        ("g.zip", zip(&game())),
        ("g.7z", sevenz(&game())),
        ("g.tar", tar(&game())),
        ("g.tar.gz", gz(&tar(&game()))),
        ("g.tar.xz", xz(&tar(&game()))),
        ("g.tar.zst", zst(&tar(&game()))),
        ("g.eti", rar(&game())),
    ];
    for (name, archive) in &archives {
        let mut run = Run::new(&[(name, archive)]);
        let summary = run.unpack().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_is_game(&run.sink);
        assert_eq!((summary.files, summary.dirs, summary.bytes), (5, 3, bytes_of(&game())));
        let last = run.progress.last().unwrap();
        assert_eq!(last.1, bytes_of(&game()), "{name}");
        assert!(last.2.is_none_or(|total| total == bytes_of(&game())), "{name}");
        assert!(run.progress.is_sorted_by_key(|(_, bytes, _)| *bytes));
    }
}

#[test]
fn volumes_and_several_archives_make_one_tree() {
    let volumes = rar_volumes(&game(), 20_000);
    let names: Vec<String> = (1..=volumes.len()).map(|n| format!("g.part{n}.rar")).collect();
    let extra = zip(&[file("data/extra.pk3", &noise(1000, 5))]);
    let mut files: Vec<(&str, &[u8])> =
        names.iter().map(String::as_str).zip(volumes.iter().map(Vec::as_slice)).collect();
    files.push(("h.zip", &extra));
    let mut run = Run::new(&files);
    let summary = run.unpack().unwrap();
    assert_eq!((summary.files, summary.dirs), (6, 3));
    run.sink.tree.remove("data/extra.pk3").unwrap();
    assert_is_game(&run.sink);
}

/// Proves T64 through the process: the missing volume is named.
#[test]
fn a_volume_that_is_not_there_is_named() {
    let volumes = rar_volumes(&game(), 20_000);
    let mut run = Run::new(&[("g.part1.rar", &volumes[0]), ("g.part2.rar", &volumes[1])]);
    let (reason, message) = run.refused();
    assert_eq!(reason, "archive-part-missing");
    assert!(message.contains("g.part3.rar"), "{message}");
    run.request.archives[0].volumes.push(run.root.path().join("g.part3.rar"));
    assert_eq!(run.refused().0, "archive-unreadable");
}

#[test]
fn something_else_than_a_file_is_not_opened() {
    for make in [
        |path: &Path| fs::create_dir(path).unwrap(),
        #[cfg(unix)]
        |path: &Path| std::os::unix::fs::symlink("/etc/passwd", path).unwrap(),
    ] {
        let mut run = Run::new(&[("g.zip", b"")]);
        let path = run.root.path().join("g.zip");
        fs::remove_file(&path).unwrap();
        make(&path);
        assert_eq!(run.refused().0, "archive-unreadable");
    }
    let mut run = Run::new(&[("g.zip", b"no archive")]);
    assert_eq!(run.refused().0, "archive-unknown");
}

/// Proves T65 for a child that dies: by a signal, by an exit, in the middle of a frame.
#[test]
fn a_child_that_dies_is_told_about() {
    for (order, reason, word) in [
        ("abort", "child-died", if cfg!(unix) { "signal 6" } else { "exit code" }),
        ("exit", "child-died", "exit code 3"),
        ("silence", "child-died", "exit code 0"),
        ("cut", "child-protocol", "cut off"),
        ("garbage", "child-protocol", "unknown frame"),
        ("more-when-done", "child-protocol", "wrong order"),
    ] {
        let mut run = Run::misbehaving(order);
        let (told, message) = run.refused();
        assert_eq!(told, reason, "{order}: {message}");
        assert!(message.contains(word), "{order}: {message}");
    }
}

/// Proves T65 for a child that is stuck: it is given up, killed and waited for.
#[test]
fn a_child_that_is_stuck_is_given_up() {
    for order in ["hang", "hang-in-file", "hang-in-frame", "hang-when-done"] {
        let mut run = Run::misbehaving(order);
        run.request.limits.stall = Duration::from_millis(300);
        assert_eq!(run.refused().0, "child-stalled", "{order}");
    }
    for order in ["hang", "drip"] {
        let mut run = Run::misbehaving(order);
        run.request.limits.wall = Some(Duration::from_millis(400));
        assert_eq!(run.refused().0, "child-too-slow", "{order}");
    }
}

/// The child blocks on a full pipe while the parent has already given up.
#[test]
fn a_flood_is_stopped_at_the_limit() {
    let mut run = Run::misbehaving("flood");
    run.request.limits.bytes_max = 20_000_000;
    assert_eq!(run.refused().0, "too-large");
    assert!(run.sink.open.unwrap().1.len() <= 20_000_000);
}

/// Proves T65 for memory: the child has its own bound and this process does not notice.
#[cfg(target_os = "linux")]
#[test]
fn a_child_that_wants_all_memory_dies_alone() {
    let (reason, message) = Run::misbehaving("memory").refused();
    assert_eq!(reason, "child-died", "{message}");
    assert!(message.contains("signal 6"), "{message}");
}

#[test]
fn cancelling_stops_a_silent_child_and_a_busy_one() {
    for order in ["hang", "hang-in-file", "drip"] {
        let mut run = Run::misbehaving(order);
        let cancel = Arc::clone(&run.cancel);
        let canceller = thread::spawn(move || {
            thread::park_timeout(Duration::from_millis(200));
            cancel.store(true, Ordering::Relaxed);
        });
        let error = run.unpack().unwrap_err();
        canceller.join().unwrap();
        assert!(matches!(error, UnpackError::Cancelled), "{order}: {error}");
        assert_eq!(error.code(), "cancelled");
    }
}

/// Cancelled from its own progress, at each file: it never ends as a success.
#[test]
fn cancelling_at_any_file_ends_as_cancelled() {
    let archive = zip(&game());
    for at in 1..=5 {
        let mut run = Run::new(&[("g.zip", &archive)]);
        let mut files = Vec::new();
        let cancel = Arc::clone(&run.cancel);
        let mut told = |progress: lanspread_actors::unpack::UnpackProgress<'_>| {
            if files.last() != Some(progress.entry) {
                files.push(progress.entry.clone());
            }
            cancel.store(files.len() >= at, Ordering::Relaxed);
        };
        let error = unpack(&run.request, &mut run.sink, &mut told, &run.cancel).unwrap_err();
        assert!(matches!(error, UnpackError::Cancelled), "{at}: {error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_child_and_no_thread_is_left_behind() {
    let threads = || {
        fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .filter(|name| name == "unpack-reader\n")
            .count()
    };
    let children = |program: &Path| {
        fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.ok()?.path().join("exe")).ok())
            .filter(|exe| exe == program)
            .count()
    };
    // A copy of its own, so that the other tests' children are not counted.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("unpack_child_copy");
    fs::copy(program(), &copy).unwrap();
    for order in ["hang", "hang-in-file", "flood", "abort", "garbage"] {
        let mut run = Run::misbehaving(order);
        run.request.program = copy.clone();
        run.request.limits = UnpackLimits {
            stall: Duration::from_millis(200),
            bytes_max: 5_000_000,
            ..UnpackLimits::default()
        };
        run.unpack().unwrap_err();
        assert_eq!(children(&copy), 0, "{order}");
    }
    // The readers of this test's own children; other tests run beside it.
    assert_eq!(threads(), 0);
}

/// Proves T58 for the sink: its code is passed on, whichever call fails.
#[test]
fn an_error_of_the_sink_ends_it_with_the_sinks_code() {
    let archive = zip(&game());
    let mut run = Run::new(&[("g.zip", &archive)]);
    run.unpack().unwrap();
    for call in 1..=run.sink.calls {
        let mut failing = Run::new(&[("g.zip", &archive)]);
        failing.sink.fail_at = Some(call);
        let error = failing.unpack().unwrap_err();
        assert_eq!((error.code(), error.reason()), ("disk-full", "sink"), "call {call}");
        assert_eq!(failing.sink.calls, call);
    }
}

#[test]
fn a_program_that_cannot_be_started_is_named() {
    let mut run = Run::new(&[("g.zip", &zip(&game()))]);
    run.request.program = run.root.path().join("nothing-here");
    let (reason, message) = run.refused();
    assert_eq!(reason, "child-start");
    assert!(message.contains("nothing-here"), "{message}");
}

/// Proves T65 for what a taken-over decoder could do: nothing but talk.
#[cfg(unix)]
#[test]
fn the_confined_child_can_open_change_and_reach_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("victim"), b"precious").unwrap();
    let output = Command::new(program()).arg("probe").arg(folder.path()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told} {}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("before=true") && told.contains("limits=true"), "{told}");
    if cfg!(target_os = "linux") {
        let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
        assert!(!modules.contains("landlock") || told.contains("sandbox=true"), "{told}");
        // The limits and the filter of system calls are enough by themselves.
        assert!(told.contains("calls=true") && told.ends_with("could=\n"), "{told}");
    } else {
        assert!(!told.contains("open") && !told.contains("create a file"), "{told}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Proves T65 for the numbers, as the kernel sees them from outside.
#[cfg(target_os = "linux")]
#[test]
fn the_kernel_holds_the_child_to_its_limits() {
    let mut child = Command::new(program())
        .args(["__unpack", "zip", "misbehave-confined.zip"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0];
    child.stdout.take().unwrap().read_exact(&mut ready).unwrap();
    let told = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap();
    let (limits, status) = (told("limits"), told("status"));
    child.kill().unwrap();
    child.wait().unwrap();
    for (name, value) in [
        ("Max address space", "1073741824"),
        ("Max cpu time", "600"),
        ("Max open files", "0"),
        ("Max file size", "0"),
        ("Max core file size", "0"),
    ] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let values: Vec<&str> = line[name.len()..].split_whitespace().take(2).collect();
        assert_eq!(values, [value, value], "{name}");
    }
    let has = |wanted: &str| status.lines().any(|line| line.replace('\t', " ") == wanted);
    assert!(has("Seccomp: 2") && has("NoNewPrivs: 1"), "{status}");
}

#[test]
fn the_name_of_a_set_is_its_first_volume() {
    let set = ArchiveSet::single("g.zip");
    assert_eq!(set.located(Path::new("/x")).volumes, [Path::new("/x/g.zip")]);
    assert_eq!(set.name(), "g.zip");
}
