//! What the index decides about the folder as a whole: gone, back, emptied, another one, a start,
//! a restart, a catalog.

use std::{collections::BTreeMap, sync::Arc};

use lanspread_wire::{Catalog, CatalogGame, Title};

use super::{
    facts::*,
    tests::{Rig, found, game, known, listing, manifest, print, root},
    *,
};

/// Proves F25 and T68: a folder that goes away takes no game with it, and comes back by itself.
#[test]
fn a_folder_that_vanishes_takes_no_game_with_it() {
    let mut rig = Rig::holding(&[("a", root(1, known(1)))]);
    let revision = rig.revision();
    rig.touch("a");
    rig.scanned("a", ScanOutcome::FolderGone("gone".into()));
    let folder = |problem: Option<&str>| Effect::Folder { problem: problem.map(str::to_owned) };
    assert_eq!(rig.effects[..2], [folder(Some("gone")), Effect::Publish]);
    assert_eq!(rig.index.offline(), Some("gone"));
    assert_eq!((rig.told("a"), rig.revision()), (Some(Some(manifest(1))), revision));
    rig.step(Input::SweepDue);
    rig.step(Input::Listed { epoch: 0, result: Err("gone".into()) });
    assert!(!rig.effects.contains(&folder(Some("gone"))), "said once");
    rig.step(Input::SweepDue);
    rig.step(Input::Listed { epoch: 0, result: Ok(listing(&["a"])) });
    assert_eq!(rig.effects[0], folder(None));
    assert_eq!(rig.scans(), ["a"]);
    assert_eq!(rig.index.offline(), None);
}

/// Proves T68: the empty mount point of a disk that was pulled is not the folder.
#[test]
fn an_empty_stand_in_is_not_the_folder() {
    let mut rig = Rig::holding(&[("a", root(1, known(1)))]);
    rig.touch("a");
    rig.scanned("a", ScanOutcome::FolderReplaced);
    assert_eq!(rig.effects.last(), Some(&Effect::List { epoch: 0 }));
    let other = DirIdentity { device: Some(2), inode: Some(2) };
    let empty = Listing { identity: other, ..listing(&[]) };
    rig.step(Input::Listed { epoch: 0, result: Ok(empty) });
    assert!(rig.index.offline().unwrap().contains("unplugged"));
    assert_eq!(rig.told("a"), Some(Some(manifest(1))));
    rig.step(Input::SweepDue);
    let other = Listing { identity: other, ..listing(&["b"]) };
    rig.step(Input::Listed { epoch: 0, result: Ok(other) });
    assert_eq!(rig.index.offline(), None, "another folder with games is taken");
    assert_eq!(rig.scans(), ["a", "b"]);
}

/// The same folder, emptied by its owner, is empty.
#[test]
fn an_emptied_folder_is_empty() {
    let mut rig = Rig::holding(&[("a", root(1, known(1)))]);
    rig.step(Input::SweepDue);
    rig.step(Input::Listed { epoch: 0, result: Ok(listing(&[])) });
    assert_eq!(rig.scans(), ["a"]);
    let results = vec![(game("a"), ScanOutcome::Absent)];
    rig.step(Input::Scanned { epoch: 0, lane: Lane::Sweep, results });
    assert_eq!((rig.told("a"), rig.local("a")), (None, None));
}

/// An operation is answered even if its folder went away: it must be able to end.
#[test]
fn an_operation_is_answered_without_a_folder() {
    let mut rig = Rig::holding(&[("a", root(1, known(1)))]);
    rig.began("a");
    rig.touch("b");
    rig.scanned("b", ScanOutcome::FolderGone("gone".into()));
    rig.ended("a", "op");
    assert_eq!(rig.scans(), ["a"]);
    rig.scanned("a", ScanOutcome::FolderGone("gone".into()));
    let answer = Effect::Answer { game: game("a"), operation: "op".into() };
    assert!(rig.effects.contains(&answer));
    assert_eq!(rig.told("a"), Some(Some(manifest(1))));
}

/// Proves P11.
#[test]
fn only_games_of_the_catalog_are_announced() {
    let mut rig = Rig::holding(&[("a", root(1, known(1))), ("b", root(2, known(2)))]);
    let mut catalog = Catalog::default();
    let title = Title::parse("The Game").unwrap();
    catalog.games.insert(game("b"), CatalogGame::titled(title.clone()));
    rig.step(Input::CatalogChanged { catalog: Arc::new(Some(catalog)) });
    assert!(rig.publishes());
    assert_eq!((rig.told("a"), rig.told("b")), (None, Some(Some(manifest(2)))));
    assert_eq!(rig.index.announced().1[&game("b")].title, title);
    assert!(rig.local("a").is_some(), "it is here all the same");
    rig.step(Input::CatalogChanged { catalog: Arc::new(None) });
    assert_eq!(rig.told("a"), Some(Some(manifest(1))));
}

