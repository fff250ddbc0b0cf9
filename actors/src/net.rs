//! Below the actors: identity, TLS, QUIC settings, the kinds of transport and discovery.
//!
//! Nothing here owns a task or decides when to connect; that is the business of the actors.

pub mod addresses;
pub mod backend;
pub(crate) mod bucket;
pub mod endpoint;
pub mod identity;
pub mod limits;
pub(crate) mod task;
pub mod tls;
