//! The `GameOp` actor: one running operation of one game.

pub mod chunk_set;
pub mod engine;
pub mod feed;
mod fetch;
pub mod planner;
pub mod progress;
pub mod reuse;
pub mod sources;
pub mod stock;
pub mod stop;
pub mod target;
#[cfg(test)]
pub(crate) mod testing;
pub mod writer;
