//! The engine on a disk that is full, slow, broken or silent.

use super::*;

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

/// Progress is saved often enough that a kill costs little, and not with every chunk.
#[tokio::test(start_paused = true)]
async fn progress_is_saved_in_measure() {
    let rig = Rig::new(1_000);
    account(rig.run(&[rig.source_at(1, 20e6, Behaviour::Honest)]).await);
    let bytes = 1_000 * 50_000;
    let most = usize::try_from(bytes / SAVE_BYTES_MIN).expect("small");
    assert!((most / 2..=most + 1).contains(&rig.shelf.saves()), "{} saves", rig.shelf.saves());
}
