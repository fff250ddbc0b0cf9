//! Tests of what a peer is told of our library: one pending change, in batches, and always enough.

use lanspread_wire::SnapshotPage;
use proptest::prelude::*;

use super::{
    super::{
        remote::{Applied, Pages, apply},
        samples::{announced, game, ms, s, summary},
    },
    *,
};
use crate::facts::RemoteLibrary;

/// An announcer whose peer holds `known` already.
fn in_step(known: Announced) -> Announcer {
    let mut announcer = Announcer::new(known.clone());
    let digest = known.state.digest;
    announcer.greeted(Duration::ZERO, known, Some(digest));
    assert_eq!(announcer.poll(Duration::ZERO), None);
    announcer
}

fn pages(frames: Vec<Control>) -> Vec<SnapshotPage> {
    let page = |frame| match frame {
        Control::Snapshot(page) => page,
        other => panic!("{other:?} instead of a page"),
    };
    frames.into_iter().map(page).collect()
}

fn delta(frames: Vec<Control>) -> LibraryDelta {
    match frames.as_slice() {
        [Control::Delta(delta)] => delta.clone(),
        other => panic!("{other:?} instead of a change"),
    }
}

/// Proves P4: the whole library follows the greeting, unless the peer holds it.
#[test]
fn the_library_follows_the_greeting_unless_it_is_known() {
    let library = announced(7, &[("a", 1)]);
    let mut announcer = Announcer::new(library.clone());
    assert_eq!(announcer.poll(s(1)), None, "nothing before the greeting");
    announcer.greeted(s(1), library.clone(), None);
    let pages = pages(announcer.poll(s(1)).unwrap());
    assert_eq!((pages.len(), pages[0].state), (1, library.state));

    let mut announcer = Announcer::new(library.clone());
    let other = announced(7, &[("b", 1)]).state.digest;
    announcer.greeted(s(1), library.clone(), Some(other));
    assert!(announcer.poll(s(1)).is_some(), "it holds another one");

    in_step(library);
}

/// Proves P8: changes gather for a while and travel as one.
#[test]
fn many_changes_travel_as_one() {
    let mut announcer = in_step(announced(1, &[("a", 1), ("b", 1)]));
    announcer.offer(s(10), announced(2, &[("a", 1), ("b", 2)])).unwrap();
    announcer.offer(s(10) + ms(100), announced(3, &[("b", 2), ("c", 1)])).unwrap();
    assert_eq!(announcer.poll(s(10) + ms(249)), None);
    assert_eq!(announcer.wake(), Some(s(10) + DELTA_BATCH));
    let change = delta(announcer.poll(s(10) + DELTA_BATCH).unwrap());
    assert_eq!((change.from, change.to), (1, 3));
    assert_eq!(change.added, [summary("c", 1)]);
    assert_eq!(change.updated, [summary("b", 2)]);
    assert_eq!(change.removed, [game("a")]);
}

/// Proves A6: while frames have not left, nothing is added to them, however much changes.
#[test]
fn a_slow_peer_has_one_pending_change() {
    let mut announcer = in_step(announced(1, &[]));
    announcer.offer(s(1), announced(2, &[("a", 1)])).unwrap();
    assert!(announcer.poll(s(2)).is_some());
    for revision in 3..50 {
        announcer.offer(s(revision), announced(revision, &[("a", revision as u32)])).unwrap();
        assert_eq!(announcer.poll(s(revision)), None);
        assert_eq!(announcer.wake(), None, "time does not help");
    }
    announcer.written();
    let change = delta(announcer.poll(s(60)).unwrap());
    assert_eq!((change.from, change.to, change.updated.len()), (2, 49, 1));
}

/// A change there and back is not told, and the next one begins where the peer is.
#[test]
fn a_change_there_and_back_is_nothing() {
    let mut announcer = in_step(announced(1, &[("a", 1)]));
    announcer.offer(s(1), announced(2, &[])).unwrap();
    announcer.offer(s(1), announced(3, &[("a", 1)])).unwrap();
    assert_eq!(announcer.poll(s(2)), None);
    assert_eq!(announcer.wake(), None);
    announcer.offer(s(3), announced(4, &[])).unwrap();
    let change = delta(announcer.poll(s(4)).unwrap());
    assert_eq!((change.from, change.to), (1, 4));
}

