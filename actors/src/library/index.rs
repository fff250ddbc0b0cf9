//! The library index: which games are here, at which version, in which state, what of it peers
//! are told, and what has to be scanned or hashed next. Pure: no clock, no disk, no actor. Its
//! only user is [`crate::library`].
//!
//! [`Index::step`] takes what happened and returns what to do; [`Effect`]s come in the order in
//! which they must be carried out: what is found is told before an operation learns that it was.

mod entry;
pub mod facts;
mod gate;
mod hashes;
mod lanes;
mod sweep;
mod words;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_folder;
#[cfg(test)]
mod tests_model;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lanspread_wire::{Catalog, GameId, GameSummary, ManifestId, limits::GAMES_PER_PEER_MAX};

use self::{entry::Entry, hashes::HashQueue, lanes::Lanes, sweep::Sweep};
pub use self::{
    entry::LocalFacts,
    facts::{
        Content, DirIdentity, Fingerprint, HashOrder, HashOutcome, Listing, Remembered, RootScan,
        ScanOrder, ScanOutcome, Sentinel,
    },
    lanes::Lane,
    words::{Effect, Input},
};

/// The index. See the module.
#[derive(Clone, Debug)]
pub struct Index {
    /// Counts the folders shared one after the other: what was found in a former one is dropped.
    epoch: u64,
    folder: Folder,
    /// Nothing is told until the new folder was seen as a whole.
    hold: bool,
    sweep: Sweep,
    games: BTreeMap<GameId, Entry>,
    /// The last operation that ended on a game and whose row may still be seen.
    ended: BTreeMap<GameId, String>,
    lanes: Lanes,
    hashes: HashQueue,
    catalog: Arc<Option<Catalog>>,
    revision: u64,
    announced: BTreeMap<GameId, GameSummary>,
    due: Due,
}

/// What is known of the games folder as a whole.
#[derive(Clone, Debug, Default)]
struct Folder {
    identity: Option<DirIdentity>,
    offline: Option<String>,
    strangers_said: BTreeSet<String>,
    too_many_said: bool,
}

/// What the present step has to do at its end.
#[derive(Clone, Debug, Default)]
struct Due {
    first: Vec<Effect>,
    publish: bool,
    after: Vec<Effect>,
}

/// From what an index starts.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Above every revision that was ever announced.
    pub revision: u64,
    /// What the index file remembers of this folder. Shown while the folder cannot be read, and
    /// a reason not to walk what looks the same; announced only once it was seen again.
    pub remembered: BTreeMap<GameId, Remembered>,
    /// What this process announced before the actor was restarted: it goes on to hold.
    pub announced: BTreeMap<GameId, GameSummary>,
    /// The games that count (P11).
    pub catalog: Arc<Option<Catalog>>,
}

impl Index {
    /// An index that has seen nothing yet.
    pub fn new(start: Start) -> Self {
        let games = start.remembered.iter().map(|(game, remembered)| {
            let entry = Entry::remembered(remembered, start.announced.contains_key(game));
            (game.clone(), entry)
        });
        Self {
            epoch: 0,
            folder: Folder::default(),
            hold: false,
            sweep: Sweep::default(),
            games: games.collect(),
            ended: BTreeMap::new(),
            lanes: Lanes::default(),
            hashes: HashQueue::default(),
            catalog: start.catalog,
            revision: start.revision,
            announced: start.announced,
            due: Due::default(),
        }
    }

