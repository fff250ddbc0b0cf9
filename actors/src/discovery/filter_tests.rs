//! Tests of what is believed of an announcement.

use mdns_sd::TxtProperties;

use super::*;

const LO: u32 = 1;
const ETH: u32 = 2;
const WLAN: u32 = 3;

fn own(index: u32, ip: &str, prefix_bits: u8) -> InterfaceAddress {
    let interface = format!("if{index}");
    InterfaceAddress { interface, index, ip: ip.parse().unwrap(), prefix_bits }
}

fn machine() -> Vec<InterfaceAddress> {
    vec![
        own(LO, "127.0.0.1", 8),
        own(LO, "::1", 128),
        own(ETH, "10.77.0.1", 24),
        own(ETH, "fe80::1", 64),
        own(ETH, "fd00::1", 64),
        own(WLAN, "192.168.1.5", 24),
        own(WLAN, "fe80::2", 64),
    ]
}

fn id() -> String {
    PeerId([7; 32]).to_string()
}

/// The wire form of a TXT record with these strings.
fn txt(strings: &[&[u8]]) -> TxtProperties {
    let bytes: Vec<u8> = strings
        .iter()
        .flat_map(|text| [&[u8::try_from(text.len()).unwrap()], *text].concat())
        .collect();
    TxtProperties::from(&bytes[..])
}

fn judge_txt(properties: &TxtProperties) -> Result<Sighting, Ignored> {
    let heard = Heard {
        port: 4000,
        addresses: vec![HeardAddress { ip: "10.77.0.9".parse().unwrap(), interfaces: vec![ETH] }],
        txt: properties.iter().map(|property| (property.key(), property.val())).collect(),
    };
    judge(&heard, &machine())
}

fn judge_addresses(port: u16, heard: &[(&str, &[u32])]) -> Result<Vec<String>, Ignored> {
    let id = id();
    let addresses = heard
        .iter()
        .map(|(ip, interfaces)| HeardAddress {
            ip: ip.parse().unwrap(),
            interfaces: interfaces.to_vec(),
        })
        .collect();
    let txt = vec![(TXT_ID, Some(id.as_bytes())), (TXT_PROTOCOL, Some(&b"1"[..]))];
    let sighting = judge(&Heard { port, addresses, txt }, &machine())?;
    Ok(sighting.addresses.iter().map(ToString::to_string).collect())
}

/// Proves P6.
#[test]
fn an_honest_announcement_is_believed() {
    let good = txt(&[format!("id={}", id()).as_bytes(), b"v=1"]);
    let sighting = judge_txt(&good).unwrap();
    assert_eq!((sighting.peer, sighting.protocol), (PeerId([7; 32]), 1));
    assert_eq!(sighting.addresses, ["10.77.0.9:4000".parse().unwrap()]);
}

/// Proves T08: another version is no malformed announcement; it may upgrade.
#[test]
fn other_versions_are_told_as_they_are() {
    for version in [0, 2, 255, u16::MAX] {
        let text = format!("v={version}");
        let properties = txt(&[format!("id={}", id()).as_bytes(), text.as_bytes()]);
        assert_eq!(judge_txt(&properties).unwrap().protocol, version);
    }
}

/// Proves T16.
#[test]
fn malformed_text_is_ignored() {
    let good = format!("id={}", id());
    let good = good.as_bytes();
    let escape = format!("id={}\u{1b}[2J", &id()[..60]);
    let mut binary = good.to_vec();
    binary[20] = 0xff;
    let mut zero = good.to_vec();
    zero[20] = 0;
    let long = [b'x'; 250];
    let cases: Vec<(Vec<&[u8]>, Ignored)> = vec![
        (vec![], Ignored::NoId),
        (vec![b"v=1"], Ignored::NoId),
        (vec![b"id", b"v=1"], Ignored::BadId),
        (vec![b"id=", b"v=1"], Ignored::BadId),
        (vec![b"id=abcd", b"v=1"], Ignored::BadId),
        (vec![&good[..good.len() - 1], b"v=1"], Ignored::BadId),
        (vec![escape.as_bytes(), b"v=1"], Ignored::BadId),
        (vec![&binary, b"v=1"], Ignored::BadId),
        (vec![&zero, b"v=1"], Ignored::BadId),
        (vec![good], Ignored::NoProtocol),
        (vec![good, b"v"], Ignored::BadProtocol),
        (vec![good, b"v="], Ignored::BadProtocol),
        (vec![good, b"v=one"], Ignored::BadProtocol),
        (vec![good, b"v=-1"], Ignored::BadProtocol),
        (vec![good, b"v=+1"], Ignored::BadProtocol),
        (vec![good, b"v=01"], Ignored::BadProtocol),
        (vec![good, b"v=65536"], Ignored::BadProtocol),
        (vec![good, b"v=1", &long], Ignored::TextTooLong),
        // Keys repeated with another value: the first counts.
        (vec![b"id=abcd", good, b"v=1"], Ignored::BadId),
    ];
    for (strings, expected) in cases {
        assert_eq!(judge_txt(&txt(&strings)), Err(expected), "{strings:?}");
    }
    let many: Vec<Vec<u8>> = (0..900).map(|number| format!("k{number}=xxxx").into()).collect();
    let many: Vec<&[u8]> =
        [good, b"v=1"].into_iter().chain(many.iter().map(Vec::as_slice)).collect();
    assert_eq!(judge_txt(&txt(&many)), Err(Ignored::TextTooLong));
    // A length that runs past the end of the record.
    assert_eq!(judge_txt(&TxtProperties::from(&b"\xffid=x"[..])), Err(Ignored::NoId));
}

