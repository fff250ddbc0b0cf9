//! Watches of the games folder and of each game root, never deeper (L2). Owns the seam behind
//! which the system's watcher stands, so that tests can say what changed, and the inbox that holds
//! one mark for each game however many events there are.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use lanspread_wire::GameId;

pub(crate) mod keeper;
mod system;

pub use system::SystemWatch;

/// Makes watchers. One for the life of a node.
pub trait WatchBackend: Send + Sync + 'static {
    /// A watcher that watches nothing yet and reports into `sink` from a thread of its own.
    fn start(&self, sink: WatchSink) -> Result<Box<dyn Watcher>, WatchError>;
}

/// Watches folders, each by itself without what lies deeper. Ends when it is dropped.
pub trait Watcher: Send + 'static {
    /// Watches one more folder. Blocking.
    fn watch(&mut self, folder: &Path) -> Result<(), WatchError>;
    /// Watches it no longer; it may be gone. Blocking.
    fn unwatch(&mut self, folder: &Path);
}

/// Why a folder is not watched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The system grants no more watches.
    #[error("the system grants no more watches")]
    Limit,
    /// Anything else, about one folder.
    #[error("{0}")]
    Other(String),
}

/// Where a watcher reports. Cheap to clone.
#[derive(Clone)]
pub struct WatchSink(Arc<Inbox>);

/// What was reported and not yet taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Something happened in these roots, or to them.
    pub(crate) roots: BTreeSet<GameId>,
    /// Something happened to the folder, or events were lost.
    pub(crate) all: bool,
}

struct Inbox {
    /// The folder as it was given and as the system may call it.
    folder_names: Vec<PathBuf>,
    marks: Mutex<Marks>,
    /// Called when there is something to take, once until it was taken.
    wake: Box<dyn Fn() + Send + Sync>,
}

impl WatchSink {
    /// A sink for the events of a games folder, which the system may call by any of these names.
    pub(crate) fn new(folder_names: Vec<PathBuf>, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let marks = Mutex::default();
        Self(Arc::new(Inbox { folder_names, marks, wake: Box::new(wake) }))
    }

    /// Something happened at this path.
    pub fn changed(&self, path: &Path) {
        let below = self.0.folder_names.iter().find_map(|folder| path.strip_prefix(folder).ok());
        let first = below.map(|below| below.components().next());
        match first {
            // The folder itself.
            Some(None) => self.lost(),
            // Names that are no game ids are nobody's business.
            Some(Some(name)) => {
                let name = name.as_os_str().to_str();
                if let Some(game) = name.and_then(|name| GameId::parse(name).ok()) {
                    self.mark(|marks| marks.roots.insert(game));
                }
            }
            None => tracing::debug!(path = %path.display(), "event outside of the games folder"),
        }
    }

    /// Events were lost: everything has to be looked at.
    pub fn lost(&self) {
        self.mark(|marks| !std::mem::replace(&mut marks.all, true));
    }

    /// Takes what was reported.
    pub(crate) fn take(&self) -> Marks {
        std::mem::take(&mut *self.marks())
    }

    fn mark(&self, add: impl FnOnce(&mut Marks) -> bool) {
        let is_first = {
            let mut marks = self.marks();
            let was_empty = *marks == Marks::default();
            add(&mut marks) && was_empty
        };
        if is_first {
            (self.0.wake)();
        }
    }

    fn marks(&self) -> std::sync::MutexGuard<'_, Marks> {
        self.0.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn game(name: &str) -> GameId {
        GameId::parse(name).unwrap()
    }

    /// Proves A6: a flood of events is one message and one mark for each game.
    #[test]
    fn a_flood_is_one_message() {
        let woken = Arc::new(AtomicUsize::new(0));
        let sink = WatchSink::new(vec![PathBuf::from("/games")], {
            let woken = woken.clone();
            move || {
                woken.fetch_add(1, Ordering::Relaxed);
            }
        });
        for _ in 0..1000 {
            sink.changed(Path::new("/games/quake/pak0.pk3"));
            sink.changed(Path::new("/games/doom"));
        }
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        let marks = sink.take();
        assert_eq!(marks.roots, BTreeSet::from([game("doom"), game("quake")]));
        assert!(!marks.all);
        assert_eq!(sink.take(), Marks::default());
        sink.changed(Path::new("/games/doom"));
        assert_eq!(woken.load(Ordering::Relaxed), 2, "taken, so it may wake again");
    }

    #[test]
    fn what_is_no_game_wakes_nobody_and_the_folder_itself_means_all() {
        let woken = Arc::new(AtomicUsize::new(0));
        let sink = WatchSink::new(vec![PathBuf::from("/games")], {
            let woken = woken.clone();
            move || {
                woken.fetch_add(1, Ordering::Relaxed);
            }
        });
        for path in ["/games/.hidden/x", "/games/My Game", "/elsewhere/quake"] {
            sink.changed(Path::new(path));
        }
        assert_eq!(woken.load(Ordering::Relaxed), 0);
        sink.changed(Path::new("/games"));
        assert!(sink.take().all);
        sink.lost();
        assert!(sink.take().all);
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }
}
