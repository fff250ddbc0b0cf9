//! The instances that discovery knows: bounded, and only the latest of each. Pure.
//!
//! It stands between a network that anybody can flood and a reader that takes its time. Must never
//! grow beyond its bound, and never forget somebody who was not told yet for somebody who came
//! later.

use std::collections::BTreeMap;

use crate::net::backend::Sighting;

/// What is known of each instance, and which of it was told already.
#[derive(Debug)]
pub(crate) struct Known {
    capacity: usize,
    entries: BTreeMap<String, Entry>,
    /// Instances by the order in which they came or changed.
    untold: BTreeMap<u64, String>,
    told: BTreeMap<u64, String>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    sighting: Sighting,
    order: u64,
}

impl Known {
    /// Room for `capacity` instances.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: BTreeMap::new(),
            untold: BTreeMap::new(),
            told: BTreeMap::new(),
            next: 0,
        }
    }

    /// Takes note of an instance; what is already known is not news. `false` if there is no room:
    /// then everybody who is known is still to be told, and the newest has to wait.
    pub(crate) fn put(&mut self, instance: &str, sighting: Sighting) -> bool {
        if let Some(entry) = self.entries.get_mut(instance) {
            if entry.sighting != sighting {
                entry.sighting = sighting;
                if self.told.remove(&entry.order).is_some() {
                    self.untold.insert(entry.order, instance.to_owned());
                }
            }
            return true;
        }
        if self.entries.len() >= self.capacity && !self.forget_oldest_told() {
            return false;
        }
        let order = self.next;
        self.next += 1;
        self.untold.insert(order, instance.to_owned());
        self.entries.insert(instance.to_owned(), Entry { sighting, order });
        true
    }

    /// The instance is gone. Nobody is told: whether a peer is there is found out by talking to it.
    pub(crate) fn remove(&mut self, instance: &str) {
        if let Some(entry) = self.entries.remove(instance) {
            self.told.remove(&entry.order);
            self.untold.remove(&entry.order);
        }
    }

    /// Whether somebody is still to be told.
    pub(crate) fn has_news(&self) -> bool {
        !self.untold.is_empty()
    }

    /// The next one to be told; from now on it counts as told.
    pub(crate) fn next_news(&mut self) -> Option<Sighting> {
        let (order, instance) = self.untold.pop_first()?;
        let sighting = self.entries.get(&instance)?.sighting.clone();
        self.told.insert(order, instance);
        Some(sighting)
    }

    /// Everybody is news again.
    pub(crate) fn tell_all_again(&mut self) {
        self.untold.append(&mut self.told);
    }

    fn forget_oldest_told(&mut self) -> bool {
        let oldest = self.told.pop_first();
        oldest.is_some_and(|(_, instance)| self.entries.remove(&instance).is_some())
    }
}

#[cfg(test)]
mod tests {
    use lanspread_wire::PeerId;

    use super::*;

    fn sighting(number: u8, hosts: &[u8]) -> Sighting {
        let addresses = hosts.iter().map(|host| ([10, 0, 0, *host], 4000).into()).collect();
        Sighting { peer: PeerId([number; 32]), protocol: 1, addresses }
    }

    fn news(known: &mut Known) -> Vec<u8> {
        std::iter::from_fn(|| known.next_news()).map(|sighting| sighting.peer.0[0]).collect()
    }

    /// Proves F14: repeats are no news, changes are, and only the latest is told.
    #[test]
    fn only_the_latest_of_each_instance_is_told() {
        let mut known = Known::new(10);
        for _ in 0..100 {
            known.put("a", sighting(1, &[1]));
            known.put("b", sighting(2, &[2]));
        }
        known.put("a", sighting(1, &[1, 9]));
        let first = known.next_news().unwrap();
        assert_eq!(first, sighting(1, &[1, 9]));
        assert_eq!(news(&mut known), [2]);
        known.put("a", sighting(1, &[1, 9]));
        assert!(!known.has_news());
        known.put("a", sighting(1, &[9]));
        assert_eq!(news(&mut known), [1]);
    }

    /// Proves T13: a flood grows nothing, and whoever was there before it is told.
    #[test]
    fn a_flood_keeps_nobody_from_being_told() {
        let mut known = Known::new(4);
        assert!(known.put("honest", sighting(1, &[1])));
        let admitted = (0..50_000)
            .filter(|number| known.put(&format!("fake-{number}"), sighting(9, &[9])))
            .count();
        assert_eq!(admitted, 3);
        assert_eq!(news(&mut known), [1, 9, 9, 9]);
        // Once told, room is made for others, the oldest first.
        assert!(known.put("late", sighting(2, &[2])));
        assert_eq!(known.entries.len(), 4);
        assert!(!known.entries.contains_key("honest"));
        assert_eq!(news(&mut known), [2]);
    }

    #[test]
    fn who_is_gone_is_not_told_and_everybody_else_can_be_told_again() {
        let mut known = Known::new(4);
        known.put("a", sighting(1, &[1]));
        known.put("b", sighting(2, &[2]));
        known.remove("a");
        known.remove("nobody");
        assert_eq!(news(&mut known), [2]);
        known.put("c", sighting(3, &[3]));
        assert_eq!(news(&mut known), [3]);
        known.tell_all_again();
        assert_eq!(news(&mut known), [2, 3]);
        known.remove("b");
        known.tell_all_again();
        assert_eq!(news(&mut known), [3]);
        assert_eq!((known.entries.len(), known.told.len()), (1, 1));
    }
}
