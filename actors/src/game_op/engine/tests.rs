//! The engine against scripted sources, on the paused clock.

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

/// Proves O6: a stop ends it at a chunk boundary, records what is here, and a resume fetches
/// only the rest.
#[tokio::test(start_paused = true)]
async fn a_stopped_download_resumes_where_it_was() {
    let mut rig = Rig::new(100);
    let source = rig.source_at(1, 5e6, Behaviour::Honest);
    let (_sender, feed) = Rig::feed(&[source]);
    let stopped = {
        let download = rig.run_with(feed);
        tokio::pin!(download);
        let early = tokio::time::timeout(Duration::from_millis(400), &mut download).await;
        early.expect_err("it runs");
        rig.switch.stop(StopReason::Cancel);
        download.await
    };
    assert_eq!(stopped, Ok(Ended::Stopped(StopReason::Cancel)));
    let saved = rig.shelf.saved().expect("progress was saved");
    let recorded = ChunkSet::from_bytes(&saved, 100).expect("of this content");
    assert!((10..60).contains(&recorded.count()), "{recorded:?}");

    let (switch, stop) = StopSwitch::new();
    (rig.switch, rig.stop) = (switch, stop);
    let present = Present { recorded: Some(&recorded), ..Present::default() };
    rig.reuse = ReusePlan::new(&rig.target, present);
    let again = rig.source(2, Behaviour::Honest);
    let account = account(rig.run(std::slice::from_ref(&again)).await);
    rig.check();
    assert_eq!(account.bytes_reused, u64::from(recorded.count()) * 50_000);
    assert_eq!(account.bytes_received, u64::from(100 - recorded.count()) * 50_000);
    assert!(again.chunks_asked().iter().all(|chunk| !recorded.contains(*chunk)));
}

/// Proves R6: what was recorded but is not there any more is fetched again.
#[tokio::test(start_paused = true)]
async fn a_record_is_not_believed() {
    let mut rig = Rig::new(30);
    let recorded = ChunkSet::full(30);
    let present = Present { recorded: Some(&recorded), ..Present::default() };
    rig.reuse = ReusePlan::new(&rig.target, present);
    let mut bytes = rig.content.concat();
    bytes[70_000] ^= 1;
    bytes.truncate(29 * 50_000 + 5);
    bytes.resize(30 * 50_000, 0);
    rig.shelf.put_staged(0, bytes);
    let source = rig.source(1, Behaviour::Honest);
    let account = account(rig.run(std::slice::from_ref(&source)).await);
    rig.check();
    let mut asked = source.chunks_asked();
    asked.sort_unstable();
    assert_eq!(asked, vec![1, 29], "only what is damaged");
    assert_eq!(account.bytes_reused, 28 * 50_000);
}

/// An update: what did not change stays or is copied, and only the rest travels.
#[tokio::test(start_paused = true)]
async fn an_update_fetches_only_what_changed() {
    let (kept, old) = (chunks(2, 10, 50_000), chunks(3, 10, 50_000));
    let mut new = chunks(4, 1, 30_000);
    new.extend(old.clone());
    let mut rig = Rig::of(&[("changed", new), ("kept", kept.clone())]);
    let before = target_of(&[("changed", old.clone()), ("kept", kept.clone())]);
    rig.shelf.put_in_root("changed", old.concat());
    rig.shelf.put_in_root("kept", kept.concat());
    let present = Present { old: Some(&before.manifest), ..Present::default() };
    rig.reuse = ReusePlan::new(&rig.target, present);
    let source = rig.source(1, Behaviour::Honest);
    let account = account(rig.run(std::slice::from_ref(&source)).await);
    rig.check();
    assert_eq!(source.chunks_asked(), vec![0]);
    assert_eq!((account.bytes_received, account.bytes_reused), (30_000, 1_000_000));
    assert_eq!(rig.shelf.bytes_written(), 530_000, "the file that stays is not written");
}

