//! Which chunks of a download may be here already, and where: recorded by an earlier run, in the
//! files of the game root, in the staging of another download.
//!
//! Pure: manifests in, a list of works out. Nothing of it counts before its hash was checked again.

use std::{collections::HashMap, ops::Range};

use lanspread_wire::{ChunkHash, ChunkMap, Manifest, RelPath};

use super::{chunk_set::ChunkSet, target::Target};
use crate::limits::transfer::REUSE_BATCH_BYTES;

/// Where bytes of another content lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In a file of the game root.
    Root { path: RelPath, offset: u64 },
    /// In a staged file of another download of this game.
    Previous { file: u32, offset: u64 },
}

/// One piece of work: small enough that a cancelled download does not wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Hash again what an earlier run recorded as staged.
    Staged { chunks: Vec<u32> },
    /// Read from where they lie, hash, and write into the staging.
    Copy { chunks: Vec<(u32, Origin)> },
}

/// What may be reused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReusePlan {
    /// Independent of each other.
    pub works: Vec<Work>,
    /// Files of the root that may stay as they are: every chunk is hashed in place.
    pub in_place: Vec<u32>,
}

/// What is known to be here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Present<'a> {
    /// What an earlier run of the same download recorded.
    pub recorded: Option<&'a ChunkSet>,
    /// The content that the game root holds, as far as it is known.
    pub old: Option<&'a Manifest>,
    /// Whose staging this download has replaced.
    pub previous: Option<&'a Manifest>,
    /// Files of the root that are not in `old` and have the path and the size of a wanted one.
    pub strangers: &'a [u32],
}

impl ReusePlan {
    /// Looks for every chunk in the place where it costs least.
    pub fn new(target: &Target, present: Present<'_>) -> Self {
        let mut plan = Self::default();
        let mut planned = ChunkSet::empty(target.chunk_count());
        plan.add_recorded(target, present, &mut planned);
        plan.add_in_place(target, present, &mut planned);
        plan.add_copies(target, present, &mut planned);
        plan
    }

    /// The files of the root that may stay if nothing of them is staged.
    pub fn files_in_place(target: &Target, present: Present<'_>) -> Vec<u32> {
        let mut plan = Self::default();
        plan.add_in_place(target, present, &mut ChunkSet::empty(target.chunk_count()));
        plan.in_place
    }

    /// Every chunk that may be here.
    pub fn chunks(&self, target: &Target) -> ChunkSet {
        let mut chunks = ChunkSet::empty(target.chunk_count());
        for work in &self.works {
            for chunk in work.chunks() {
                chunks.insert(chunk);
            }
        }
        for file in &self.in_place {
            for chunk in target.map.file_chunks(*file) {
                chunks.insert(chunk);
            }
        }
        chunks
    }

    fn add_recorded(&mut self, target: &Target, present: Present<'_>, planned: &mut ChunkSet) {
        let Some(recorded) = present.recorded.filter(|set| set.bound() == planned.bound()) else {
            return;
        };
        for batch in batches(target, recorded.iter()) {
            for chunk in &batch {
                planned.insert(*chunk);
            }
            self.works.push(Work::Staged { chunks: batch });
        }
    }

    /// Files of which no chunk is staged and that stand in the root just as they are wanted.
    fn add_in_place(&mut self, target: &Target, present: Present<'_>, planned: &mut ChunkSet) {
        let old = present.old.map(|old| (old, ChunkMap::new(old)));
        for (file, entry) in (0u32..).zip(&target.manifest.files) {
            let chunks = target.map.file_chunks(file);
            if chunks.is_empty() || chunks.clone().any(|chunk| planned.contains(chunk)) {
                continue;
            }
            let same = old.as_ref().is_some_and(|(old, map)| {
                position(old, &entry.path).is_some_and(|old_file| {
                    hashes(old, map.file_chunks(old_file))
                        .eq(hashes(&target.manifest, chunks.clone()))
                })
            });
            if same || present.strangers.contains(&file) {
                chunks.for_each(|chunk| {
                    planned.insert(chunk);
                });
                self.in_place.push(file);
            }
        }
    }

