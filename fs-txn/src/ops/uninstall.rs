//! Uninstall: `local/` becomes its backup in one rename (the commit), then goes. The downloaded
//! payload stays.

use super::context::{Txn, TxnContext};
use super::error::{TxnError, TxnFailure};
use super::install::move_local_aside;
use super::report::Done;
use super::step::Step;
use crate::inspect::Local;
use crate::intent::{Operation, Phase};
use crate::layout;

/// Uninstalls the game. On an error it is still installed; what fails after the commit is told
/// in the report.
pub fn uninstall(context: &TxnContext) -> Result<Done, TxnError> {
    let (txn, state) = Txn::begin(context)?;
    match &state.local {
        Local::Dir { .. } => {}
        Local::Absent => return Err(txn.fail(Step::Check, TxnFailure::NotInstalled)),
        Local::Odd(why) => {
            let reason = format!("local is not an installed game: {why}");
            return Err(txn.fail(Step::Check, TxnFailure::Blocked { reason }));
        }
    }
    txn.refuse_unowned(&state, &[layout::LOCAL_BACKUP])?;
    let mut intent = txn.intent(Operation::Uninstall, Phase::Removing);
    intent.from_version = state.local_record().and_then(|record| record.version.clone());
    txn.guarded(|| {
        txn.write_intent(Step::IntentWrite, &intent)?;
        move_local_aside(&txn, intent.from_version.as_deref())?;
        txn.enter(Step::SwapDurable)?;
        txn.at(Step::SwapDurable, txn.sync_root())?;
        let mut done = Done::default();
        txn.enter(Step::CleanUp)?;
        done.note(txn.trash(layout::LOCAL_BACKUP));
        txn.settle(&mut done)?;
        Ok(done)
    })
}
