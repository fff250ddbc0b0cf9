//! The manifest of a download: from the store, or from a source by its hash.
//!
//! A manifest that is not the one that was asked for is refused, and its sender is not asked again
//! (T47).

use std::{collections::BTreeSet, sync::Arc};

use lanspread_wire::{Manifest, PeerId};
use tokio::time::sleep;

use crate::{
    api::{ErrorCode, Event, Phase},
    game_op::{
        failure::Failure, feed::Announced, operation::Operation, sources::Choice, target::Target,
    },
    limits::transfer::MANIFEST_RETRY,
    manifests::StoreError,
    operations::table::order::Order,
};

/// Gets the manifest of the chosen content and checks that it is what the sources say.
pub(super) async fn obtain(op: &Operation, choice: &Choice) -> Result<Arc<Target>, Failure> {
    let manifest = match stored(op, choice).await? {
        Some(manifest) => manifest,
        None => fetch(op, choice).await?,
    };
    let version = manifest.version();
    if version != choice.version && op.pin() != Some(choice.manifest) {
        let text = format!(
            "{}: peers offer version {}, but its content says {version}",
            op.game(),
            choice.version
        );
        return Err(Failure::new(ErrorCode::BadContent, text));
    }
    Ok(Target::new(op.game().clone(), choice.manifest, manifest))
}

/// An update asks the sources, whatever is stored (R2).
async fn stored(op: &Operation, choice: &Choice) -> Result<Option<Manifest>, Failure> {
    match op.order {
        Order::Update => Ok(None),
        _ => op.load_manifest(choice.manifest).await,
    }
}

/// Asks one source after the other until one sends the right bytes.
async fn fetch(op: &Operation, choice: &Choice) -> Result<Manifest, Failure> {
    let mut feed = op.ports.market.feed(op.game(), choice.manifest);
    let mut stop = op.stop.clone();
    let mut liars: BTreeSet<PeerId> = BTreeSet::new();
    let mut is_waiting = false;
    loop {
        let sources = feed.current();
        for announced in &sources {
            op.check_stop()?;
            if liars.contains(&announced.source.peer()) {
                continue;
            }
            match ask(op, choice, announced).await? {
                Answer::Manifest(manifest) => return Ok(*manifest),
                Answer::Lie => {
                    liars.insert(announced.source.peer());
                }
                Answer::None => {}
            }
        }
        let is_hopeless = !sources.is_empty()
            && sources.iter().all(|announced| liars.contains(&announced.source.peer()));
        if is_hopeless {
            let names: Vec<String> = liars.iter().map(PeerId::short).collect();
            let text =
                format!("{}: every source sent a wrong manifest: {}", op.game(), names.join(", "));
            return Err(Failure::new(ErrorCode::BadContent, text));
        }
        if sources.is_empty() && !std::mem::replace(&mut is_waiting, true) {
            op.phase(Phase::WaitingForPeers);
            op.event(Event::DownloadPeersGone { game: op.game().clone() });
        }
        tokio::select! {
            biased;
            reason = stop.requested() => return Err(Failure::Stopped(reason)),
            () = feed.changed() => {}
            // A source that was busy tells nobody when it is not any more.
            () = sleep(MANIFEST_RETRY), if !sources.is_empty() => {}
        }
    }
}

enum Answer {
    Manifest(Box<Manifest>),
    /// Other bytes than those that were asked for.
    Lie,
    /// No answer, or a refusal.
    None,
}

async fn ask(op: &Operation, choice: &Choice, announced: &Announced) -> Result<Answer, Failure> {
    let peer = announced.source.peer();
    let asked = announced.source.manifest(op.game(), choice.manifest);
    let bytes = match op.unless_stopped(asked).await? {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::debug!(game = %op.game(), peer = %peer.short(), %error, "no manifest");
            return Ok(Answer::None);
        }
    };
    let (store, id) = (op.ports.manifests.clone(), choice.manifest);
    let save = move || store.save_bytes(id, &bytes);
    match op.ports.disk.run_unleased("store a manifest", save).await? {
        Ok(manifest) => Ok(Answer::Manifest(Box::new(manifest))),
        Err(StoreError::Bad { source, .. }) => {
            tracing::warn!(game = %op.game(), peer = %peer, error = %source, "a wrong manifest");
            op.event(Event::ChunkRejected {
                game: op.game().clone(),
                peer_id: peer,
                file: "manifest".to_owned(),
                reason: source.to_string(),
            });
            Ok(Answer::Lie)
        }
        Err(error) => Err(error.into()),
    }
}
