//! The Lanspread node: an actor tree that finds peers, tells them what is here, and spreads games.
//!
//! Start with [`handle::NodeHandle`]; `docs/actors.md` is the map.

pub mod addr;
pub mod api;
pub mod config;
pub mod control;
pub mod discovery;
pub mod disk;
pub mod facts;
pub mod game_op;
pub mod handle;
pub mod library;
pub mod limits;
pub mod listener;
pub mod manifests;
pub mod net;
pub mod network;
pub mod node;
pub mod operations;
pub mod peer_connection;
pub mod peers;
pub mod ports;
pub mod settings;
pub mod supervise;
pub mod unpack;
pub mod view;
