//! What one operation does from its order to its outcome; the update and the download that
//! installs are the same two steps in a row, under one lease (O3).

use lanspread_wire::VersionStamp;

use super::{
    add::add,
    download::{download, next_order},
    failure::Failure,
    install::install,
    operation::Operation,
    remove::remove,
    uninstall::uninstall,
    verify::verify,
};
use crate::operations::table::{Report, ending::Outcome, order::Order};

/// Does the work. When it returns, nothing of it runs and the lease is given back. An error is the
/// death of the actor.
pub async fn run(op: Operation) -> Result<Outcome, String> {
    let done = match &op.order {
        Order::Download { .. } | Order::Update => fetch_and_install(&op).await,
        Order::Install { .. } => install(&op, None, None).await,
        Order::Uninstall => uninstall(&op).await,
        Order::Remove => remove(&op).await,
        Order::Verify => verify(&op).await,
        Order::Add(order) => add(&op, order).await,
    };
    match done {
        Ok(version) => Ok(Outcome::Finished { version }),
        Err(failure) => failure.into_outcome(),
    }
}

/// The table learns of the commit before the install begins: a restart goes on from there.
async fn fetch_and_install(op: &Operation) -> Result<Option<VersionStamp>, Failure> {
    let downloaded = download(op).await?;
    let next = next_order(&op.order, downloaded.is_installed);
    let is_over = next.is_none();
    let finished = Box::new(downloaded.finished);
    op.outbox.report(Report::Downloaded { finished, next });
    if is_over {
        return Ok(Some(downloaded.version));
    }
    install(op, Some(downloaded.held), Some(downloaded.manifest)).await
}
