//! Who may come in: what is done with one incoming attempt before anything is known about its sender
//! (T21, T22).
//!
//! `Gate` decides and counts (pure); [`SharedGate`] hands out [`Admission`]s that count themselves
//! down when they are dropped. Must never let an attempt cost more than the answer it gets.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::net::limits::{
    CONNECTIONS_MAX, CONNECTIONS_PER_IP_MAX, HANDSHAKES_MAX, HANDSHAKES_UNVALIDATED_MAX,
};

/// What is known of an attempt before the handshake. All of it may be forged but `validated`.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Where it says to come from.
    pub ip: IpAddr,
    /// The sender has shown that it receives what we send there.
    pub validated: bool,
    /// It came to an address of an interface that we listen on.
    pub is_for_us: bool,
    /// The sender is this machine: any number of nodes may run here.
    pub is_here: bool,
    /// Connections that are open now, dialled and accepted, handshakes included.
    pub connections: usize,
}

/// What is done with an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The handshake may begin.
    Accept,
    /// The sender must come back with a token that proves its address; keeps no state.
    Retry,
    /// Not even answered.
    Ignore,
    /// Told no, in one datagram.
    Refuse,
}

/// The counts behind the rules.
#[derive(Debug, Default)]
struct Gate {
    handshakes: usize,
    unvalidated: usize,
    per_ip: BTreeMap<IpAddr, FromThere>,
}

/// Connections from one address. The two are apart because the first may be forged: whoever borrows
/// an address must not use up its share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct FromThere {
    /// Handshakes whose sender has not shown that it is there.
    unvalidated: usize,
    /// Those whose sender is there.
    real: usize,
}

impl Gate {
    fn decide(&self, attempt: &Attempt) -> Verdict {
        if !attempt.is_for_us || self.handshakes >= HANDSHAKES_MAX {
            return Verdict::Ignore;
        }
        if !attempt.validated && self.unvalidated >= HANDSHAKES_UNVALIDATED_MAX {
            return Verdict::Retry;
        }
        let from_there = self.per_ip.get(&attempt.ip).copied().unwrap_or_default();
        let counted = from_there.real + if attempt.validated { 0 } else { from_there.unvalidated };
        let too_many = !attempt.is_here && counted >= CONNECTIONS_PER_IP_MAX;
        match (attempt.connections >= CONNECTIONS_MAX || too_many, attempt.validated) {
            (false, _) => Verdict::Accept,
            (true, true) => Verdict::Refuse,
            // Nobody shall get our refusals for datagrams that it did not send.
            (true, false) => Verdict::Retry,
        }
    }

    fn begin(&mut self, ip: IpAddr, validated: bool) {
        self.handshakes += 1;
        self.unvalidated += usize::from(!validated);
        *self.count(ip, validated) += 1;
    }

    /// Ends a handshake well; `false` if its address has its share already.
    fn prove(&mut self, ip: IpAddr, validated: bool, is_here: bool) -> bool {
        self.handshakes -= 1;
        if validated {
            return true;
        }
        self.unvalidated -= 1;
        *self.count(ip, false) -= 1;
        *self.count(ip, true) += 1;
        is_here || *self.count(ip, true) <= CONNECTIONS_PER_IP_MAX
    }

    fn fail(&mut self, ip: IpAddr, validated: bool) {
        self.handshakes -= 1;
        self.unvalidated -= usize::from(!validated);
        self.leave(ip, validated);
    }

    fn leave(&mut self, ip: IpAddr, validated: bool) {
        *self.count(ip, validated) -= 1;
        if self.per_ip.get(&ip) == Some(&FromThere::default()) {
            self.per_ip.remove(&ip);
        }
    }

    fn count(&mut self, ip: IpAddr, validated: bool) -> &mut usize {
        let from_there = self.per_ip.entry(ip).or_default();
        if validated { &mut from_there.real } else { &mut from_there.unvalidated }
    }
}

/// The gate of one node. It survives restarts of the accept loop, as the connections do.
#[derive(Clone, Debug, Default)]
pub struct SharedGate(Arc<Mutex<Gate>>);

