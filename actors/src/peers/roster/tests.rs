//! Tests of the roster: who is dialed when, which connection survives, who is told what.

use std::net::Ipv4Addr;

use lanspread_wire::PROTOCOL_VERSION;

use super::*;
use crate::{
    net::{endpoint::DialError, limits::DIALS_IN_FLIGHT_MAX},
    peer_connection::{
        EndedBy,
        limits::{
            DIAL_GRACE, DIALS_BY_HAND_MAX, GOODBYE_QUIET, REDIAL_FIRST, REDIAL_LATER_MAX,
            REDIAL_SOON_MAX, REFUSED_PAUSE, REJECTION_INTERVAL, UNPROVED_DIAL_INTERVAL,
            UNPROVED_DIAL_PAUSE, WRONG_ID_PAUSE,
        },
        samples::{ms, peer, s},
    },
};

mod haste;
mod links;
mod model;

const ME: u8 = 100;
const LOWER: u8 = 50;
const HIGHER: u8 = 150;

fn roster() -> Roster {
    Roster::new(peer(ME), 1)
}

fn at(host: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, host), 4000))
}

fn seen(number: u8) -> Input {
    Input::Seen { peer: peer(number), protocol: PROTOCOL_VERSION, addresses: vec![at(number)] }
}

/// The links of the dials among the effects, with their addresses.
fn dials(effects: &[Effect]) -> Vec<(LinkId, SocketAddr)> {
    let dial = |effect: &Effect| match effect {
        Effect::Dial { link, address, .. } => Some((*link, *address)),
        _ => None,
    };
    effects.iter().filter_map(dial).collect()
}

fn unreachable(address: SocketAddr) -> DialError {
    DialError::Unreachable { address, reason: "timed out".to_owned() }
}

fn end(by: EndedBy, code: CloseCode) -> SessionEnd {
    SessionEnd { by, code, text: String::new() }
}

fn vanished() -> SessionEnd {
    end(EndedBy::Network, CloseCode::Silent)
}

/// Ticks until something happens, at most until `until`; the time is moved along.
fn pass(roster: &mut Roster, now: &mut Duration, until: Duration) -> Vec<Effect> {
    while let Some(at) = roster.wake().filter(|at| *at <= until) {
        *now = at.max(*now);
        let effects = roster.step(*now, Input::Tick);
        if !effects.is_empty() {
            return effects;
        }
    }
    *now = until;
    Vec::new()
}

/// An incoming connection of `number` that has become an open session.
fn accept(roster: &mut Roster, now: Duration, number: u8, from: u8) -> LinkId {
    let link = roster.next_link();
    let effects = roster.step(now, Input::Incoming { link, peer: peer(number), address: at(from) });
    let open = Effect::Open { link, peer: peer(number), role: Role::Listener };
    assert_eq!(effects, [open]);
    link
}

/// A dial of ours that has become an open session.
fn dialed(roster: &mut Roster, now: Duration, number: u8) -> LinkId {
    let effects = roster.step(now, seen(number));
    let [(link, _)] = dials(&effects)[..] else { panic!("{effects:?}") };
    let effects = roster.step(now, Input::Dialed { link, result: Ok(peer(number)) });
    assert_eq!(effects, [Effect::Open { link, peer: peer(number), role: Role::Dialer }]);
    link
}

fn up(roster: &mut Roster, now: Duration, link: LinkId, host: u8) -> Vec<Effect> {
    roster.step(now, Input::Up { link, addresses: vec![at(host)] })
}

fn connected(number: u8, link: LinkId, news: News) -> Effect {
    Effect::Connected { peer: peer(number), link, news }
}

fn close(link: LinkId, code: CloseCode) -> Effect {
    Effect::Close { link, code, text: REDUNDANT }
}

/// The lower id dials at once, the higher one waits for it and then dials all the same.
#[test]
fn the_lower_id_dials_first() {
    let mut roster = roster();
    assert_eq!(dials(&roster.step(s(1), seen(HIGHER))).len(), 1);
    assert_eq!(roster.step(s(1), seen(LOWER)), []);
    let mut now = s(1);
    let effects = pass(&mut roster, &mut now, s(5));
    assert_eq!(dials(&effects).len(), 1);
    assert!(now >= s(1) + DIAL_GRACE && now <= s(1) + DIAL_GRACE * 2, "{now:?}");
}