/// Proves R6: a file that stays is not recorded as staged; the next run looks at it again in place.
#[tokio::test(start_paused = true)]
async fn a_file_that_stays_is_not_recorded_as_staged() {
    let (kept, old) = (chunks(2, 10, 50_000), chunks(3, 60, 50_000));
    let mut rig = Rig::of(&[("fresh", old), ("kept", kept.clone())]);
    rig.shelf.put_in_root("kept", kept.concat());
    rig.reuse = ReusePlan::new(&rig.target, Present { strangers: &[1], ..Present::default() });
    let source = rig.source_at(1, 2e6, Behaviour::Honest);
    let (_sender, feed) = Rig::feed(std::slice::from_ref(&source));
    {
        let download = rig.run_with(feed);
        tokio::pin!(download);
        tokio::time::timeout(Duration::from_millis(500), &mut download).await.expect_err("runs");
        rig.switch.stop(StopReason::Park);
        assert_eq!(download.await, Ok(Ended::Stopped(StopReason::Park)));
    }
    let saved = rig.shelf.saved().expect("progress was saved");
    let recorded = ChunkSet::from_bytes(&saved, 70).expect("of this content");
    assert!(recorded.iter().all(|chunk| chunk < 60), "only what is staged: {recorded:?}");
    assert!(!recorded.is_empty());
}

/// A file in place that turns out to be damaged is repaired from its own good parts.
#[tokio::test(start_paused = true)]
async fn a_damaged_file_in_place_is_repaired() {
    let content = chunks(2, 10, 50_000);
    let mut rig = Rig::of(&[("data", content.clone())]);
    let mut damaged = content.concat();
    damaged[260_000] ^= 1;
    rig.shelf.put_in_root("data", damaged);
    rig.reuse = ReusePlan::new(&rig.target, Present { strangers: &[0], ..Present::default() });
    assert_eq!(rig.reuse.in_place, vec![0]);
    let source = rig.source(1, Behaviour::Honest);
    account(rig.run(std::slice::from_ref(&source)).await);
    rig.check();
    assert_eq!(source.chunks_asked(), vec![5]);
}

/// Equal chunks travel once, whatever file they are in.
#[tokio::test(start_paused = true)]
async fn equal_chunks_travel_once() {
    let same = vec![9u8; 50_000];
    let rig = Rig::of(&[
        ("a", vec![same.clone(); 10]),
        ("b", vec![same.clone(), chunks(1, 1, 50_000).remove(0)]),
    ]);
    let source = rig.source(1, Behaviour::Honest);
    let account = account(rig.run(&[source]).await);
    rig.check();
    assert_eq!((account.bytes_received, account.bytes_reused), (100_000, 500_000));
}

/// Proves R7: a full disk is a pause; when space is made it goes on with nothing lost.
#[tokio::test(start_paused = true)]
async fn a_full_disk_is_a_pause() {
    let rig = Rig::new(100);
    rig.shelf.set_fault(ShelfFault::FullAfter(2_000_000));
    let source = rig.source(1, Behaviour::Honest);
    let (_sender, feed) = Rig::feed(&[source]);
    let download = rig.run_with(feed);
    tokio::pin!(download);
    tokio::time::timeout(SPACE_WAIT_MAX / 2, &mut download).await.expect_err("it waits");
    assert!(rig.recorder.reports().contains(&Report::Phase(Phase::WaitingForSpace)));
    let before = rig.shelf.bytes_written();
    rig.shelf.set_fault(ShelfFault::None);
    account(download.await);
    rig.check();
    assert!(before > 1_000_000);
    assert!(rig.shelf.bytes_written() <= 5_000_000 + 500_000, "what was written stays");
}

/// Proves T58: a disk that stays full ends the download with its error; what is here stays.
#[tokio::test(start_paused = true)]
async fn a_disk_that_stays_full_ends_it() {
    let rig = Rig::new(100);
    rig.shelf.set_fault(ShelfFault::FullAfter(2_000_000));
    let began_at = Instant::now();
    let ended = rig.run(&[rig.source(1, Behaviour::Honest)]).await;
    let Err(EngineError::Shelf(error)) = ended else { panic!("{ended:?}") };
    assert_eq!(error.code, ErrorCode::DiskFull);
    let waited = began_at.elapsed();
    assert!(waited >= SPACE_WAIT_MAX && waited < SPACE_WAIT_MAX * 2, "{waited:?}");
}

