//! Reads the files of a download that look touched, and compares them with its manifest: a copy
//! to another disk changes times and numbers of files, not what is in them. A manifest that was
//! lost is made again from the same files.

use std::collections::HashMap;

use lanspread_wire::{ChunkEntry, ChunkerId, Manifest, ManifestId, RelPath};

use super::{
    End, Work, failed,
    payload::is_too_long,
    reading::{Reading, read_steadily},
};
use crate::{
    library::{
        index::HashOutcome,
        ledger::{Ledger, Origin, Stamp},
        scan::{expected, walk},
    },
    limits::library::DAMAGED_FILES_MAX,
};

impl Work<'_> {
    pub(super) fn recheck(&mut self, id: ManifestId) -> Result<HashOutcome, End> {
        let ledger = self.job.places.ledgers.load(&self.job.game);
        let ledger = ledger.filter(|ledger| ledger.manifest == id);
        match self.job.places.manifests.load(id).map_err(failed)? {
            Some(manifest) => self.recheck_files(&manifest, ledger.as_ref()),
            None => match ledger {
                Some(ledger) => self.rebuild(ledger),
                None => Err(failed("what was downloaded here is no longer known: run verify")),
            },
        }
    }

    fn recheck_files(
        &mut self,
        manifest: &Manifest,
        ledger: Option<&Ledger>,
    ) -> Result<HashOutcome, End> {
        let trusted = ledger.map(trusted_stamps).unwrap_or_default();
        let mut chunks = &manifest.chunks[..];
        let mut stamps = Vec::with_capacity(manifest.files.len());
        let mut damaged = Vec::new();
        self.job.ticket.begin(manifest.bytes_total());
        for should in expected(manifest) {
            let count = manifest.files[stamps.len()].chunk_count as usize;
            let (of_file, rest) = chunks.split_at(count.min(chunks.len()));
            chunks = rest;
            let trusted = trusted.get(&should.path).copied();
            match self.recheck_one(&should, of_file, trusted)? {
                Checked::Sound(stamp) => stamps.push(stamp),
                Checked::Broken(stamp) => {
                    damaged.push(should.path.to_string());
                    stamps.push(stamp.unwrap_or(should));
                }
                Checked::Unsteady => return Ok(HashOutcome::Unsettled),
            }
        }
        if !self.is_sentinel_as_it_was() {
            return Ok(HashOutcome::Unsettled);
        }
        Ok(self.conclude(manifest, stamps, damaged))
    }

    fn conclude(
        &self,
        manifest: &Manifest,
        files: Vec<Stamp>,
        mut damaged: Vec<String>,
    ) -> HashOutcome {
        let mut ledger = Ledger {
            manifest: manifest.id(),
            origin: Origin::Download,
            root: self.identity,
            sentinel: self.sentinel.hash,
            files,
            empty_dirs: manifest.empty_dirs.clone(),
            damaged: Vec::new(),
        };
        ledger.set_damaged(damaged.clone());
        self.write_ledger(&ledger);
        if damaged.is_empty() {
            return self.done(&ledger, manifest.bytes_total());
        }
        damaged.truncate(DAMAGED_FILES_MAX);
        HashOutcome::Damaged { files: damaged }
    }

    fn recheck_one(
        &mut self,
        should: &Stamp,
        chunks: &[ChunkEntry],
        trusted: Option<&Stamp>,
    ) -> Result<Checked, End> {
        let ticket = &self.job.ticket;
        let now = walk::stamp(self.root, &should.path).map_err(failed)?;
        let Some(now) = now.filter(|now| now.size == should.size) else {
            return Ok(Checked::Broken(None));
        };
        if trusted == Some(&now) {
            return if ticket.advance(now.size) {
                Ok(Checked::Sound(now))
            } else {
                Err(End::Cancelled)
            };
        }
        let (path, cutter) = (&should.path, &mut self.cutter);
        let reading = read_steadily(self.root, path, ticket, cutter, |cutter, file, _, ticket| {
            cutter.check(file, chunks, |bytes| ticket.advance(bytes))
        })?;
        Ok(match reading {
            Reading::Steady(stamp, ()) => Checked::Sound(stamp),
            Reading::Wrong(stamp) => Checked::Broken(Some(stamp)),
            Reading::Unsteady => Checked::Unsteady,
        })
    }

    /// Makes a lost manifest again from the files the ledger names. Only the very same one counts.
    fn rebuild(&mut self, ledger: Ledger) -> Result<HashOutcome, End> {
        let bytes_total = ledger.files.iter().map(|stamp| stamp.size).sum();
        let mut chunker = ChunkerId::for_total(bytes_total);
        loop {
            self.job.ticket.begin(bytes_total);
            let Some(files) = self.cut_files(&ledger, chunker)? else {
                return Ok(HashOutcome::Unsettled);
            };
            let (sentinel, empty_dirs) = (self.sentinel_bytes.clone(), ledger.empty_dirs.clone());
            match Manifest::build(chunker, sentinel, files, empty_dirs) {
                Ok(manifest) if manifest.id() == ledger.manifest => {
                    self.job.places.manifests.save(&manifest).map_err(failed)?;
                    return self.recheck_files(&manifest, None);
                }
                Ok(_) => return Ok(HashOutcome::Damaged { files: Vec::new() }),
                Err(error) => match chunker.coarser() {
                    Some(coarser) if is_too_long(&error) => chunker = coarser,
                    _ => return Err(failed(error)),
                },
            }
        }
    }

    fn cut_files(&mut self, ledger: &Ledger, chunker: ChunkerId) -> Result<Option<Files>, End> {
        let mut files = Files::with_capacity(ledger.files.len());
        for stamp in &ledger.files {
            let (ticket, path) = (&self.job.ticket, &stamp.path);
            let cutter = &mut self.cutter;
            let reading =
                read_steadily(self.root, path, ticket, cutter, |cutter, file, size, ticket| {
                    cutter.chunks(file, size, chunker.params(size), |bytes| ticket.advance(bytes))
                })?;
            match reading {
                Reading::Steady(_, chunks) => files.push((path.clone(), chunks)),
                Reading::Wrong(_) | Reading::Unsteady => return Ok(None),
            }
        }
        Ok(Some(files))
    }
}

type Files = Vec<(RelPath, Vec<ChunkEntry>)>;

enum Checked {
    Sound(Stamp),
    /// Missing, of another size, or not what it should be.
    Broken(Option<Stamp>),
    Unsteady,
}

/// Files that need not be read if they look like this.
fn trusted_stamps(ledger: &Ledger) -> HashMap<RelPath, &Stamp> {
    if ledger.is_damaged_list_full() {
        return HashMap::new();
    }
    let sound = ledger
        .files
        .iter()
        .filter(|stamp| !ledger.damaged.iter().any(|name| name == stamp.path.as_str()));
    sound.map(|stamp| (stamp.path.clone(), stamp)).collect()
}