/// Proves P4, P9: a peer is told of when it is up, and again when it is gone and back.
#[test]
fn a_peer_comes_and_goes_and_comes_back() {
    let mut roster = roster();
    let link = dialed(&mut roster, s(1), HIGHER);
    let effects = up(&mut roster, s(1), link, HIGHER);
    assert_eq!(effects, [connected(HIGHER, link, News::Discovered)]);
    assert_eq!(roster.step(s(2), seen(HIGHER)), [], "it is here");
    let effects = roster.step(s(10), Input::Ended { link, end: vanished() });
    let lost = Effect::Lost { peer: peer(HIGHER), end: vanished() };
    assert_eq!(effects, [lost, Effect::Refresh]);

    let mut now = s(10);
    let [(link, _)] = dials(&pass(&mut roster, &mut now, s(60)))[..] else { panic!("a dial") };
    assert!(now <= s(10) + REDIAL_FIRST, "{now:?}");
    roster.step(now, Input::Dialed { link, result: Ok(peer(HIGHER)) });
    let effects = up(&mut roster, now, link, HIGHER);
    assert_eq!(effects, [connected(HIGHER, link, News::Returned)]);
}

/// Proves F1, F11: a lost peer is dialed often at first and then at least every few seconds.
#[test]
fn a_lost_peer_is_dialed_again_and_again() {
    let mut roster = roster();
    let link = dialed(&mut roster, s(1), HIGHER);
    up(&mut roster, s(1), link, HIGHER);
    roster.step(s(10), Input::Ended { link, end: vanished() });
    let (mut now, mut last, mut soon, mut later) = (s(10), s(10), 0, 0);
    while now < s(10 + 600) {
        let effects = pass(&mut roster, &mut now, s(10 + 600));
        let Some((link, address)) = dials(&effects).first().copied() else { continue };
        let longest = if now < s(10 + 60) { REDIAL_SOON_MAX } else { REDIAL_LATER_MAX };
        assert!(now - last <= longest, "{last:?} to {now:?}");
        (soon, later) = if now < s(70) { (soon + 1, later) } else { (soon, later + 1) };
        last = now;
        roster.step(now, Input::Dialed { link, result: Err(unreachable(address)) });
    }
    assert!(soon > 30 && later > 90, "{soon} {later}");
}

/// Proves P10: after a goodbye there is no hurry, but an announcement brings the peer back.
#[test]
fn a_peer_that_said_goodbye_is_left_alone_until_it_is_announced() {
    let mut roster = roster();
    let link = dialed(&mut roster, s(1), HIGHER);
    up(&mut roster, s(1), link, HIGHER);
    roster.step(s(10), Input::Ended { link, end: end(EndedBy::Peer, CloseCode::Goodbye) });
    let mut now = s(10);
    assert_eq!(pass(&mut roster, &mut now, s(30)), []);
    let effects = roster.step(now, seen(HIGHER));
    assert_eq!(dials(&effects).len(), 1);

    let mut roster = self::roster();
    let link = dialed(&mut roster, s(1), HIGHER);
    up(&mut roster, s(1), link, HIGHER);
    roster.step(s(10), Input::Ended { link, end: end(EndedBy::Peer, CloseCode::Goodbye) });
    assert_eq!(roster.step(s(10) + ms(1), seen(HIGHER)), [], "an old announcement");
    let mut now = s(10);
    assert_eq!(dials(&pass(&mut roster, &mut now, s(20))).len(), 1);
    assert_eq!(now, s(10) + GOODBYE_QUIET);
}

/// Proves T15: an address that proved nothing is dialed rarely, whoever is said to be there.
#[test]
fn many_ids_at_one_address_lead_to_few_dials() {
    let mut roster = roster();
    let victim = at(9);
    let mut counts = Vec::new();
    let mut now = s(1);
    for number in 101..=200 {
        let (peer, protocol) = (peer(number), PROTOCOL_VERSION);
        let effects = roster.step(now, Input::Seen { peer, protocol, addresses: vec![victim] });
        counts.extend(dials(&effects).into_iter().map(|(link, _)| (now, link)));
    }
    while now < s(1000) {
        if let Some((_, link)) = counts.last() {
            let result = Err(unreachable(victim));
            roster.step(now, Input::Dialed { link: *link, result });
        }
        let effects = pass(&mut roster, &mut now, s(1000));
        counts.extend(dials(&effects).into_iter().map(|(link, _)| (now, link)));
    }
    let times: Vec<Duration> = counts.iter().map(|(at, _)| *at).collect();
    let first = s(1);
    let again = first + UNPROVED_DIAL_INTERVAL * 2 + UNPROVED_DIAL_PAUSE;
    let expected = [
        first,
        first + UNPROVED_DIAL_INTERVAL,
        first + UNPROVED_DIAL_INTERVAL * 2,
        again,
        again + UNPROVED_DIAL_INTERVAL,
        again + UNPROVED_DIAL_INTERVAL * 2,
    ];
    assert_eq!(times, expected);
}

