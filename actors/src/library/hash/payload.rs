//! Hashes whatever lies in a root: files that look as the ledger saw them are looked up, the
//! others are cut and hashed, and the manifest is what comes out. What was hashed before the work
//! was given up is kept for the next time.

use std::{collections::HashMap, path::Path};

use lanspread_wire::{BadManifest, ChunkEntry, ChunkerId, Manifest, RelPath};

use super::{
    End, Work, failed,
    reading::{Reading, read_steadily},
};
use crate::library::{
    index::HashOutcome,
    ledger::{Ledger, Origin, Stamp},
    scan::walk::{self, Budget, Payload, WalkEnd},
};

/// What became of one file.
struct Hashed {
    stamp: Stamp,
    chunks: Vec<ChunkEntry>,
}

type Known = HashMap<RelPath, Hashed>;

impl Work<'_> {
    pub(super) fn payload(&mut self) -> Result<HashOutcome, End> {
        let top = self.root.read_dir(Path::new("")).map_err(failed)?;
        let payload = match walk::walk(self.root, &top, &Budget::UNLIMITED) {
            Ok(payload) => payload,
            Err(WalkEnd::Blocked(text)) => return Err(failed(text)),
            Err(WalkEnd::Budget) => return Ok(HashOutcome::Unsettled),
        };
        let mut chunker = ChunkerId::for_total(payload.bytes_total);
        loop {
            let (hashed, end) = self.hash_all(&payload, chunker);
            match end {
                Ok(()) => {}
                Err(End::Outcome(outcome)) if outcome != HashOutcome::Unsettled => {
                    return Ok(outcome);
                }
                Err(end) => {
                    self.keep_partial(&payload, chunker, hashed);
                    return Err(end);
                }
            }
            match self.store(&payload, chunker, hashed, Origin::Found)? {
                Ok(ledger) => return Ok(self.done(&ledger, payload.bytes_total)),
                Err(error) => match chunker.coarser() {
                    Some(coarser) if is_too_long(&error) => chunker = coarser,
                    _ => return Err(failed(format!("cannot be shared: {error}"))),
                },
            }
        }
    }

    /// Hashes file by file; what was done before an early end comes back too.
    fn hash_all(
        &mut self,
        payload: &Payload,
        chunker: ChunkerId,
    ) -> (Vec<Hashed>, Result<(), End>) {
        let known = self.known_chunks(chunker);
        let mut hashed = Vec::with_capacity(payload.files.len());
        let mut unsettled = false;
        self.job.ticket.begin(payload.bytes_total);
        for stamp in &payload.files {
            match self.hash_one(stamp, chunker, &known) {
                Ok(Some(file)) => hashed.push(file),
                Ok(None) => unsettled = true,
                Err(end) => return (hashed, Err(end)),
            }
        }
        if unsettled || !self.is_sentinel_as_it_was() {
            return (hashed, Err(End::Outcome(HashOutcome::Unsettled)));
        }
        (hashed, Ok(()))
    }

    /// The chunks of files as the ledger saw them, where they were cut as they would be now.
    fn known_chunks(&self, chunker: ChunkerId) -> Known {
        let ledger = self.job.places.ledgers.load(&self.job.game);
        let Some((ledger, manifest)) = ledger.and_then(|ledger| self.with_manifest(ledger)) else {
            return Known::new();
        };
        let mut chunks = manifest.chunks.iter();
        let mut known = Known::with_capacity(manifest.files.len());
        for (stamp, file) in ledger.files.into_iter().zip(&manifest.files) {
            let of_file: Vec<ChunkEntry> =
                chunks.by_ref().take(file.chunk_count as usize).copied().collect();
            let same_cut = manifest.chunker.params(file.size) == chunker.params(file.size);
            let is_sound = !ledger.damaged.iter().any(|name| name == stamp.path.as_str());
            if same_cut && is_sound && stamp.path == file.path && stamp.size == file.size {
                known.insert(file.path.clone(), Hashed { stamp, chunks: of_file });
            }
        }
        known
    }

    fn with_manifest(&self, ledger: Ledger) -> Option<(Ledger, Manifest)> {
        if ledger.is_damaged_list_full() {
            return None;
        }
        match self.job.places.manifests.load(ledger.manifest) {
            Ok(manifest) => manifest.map(|manifest| (ledger, manifest)),
            Err(error) => {
                tracing::warn!(game = %self.job.game, %error, "everything is hashed anew");
                None
            }
        }
    }

    /// One file: looked up or hashed. `None`: it goes on changing, or is gone.
    fn hash_one(
        &mut self,
        expected: &Stamp,
        chunker: ChunkerId,
        known: &Known,
    ) -> Result<Option<Hashed>, End> {
        let ticket = &self.job.ticket;
        if let Some(hashed) = known.get(&expected.path)
            && hashed.stamp == *expected
        {
            if !ticket.advance(expected.size) {
                return Err(End::Cancelled);
            }
            return Ok(Some(Hashed { stamp: expected.clone(), chunks: hashed.chunks.clone() }));
        }
        let path = &expected.path;
        let reading = read_steadily(
            self.root,
            path,
            ticket,
            &mut self.cutter,
            |cutter, file, size, ticket| {
                cutter.chunks(file, size, chunker.params(size), |bytes| ticket.advance(bytes))
            },
        )?;
        Ok(match reading {
            Reading::Steady(stamp, chunks) => Some(Hashed { stamp, chunks }),
            Reading::Wrong(_) | Reading::Unsteady => None,
        })
    }

    /// Makes the manifest, stores it and writes the ledger. The inner error: these files make no
    /// manifest.
    fn store(
        &self,
        payload: &Payload,
        chunker: ChunkerId,
        hashed: Vec<Hashed>,
        origin: Origin,
    ) -> Result<Result<Ledger, BadManifest>, End> {
        let mut stamps = Vec::with_capacity(hashed.len());
        let mut files = Vec::with_capacity(hashed.len());
        for Hashed { stamp, chunks } in hashed {
            files.push((stamp.path.clone(), chunks));
            stamps.push(stamp);
        }
        let (sentinel, empty_dirs) = (self.sentinel_bytes.clone(), payload.empty_dirs.clone());
        let manifest = match Manifest::build(chunker, sentinel, files, empty_dirs.clone()) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Err(error)),
        };
        let manifest = self.job.places.manifests.save(&manifest).map_err(failed)?;
        let ledger = Ledger {
            manifest,
            origin,
            root: self.identity,
            sentinel: self.sentinel.hash,
            files: stamps,
            empty_dirs,
            damaged: Vec::new(),
        };
        self.write_ledger(&ledger);
        Ok(Ok(ledger))
    }

    /// What was hashed so far need not be hashed again. A failure costs that and is not told.
    fn keep_partial(&self, payload: &Payload, chunker: ChunkerId, hashed: Vec<Hashed>) {
        let is_download = self
            .job
            .places
            .ledgers
            .load(&self.job.game)
            .is_some_and(|ledger| ledger.origin == Origin::Download);
        // What is known of a download must not be lost on the way to something else.
        if hashed.is_empty() || is_download {
            return;
        }
        if let Ok(Err(error)) = self.store(payload, chunker, hashed, Origin::Partial) {
            tracing::debug!(game = %self.job.game, %error, "hashes of half a game not kept");
        }
    }
}

/// Whether a coarser rule would help.
pub(super) fn is_too_long(error: &BadManifest) -> bool {
    matches!(error, BadManifest::Chunks { .. } | BadManifest::Bytes { .. })
}
