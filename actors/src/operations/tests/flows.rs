//! What each command does when nothing goes wrong, or when the user changes his mind.

use std::{fs, io::Write};

use lanspread_wire::PeerId;

use super::{
    peers::Content,
    rig::{Rig, game},
};
use crate::{
    api::{Availability, Command, ErrorCode, Event, OperationKind},
    game_op::testing::{Behaviour, chunks},
};

const FAST: f64 = 200e6;

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    chunks(seed, 1, len).remove(0)
}

fn small() -> Content {
    let files = [("bin/run.sh", b"#!/bin/sh\n".to_vec()), ("data.pak", bytes(1, 300_000))];
    Content::new("20240101", &files, 20_000)
}

fn has_fetched(event: &Event, bytes: u64) -> bool {
    matches!(event, Event::DownloadProgress { bytes_done, .. } if *bytes_done >= bytes)
}

fn named(command: impl Fn(String) -> Command) -> Command {
    command(game().to_string())
}

/// Proves D1, D2, O3, O4, O9: a download installs, in one entry without a gap; both events come when
/// the entry is gone and the library has seen the game.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_installs() {
    let mut rig = Rig::new().await;
    let content = small();
    rig.peer(1, &content, Behaviour::Honest, FAST);
    let operation = rig.download(true).await.unwrap();
    let end = rig.end().await;
    assert_eq!(end, Event::InstallFinished { game: game(), version: Some(content.version()) });
    assert!(rig.ports.operation_table.borrow().rows.is_empty(), "the entry is gone");
    let local = rig.local().unwrap();
    assert!(local.is_ready() && local.installed, "{local:?}");
    assert_eq!(local.manifest, Some(content.target.id));

    content.check(&rig.root());
    content.check(&rig.root().join("local"));
    let ended = rig.seen_terminal();
    let [Event::DownloadFinished { bytes_received, bytes_reused, sources, .. }, _] = &ended[..]
    else {
        panic!("{ended:?}")
    };
    assert_eq!(*bytes_received + bytes_reused, content.target.manifest.bytes_total());
    assert_eq!(sources.keys().copied().collect::<Vec<_>>(), vec![PeerId([1; 32])]);
    assert!(matches!(
        rig.seen().iter().find(|event| matches!(event, Event::DownloadBegin { .. })),
        Some(Event::DownloadBegin { bytes_reused: 0, .. })
    ));

    // One entry from the beginning to the end, first downloading, then installing.
    let tables = rig.tables.lock().unwrap().clone();
    let kinds: Vec<Option<OperationKind>> = tables
        .iter()
        .map(|table| table.rows.get(&game()))
        .map(|row| row.inspect(|row| assert_eq!(row.operation, operation)).map(|row| row.kind))
        .collect();
    let (last, running) = kinds.split_last().unwrap();
    assert_eq!(*last, None);
    assert!(running.iter().all(Option::is_some), "no gap: {kinds:?}");
    let mut order: Vec<_> = running.iter().flatten().collect();
    order.dedup();
    assert_eq!(order, vec![&OperationKind::Downloading, &OperationKind::Installing]);
    assert!(rig.root().join("bin/run.sh").try_exists().unwrap());
}

/// Proves O2, O9: what was downloaded is not downloaded again; the install comes by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_download_and_then_an_install() {
    let mut rig = Rig::new().await;
    let content = small();
    rig.peer(1, &content, Behaviour::Honest, FAST);
    rig.download(false).await.unwrap();
    rig.wait(|event| matches!(event, Event::DownloadFinished { .. })).await;
    assert!(!rig.root().join("local").try_exists().unwrap());
    let code = |refused: Result<String, crate::api::Refused>| refused.unwrap_err().code;
    assert_eq!(code(rig.download(true).await), ErrorCode::AlreadyDownloaded);
    let uninstall = named(|game| Command::Uninstall { game });
    assert_eq!(code(rig.command(uninstall).await), ErrorCode::NotInstalled);
    let cancel = named(|game| Command::Cancel { game });
    assert_eq!(code(rig.command(cancel).await), ErrorCode::NoOperation);

    rig.command(named(|game| Command::Install { game })).await.unwrap();
    assert!(matches!(rig.end().await, Event::InstallFinished { .. }));
    content.check(&rig.root().join("local"));
    let install = named(|game| Command::Install { game });
    assert_eq!(code(rig.command(install).await), ErrorCode::AlreadyInstalled);
    let update = named(|game| Command::Update { game });
    assert_eq!(code(rig.command(update).await), ErrorCode::UpToDate);
}

