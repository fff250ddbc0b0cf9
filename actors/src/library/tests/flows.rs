//! What the running library does with changes, operations, catalogs and folders.

use std::{fs, path::PathBuf, sync::Arc};

use lanspread_wire::{Catalog, CatalogGame, Manifest, Title};

use super::rig::*;
use crate::{
    api::{Availability, ErrorCode, Event},
    library::LibraryMsg,
    view::ViewMsg,
};

fn quake() -> tempfile::TempDir {
    let dir = folders();
    put(&dir, "quake/version.ini", "20240101");
    put(&dir, "quake/pak0", "first");
    dir
}

/// Proves L2 and L3: a change that the watch reports is found, in that game alone.
#[tokio::test]
async fn a_reported_change_is_found() {
    let dir = quake();
    put(&dir, "doom/version.ini", "1");
    let mut rig = Rig::start(dir).await;
    let before = rig.until_ready("quake").await.manifest;
    rig.put("quake/pak1", "second");
    rig.put("doom/version.ini", "2");
    rig.report("quake/pak1");
    let id = game("quake");
    let changed = rig.until("changed", |local| {
        local.games[&id].is_ready() && local.games[&id].manifest != before
    });
    let local = changed.await;
    assert_eq!(local.games[&id].bytes_total, 11);
    let doom = local.games[&game("doom")].version.clone().unwrap();
    assert_eq!(doom.as_str(), "1", "nobody reported doom");
}

/// Proves L2: lost events mean a look at everything, deep folders too.
#[tokio::test]
async fn lost_events_mean_a_look_at_everything() {
    let mut rig = Rig::start(quake()).await;
    let before = rig.until_ready("quake").await.manifest;
    rig.put("quake/deep/er/file", "x");
    rig.put("doom/version.ini", "1");
    rig.watch.sink().lost();
    rig.until_ready("doom").await;
    let id = game("quake");
    rig.until("seen", |local| local.games[&id].is_ready() && local.games[&id].manifest != before)
        .await;
    assert!(rig.watch.watches(&rig.games().join("doom")), "a new root is watched");
}

/// Proves L5: each rescan is an event with all games, and the state comes before the event.
#[tokio::test]
async fn every_rescan_is_told() {
    let mut rig = Rig::start(quake()).await;
    rig.until_ready("quake").await;
    rig.clear();
    rig.cast(LibraryMsg::Rescan { game: Some(game("quake")) });
    let mut state_came_first = false;
    let games = rig
        .told(|message| match message {
            ViewMsg::Library(_) => {
                state_came_first = true;
                None
            }
            ViewMsg::Event(Event::LocalLibraryChanged { games }) => Some(games),
            _ => None,
        })
        .await;
    assert!(state_came_first);
    assert_eq!(games.len(), 1);
    assert!(games[0].downloaded && games[0].availability == Some(Availability::Ready));
}

/// Proves L4, O4 and O8: frozen while an operation runs; looked at, told and opened after it.
#[tokio::test]
async fn an_operation_is_waited_for_and_answered() {
    let mut rig = Rig::start(quake()).await;
    let before = rig.until_ready("quake").await;
    let revision = rig.announced.borrow().state.revision;
    rig.cast(LibraryMsg::OperationBegan { game: game("quake") });
    before.gate.close();
    rig.put("quake/version.ini", "20250505");
    rig.put("quake/pak0", "of another version");
    rig.report("quake/pak0");
    rig.cast(LibraryMsg::Rescan { game: None });
    rig.put("doom/version.ini", "1");
    rig.report("doom");
    rig.until_ready("doom").await;
    let during = rig.game("quake").unwrap();
    assert_eq!(during.version, before.version);
    let told = rig.announced.borrow().games[&game("quake")].manifest;
    assert_eq!(told, before.manifest, "told as it was");

    let operation = "op-1".to_owned();
    rig.cast(LibraryMsg::OperationEnded { game: game("quake"), operation });
    assert_eq!(rig.rescanned().await, (game("quake"), "op-1".to_owned()));
    let after = rig.game("quake").unwrap();
    assert_eq!(after.version.unwrap().as_str(), "20250505", "published before it is answered");
    assert!(!before.gate.is_closed(), "the gate is the same and open");
    assert!(rig.announced.borrow().state.revision > revision);
    rig.until_ready("quake").await;
}

/// A committed download is ready with the answer: nothing is hashed, and extra files are nobody's
/// business (D7).
#[tokio::test]
async fn a_committed_download_is_ready_at_once() {
    let mut rig = Rig::start(quake()).await;
    let made = rig.until_ready("quake").await.manifest.unwrap();
    let store = crate::manifests::ManifestStore::new(&rig.dir.path().join("state"));
    let old: Manifest = store.load(made).unwrap().unwrap();
    // The next version: another sentinel over the same file.
    let new = Manifest { sentinel: b"20250505".to_vec(), ..old };
    store.save(&new).unwrap();
    rig.cast(LibraryMsg::OperationBegan { game: game("quake") });
    rig.put("quake/version.ini", "20250505");
    rig.put("quake/notes.txt", "of the user");
    rig.cast(LibraryMsg::Committed { game: game("quake"), manifest: new.id() });
    rig.cast(LibraryMsg::OperationEnded { game: game("quake"), operation: "op".to_owned() });
    rig.rescanned().await;
    let after = rig.game("quake").unwrap();
    assert!(after.is_ready() && after.hashing.is_none());
    assert_eq!(after.manifest, Some(new.id()));
    assert_eq!(rig.announced.borrow().games[&game("quake")].manifest, Some(new.id()));
}

