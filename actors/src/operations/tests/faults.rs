//! What happens to operations when peers, disks and actors fail them.

use std::{fs, time::Duration};

use lanspread_wire::PeerId;
use tokio::time::timeout;

use super::{
    peers::Content,
    rig::{LONG, Rig, game},
};
use crate::{
    api::{Command, ErrorCode, Event, Phase},
    game_op::testing::{Behaviour, ScriptedSource, chunks},
    limits::operations::RESTARTS_MAX,
    operations::OperationsMsg,
};

const FAST: f64 = 200e6;

fn content() -> Content {
    let bytes = chunks(1, 1, 3_000_000).remove(0);
    Content::new("20240101", &[("data.pak", bytes)], 50_000)
}

fn is_progress(event: &Event) -> bool {
    matches!(event, Event::DownloadProgress { bytes_done, .. } if *bytes_done > 300_000)
}

async fn running_download(rig: &mut Rig, content: &Content) {
    rig.peer(1, content, Behaviour::Honest, 1e6);
    rig.download(false).await.unwrap();
    rig.wait(is_progress).await;
}

/// A download that was hurt, given a fast peer, comes to its one good end.
async fn ends_well(rig: &mut Rig, content: &Content) {
    rig.peer(9, content, Behaviour::Honest, FAST);
    rig.wait(|event| matches!(event, Event::DownloadFinished { .. })).await;
    content.check(&rig.root());
    assert_eq!(rig.seen_terminal().len(), 1, "one terminal event: {:?}", rig.seen_terminal());
    assert!(rig.local().unwrap().is_ready());
    assert!(rig.game_ops().is_empty() || timeout(LONG, gone(rig)).await.is_ok());
}

async fn gone(rig: &Rig) {
    while !rig.game_ops().is_empty() {
        tokio::task::yield_now().await;
    }
}

/// Proves O7: the last source goes, it says so once and no failure beside it; with the next one it
/// goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_waits_for_its_sources() {
    let mut rig = Rig::new().await;
    let content = content();
    running_download(&mut rig, &content).await;
    rig.market.leave(PeerId([1; 32]));
    rig.wait(|event| matches!(event, Event::DownloadPeersGone { .. })).await;
    let phase = rig.ports.operation_table.borrow().rows[&game()].phase;
    assert_eq!(phase, Phase::WaitingForPeers);
    ends_well(&mut rig, &content).await;
    let gone = |event: &&Event| matches!(event, Event::DownloadPeersGone { .. });
    assert_eq!(rig.seen().iter().filter(gone).count(), 1);
}

/// Proves O6, O7: a waiting download can be cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_download_can_be_cancelled() {
    let mut rig = Rig::new().await;
    let content = content();
    running_download(&mut rig, &content).await;
    rig.market.leave(PeerId([1; 32]));
    rig.wait(|event| matches!(event, Event::DownloadPeersGone { .. })).await;
    rig.command(Command::Cancel { game: game().to_string() }).await.unwrap();
    assert_eq!(rig.end().await, Event::DownloadCancelled { game: game() });
}

/// Proves R4, T52: liars alone end the download with their names; nothing is visible.
#[tokio::test(flavor = "multi_thread")]
async fn liars_end_the_download_with_their_names() {
    let mut rig = Rig::new().await;
    let content = content();
    rig.peer(1, &content, Behaviour::Lies { at: 0, every: 10_000 }, FAST);
    rig.download(true).await.unwrap();
    let end = rig.end().await;
    let Event::DownloadFailed { code: ErrorCode::BadContent, message, .. } = end else {
        panic!("{end:?}")
    };
    assert!(message.contains(&PeerId([1; 32]).short()), "{message}");
    assert!(rig.seen().iter().any(|event| matches!(event, Event::ChunkRejected { .. })));
    assert!(!rig.root().join("version.ini").try_exists().unwrap());
}

/// Proves T47: a wrong manifest is refused; another source has the right one.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_manifest_is_refused() {
    let mut rig = Rig::new().await;
    let (content, other) = (content(), Content::new("20240101", &[("x", vec![1])], 10));
    let liar = ScriptedSource::new(1, &content.chunks, FAST, Behaviour::Honest);
    liar.set_manifest(other.target.manifest.encode());
    rig.join(1, &content, liar);
    rig.download(false).await.unwrap();
    let end = rig.end().await;
    assert!(matches!(end, Event::DownloadFailed { code: ErrorCode::BadContent, .. }), "{end:?}");
    rig.peer(2, &content, Behaviour::Honest, FAST);
    rig.download(false).await.unwrap();
    rig.wait(|event| matches!(event, Event::DownloadFinished { .. })).await;
    content.check(&rig.root());
}