/// A change that fits no frame is told by the whole library.
#[test]
fn a_change_too_large_for_a_frame_becomes_a_snapshot() {
    let names: Vec<String> = (0..3000).map(|number| format!("game-{number}")).collect();
    let list: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let mut announcer = in_step(announced(1, &[]));
    announcer.offer(s(1), announced(2, &list)).unwrap();
    let pages = pages(announcer.poll(s(2)).unwrap());
    assert_eq!(pages.iter().map(|page| page.games.len()).sum::<usize>(), 3000);
    announcer.written();
    assert_eq!(announcer.poll(s(3)), None, "it is told");
}

/// Proves T34 on the other side: however often a peer asks, it gets the whole now and then.
#[test]
fn a_peer_that_asks_all_the_time_is_answered_rarely() {
    let library = announced(1, &[("a", 1)]);
    let mut announcer = in_step(library);
    let mut answers = 0;
    for millis in 0..20_000 {
        announcer.want_snapshot();
        if announcer.poll(ms(millis)).is_some() {
            answers += 1;
            announcer.written();
        }
    }
    assert_eq!(answers, 20_000 / SNAPSHOT_ASK_INTERVAL.as_millis());
}

/// A library that was set back can only be told in a new session; the same one again is nothing.
#[test]
fn a_library_never_goes_back() {
    let mut announcer = in_step(announced(5, &[("a", 1)]));
    assert_eq!(announcer.offer(s(1), announced(5, &[("a", 1)])), Ok(()));
    assert_eq!(announcer.offer(s(1), announced(5, &[("b", 1)])), Err(WentBack));
    assert_eq!(announcer.offer(s(1), announced(4, &[("b", 1)])), Err(WentBack));
}

/// One thing that happens to a library and its listener.
#[derive(Clone, Debug)]
enum Action {
    /// These games are here from now on, at these versions.
    Change(Vec<(u8, u32)>),
    Wait(u64),
    Written,
    Ask,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => prop::collection::vec((0_u8..6, 1_u32..4), 0..6).prop_map(Action::Change),
        4 => (0_u64..600).prop_map(Action::Wait),
        4 => Just(Action::Written),
        1 => Just(Action::Ask),
    ]
}

fn library(revision: u64, list: &[(u8, u32)]) -> Announced {
    let names: Vec<String> = list.iter().map(|(name, _)| format!("g{name}")).collect();
    let list: Vec<(&str, u32)> =
        names.iter().zip(list).map(|(name, (_, version))| (name.as_str(), *version)).collect();
    announced(revision, &list)
}

/// What the peer makes of the frames.
fn receive(held: &mut Option<RemoteLibrary>, collector: &mut Pages, frames: Vec<Control>) {
    for frame in frames {
        match frame {
            Control::Snapshot(page) => {
                if let Some(whole) = collector.push(page, 100).unwrap() {
                    *held = Some(whole);
                }
            }
            Control::Delta(delta) => match apply(held.as_ref().unwrap(), delta).unwrap() {
                Applied::Changed(library) => *held = Some(library),
                other => panic!("{other:?}: the peer lost the thread"),
            },
            other => panic!("{other:?} is no library frame"),
        }
    }
}

proptest! {
    /// Proves P8: whatever happens in whatever order, every change fits what the peer holds, and
    /// when all has settled it holds what is here.
    #[test]
    fn the_peer_ends_with_what_is_here(actions in prop::collection::vec(action(), 1..60)) {
        let mut now = Duration::ZERO;
        let mut latest = library(1, &[(0, 1)]);
        let mut announcer = Announcer::new(latest.clone());
        announcer.greeted(now, latest.clone(), None);
        let (mut held, mut collector) = (None, Pages::default());
        for action in actions {
            match action {
                Action::Change(list) => {
                    latest = library(latest.state.revision + 1, &list);
                    announcer.offer(now, latest.clone()).unwrap();
                }
                Action::Wait(millis) => now += ms(millis),
                Action::Written => announcer.written(),
                Action::Ask => announcer.want_snapshot(),
            }
            receive(&mut held, &mut collector, announcer.poll(now).unwrap_or_default());
        }
        for _ in 0..4 {
            announcer.written();
            now = announcer.wake().unwrap_or(now).max(now);
            receive(&mut held, &mut collector, announcer.poll(now).unwrap_or_default());
        }
        prop_assert_eq!(announcer.wake(), None);
        prop_assert_eq!(&held.unwrap().games, &*latest.games);
    }
}
