//! Network base: identities over the virtual network, endpoints under faults, discovery.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

#[path = "net/identity.rs"]
mod identity;
#[path = "net/transport.rs"]
mod transport;
