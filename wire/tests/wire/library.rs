//! Digests and pages of libraries.

use std::collections::BTreeSet;

use lanspread_wire::{
    Control, GameSummary, LibraryDigest, ManifestId, SnapshotPage, Title, VersionStamp,
    decode_frame, encode_frame, library_digest,
    limits::{CONTROL_ITEMS_MAX, FRAME_BYTES_MAX, GAMES_PER_PEER_MAX, SENTINEL_BYTES_MAX},
    snapshot_pages,
};
use proptest::{collection::vec, prelude::*};

use super::samples::{any_summary, state, summary};

/// What every receiver relies on: pages that fit, count up, and are the library together.
#[track_caller]
fn are_pages_of(pages: &[SnapshotPage], games: &[GameSummary]) {
    for (index, page) in pages.iter().enumerate() {
        assert_eq!(page.page as usize, index);
        assert_eq!(page.state, state());
        assert_eq!(page.last, index + 1 == pages.len());
        let frame = encode_frame(&Control::Snapshot(page.clone())).unwrap();
        assert!(frame.len() <= 4 + FRAME_BYTES_MAX);
        assert_eq!(decode_frame(&frame[4..]), Ok(Control::Snapshot(page.clone())));
    }
    let together: Vec<GameSummary> = pages.iter().flat_map(|page| page.games.clone()).collect();
    assert_eq!(together, games);
}

fn numbered(count: usize) -> Vec<GameSummary> {
    (0..count).map(|number| summary(&format!("g{number:05}"))).collect()
}

#[test]
fn an_empty_library_is_one_empty_page() {
    let pages = snapshot_pages(state(), &[]);
    assert_eq!(pages.len(), 1);
    are_pages_of(&pages, &[]);
}

#[test]
fn a_small_library_is_one_page() {
    let games = numbered(100);
    let pages = snapshot_pages(state(), &games);
    assert_eq!(pages.len(), 1);
    are_pages_of(&pages, &games);
}

/// Proves T35: the largest library can be told.
#[test]
fn the_largest_library_is_told_in_pages_that_are_well_filled() {
    let games = numbered(GAMES_PER_PEER_MAX);
    let pages = snapshot_pages(state(), &games);
    are_pages_of(&pages, &games);
    let bytes = games.len() * 85;
    assert!(pages.len() <= bytes / FRAME_BYTES_MAX + 2, "{} pages", pages.len());
}

#[test]
fn summaries_of_the_largest_size_are_told() {
    let games: Vec<GameSummary> = (0..40)
        .map(|number| GameSummary {
            title: Title::parse(&"😀".repeat(128)).unwrap(),
            version: VersionStamp::parse(&[b'9'; SENTINEL_BYTES_MAX]).unwrap(),
            ..summary(&format!("{}{number:02}", "g".repeat(62)))
        })
        .collect();
    let pages = snapshot_pages(state(), &games);
    assert!(pages.len() > 1);
    are_pages_of(&pages, &games);
}

/// The number of items of a page is limited as well as its bytes.
#[test]
fn tiny_summaries_do_not_overfill_a_page() {
    let ids: BTreeSet<String> = (0..46_656_u32)
        .map(|n| [n / 1296, n / 36 % 36, n % 36].map(|d| char::from_digit(d, 36).unwrap()))
        .map(|id| id.iter().collect::<String>())
        .filter(|id| !matches!(id.as_str(), "con" | "prn" | "aux" | "nul"))
        .take(CONTROL_ITEMS_MAX + 1)
        .collect();
    let games: Vec<GameSummary> = ids
        .iter()
        .map(|id| GameSummary {
            title: Title::parse("x").unwrap(),
            version: VersionStamp::parse(b"1").unwrap(),
            manifest: None,
            bytes_total: 1,
            ..summary(id)
        })
        .collect();
    let pages = snapshot_pages(state(), &games);
    assert_eq!(pages.len(), 2);
    are_pages_of(&pages, &games);
}

proptest! {
    #[test]
    fn any_library_is_its_pages(games in vec(any_summary(), 0..60)) {
        let mut games = games;
        games.sort_by(|left, right| left.game.cmp(&right.game));
        games.dedup_by(|left, right| left.game == right.game);
        are_pages_of(&snapshot_pages(state(), &games), &games);
    }

    /// Proves P4: a digest tells every difference.
    #[test]
    fn a_digest_changes_with_everything_that_is_told(
        games in vec(any_summary(), 1..6),
        field in 0..6_usize,
    ) {
        let before = library_digest(games.iter());
        prop_assert_eq!(library_digest(games.clone().iter()), before);
        let mut changed = games;
        let last = changed.last_mut().unwrap();
        match field {
            0 => last.game = super::samples::game("another-game-than-any"),
            1 => last.title = Title::parse("another title than any of forty letters ....").unwrap(),
            2 => last.version = "another stamp than any.".parse().unwrap(),
            3 => last.manifest = if last.manifest.is_some() { None } else { Some(ManifestId([9; 32])) },
            4 => last.bytes_total += 1,
            _ => { changed.pop(); }
        }
        prop_assert_ne!(library_digest(changed.iter()), before);
    }
}

#[test]
fn an_empty_library_has_a_digest_of_its_own() {
    assert_ne!(library_digest([].iter()), LibraryDigest([0; 32]));
    assert_ne!(library_digest([].iter()), library_digest([summary("a")].iter()));
}
