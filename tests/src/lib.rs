//! Virtual network and helpers for tests across the crates.
