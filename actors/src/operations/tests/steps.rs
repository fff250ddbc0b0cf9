//! The same operation, hurt at each of its steps in turn: whatever the step, one end, and on disk
//! the state before or the state after, never between.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    peers::Content,
    rig::{LONG, Rig, game},
};
use crate::{
    api::{Command, Event},
    game_op::testing::{Behaviour, chunks},
};

/// Enough steps to get behind the end of every operation here.
const STEPS: usize = 12;

fn content(version: &str, seed: u8) -> Content {
    let mut parts = chunks(seed, 2, 400_000).into_iter();
    let mut part = || parts.next().unwrap();
    Content::new(version, &[("a.pak", part()), ("sub/b.pak", part())], 20_000)
}

/// A rig on whose operation so many events were seen; `None` if it ended before.
async fn after_events(rig: &mut Rig, count: usize) -> Option<()> {
    for _ in 0..count {
        if super::rig::is_end(&rig.wait(|_| true).await) {
            return None;
        }
    }
    Some(())
}

/// What may stand on disk after an operation ended in `end`.
fn check(rig: &Rig, end: &Event, old: Option<&Content>, new: &Content) {
    let (root, local) = (rig.root(), rig.root().join("local"));
    let has = |name: &str| root.join(name).try_exists().unwrap();
    for rest in [".local.installing", ".local.backup", ".lanspread.json", ".version.ini.tmp"] {
        assert!(!has(rest), "{rest} is left after {end:?}");
    }
    match (end, old) {
        (Event::InstallFinished { .. } | Event::UpdateFinished { .. }, _) => {
            new.check(&root);
            new.check(&local);
        }
        (Event::DownloadCancelled { .. }, None) => assert!(!has("version.ini") && !has("local")),
        (Event::OperationCancelled { .. }, None) => {
            new.check(&root);
            assert!(!has("local"), "the install did not happen");
        }
        (Event::OperationCancelled { .. }, Some(old)) => {
            let sentinel = std::fs::read(root.join("version.ini")).unwrap();
            let here = if sentinel == old.target.manifest.sentinel { old } else { new };
            here.check(&root);
            old.check(&local);
        }
        (other, _) => panic!("{other:?}"),
    }
    let local = rig.local();
    assert!(local.is_none_or(|local| !local.gate.is_closed()), "served again");
}

/// Proves O6, T6: a download with its install is cancelled at each step.
#[tokio::test(flavor = "multi_thread")]
async fn an_install_is_cancelled_at_each_step() {
    let new = content("20240101", 1);
    for step in 0..STEPS {
        let mut rig = Rig::new().await;
        rig.peer(1, &new, Behaviour::Honest, 20e6);
        rig.download(true).await.unwrap();
        if after_events(&mut rig, step).await.is_none() {
            return;
        }
        // It may have ended in this very moment.
        rig.command(Command::Cancel { game: game().to_string() }).await.ok();
        let end = rig.end().await;
        check(&rig, &end, None, &new);
    }
}

/// Proves O6, T3, T6: an update is cancelled at each step; until its commit the old version stays.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_cancelled_at_each_step() {
    let (old, new) = (content("20240101", 1), content("20250101", 2));
    for step in 0..STEPS {
        let mut rig = Rig::new().await;
        rig.peer(1, &old, Behaviour::Honest, 200e6);
        rig.download(true).await.unwrap();
        rig.end().await;
        rig.peer(2, &new, Behaviour::Honest, 20e6);
        rig.command(Command::Update { game: game().to_string() }).await.unwrap();
        if after_events(&mut rig, step).await.is_none() {
            return;
        }
        rig.command(Command::Cancel { game: game().to_string() }).await.ok();
        let end = rig.end().await;
        check(&rig, &end, Some(&old), &new);
    }
}

/// Proves F7, O5, T6, I11: the actor of an update is killed at each step; it is recovered and goes
/// on to its one end.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_killed_at_each_step() {
    let (old, new) = (content("20240101", 1), content("20250101", 2));
    for step in 0..STEPS {
        let mut rig = Rig::new().await;
        rig.peer(1, &old, Behaviour::Honest, 200e6);
        rig.download(true).await.unwrap();
        rig.end().await;
        let before = rig.seen_terminal().len();
        rig.peer(2, &new, Behaviour::Honest, 20e6);
        rig.command(Command::Update { game: game().to_string() }).await.unwrap();
        if after_events(&mut rig, step).await.is_none() {
            return;
        }
        for actor in rig.game_ops() {
            actor.kill();
        }
        let end = timeout(LONG, rig.end()).await.unwrap();
        assert!(matches!(end, Event::UpdateFinished { .. }), "killed after {step}: {end:?}");
        check(&rig, &end, Some(&old), &new);
        // Nothing more comes of it.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(rig.seen_terminal().len(), before + 2, "download-finished, update-finished");
    }
}
