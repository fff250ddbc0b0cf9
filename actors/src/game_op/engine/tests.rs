//! The engine against scripted sources, on the paused clock.

mod chaos;
mod disk;
mod here;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use lanspread_wire::{PeerId, Refusal};
use tokio::sync::watch;

use super::*;
use crate::{
    api::ErrorCode,
    game_op::{
        chunk_set::ChunkSet,
        reuse::{Present, ReusePlan},
        stop::StopSwitch,
        testing::{
            Behaviour, InlinePool, MemoryShelf, Recorder, ScriptedSource, ShelfFault, TestFeed,
            chunks, target_of,
        },
    },
    limits::transfer::{BUFFER_BYTES_MAX, DISK_SILENCE, FAILURES_MAX, SPACE_WAIT_MAX},
};

const FAST: f64 = 50e6;

/// One download with everything around it.
struct Rig {
    target: Arc<Target>,
    content: Vec<Vec<u8>>,
    shelf: Arc<MemoryShelf>,
    recorder: Arc<Recorder>,
    pool: InlinePool,
    reuse: ReusePlan,
    switch: StopSwitch,
    stop: Stop,
}

impl Rig {
    /// A game of one file with `count` chunks of 50 kB.
    fn new(count: usize) -> Self {
        Self::of(&[("data.bin", chunks(1, count, 50_000))])
    }

    fn of(files: &[(&str, Vec<Vec<u8>>)]) -> Self {
        let target = target_of(files);
        let (switch, stop) = StopSwitch::new();
        Self {
            shelf: MemoryShelf::new(&target),
            content: files.iter().flat_map(|(_, chunks)| chunks.clone()).collect(),
            target,
            recorder: Arc::default(),
            pool: InlinePool::default(),
            reuse: ReusePlan::default(),
            switch,
            stop,
        }
    }

    fn source(&self, number: u8, behaviour: Behaviour) -> Arc<ScriptedSource> {
        self.source_at(number, FAST, behaviour)
    }

    fn source_at(&self, number: u8, rate: f64, behaviour: Behaviour) -> Arc<ScriptedSource> {
        ScriptedSource::new(number, &self.content, rate, behaviour)
    }

    fn workshop(&self) -> Workshop<InlinePool> {
        Workshop::new(self.pool.clone(), self.shelf.clone(), self.target.clone())
    }

    fn feed(sources: &[Arc<ScriptedSource>]) -> (watch::Sender<Vec<Announced>>, Box<TestFeed>) {
        TestFeed::new(sources.iter().map(|source| source.announced(1)).collect())
    }

    async fn run(&self, sources: &[Arc<ScriptedSource>]) -> Result<Ended, EngineError> {
        let (_sender, feed) = Self::feed(sources);
        self.run_with(feed).await
    }

    async fn run_with(&self, feed: Box<TestFeed>) -> Result<Ended, EngineError> {
        let transfer = Transfer {
            feed,
            stock: Stock::new(&self.target),
            reuse: self.reuse.clone(),
            seed: 7,
            stop: self.stop.clone(),
        };
        run(self.workshop(), transfer, &*self.recorder).await
    }

    /// The files are what they should be.
    fn check(&self) {
        let wanted: Vec<u8> = self.content.concat();
        assert!(self.shelf.result().concat() == wanted, "every byte is right");
    }

    fn rejected(&self) -> Vec<PeerId> {
        self.recorder
            .events()
            .into_iter()
            .filter_map(|event| match event {
                Event::ChunkRejected { peer_id, .. } => Some(peer_id),
                _ => None,
            })
            .collect()
    }

    fn peers_gone(&self) -> usize {
        let events = self.recorder.events();
        events.iter().filter(|event| matches!(event, Event::DownloadPeersGone { .. })).count()
    }
}

fn peer(number: u8) -> PeerId {
    PeerId([number; 32])
}

fn account(ended: Result<Ended, EngineError>) -> Account {
    match ended {
        Ok(Ended::Complete(account)) => account,
        other => panic!("{other:?}"),
    }
}

/// Proves R4, R5: a download from several sources is right, and each source gets its due.
#[tokio::test(start_paused = true)]
async fn a_download_comes_from_all_its_sources() {
    let rig = Rig::new(200);
    let sources: Vec<_> = (1..=4).map(|number| rig.source(number, Behaviour::Honest)).collect();
    let account = account(rig.run(&sources).await);
    rig.check();
    assert_eq!(account.bytes_received, 200 * 50_000);
    assert_eq!(account.bytes_reused, 0);
    assert_eq!(account.sources.values().sum::<u64>(), account.bytes_received);
    assert_eq!(account.sources.len(), 4, "every source gave something");
    let sent: u64 = sources.iter().map(|source| source.bytes_sent()).sum();
    assert!(sent <= account.bytes_received * 102 / 100, "hardly anything came twice");
}

