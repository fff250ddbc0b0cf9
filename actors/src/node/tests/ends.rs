//! How a node ends: ordered, in time, by a failure, by a handle that is dropped.

use super::*;
use crate::{
    api::{Command, ErrorCode, Reply},
    handle::Outcome,
    limits::node::SHUTDOWN_DEADLINE,
};

/// Proves A4 and A5: the order of the end, and that an ordered one is silent.
#[tokio::test]
async fn a_shutdown_is_ordered_and_silent() {
    let mut rig = start(StandIns::default()).await;
    assert_eq!(rig.handle.shutdown().await, Outcome::Stopped);
    assert_eq!(rig.parts.told(), END);
    let events = rig.rest().await;
    assert!(runtime_failures(&events).is_empty(), "{events:?}");
    assert_eq!(rig.handle.shutdown().await, Outcome::Stopped, "a second one finds it ended");
    let refused = rig.handle.command(Command::Status {}).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::ShuttingDown);
}

/// Proves A4: parts that do not answer cost their deadlines, not more.
#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_in_time_whoever_hangs() {
    let rig = start(StandIns::default().silent(&[Part::Network, Part::Operations])).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(rig.handle.shutdown().await, Outcome::Stopped);
    assert!(begun.elapsed() <= SHUTDOWN_DEADLINE, "{:?}", begun.elapsed());
    assert_eq!(rig.parts.told(), END);
}

/// Proves A4 for a node that is not up yet.
#[tokio::test(start_paused = true)]
async fn a_start_that_hangs_can_be_ended() {
    let rig = launch(StandIns::default().hanging(Part::Library)).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(rig.handle.shutdown().await, Outcome::Stopped);
    assert!(begun.elapsed() <= SHUTDOWN_DEADLINE);
    assert_eq!(rig.handle.ready().await.unwrap_err().code, ErrorCode::ShuttingDown);
}

/// Proves A5: a command side that closes without a shutdown is a failure, told as such.
#[tokio::test]
async fn a_dropped_handle_is_a_failure() {
    let Rig { handle, mut events, parts, home: _home } = start(StandIns::default()).await;
    let second = handle.clone();
    let commander = handle.commander();
    drop(handle);
    assert!(commander.command(Command::Status {}).await.is_ok(), "a handle is left");
    drop(second);
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(event);
    }
    assert_eq!(runtime_failures(&told), ["handle"]);
    assert_eq!(parts.told(), END);
}

/// Proves A2 for the root itself: its death is told although nobody is left to tell it.
#[tokio::test]
async fn a_killed_node_is_a_failure() {
    let mut rig = start(StandIns::default()).await;
    rig.handle.kill_for_test();
    let events = rig.rest().await;
    assert_eq!(runtime_failures(&events), ["node"]);
    assert!(matches!(rig.handle.wait_stopped().await, Outcome::Failed { .. }));
}

/// Proves that an end which is asked for at once does not hide why there is no node.
#[tokio::test]
async fn an_early_end_does_not_hide_a_bad_start() {
    let home = home();
    let mut config = config(home.path());
    config.games_dir = Some(home.path().join("missing"));
    let parts = Arc::new(StandIns::default());
    let handle = NodeHandle::launch_with(config, parts).await.unwrap();
    let outcome = handle.shutdown().await;
    assert!(
        matches!(&outcome, Outcome::NotStarted(error) if error.code == ErrorCode::BadGamesDir),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn the_shutdown_command_ends_the_node() {
    let mut rig = start(StandIns::default()).await;
    assert_eq!(rig.handle.command(Command::Shutdown {}).await, Ok(Reply::Done {}));
    assert_eq!(rig.handle.wait_stopped().await, Outcome::Stopped);
    assert!(runtime_failures(&rig.rest().await).is_empty());
}

/// Proves that nothing of a node is global: the second one neither sees nor outlives the first.
#[tokio::test]
async fn two_nodes_live_in_one_process() {
    let one = start(StandIns::default()).await;
    let two = start(StandIns::default()).await;
    assert_ne!(one.status().await.node.peer_id, two.status().await.node.peer_id);
    one.handle.shutdown().await;
    assert!(two.handle.command(Command::ListGames {}).await.is_ok());
}
