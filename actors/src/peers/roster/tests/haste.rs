//! Tests of who is dialed before whom when there are more than there is room for.

use super::*;
use crate::peer_connection::limits::{KNOWN_PATIENCE, PATIENT_DIALS_MAX, STRANGER_PATIENCE};

/// A world in which every dial leads into the void, except to those who are `back`.
struct Void {
    roster: Roster,
    now: Duration,
    ends: Vec<(Duration, LinkId, u8)>,
    back: bool,
    begun: Vec<(Duration, u8)>,
}

impl Void {
    /// So many peers were here and have vanished together.
    fn after_losing(numbers: std::ops::Range<u8>) -> Self {
        let mut roster = Roster::new(peer(1), 1);
        let links: Vec<(LinkId, u8)> = numbers
            .map(|number| {
                let link = accept(&mut roster, s(1), number, number);
                up(&mut roster, s(1), link, number);
                (link, number)
            })
            .collect();
        let (ends, begun) = (Vec::new(), Vec::new());
        let mut void = Self { roster, now: s(2), ends, back: false, begun };
        for (link, _) in links {
            void.input(Input::Ended { link, end: vanished() });
        }
        void
    }

    fn input(&mut self, input: Input) {
        for effect in self.roster.step(self.now, input) {
            if let Effect::Dial { link, address, patience, .. } = effect {
                let std::net::IpAddr::V4(host) = address.ip() else { panic!("{address}") };
                let number = host.octets()[3];
                self.begun.push((self.now, number));
                let takes = if self.back { ms(1) } else { patience };
                self.ends.push((self.now + takes, link, number));
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.ends.sort();
            let end = self.ends.first().map(|(at, ..)| *at);
            let next = self.roster.wake().into_iter().chain(end).min();
            let Some(next) = next.filter(|at| *at <= until) else {
                self.now = until;
                return;
            };
            self.now = next.max(self.now);
            if end == Some(next) {
                let (_, link, number) = self.ends.remove(0);
                let result =
                    if self.back { Ok(peer(number)) } else { Err(unreachable(at(number))) };
                self.input(Input::Dialed { link, result });
                if self.back {
                    self.input(Input::Up { link, addresses: vec![at(number)] });
                }
            } else {
                self.input(Input::Tick);
            }
        }
    }

    fn present(&self, numbers: std::ops::Range<u8>) -> usize {
        numbers.filter(|number| self.roster.present.contains_key(&peer(*number))).count()
    }
}

/// Proves T13, P9: a hundred absent peers do not keep a new one waiting.
#[test]
fn absent_peers_leave_room_for_new_ones() {
    let mut void = Void::after_losing(50..150);
    void.pass(s(300));
    void.begun.clear();
    void.input(seen(200));
    assert_eq!(void.begun, [(void.now, 200)]);
    void.pass(s(30));
    let elsewhere = void.begun.iter().filter(|(_, number)| *number != 200).count() as u64;
    let slots = PATIENT_DIALS_MAX as u64;
    let most = slots * (30 / KNOWN_PATIENCE.as_secs() + 2);
    assert!(elsewhere > slots && elsewhere <= most, "{elsewhere}");
}

/// Proves F11: when a cut heals, everybody behind it is back within ten seconds.
#[test]
fn everybody_behind_a_cut_is_back_soon_after_it_heals() {
    let mut void = Void::after_losing(50..110);
    void.pass(s(900));
    assert_eq!(void.present(50..110), 0);
    void.back = true;
    void.ends.iter_mut().for_each(|(at, ..)| *at = void.now);
    void.pass(s(10));
    assert_eq!(void.present(50..110), 60);
}

/// Proves T13: a flood of inventions keeps a real peer waiting, but not for long: each of them has
/// one short try.
#[test]
fn inventions_have_one_short_try() {
    let mut roster = Roster::new(peer(1), 1);
    let mut all = Vec::new();
    for number in 100..=250 {
        all.extend(roster.step(s(1), seen(number)));
    }
    let dial = |effect: &Effect| match effect {
        Effect::Dial { patience, .. } => Some(*patience),
        _ => None,
    };
    assert_eq!(all.iter().filter_map(dial).collect::<Vec<_>>(), [STRANGER_PATIENCE; 8]);

    let mut void = Void::after_losing(0..0);
    for number in 100..=250 {
        void.input(seen(number));
    }
    void.pass(STRANGER_PATIENCE * (151 / DIALS_IN_FLIGHT_MAX as u32 + 1));
    let mut tried: Vec<u8> = void.begun.iter().map(|(_, number)| *number).collect();
    tried.sort_unstable();
    tried.dedup();
    assert_eq!(tried.len(), 151, "each was tried");
}