/// Proves T2: an archive is unpacked by the child process.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_unpacked() {
    let mut rig = Rig::new().await;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("maps/e1m1.bsp", options).unwrap();
    zip.write_all(&bytes(3, 100_000)).unwrap();
    let archive = zip.finish().unwrap().into_inner();
    let content = Content::new("20240101", &[("game.zip", archive)], 20_000);
    rig.peer(1, &content, Behaviour::Honest, FAST);
    rig.download(true).await.unwrap();
    let end = rig.end().await;
    assert!(matches!(end, Event::InstallFinished { .. }), "{end:?}");
    content.check(&rig.root());
    let unpacked = fs::read(rig.root().join("local/maps/e1m1.bsp")).unwrap();
    assert!(unpacked == bytes(3, 100_000));
    assert!(!rig.root().join("local/game.zip").try_exists().unwrap(), "the archive stays outside");
}

/// Proves T64: a damaged archive is downloaded as it is and is not installed.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_archive_is_not_installed() {
    let mut rig = Rig::new().await;
    let mut archive = b"PK\x03\x04".to_vec();
    archive.extend(bytes(3, 5_000));
    let content = Content::new("20240101", &[("game.zip", archive)], 20_000);
    rig.peer(1, &content, Behaviour::Honest, FAST);
    rig.download(true).await.unwrap();
    let end = rig.end().await;
    let Event::InstallFailed { code: ErrorCode::UnpackFailed, message, .. } = end else {
        panic!("{end:?}")
    };
    assert!(message.contains("quake") && message.contains("game.zip"), "{message}");
    assert!(matches!(rig.seen_terminal()[..], [Event::DownloadFinished { .. }, _]));
    assert!(!rig.root().join("local").try_exists().unwrap());
    assert!(!rig.root().join(".local.installing").try_exists().unwrap());
    content.check(&rig.root());
}

fn two_versions() -> (Content, Content) {
    let shared = bytes(1, 400_000);
    let mut changed = shared.clone();
    changed.splice(100_000..120_000, bytes(9, 20_000));
    let old = [("a.pak", shared), ("b.pak", bytes(2, 200_000)), ("old.txt", b"old".to_vec())];
    let new = [("a.pak", changed), ("b.pak", bytes(2, 200_000)), ("new.txt", b"new".to_vec())];
    (Content::new("20240101", &old, 20_000), Content::new("20250101", &new, 20_000))
}

/// Proves R2, T3, D9: an update fetches what changed, replaces payload and install, and leaves
/// what the user put there.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_replaces_payload_and_install() {
    let mut rig = Rig::new().await;
    let (old, new) = two_versions();
    rig.peer(1, &old, Behaviour::Honest, FAST);
    rig.download(true).await.unwrap();
    rig.end().await;
    fs::write(rig.root().join("local/save.dat"), "mine").unwrap();
    fs::write(rig.root().join("notes.txt"), "mine too").unwrap();

    rig.market.leave(PeerId([1; 32]));
    let newer = rig.peer(2, &new, Behaviour::Honest, FAST);
    rig.command(named(|game| Command::Update { game })).await.unwrap();
    let end = rig.end().await;
    assert_eq!(end, Event::UpdateFinished { game: game(), version: Some(new.version()) });
    new.check(&rig.root());
    new.check(&rig.root().join("local"));
    assert!(!rig.root().join("old.txt").try_exists().unwrap(), "payload of the old version goes");
    assert_eq!(fs::read(rig.root().join("local/save.dat")).unwrap(), b"mine");
    assert_eq!(fs::read(rig.root().join("notes.txt")).unwrap(), b"mine too");
    assert!(newer.bytes_sent() < 30_000, "only what changed: {}", newer.bytes_sent());
    let local = rig.local().unwrap();
    assert!(local.is_ready() && local.installed && !local.gate.is_closed(), "{local:?}");
    assert_eq!(local.version, Some(new.version()));
    let sentinel = fs::read(rig.root().join("version.ini")).unwrap();
    assert_eq!(sentinel, b"20250101", "the sentinel travels byte for byte");
}

/// Proves O3: a download of a newer version of an installed game is an update.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_of_a_newer_version_updates_the_install() {
    let mut rig = Rig::new().await;
    let (old, new) = two_versions();
    rig.peer(1, &old, Behaviour::Honest, FAST);
    rig.download(true).await.unwrap();
    rig.end().await;
    rig.peer(2, &new, Behaviour::Honest, FAST);
    rig.download(true).await.unwrap();
    assert!(matches!(rig.end().await, Event::UpdateFinished { .. }));
    new.check(&rig.root().join("local"));
}

