//! The transfer engine of one download: the loop between the planner, the sources and the disk.
//!
//! Owns the requests that run, the account of what is here, and the saving of progress. It decides
//! nothing that the planner decides, and it touches no file: workers do. It ends when everything
//! is here, when it is told to stop, or when it cannot go on, and then nothing of it runs any more.

mod inputs;
mod local;
mod space;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use lanspread_wire::PeerId;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};

use self::space::Space;
use super::{
    chunk_set::ChunkSet,
    feed::{Announced, SourceError, SourceFeed},
    fetch::{Beat, Fetch},
    planner::{Holds, Outlook, Planner, RequestId},
    progress::Progress,
    reuse::ReusePlan,
    stock::{Need, Stock, Twin},
    stop::Stop,
    target::Target,
    writer::{Buffers, Found, Pool, ShelfError, Workshop},
};
use crate::{
    api::{Event, Phase},
    limits::transfer::{
        ENGINE_EVENTS_MAX, ROUND_TRIP_INTERVAL, SAVE_BYTES_MAX, SAVE_BYTES_MIN, SAVE_INTERVAL,
        SAVE_SHARE,
    },
    operations::table::{Report, ending::StopReason},
};

/// Where an operation tells how it goes on.
pub trait Outbox: Send + Sync {
    /// Tells the owner of the table. Never waits.
    fn report(&self, report: Report);
}

/// What the engine is to do.
pub struct Transfer {
    pub feed: Box<dyn SourceFeed>,
    /// The account, with nothing in it.
    pub stock: Stock,
    /// What may be here already.
    pub reuse: ReusePlan,
    /// The seed of the planner's dice.
    pub seed: u64,
    pub stop: Stop,
}

/// How a transfer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything is here, hashed and written.
    Complete(Account),
    /// It was told to stop; what is here is recorded.
    Stopped(StopReason),
}

/// Where the bytes came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub bytes_received: u64,
    pub bytes_reused: u64,
    pub sources: BTreeMap<PeerId, u64>,
}

/// Why a transfer cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Every source sent wrong bytes (T52).
    #[error("every source sent wrong bytes: {}", names(peers))]
    AllRejected { peers: Vec<PeerId> },
    /// The disk failed, or stayed full.
    #[error(transparent)]
    Shelf(ShelfError),
}

/// What the tasks of a transfer tell it.
#[derive(Debug)]
pub(super) enum EngineEvent {
    /// A batch was hashed; the right chunks of it are written.
    Written { request: RequestId, peer: PeerId, chunks: Vec<(u32, bool)> },
    /// A batch could not be written.
    ShelfFailed(ShelfError),
    /// Something that may be here was looked at.
    Reused(Found),
    /// A file of the root stays as it is.
    Kept { file: u32 },
    /// A chunk was copied from its twin, or not.
    Copied { twin: Twin, result: Result<bool, ShelfError> },
    /// Progress was saved, or not.
    Saved(Result<(), ShelfError>),
    /// There is so much space.
    Space(Result<Option<u64>, ShelfError>),
}

/// Runs a transfer to its end.
pub async fn run<P: Pool>(
    workshop: Workshop<P>,
    transfer: Transfer,
    outbox: &dyn Outbox,
) -> Result<Ended, EngineError> {
    let mut engine = Engine::new(workshop, transfer, outbox);
    engine.start();
    let ended = engine.run().await;
    engine.shut_down(ended).await
}

