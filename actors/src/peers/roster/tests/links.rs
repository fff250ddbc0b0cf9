//! Tests of which connections are let in, and which of two survives.

use super::*;

/// Proves P7: when both dial at once, the one dialed by the lower id survives, in either order.
#[test]
fn of_two_crossing_connections_the_lower_ids_survives() {
    // We are the lower one: our dial wins.
    let mut roster = roster();
    let ours = dialed(&mut roster, s(1), HIGHER);
    let theirs = accept(&mut roster, s(1), HIGHER, HIGHER);
    up(&mut roster, s(1), theirs, HIGHER);
    let effects = up(&mut roster, s(1), ours, HIGHER);
    let relinked = connected(HIGHER, ours, News::Relinked);
    assert_eq!(effects, [relinked, close(theirs, CloseCode::Duplicate)]);
    let over = end(EndedBy::Us, CloseCode::Duplicate);
    assert_eq!(roster.step(s(1), Input::Ended { link: theirs, end: over }), [], "not lost");

    // The other order: ours is up, theirs loses once ours has shown a sign of life.
    let mut roster = self::roster();
    let ours = dialed(&mut roster, s(1), HIGHER);
    let theirs = accept(&mut roster, s(1), HIGHER, HIGHER);
    up(&mut roster, s(1), ours, HIGHER);
    assert_eq!(up(&mut roster, s(1), theirs, HIGHER), [Effect::Probe { link: ours }]);
    let effects = roster.step(s(1), Input::Alive { link: ours });
    assert_eq!(effects, [close(theirs, CloseCode::Duplicate)]);
    assert!(roster.is_here(peer(HIGHER), ours));

    // We are the higher one: theirs wins.
    let mut roster = self::roster();
    roster.step(s(1), seen(LOWER));
    let mut now = s(1);
    let [(ours, _)] = dials(&pass(&mut roster, &mut now, s(3)))[..] else { panic!("a dial") };
    roster.step(now, Input::Dialed { link: ours, result: Ok(peer(LOWER)) });
    let theirs = accept(&mut roster, now, LOWER, LOWER);
    up(&mut roster, now, ours, LOWER);
    let effects = up(&mut roster, now, theirs, LOWER);
    let relinked = connected(LOWER, theirs, News::Relinked);
    assert_eq!(effects, [relinked, close(ours, CloseCode::Duplicate)]);
}

/// Proves P9, F9: the left-over of a crash does not keep out the peer that came back.
#[test]
fn an_older_connection_that_does_not_answer_makes_way() {
    let mut roster = roster();
    let ours = dialed(&mut roster, s(1), HIGHER);
    up(&mut roster, s(1), ours, HIGHER);
    let theirs = accept(&mut roster, s(10), HIGHER, HIGHER);
    assert_eq!(up(&mut roster, s(10), theirs, HIGHER), [Effect::Probe { link: ours }]);
    let mut now = s(10);
    let effects = pass(&mut roster, &mut now, s(20));
    assert_eq!(now, s(10) + PROBE_DEADLINE);
    assert_eq!(effects[0], connected(HIGHER, theirs, News::Relinked));
    assert!(
        matches!(effects[1], Effect::Close { link, code: CloseCode::Silent, .. } if link == ours)
    );

    // It ends while the verdict is out: the newer one takes its place, nobody is lost.
    let mut roster = self::roster();
    let ours = dialed(&mut roster, s(1), HIGHER);
    up(&mut roster, s(1), ours, HIGHER);
    let theirs = accept(&mut roster, s(10), HIGHER, HIGHER);
    up(&mut roster, s(10), theirs, HIGHER);
    let effects = roster.step(s(10), Input::Ended { link: ours, end: vanished() });
    assert_eq!(effects, [connected(HIGHER, theirs, News::Relinked)]);
}

/// A peer that started again dials again: of two connections dialed by it the newest survives.
#[test]
fn a_peer_that_dials_again_from_the_same_place_replaces_itself() {
    let mut roster = roster();
    let old = accept(&mut roster, s(1), LOWER, LOWER);
    up(&mut roster, s(1), old, LOWER);
    let new = accept(&mut roster, s(2), LOWER, LOWER);
    let effects = up(&mut roster, s(2), new, LOWER);
    let relinked = connected(LOWER, new, News::Relinked);
    assert_eq!(effects, [relinked, close(old, CloseCode::Duplicate)]);
}

