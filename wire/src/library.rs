//! What a library is as a whole: its digest, and how it is cut into pages. Pure; the index itself
//! is kept elsewhere.

use crate::{
    codec::encode_value,
    ids::LibraryDigest,
    limits::{CONTROL_ITEMS_MAX, FRAME_BYTES_MAX},
    messages::{GameSummary, LibraryState, SnapshotPage},
};

/// The digest of a library. The games must come in the order of their ids; two libraries have the
/// same digest exactly if they tell the same.
pub fn library_digest<'a>(games: impl Iterator<Item = &'a GameSummary>) -> LibraryDigest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DIGEST_DOMAIN);
    for summary in games {
        // A summary's bytes tell where it ends, so the sequence is unambiguous.
        hasher.update(&encode_value(summary));
    }
    LibraryDigest(*hasher.finalize().as_bytes())
}

/// A library as pages that each fit a frame; at least one page, also for an empty library. The
/// games must come in the order of their ids, and no more of them than a receiver accepts
/// ([`crate::limits::GAMES_PER_PEER_MAX`]).
pub fn snapshot_pages(state: LibraryState, games: &[GameSummary]) -> Vec<SnapshotPage> {
    let mut pages: Vec<SnapshotPage> = Vec::new();
    let mut page_games: Vec<GameSummary> = Vec::new();
    let mut page_bytes = PAGE_HEAD_BYTES;
    for summary in games {
        let bytes = encode_value(summary).len();
        let full = page_bytes + bytes > FRAME_BYTES_MAX || page_games.len() == CONTROL_ITEMS_MAX;
        if full && !page_games.is_empty() {
            push_page(&mut pages, state, std::mem::take(&mut page_games));
            page_bytes = PAGE_HEAD_BYTES;
        }
        page_bytes += bytes;
        page_games.push(summary.clone());
    }
    push_page(&mut pages, state, page_games);
    if let Some(page) = pages.last_mut() {
        page.last = true;
    }
    pages
}

fn push_page(pages: &mut Vec<SnapshotPage>, state: LibraryState, games: Vec<GameSummary>) {
    let page = u32::try_from(pages.len()).unwrap_or(u32::MAX);
    pages.push(SnapshotPage { state, page, last: false, games });
}

/// Separates this use of the hash from all others.
const DIGEST_DOMAIN: &[u8] = b"lanspread library\n";
/// More than everything in a page but its games takes.
const PAGE_HEAD_BYTES: usize = 128;