/// Proves O6, O2: a cancelled download is told so and by no failure; what was fetched is not
/// fetched again. Meanwhile the game is busy.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_download_goes_on_where_it_was() {
    let mut rig = Rig::new().await;
    let content = Content::new("20240101", &[("data.pak", bytes(1, 4_000_000))], 50_000);
    rig.peer(1, &content, Behaviour::Honest, 2e6);
    rig.download(true).await.unwrap();
    rig.wait(|event| has_fetched(event, 500_000)).await;
    let refused = rig.command(named(|game| Command::Remove { game })).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::OperationInProgress);
    rig.command(named(|game| Command::Cancel { game })).await.unwrap();
    assert_eq!(rig.end().await, Event::DownloadCancelled { game: game() });
    assert_eq!(rig.seen_terminal().len(), 1);
    assert!(!rig.root().join("version.ini").try_exists().unwrap(), "nothing is visible (R6)");

    rig.market.leave(PeerId([1; 32]));
    let again = rig.peer(2, &content, Behaviour::Honest, FAST);
    rig.download(false).await.unwrap();
    let finished = rig.wait(|event| matches!(event, Event::DownloadFinished { .. })).await;
    let Event::DownloadFinished { bytes_received, bytes_reused, .. } = finished else {
        unreachable!()
    };
    assert!(bytes_reused >= 500_000, "{bytes_reused} reused");
    assert_eq!(bytes_received + bytes_reused, 4_000_000);
    assert_eq!(again.bytes_sent(), bytes_received);
    content.check(&rig.root());
}

/// Proves O6: a cancelled update leaves the old version downloaded, installed and served.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_update_changes_nothing() {
    let mut rig = Rig::new().await;
    let old = small();
    rig.peer(1, &old, Behaviour::Honest, FAST);
    rig.download(true).await.unwrap();
    rig.end().await;
    let new = Content::new("20250101", &[("data.pak", bytes(7, 4_000_000))], 50_000);
    rig.peer(2, &new, Behaviour::Honest, 1e6);
    rig.command(named(|game| Command::Update { game })).await.unwrap();
    rig.wait(|event| has_fetched(event, 1)).await;
    assert!(!rig.local().unwrap().gate.is_closed(), "served until the commit");
    rig.command(named(|game| Command::Cancel { game })).await.unwrap();
    assert_eq!(rig.end().await, Event::OperationCancelled { game: game() });
    old.check(&rig.root());
    old.check(&rig.root().join("local"));
    let local = rig.local().unwrap();
    assert!(local.is_ready() && local.installed && !local.gate.is_closed());
    assert_eq!(local.version, Some(old.version()));
}

/// Proves O8: the commit waits for the upload inside, and lets none in.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_waits_for_uploads() {
    let mut rig = Rig::new().await;
    let (old, new) = two_versions();
    rig.peer(1, &old, Behaviour::Honest, FAST);
    rig.download(false).await.unwrap();
    rig.wait(|event| matches!(event, Event::DownloadFinished { .. })).await;
    let gate = rig.local().unwrap().gate;
    let upload = gate.enter().unwrap();
    rig.peer(2, &new, Behaviour::Honest, FAST);
    rig.download(false).await.unwrap();
    gate.closing().await;
    assert!(gate.enter().is_none(), "no new upload");
    old.check(&rig.root());
    drop(upload);
    rig.wait(|event| matches!(event, Event::DownloadFinished { .. })).await;
    new.check(&rig.root());
    assert!(gate.enter().is_some(), "served again");
}

/// Proves T4, D9: an uninstall leaves the payload, a removal leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_uninstall_and_a_removal() {
    let mut rig = Rig::new().await;
    let content = small();
    rig.peer(1, &content, Behaviour::Honest, FAST);
    rig.download(true).await.unwrap();
    rig.end().await;
    rig.command(named(|game| Command::Uninstall { game })).await.unwrap();
    let end = rig.end().await;
    assert_eq!(end, Event::UninstallFinished { game: game(), version: Some(content.version()) });
    assert!(!rig.root().join("local").try_exists().unwrap());
    content.check(&rig.root());
    assert!(!rig.local().unwrap().installed);

    rig.command(named(|game| Command::Remove { game })).await.unwrap();
    let end = rig.end().await;
    assert_eq!(end, Event::RemoveFinished { game: game(), version: Some(content.version()) });
    assert!(!rig.root().try_exists().unwrap());
    assert!(rig.local().is_none());
}

