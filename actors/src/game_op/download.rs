//! The download: agreement, manifest, staging, transfer, commit.
//!
//! Nothing of the old version is touched before the commit, and the new one is visible only after
//! it (R6). What was fetched stays for the next time, however a download ends.

mod manifest;
mod prepare;

use std::sync::Arc;

use lanspread_fs_txn::Done;
use lanspread_wire::{ManifestId, VersionStamp};
use tokio::time::Instant;

use self::prepare::Prepared;
use super::{
    engine::{self, Account, Ended, Transfer},
    failure::Failure,
    operation::{Held, Operation, RootWanted},
    sources::{Choice, Decision, NoDecision, decide},
    target::Target,
    writer::Workshop,
};
use crate::{
    api::{ErrorCode, Event, Phase},
    library::LibraryMsg,
    operations::table::{order::Order, rules},
};

/// A download that is committed.
pub struct Downloaded {
    pub held: Held,
    pub version: VersionStamp,
    pub manifest: ManifestId,
    /// Whether an older version is installed.
    pub is_installed: bool,
    /// What scripts are told at the end.
    pub finished: Event,
}

/// Fetches the newest content and commits it.
pub async fn download(op: &Operation) -> Result<Downloaded, Failure> {
    let began_at = Instant::now();
    let choice = agree(op).await?;
    let target = manifest::obtain(op, &choice).await?;
    op.check_stop()?;
    op.phase(Phase::Checking);
    let held = op.hold(RootWanted::Created).await?;
    let prepared = prepare::prepare(op, &held, target.clone()).await?;
    op.event(Event::DownloadBegin {
        game: op.game().clone(),
        version: target.manifest.version(),
        manifest: target.id,
        bytes_total: target.manifest.bytes_total(),
        bytes_reused: prepared.bytes_expected,
        sources: choice.sources,
    });
    let is_installed = prepared.is_installed;
    let account = transfer_and_commit(op, &held, &target, prepared).await?;
    op.ports.library.tell(LibraryMsg::Committed { game: op.game().clone(), manifest: target.id });
    let Account { bytes_received, bytes_reused, sources } = account;
    let version = target.manifest.version();
    let finished = Event::DownloadFinished {
        game: op.game().clone(),
        version: version.clone(),
        bytes_received,
        bytes_reused,
        seconds: began_at.elapsed().as_secs_f64(),
        sources,
    };
    Ok(Downloaded { held, version, manifest: target.id, is_installed, finished })
}

/// Decides what to fetch. The sources that were there when the command came may be gone: then it
/// waits for one, as in the middle of a download.
async fn agree(op: &Operation) -> Result<Choice, Failure> {
    op.phase(Phase::FindingSources);
    let mut market = op.ports.market.watch();
    let mut is_waiting = false;
    loop {
        let offers = op.ports.market.offers(op.game());
        let here = op.local_game().as_ref().and_then(rules::here);
        match decide(&offers, op.pin(), here.as_ref()) {
            Ok(Decision::Fetch(choice)) => return Ok(choice),
            Ok(Decision::UpToDate) => {
                let text = format!("{}: the newer version is not offered any more", op.game());
                return Err(Failure::new(ErrorCode::NoSources, text));
            }
            Err(error @ NoDecision::Ambiguous { .. }) => {
                return Err(Failure::of_sources(op.game(), &error));
            }
            Err(NoDecision::NoSources | NoDecision::NotPinned { .. }) => {}
        }
        if !std::mem::replace(&mut is_waiting, true) {
            op.phase(Phase::WaitingForPeers);
            op.event(Event::DownloadPeersGone { game: op.game().clone() });
        }
        op.unless_stopped(market.changed()).await?;
    }
}

async fn transfer_and_commit(
    op: &Operation,
    held: &Held,
    target: &Arc<Target>,
    prepared: Prepared,
) -> Result<Account, Failure> {
    let Prepared { shelf, stock, reuse, .. } = prepared;
    let workshop = Workshop::new(op.pool(held), shelf.clone(), target.clone());
    let transfer = Transfer {
        feed: op.ports.market.feed(op.game(), target.id),
        stock,
        reuse,
        seed: rand::random(),
        stop: op.stop.clone(),
    };
    let ended = engine::run(workshop, transfer, &*op.outbox).await;
    let Some(shelf) = Arc::into_inner(shelf) else {
        // The engine waits for its jobs before it ends.
        return Err(Failure::new(ErrorCode::Internal, "a job of the transfer outlived it"));
    };
    let staging = shelf.into_staging();
    let failure = match ended {
        Ok(Ended::Complete(account)) => {
            op.close_gate().await;
            op.phase(Phase::Committing);
            let done = op.transact(held, "commit the download", move |_| staging.commit()).await?;
            tell_leftovers(op, &done);
            return Ok(account);
        }
        Ok(Ended::Stopped(reason)) => Failure::Stopped(reason),
        Err(error) => Failure::of_engine(op.game(), error),
    };
    // What is staged stays for the next time; the reason why this time ended comes first.
    if let Err(error) = op.transact(held, "park the download", move |_| staging.park()).await {
        tracing::warn!(game = %op.game(), ?error, "a download that ended could not be parked");
    }
    Err(failure)
}

/// What the user should know of a finished transaction.
pub(super) fn tell_leftovers(op: &Operation, done: &Done) {
    for leftover in &done.leftovers {
        tracing::warn!(game = %op.game(), error = %leftover.error, "left for the next clean-up");
    }
    for kept in &done.kept {
        op.notice(format!("{}: a file of yours was in the way and is now {kept}", op.game()));
    }
}

/// What is left to do after a download, in the table's terms.
pub fn next_order(order: &Order, is_installed: bool) -> Option<Order> {
    match order {
        Order::Download { install: true } => Some(Order::Install { over: is_installed }),
        Order::Update if is_installed => Some(Order::Install { over: true }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves O3, O9: what follows a download depends on the command and on what is installed.
    #[test]
    fn what_follows_a_download() {
        let install = Order::Download { install: true };
        let plain = Order::Download { install: false };
        assert_eq!(next_order(&install, false), Some(Order::Install { over: false }));
        assert_eq!(next_order(&install, true), Some(Order::Install { over: true }));
        assert_eq!(next_order(&plain, true), None);
        assert_eq!(next_order(&Order::Update, true), Some(Order::Install { over: true }));
        assert_eq!(next_order(&Order::Update, false), None);
    }
}
