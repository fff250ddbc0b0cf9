//! The `Node` actor: start order, restart budgets, shutdown order.