impl SharedGate {
    /// Decides about an attempt; an accepted one is counted until its [`Admission`] is dropped.
    pub fn admit(&self, attempt: &Attempt) -> Result<Admission, Verdict> {
        let mut gate = self.lock();
        match gate.decide(attempt) {
            Verdict::Accept => {
                gate.begin(attempt.ip, attempt.validated);
                drop(gate);
                let stage = Stage::Handshake { validated: attempt.validated };
                let (ip, is_here) = (attempt.ip, attempt.is_here);
                Ok(Admission { gate: self.clone(), ip, is_here, stage })
            }
            verdict => Err(verdict),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gate> {
        // The counts are right after every single step, so a panic elsewhere does no harm.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right of one accepted connection to be there. Keep it exactly as long as the connection: it
/// counts for the limit per address until it is dropped.
#[derive(Debug)]
pub struct Admission {
    gate: SharedGate,
    ip: IpAddr,
    is_here: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Handshake { validated: bool },
    Proved,
}

impl Admission {
    /// An admission that counts nowhere: for tests that hand a connection over by themselves.
    pub fn uncounted() -> Self {
        let gate = SharedGate::default();
        let ip = IpAddr::from([127, 0, 0, 1]);
        gate.lock().begin(ip, true);
        Self { gate, ip, is_here: true, stage: Stage::Handshake { validated: true } }
    }

    /// The handshake is over and the sender is who it says. `false` if its address has its share of
    /// connections already: then this one must be closed.
    pub fn prove(&mut self) -> bool {
        match std::mem::replace(&mut self.stage, Stage::Proved) {
            Stage::Handshake { validated } => {
                self.gate.lock().prove(self.ip, validated, self.is_here)
            }
            Stage::Proved => true,
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut gate = self.gate.lock();
        match self.stage {
            Stage::Handshake { validated } => gate.fail(self.ip, validated),
            Stage::Proved => gate.leave(self.ip, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(host: u16, validated: bool) -> Attempt {
        let [high, low] = host.to_be_bytes();
        Attempt {
            ip: IpAddr::from([10, 0, high, low]),
            validated,
            is_for_us: true,
            is_here: false,
            connections: 0,
        }
    }

    /// Proves T21: at the limit an address must be proved first; at the other one nothing is said.
    #[test]
    fn spoofed_sources_meet_a_bound() {
        let gate = SharedGate::default();
        let mut admitted = Vec::new();
        for host in 0..HANDSHAKES_UNVALIDATED_MAX as u16 {
            admitted.push(gate.admit(&attempt(host, false)).unwrap());
        }
        for host in 1000..11_000 {
            assert_eq!(gate.admit(&attempt(host, false)).unwrap_err(), Verdict::Retry);
        }
        // Whoever comes back with a token is served meanwhile.
        for host in 0..(HANDSHAKES_MAX - HANDSHAKES_UNVALIDATED_MAX) as u16 {
            admitted.push(gate.admit(&attempt(host + 1000, true)).unwrap());
        }
        assert_eq!(gate.admit(&attempt(999, true)).unwrap_err(), Verdict::Ignore);
        assert_eq!(gate.admit(&attempt(999, false)).unwrap_err(), Verdict::Ignore);
        admitted.pop();
        assert_eq!(gate.admit(&attempt(999, false)).unwrap_err(), Verdict::Retry);
        assert!(gate.admit(&attempt(999, true)).is_ok());
        admitted.clear();
        assert!(gate.admit(&attempt(999, false)).is_ok());
        assert!(gate.lock().per_ip.is_empty(), "nothing is remembered of who has left");
    }

    /// Proves T22.
    #[test]
    fn one_address_gets_a_few_connections_and_others_are_not_affected() {
        let gate = SharedGate::default();
        let mut admitted: Vec<Admission> =
            (0..CONNECTIONS_PER_IP_MAX).map(|_| gate.admit(&attempt(1, true)).unwrap()).collect();
        assert_eq!(gate.admit(&attempt(1, true)).unwrap_err(), Verdict::Refuse);
        assert_eq!(gate.admit(&attempt(1, false)).unwrap_err(), Verdict::Retry);
        assert!(gate.admit(&attempt(2, true)).is_ok());
        // A proved connection counts as long as it lives.
        assert!(admitted.iter_mut().all(Admission::prove));
        assert_eq!(gate.admit(&attempt(1, true)).unwrap_err(), Verdict::Refuse);
        admitted.pop();
        assert!(gate.admit(&attempt(1, true)).is_ok());
    }

    /// Proves T21, T22: whoever borrows an address does not use up its share, and whoever proves it
    /// late gets no more than the others.
    #[test]
    fn a_borrowed_address_keeps_its_share() {
        let gate = SharedGate::default();
        let mut borrowed: Vec<Admission> =
            (0..CONNECTIONS_PER_IP_MAX).map(|_| gate.admit(&attempt(1, false)).unwrap()).collect();
        assert_eq!(gate.admit(&attempt(1, false)).unwrap_err(), Verdict::Retry);
        let mut owner: Vec<Admission> =
            (0..CONNECTIONS_PER_IP_MAX).map(|_| gate.admit(&attempt(1, true)).unwrap()).collect();
        assert!(owner.iter_mut().all(Admission::prove));
        assert!(!borrowed[0].prove(), "more than its share");
        drop((borrowed, owner));
        let gate = gate.lock();
        assert!(gate.per_ip.is_empty());
        assert_eq!((gate.handshakes, gate.unvalidated), (0, 0));
    }

    /// Proves T22: the limit of the whole node, and that it binds this machine too.
    #[test]
    fn a_full_node_refuses() {
        let gate = SharedGate::default();
        let full = Attempt { connections: CONNECTIONS_MAX, ..attempt(1, true) };
        assert_eq!(gate.admit(&full).unwrap_err(), Verdict::Refuse);
        assert_eq!(gate.admit(&Attempt { is_here: true, ..full }).unwrap_err(), Verdict::Refuse);
        assert!(gate.admit(&Attempt { connections: CONNECTIONS_MAX - 1, ..full }).is_ok());
    }

    /// Proves P6: any number of nodes on one machine.
    #[test]
    fn this_machine_has_no_limit_per_address() {
        let gate = SharedGate::default();
        let here = Attempt { is_here: true, ..attempt(1, true) };
        let admitted: Vec<_> = (0..50).map(|_| gate.admit(&here).unwrap()).collect();
        assert_eq!(gate.lock().per_ip[&here.ip].real, admitted.len());
    }

    /// Proves T14: what comes to an interface that we do not listen on does not exist.
    #[test]
    fn other_interfaces_are_not_answered() {
        let gate = SharedGate::default();
        let elsewhere = Attempt { is_for_us: false, ..attempt(1, true) };
        assert_eq!(gate.admit(&elsewhere).unwrap_err(), Verdict::Ignore);
    }
}
