//! What is believed of an announcement (T14, T16). Pure.
//!
//! Everything heard is a claim by anybody on the same wire. This decides which claims are worth a
//! dial; it must never let an announcement point us at a service, at another network, or, over a
//! real interface, at ourselves.

use std::net::{IpAddr, SocketAddr};

use lanspread_wire::PeerId;

use crate::net::{
    addresses::{InterfaceAddress, scoped},
    backend::Sighting,
    limits::{ADDRESSES_PER_INSTANCE_MAX, PORT_MIN, TXT_BYTES_MAX},
};

/// The key of the peer id in the TXT record.
pub(crate) const TXT_ID: &str = "id";
/// The key of the protocol version in the TXT record.
pub(crate) const TXT_PROTOCOL: &str = "v";

/// One announcement as it was heard.
#[derive(Debug)]
pub(crate) struct Heard<'a> {
    pub(crate) port: u16,
    pub(crate) addresses: Vec<HeardAddress>,
    /// The first occurrence of each key; the resolver drops the others, as the standard says.
    pub(crate) txt: Vec<(&'a str, Option<&'a [u8]>)>,
}

/// One address of an announcement, and the interfaces on which it was heard.
#[derive(Debug)]
pub(crate) struct HeardAddress {
    pub(crate) ip: IpAddr,
    pub(crate) interfaces: Vec<u32>,
}

/// Why an announcement is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ignored {
    #[error("its text record is too long")]
    TextTooLong,
    #[error("it names no peer id")]
    NoId,
    #[error("its peer id is malformed")]
    BadId,
    #[error("it names no protocol version")]
    NoProtocol,
    #[error("its protocol version is malformed")]
    BadProtocol,
    #[error("its port is reserved for services of the system")]
    Port,
    #[error("none of its addresses is a neighbour's")]
    NoAddress,
    #[error("too many others were announced before it")]
    TooMany,
}

/// What an announcement is worth, seen from a machine with the addresses `own`.
pub(crate) fn judge(heard: &Heard<'_>, own: &[InterfaceAddress]) -> Result<Sighting, Ignored> {
    let text_bytes =
        |(key, value): &(&str, Option<&[u8]>)| key.len() + value.map_or(0, <[u8]>::len);
    if heard.txt.iter().map(text_bytes).sum::<usize>() > TXT_BYTES_MAX {
        return Err(Ignored::TextTooLong);
    }
    let peer = text_of(heard, TXT_ID).ok_or(Ignored::NoId)?;
    let peer: PeerId = peer.and_then(|id| id.parse().ok()).ok_or(Ignored::BadId)?;
    let protocol = text_of(heard, TXT_PROTOCOL).ok_or(Ignored::NoProtocol)?;
    let protocol = protocol.and_then(number).ok_or(Ignored::BadProtocol)?;
    if heard.port < PORT_MIN {
        return Err(Ignored::Port);
    }
    let addresses = believed(heard, own);
    if addresses.is_empty() {
        return Err(Ignored::NoAddress);
    }
    Ok(Sighting { peer, protocol, addresses })
}

/// The value of `key`: `None` if it is absent, `Some(None)` if it is no text.
fn text_of<'a>(heard: &Heard<'a>, key: &str) -> Option<Option<&'a str>> {
    let (_, value) = heard.txt.iter().find(|(found, _)| found.eq_ignore_ascii_case(key))?;
    Some(value.and_then(|bytes| std::str::from_utf8(bytes).ok()))
}

/// A version number in its only spelling.
fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|number: &u16| number.to_string() == text)
}

fn believed(heard: &Heard<'_>, own: &[InterfaceAddress]) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = heard
        .addresses
        .iter()
        .filter_map(|address| believed_one(address, heard.port, own))
        .collect();
    // Those that work from anywhere first; the order decides which is dialled first.
    found.sort_by_key(|address| (address.ip().is_loopback(), address.is_ipv6(), *address));
    found.dedup();
    found.truncate(ADDRESSES_PER_INSTANCE_MAX);
    found
}

/// The address if it is that of one neighbour on the wire on which it was heard. Loopback counts
/// only where it was heard on loopback, where nobody else can speak.
fn believed_one(address: &HeardAddress, port: u16, own: &[InterfaceAddress]) -> Option<SocketAddr> {
    let ip = address.ip;
    if ip.is_unspecified() || ip.is_multicast() || ip != ip.to_canonical() {
        return None;
    }
    let heard_on = own.iter().find(|own| {
        address.interfaces.contains(&own.index)
            && own.ip.is_loopback() == ip.is_loopback()
            && own.is_on_link(ip)
    })?;
    Some(match ip {
        IpAddr::V4(_) => SocketAddr::new(ip, port),
        IpAddr::V6(v6) => scoped(v6, port, heard_on.index),
    })
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
