//! Peers over the virtual network, on the paused clock: real actors at one end or at both, real
//! QUIC between them. Everything above (library, operations) is played by the test.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

#[path = "peers/fake.rs"]
mod fake;
#[path = "peers/handshake.rs"]
mod handshake;
#[path = "peers/hostile.rs"]
mod hostile;
#[path = "peers/liveness.rs"]
mod liveness;
#[path = "peers/node.rs"]
mod node;
#[path = "peers/party.rs"]
mod party;
#[path = "peers/uploads.rs"]
mod uploads;
