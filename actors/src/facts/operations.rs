//! The operation table as others see it. Written by [`crate::operations`] only; authoritative (O1).

use std::{collections::BTreeMap, sync::Arc};

use lanspread_wire::GameId;

use crate::{
    api::{OperationKind, OperationView, Phase},
    operations::table::Table,
};

/// All running operations; at most one per game.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationTable {
    pub rows: BTreeMap<GameId, OperationRow>,
    /// For the next incarnation of the owner, and nobody else.
    pub ledger: Ledger,
}

/// What the owner of the table must know again after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger(Arc<Table>);

impl Ledger {
    /// Keeps a table.
    pub(crate) fn of(table: &Table) -> Self {
        Self(Arc::new(table.clone()))
    }

    /// The table that was kept last.
    pub(crate) fn table(&self) -> &Table {
        &self.0
    }
}

/// One running operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRow {
    /// Unique over restarts; appears in the answer to the command.
    pub operation: String,
    pub kind: OperationKind,
    pub phase: Phase,
    pub bytes_done: u64,
    pub bytes_total: u64,
}

impl OperationTable {
    /// The form user interfaces receive.
    pub fn views(&self) -> Vec<OperationView> {
        self.rows
            .iter()
            .map(|(game, row)| OperationView {
                game: game.clone(),
                kind: row.kind,
                phase: row.phase,
                bytes_done: row.bytes_done,
                bytes_total: row.bytes_total,
            })
            .collect()
    }
}