/// Proves T11, T01: a forged address is left alone for a while, the real one is tried at once.
#[test]
fn a_wrong_peer_at_one_address_does_not_hide_it_at_another() {
    let mut roster = roster();
    let addresses = vec![at(66), at(HIGHER)];
    let (expected, protocol) = (peer(HIGHER), PROTOCOL_VERSION);
    let effects = roster.step(s(1), Input::Seen { peer: expected, protocol, addresses });
    let [(link, forged)] = dials(&effects)[..] else { panic!("{effects:?}") };
    let error = DialError::IdentityMismatch { address: forged, expected, got: peer(66) };
    let effects = roster.step(s(1), Input::Dialed { link, result: Err(error) });
    let rejected =
        |effect: &&Effect| matches!(effect, Effect::Rejected { code: "identity-mismatch", .. });
    assert_eq!(effects.iter().filter(rejected).count(), 1);

    let mut now = s(1);
    let effects = pass(&mut roster, &mut now, s(2));
    let [(link, real)] = dials(&effects)[..] else { panic!("{effects:?}") };
    assert_ne!(real, forged);
    roster.step(now, Input::Dialed { link, result: Err(unreachable(real)) });
    while now < s(1) + WRONG_ID_PAUSE {
        let effects = pass(&mut roster, &mut now, s(1) + WRONG_ID_PAUSE - ms(1));
        for (link, address) in dials(&effects) {
            assert_eq!(address, real);
            roster.step(now, Input::Dialed { link, result: Err(unreachable(real)) });
        }
        if effects.is_empty() {
            break;
        }
    }
}

/// A peer with several addresses is found although the first leads nowhere.
#[test]
fn the_next_address_is_tried_beside_a_slow_one() {
    let mut roster = roster();
    let addresses = vec![at(1), at(2), at(3)];
    let (id, protocol) = (peer(HIGHER), PROTOCOL_VERSION);
    let effects = roster.step(s(1), Input::Seen { peer: id, protocol, addresses });
    let mut all = dials(&effects);
    let mut now = s(1);
    while all.len() < 3 {
        all.extend(dials(&pass(&mut roster, &mut now, s(3))));
        assert!(now < s(2), "{all:?}");
    }
    let (winner, _) = all[1];
    roster.step(now, Input::Dialed { link: winner, result: Ok(id) });
    let effects = up(&mut roster, now, winner, HIGHER);
    let aborts: Vec<LinkId> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Abort { link } => Some(*link),
            _ => None,
        })
        .collect();
    assert_eq!(aborts, [all[0].0, all[2].0]);
    // The result of an aborted dial was already under way.
    let refused = roster.step(now, Input::Dialed { link: all[0].0, result: Ok(id) });
    assert!(matches!(refused[..], [Effect::Refuse { code: CloseCode::Duplicate, .. }]));
}

/// Proves T13: only so many dials at once, and so many a second.
#[test]
fn dials_have_a_budget() {
    let mut roster = roster();
    let mut begun = Vec::new();
    for number in 101..=180 {
        begun.extend(dials(&roster.step(s(1), seen(number))));
    }
    assert_eq!(begun.len(), DIALS_IN_FLIGHT_MAX);
    // Each dial fails at once: the rate is what limits now.
    let mut now = s(1);
    let mut total = begun.len();
    while now < s(2) {
        let more = match begun.pop() {
            Some((link, address)) => {
                let result = Err(unreachable(address));
                roster.step(now, Input::Dialed { link, result })
            }
            None => pass(&mut roster, &mut now, s(2)),
        };
        total += dials(&more).len();
        begun.extend(dials(&more));
    }
    assert_eq!(total, 2 * DIAL_RATE as usize, "the burst and one second");
}