/// Proves T14: one neighbour on the wire it was heard on, or nothing.
#[test]
fn only_neighbours_are_believed() {
    let dropped: &[(&str, &[u32])] = &[
        ("0.0.0.0", &[ETH]),
        ("255.255.255.255", &[ETH]),
        ("224.0.0.251", &[ETH]),
        ("10.77.0.255", &[ETH]),
        ("10.77.0.0", &[ETH]),
        ("8.8.8.8", &[ETH]),
        ("1.1.1.1", &[LO]),
        ("192.168.1.7", &[ETH]),
        ("10.77.0.9", &[]),
        ("10.77.0.9", &[99]),
        ("::", &[ETH]),
        ("ff02::1", &[ETH]),
        ("2001:db8::1", &[ETH]),
        ("::ffff:10.77.0.9", &[ETH]),
        ("fe80::9", &[LO]),
    ];
    for address in dropped {
        assert_eq!(judge_addresses(4000, &[*address]), Err(Ignored::NoAddress), "{address:?}");
    }
    assert_eq!(judge_addresses(4000, dropped), Err(Ignored::NoAddress));
    // One good address is enough, and the bad ones are dropped.
    let mixed = [dropped, &[("10.77.0.9", &[ETH])]].concat();
    assert_eq!(judge_addresses(4000, &mixed).unwrap(), ["10.77.0.9:4000"]);
}

/// Proves T14: loopback is believed only where nobody but this machine can speak.
#[test]
fn loopback_is_believed_only_on_loopback() {
    for ip in ["127.0.0.1", "127.1.2.3", "::1"] {
        assert_eq!(judge_addresses(4000, &[(ip, &[ETH])]), Err(Ignored::NoAddress), "{ip}");
        assert_eq!(judge_addresses(4000, &[(ip, &[LO])]).unwrap().len(), 1, "{ip}");
        assert_eq!(judge_addresses(4000, &[(ip, &[ETH, LO])]).unwrap().len(), 1, "{ip}");
    }
}

/// Proves T14.
#[test]
fn ports_of_system_services_are_ignored() {
    for port in [0, 22, 53, 80, 443, 1023] {
        assert_eq!(judge_addresses(port, &[("10.77.0.9", &[ETH])]), Err(Ignored::Port), "{port}");
    }
    for port in [1024, 5353, 65535] {
        assert!(judge_addresses(port, &[("10.77.0.9", &[ETH])]).is_ok(), "{port}");
    }
}

/// A link-local address is dialled through the interface it was heard on; loopback comes last.
#[test]
fn addresses_are_ordered_and_scoped() {
    let heard: &[(&str, &[u32])] = &[
        ("127.0.0.1", &[LO]),
        ("fe80::9", &[WLAN]),
        ("fd00::9", &[ETH]),
        ("192.168.1.9", &[WLAN]),
        ("10.77.0.9", &[ETH]),
        ("10.77.0.9", &[ETH]),
    ];
    assert_eq!(
        judge_addresses(4000, heard).unwrap(),
        [
            "10.77.0.9:4000",
            "192.168.1.9:4000",
            "[fd00::9]:4000",
            "[fe80::9%3]:4000",
            "127.0.0.1:4000"
        ]
    );
    let many: Vec<String> = (2..200).map(|host| format!("10.77.0.{host}")).collect();
    let many: Vec<(&str, &[u32])> = many.iter().map(|ip| (ip.as_str(), &[ETH][..])).collect();
    assert_eq!(judge_addresses(4000, &many).unwrap().len(), ADDRESSES_PER_INSTANCE_MAX);
}
