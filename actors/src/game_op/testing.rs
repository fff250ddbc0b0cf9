//! What the tests of this folder share: small contents, scripted sources, a shelf in memory.

mod shelf;
mod sources;

use std::sync::{Arc, Mutex};

use lanspread_wire::{ChunkEntry, ChunkHash, ChunkerId, GameId, Manifest, RelPath};

pub(crate) use self::{
    shelf::{InlinePool, MemoryShelf, ShelfFault},
    sources::{Behaviour, ScriptedSource, TestFeed},
};
use super::{engine::Outbox, target::Target};
use crate::operations::table::Report;

/// A target of files with these chunks. The files are given in the order of their paths.
pub(crate) fn target_of(files: &[(&str, Vec<Vec<u8>>)]) -> Arc<Target> {
    let entries = files.iter().map(|(path, chunks)| {
        let entry = |bytes: &Vec<u8>| ChunkEntry {
            hash: ChunkHash::of(bytes),
            len: u32::try_from(bytes.len()).expect("a small chunk"),
        };
        (RelPath::parse(path).expect("a path"), chunks.iter().map(entry).collect())
    });
    let manifest =
        Manifest::build(ChunkerId::STANDARD, b"20240101".to_vec(), entries.collect(), Vec::new())
            .expect("a manifest");
    let id = manifest.id();
    Target::new(GameId::parse("quake").expect("an id"), id, manifest)
}

/// `count` chunks of about `len` bytes, different for each seed.
pub(crate) fn chunks(seed: u8, count: usize, len: usize) -> Vec<Vec<u8>> {
    let mut state = u64::from(seed) + 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count)
        .map(|_| {
            let mut bytes = vec![0; len];
            for part in bytes.chunks_mut(8) {
                part.copy_from_slice(&word().to_le_bytes()[..part.len()]);
            }
            bytes
        })
        .collect()
}

/// Keeps every report.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<Report>>);

impl Recorder {
    pub(crate) fn reports(&self) -> Vec<Report> {
        self.0.lock().expect("no panic while it was held").clone()
    }

    /// The names of the events among them, without the figures.
    pub(crate) fn events(&self) -> Vec<crate::api::Event> {
        self.reports()
            .into_iter()
            .filter_map(|report| match report {
                Report::Event(event) => Some(*event),
                _ => None,
            })
            .filter(|event| !matches!(event, crate::api::Event::DownloadProgress { .. }))
            .collect()
    }
}

impl Outbox for Recorder {
    fn report(&self, report: Report) {
        self.0.lock().expect("no panic while it was held").push(report);
    }
}