/// Proves T07: while the first machine lives, a second one with the same key is refused and told.
#[test]
fn a_cloned_identity_is_refused_while_the_original_lives() {
    let mut roster = roster();
    let original = accept(&mut roster, s(1), LOWER, LOWER);
    up(&mut roster, s(1), original, LOWER);
    let clone = accept(&mut roster, s(2), LOWER, 77);
    assert_eq!(up(&mut roster, s(2), clone, 77), [Effect::Probe { link: original }]);
    let effects = roster.step(s(2), Input::Alive { link: original });
    assert_eq!(effects[0], Effect::Cloned { peer: peer(LOWER) });
    let Effect::Close { link, code: CloseCode::Duplicate, text } = effects[1] else {
        panic!("{effects:?}")
    };
    assert!(link == clone && text.contains("reset the id"), "{text}");
    assert!(roster.is_here(peer(LOWER), original));

    // A peer that moved to another address is no clone: its old connection is dead.
    let moved = accept(&mut roster, s(50), LOWER, 78);
    up(&mut roster, s(50), moved, 78);
    let mut now = s(50);
    pass(&mut roster, &mut now, s(60));
    assert!(roster.is_here(peer(LOWER), moved));
}

/// The peer closed our connection for a better one, which comes up a moment later: it was never
/// lost.
#[test]
fn a_peer_between_two_connections_is_not_lost() {
    let over = || end(EndedBy::Peer, CloseCode::Duplicate);
    let mut roster = roster();
    let first = dialed(&mut roster, s(1), HIGHER);
    up(&mut roster, s(1), first, HIGHER);
    assert_eq!(roster.step(s(2), Input::Ended { link: first, end: over() }), []);
    let second = accept(&mut roster, s(3), HIGHER, HIGHER);
    let effects = up(&mut roster, s(3), second, HIGHER);
    assert_eq!(effects, [connected(HIGHER, second, News::Relinked)]);

    // The better one never comes: then it is.
    roster.step(s(10), Input::Ended { link: second, end: over() });
    let mut now = s(10);
    let effects = pass(&mut roster, &mut now, s(100));
    assert_eq!(now, s(10) + SUCCESSOR_DEADLINE);
    assert_eq!(effects[0], Effect::Lost { peer: peer(HIGHER), end: over() });
    let lost_at = now;
    assert_eq!(pass(&mut roster, &mut now, lost_at + REFUSED_PAUSE - ms(1)), [], "it refused us");
}

/// Proves T22: so many handshakes with one peer. Connections per address are counted by the
/// listener.
#[test]
fn incoming_connections_have_limits() {
    let mut roster = roster();
    let mut code_of = |number: u8, address: SocketAddr| {
        let link = roster.next_link();
        let incoming = Input::Incoming { link, peer: peer(number), address };
        match roster.step(s(1), incoming)[0] {
            Effect::Refuse { code, .. } => Some(code),
            _ => None,
        }
    };
    for host in 1..=GREETINGS_PER_PEER_MAX as u8 {
        assert_eq!(code_of(200, at(host)), None);
    }
    assert_eq!(code_of(200, at(50)), Some(CloseCode::Limit));
    assert_eq!(code_of(ME, at(51)), Some(CloseCode::SelfConnect));
}

/// Proves T22: the node as a whole has a limit, and dials count.
#[test]
fn connections_have_a_limit() {
    let mut roster = roster();
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 4000));
    for number in 0..CONNECTIONS_MAX {
        let mut id = [7; 32];
        id[..8].copy_from_slice(&number.to_le_bytes());
        let (link, peer) = (roster.next_link(), PeerId(id));
        let effects = roster.step(s(1), Input::Incoming { link, peer, address: loopback });
        assert!(matches!(effects[..], [Effect::Open { .. }]));
    }
    let (link, id) = (roster.next_link(), peer(1));
    let effects = roster.step(s(1), Input::Incoming { link, peer: id, address: loopback });
    assert!(matches!(effects[0], Effect::Refuse { code: CloseCode::Limit, .. }));
    assert_eq!(roster.step(s(1), seen(HIGHER)), []);
    assert_eq!(roster.wake(), None, "it does not spin");
}