struct Engine<'a, P> {
    workshop: Workshop<P>,
    target: Arc<Target>,
    outbox: &'a dyn Outbox,
    feed: Box<dyn SourceFeed>,
    stop: Stop,
    began_at: Instant,

    planner: Planner,
    stock: Stock,
    /// Chunks of files that stay in the root: nothing of them is staged.
    kept: ChunkSet,
    progress: Progress,
    received: BTreeMap<PeerId, u64>,
    phase: Option<Phase>,
    space: Space,
    /// Since when nothing could be written.
    short_since: Option<Duration>,
    reuse: ReusePlan,

    /// The last announcement of every peer in the feed, also of those that were lost since.
    announced: BTreeMap<PeerId, Announced>,
    buffers: Buffers,
    fetches: JoinSet<(RequestId, Result<(), SourceError>)>,
    running: BTreeMap<RequestId, Running>,
    /// Work on what is here, and saving.
    helpers: JoinSet<()>,
    events: mpsc::Receiver<EngineEvent>,
    events_sender: mpsc::Sender<EngineEvent>,
    saving: Saving,
    round_trips_at: Duration,
    is_silence_told: bool,
    told: Option<(u64, u64, usize)>,
}

/// One request that runs.
struct Running {
    peer: PeerId,
    task: AbortHandle,
    beat: Arc<Beat>,
}

/// When progress is saved next.
#[derive(Default)]
struct Saving {
    is_under_way: bool,
    bytes_unsaved: u64,
    saved_at: Duration,
}

/// What wakes the loop.
enum Input {
    Stop(StopReason),
    Event(EngineEvent),
    Fetched(Result<(RequestId, Result<(), SourceError>), tokio::task::JoinError>),
    Helped(Result<(), tokio::task::JoinError>),
    Sources,
    Time,
}

impl<'a, P: Pool> Engine<'a, P> {
    fn new(workshop: Workshop<P>, transfer: Transfer, outbox: &'a dyn Outbox) -> Self {
        let target = workshop.target().clone();
        let (events_sender, events) = mpsc::channel(ENGINE_EVENTS_MAX);
        Self {
            planner: Planner::new(target.lens(), transfer.seed),
            kept: ChunkSet::empty(target.chunk_count()),
            stock: transfer.stock,
            progress: Progress::new(Duration::ZERO, target.manifest.bytes_total()),
            received: BTreeMap::new(),
            phase: None,
            space: Space::default(),
            short_since: None,
            reuse: transfer.reuse,
            announced: BTreeMap::new(),
            buffers: Buffers::new(),
            fetches: JoinSet::new(),
            running: BTreeMap::new(),
            helpers: JoinSet::new(),
            events,
            events_sender,
            saving: Saving::default(),
            round_trips_at: Duration::ZERO,
            is_silence_told: false,
            told: None,
            feed: transfer.feed,
            stop: transfer.stop,
            began_at: Instant::now(),
            workshop,
            target,
            outbox,
        }
    }

    /// Wants what cannot be here, begins to look at what may be.
    fn start(&mut self) {
        let expected = self.reuse.chunks(&self.target);
        for chunk in expected.iter() {
            self.stock.expect(chunk);
        }
        for chunk in (0..self.target.chunk_count()).filter(|chunk| !expected.contains(*chunk)) {
            let need = self.stock.need(chunk);
            self.provide(need);
        }
        self.start_reuse();
        self.refresh_sources();
    }

    async fn run(&mut self) -> Result<Ended, EngineError> {
        loop {
            if self.stock.is_complete() {
                return Ok(Ended::Complete(self.account()));
            }
            self.check_sources()?;
            self.dispatch();
            self.tell();
            match self.next_input().await {
                Input::Stop(reason) => return Ok(Ended::Stopped(reason)),
                Input::Event(event) => self.on_event(event)?,
                Input::Fetched(ended) => self.on_fetched(ended),
                Input::Helped(ended) => resume_panic(ended.err()),
                Input::Sources => self.refresh_sources(),
                Input::Time => {}
            }
            self.tick()?;
        }
    }

    /// Reports come before the ends of what sent them, so that an end is the last word.
    async fn next_input(&mut self) -> Input {
        let wake_at = self.began_at + self.wake_at();
        tokio::select! {
            biased;
            reason = self.stop.requested() => Input::Stop(reason),
            Some(event) = self.events.recv() => Input::Event(event),
            Some(ended) = self.fetches.join_next() => Input::Fetched(ended),
            Some(ended) = self.helpers.join_next() => Input::Helped(ended),
            () = self.feed.changed() => Input::Sources,
            () = sleep_until(wake_at) => Input::Time,
        }
    }

