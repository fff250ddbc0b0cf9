//! The `View` actor: folds what the owners publish into the snapshot that user interfaces see, and passes events on.
//!
//! Owners cast their state *and* their events to it, in causal order, so that the snapshot is never older than an event
//! that was told (O4).

use std::sync::Arc;

use lanspread_wire::GameId;

use crate::{
    api::{ActorHealth, Event, NodeInfo},
    facts::{LocalLibrary, OperationTable, PeerTable},
};

/// Messages of the `View` actor.
pub enum ViewMsg {
    /// From `Node`: who we are and where; addresses change with the network.
    Node(NodeInfo),
    /// From `Library`, after every change.
    Library(Arc<LocalLibrary>),
    /// From `Peers`, after every change.
    Peers(Arc<PeerTable>),
    /// From `Operations`, after every change, at most a few times a second for mere progress.
    Operations(Arc<OperationTable>),
    /// From supervisors: restarts and failures of the actors they watch.
    Health { supervisor: &'static str, actors: Vec<ActorHealth> },
    /// From anyone: a named counter goes up.
    Count { counter: &'static str, by: u64 },
    /// From anyone: a part of the node is degraded (`Some(sentence)`) or well again (`None`).
    Problem { part: &'static str, text: Option<String> },
    /// From anyone: tell the scripts. Broadcast after everything cast before it is in the snapshot.
    Event(Event),
    /// From `GameOp` and others: a log-worthy note for the user about one game.
    Notice { game: Option<GameId>, message: String },
}
