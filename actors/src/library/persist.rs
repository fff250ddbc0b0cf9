//! The index file: what is remembered of the library between two lives of the program. Owns its
//! form. A damaged one is reported, set aside and made again by a scan (L6); the revision it held
//! is then taken from the clock, so that peers still see it grow.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use lanspread_wire::GameId;
use serde::{Deserialize, Serialize};

use super::{index::Remembered, sealed, state_files::StateFiles};
use crate::limits::library::{INDEX_BYTES_MAX, REVISION_GAP};

/// The content of the index file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    /// The revision announced last, or a later one.
    pub(crate) revision: u64,
    /// The folder it is about.
    pub(crate) games_dir: Option<PathBuf>,
    pub(crate) games: BTreeMap<GameId, Remembered>,
}

/// What was found in the place of the index file.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) saved: Saved,
    /// What was wrong with it and what was done, in a sentence.
    pub(crate) notice: Option<String>,
}

/// The index file. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct IndexFile {
    files: StateFiles,
}

impl IndexFile {
    /// The index file of a state folder.
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { files: StateFiles::new(state_dir.to_path_buf()) }
    }

    /// Reads it. There is always an answer: without a file, or with a damaged one, an empty index.
    pub(crate) fn load(&self) -> Loaded {
        let why = match self.files.read(NAME, INDEX_BYTES_MAX) {
            Ok(None) => return Loaded { saved: Saved::default(), notice: None },
            Ok(Some(bytes)) => match decode(&bytes) {
                Ok(saved) => return Loaded { saved, notice: None },
                Err(why) => why,
            },
            Err(error) => error.to_string(),
        };
        let put = match self.files.set_aside(NAME) {
            Ok(path) => format!("set aside as {}", path.display()),
            Err(error) => format!("left where it is ({error})"),
        };
        let notice =
            format!("the library index could not be read: {why}; it was {put} and is made anew");
        Loaded { saved: Saved::default(), notice: Some(notice) }
    }

    /// Writes it whole or not at all.
    pub(crate) fn save(&self, saved: &Saved) -> Result<(), SaveError> {
        let body = serde_json::to_vec(saved)?;
        Ok(self.files.write(NAME, &sealed::seal(KIND, FORM, &body))?)
    }
}

/// Why the index file was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaveError {
    #[error("the library index cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
    #[error("the library index cannot be saved: {0}")]
    Write(#[from] lanspread_fs_txn::vfs::FsError),
}

/// The revision to go on from. After a restart of the actor alone: the one announced last. After
/// one of the program: above what was saved, with room for changes that never were, and above the
/// clock, should the file have been lost.
pub(crate) fn revision_base(saved: &Saved, announced: u64, unix_ms: u64) -> u64 {
    match announced {
        0 => unix_ms.max(saved.revision.saturating_add(REVISION_GAP)),
        announced => announced,
    }
}

fn decode(bytes: &[u8]) -> Result<Saved, String> {
    let body = sealed::open(KIND, FORM, bytes).map_err(|error| error.to_string())?;
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

const NAME: &str = "index";
const KIND: &str = "index";
const FORM: u32 = 1;

#[cfg(test)]
mod tests {
    use std::fs;

    use lanspread_wire::{ManifestId, VersionStamp};

    use super::*;

    fn saved() -> Saved {
        let remembered = Remembered {
            sentinel: Some((VersionStamp::parse(b"20240131").unwrap(), [3; 32])),
            installed: true,
            bytes_total: 12345,
            manifest: Some(ManifestId([1; 32])),
            kept: None,
            remarks_said: Some([2; 32]),
        };
        Saved {
            revision: 77,
            games_dir: Some(PathBuf::from("/games")),
            games: BTreeMap::from([(GameId::parse("quake").unwrap(), remembered)]),
        }
    }

    #[test]
    fn an_index_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let file = IndexFile::new(dir.path());
        let fresh = file.load();
        assert_eq!((fresh.saved, fresh.notice), (Saved::default(), None));
        file.save(&saved()).unwrap();
        let loaded = file.load();
        assert_eq!((loaded.saved, loaded.notice), (saved(), None));
    }

    /// Proves L6, T70 and F21: every cut and every flipped byte is reported and set aside, and
    /// the next index can be written.
    #[test]
    fn a_damaged_index_is_set_aside_and_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = IndexFile::new(dir.path());
        file.save(&saved()).unwrap();
        let path = dir.path().join(NAME);
        let whole = fs::read(&path).unwrap();
        let cuts = (0..whole.len()).step_by(7).map(|cut| whole[..cut].to_vec());
        let flips = (0..whole.len()).step_by(5).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x08;
            bytes
        });
        for damaged in cuts.chain(flips) {
            fs::write(&path, &damaged).unwrap();
            let loaded = file.load();
            assert_eq!(loaded.saved, Saved::default());
            assert!(loaded.notice.unwrap().contains("set aside"));
            assert!(!path.try_exists().unwrap());
            for entry in fs::read_dir(dir.path()).unwrap() {
                fs::remove_file(entry.unwrap().path()).unwrap();
            }
        }
        file.save(&saved()).unwrap();
        assert_eq!(file.load().saved, saved());
    }

    /// Proves T70: a file of any size does not keep the program from starting.
    #[test]
    fn a_huge_index_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let index = fs::File::create(dir.path().join(NAME)).unwrap();
        index.set_len(1 << 30).unwrap();
        let loaded = IndexFile::new(dir.path()).load();
        assert!(loaded.notice.unwrap().contains("set aside"));
    }

    /// Proves P4: revisions grow over restarts, over a lost file, and over a clock that went back.
    #[test]
    fn revisions_only_grow() {
        let mut last = saved();
        last.revision = 1_700_000_000_000;
        assert!(revision_base(&last, 0, 5) > last.revision, "the clock went back");
        assert!(revision_base(&Saved::default(), 0, 1_700_000_000_001) > last.revision, "lost");
        assert_eq!(revision_base(&last, 7, 5), 7, "the actor alone was restarted");
    }
}