    fn now(&self) -> Duration {
        self.began_at.elapsed()
    }

    fn wake_at(&self) -> Duration {
        let now = self.now();
        let planner = if self.space.is_short() { None } else { self.planner.wake_at(now) };
        let unsaved = self.saving.bytes_unsaved > 0 && !self.saving.is_under_way;
        let save = unsaved.then_some(self.saving.saved_at + SAVE_INTERVAL);
        let times = [
            planner,
            save,
            self.space.wake_at(),
            Some(self.round_trips_at + ROUND_TRIP_INTERVAL),
            self.is_moving().then(|| self.progress.due_at()),
        ];
        times.into_iter().flatten().min().unwrap_or(now + ROUND_TRIP_INTERVAL)
    }

    /// Whether figures change by themselves.
    fn is_moving(&self) -> bool {
        !self.running.is_empty() || self.told.is_some_and(|(_, rate, _)| rate > 0)
    }

    /// Starts whatever the planner orders.
    fn dispatch(&mut self) {
        if self.space.is_short() {
            return;
        }
        while let Some(order) = self.planner.next(self.now()) {
            let (request, peer) = (order.request, order.peer);
            let Some(announced) = self.announced.get(&peer) else {
                // The planner knows only announced sources; one that is not is of no use.
                let dropped = self.planner.source_left(peer);
                self.give_up(&dropped);
                continue;
            };
            let beat = Beat::new(self.began_at);
            let fetch = Fetch {
                order,
                source: announced.source.clone(),
                workshop: self.workshop.clone(),
                buffers: self.buffers.clone(),
                beat: beat.clone(),
                events: self.events_sender.clone(),
            };
            let task = self.fetches.spawn(fetch.run());
            self.running.insert(request, Running { peer, task, beat });
        }
    }

    /// Takes note of who is there. A source that announces nothing new stays as it is.
    fn refresh_sources(&mut self) {
        let now = self.now();
        let current = self.feed.current();
        let present: BTreeSet<PeerId> =
            current.iter().map(|announced| announced.source.peer()).collect();
        let gone: Vec<PeerId> =
            self.announced.keys().filter(|peer| !present.contains(peer)).copied().collect();
        for peer in gone {
            self.announced.remove(&peer);
            let dropped = self.planner.source_left(peer);
            self.give_up(&dropped);
        }
        for announced in current {
            let peer = announced.source.peer();
            let known = self.announced.get(&peer).map(|known| known.stamp);
            if known == Some(announced.stamp) {
                continue;
            }
            if known.is_some_and(|known| known.connection != announced.stamp.connection) {
                // What was asked over the old connection will not come any more.
                let dropped = self.planner.source_left(peer);
                self.give_up(&dropped);
            }
            self.planner.source_joined(now, peer, Holds::All);
            self.planner.round_trip(peer, announced.source.round_trip());
            self.announced.insert(peer, announced);
        }
    }

    /// Ends the transfer if no source that is there can be trusted any more.
    fn check_sources(&self) -> Result<(), EngineError> {
        let expelled = self.planner.expelled();
        let is_hopeless = self.planner.outlook(self.now()) == Outlook::Starved
            && !self.announced.is_empty()
            && self.announced.keys().all(|peer| expelled.contains(peer));
        if is_hopeless {
            let peers = expelled.iter().copied().collect();
            return Err(EngineError::AllRejected { peers });
        }
        Ok(())
    }

