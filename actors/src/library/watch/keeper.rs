//! Keeps the watches on what is there: decides which folders need a watch and which need none any
//! more, and packs that into work for a thread. If the system grants no more watches the library
//! goes on by scanning alone, and says so.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use lanspread_wire::GameId;

use super::{Marks, WatchBackend, WatchError, WatchSink, Watcher};
use crate::{library::index::DirIdentity, limits::library::SWEEP_EVERY};

/// The watches of one games folder.
pub(crate) struct WatchKeeper {
    backend: Arc<dyn WatchBackend>,
    sink: WatchSink,
    games_dir: PathBuf,
    /// `None` while it is away with a job, or could not be started.
    watcher: Option<Box<dyn Watcher>>,
    busy: bool,
    /// The folder itself has its watch, or it is known that it cannot have one.
    folder_tried: bool,
    /// Roots that have their watch, or of which it is known that they cannot have one.
    tried: BTreeMap<GameId, DirIdentity>,
    problem: Option<String>,
}

/// Watches to be taken up and given back. Blocking work.
pub(crate) struct ArmJob {
    backend: Arc<dyn WatchBackend>,
    sink: WatchSink,
    games_dir: PathBuf,
    watcher: Option<Box<dyn Watcher>>,
    with_folder: bool,
    drop: Vec<GameId>,
    add: Vec<(GameId, DirIdentity)>,
}

/// What became of an [`ArmJob`].
pub(crate) struct Armed {
    watcher: Option<Box<dyn Watcher>>,
    folder_tried: bool,
    added: Vec<(GameId, DirIdentity)>,
    limit: Option<WatchError>,
}

impl WatchKeeper {
    /// Watches nothing yet. The first of the names is the folder as it was given; `wake` is called
    /// when [`WatchKeeper::take`] has something to give.
    pub(crate) fn new(
        backend: Arc<dyn WatchBackend>,
        folder_names: Vec<PathBuf>,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            backend,
            games_dir: folder_names.first().cloned().unwrap_or_default(),
            sink: WatchSink::new(folder_names, wake),
            watcher: None,
            busy: false,
            folder_tried: false,
            tried: BTreeMap::new(),
            problem: None,
        }
    }

    /// What the watches have reported.
    pub(crate) fn take(&self) -> Marks {
        self.sink.take()
    }

    /// Whether a job is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Why changes are seen late, if they are.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// The work to bring the watches in line with the roots that stand there, if there is any and
    /// none is under way.
    pub(crate) fn due(&mut self, roots: &BTreeMap<GameId, DirIdentity>) -> Option<ArmJob> {
        if self.busy {
            return None;
        }
        let tried = self.tried.iter();
        let drop: Vec<GameId> = tried
            .filter(|(game, identity)| roots.get(game) != Some(identity))
            .map(|(game, _)| game.clone())
            .collect();
        let add: Vec<(GameId, DirIdentity)> = roots
            .iter()
            .filter(|(game, identity)| self.tried.get(game) != Some(identity))
            .map(|(game, identity)| (game.clone(), *identity))
            .collect();
        let at_limit = self.problem.is_some();
        let add = if at_limit { Vec::new() } else { add };
        let with_folder = !self.folder_tried && !at_limit;
        if drop.is_empty() && add.is_empty() && !with_folder {
            return None;
        }
        for game in &drop {
            self.tried.remove(game);
        }
        self.busy = true;
        Some(ArmJob {
            backend: self.backend.clone(),
            sink: self.sink.clone(),
            games_dir: self.games_dir.clone(),
            watcher: self.watcher.take(),
            with_folder,
            drop,
            add,
        })
    }

    /// The job panicked and took the watcher with it.
    pub(crate) fn lost(&mut self) {
        self.busy = false;
        self.folder_tried = false;
        self.tried.clear();
        self.problem =
            Some("changes in the games folder are noticed late: its watcher failed".into());
    }

    /// Takes back what a job returns. Returns the roots that are watched only now: what happened
    /// in them before was not seen.
    pub(crate) fn armed(&mut self, armed: Armed) -> Vec<GameId> {
        self.busy = false;
        self.watcher = armed.watcher;
        self.folder_tried |= armed.folder_tried;
        let games = armed.added.iter().map(|(game, _)| game.clone()).collect();
        self.tried.extend(armed.added);
        if let Some(error) = armed.limit {
            self.problem = Some(format!(
                "changes in the games folder are noticed late, by a look at all of it every {} \
                 seconds: {error}",
                SWEEP_EVERY.as_secs()
            ));
        }
        games
    }

    /// Lets the next job try again what the system refused.
    pub(crate) fn retry(&mut self) {
        self.problem = None;
    }
}

impl ArmJob {
    /// Does the work.
    pub(crate) fn run(mut self) -> Armed {
        let mut armed =
            Armed { watcher: None, folder_tried: false, added: Vec::new(), limit: None };
        let mut watcher = match self.watcher.take() {
            Some(watcher) => watcher,
            None => match self.backend.start(self.sink.clone()) {
                Ok(watcher) => watcher,
                Err(error) => {
                    armed.limit = Some(error);
                    return armed;
                }
            },
        };
        // First, because a root may only have got another name: its watch goes with the old one.
        for game in &self.drop {
            watcher.unwatch(&self.games_dir.join(game.as_str()));
        }
        armed.limit = self.add_all(&mut *watcher, &mut armed).err();
        armed.watcher = Some(watcher);
        armed
    }