/// Proves D7: what a verification found keeps the game from being shared until it is repaired.
#[tokio::test]
async fn damage_is_told_until_it_is_repaired() {
    let mut rig = Rig::start(quake()).await;
    let manifest = rig.until_ready("quake").await.manifest.unwrap();
    rig.cast(LibraryMsg::OperationBegan { game: game("quake") });
    rig.cast(LibraryMsg::Damaged { game: game("quake"), files: vec!["pak0".to_owned()] });
    rig.cast(LibraryMsg::OperationEnded { game: game("quake"), operation: "verify".to_owned() });
    rig.rescanned().await;
    let damaged = rig.game("quake").unwrap();
    assert_eq!(damaged.availability, Some(Availability::LocalOnly));
    assert!(damaged.problem.unwrap().contains("damaged: run verify (pak0"));
    assert!(!rig.announced.borrow().games.contains_key(&game("quake")));
    rig.cast(LibraryMsg::Committed { game: game("quake"), manifest });
    rig.until_ready("quake").await;
}

/// Proves P11: only games of the catalog are announced and listed, by the names it gives them.
#[tokio::test]
async fn the_catalog_says_which_games_count() {
    let dir = quake();
    put(&dir, "doom/version.ini", "1");
    let mut rig = Rig::start(dir).await;
    rig.until_ready("quake").await;
    rig.until_ready("doom").await;
    let mut catalog = Catalog::default();
    let title = Title::parse("Quake III").unwrap();
    catalog.games.insert(game("quake"), CatalogGame::titled(title));
    rig.catalog.send_replace(Arc::new(Some(catalog)));
    let announced = rig.announced.wait_for(|announced| announced.games.len() == 1);
    tokio::time::timeout(LONG, announced).await.unwrap().unwrap();
    rig.clear();
    rig.cast(LibraryMsg::Rescan { game: Some(game("doom")) });
    let listed = rig
        .told(|message| match message {
            ViewMsg::Event(Event::LocalLibraryChanged { games }) => Some(games),
            _ => None,
        })
        .await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].title, "Quake III");
    assert!(rig.game("doom").is_some(), "it is here all the same");
}

/// Proves L8: a bad folder is refused by name and nothing changes.
#[tokio::test]
async fn a_bad_folder_is_refused_and_nothing_changes() {
    let mut rig = Rig::start(quake()).await;
    rig.until_ready("quake").await;
    let file = rig.dir.path().join("file");
    fs::write(&file, "x").unwrap();
    for bad in [rig.dir.path().join("missing"), file, PathBuf::from("relative")] {
        let refused = rig.set_games_dir(bad.clone()).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::BadGamesDir);
        assert!(refused.message.contains(bad.to_str().unwrap()), "{refused}");
    }
    assert!(rig.game("quake").unwrap().is_ready());
    assert_eq!(rig.local.borrow().games_dir, Some(rig.games()));
}

/// Proves L8: refused while an operation runs, allowed again after it.
#[tokio::test]
async fn the_folder_stays_while_an_operation_runs() {
    let mut rig = Rig::start(quake()).await;
    rig.until_ready("quake").await;
    let other = rig.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    rig.cast(LibraryMsg::OperationBegan { game: game("quake") });
    let refused = rig.set_games_dir(other.clone()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::OperationInProgress);
    rig.set_games_dir(rig.games()).await.expect("the same folder is a refresh");
    rig.cast(LibraryMsg::OperationEnded { game: game("quake"), operation: "op".to_owned() });
    rig.rescanned().await;
    rig.set_games_dir(other).await.unwrap();
    assert!(rig.game("quake").is_none());
}

/// Proves L8: another folder is answered when it was seen; the same one is a refresh.
#[tokio::test]
async fn another_folder_is_shared_instead() {
    let mut rig = Rig::start(quake()).await;
    rig.until_ready("quake").await;
    let other = rig.dir.path().join("other");
    fs::create_dir_all(other.join("doom")).unwrap();
    fs::write(other.join("doom/version.ini"), "1").unwrap();
    rig.set_games_dir(other.clone()).await.unwrap();
    let local = rig.local.borrow().clone();
    assert_eq!(local.games_dir, Some(other.clone()));
    assert_eq!(local.games.keys().collect::<Vec<_>>(), [&game("doom")]);
    assert_eq!(local.games[&game("doom")].root, other.join("doom"));
    rig.until_ready("doom").await;
    rig.until("watched", |_| true).await;

    fs::create_dir_all(other.join("unreal")).unwrap();
    fs::write(other.join("unreal/version.ini"), "1").unwrap();
    rig.set_games_dir(other).await.unwrap();
    assert!(rig.game("unreal").is_some(), "the refresh has seen it");
}

/// Proves A3: `View` gets everything again after its restart.
#[tokio::test]
async fn the_view_can_ask_again() {
    let mut rig = Rig::start_with(quake(), FakeWatch::at_limit(), true).await;
    rig.until_ready("quake").await;
    rig.clear();
    rig.cast(LibraryMsg::Publish);
    let library = rig
        .told(|message| match message {
            ViewMsg::Library(library) => Some(library),
            _ => None,
        })
        .await;
    assert!(library.games.contains_key(&game("quake")));
    rig.told(|message| match message {
        ViewMsg::Problem { part: "library watch", text: Some(text) } => {
            assert!(text.contains("noticed late"), "{text}");
            Some(())
        }
        _ => None,
    })
    .await;
}
