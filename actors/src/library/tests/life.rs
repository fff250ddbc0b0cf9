//! How the library starts, dies, comes back, loses its folder and ends.

use std::{fs, sync::Arc, time::Duration};

use super::rig::*;
use crate::{
    api::{Availability, Event, OperationKind, Phase},
    facts::{LocalLibrary, OperationRow, OperationTable},
    library::LibraryMsg,
    view::ViewMsg,
};

fn quake() -> tempfile::TempDir {
    let dir = folders();
    put(&dir, "quake/version.ini", "20240101");
    put(&dir, "quake/pak0", "first");
    dir
}

/// Proves L7 and A7: when the start is over the folder was seen, and hashing goes on beside it.
#[tokio::test]
async fn the_first_look_is_over_when_the_start_is() {
    let dir = quake();
    put(&dir, "installed/local/save", "12345");
    fs::create_dir(dir.path().join("games/empty")).unwrap();
    let mut rig = Rig::start(dir).await;
    let local = rig.local.borrow().clone();
    assert_eq!(local.games.len(), 2, "an empty folder is no game");
    let quake = &local.games[&game("quake")];
    assert_eq!(quake.version.as_ref().unwrap().as_str(), "20240101");
    assert_eq!(quake.availability, Some(Availability::Ready));
    assert_eq!(quake.root, rig.games().join("quake"));
    let installed = &local.games[&game("installed")];
    assert!(installed.installed && installed.version.is_none());
    assert_eq!((installed.bytes_total, installed.availability), (5, Some(Availability::LocalOnly)));
    let announced = rig.announced.borrow().clone();
    assert!(announced.state.revision > 0);
    assert_eq!(announced.games.keys().collect::<Vec<_>>(), [&game("quake")]);
    assert!(rig.watch.watches(&rig.games()) && rig.watch.watches(&rig.games().join("quake")));
    let manifest = rig.until_ready("quake").await.manifest;
    assert_eq!(rig.announced.borrow().games[&game("quake")].manifest, manifest);
}

/// Proves L7: without a folder, and with a bad one, the library lives and says so.
#[tokio::test]
async fn it_lives_without_a_folder() {
    let mut rig = Rig::start_with(folders(), FakeWatch::default(), false).await;
    assert_eq!(rig.local.borrow().games_dir, None);
    rig.cast(LibraryMsg::OperationBegan { game: game("quake") });
    rig.cast(LibraryMsg::OperationEnded { game: game("quake"), operation: "op".to_owned() });
    assert_eq!(rig.rescanned().await.1, "op", "an operation can always end");
    drop(rig);

    let dir = folders();
    fs::remove_dir(dir.path().join("games")).unwrap();
    let mut rig = Rig::start(dir).await;
    assert!(rig.local.borrow().offline.is_some());
    let text = rig
        .told(|message| match message {
            ViewMsg::Problem { part: "games folder", text: Some(text) } => Some(text),
            _ => None,
        })
        .await;
    assert!(text.contains("does not exist"), "{text}");
}

/// An unchanged game is not read again after a restart: proved by changing it without a trace.
#[tokio::test]
async fn what_was_hashed_is_known_after_a_restart() {
    let mut rig = Rig::start(quake()).await;
    let before = rig.until_ready("quake").await.manifest;
    let revision = rig.announced.borrow().state.revision;
    let dir = rig.stop().await;
    let pak = dir.path().join("games/quake/pak0");
    let modified = fs::metadata(&pak).unwrap().modified().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&pak).unwrap();
    std::io::Write::write_all(&mut &file, b"FIRST").unwrap();
    file.set_modified(modified).unwrap();
    let rig = Rig::start(dir).await;
    let quake = rig.game("quake").unwrap();
    assert_eq!(quake.manifest, before, "known when the start is over");
    assert!(rig.announced.borrow().state.revision > revision, "P4");
}

/// Proves L6 and F21: a damaged index is told and costs nothing but a look.
#[tokio::test]
async fn a_damaged_index_costs_nothing() {
    let mut rig = Rig::start(quake()).await;
    let before = rig.until_ready("quake").await.manifest;
    let revision = rig.announced.borrow().state.revision;
    let dir = rig.stop().await;
    let index = dir.path().join("state/index");
    let mut bytes = fs::read(&index).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&index, bytes).unwrap();
    let mut rig = Rig::start(dir).await;
    assert_eq!(rig.game("quake").unwrap().manifest, before, "the ledger knew it");
    assert!(rig.announced.borrow().state.revision > revision, "P4");
    let notice = rig
        .told(|message| match message {
            ViewMsg::Notice { game: None, message } => Some(message),
            _ => None,
        })
        .await;
    assert!(notice.contains("index") && notice.contains("set aside"), "{notice}");
    let dir = rig.stop().await;
    assert!(dir.path().join("state/index").is_file(), "made anew");
}

