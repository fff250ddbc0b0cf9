//! Facts that one actor owns and the others read: published through `watch` channels, latest wins.
//!
//! The write ends live in the `Args` of the owner and survive its restarts, so that readers keep the
//! last value while the owner is away. Nobody but the owner may send.

pub mod announced;
pub mod local;
pub mod operations;
pub mod peers;
pub mod serve_gate;

pub use announced::Announced;
pub use local::{HashProgress, LocalGame, LocalLibrary};
pub use operations::{OperationRow, OperationTable};
pub use peers::{PeerEntry, PeerTable, RemoteLibrary};
pub use serve_gate::{ServeGate, ServeGuard};
