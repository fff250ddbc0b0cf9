//! What a node says and hears: commands, refusals, events and the snapshot that user interfaces read.
//!
//! These types are the contract of the command line, the control socket and the window. They hold
//! no behaviour and know nothing of actors.

pub mod command;
pub mod event;
pub mod snapshot;

pub use command::{Command, ErrorCode, OperationKind, Refused, Reply};
pub use event::Event;
pub use snapshot::{
    ActorHealth, Availability, GameView, NodeInfo, OperationView, PeerView, Phase, Snapshot, Status,
};