/// Proves A3 and F1: a crash is a short gap in which nothing is untold, and the gates stay.
#[tokio::test]
async fn a_crash_untells_nothing() {
    let dir = quake();
    put(&dir, "doom/version.ini", "1");
    let mut rig = Rig::start(dir).await;
    let quake = rig.until_ready("quake").await;
    rig.until_ready("doom").await;
    let state = rig.announced.borrow().state;
    rig.cast(LibraryMsg::OperationBegan { game: game("quake") });
    quake.gate.close();
    let row = OperationRow {
        operation: "op".to_owned(),
        kind: OperationKind::Updating,
        phase: Phase::Committing,
        bytes_done: 0,
        bytes_total: 0,
    };
    let rows = [(game("quake"), row)].into();
    let table = OperationTable { rows, ..OperationTable::default() };
    rig.table.send_replace(Arc::new(table));
    fs::remove_file(rig.games().join("quake/version.ini")).unwrap();
    rig.crash_and_restart().await;
    assert_eq!(rig.announced.borrow().state, state, "held as it was, though half of it is gone");
    assert_eq!(rig.game("quake").unwrap().version, quake.version);
    assert!(rig.game("quake").unwrap().gate.is_closed(), "the same gate");
    rig.put("quake/version.ini", "20240101");
    rig.cast(LibraryMsg::OperationEnded { game: game("quake"), operation: "op".to_owned() });
    assert_eq!(rig.rescanned().await.1, "op");
    assert!(!quake.gate.is_closed());
    rig.until_ready("quake").await;
}

/// Proves F25 and T68: a folder that vanishes takes nothing with it and comes back by itself.
#[tokio::test(start_paused = true)]
async fn a_folder_that_vanishes_comes_back_by_itself() {
    let mut rig = Rig::start(quake()).await;
    rig.until_ready("quake").await;
    let state = rig.announced.borrow().state;
    let aside = rig.dir.path().join("aside");
    fs::rename(rig.games(), &aside).unwrap();
    rig.cast(LibraryMsg::Rescan { game: None });
    let offline = rig.until("offline", |local| local.offline.is_some()).await;
    assert!(offline.games[&game("quake")].is_ready(), "kept as it was last seen");
    assert_eq!(rig.announced.borrow().state, state);
    fs::rename(&aside, rig.games()).unwrap();
    let back = rig.until("back", |local| local.offline.is_none()).await;
    assert!(back.games[&game("quake")].is_ready());
    assert_eq!(rig.announced.borrow().state, state);
}

/// Proves L2 and F22: at the limit of watches everything is looked at now and then, and watching
/// is tried again.
#[tokio::test(start_paused = true)]
async fn without_watches_it_goes_on_by_looking() {
    let watch = FakeWatch::at_limit();
    let mut rig = Rig::start_with(quake(), watch, true).await;
    rig.until_ready("quake").await;
    rig.told(|message| match message {
        ViewMsg::Problem { part: "library watch", text: Some(_) } => Some(()),
        _ => None,
    })
    .await;
    rig.put("doom/version.ini", "1");
    let wait = Duration::from_secs(400);
    let seen = rig.local.wait_for(|local| local.games.contains_key(&game("doom")));
    tokio::time::timeout(wait, seen).await.expect("seen by the next sweep").unwrap();
    rig.watch.grant();
    rig.cast(LibraryMsg::Rescan { game: None });
    let well = rig.told(|message| match message {
        ViewMsg::Problem { part: "library watch", text: None } => Some(()),
        _ => None,
    });
    well.await;
    assert!(rig.watch.watches(&rig.games().join("doom")));
}

/// Proves A4: the end does not wait for a huge game that is being hashed.
#[tokio::test]
async fn the_end_does_not_wait_for_hashing() {
    let dir = quake();
    let huge = fs::File::create(dir.path().join("games/quake/huge")).unwrap();
    huge.set_len(1 << 38).unwrap();
    let mut rig = Rig::start(dir).await;
    let id = game("quake");
    let begun = |local: &Arc<LocalLibrary>| {
        local.games[&id].hashing.is_some_and(|progress| progress.bytes_done > 0)
    };
    rig.until("progress is published", begun).await;
    let start = tokio::time::Instant::now();
    let dir = rig.stop().await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    drop(dir);
}

/// Many games are told in few events: a start is not a storm.
#[tokio::test]
async fn many_games_are_told_together() {
    let dir = folders();
    for index in 0..300 {
        put(&dir, &format!("game{index}/version.ini"), "1");
        put(&dir, &format!("game{index}/pak0"), format!("{index}"));
    }
    let mut rig = Rig::start(dir).await;
    let first = rig
        .told(|message| match message {
            ViewMsg::Event(Event::LocalLibraryChanged { games }) => Some(games.len()),
            _ => None,
        })
        .await;
    assert_eq!(first, 300, "the first look is one event");
    let all = |local: &Arc<LocalLibrary>| local.games.values().all(|g| g.is_ready());
    rig.until("all are hashed", all).await;
}