/// Proves P5: another version is watched, not dialed, until it announces ours.
#[test]
fn a_peer_of_another_version_is_watched() {
    let mut roster = roster();
    let (id, addresses) = (peer(HIGHER), vec![at(HIGHER)]);
    let other = Input::Seen { peer: id, protocol: 9, addresses };
    roster.step(s(1), other);
    let mut now = s(1);
    assert_eq!(pass(&mut roster, &mut now, s(3600)), []);
    assert_eq!(dials(&roster.step(now, seen(HIGHER))).len(), 1);
}

/// Proves P7, T14: our own announcement and impossible addresses lead to nothing.
#[test]
fn ourselves_and_impossible_addresses_are_not_dialed() {
    let mut roster = roster();
    assert_eq!(roster.step(s(1), seen(ME)), []);
    let addresses = ["0.0.0.0:4000", "224.0.0.251:5353", "255.255.255.255:4000", "10.0.0.1:53"]
        .map(|text| text.parse().unwrap())
        .to_vec();
    let (id, protocol) = (peer(HIGHER), PROTOCOL_VERSION);
    assert_eq!(roster.step(s(1), Input::Seen { peer: id, protocol, addresses }), []);
    assert_eq!(roster.wake(), None);
}

/// A dial by hand is answered when the peer is up, also if it was here before or comes otherwise.
#[test]
fn a_dial_by_hand_is_answered_once() {
    let mut roster = roster();
    let (ticket, address) = (Ticket(1), at(HIGHER));
    let effects = roster.step(s(1), Input::Connect { ticket, address });
    let [(link, _)] = dials(&effects)[..] else { panic!("{effects:?}") };
    assert!(matches!(effects[0], Effect::Dial { expected: None, .. }));
    roster.step(s(1), Input::Dialed { link, result: Ok(peer(HIGHER)) });
    let effects = up(&mut roster, s(1), link, HIGHER);
    let answer = |ticket, result| Effect::Answer { ticket, result };
    assert!(effects.contains(&answer(ticket, Ok(peer(HIGHER)))));

    let ticket = Ticket(2);
    let effects = roster.step(s(2), Input::Connect { ticket, address });
    let [(again, _)] = dials(&effects)[..] else { panic!("{effects:?}") };
    let effects = roster.step(s(2), Input::Dialed { link: again, result: Ok(peer(HIGHER)) });
    assert!(matches!(effects[0], Effect::Refuse { code: CloseCode::Duplicate, .. }));
    assert_eq!(effects[1], answer(ticket, Ok(peer(HIGHER))));
    assert!(roster.is_here(peer(HIGHER), link));

    let ticket = Ticket(3);
    let effects = roster.step(s(3), Input::Connect { ticket, address: at(9) });
    let [(lost, nowhere)] = dials(&effects)[..] else { panic!("{effects:?}") };
    let effects =
        roster.step(s(4), Input::Dialed { link: lost, result: Err(unreachable(nowhere)) });
    let [Effect::Answer { ticket: Ticket(3), result: Err(refused) }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(refused.code, ErrorCode::Unreachable);
    assert!(refused.message.contains("10.0.0.9:4000"), "{}", refused.message);
}

/// A dial by hand that ends in the handshake says why.
#[test]
fn a_dial_by_hand_that_is_refused_says_why() {
    for (code, expected) in [
        (CloseCode::VersionMismatch, ErrorCode::VersionMismatch),
        (CloseCode::IdMismatch, ErrorCode::IdentityMismatch),
        (CloseCode::HelloTimeout, ErrorCode::Timeout),
        (CloseCode::Limit, ErrorCode::Limit),
        (CloseCode::Decode, ErrorCode::Unreachable),
    ] {
        let mut roster = roster();
        let (ticket, address) = (Ticket(1), at(HIGHER));
        let effects = roster.step(s(1), Input::Connect { ticket, address });
        let [(link, _)] = dials(&effects)[..] else { panic!("{effects:?}") };
        roster.step(s(1), Input::Dialed { link, result: Ok(peer(HIGHER)) });
        let end = end(EndedBy::Peer, code);
        let effects = roster.step(s(2), Input::Ended { link, end });
        let refused = effects.iter().find_map(|effect| match effect {
            Effect::Answer { result: Err(refused), .. } => Some(refused.code),
            _ => None,
        });
        assert_eq!(refused, Some(expected), "{code}");
    }
}

/// Dials by hand do not pile up.
#[test]
fn too_many_dials_by_hand_are_refused() {
    let mut roster = roster();
    for number in 0..DIALS_BY_HAND_MAX as u64 {
        let ticket = Ticket(number);
        let effects = roster.step(s(1), Input::Connect { ticket, address: at(1) });
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Answer { .. })));
    }
    let effects = roster.step(s(1), Input::Connect { ticket: Ticket(99), address: at(1) });
    let [Effect::Answer { ticket: Ticket(99), result: Err(refused) }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(refused.code, ErrorCode::Limit);
}

