//! The `Listener` actor: the accept loop on the endpoint. Hands every authenticated connection to
//! `Peers`.

pub mod gate;
