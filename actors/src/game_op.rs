//! The `GameOp` actor: one running operation of one game.
