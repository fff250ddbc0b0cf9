//! Limits of this node's own making, each with its reason. What a peer may send is limited in
//! `lanspread_wire::limits`.

pub mod disk;
pub mod library;
pub mod operations;
pub mod transfer;