    fn add_copies(&mut self, target: &Target, present: Present<'_>, planned: &mut ChunkSet) {
        let mut places: HashMap<ChunkHash, Origin> = HashMap::new();
        if let Some(previous) = present.previous {
            for (hash, file, offset) in places_of(previous) {
                places.insert(hash, Origin::Previous { file, offset });
            }
        }
        // The root comes last and wins: what is there was whole once.
        if let Some(old) = present.old {
            for (hash, file, offset) in places_of(old) {
                let path = old.files[file as usize].path.clone();
                places.insert(hash, Origin::Root { path, offset });
            }
        }
        if places.is_empty() {
            return;
        }
        let missing = (0..target.chunk_count()).filter(|chunk| !planned.contains(*chunk));
        let found: Vec<u32> = missing
            .filter(|chunk| places.contains_key(&target.manifest.chunks[*chunk as usize].hash))
            .collect();
        for batch in batches(target, found) {
            let chunks = batch.into_iter().map(|chunk| {
                let hash = target.manifest.chunks[chunk as usize].hash;
                (chunk, places[&hash].clone())
            });
            self.works.push(Work::Copy { chunks: chunks.collect() });
        }
    }
}

impl Work {
    /// The chunks it decides about.
    pub fn chunks(&self) -> Vec<u32> {
        match self {
            Self::Staged { chunks } => chunks.clone(),
            Self::Copy { chunks } => chunks.iter().map(|(chunk, _)| *chunk).collect(),
        }
    }
}

/// Cuts a list of chunks into pieces of work.
pub fn batches(target: &Target, chunks: impl IntoIterator<Item = u32>) -> Vec<Vec<u32>> {
    let mut batches: Vec<Vec<u32>> = Vec::new();
    let mut bytes = u64::MAX;
    for chunk in chunks {
        bytes = bytes.saturating_add(target.len(chunk));
        match batches.last_mut() {
            Some(batch) if bytes <= REUSE_BATCH_BYTES => batch.push(chunk),
            _ => {
                bytes = target.len(chunk);
                batches.push(vec![chunk]);
            }
        }
    }
    batches
}

fn position(manifest: &Manifest, path: &RelPath) -> Option<u32> {
    let found = manifest.files.binary_search_by(|file| file.path.cmp(path)).ok()?;
    u32::try_from(found).ok()
}

fn hashes(manifest: &Manifest, chunks: Range<u32>) -> impl Iterator<Item = ChunkHash> + '_ {
    let range = chunks.start as usize..chunks.end as usize;
    manifest.chunks[range].iter().map(|chunk| chunk.hash)
}