    /// Tells phase and figures, if they changed.
    fn tell(&mut self) {
        let phase = self.present_phase();
        if self.phase != Some(phase) {
            self.phase = Some(phase);
            self.outbox.report(Report::Phase(phase));
            if phase == Phase::WaitingForPeers {
                let game = self.target.game.clone();
                self.event(Event::DownloadPeersGone { game });
            }
        }
        let Some(figures) = self.progress.due(self.now()) else { return };
        let peers = self.planner.source_count(self.now());
        let told = (figures.bytes_done, figures.bytes_per_second, peers);
        if self.told.replace(told) == Some(told) {
            return;
        }
        let (done, total) = (figures.bytes_done, figures.bytes_total);
        self.outbox.report(Report::Bytes { done, total });
        self.event(Event::DownloadProgress {
            game: self.target.game.clone(),
            bytes_done: done,
            bytes_total: total,
            bytes_per_second: figures.bytes_per_second,
            peers,
            eta_s: figures.eta_s,
        });
    }

    fn present_phase(&self) -> Phase {
        if self.space.is_short() {
            return Phase::WaitingForSpace;
        }
        match self.planner.outlook(self.now()) {
            Outlook::Starved => Phase::WaitingForPeers,
            Outlook::Going => Phase::Fetching,
            Outlook::Done => Phase::Checking,
        }
    }

    fn event(&self, event: Event) {
        self.outbox.report(Report::Event(Box::new(event)));
    }

    fn account(&self) -> Account {
        Account {
            bytes_received: self.progress.bytes_received(),
            bytes_reused: self.progress.bytes_reused(),
            sources: self.received.clone(),
        }
    }

    /// Gets a chunk in the way that is open.
    fn provide(&mut self, need: Need) {
        match need {
            Need::Fetch(chunk) => self.planner.want(chunk),
            Need::Copy(twin) => self.start_copy(twin),
            Need::Wait => {}
        }
    }

    /// Gives up requests that the planner has already forgotten.
    fn give_up(&mut self, requests: &[RequestId]) {
        for request in requests {
            if let Some(running) = self.running.remove(request) {
                running.task.abort();
            }
        }
    }

    /// Ends every task and waits for every job; records what is here unless the disk failed.
    async fn shut_down(mut self, ended: Result<Ended, EngineError>) -> Result<Ended, EngineError> {
        self.fetches.shutdown().await;
        self.helpers.shutdown().await;
        self.workshop.quiet().await;
        // A request that was given up leaves its writes behind for a moment: each holds a sender
        // until the last of it is gone, the shelf before.
        self.events_sender = mpsc::channel(1).0;
        while let Some(event) = self.events.recv().await {
            self.note_written(&event);
        }
        let is_worth_saving = !matches!(ended, Ok(Ended::Complete(_)) | Err(EngineError::Shelf(_)));
        if is_worth_saving {
            let saved = self.workshop.save(self.record()).await;
            saved.map_err(EngineError::Shelf)?;
        }
        ended
    }

    /// What is staged, for the next time. A file that stays is looked at again then.
    fn record(&self) -> Vec<u8> {
        self.stock.done().without(&self.kept).to_bytes()
    }

    /// What was written while the transfer ended is here as well.
    fn note_written(&mut self, event: &EngineEvent) {
        match event {
            EngineEvent::Written { chunks, .. } => {
                for (chunk, _) in chunks.iter().filter(|(_, is_right)| *is_right) {
                    self.stock.arrived(*chunk);
                }
            }
            EngineEvent::Reused(found) => {
                for chunk in &found.right {
                    self.stock.arrived(*chunk);
                }
            }
            _ => {}
        }
    }

    /// How much must have come since the last time before progress is saved again.
    fn save_bytes(&self) -> u64 {
        let share = self.target.manifest.bytes_total() / SAVE_SHARE;
        share.clamp(SAVE_BYTES_MIN, SAVE_BYTES_MAX)
    }
}

/// A panic in a task of ours is a bug: it goes on here, where supervision sees it.
fn resume_panic(error: Option<tokio::task::JoinError>) {
    if let Some(error) = error
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

fn names(peers: &[PeerId]) -> String {
    peers.iter().map(PeerId::short).collect::<Vec<_>>().join(", ")
}
