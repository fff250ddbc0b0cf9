//! Tests of who is remembered: floods of inventions, and what they must not push out.

use super::*;
use crate::peer_connection::samples::{ms, peer, s};

const ME: u8 = 0;

fn candidates() -> Candidates {
    Candidates::new(peer(ME), 1)
}

fn invented(number: usize) -> PeerId {
    let mut id = [200; 32];
    id[..8].copy_from_slice(&number.to_le_bytes());
    PeerId(id)
}

fn at(number: usize) -> SocketAddr {
    let [.., a, b] = number.to_be_bytes();
    SocketAddr::from(([10, 1, a, b], 4000))
}

fn next(candidates: &mut Candidates, now: Duration) -> Option<Due> {
    candidates.next(now, Haste::Eager).or_else(|| candidates.next(now, Haste::Patient))
}

fn has(candidates: &Candidates, id: PeerId) -> bool {
    candidates.peers.contains_key(&id)
}

/// Proves T13: fifty thousand inventions take no more room than the limit, and no place of a peer
/// that proved its key.
#[test]
fn inventions_do_not_push_out_peers_that_proved_themselves() {
    let mut candidates = candidates();
    let real = peer(9);
    candidates.connected(s(1), real, &[at(1)], |_| true);
    candidates.departed(s(2), real, Departure::Vanished);
    for number in 0..50_000 {
        let now = s(10) + ms(number as u64);
        assert!(candidates.seen(now, invented(number), [at(number)]));
    }
    assert_eq!(candidates.peers.len(), CANDIDATES_MAX + 1);
    let scheduled: usize = candidates.schedules.iter().map(BTreeSet::len).sum();
    assert_eq!(scheduled, CANDIDATES_MAX + 1);
    assert!(has(&candidates, real));
    assert!(!has(&candidates, invented(0)) && has(&candidates, invented(49_999)));
}

/// A candidate that is dialed at the moment keeps its place.
#[test]
fn a_candidate_that_is_being_dialed_is_not_forgotten() {
    let mut candidates = candidates();
    candidates.seen(s(1), peer(9), [at(9)]);
    let due = candidates.next(s(1), Haste::Eager).unwrap();
    assert_eq!((due.peer, due.address), (peer(9), at(9)));
    for number in 0..2 * CANDIDATES_MAX {
        candidates.seen(s(2), invented(number), [at(number)]);
    }
    assert!(has(&candidates, peer(9)));
    candidates.dial_over(peer(9), at(9));
    candidates.seen(s(3), invented(9999), [at(1)]);
    assert!(!has(&candidates, peer(9)));
}

/// Known peers have a limit of their own; the absent one seen longest ago goes.
#[test]
fn known_peers_push_out_absent_known_peers_only() {
    let mut candidates = candidates();
    candidates.seen(s(1), peer(9), [at(9)]);
    for number in 0..KNOWN_PEERS_MAX {
        let now = s(10 + number as u64);
        assert!(candidates.connected(now, invented(number), &[at(number)], |_| true));
    }
    candidates.departed(s(900), invented(3), Departure::Vanished);
    candidates.departed(s(900), invented(5), Departure::Vanished);
    candidates.connected(s(1000), invented(9999), &[at(1)], |_| true);
    assert!(!has(&candidates, invented(3)) && has(&candidates, invented(5)));
    assert!(has(&candidates, peer(9)));
    assert_eq!(candidates.peers.len(), KNOWN_PEERS_MAX + 1);
}

/// One peer cannot fill the memory with addresses, and loses the unproved ones first.
#[test]
fn a_peer_has_few_addresses() {
    let mut candidates = candidates();
    candidates.connected(s(1), peer(9), &[at(0)], |_| true);
    for number in 1..1000 {
        candidates.seen(s(2) + ms(number as u64), peer(9), [at(number)]);
    }
    let addresses = &candidates.peers[&peer(9)].addresses;
    assert_eq!(addresses.len(), ADDRESSES_MAX);
    assert!(addresses.contains_key(&at(0)) && addresses.contains_key(&at(999)));
}

/// Proves P2, T15: an address that a peer merely states is not proved; one on its own host is.
#[test]
fn a_stated_address_is_not_a_proved_one() {
    let mut candidates = candidates();
    candidates.connected(s(1), peer(9), &[at(1), at(2)], |address| *address == at(1));
    candidates.departed(s(10), peer(9), Departure::Vanished);
    let (mut now, mut dials) = (s(10), [0, 0]);
    while now < s(10 + 60) {
        while let Some(Due { peer: id, address, .. }) = next(&mut candidates, now) {
            dials[usize::from(address == at(2))] += 1;
            candidates.failed(now, id, address, Failure::Unreachable);
        }
        now += ms(10);
    }
    assert!(dials[0] > 30, "{dials:?}");
    assert!((1..=2).contains(&dials[1]), "{dials:?}");
}

/// An announcement brings a lost peer's dial forward, but a flood of them does not.
#[test]
fn announcements_hurry_a_known_peer_within_bounds() {
    let mut candidates = candidates();
    candidates.connected(s(1), peer(9), &[at(9)], |_| true);
    candidates.departed(s(10), peer(9), Departure::Vanished);
    let (mut now, mut dials) = (s(4000), 0_u32);
    for _ in 0..6000 {
        candidates.seen(now, peer(9), [at(9)]);
        while let Some(Due { peer: id, address, .. }) = next(&mut candidates, now) {
            dials += 1;
            candidates.failed(now, id, address, Failure::Unreachable);
        }
        now += ms(10);
    }
    let bound = 60 / REDIAL_SOON_MAX.as_secs() as u32;
    assert!((bound - 2..=bound + 4).contains(&dials), "{dials}");
}
