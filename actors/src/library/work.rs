//! The hands of the `Library` actor: what the index wants done becomes a task, and what a task
//! reports becomes a step of the index.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
};

use lanspread_wire::{Catalog, GameId};
use tokio::sync::watch;

use super::{
    Internal, LibraryMsg,
    folder::{self, BadFolder},
    hash::{HashJob, thread::run_low},
    index::{DirIdentity, HashOrder, HashOutcome, Input, Lane, ScanOrder, ScanOutcome},
    persist::Saved,
    scan::{Places, walk::Budget},
    state::{FILE_PART, FOLDER_PART, State, Switch, WATCH_PART, answer, busy},
    tasks::{Done, Timer, scan_panicked},
    watch::keeper::{ArmJob, Armed, WatchKeeper},
};
use crate::{
    api::{ErrorCode, Refused},
    facts::OperationTable,
    limits::library::{HASH_PROGRESS_EVERY, OFFLINE_PROBE_EVERY, SWEEP_EVERY},
};

/// Scans roots one after the other; a panic is a problem of its game alone.
pub(super) fn scan_all(
    places: &Places,
    folder: Option<DirIdentity>,
    orders: &[ScanOrder],
    budget: &Budget,
) -> Vec<(GameId, ScanOutcome)> {
    let scan = |order: &ScanOrder| {
        let look = AssertUnwindSafe(|| places.scan(folder, order, budget));
        let outcome = catch_unwind(look).unwrap_or_else(|panic| scan_panicked(&*panic));
        (order.game.clone(), outcome)
    };
    orders.iter().map(scan).collect()
}

impl State {
    /// Looks at everything, if there is anything to look at.
    pub(super) fn sweep(&mut self) {
        if self.games_dir.is_some() {
            self.step(Input::SweepDue);
        }
    }

    pub(super) fn list(&mut self, epoch: u64) {
        let Places { vfs, games_dir, .. } = self.places.clone();
        self.tasks.blocking(
            move || {
                let result = folder::list(&*vfs, &games_dir).map_err(|error| error.to_string());
                Done::Listed { epoch, result }
            },
            move |text| Done::Listed { epoch, result: Err(BadFolder::Internal(text).to_string()) },
        );
    }

    pub(super) fn scan(&mut self, epoch: u64, lane: Lane, orders: Vec<ScanOrder>) {
        let (places, folder) = (self.places.clone(), self.index.folder());
        let games: Vec<GameId> = orders.iter().map(|order| order.game.clone()).collect();
        self.count("library-scans", games.len());
        self.tasks.blocking(
            move || {
                let results = scan_all(&places, folder, &orders, &Budget::UNLIMITED);
                Done::Scanned { epoch, lane, results }
            },
            move |text| {
                let failed = |game| (game, ScanOutcome::Unreadable(text.clone()));
                Done::Scanned { epoch, lane, results: games.into_iter().map(failed).collect() }
            },
        );
    }

    pub(super) fn hash(&mut self, game: GameId, order: HashOrder) {
        let ticket = self.tasks.hash_job(&game);
        let places = self.places.clone();
        let job = HashJob { places, game: game.clone(), order, ticket };
        let lost = game.clone();
        let failed =
            |text: String| HashOutcome::Failed(format!("cannot be hashed: internal error: {text}"));
        self.tasks.blocking(
            move || {
                let outcome = run_low("hash", move || job.run()).unwrap_or_else(failed);
                Done::Hashed { game, outcome }
            },
            move |text| Done::Hashed { game: lost, outcome: failed(text) },
        );
        if !std::mem::replace(&mut self.progress_timer, true) {
            self.tasks.after(HASH_PROGRESS_EVERY, Timer::Progress);
        }
    }

    pub(super) fn cancel_hash(&mut self, game: &GameId) {
        if let Some(ticket) = self.tasks.hash_jobs().get(game) {
            ticket.cancel();
        }
    }

