//! The `GameOp` actor: one running operation of one game.

pub mod chunk_set;
pub mod planner;
pub mod progress;
pub mod sources;