/// A folder of the user is not removed because it stands in the games folder, also if something
/// in it looks like a broken game.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_others_is_not_removed() {
    let mut rig = Rig::new().await;
    let look = || crate::library::LibraryMsg::Rescan { game: None };
    fs::create_dir(rig.root()).unwrap();
    fs::write(rig.root().join("photo.jpg"), "holiday").unwrap();
    let refused = rig.command(named(|game| Command::Remove { game })).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::UnknownGame);

    fs::write(rig.root().join("version.ini"), "").unwrap();
    rig.ports.library.tell(look());
    rig.local_is(|local| local.problem.is_some()).await;
    rig.command(named(|game| Command::Remove { game })).await.unwrap();
    let end = rig.end().await;
    assert!(matches!(end, Event::RemoveFailed { code: ErrorCode::NotDownloaded, .. }), "{end:?}");
    assert_eq!(fs::read(rig.root().join("photo.jpg")).unwrap(), b"holiday");
}

/// Verification names what is damaged; a download repairs it and fetches only that.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_and_repaired() {
    let mut rig = Rig::new().await;
    let content = Content::new(
        "20240101",
        &[("a.pak", bytes(1, 400_000)), ("b.pak", bytes(2, 400_000))],
        20_000,
    );
    let source = rig.peer(1, &content, Behaviour::Honest, FAST);
    rig.download(false).await.unwrap();
    rig.wait(|event| matches!(event, Event::DownloadFinished { .. })).await;
    rig.command(named(|game| Command::Verify { game })).await.unwrap();
    let end = rig.end().await;
    assert_eq!(end, Event::VerifyFinished { game: game(), version: Some(content.version()) });

    let mut damaged = content.files["b.pak"].clone();
    damaged[210_000] ^= 1;
    fs::write(rig.root().join("b.pak"), damaged).unwrap();
    rig.command(named(|game| Command::Verify { game })).await.unwrap();
    let end = rig.end().await;
    let Event::VerifyFailed { code: ErrorCode::Damaged, message, .. } = end else {
        panic!("{end:?}")
    };
    assert!(message.contains("b.pak") && !message.contains("a.pak"), "{message}");
    assert_eq!(rig.local().unwrap().availability, Some(Availability::LocalOnly));

    let before = source.bytes_sent();
    rig.download(false).await.unwrap();
    rig.wait(|event| matches!(event, Event::DownloadFinished { .. })).await;
    content.check(&rig.root());
    assert_eq!(source.bytes_sent() - before, 20_000, "one chunk is fetched");
    assert!(rig.local().unwrap().is_ready());
}

/// `add` copies any folder into a game root; the version is the one given, its own, or today's.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_becomes_a_game() {
    let mut rig = Rig::new().await;
    let source = rig.folder.path().join("from-usb");
    fs::create_dir_all(source.join("bin")).unwrap();
    fs::write(source.join("bin/game"), "\x7fELF...").unwrap();
    let add = |version: Option<&str>, move_files| Command::Add {
        path: source.clone(),
        id: game().to_string(),
        title: None,
        version: version.map(str::to_owned),
        move_files,
    };
    rig.add(add(Some("20200202"), false)).await.unwrap();
    assert_eq!(fs::read(rig.root().join("version.ini")).unwrap(), b"20200202");
    assert!(source.join("bin/game").try_exists().unwrap(), "copied");
    let refused = rig.add(add(None, false)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::AlreadyDownloaded);
    rig.local_is(|local| local.is_ready()).await;

    rig.command(named(|game| Command::Remove { game })).await.unwrap();
    rig.end().await;
    rig.add(add(None, true)).await.unwrap();
    let version = fs::read(rig.root().join("version.ini")).unwrap();
    assert_eq!(version.len(), 8, "today");
    assert!(!source.join("bin/game").try_exists().unwrap(), "moved");
    assert!(rig.root().join("bin/game").try_exists().unwrap());
}

/// Proves L8.
#[tokio::test(flavor = "multi_thread")]
async fn the_folder_is_not_changed_while_an_operation_runs() {
    let mut rig = Rig::new().await;
    let content = Content::new("20240101", &[("data.pak", bytes(1, 2_000_000))], 50_000);
    rig.peer(1, &content, Behaviour::Honest, 1e6);
    rig.download(false).await.unwrap();
    let other = rig.folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let set = |path: std::path::PathBuf| {
        let operations = rig.ports.operations.clone();
        async move {
            let ask = |reply| crate::operations::OperationsMsg::SetGamesDir { path, reply };
            operations.call(ask, super::rig::LONG).await.unwrap()
        }
    };
    let refused = set(other.clone()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::OperationInProgress);
    set(rig.folder.path().join("games")).await.unwrap();
    rig.command(named(|game| Command::Cancel { game })).await.unwrap();
    rig.end().await;
    let operations = rig.ports.operations.clone();
    let ask = |reply| crate::operations::OperationsMsg::SetGamesDir { path: other.clone(), reply };
    operations.call(ask, super::rig::LONG).await.unwrap().unwrap();
    assert_eq!(rig.ports.local.borrow().games_dir.as_ref(), Some(&other));
}