    pub(super) fn on_hashed(&mut self, game: GameId, outcome: HashOutcome) {
        self.tasks.hash_ended(&game);
        if matches!(outcome, HashOutcome::Done { .. }) {
            self.count("library-games-hashed", 1);
        }
        self.step(Input::Hashed { game, outcome });
    }

    pub(super) fn publish(&mut self) {
        let jobs = self.tasks.hash_jobs();
        let catalog = self.catalog.as_ref().as_ref();
        self.publisher.publish(&self.index, self.games_dir.as_deref(), jobs, catalog);
        self.saving.dirty = true;
    }

    pub(super) fn set_folder_problem(&mut self, problem: Option<String>) {
        self.publisher.problem(FOLDER_PART, problem.clone());
        self.probes += 1;
        if problem.is_some() {
            self.tasks.after(OFFLINE_PROBE_EVERY, Timer::Probe(self.probes));
        }
        self.folder_problem = problem;
    }

    pub(super) fn on_sweep_ended(&mut self) {
        if let Some(watches) = &mut self.watches {
            watches.retry();
        }
        let result = match self.index.offline() {
            None => Ok(()),
            Some(reason) => Err(Refused::new(ErrorCode::BadGamesDir, reason)),
        };
        for reply in std::mem::take(&mut self.refreshes) {
            answer(reply, result.clone());
        }
        if let Some(Switch::Scanning(reply)) =
            self.switch.take_if(|switch| matches!(switch, Switch::Scanning(_)))
        {
            answer(reply, result);
        }
    }

