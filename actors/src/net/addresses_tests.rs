//! Tests of the address rules.

use super::*;

fn own(interface: &str, index: u32, ip: &str, prefix_bits: u8) -> InterfaceAddress {
    let ip = ip.parse().unwrap();
    InterfaceAddress { interface: interface.to_owned(), index, ip, prefix_bits }
}

fn machine() -> Vec<InterfaceAddress> {
    vec![
        own("lo", 1, "127.0.0.1", 8),
        own("lo", 1, "::1", 128),
        own("eth0", 2, "10.77.0.1", 24),
        own("eth0", 2, "fe80::1", 64),
        own("eth0", 2, "fd00::1", 64),
        own("wlan0", 3, "192.168.1.5", 23),
    ]
}

fn texts(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Proves P2, P6.
#[test]
fn a_wildcard_listener_states_every_address_real_ones_first() {
    let listening = listening(address("[::]:4000"), &machine());
    assert_eq!(
        texts(&listening),
        ["10.77.0.1:4000", "192.168.1.5:4000", "[fd00::1]:4000", "127.0.0.1:4000", "[::1]:4000"]
    );
}

/// Proves P2.
#[test]
fn a_socket_without_ipv6_states_no_ipv6_address() {
    let listening = listening(address("0.0.0.0:4000"), &machine());
    assert_eq!(texts(&listening), ["10.77.0.1:4000", "192.168.1.5:4000", "127.0.0.1:4000"]);
}

/// Proves P2.
#[test]
fn a_listener_on_one_address_states_only_that() {
    let listening = listening(address("127.0.0.1:4000"), &machine());
    assert_eq!(texts(&listening), ["127.0.0.1:4000"]);
}

/// Proves P2: the interfaces that the user named and no other.
#[test]
fn only_the_named_interfaces_are_used() {
    let only = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        texts(&listening(address("[::]:9999"), &select(machine(), &names)))
    };
    assert_eq!(only(&["wlan0"]), ["192.168.1.5:9999"]);
    assert_eq!(only(&["lo"]), ["127.0.0.1:9999", "[::1]:9999"]);
    assert_eq!(only(&["eth0", "lo"]).len(), 4);
    assert_eq!(only(&["eth"]), [""; 0]);
    assert_eq!(only(&[]).len(), 5);
}

/// Proves P2: more addresses than a greeting holds are cut, the real network's first.
#[test]
fn a_machine_with_many_addresses_states_the_first_of_them() {
    let many: Vec<_> = (0..40)
        .map(|number| own("eth0", 2, &format!("10.0.0.{number}"), 24))
        .chain(machine())
        .collect();
    let listening = listening(address("[::]:9999"), &many);
    assert_eq!(listening.len(), ADDRESSES_MAX);
    assert!(listening.iter().all(|own| !own.ip().is_loopback()));
}

/// Proves P2: loopback is stated to this machine alone.
#[test]
fn loopback_is_told_only_to_this_machine() {
    let listening = listening(address("0.0.0.0:4000"), &machine());
    let real = ["10.77.0.1:4000", "192.168.1.5:4000"];
    assert_eq!(texts(&stated_to(&listening, ip("10.77.0.9"))), real);
    assert_eq!(texts(&stated_to(&listening, ip("::ffff:10.77.0.9"))), real);
    for here in ["127.0.0.1", "127.9.9.9", "::1", "10.77.0.1", "::ffff:127.0.0.1"] {
        assert_eq!(stated_to(&listening, ip(here)).len(), 3, "{here}");
    }
}

/// Proves T14.
#[test]
fn on_link_means_a_host_of_the_same_network() {
    let eth0 = own("eth0", 2, "10.77.0.1", 24);
    for (text, verdict) in [
        ("10.77.0.9", true),
        ("10.77.0.255", false),
        ("10.77.0.0", false),
        ("10.77.1.9", false),
        ("8.8.8.8", false),
        ("255.255.255.255", false),
        ("::1", false),
    ] {
        assert_eq!(eth0.is_on_link(ip(text)), verdict, "{text}");
    }
    assert!(own("tun0", 4, "10.1.1.1", 32).is_on_link(ip("10.1.1.1")));
    assert!(!own("tun0", 4, "10.1.1.1", 32).is_on_link(ip("10.1.1.2")));
    assert!(own("ptp0", 4, "10.1.1.0", 31).is_on_link(ip("10.1.1.1")));
    assert!(own("any0", 4, "10.1.1.1", 0).is_on_link(ip("8.8.8.8")));
    let v6 = own("eth0", 2, "fd00::1", 64);
    assert!(v6.is_on_link(ip("fd00::abcd")));
    assert!(!v6.is_on_link(ip("fd00:0:0:1::1")));
    assert!(!own("eth0", 2, "fd00::1", 128).is_on_link(ip("fd00::2")));
}

/// Proves P2: one peer has one way to be written.
#[test]
fn mapped_addresses_are_written_as_ipv4() {
    assert_eq!(canonical(address("[::ffff:10.0.0.1]:7")).to_string(), "10.0.0.1:7");
    assert_eq!(canonical(address("10.0.0.1:7")).to_string(), "10.0.0.1:7");
    assert_eq!(canonical(address("[fe80::1%3]:7")).to_string(), "[fe80::1%3]:7");
    assert_eq!(scoped("fe80::1".parse().unwrap(), 7, 3).to_string(), "[fe80::1%3]:7");
    assert_eq!(scoped("fd00::1".parse().unwrap(), 7, 3).to_string(), "[fd00::1]:7");
}

/// Proves P2: what the system tells is understood (every machine has a loopback address).
#[test]
fn the_interfaces_of_this_machine_can_be_read() {
    let all = read().unwrap();
    assert!(all.iter().any(|found| found.ip.is_loopback() && found.index > 0), "{all:?}");
}
