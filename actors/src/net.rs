//! Below the actors: identity, TLS, QUIC settings, the kinds of transport and discovery.

pub mod backend;
pub mod identity;