/// Proves F7, O5, I11: a killed operation is recovered and goes on from what is staged.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_operation_goes_on() {
    let mut rig = Rig::new().await;
    let content = content();
    running_download(&mut rig, &content).await;
    for actor in rig.game_ops() {
        actor.kill();
    }
    rig.wait(|event| is_phase(event, Phase::Recovering)).await;
    ends_well(&mut rig, &content).await;
}

fn is_phase(event: &Event, phase: Phase) -> bool {
    matches!(event, Event::ActiveOperationsChanged { operations }
        if operations.iter().any(|operation| operation.phase == phase))
}

/// Proves F1, A2: an operation that panics once is repeated; one that always does is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_operation_is_repeated_and_then_given_up() {
    let mut rig = Rig::new().await;
    let content = content();
    *rig.market.panics.lock().unwrap() = 1;
    rig.peer(1, &content, Behaviour::Honest, FAST);
    rig.download(false).await.unwrap();
    ends_well(&mut rig, &content).await;

    let mut rig = Rig::new().await;
    *rig.market.panics.lock().unwrap() = RESTARTS_MAX + 1;
    rig.peer(1, &content, Behaviour::Honest, FAST);
    rig.download(false).await.unwrap();
    let end = rig.end().await;
    let Event::DownloadFailed { code: ErrorCode::Internal, message, .. } = end else {
        panic!("{end:?}")
    };
    assert!(message.contains("a bug in an operation"), "{message}");
    assert_eq!(rig.seen_terminal().len(), 1);
    // The table is free again, and the next command works.
    rig.download(false).await.unwrap();
    rig.wait(|event| matches!(event, Event::DownloadFinished { .. })).await;
    content.check(&rig.root());
}

/// Proves F7, A3, I11: the supervisor itself dies and comes back; the operation still has one end.
#[tokio::test(flavor = "multi_thread")]
async fn operations_outlive_their_supervisor() {
    let mut rig = Rig::new().await;
    let content = content();
    running_download(&mut rig, &content).await;
    rig.kill_operations().await;
    rig.start_operations().await;
    let refused = rig.download(false).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::OperationInProgress, "the entry is still there");
    ends_well(&mut rig, &content).await;
}

/// Proves A4: parking ends everything within its time, and what was fetched stays.
#[tokio::test(flavor = "multi_thread")]
async fn parking_stops_everything() {
    let mut rig = Rig::new().await;
    let content = content();
    running_download(&mut rig, &content).await;
    let park = |reply| OperationsMsg::Park { reply };
    rig.ports.operations.call(park, Duration::from_millis(700)).await.unwrap();
    let end = rig.end().await;
    assert!(matches!(end, Event::DownloadFailed { code: ErrorCode::ShuttingDown, .. }), "{end:?}");
    assert!(rig.root().join(".download").try_exists().unwrap());
    let refused = rig.download(false).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ShuttingDown);
}

/// Proves T69: a file where `local` should be is reported, and nothing is changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_the_way_is_reported() {
    let mut rig = Rig::new().await;
    let content = content();
    rig.peer(1, &content, Behaviour::Honest, FAST);
    rig.download(false).await.unwrap();
    rig.wait(|event| matches!(event, Event::DownloadFinished { .. })).await;
    fs::write(rig.root().join("local"), "not a folder").unwrap();
    rig.command(Command::Install { game: game().to_string() }).await.unwrap();
    let end = rig.end().await;
    let Event::InstallFailed { code: ErrorCode::Io, message, .. } = end else { panic!("{end:?}") };
    assert!(message.contains("local"), "{message}");
    assert_eq!(fs::read(rig.root().join("local")).unwrap(), b"not a folder");
    content.check(&rig.root());
}

/// Proves F18, T58: a game folder that cannot be written ends the operation with the system's word.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_place_of_a_game_is_refused() {
    let mut rig = Rig::new().await;
    let content = content();
    let elsewhere = rig.folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, rig.root()).unwrap();
    rig.peer(1, &content, Behaviour::Honest, FAST);
    rig.download(true).await.unwrap();
    let end = rig.end().await;
    assert!(matches!(end, Event::DownloadFailed { code: ErrorCode::Io, .. }), "{end:?}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "nothing was written through it");
}