    pub(super) fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Sweep => {
                self.tasks.after(SWEEP_EVERY, Timer::Sweep);
                self.sweep();
            }
            Timer::Probe(number) if number == self.probes && self.folder_problem.is_some() => {
                self.tasks.after(OFFLINE_PROBE_EVERY, Timer::Probe(number));
                self.sweep();
            }
            Timer::Probe(_) => {}
            Timer::Progress => self.on_progress(),
        }
    }

    pub(super) fn validate(&mut self, path: PathBuf) {
        let vfs = self.places.vfs.clone();
        self.tasks.blocking(
            move || {
                let result = folder::validate(&*vfs, &path);
                Done::Validated(result.map(|()| folder::names_of(&path)))
            },
            |text| Done::Validated(Err(BadFolder::Internal(text))),
        );
    }

    pub(super) fn on_validated(&mut self, result: Result<Vec<PathBuf>, BadFolder>) {
        let validating = |switch: &mut Switch| matches!(switch, Switch::Validating(_));
        let Some(Switch::Validating(reply)) = self.switch.take_if(validating) else {
            return;
        };
        match result {
            Err(error) => {
                answer(reply, Err(Refused::new(ErrorCode::BadGamesDir, error.to_string())));
            }
            Ok(_) if self.index.is_anything_frozen() => {
                answer(reply, Err(busy("an operation is running")));
            }
            Ok(names) => {
                self.share(names);
                self.switch = Some(Switch::Scanning(reply));
                self.step(Input::FolderSwitched);
            }
        }
    }

    /// Takes another folder; the first of the names is the one it was given by.
    pub(super) fn share(&mut self, names: Vec<PathBuf>) {
        let Some(path) = names.first().cloned() else {
            return;
        };
        self.folder_number += 1;
        let (me, folder_number) = (self.me.clone(), self.folder_number);
        let wake = move || {
            let woken = LibraryMsg::Internal(Internal(Done::Woken { folder_number }));
            if me.cast(woken).is_err() {
                tracing::debug!("the library ended before its watcher");
            }
        };
        self.watches = Some(WatchKeeper::new(self.watch_backend.clone(), names, wake));
        self.places.games_dir.clone_from(&path);
        self.games_dir = Some(path);
        self.set_folder_problem(None);
    }

    pub(super) fn on_woken(&mut self, folder_number: u64) {
        if folder_number != self.folder_number {
            return;
        }
        let marks = self.watches.as_ref().map(WatchKeeper::take).unwrap_or_default();
        if marks.all {
            self.count("library-watch-overflows", 1);
            self.sweep();
        }
        for game in marks.roots {
            self.step(Input::Touched { game });
        }
    }

    /// Brings the watches in line with what stands in the folder.
    pub(super) fn arm(&mut self) {
        if let Some(job) = self.arm_job() {
            let folder_number = self.folder_number;
            self.tasks.blocking(
                move || Done::Armed { folder_number, armed: Some(job.run()) },
                move |_| Done::Armed { folder_number, armed: None },
            );
        }
        let Some(watches) = self.watches.as_ref().filter(|watches| !watches.is_busy()) else {
            return;
        };
        if watches.problem() != self.watch_problem.as_deref() {
            self.watch_problem = watches.problem().map(str::to_owned);
            self.publisher.problem(WATCH_PART, self.watch_problem.clone());
        }
    }

    pub(super) fn arm_job(&mut self) -> Option<ArmJob> {
        if self.index.offline().is_some() {
            return None;
        }
        self.watches.as_mut()?.due(&self.index.roots())
    }

    pub(super) fn on_armed(&mut self, folder_number: u64, armed: Option<Armed>) {
        let Some(watches) = self.watches.as_mut().filter(|_| folder_number == self.folder_number)
        else {
            return;
        };
        let Some(armed) = armed else {
            return watches.lost();
        };
        // What happened in them before they were watched was not seen.
        for game in watches.armed(armed) {
            self.step(Input::Touched { game });
        }
    }

    pub(super) fn on_catalog(&mut self, mut catalogs: watch::Receiver<Arc<Option<Catalog>>>) {
        self.catalog = catalogs.borrow_and_update().clone();
        self.tasks.next(catalogs, Done::Catalog);
        self.step(Input::CatalogChanged { catalog: self.catalog.clone() });
    }

    pub(super) fn on_operations(&mut self, mut tables: watch::Receiver<Arc<OperationTable>>) {
        let table = tables.borrow_and_update().clone();
        self.tasks.next(tables, Done::Operations);
        self.step(operations_seen(&table));
    }

    /// Writes the index file if it is behind; one write at a time.
    pub(super) fn save(&mut self) {
        if self.saving.running || !std::mem::take(&mut self.saving.dirty) {
            return;
        }
        let saved = self.saved();
        if self.saving.last.as_ref() == Some(&saved) {
            return;
        }
        self.saving.running = true;
        self.saving.written = Some(saved.clone());
        let file = self.file.clone();
        self.tasks.blocking(
            move || Done::Saved(file.save(&saved).map_err(|error| error.to_string())),
            |text| Done::Saved(Err(text)),
        );
    }

    pub(super) fn on_saved(&mut self, problem: Option<String>) {
        self.saving.running = false;
        self.saving.last = self.saving.written.take().filter(|_| problem.is_none());
        if problem != self.saving.problem {
            self.publisher.problem(FILE_PART, problem.clone());
            self.saving.problem = problem;
        }
    }

    pub(super) fn saved(&self) -> Saved {
        Saved {
            revision: self.index.announced().0,
            games_dir: self.games_dir.clone(),
            games: self.index.remember(),
        }
    }

    fn on_progress(&mut self) {
        self.progress_timer = !self.tasks.hash_jobs().is_empty();
        if self.progress_timer {
            let jobs = self.tasks.hash_jobs();
            self.publisher.publish_progress(&self.index, self.games_dir.as_deref(), jobs);
            self.tasks.after(HASH_PROGRESS_EVERY, Timer::Progress);
        }
    }

    fn count(&self, counter: &'static str, by: usize) {
        self.publisher.count(counter, by as u64);
    }
}

/// The operation table as the index takes it.
pub(super) fn operations_seen(table: &OperationTable) -> Input {
    let rows = table.rows.iter();
    Input::OperationTable {
        rows: rows.map(|(game, row)| (game.clone(), row.operation.clone())).collect(),
    }
}
