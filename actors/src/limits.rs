//! Limits of this node's own making, each with its reason. What a peer may send is limited in
//! `lanspread_wire::limits`.

pub mod control;
pub mod disk;
pub mod library;
pub mod node;
pub mod operations;
pub mod transfer;