    /// Stops at the limit; a folder that cannot be watched for its own reasons is passed over.
    fn add_all(&mut self, watcher: &mut dyn Watcher, armed: &mut Armed) -> Result<(), WatchError> {
        if self.with_folder {
            watch(watcher, &self.games_dir)?;
            armed.folder_tried = true;
        }
        for (game, identity) in std::mem::take(&mut self.add) {
            watch(watcher, &self.games_dir.join(game.as_str()))?;
            armed.added.push((game, identity));
        }
        Ok(())
    }
}

fn watch(watcher: &mut dyn Watcher, folder: &Path) -> Result<(), WatchError> {
    match watcher.watch(folder) {
        Err(WatchError::Other(error)) => {
            tracing::debug!(folder = %folder.display(), error, "not watched");
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        sync::{Mutex, MutexGuard},
    };

    use super::*;

    /// A system that grants so many watches and keeps a list of them.
    #[derive(Clone, Default)]
    struct Fake(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        granted_max: usize,
        watched: BTreeSet<PathBuf>,
        broken: BTreeSet<PathBuf>,
    }

    impl Fake {
        fn granting(granted_max: usize) -> Self {
            let fake = Self::default();
            fake.state().granted_max = granted_max;
            fake
        }

        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap()
        }

        fn watched(&self) -> Vec<String> {
            let state = self.state();
            state.watched.iter().map(|path| path.to_string_lossy().into_owned()).collect()
        }
    }

    impl WatchBackend for Fake {
        fn start(&self, _: WatchSink) -> Result<Box<dyn Watcher>, WatchError> {
            if self.state().granted_max == 0 {
                return Err(WatchError::Limit);
            }
            Ok(Box::new(self.clone()))
        }
    }

    impl Watcher for Fake {
        fn watch(&mut self, folder: &Path) -> Result<(), WatchError> {
            let mut state = self.state();
            if state.broken.contains(folder) {
                return Err(WatchError::Other("broken".into()));
            }
            if state.watched.len() >= state.granted_max {
                return Err(WatchError::Limit);
            }
            assert!(state.watched.insert(folder.to_path_buf()), "watched twice");
            Ok(())
        }

        fn unwatch(&mut self, folder: &Path) {
            self.state().watched.remove(folder);
        }
    }

    fn roots(names: &[(&str, u64)]) -> BTreeMap<GameId, DirIdentity> {
        let root = |(name, inode): &(&str, u64)| {
            let identity = DirIdentity { device: Some(1), inode: Some(*inode) };
            (GameId::parse(name).unwrap(), identity)
        };
        names.iter().map(root).collect()
    }

    fn keeper(fake: &Fake) -> WatchKeeper {
        WatchKeeper::new(Arc::new(fake.clone()), vec![PathBuf::from("/g")], || {})
    }

    /// Runs what is due; returns the roots that are watched only now.
    fn arm(keeper: &mut WatchKeeper, names: &[(&str, u64)]) -> Vec<String> {
        let Some(job) = keeper.due(&roots(names)) else {
            return Vec::new();
        };
        assert!(keeper.due(&roots(names)).is_none(), "one job at a time");
        keeper.armed(job.run()).iter().map(ToString::to_string).collect()
    }

    /// Proves L2: one watch for the folder and one for each root, and none that is stale.
    #[test]
    fn watches_follow_the_roots() {
        let fake = Fake::granting(100);
        let mut keeper = keeper(&fake);
        assert_eq!(arm(&mut keeper, &[("a", 1), ("b", 2)]), ["a", "b"]);
        assert_eq!(fake.watched(), ["/g", "/g/a", "/g/b"]);
        assert!(keeper.due(&roots(&[("a", 1), ("b", 2)])).is_none(), "nothing to do");
        assert_eq!(arm(&mut keeper, &[("b", 2), ("c", 1)]), ["c"], "a was renamed to c");
        assert_eq!(fake.watched(), ["/g", "/g/b", "/g/c"]);
        assert_eq!(arm(&mut keeper, &[("b", 9), ("c", 1)]), ["b"], "b was made anew");
        assert_eq!(fake.watched(), ["/g", "/g/b", "/g/c"]);
    }

    /// Proves F22: at the limit the library goes on by scanning, says so, and tries again.
    #[test]
    fn the_limit_is_a_problem_that_can_pass() {
        for granted in 0..3 {
            let fake = Fake::granting(granted);
            let mut keeper = keeper(&fake);
            arm(&mut keeper, &[("a", 1), ("b", 2)]);
            assert!(keeper.problem().is_some(), "{granted} are not enough");
            assert!(keeper.due(&roots(&[("a", 1), ("b", 2)])).is_none(), "no hot loop");
            keeper.retry();
            arm(&mut keeper, &[("a", 1), ("b", 2)]);
            assert!(keeper.problem().is_some());
            fake.state().granted_max = 3;
            keeper.retry();
            arm(&mut keeper, &[("a", 1), ("b", 2)]);
            assert_eq!(keeper.problem(), None);
            assert_eq!(fake.watched(), ["/g", "/g/a", "/g/b"]);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_watched_is_passed_over() {
        let fake = Fake::granting(100);
        fake.state().broken.insert(PathBuf::from("/g/a"));
        let mut keeper = keeper(&fake);
        arm(&mut keeper, &[("a", 1), ("b", 2)]);
        assert_eq!(fake.watched(), ["/g", "/g/b"]);
        assert!(keeper.due(&roots(&[("a", 1), ("b", 2)])).is_none(), "no hot loop");
        assert_eq!(keeper.problem(), None);
    }
}
