//! The watcher of the operating system. Owns which of its events mean a change; decides nothing
//! else.

use std::path::Path;

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, DataChange, ModifyKind},
};

use super::{WatchBackend, WatchError, WatchSink, Watcher};

/// Watches by the means of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemWatch;

struct SystemWatcher(RecommendedWatcher);

impl WatchBackend for SystemWatch {
    fn start(&self, sink: WatchSink) -> Result<Box<dyn Watcher>, WatchError> {
        let watcher = notify::recommended_watcher(move |event| report(&sink, event));
        Ok(Box::new(SystemWatcher(watcher.map_err(explain)?)))
    }
}

impl Watcher for SystemWatcher {
    fn watch(&mut self, folder: &Path) -> Result<(), WatchError> {
        self.0.watch(folder, RecursiveMode::NonRecursive).map_err(explain)
    }

    fn unwatch(&mut self, folder: &Path) {
        // A folder that is gone has lost its watch already.
        if let Err(error) = self.0.unwatch(folder) {
            tracing::trace!(folder = %folder.display(), %error, "not unwatched");
        }
    }
}

fn report(sink: &WatchSink, event: notify::Result<Event>) {
    match event {
        Ok(event) if event.need_rescan() => sink.lost(),
        Ok(event) if is_change(event.kind) => {
            for path in &event.paths {
                sink.changed(path);
            }
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(%error, "the watcher lost events");
            sink.lost();
        }
    }
}

/// Reading is no change: the program itself reads what it watches. Where the system tells that a
/// written file was closed, the single writes before do not count.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Modify(ModifyKind::Data(DataChange::Any)) => !cfg!(target_os = "linux"),
        _ => true,
    }
}

fn explain(error: notify::Error) -> WatchError {
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => WatchError::Limit,
        notify::ErrorKind::Io(ref source) if is_limit(source) => WatchError::Limit,
        _ => WatchError::Other(error.to_string()),
    }
}

#[cfg(unix)]
fn is_limit(error: &std::io::Error) -> bool {
    let limits = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOSPC];
    error.raw_os_error().is_some_and(|code| limits.iter().any(|limit| limit.raw_os_error() == code))
}

#[cfg(not(unix))]
fn is_limit(_: &std::io::Error) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::mpsc, time::Duration};

    use super::*;
    use crate::library::watch::Marks;

    struct Watched {
        dir: tempfile::TempDir,
        sink: WatchSink,
        woken: mpsc::Receiver<()>,
        _watcher: Box<dyn Watcher>,
    }

    fn watched() -> Watched {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("quake")).unwrap();
        fs::create_dir(dir.path().join("quake/deep")).unwrap();
        let (wake, woken) = mpsc::channel();
        let sink = WatchSink::new(crate::library::folder::names_of(dir.path()), move || {
            wake.send(()).unwrap()
        });
        let mut watcher = SystemWatch.start(sink.clone()).unwrap();
        watcher.watch(dir.path()).unwrap();
        watcher.watch(&dir.path().join("quake")).unwrap();
        Watched { dir, sink, woken, _watcher: watcher }
    }

    impl Watched {
        /// What is reported until something is, and a little after it.
        fn marks(&self) -> Option<Marks> {
            self.woken.recv_timeout(Duration::from_secs(5)).ok()?;
            Some(self.sink.take())
        }

        fn expect(&self, what: &str, name: &str) {
            let game = lanspread_wire::GameId::parse(name).unwrap();
            while let Some(marks) = self.marks() {
                if marks.roots.contains(&game) {
                    return;
                }
            }
            panic!("{what}: no word of {name}");
        }
    }

    /// Proves L2: what happens in the folder and in a root is seen.
    #[test]
    fn changes_in_the_folder_and_in_a_root_are_seen() {
        let watched = watched();
        let root = watched.dir.path().join("quake");
        fs::write(root.join("version.ini"), "1").unwrap();
        watched.expect("a new file", "quake");
        fs::rename(root.join("version.ini"), root.join("other")).unwrap();
        watched.expect("a rename", "quake");
        fs::remove_file(root.join("other")).unwrap();
        watched.expect("a removal", "quake");
        fs::create_dir(watched.dir.path().join("doom")).unwrap();
        watched.expect("a new root", "doom");
        fs::remove_dir(watched.dir.path().join("doom")).unwrap();
        watched.expect("a root that went", "doom");
    }

    /// The hasher and the scanner read what is watched: that must not lead to another scan.
    #[test]
    fn reading_is_no_change() {
        let watched = watched();
        let root = watched.dir.path().join("quake");
        fs::write(root.join("a"), "1").unwrap();
        watched.expect("a new file", "quake");
        // Whatever else the writing caused has arrived when a later event has.
        fs::create_dir(watched.dir.path().join("fence")).unwrap();
        watched.expect("the fence", "fence");
        assert_eq!(watched.sink.take(), Marks::default());
        for _ in 0..10 {
            assert_eq!(fs::read(root.join("a")).unwrap(), b"1");
            assert_eq!(fs::read_dir(&root).unwrap().count(), 2);
        }
        fs::create_dir(watched.dir.path().join("fence2")).unwrap();
        let marks = watched.marks().unwrap();
        let names: Vec<&str> = marks.roots.iter().map(|game| game.as_str()).collect();
        assert_eq!(names, ["fence2"]);
    }

    #[test]
    fn a_lost_event_means_all() {
        let watched = watched();
        let overflow = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        report(&watched.sink, Ok(overflow));
        assert!(watched.sink.take().all);
        report(&watched.sink, Err(notify::Error::generic("broken")));
        assert!(watched.sink.take().all);
    }

    #[test]
    fn the_limit_is_told_apart() {
        assert_eq!(
            explain(notify::Error::new(notify::ErrorKind::MaxFilesWatch)),
            WatchError::Limit
        );
        let other = explain(notify::Error::path_not_found());
        assert!(matches!(other, WatchError::Other(_)));
    }
}