/// Proves L8: what was found in the former folder is dropped, and nothing is told in between.
#[test]
fn another_folder_starts_from_nothing() {
    let unhashed = Content::Unhashed { fingerprint: print(2) };
    let mut rig = Rig::holding(&[("a", root(1, known(1))), ("b", root(2, unhashed))]);
    rig.touch("a");
    rig.step(Input::FolderSwitched);
    let cancel = Effect::CancelHash { game: game("b") };
    assert_eq!(rig.effects, [cancel, Effect::List { epoch: 1 }]);
    rig.scanned("a", found(root(9, known(9))));
    assert_eq!(rig.effects, [], "a scan of the former folder");
    rig.step(Input::Listed { epoch: 1, result: Ok(listing(&["b"])) });
    assert!(!rig.publishes(), "not before all of it was seen");
    rig.hashed("b", HashOutcome::Cancelled);
    let results = vec![(game("b"), found(root(3, known(3))))];
    rig.step(Input::Scanned { epoch: 1, lane: Lane::Sweep, results });
    assert_eq!(rig.effects[0], Effect::Publish);
    assert!(rig.effects.contains(&Effect::SweepEnded));
    assert_eq!((rig.told("a"), rig.told("b")), (None, Some(Some(manifest(3)))));
}

fn remembered(number: u8) -> Remembered {
    let rig = Rig::holding(&[("a", root(number, known(number)))]);
    rig.index.remember().remove(&game("a")).unwrap()
}

/// A quick look at the start believes what was known of the same version; a deep one follows.
#[test]
fn a_quick_look_takes_over_what_was_known_and_a_deep_one_follows() {
    let start = Start {
        revision: 100,
        remembered: BTreeMap::from([(game("a"), remembered(1)), (game("b"), remembered(1))]),
        ..Start::default()
    };
    let mut rig = Rig::with(start);
    rig.step(Input::SweepDue);
    rig.step(Input::Listed { epoch: 0, result: Ok(listing(&["a", "b"])) });
    assert_eq!(rig.told("a"), None, "what is only remembered is not announced");
    let results = vec![
        (game("a"), found(root(1, Content::Unwalked))),
        (game("b"), found(root(2, Content::Unwalked))),
    ];
    rig.step(Input::Scanned { epoch: 0, lane: Lane::Sweep, results });
    assert_eq!(rig.told("a"), Some(Some(manifest(1))));
    assert_eq!(rig.told("b"), Some(None), "another version than the one remembered");
    assert_eq!(rig.scans(), ["a", "b"]);
}

/// Proves F25 at the start: an unreadable folder shows what it held, and announces nothing.
#[test]
fn an_unreadable_folder_shows_what_was_remembered() {
    let remembered = BTreeMap::from([(game("a"), remembered(1))]);
    let mut rig = Rig::with(Start { revision: 100, remembered, ..Start::default() });
    rig.step(Input::SweepDue);
    rig.step(Input::Listed { epoch: 0, result: Err("gone".into()) });
    assert!(rig.publishes());
    assert_eq!(rig.local("a").unwrap().manifest, Some(manifest(1)));
    assert_eq!(rig.told("a"), None);
}

/// Proves A3 and F1: a restart in between changes nothing of what peers are told.
#[test]
fn a_restart_goes_on_with_what_was_announced() {
    let before = Rig::holding(&[("a", root(1, known(1)))]);
    let start = Start {
        revision: before.revision(),
        remembered: before.index.remember(),
        announced: before.index.announced().1.clone(),
        ..Start::default()
    };
    let mut rig = Rig::with(start);
    let rows = BTreeMap::from([(game("a"), "op".to_owned())]);
    rig.step(Input::OperationTable { rows });
    rig.step(Input::SweepDue);
    rig.step(Input::Listed { epoch: 0, result: Ok(listing(&["a"])) });
    assert!(rig.publishes());
    assert_eq!(rig.told("a"), Some(Some(manifest(1))), "held by an operation, not scanned");
    assert_eq!(rig.revision(), before.revision());
}

/// Proves D7: what is left out of a game is said once, and again when it changes.
#[test]
fn what_is_left_out_is_said_once() {
    let with_links = |text: &str| RootScan { remarks: vec![text.to_owned()], ..root(1, known(1)) };
    let said = |rig: &Rig| {
        rig.effects.iter().any(|effect| matches!(effect, Effect::Notice { game: Some(_), .. }))
    };
    let mut rig = Rig::holding(&[("a", with_links("one"))]);
    assert!(said(&rig));
    rig.touch("a");
    rig.scanned("a", found(with_links("one")));
    assert!(!said(&rig));
    let remembered = rig.index.remember();
    let mut rig = Rig::with(Start { revision: 100, remembered, ..Start::default() });
    rig.touch("a");
    rig.scanned("a", found(with_links("one")));
    assert!(!said(&rig), "not after a restart either");
    rig.touch("a");
    rig.scanned("a", found(with_links("two")));
    assert!(said(&rig));
}