/// Every chunk of a manifest with its file and its place in it.
fn places_of(manifest: &Manifest) -> impl Iterator<Item = (ChunkHash, u32, u64)> + '_ {
    let mut chunks = manifest.chunks.iter();
    (0u32..).zip(&manifest.files).flat_map(move |(file, entry)| {
        let mut offset = 0;
        let taken: Vec<_> = chunks
            .by_ref()
            .take(entry.chunk_count as usize)
            .map(|chunk| {
                let place = (chunk.hash, file, offset);
                offset += u64::from(chunk.len);
                place
            })
            .collect();
        taken
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game_op::testing::{chunks, target_of};

    fn root(path: &str, offset: u64) -> Origin {
        Origin::Root { path: RelPath::parse(path).expect("a path"), offset }
    }

    fn copies(plan: &ReusePlan) -> Vec<(u32, Origin)> {
        plan.works
            .iter()
            .filter_map(|work| match work {
                Work::Copy { chunks } => Some(chunks.clone()),
                Work::Staged { .. } => None,
            })
            .flatten()
            .collect()
    }

    #[test]
    fn with_nothing_here_there_is_nothing_to_reuse() {
        let target = target_of(&[("a", chunks(1, 3, 100))]);
        let plan = ReusePlan::new(&target, Present::default());
        assert_eq!(plan, ReusePlan::default());
        assert!(plan.chunks(&target).is_empty());
    }

    /// An update: a file that did not change stays, one that grew in front is copied where it
    /// is the same.
    #[test]
    fn an_update_keeps_files_and_copies_chunks() {
        let (kept, grown) = (chunks(1, 4, 100), chunks(2, 4, 100));
        let old = target_of(&[("grown", grown.clone()), ("kept", kept.clone())]);
        let mut new_grown = chunks(3, 1, 50);
        new_grown.extend(grown);
        let target = target_of(&[("grown", new_grown), ("kept", kept)]);
        let present = Present { old: Some(&old.manifest), ..Present::default() };
        let plan = ReusePlan::new(&target, present);
        assert_eq!(plan.in_place, vec![1]);
        let expected: Vec<_> =
            (0..4).map(|part| (part + 1, root("grown", u64::from(part) * 100))).collect();
        assert_eq!(copies(&plan), expected);
        let candidates = plan.chunks(&target);
        assert!(!candidates.contains(0), "the new front is nowhere");
        assert_eq!(candidates.count(), 8);
    }

    /// A file that moved is found by its hashes.
    #[test]
    fn a_renamed_file_is_copied() {
        let content = chunks(1, 3, 100);
        let old = target_of(&[("before", content.clone())]);
        let target = target_of(&[("after", content)]);
        let present = Present { old: Some(&old.manifest), ..Present::default() };
        let plan = ReusePlan::new(&target, present);
        assert!(plan.in_place.is_empty());
        assert_eq!(copies(&plan).len(), 3);
    }

    /// Proves R6, T57: what was recorded is hashed again, and only that.
    #[test]
    fn a_resumed_download_checks_what_was_recorded() {
        let target = target_of(&[("a", chunks(1, 4, 100))]);
        let mut recorded = ChunkSet::empty(4);
        recorded.insert(1);
        recorded.insert(3);
        let present = Present { recorded: Some(&recorded), ..Present::default() };
        let plan = ReusePlan::new(&target, present);
        assert_eq!(plan.works, vec![Work::Staged { chunks: vec![1, 3] }]);
        let of_another = ChunkSet::full(9);
        let present = Present { recorded: Some(&of_another), ..Present::default() };
        assert_eq!(ReusePlan::new(&target, present), ReusePlan::default());
    }

    /// A file that is partly staged is finished there, not kept in place.
    #[test]
    fn staged_parts_come_before_a_file_in_place() {
        let content = chunks(1, 4, 100);
        let target = target_of(&[("a", content.clone())]);
        let old = target_of(&[("a", content)]);
        let mut recorded = ChunkSet::empty(4);
        recorded.insert(2);
        let present =
            Present { recorded: Some(&recorded), old: Some(&old.manifest), ..Present::default() };
        let plan = ReusePlan::new(&target, present);
        assert!(plan.in_place.is_empty());
        assert_eq!(copies(&plan).len(), 3);
    }

    /// A folder copied from a USB stick without its sentinel: its files are looked at.
    #[test]
    fn files_of_unknown_content_are_tried_in_place() {
        let target = target_of(&[("a", chunks(1, 2, 100)), ("b", chunks(2, 2, 100))]);
        let present = Present { strangers: &[1], ..Present::default() };
        assert_eq!(ReusePlan::new(&target, present).in_place, vec![1]);
    }

    /// Another download that was given up still has something to give; the root is preferred.
    #[test]
    fn the_staging_of_another_version_is_a_source() {
        let (shared, both) = (chunks(1, 2, 100), chunks(2, 1, 100));
        let previous = target_of(&[("x", shared.clone()), ("y", both.clone())]);
        let old = target_of(&[("z", both.clone())]);
        let mut wanted = both;
        wanted.extend(shared);
        let target = target_of(&[("w", wanted)]);
        let present = Present {
            old: Some(&old.manifest),
            previous: Some(&previous.manifest),
            ..Present::default()
        };
        let plan = ReusePlan::new(&target, present);
        let expected = vec![
            (0, root("z", 0)),
            (1, Origin::Previous { file: 0, offset: 0 }),
            (2, Origin::Previous { file: 0, offset: 100 }),
        ];
        assert_eq!(copies(&plan), expected);
    }

    #[test]
    fn work_is_cut_into_pieces() {
        let large = usize::try_from(REUSE_BATCH_BYTES / 2).expect("fits");
        let target = target_of(&[("a", chunks(1, 5, 100))]);
        assert_eq!(batches(&target, 0..5).len(), 1);
        assert_eq!(batches(&target, []).len(), 0);
        let halves: Vec<Vec<u8>> = (0..5u8).map(|fill| vec![fill; large.min(4 << 20)]).collect();
        let target = target_of(&[("a", halves)]);
        let sizes: Vec<usize> = batches(&target, 0..5).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 2, 1]);
    }
}
