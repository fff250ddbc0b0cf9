//! What tests across the crates share: a virtual network, real processes, hosts in namespaces, games.

pub mod archives;
pub mod games;
pub mod hub;
pub mod lab;
pub mod process;
pub mod vdiscovery;
