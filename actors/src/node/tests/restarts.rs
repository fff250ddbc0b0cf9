//! Deaths of parts, one at a time and in storms.

use super::*;
use crate::{
    api::{ErrorCode, Refused},
    handle::Outcome,
    limits::node::RESTARTS_MAX,
};

/// Proves A7: folder and disk first, the library before the network, nothing twice; `ready` is the
/// first event.
#[tokio::test]
async fn the_parts_start_in_their_order() {
    let mut rig = start(StandIns::default()).await;
    let first = rig.events.next().await.unwrap();
    assert!(matches!(&first, Event::Ready { addresses, .. } if addresses.len() == 1), "{first:?}");
    let order = [Part::View, Part::Disk, Part::Library, Part::Operations, Part::Network];
    assert_eq!(rig.parts.starts(), order, "the control socket was not asked for");
}

/// Proves A2, A3, F7: a killed part comes back, is reachable at its old address, and is counted.
#[tokio::test]
async fn a_killed_part_is_started_again() {
    let mut rig = start(StandIns::default()).await;
    for (round, part) in [Part::Library, Part::Operations, Part::Network].into_iter().enumerate() {
        rig.parts.kill(part);
        assert_eq!(rig.restarted(part).await, 1);
        let status = rig.status().await;
        let counted: u32 = status.actors.iter().map(|actor| actor.restarts).sum();
        assert_eq!(usize::try_from(counted).unwrap(), round + 1, "{:?}", status.actors);
        let health = status.actors.iter().find(|actor| actor.name == part.name()).unwrap();
        assert_eq!(health.last_failure.as_deref(), Some("killed"));
    }
    assert_eq!(rig.handle.shutdown().await, Outcome::Stopped, "the new ones answer, too");
    assert_eq!(rig.parts.told(), END);
}

/// Proves A3 for the one part that user interfaces read: they keep what they saw, then see more.
#[tokio::test]
async fn a_killed_view_comes_back_with_what_it_knew() {
    let mut rig = start(StandIns::default()).await;
    let before = rig.status().await;
    assert!(before.node.peer_id.is_some() && before.node.addresses.len() == 1);
    rig.parts.kill(Part::View);
    assert_eq!(rig.restarted(Part::View).await, 1);
    let after = rig.status().await;
    assert_eq!(after.node, before.node);
}

/// Proves F8: a storm ends after the budget with exactly one `runtime-failed`, and the starts are
/// counted.
#[tokio::test(start_paused = true)]
async fn a_storm_ends_in_one_runtime_failure() {
    let mut rig = start(StandIns::default()).await;
    for _ in 0..RESTARTS_MAX {
        rig.parts.kill(Part::Library);
        rig.restarted(Part::Library).await;
    }
    rig.parts.kill(Part::Library);
    let events = rig.rest().await;
    assert_eq!(runtime_failures(&events), ["library"], "{events:?}");
    assert_eq!(rig.parts.starts_of(Part::Library), 1 + RESTARTS_MAX);
    let outcome = rig.handle.wait_stopped().await;
    assert!(matches!(&outcome, Outcome::Failed { component, .. } if component == "library"));
    let told = rig.parts.told();
    assert_eq!(told, END[..4], "goodbyes still go out (A2); the library is dead");
}

/// Proves F3: starts that fail go through the same budget and the same end.
#[tokio::test(start_paused = true)]
async fn failing_starts_are_retried_and_then_given_up() {
    let parts = StandIns::default().failing(Part::Network, 2);
    let rig = start(parts).await;
    assert_eq!(rig.parts.starts_of(Part::Network), 3);
    drop(rig);

    let mut rig = launch(StandIns::default().failing(Part::Network, usize::MAX)).await;
    let error = rig.handle.ready().await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ShuttingDown);
    assert_eq!(rig.parts.starts_of(Part::Network), 1 + RESTARTS_MAX);
    let events = rig.rest().await;
    assert_eq!(runtime_failures(&events), ["network"]);
}

/// Proves L7 for the caller: a part that refuses to start says why, and is not asked again.
#[tokio::test]
async fn a_refusal_ends_the_start_with_its_code() {
    let refused = Refused::new(ErrorCode::BadGamesDir, "the games folder is on fire");
    let rig = launch(StandIns::default().refusing(Part::Library, refused)).await;
    let error = rig.handle.ready().await.unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::BadGamesDir, "the games folder is on fire")
    );
    assert_eq!(rig.parts.starts_of(Part::Library), 1);
    let outcome = rig.handle.wait_stopped().await;
    assert_eq!(outcome, Outcome::NotStarted(error), "a start that failed is no runtime failure");
}

/// Proves A2: a required part is not replaced; the node ends in order.
#[tokio::test]
async fn the_death_of_the_disk_ends_the_node() {
    let mut rig = start(StandIns::default()).await;
    rig.parts.kill(Part::Disk);
    let events = rig.rest().await;
    assert_eq!(runtime_failures(&events), ["disk"]);
    assert_eq!(rig.parts.starts_of(Part::Disk), 1);
    assert_eq!(rig.parts.told(), END);
}

/// Proves that a node which scripts cannot reach goes on, and says so.
#[tokio::test(start_paused = true)]
async fn a_control_socket_that_cannot_be_had_degrades_the_node() {
    let home = home();
    let mut config = config(home.path());
    config.control_socket = true;
    let parts = StandIns::default().failing(Part::Control, usize::MAX);
    let handle = NodeHandle::launch_with(config, Arc::new(parts.clone())).await.unwrap();
    handle.ready().await.unwrap();
    assert_eq!(parts.starts_of(Part::Control), 1 + RESTARTS_MAX);
    let events = handle.events();
    let rig = Rig { handle, events, parts, home };
    let problems = rig.status().await.problems;
    assert!(problems[0].contains("control"), "{problems:?}");
}
