//! What the library tells the others: the published form of the index. Owns the serve gates, which
//! live as long as the node, so that an upload and an operation always mean the same gate.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use lanspread_wire::{Catalog, GameId};
use tokio::sync::watch;

use super::{
    hash::Ticket,
    index::{Index, LocalFacts},
    view::local_game_view,
};
use crate::{
    addr::Addr,
    api::Event,
    facts::{Announced, HashProgress, LocalGame, LocalLibrary, ServeGate},
    view::ViewMsg,
};

/// The write ends of what the library publishes.
pub(crate) struct Publisher {
    local: Arc<watch::Sender<Arc<LocalLibrary>>>,
    announced: Arc<watch::Sender<Announced>>,
    view: Addr<ViewMsg>,
    gates: BTreeMap<GameId, ServeGate>,
}

impl Publisher {
    /// Takes over the gates of a former incarnation: uploads may be inside.
    pub(crate) fn new(
        local: Arc<watch::Sender<Arc<LocalLibrary>>>,
        announced: Arc<watch::Sender<Announced>>,
        view: Addr<ViewMsg>,
    ) -> Self {
        let published = local.borrow().clone();
        let games = published.games.iter();
        let gates = games.map(|(game, local)| (game.clone(), local.gate.clone())).collect();
        Self { local, announced, view, gates }
    }

    /// No operation holds this game.
    pub(crate) fn open_gate(&self, game: &GameId) {
        if let Some(gate) = self.gates.get(game)
            && gate.is_closed()
        {
            gate.open();
        }
    }

    /// Publishes what is here and what peers are told, then tells the scripts (L5).
    pub(crate) fn publish(
        &mut self,
        index: &Index,
        games_dir: Option<&Path>,
        jobs: &BTreeMap<GameId, Ticket>,
        catalog: Option<&Catalog>,
    ) {
        let library = self.publish_local(index, games_dir, jobs);
        self.publish_announced(index);
        self.view.tell(ViewMsg::Library(library.clone()));
        let games = library.games.values().filter_map(|local| match catalog {
            None => Some(local_game_view(local, None)),
            Some(catalog) => {
                let listed = catalog.games.get(&local.game)?;
                Some(local_game_view(local, Some(listed)))
            }
        });
        self.view.tell(ViewMsg::Event(Event::LocalLibraryChanged { games: games.collect() }));
    }

    /// Publishes how far the hashing is; no script needs to know.
    pub(crate) fn publish_progress(
        &mut self,
        index: &Index,
        games_dir: Option<&Path>,
        jobs: &BTreeMap<GameId, Ticket>,
    ) {
        let library = self.publish_local(index, games_dir, jobs);
        self.view.tell(ViewMsg::Library(library));
    }

    /// Says to `View` again what it may have lost.
    pub(crate) fn repeat(&self) {
        self.view.tell(ViewMsg::Library(self.local.borrow().clone()));
    }

    /// A part of the library is degraded, or well again.
    pub(crate) fn problem(&self, part: &'static str, text: Option<String>) {
        self.view.tell(ViewMsg::Problem { part, text });
    }

    /// Something the user should know.
    pub(crate) fn notice(&self, game: Option<GameId>, message: String) {
        self.view.tell(ViewMsg::Notice { game, message });
    }

    /// A counter in `status` goes up.
    pub(crate) fn count(&self, counter: &'static str, by: u64) {
        self.view.tell(ViewMsg::Count { counter, by });
    }

    fn publish_local(
        &mut self,
        index: &Index,
        games_dir: Option<&Path>,
        jobs: &BTreeMap<GameId, Ticket>,
    ) -> Arc<LocalLibrary> {
        let mut games = BTreeMap::new();
        if let Some(dir) = games_dir {
            for facts in index.local() {
                let progress = jobs.get(&facts.game).map(Ticket::progress);
                let gate = self.gates.entry(facts.game.clone()).or_default().clone();
                games.insert(facts.game.clone(), local_game(facts, dir, progress, gate));
            }
        }
        let library = Arc::new(LocalLibrary {
            games_dir: games_dir.map(Path::to_path_buf),
            offline: index.offline().map(str::to_owned),
            games,
        });
        self.local.send_replace(library.clone());
        library
    }

    fn publish_announced(&self, index: &Index) {
        let (revision, games) = index.announced();
        if self.announced.borrow().state.revision != revision {
            self.announced.send_replace(Announced::new(revision, games.clone()));
        }
    }
}

fn local_game(
    facts: LocalFacts,
    games_dir: &Path,
    progress: Option<HashProgress>,
    gate: ServeGate,
) -> LocalGame {
    let waiting = HashProgress { bytes_done: 0, bytes_total: facts.bytes_total };
    LocalGame {
        root: games_dir.join(facts.game.as_str()),
        title: facts.title.to_string(),
        version: facts.version,
        installed: facts.installed,
        availability: facts.availability,
        manifest: facts.manifest,
        bytes_total: facts.bytes_total,
        hashing: facts.hashing.then(|| progress.unwrap_or(waiting)),
        problem: facts.problem,
        gate,
        game: facts.game,
    }
}
