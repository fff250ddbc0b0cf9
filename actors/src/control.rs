//! How a node is driven from outside: JSON records over standard input and output or over the
//! local control socket, and the client of that socket.
//!
//! One codec ([`records`]) and one session ([`session`]) serve all of them, so a script sees the
//! same records everywhere. There is no TCP and no HTTP: no neighbour and no browser can reach it.

pub mod client;
pub mod lines;
pub mod records;
pub mod server;
pub mod session;
pub mod socket;

pub use client::{ConnectError, RemoteEvents, RemoteNode};
pub use records::{CommandLine, Record};
pub use server::{Control, ControlArgs, ControlMsg};
pub use session::{InputEnd, SessionOptions, serve};

#[cfg(test)]
mod tests;