    /// Takes what happened, returns what to do, in this order.
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::OperationBegan { game } => self.on_began(game),
            Input::OperationEnded { game, operation } => self.on_ended(game, operation),
            Input::OperationTable { rows } => self.on_table(&rows),
            Input::Committed { game, manifest } => self.on_committed(game, manifest),
            Input::Damaged { game, files } => self.on_damaged(game, files),
            Input::Touched { game } => self.on_touched(game),
            Input::SweepDue => self.sweep.want(),
            Input::Listed { epoch, result } => self.on_listed(epoch, result),
            Input::Scanned { epoch, lane, results } => self.on_scanned(epoch, lane, results),
            Input::Hashed { game, outcome } => self.on_hashed(&game, outcome),
            Input::CatalogChanged { catalog } => self.on_catalog(catalog),
            Input::FolderSwitched => self.on_switched(),
        }
        self.settle()
    }

    /// The games to show, in the order of their ids.
    pub fn local(&self) -> impl Iterator<Item = LocalFacts> + '_ {
        self.games.iter().filter_map(|(game, entry)| {
            let listed = self.listed(game);
            entry.local(game, listed, self.hashes.is_wanted(game))
        })
    }

    /// What peers are told, and its revision.
    pub fn announced(&self) -> (u64, &BTreeMap<GameId, GameSummary>) {
        (self.revision, &self.announced)
    }

    /// What the index file has to remember.
    pub fn remember(&self) -> BTreeMap<GameId, Remembered> {
        let games = self.games.iter();
        games.filter_map(|(game, entry)| Some((game.clone(), entry.remember()?))).collect()
    }

    /// Why the folder cannot be read at the moment.
    pub fn offline(&self) -> Option<&str> {
        self.folder.offline.as_deref()
    }

    /// Which folder was listed last.
    pub fn folder(&self) -> Option<DirIdentity> {
        self.folder.identity
    }

    /// The game roots that stand in the folder and which directory each is.
    pub fn roots(&self) -> BTreeMap<GameId, DirIdentity> {
        let games = self.games.iter();
        games.filter_map(|(game, entry)| Some((game.clone(), entry.identity?))).collect()
    }

    /// Whether an operation holds the game.
    pub fn is_frozen(&self, game: &GameId) -> bool {
        self.games.get(game).is_some_and(|entry| entry.gate.is_frozen())
    }

    /// Whether an operation holds any game.
    pub fn is_anything_frozen(&self) -> bool {
        self.games.values().any(|entry| entry.gate.is_frozen())
    }

    fn on_began(&mut self, game: GameId) {
        self.freeze(game, false);
    }

    fn freeze(&mut self, game: GameId, seen_in_table: bool) {
        if self.hashes.withdraw(&game) {
            self.due.first.push(Effect::CancelHash { game: game.clone() });
        }
        self.sweep.done(&game);
        let gate = &mut self.games.entry(game).or_default().gate;
        if seen_in_table {
            gate.see_row();
        } else {
            gate.begin();
        }
    }

    fn on_ended(&mut self, game: GameId, operation: String) {
        self.ended.insert(game.clone(), operation.clone());
        if self.games.entry(game.clone()).or_default().gate.end(operation) {
            self.lanes.push(Lane::Urgent, game);
        }
    }

    fn on_table(&mut self, rows: &BTreeMap<GameId, String>) {
        self.ended.retain(|game, operation| rows.get(game) == Some(operation));
        for (game, operation) in rows {
            if self.ended.get(game) != Some(operation) {
                self.freeze(game.clone(), true);
            }
        }
        for (game, entry) in &mut self.games {
            if !rows.contains_key(game) && entry.gate.see_no_row() {
                self.lanes.push(Lane::Urgent, game.clone());
            }
        }
    }

    fn on_committed(&mut self, game: GameId, manifest: ManifestId) {
        let entry = self.games.entry(game.clone()).or_default();
        entry.committed = Some(manifest);
        entry.damaged.clear();
        self.touch(game, Lane::Urgent);
    }

    fn on_damaged(&mut self, game: GameId, files: Vec<String>) {
        self.games.entry(game.clone()).or_default().damaged = files;
        self.touch(game, Lane::Urgent);
    }

    fn on_touched(&mut self, game: GameId) {
        self.games.entry(game.clone()).or_default().failure = None;
        self.touch(game, Lane::Urgent);
    }

    fn touch(&mut self, game: GameId, lane: Lane) {
        if self.games.entry(game.clone()).or_default().gate.touch() {
            self.lanes.push(lane, game);
        }
    }

    fn on_catalog(&mut self, catalog: Arc<Option<Catalog>>) {
        self.catalog = catalog;
        self.due.publish = true;
    }

    fn on_switched(&mut self) {
        self.epoch += 1;
        self.cancel_hashes();
        self.games.clear();
        self.lanes.clear();
        self.folder = Folder::default();
        self.sweep = Sweep::default();
        self.sweep.want();
        self.hold = true;
    }

    fn cancel_hashes(&mut self) {
        let stopped = self.hashes.withdraw_all();
        self.due.first.extend(stopped.into_iter().map(|game| Effect::CancelHash { game }));
    }

    fn on_listed(&mut self, epoch: u64, result: Result<Listing, String>) {
        if epoch != self.epoch {
            return;
        }
        match result {
            Err(reason) => self.go_offline(reason),
            Ok(listing) if self.is_stand_in(&listing) => self.go_offline(STAND_IN.to_owned()),
            Ok(listing) => self.look_at_all(listing),
        }
    }

    /// The mount point of a disk that was pulled is an empty folder of another identity: taking
    /// it for the real one would tell everybody that all games are gone.
    fn is_stand_in(&self, listing: &Listing) -> bool {
        let known = self.folder.identity.is_some_and(|known| known != listing.identity);
        known && listing.roots.is_empty() && self.games.values().any(|entry| entry.scan.is_some())
    }

    fn look_at_all(&mut self, listing: Listing) {
        self.folder.identity = Some(listing.identity);
        if self.folder.offline.take().is_some() {
            self.due.first.push(Effect::Folder { problem: None });
        }
        for message in listing.strangers {
            if self.folder.strangers_said.insert(message.clone()) {
                self.due.first.push(Effect::Notice { game: None, message });
            }
        }
        let mut all: BTreeSet<GameId> = self.games.keys().cloned().collect();
        for (game, identity) in listing.roots {
            self.entry(&game).identity = identity;
            all.insert(game);
        }
        for game in &all {
            self.touch(game.clone(), Lane::Sweep);
        }
        let games = &self.games;
        self.sweep.listed(all.into_iter().filter(|game| {
            games.get(game).is_some_and(|entry| entry.gate.is_waiting() || entry.gate.is_running())
        }));
        self.due.publish = true;
    }

    /// Keeps everything as it was last seen (F25): no game is told to be gone.
    fn go_offline(&mut self, reason: String) {
        self.sweep.give_up();
        self.cancel_hashes();
        for entry in self.games.values_mut() {
            entry.gate.withdraw();
        }
        self.due.publish = true;
        if self.folder.offline.as_ref() != Some(&reason) {
            self.due.first.push(Effect::Folder { problem: Some(reason.clone()) });
            self.folder.offline = Some(reason);
        }
    }

    fn on_scanned(&mut self, epoch: u64, lane: Lane, results: Vec<(GameId, ScanOutcome)>) {
        self.lanes.ended(lane);
        if epoch != self.epoch {
            return;
        }
        for (game, outcome) in results {
            self.on_scanned_one(game, outcome);
        }
    }

    fn on_scanned_one(&mut self, game: GameId, outcome: ScanOutcome) {
        self.sweep.done(&game);
        let Some(entry) = self.games.get_mut(&game) else {
            return;
        };
        let finished = entry.gate.finish();
        if finished.queue {
            self.lanes.push(Lane::Urgent, game.clone());
        }
        if finished.apply {
            self.apply(&game, outcome);
            self.due.publish = true;
            self.due.after.push(Effect::OpenGate { game: game.clone() });
        }
        for operation in finished.answers {
            self.due.publish = true;
            self.due.after.push(Effect::Answer { game: game.clone(), operation });
        }
        if self.games.get(&game).is_some_and(Entry::is_forgettable) {
            self.games.remove(&game);
        }
    }

    fn apply(&mut self, game: &GameId, outcome: ScanOutcome) {
        match outcome {
            ScanOutcome::FolderGone(reason) => self.go_offline(reason),
            ScanOutcome::FolderReplaced => self.sweep.want(),
            ScanOutcome::Absent => {
                self.entry(game).lose();
                self.settle_hash(game);
            }
            ScanOutcome::Unreadable(text) => {
                self.entry(game).become_unreadable(text);
                self.settle_hash(game);
            }
            ScanOutcome::Found(scan) => {
                let entry = self.entry(game);
                let deep_scan_due = scan.content == Content::Unwalked;
                if let Some(message) = entry.adopt(*scan) {
                    self.due.first.push(Effect::Notice { game: Some(game.clone()), message });
                }
                self.settle_hash(game);
                if deep_scan_due {
                    self.touch(game.clone(), Lane::Sweep);
                }
            }
        }
    }

    fn entry(&mut self, game: &GameId) -> &mut Entry {
        self.games.entry(game.clone()).or_default()
    }

    /// Wants a game hashed, or no longer.
    fn settle_hash(&mut self, game: &GameId) {
        let order = self.games.get(game).and_then(Entry::hash_order);
        match order {
            Some(order) => self.hashes.request(game, order),
            None if self.hashes.withdraw(game) => {
                self.due.first.push(Effect::CancelHash { game: game.clone() });
            }
            None => {}
        }
    }

    fn on_hashed(&mut self, game: &GameId, outcome: HashOutcome) {
        let Some(wanted_again) = self.hashes.ended(game) else {
            return;
        };
        let Some(entry) = self.games.get_mut(game) else {
            return;
        };
        // The change that unsettled it may have been seen by a scan already: then no other comes.
        let is_unsettled = outcome == HashOutcome::Unsettled;
        let look_again = entry.take_hash(outcome) || (is_unsettled && wanted_again);
        self.due.publish = true;
        if look_again {
            self.touch(game.clone(), Lane::Urgent);
        }
    }

    /// Puts everything in order at the end of a step, see [`Effect`] for the order.
    fn settle(&mut self) -> Vec<Effect> {
        let mut due = std::mem::take(&mut self.due);
        if self.sweep.ended() {
            self.hold = false;
            due.publish = true;
            due.after.push(Effect::SweepEnded);
        }
        let mut effects = due.first;
        if due.publish && !self.hold {
            self.refresh_announced(&mut effects);
            effects.push(Effect::Publish);
        }
        effects.append(&mut due.after);
        if self.sweep.start_listing() {
            effects.push(Effect::List { epoch: self.epoch });
        }
        while let Some((lane, games)) = self.start_scan() {
            let orders = games.into_iter().map(|game| self.start_order(game)).collect();
            effects.push(Effect::Scan { epoch: self.epoch, lane, orders });
        }
        while let Some((game, order)) = self.hashes.start_next() {
            effects.push(Effect::Hash { game, order });
        }
        effects
    }

    fn start_scan(&mut self) -> Option<(Lane, Vec<GameId>)> {
        let (games, hashes) = (&self.games, &self.hashes);
        self.lanes.start_next(|game| {
            let waits = games.get(game).is_some_and(|entry| entry.gate.is_waiting());
            waits.then(|| !hashes.is_stopping(game))
        })
    }

    fn start_order(&mut self, game: GameId) -> ScanOrder {
        let entry = self.entry(&game);
        entry.gate.start();
        entry.scan_order(game)
    }

    /// A revision more if peers are told something else than before.
    fn refresh_announced(&mut self, effects: &mut Vec<Effect>) {
        let mut games = BTreeMap::new();
        let mut left_out = 0;
        for (game, entry) in &self.games {
            let listed = self.listed(game);
            let Some(summary) = entry.summary(game, listed) else {
                continue;
            };
            if games.len() < GAMES_PER_PEER_MAX {
                games.insert(game.clone(), summary);
            } else {
                left_out += 1;
            }
        }
        if left_out > 0 && !std::mem::replace(&mut self.folder.too_many_said, true) {
            let message = format!(
                "{left_out} games are not shared: more than {GAMES_PER_PEER_MAX} cannot be told"
            );
            effects.push(Effect::Notice { game: None, message });
        }
        if games != self.announced {
            self.revision += 1;
            self.announced = games;
        }
    }

    /// What the catalog says of a game: `Err` if it does not count, `Ok(None)` without a catalog.
    fn listed(&self, game: &GameId) -> entry::Listed<'_> {
        match self.catalog.as_ref() {
            None => entry::Listed::Open,
            Some(catalog) => match catalog.games.get(game) {
                Some(listed) => entry::Listed::InCatalog(listed),
                None => entry::Listed::NotInCatalog,
            },
        }
    }
}

/// What is said of an empty folder in the place of the real one.
const STAND_IN: &str =
    "the games folder is empty and not the folder it was: is its disk unplugged?";
