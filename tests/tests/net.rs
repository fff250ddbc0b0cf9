//! Network base: identities over the virtual network, endpoints under faults, discovery.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

#[path = "net/control.rs"]
mod control;
#[path = "net/discovery.rs"]
mod discovery;
#[path = "net/identity.rs"]
mod identity;
#[path = "net/interfaces.rs"]
mod interfaces;
#[path = "net/listener.rs"]
mod listener;
#[path = "net/network.rs"]
mod network;
#[path = "net/party.rs"]
mod party;
#[path = "net/transport.rs"]
mod transport;
#[path = "net/wiring.rs"]
mod wiring;
