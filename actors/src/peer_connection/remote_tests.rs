//! Tests of what a peer's pages and changes make of what we hold of it.

use lanspread_wire::{GameSummary, LibraryDigest, snapshot_pages};

use super::{
    super::samples::{game, remote, s, summary},
    *,
};

fn delta(from: u64, to: &RemoteLibrary) -> LibraryDelta {
    LibraryDelta {
        from,
        to: to.state.revision,
        digest: to.state.digest,
        added: Vec::new(),
        updated: Vec::new(),
        removed: Vec::new(),
    }
}

/// A library of so many games, in pages.
fn many(count: usize) -> (RemoteLibrary, Vec<SnapshotPage>) {
    let names: Vec<String> = (0..count).map(|number| format!("game-{number:06}")).collect();
    let list: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let library = remote(1, &list);
    let games: Vec<GameSummary> = library.games.values().cloned().collect();
    let pages = snapshot_pages(library.state, &games);
    (library, pages)
}

fn collect(pages: Vec<SnapshotPage>) -> Result<Option<RemoteLibrary>, Fault> {
    let mut collector = Pages::default();
    let mut whole = None;
    for page in pages {
        whole = collector.push(page, 1000)?;
    }
    Ok(whole)
}

/// Proves P4: all pages together are the library, and nothing is before the last one.
#[test]
fn pages_make_a_library() {
    let (library, pages) = many(3000);
    assert!(pages.len() > 2, "the test wants several pages");
    let last = pages.len() - 1;
    let mut collector = Pages::default();
    for (number, page) in pages.into_iter().enumerate() {
        let whole = collector.push(page, 1000).unwrap();
        assert_eq!(whole.is_some(), number == last);
        assert_eq!(collector.is_open(), number != last);
        if let Some(whole) = whole {
            assert_eq!(whole, library);
        }
    }
}

#[test]
fn an_empty_library_is_one_page() {
    let (library, pages) = many(0);
    assert_eq!(collect(pages), Ok(Some(library)));
}

/// Proves T32: pages come in order, each once, all of one library.
#[test]
fn pages_out_of_order_end_the_session() {
    let (_, pages) = many(3000);
    for order in [vec![1], vec![0, 0], vec![0, 2]] {
        let picked = order.iter().map(|number| pages[*number].clone()).collect();
        assert_eq!(collect(picked).unwrap_err().code, CloseCode::State, "{order:?}");
    }
    let mut mixed = pages.clone();
    mixed[1].state.revision += 1;
    assert_eq!(collect(mixed).unwrap_err().code, CloseCode::State);
}

/// Proves T29: a library that is not what its digest says has no effect.
#[test]
fn a_library_with_another_digest_is_refused() {
    let (_, mut pages) = many(3000);
    pages[0].games.pop();
    assert_eq!(collect(pages).unwrap_err().code, CloseCode::Decode);
    let (_, mut pages) = many(3000);
    let first = pages[0].games[0].clone();
    pages[1].games.insert(0, first);
    assert_eq!(collect(pages).unwrap_err().code, CloseCode::Decode);
}

/// Proves T35: one game more than allowed is refused, and so are too many bytes.
#[test]
fn a_library_that_is_too_large_is_refused() {
    let (library, pages) = many(GAMES_PER_PEER_MAX);
    assert_eq!(collect(pages), Ok(Some(library)));
    let (_, pages) = many(GAMES_PER_PEER_MAX + 1);
    let fault = collect(pages).unwrap_err();
    assert_eq!(fault.code, CloseCode::Limit);
    assert!(fault.text.contains("library is too large"), "{}", fault.text);

    let (library, pages) = many(1);
    let mut collector = Pages::default();
    assert_eq!(collector.push(pages[0].clone(), SNAPSHOT_BYTES_MAX), Ok(Some(library)));
    let mut collector = Pages::default();
    let fault = collector.push(pages[0].clone(), SNAPSHOT_BYTES_MAX + 1).unwrap_err();
    assert_eq!(fault.code, CloseCode::Limit);
}

/// Proves P8.
#[test]
fn a_change_is_applied_once() {
    let held = remote(3, &[("a", 1), ("b", 1), ("c", 1)]);
    let after = remote(5, &[("a", 1), ("b", 2), ("d", 1)]);
    let change = LibraryDelta {
        added: vec![summary("d", 1)],
        updated: vec![summary("b", 2)],
        removed: vec![game("c")],
        ..delta(3, &after)
    };
    assert_eq!(apply(&held, change.clone()), Ok(Applied::Changed(after.clone())));
    assert_eq!(apply(&after, change), Ok(Applied::Repeated));
}

/// Proves T34, P8: a gap, a step back and a change with another result all ask for the whole.
#[test]
fn a_change_that_does_not_fit_is_a_gap() {
    let held = remote(3, &[("a", 1)]);
    let after = remote(5, &[("a", 1), ("b", 1)]);
    let added = vec![summary("b", 1)];
    let gap = LibraryDelta { added: added.clone(), ..delta(4, &after) };
    assert_eq!(apply(&held, gap), Ok(Applied::Gap));
    let back = LibraryDelta { added: added.clone(), ..delta(1, &remote(2, &[("a", 1), ("b", 1)])) };
    assert_eq!(apply(&held, back), Ok(Applied::Gap));
    let wrong = LibraryDelta { digest: LibraryDigest([9; 32]), added, ..delta(3, &after) };
    assert_eq!(apply(&held, wrong), Ok(Applied::Gap));
}

/// Proves T35: changes cannot grow a library beyond what a snapshot may hold.
#[test]
fn changes_cannot_make_a_library_too_large() {
    let (held, _) = many(GAMES_PER_PEER_MAX);
    let one_more = LibraryDelta {
        from: 1,
        to: 2,
        digest: LibraryDigest([0; 32]),
        added: vec![summary("z", 1)],
        updated: Vec::new(),
        removed: Vec::new(),
    };
    assert_eq!(apply(&held, one_more).unwrap_err().code, CloseCode::Limit);
}

/// Proves T34: one question at a time, and not more often than allowed, but no gap is forgotten.
#[test]
fn the_whole_library_is_asked_for_rarely_but_surely() {
    let mut question = Question::default();
    assert!(!question.ask(s(10)), "there is no gap");
    assert_eq!(question.wake(), None);
    question.raise();
    assert!(question.ask(s(10)));
    question.raise();
    assert!(!question.ask(s(11)), "the answer is under way");
    assert_eq!(question.wake(), Some(s(10) + LIBRARY_DEADLINE));
    question.answered();
    assert!(!question.ask(s(12)), "the answer is newer than the gap");
    question.raise();
    assert!(!question.ask(s(12)), "too soon");
    let allowed = s(10) + SNAPSHOT_ASK_INTERVAL;
    assert_eq!(question.wake(), Some(allowed));
    assert!(question.ask(allowed));
    assert!(!question.is_overdue(allowed + LIBRARY_DEADLINE - s(1)));
    assert!(question.is_overdue(allowed + LIBRARY_DEADLINE));
}

#[test]
fn the_weight_counts_games_and_their_texts() {
    assert_eq!(weight(&remote(1, &[])), 0);
    let light = weight(&remote(1, &[("a", 1)]));
    let heavy = weight(&remote(1, &[("a-much-longer-id", 1)]));
    assert!(light >= REMOTE_GAME_OVERHEAD_BYTES && heavy > light);
}