/// Proves T38, R5, R6: a source that dies at any byte costs nothing but its own part.
#[tokio::test(start_paused = true)]
async fn a_source_may_die_at_any_byte() {
    let positions = (0..6).chain((0..40).map(|step| step * 12_345 + 1)).chain([499_999, 500_000]);
    for position in positions {
        let rig = Rig::new(20);
        let dying = rig.source(1, Behaviour::DiesAt(position));
        let account = account(rig.run(&[dying.clone(), rig.source(2, Behaviour::Honest)]).await);
        rig.check();
        assert_eq!(account.bytes_received, 20 * 50_000, "died at {position}");
        assert_eq!(rig.peers_gone(), 0);
    }
}

/// Proves T38: an answer that breaks off once costs a repetition, also of a lone source.
#[tokio::test(start_paused = true)]
async fn a_broken_answer_is_asked_for_again() {
    for position in [0, 1, 49_999, 50_000, 333_333] {
        let rig = Rig::new(20);
        let source = rig.source(1, Behaviour::BreaksAt(position));
        account(rig.run(&[source]).await);
        rig.check();
        assert_eq!(rig.peers_gone(), 0);
    }
}

/// Proves R4, T51: one wrong byte names its sender, who is not asked again; the result is right.
#[tokio::test(start_paused = true)]
async fn a_liar_is_named_and_dropped() {
    for at in [0, 49_999, 50_000, 600_000] {
        let rig = Rig::new(100);
        let liar = rig.source(1, Behaviour::Lies { at, every: u64::MAX });
        let honest = rig.source(2, Behaviour::Honest);
        account(rig.run(&[liar.clone(), honest]).await);
        rig.check();
        assert_eq!(rig.rejected(), vec![peer(1)]);
        assert!(liar.bytes_sent() < at + 3_000_000, "not asked again");
    }
}

/// Proves T52: poisoned sources end the download with their names, and nothing wrong was written.
#[tokio::test(start_paused = true)]
async fn a_download_from_liars_alone_fails_with_their_names() {
    let rig = Rig::new(40);
    let lies = Behaviour::Lies { at: 0, every: 1_000 };
    let ended = rig.run(&[rig.source(1, lies.clone()), rig.source(2, lies)]).await;
    assert_eq!(ended, Err(EngineError::AllRejected { peers: vec![peer(1), peer(2)] }));
    assert_eq!(rig.shelf.bytes_written(), 0);
    let mut rejected = rig.rejected();
    rejected.sort();
    assert_eq!(rejected, vec![peer(1), peer(2)]);
    assert_eq!(rig.peers_gone(), 0, "no second end beside it");
}

/// Proves T54: a source that always refuses is asked a bounded number of times.
#[tokio::test(start_paused = true)]
async fn a_source_that_refuses_is_not_asked_in_a_loop() {
    for reason in [Refusal::Busy, Refusal::NotReady] {
        let rig = Rig::new(200);
        let refusing = rig.source(1, Behaviour::Refuses(reason));
        let slow = rig.source_at(2, 100e3, Behaviour::Honest);
        account(rig.run(&[refusing.clone(), slow]).await);
        rig.check();
        let most = FAILURES_MAX as usize * crate::limits::transfer::REQUESTS_PER_SOURCE_MAX;
        assert!(refusing.requests() <= most, "{} requests", refusing.requests());
        assert_eq!(rig.peers_gone(), 0);
    }
}

/// Proves O7, T54: a lone source that refuses is as good as none, until it announces itself anew.
#[tokio::test(start_paused = true)]
async fn a_lone_refusing_source_leaves_the_download_waiting() {
    let rig = Rig::new(20);
    let source = rig.source(1, Behaviour::Refuses(Refusal::NotReady));
    let (sender, feed) = Rig::feed(std::slice::from_ref(&source));
    let download = rig.run_with(feed);
    tokio::pin!(download);
    let waited = tokio::time::timeout(Duration::from_secs(60), &mut download).await;
    assert!(waited.is_err(), "it waits");
    assert_eq!(rig.peers_gone(), 1);
    source.behave(Behaviour::Honest);
    sender.send_replace(vec![source.announced(2)]);
    account(download.await);
    rig.check();
}

/// Proves T53: a source that falls silent without a word is passed over within a second.
#[tokio::test(start_paused = true)]
async fn a_silent_source_is_passed_over() {
    let rig = Rig::new(400);
    let began_at = Instant::now();
    let silent = rig.source_at(1, 5e6, Behaviour::FallsSilentAt(2_000_000));
    let honest = rig.source_at(2, 5e6, Behaviour::Honest);
    account(rig.run(&[silent, honest]).await);
    rig.check();
    let alone = 18e6 / 5e6;
    let took = began_at.elapsed().as_secs_f64();
    assert!(took < alone + 1.0, "{took} s; alone it takes {alone} s");
}

