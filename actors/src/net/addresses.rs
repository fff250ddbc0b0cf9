//! Which addresses this machine has, which of them the listener answers on, and which of them are
//! told to whom (P2).
//!
//! Pure but for [`read`]. Must never make an address out of where a packet came from.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
};

use lanspread_wire::limits::ADDRESSES_MAX;

/// One address of one network interface of this machine, with the network it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface, as the system calls it.
    pub interface: String,
    /// The system's number for it.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// How many leading bits make the network.
    pub prefix_bits: u8,
}

impl InterfaceAddress {
    /// Whether `ip` can be reached through this interface without a router, and is one host: neither
    /// the network itself nor its broadcast address.
    pub fn is_on_link(&self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => is_on_link_v4(own, self.prefix_bits, ip),
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_bits)).unwrap_or(0);
                own.to_bits() & mask == ip.to_bits() & mask
            }
            _ => false,
        }
    }
}

fn is_on_link_v4(own: Ipv4Addr, prefix_bits: u8, ip: Ipv4Addr) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix_bits)).unwrap_or(0);
    if own.to_bits() & mask != ip.to_bits() & mask {
        return false;
    }
    // Networks of one or two addresses have no network and broadcast address.
    let host = ip.to_bits() & !mask;
    prefix_bits >= 31 || (host != 0 && host != !mask)
}

/// The addresses of all interfaces that are up. Asks the system; may block for a moment.
pub fn read() -> io::Result<Vec<InterfaceAddress>> {
    let addresses = if_addrs::get_if_addrs()?.into_iter().filter(|found| found.is_oper_up());
    Ok(addresses
        .map(|found| InterfaceAddress {
            ip: found.ip(),
            prefix_bits: match &found.addr {
                if_addrs::IfAddr::V4(v4) => v4.prefixlen,
                if_addrs::IfAddr::V6(v6) => v6.prefixlen,
            },
            index: found.index.unwrap_or_default(),
            interface: found.name,
        })
        .collect())
}

/// The addresses on the interfaces named in `only`; all of them if it names none.
pub fn select(all: Vec<InterfaceAddress>, only: &[String]) -> Vec<InterfaceAddress> {
    all.into_iter().filter(|found| only.is_empty() || only.contains(&found.interface)).collect()
}

/// Where a listener bound to `bound` can be reached, given the interfaces it may use: the addresses
/// of the real network first, loopback last. Link-local IPv6 is left out: its scope means nothing on
/// another machine.
pub fn listening(bound: SocketAddr, usable: &[InterfaceAddress]) -> Vec<SocketAddr> {
    let bound = canonical(bound);
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let mut ips: Vec<IpAddr> = usable
        .iter()
        .map(|found| found.ip)
        .filter(|ip| ip.is_ipv4() || bound.is_ipv6())
        .filter(|ip| !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()))
        .collect();
    ips.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6(), *ip));
    ips.dedup();
    ips.truncate(ADDRESSES_MAX);
    ips.into_iter().map(|ip| SocketAddr::new(ip, bound.port())).collect()
}

/// Those of our `listening` addresses that are of use to a peer at `remote`: loopback only if it is
/// on this machine.
pub fn stated_to(listening: &[SocketAddr], remote: IpAddr) -> Vec<SocketAddr> {
    let here = is_here(listening, remote);
    listening.iter().filter(|own| here || !own.ip().is_loopback()).copied().collect()
}

/// Whether `remote` is this machine: loopback, or one of our own addresses.
pub fn is_here(listening: &[SocketAddr], remote: IpAddr) -> bool {
    let remote = remote.to_canonical();
    remote.is_loopback() || listening.iter().any(|own| own.ip() == remote)
}

/// The address as the rest of the program writes it: an IPv4 address that came through a socket for
/// both families becomes an IPv4 address again.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_none() => address,
        _ => SocketAddr::new(address.ip().to_canonical(), address.port()),
    }
}

/// A link-local address can be dialled only together with the interface it was heard on.
pub fn scoped(ip: Ipv6Addr, port: u16, interface_index: u32) -> SocketAddr {
    let scope = if ip.is_unicast_link_local() { interface_index } else { 0 };
    SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope))
}

#[cfg(test)]
#[path = "addresses_tests.rs"]
mod tests;