/// Proves F17: any other failure of the disk ends it at once.
#[tokio::test(start_paused = true)]
async fn a_broken_disk_ends_it() {
    for fault in [ShelfFault::BrokenAfter(1_000_000), ShelfFault::NoSave] {
        let rig = Rig::new(400);
        rig.shelf.set_fault(fault);
        let ended = rig.run(&[rig.source(1, Behaviour::Honest)]).await;
        let Err(EngineError::Shelf(error)) = ended else { panic!("{ended:?}") };
        assert_eq!(error.code, ErrorCode::Io);
    }
}

/// Proves F1: a panic in a worker is not swallowed.
#[tokio::test(start_paused = true)]
async fn a_panic_goes_on() {
    let rig = Rig::new(50);
    rig.shelf.set_fault(ShelfFault::PanicsAfter(1_000_000));
    let source = rig.source(1, Behaviour::Honest);
    let (_sender, feed) = Rig::feed(&[source]);
    let ended = AssertUnwindSafe(rig.run_with(feed)).catch_unwind().await;
    assert!(ended.is_err(), "supervision must see it");
}

/// Proves A6: a slow disk holds the sources back; the bytes that wait have a bound.
#[tokio::test(start_paused = true)]
async fn a_slow_disk_holds_the_sources_back() {
    let mut rig = Rig::new(1_600);
    rig.pool.delay = Duration::from_millis(400);
    let sources: Vec<_> =
        (1..=8).map(|number| rig.source_at(number, 1e9, Behaviour::Honest)).collect();
    let (_sender, feed) = Rig::feed(&sources);
    let download = rig.run_with(feed);
    tokio::pin!(download);
    let mut waiting_max = 0;
    loop {
        let step = tokio::time::timeout(Duration::from_millis(20), &mut download).await;
        let sent: u64 = sources.iter().map(|source| source.bytes_sent()).sum();
        waiting_max = waiting_max.max(sent - rig.shelf.bytes_written().min(sent));
        if let Ok(ended) = step {
            account(ended);
            break;
        }
    }
    rig.check();
    assert!(waiting_max <= u64::from(BUFFER_BYTES_MAX) * 11 / 10, "{waiting_max} bytes waited");
}

/// Proves F5: a disk that hangs is told of once, and the download goes on when it comes back.
#[tokio::test(start_paused = true)]
async fn a_hanging_disk_is_told_of() {
    let mut rig = Rig::new(20);
    rig.pool.delay = DISK_SILENCE * 3;
    account(rig.run(&[rig.source(1, Behaviour::Honest)]).await);
    rig.check();
    let notices: Vec<_> = rig
        .recorder
        .events()
        .into_iter()
        .filter(|event| matches!(event, Event::Notice { .. }))
        .collect();
    let [Event::Notice { message, .. }] = &notices[..] else { panic!("{notices:?}") };
    assert!(message.contains("quake") && message.contains("disk"), "{message}");
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

/// Progress is saved often enough that a kill costs little, and not with every chunk.
#[tokio::test(start_paused = true)]
async fn progress_is_saved_in_measure() {
    let rig = Rig::new(1_000);
    account(rig.run(&[rig.source_at(1, 20e6, Behaviour::Honest)]).await);
    let bytes = 1_000 * 50_000;
    let most = usize::try_from(bytes / SAVE_BYTES_MIN).expect("small");
    assert!((most / 2..=most + 1).contains(&rig.shelf.saves()), "{} saves", rig.shelf.saves());
}

/// Nothing to do is done at once, also without a source.
#[tokio::test(start_paused = true)]
async fn an_empty_game_is_complete() {
    let rig = Rig::of(&[("empty", Vec::new())]);
    assert_eq!(account(rig.run(&[]).await), Account::default());
    assert_eq!(rig.peers_gone(), 0);
}