/// Proves T53: a kilobyte a second holds nobody up.
#[tokio::test(start_paused = true)]
async fn a_very_slow_source_holds_nobody_up() {
    let rig = Rig::new(200);
    let began_at = Instant::now();
    let slow = rig.source_at(1, 1e3, Behaviour::Honest);
    account(rig.run(&[slow, rig.source_at(2, 5e6, Behaviour::Honest)]).await);
    rig.check();
    let took = began_at.elapsed().as_secs_f64();
    assert!(took < 10e6 / 5e6 * 1.1 + 0.3, "{took} s");
}

/// A lone slow source is waited for: nothing is gained by giving it up.
#[tokio::test(start_paused = true)]
async fn a_lone_slow_source_is_not_given_up() {
    let rig = Rig::new(4);
    let source = rig.source_at(1, 10e3, Behaviour::Honest);
    account(rig.run(std::slice::from_ref(&source)).await);
    rig.check();
    assert_eq!(source.bytes_sent(), 4 * 50_000, "nothing was asked for twice");
}

/// Answers of a wrong length are refused before anything is read.
#[tokio::test(start_paused = true)]
async fn an_answer_of_the_wrong_length_is_refused() {
    let rig = Rig::new(20);
    let wrong = rig.source(1, Behaviour::WrongLength);
    account(rig.run(&[wrong.clone(), rig.source_at(2, 1e6, Behaviour::Honest)]).await);
    rig.check();
    assert_eq!(wrong.bytes_sent(), 0);
    assert!(rig.rejected().is_empty(), "no chunk of it was wrong");
}

/// Proves O7: when the last source is gone it says so once, and goes on when one returns.
#[tokio::test(start_paused = true)]
async fn a_download_outlives_its_sources() {
    let rig = Rig::new(100);
    let first = rig.source_at(1, 5e6, Behaviour::DiesAt(1_000_000));
    let (sender, feed) = Rig::feed(std::slice::from_ref(&first));
    let download = rig.run_with(feed);
    tokio::pin!(download);
    let waited = tokio::time::timeout(Duration::from_secs(3600), &mut download).await;
    assert!(waited.is_err(), "it waits");
    assert_eq!(rig.peers_gone(), 1, "said once");
    assert!(rig.recorder.reports().contains(&Report::Phase(Phase::WaitingForPeers)));
    sender.send_replace(Vec::new());
    let second = rig.source(2, Behaviour::Honest);
    sender.send_replace(vec![second.announced(1)]);
    let account = account(download.await);
    rig.check();
    assert_eq!(account.bytes_received, 100 * 50_000, "nothing twice");
    assert!(account.sources[&peer(1)] > 0 && account.sources[&peer(2)] > 0);
    assert_eq!(rig.peers_gone(), 1);
}

/// Proves R5: a source that leaves the table while it sends is replaced at once.
#[tokio::test(start_paused = true)]
async fn a_source_that_leaves_is_replaced() {
    let rig = Rig::new(100);
    let leaving = rig.source_at(1, 2e6, Behaviour::Honest);
    let staying = rig.source_at(2, 2e6, Behaviour::Honest);
    let (sender, feed) = Rig::feed(&[leaving.clone(), staying.clone()]);
    let download = rig.run_with(feed);
    tokio::pin!(download);
    tokio::time::timeout(Duration::from_millis(500), &mut download).await.expect_err("it runs");
    sender.send_replace(vec![staying.announced(1)]);
    let account = account(download.await);
    rig.check();
    assert_eq!(account.bytes_received, 100 * 50_000);
}

/// Figures are told at most four times a second, and they end at everything.
#[tokio::test(start_paused = true)]
async fn progress_is_told_in_measure() {
    let rig = Rig::new(200);
    let began_at = Instant::now();
    account(rig.run(&[rig.source_at(1, 2e6, Behaviour::Honest)]).await);
    let figures: Vec<u64> = rig
        .recorder
        .reports()
        .into_iter()
        .filter_map(|report| match report {
            Report::Bytes { done, .. } => Some(done),
            _ => None,
        })
        .collect();
    let seconds = began_at.elapsed().as_secs_f64();
    assert!(figures.len() as f64 <= seconds * 4.0 + 2.0, "{} in {seconds} s", figures.len());
    assert!(figures.len() as f64 >= seconds * 3.0, "{} in {seconds} s", figures.len());
    assert!(figures.is_sorted());
}

/// Nothing to do is done at once, also without a source.
#[tokio::test(start_paused = true)]
async fn an_empty_game_is_complete() {
    let rig = Rig::of(&[("empty", Vec::new())]);
    assert_eq!(account(rig.run(&[]).await), Account::default());
    assert_eq!(rig.peers_gone(), 0);
}
