//! How the `Library` actor starts: it remembers, looks at the whole folder once without reading
//! any payload, and only then tells anybody anything. The first look may leave large payloads for
//! later, so that a node answers soon however many games there are.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use lanspread_fs_txn::vfs::Vfs;
use lanspread_wire::GameId;
use ractor::ActorRef;

use super::{
    LibraryArgs, LibraryMsg, folder,
    index::{self, Effect, Index, Input, Remembered},
    ledger::Ledgers,
    persist::{IndexFile, Loaded, Saved, revision_base},
    publish::Publisher,
    scan::{Places, walk::Budget},
    state::{Saving, State},
    tasks::{Done, Tasks, Timer, on_thread},
    watch::WatchBackend,
    work::{operations_seen, scan_all},
};
use crate::{
    facts::LocalLibrary,
    limits::library::{FIRST_SCAN_ENTRIES_MAX, SWEEP_EVERY},
};

/// Starts the actor. Whatever is wrong with a disk is told, and the library starts without it.
pub(super) async fn start(
    me: ActorRef<LibraryMsg>,
    args: LibraryArgs,
    watch_backend: Arc<dyn WatchBackend>,
    vfs: Arc<dyn Vfs>,
) -> State {
    let LibraryArgs { ports, local, announced, games_dir } = args;
    let mut catalogs = ports.catalog.clone();
    let mut tables = ports.operation_table.clone();
    let catalog = catalogs.borrow_and_update().clone();
    let table = tables.borrow_and_update().clone();
    let file = IndexFile::new(&ports.config.state_dir);
    let Loaded { saved, notice } = load(&file).await;

    // After a restart the folder is the one that was shared last.
    let published = local.borrow().clone();
    let games_dir = published.games_dir.clone().or(games_dir);
    let told = announced.borrow().clone();
    let index = Index::new(index::Start {
        revision: revision_base(&saved, told.state.revision, unix_ms()),
        remembered: remembered(&saved, &published, games_dir.as_ref()),
        announced: (*told.games).clone(),
        catalog: catalog.clone(),
    });
    let mut state = State {
        index,
        places: Places {
            vfs,
            games_dir: PathBuf::new(),
            ledgers: Ledgers::new(&ports.config.state_dir),
            manifests: ports.manifests.clone(),
        },
        games_dir: None,
        catalog,
        publisher: Publisher::new(local, announced, ports.view.clone()),
        operations: ports.operations.clone(),
        tasks: Tasks::new(me.clone()),
        me,
        watch_backend,
        watches: None,
        watch_problem: None,
        folder_number: 0,
        folder_problem: None,
        probes: 0,
        progress_timer: false,
        file,
        saving: Saving::default(),
        switch: None,
        refreshes: Vec::new(),
    };
    if let Some(message) = notice {
        state.publisher.notice(None, message);
    }
    state.step(operations_seen(&table));
    if let Some(games_dir) = games_dir {
        state.first_look(games_dir).await;
    }
    state.publish();
    state.tasks.next(catalogs, Done::Catalog);
    state.tasks.next(tables, Done::Operations);
    state.tasks.after(SWEEP_EVERY, Timer::Sweep);
    state.settle();
    state
}

async fn load(file: &IndexFile) -> Loaded {
    let file = file.clone();
    on_thread(move || file.load()).await.unwrap_or_else(|error| Loaded {
        saved: Saved::default(),
        notice: Some(format!("the library index could not be read: {error}")),
    })
}

/// What is known of this folder: from the file, and where that is behind, from what this process
/// has published before the actor was restarted.
fn remembered(
    saved: &Saved,
    published: &LocalLibrary,
    games_dir: Option<&PathBuf>,
) -> BTreeMap<GameId, Remembered> {
    let mut games = BTreeMap::new();
    if games_dir.is_some() && saved.games_dir.as_ref() == games_dir {
        games.clone_from(&saved.games);
    }
    for (game, local) in &published.games {
        let before = games.get(game);
        let kept = before.and_then(|before: &Remembered| before.kept);
        let remarks_said = before.and_then(|before| before.remarks_said);
        let same_version = before
            .and_then(|before| before.sentinel.clone())
            .filter(|(version, _)| local.version.as_ref() == Some(version));
        // No sentinel has this hash: the next scan takes nothing of it for granted.
        let unseen = || local.version.clone().map(|version| (version, [0; 32]));
        let remembered = Remembered {
            sentinel: same_version.or_else(unseen),
            installed: local.installed,
            bytes_total: local.bytes_total,
            manifest: local.manifest.filter(|_| local.is_ready()),
            kept,
            remarks_said,
        };
        games.insert(game.clone(), remembered);
    }
    games
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What is left to do of the first look.
struct FirstLook {
    effects: VecDeque<Effect>,
    scanned: BTreeSet<GameId>,
    budget: Arc<Budget>,
    /// What has to wait until the actor lives.
    later: Vec<Effect>,
}

impl State {
    /// Looks at the whole folder, each game once. What is found is told by the caller, once.
    async fn first_look(&mut self, games_dir: PathBuf) {
        let given = games_dir.clone();
        let names = on_thread(move || folder::names_of(&games_dir)).await;
        self.share(names.unwrap_or_else(|_| vec![given]));
        let mut look = FirstLook {
            effects: self.index.step(Input::SweepDue).into(),
            scanned: BTreeSet::new(),
            budget: Arc::new(Budget::of(FIRST_SCAN_ENTRIES_MAX)),
            later: Vec::new(),
        };
        while let Some(effect) = look.effects.pop_front() {
            self.look_on(&mut look, effect).await;
        }
        for effect in look.later {
            self.perform(effect);
        }
    }

    async fn look_on(&mut self, look: &mut FirstLook, effect: Effect) {
        match effect {
            Effect::List { epoch } => {
                let Places { vfs, games_dir, .. } = self.places.clone();
                let listed = on_thread(move || folder::list(&*vfs, &games_dir)).await;
                let result = match listed {
                    Ok(listed) => listed.map_err(|error| error.to_string()),
                    Err(panic) => Err(panic.to_string()),
                };
                look.effects.extend(self.index.step(Input::Listed { epoch, result }));
                // Watched first, so that nothing happens unseen between scan and watch.
                self.arm_at_once().await;
            }
            Effect::Scan { epoch, lane, orders }
                if orders.iter().all(|order| look.scanned.insert(order.game.clone())) =>
            {
                let (places, folder) = (self.places.clone(), self.index.folder());
                let budget = look.budget.clone();
                let games: Vec<GameId> = orders.iter().map(|order| order.game.clone()).collect();
                let scan = on_thread(move || scan_all(&places, folder, &orders, &budget)).await;
                let results = scan.unwrap_or_else(|panic| {
                    let failed = index::ScanOutcome::Unreadable(panic.to_string());
                    games.into_iter().map(|game| (game, failed.clone())).collect()
                });
                look.effects.extend(self.index.step(Input::Scanned { epoch, lane, results }));
            }
            // Told once at the end.
            Effect::Publish => {}
            other => look.later.push(other),
        }
    }

    async fn arm_at_once(&mut self) {
        if let Some(job) = self.arm_job() {
            let armed = on_thread(move || job.run()).await.ok();
            if let Some(watches) = &mut self.watches {
                match armed {
                    // Nothing has been scanned yet, so nothing has to be scanned again.
                    Some(armed) => drop(watches.armed(armed)),
                    None => watches.lost(),
                }
            }
        }
    }
}