/// A hostile host cannot fill the log with its rejections.
#[test]
fn the_same_rejection_is_told_now_and_then() {
    let mut roster = roster();
    let mut told = 0;
    let mut now = s(1);
    for _ in 0..500 {
        let link = accept(&mut roster, now, LOWER, LOWER);
        let end = end(EndedBy::Us, CloseCode::Decode);
        let effects = roster.step(now, Input::Ended { link, end });
        told += effects.iter().filter(|effect| matches!(effect, Effect::Rejected { .. })).count();
        now += ms(500);
    }
    assert_eq!(told as u64, 250 / REJECTION_INTERVAL.as_secs() + 1);
}

/// Proves P5, T08: a peer that refused us, or that we refused, is not dialed again soon.
#[test]
fn a_refused_peer_is_left_alone_for_a_while() {
    let mut roster = roster();
    let link = dialed(&mut roster, s(1), HIGHER);
    let end = end(EndedBy::Peer, CloseCode::VersionMismatch);
    let effects = roster.step(s(1), Input::Ended { link, end });
    let rejected = effects.iter().any(|effect| {
        matches!(effect, Effect::Rejected { code: "version-mismatch", claimed: Some(id), .. }
            if *id == peer(HIGHER))
    });
    assert!(rejected, "{effects:?}");
    assert_eq!(roster.step(s(2), seen(HIGHER)), [], "an announcement does not help");
    let mut now = s(2);
    assert_eq!(pass(&mut roster, &mut now, s(1) + REFUSED_PAUSE - ms(1)), []);
    assert_eq!(dials(&pass(&mut roster, &mut now, s(120))).len(), 1);
}

/// Proves P10, A4: at the end everything is closed, answered, and nothing begun.
#[test]
fn a_goodbye_ends_everything() {
    let mut roster = roster();
    let here = accept(&mut roster, s(1), LOWER, LOWER);
    up(&mut roster, s(1), here, LOWER);
    let greeting = accept(&mut roster, s(1), 7, 7);
    let effects = roster.step(s(1), Input::Connect { ticket: Ticket(1), address: at(9) });
    let [(dial, _)] = dials(&effects)[..] else { panic!("{effects:?}") };
    let effects = roster.step(s(2), Input::Goodbye);
    for link in [here, greeting] {
        let close = Effect::Close { link, code: CloseCode::Goodbye, text: "the node shuts down" };
        assert!(effects.contains(&close), "{effects:?}");
    }
    assert!(effects.contains(&Effect::Abort { link: dial }));
    let answered = |effect: &&Effect| {
        matches!(effect, Effect::Answer { ticket: Ticket(1), result: Err(refused) }
            if refused.code == ErrorCode::ShuttingDown)
    };
    assert_eq!(effects.iter().filter(answered).count(), 1);

    assert_eq!(roster.step(s(2), seen(HIGHER)), []);
    let effects = roster.step(s(2), Input::Connect { ticket: Ticket(2), address: at(9) });
    assert!(matches!(effects[..], [Effect::Answer { ticket: Ticket(2), result: Err(_) }]));
    let link = roster.next_link();
    let late = Input::Incoming { link, peer: peer(8), address: at(8) };
    assert!(matches!(roster.step(s(2), late)[0], Effect::Refuse { code: CloseCode::Shutdown, .. }));
    let over = end(EndedBy::Us, CloseCode::Goodbye);
    assert_eq!(roster.step(s(2), Input::Ended { link: here, end: over }), []);
    assert_eq!(roster.wake(), None);
}

/// Proves A3, T20: peers of an earlier run are looked for where they were.
#[test]
fn remembered_peers_are_dialed() {
    let mut roster = roster();
    roster.remember(s(1), peer(HIGHER), &[at(HIGHER)]);
    roster.remember(s(1), peer(ME), &[at(ME)]);
    let effects = roster.step(s(1), Input::Tick);
    assert_eq!(
        dials(&effects).iter().map(|(_, address)| *address).collect::<Vec<_>>(),
        [at(HIGHER)]
    );
}
