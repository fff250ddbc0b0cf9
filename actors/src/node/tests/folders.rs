//! Folders, locks and settings around the start, and a change of the games folder.

use std::fs;

use super::*;
use crate::{
    api::{Command, ErrorCode, Reply},
    facts::{OperationRow, OperationTable},
    handle::Outcome,
    settings::SETTINGS_FILE,
};

/// Proves T69: the second program on one folder is refused and told who is there.
#[tokio::test]
async fn a_folder_belongs_to_one_program() {
    let rig = start(StandIns::default()).await;
    let error = start_error(config(rig.home.path())).await;
    assert_eq!(error.code, ErrorCode::StateDirBusy);
    let own = std::process::id().to_string();
    assert!(error.message.contains(&own), "{}", error.message);

    let mut other = config(rig.home.path());
    other.state_dir = rig.home.path().join("other-state");
    let error = start_error(other.clone()).await;
    assert_eq!(error.code, ErrorCode::GamesDirBusy);
    assert!(error.message.contains(&own), "{}", error.message);

    rig.handle.shutdown().await;
    let parts = Arc::new(StandIns::default());
    NodeHandle::launch_with(other, parts).await.unwrap().ready().await.unwrap();
}

/// Proves L7: a folder of the command line that is no good is an error that names it.
#[tokio::test]
async fn a_bad_folder_is_an_error_that_names_it() {
    let home = home();
    let mut config = config(home.path());
    config.games_dir = Some(home.path().join("missing"));
    let error = start_error(config).await;
    assert_eq!(error.code, ErrorCode::BadGamesDir);
    assert!(error.message.contains("missing"), "{}", error.message);
}

/// Proves T68: a remembered folder that is away is told, and does not stop the start.
#[tokio::test]
async fn a_remembered_folder_may_be_away() {
    let home = home();
    let rig = launch_at(home, StandIns::default()).await;
    rig.handle.ready().await.unwrap();
    rig.handle.shutdown().await;
    let home = rig.home;
    fs::remove_dir_all(home.path().join("games")).unwrap();
    let mut config = config(home.path());
    config.games_dir = None;
    let handle = NodeHandle::launch_with(config, Arc::new(StandIns::default())).await.unwrap();
    let mut events = handle.events();
    let info = handle.ready().await.unwrap();
    assert_eq!(info.games_dir, Some(home.path().join("games")));
    assert!(matches!(events.next().await, Some(Event::Ready { .. })));
    let notice = events.next().await.unwrap();
    assert!(matches!(&notice, Event::Notice { message, .. } if message.contains("games")));
}

/// Proves T72: the name is made up once and kept, the port is kept.
#[tokio::test]
async fn name_and_port_are_kept_across_starts() {
    let rig = start(StandIns::default()).await;
    let first = rig.handle.ready().await.unwrap();
    // The last thing of a start is not waited for by `ready`.
    rig.handle.shutdown().await;
    let text = fs::read_to_string(rig.home.path().join("state").join(SETTINGS_FILE)).unwrap();
    assert!(text.contains("port = 45000"), "{text}");
    assert!(text.contains(&first.name), "{text}");
    for word in [std::env::var("USER"), std::env::var("HOSTNAME")].into_iter().flatten() {
        assert!(!first.name.eq_ignore_ascii_case(&word));
    }
    let again = launch_at(rig.home, StandIns::default()).await;
    let second = again.handle.ready().await.unwrap();
    assert_eq!((second.name, second.peer_id), (first.name, first.peer_id));
}

/// Proves T70 at the start: damaged settings are told, and the node runs.
#[tokio::test]
async fn damaged_settings_do_not_stop_the_start() {
    let home = home();
    fs::create_dir(home.path().join("state")).unwrap();
    fs::write(home.path().join("state").join(SETTINGS_FILE), [0xff, 0x00]).unwrap();
    let mut rig = launch_at(home, StandIns::default()).await;
    rig.handle.ready().await.unwrap();
    let notice = rig.event(|event| matches!(event, Event::Notice { .. })).await;
    assert!(matches!(&notice, Event::Notice { message, .. } if message.contains(SETTINGS_FILE)));
}

/// Proves T5 and A7: what a crash left in a game root is put in order before the library looks.
#[tokio::test]
async fn game_roots_are_recovered_before_the_library_starts() {
    let home = home();
    let root = home.path().join("games/quake");
    fs::create_dir(&root).unwrap();
    fs::write(root.join(".lanspread.json"), "{torn").unwrap();
    let mut rig = launch_at(home, StandIns::default()).await;
    rig.handle.ready().await.unwrap();
    let found = rig.event(|event| matches!(event, Event::Recovery { .. })).await;
    assert!(matches!(&found, Event::Recovery { game, .. } if game == "quake"), "{found:?}");
    assert!(!root.join(".lanspread.json").try_exists().unwrap(), "it is set aside (T7)");
}

/// Proves L8: another folder is checked, locked, recovered and remembered, and the old one is free.
#[tokio::test]
async fn the_games_folder_can_be_changed() {
    let rig = start(StandIns::default()).await;
    let new = rig.home.path().join("new");
    let change = |path: std::path::PathBuf| rig.handle.command(Command::SetGamesDir { path });
    let missing = change(new.clone()).await.unwrap_err();
    assert_eq!(missing.code, ErrorCode::BadGamesDir);

    fs::create_dir(&new).unwrap();
    assert_eq!(change(new.clone()).await, Ok(Reply::Done {}));
    assert_eq!(rig.parts.games_dirs(), [rig.home.path().join("games"), new.clone()]);
    assert_eq!(rig.status().await.node.games_dir, Some(new.clone()));
    let settings = fs::read_to_string(rig.home.path().join("state").join(SETTINGS_FILE)).unwrap();
    assert!(settings.contains(new.to_str().unwrap()), "durable before the answer: {settings}");

    let mut other = config(rig.home.path());
    other.state_dir = rig.home.path().join("other-state");
    let parts = Arc::new(StandIns::default());
    let other = NodeHandle::launch_with(other, parts).await.unwrap();
    other.ready().await.expect("the old folder is free");
    let busy = change(rig.home.path().join("games")).await.unwrap_err();
    assert_eq!(busy.code, ErrorCode::GamesDirBusy);
    assert_eq!(change(new).await, Ok(Reply::Done {}), "the same folder: a refresh");
    assert_eq!(rig.handle.shutdown().await, Outcome::Stopped);
}

/// Proves L8: not while an operation runs.
#[tokio::test]
async fn a_busy_node_keeps_its_games_folder() {
    let rig = start(StandIns::default()).await;
    let new = rig.home.path().join("new");
    fs::create_dir(&new).unwrap();
    let row = OperationRow {
        operation: "op".to_owned(),
        kind: crate::api::OperationKind::Installing,
        phase: crate::api::Phase::Unpacking,
        bytes_done: 0,
        bytes_total: 1,
    };
    let quake = lanspread_wire::GameId::parse("quake").unwrap();
    let rows = [(quake.clone(), row)].into();
    rig.parts
        .operation_table()
        .send_replace(Arc::new(OperationTable { rows, ..OperationTable::default() }));
    let refused = rig.handle.command(Command::SetGamesDir { path: new }).await.unwrap_err();
    assert_eq!((refused.code, refused.game), (ErrorCode::OperationInProgress, Some(quake)));
}
