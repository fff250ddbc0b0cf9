//! When an address that has proved nothing may be dialled again, whoever is said to be there. Else
//! a few forged announcements would make a whole party knock at one machine.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use crate::peer_connection::limits::{
    ADDRESS_BOOK_MAX, UNPROVED_DIAL_INTERVAL, UNPROVED_DIAL_PAUSE, UNPROVED_FAILURES_MAX,
};

/// What happened at addresses lately.
#[derive(Debug, Default)]
pub(crate) struct AddressBook(BTreeMap<SocketAddr, Entry>);

#[derive(Debug, Default)]
struct Entry {
    not_before: Duration,
    failures: u32,
}

impl AddressBook {
    /// When `address` may be dialled.
    pub(crate) fn not_before(&self, address: SocketAddr) -> Duration {
        self.0.get(&address).map_or(Duration::ZERO, |entry| entry.not_before)
    }

    /// `address` is dialled now.
    pub(crate) fn dialed(&mut self, now: Duration, address: SocketAddr) {
        self.make_room(now, address);
        let entry = self.0.entry(address).or_default();
        entry.not_before = now + UNPROVED_DIAL_INTERVAL;
    }

    /// Nobody we wanted was there.
    pub(crate) fn failed(&mut self, now: Duration, address: SocketAddr) {
        if let Some(entry) = self.0.get_mut(&address) {
            entry.failures += 1;
            if entry.failures >= UNPROVED_FAILURES_MAX {
                entry.failures = 0;
                entry.not_before = now + UNPROVED_DIAL_PAUSE;
            }
        }
    }

    /// A peer proved itself there.
    pub(crate) fn forgive(&mut self, address: SocketAddr) {
        self.0.remove(&address);
    }

    /// Forgets what no longer matters, else what matters soonest.
    fn make_room(&mut self, now: Duration, address: SocketAddr) {
        if self.0.len() < ADDRESS_BOOK_MAX || self.0.contains_key(&address) {
            return;
        }
        self.0.retain(|_, entry| entry.not_before > now);
        if self.0.len() >= ADDRESS_BOOK_MAX {
            let soonest = self.0.iter().min_by_key(|(_, entry)| entry.not_before);
            if let Some(soonest) = soonest.map(|(address, _)| *address) {
                self.0.remove(&soonest);
            }
        }
    }
}
