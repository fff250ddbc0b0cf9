//! Tests of the crate's borders through its public names: what goes out comes back, what is
//! written stays as it was written, and what is wrong is refused.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod catalog;
mod chunks;
mod codes;
mod frames;
mod golden;
mod hostile_frames;
mod hostile_manifests;
mod ids;
mod library;
mod limits;
mod manifests;
mod names;
mod paths;
mod samples;
mod texts;
