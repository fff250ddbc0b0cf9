//! What a download consists of, as the caller gives it and as it is kept on disk. Pure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::layout;
use crate::limits::SENTINEL_BYTES_MAX;
use crate::ops::error::TxnFailure;
use crate::space::{SpaceError, bytes_total};
use crate::vfs::parse_payload;

/// What the caller wants to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadPlan {
    /// The manifest's id in hexadecimal: the BLAKE3 hash of `manifest_bytes`.
    pub manifest_id: String,
    /// The manifest as it came; kept with the staged files so that a download can be resumed.
    pub manifest_bytes: Vec<u8>,
    /// The files, in the order in which the caller numbers them.
    pub files: Vec<PlannedFile>,
    /// Directories that are empty in the manifest.
    pub empty_dirs: Vec<String>,
    /// The bytes of the new `version.ini`.
    pub sentinel: Vec<u8>,
    /// Payload of the version that is replaced. What is not in `files` goes at the commit; what
    /// is, may be overwritten. A file in the way that is in neither is the user's and is kept
    /// under `.lanspread.kept/`.
    pub old_files: Vec<String>,
}

/// One file of a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFile {
    /// Payload path, `/` between components.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// The file in the root has this content already (the caller has hashed it) and stays.
    pub keep: bool,
}

/// The plan as kept in the staging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredPlan {
    pub(crate) manifest_id: String,
    pub(crate) files: Vec<PlannedFile>,
    pub(crate) empty_dirs: Vec<String>,
    /// Hexadecimal.
    pub(crate) sentinel: String,
    pub(crate) old_files: Vec<String>,
    /// Version that is replaced, if any; names the directory of kept files.
    pub(crate) from_version: Option<String>,
}

impl DownloadPlan {
    /// The version stamp in the sentinel.
    #[must_use]
    pub fn version(&self) -> String {
        String::from_utf8_lossy(&self.sentinel).trim().to_owned()
    }

    /// Bytes that have to be written: of all files that are not kept.
    pub fn bytes_to_write(&self) -> Result<u64, SpaceError> {
        let sizes = self.files.iter().filter(|file| !file.keep).map(|file| file.size);
        bytes_total(sizes).ok_or(SpaceError::Overflow)
    }

    /// Checks at the border what the caller has validated already: nothing may leave the root or
    /// take one of our names, and sizes must add up.
    pub(crate) fn validate(&self) -> Result<(), TxnFailure> {
        bytes_total(self.files.iter().map(|file| file.size)).ok_or(SpaceError::Overflow)?;
        let empty_sentinel = self.sentinel.trim_ascii().is_empty();
        if empty_sentinel || self.sentinel.len() as u64 > SENTINEL_BYTES_MAX {
            return Err(TxnFailure::BadPath(layout::SENTINEL.to_owned()));
        }
        let mut seen = BTreeSet::new();
        let files = self.files.iter().map(|file| &file.path);
        for path in files.chain(&self.empty_dirs) {
            payload_path(path)?;
            if !seen.insert(path) {
                return Err(TxnFailure::BadPath(path.clone()));
            }
        }
        for path in &self.old_files {
            payload_path(path)?;
        }
        Ok(())
    }

    pub(crate) fn stored(&self, from_version: Option<String>) -> StoredPlan {
        StoredPlan {
            manifest_id: self.manifest_id.clone(),
            files: self.files.clone(),
            empty_dirs: self.empty_dirs.clone(),
            sentinel: hex::encode(&self.sentinel),
            old_files: self.old_files.clone(),
            from_version,
        }
    }
}

impl StoredPlan {
    /// Whether the staged files of this plan are those of `other`.
    pub(crate) fn stages_the_same(&self, other: &Self) -> bool {
        let key = |plan: &Self| {
            let files = plan.files.iter().map(|file| (file.path.clone(), file.size));
            (plan.manifest_id.clone(), files.collect::<Vec<_>>())
        };
        key(self) == key(other)
    }

    pub(crate) fn sentinel_bytes(&self) -> Option<Vec<u8>> {
        hex::decode(&self.sentinel).ok()
    }

    /// All paths that will be files after the commit.
    pub(crate) fn file_paths(&self) -> BTreeSet<&str> {
        self.files.iter().map(|file| file.path.as_str()).collect()
    }

    /// Whether every path in it is one we would write: the plan lay on disk.
    pub(crate) fn is_sound(&self) -> bool {
        let files = self.files.iter().map(|file| &file.path);
        let mut all = files.chain(&self.empty_dirs).chain(&self.old_files);
        all.all(|path| payload_path(path).is_ok()) && self.sentinel_bytes().is_some()
    }
}

/// A payload path below the root, if it may be one.
pub(crate) fn payload_path(text: &str) -> Result<PathBuf, TxnFailure> {
    let bad = || TxnFailure::BadPath(text.to_owned());
    let path = parse_payload(text).ok_or_else(bad)?;
    let first = text.split('/').next().unwrap_or_default();
    if layout::is_reserved_root_name(first) {
        return Err(bad());
    }
    Ok(path)
}

/// As [`payload_path`], for a path that was checked when the plan was taken in.
pub(crate) fn planned_path(text: &str) -> PathBuf {
    parse_payload(text).unwrap_or_else(|| Path::new(text).to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(files: &[(&str, u64)]) -> DownloadPlan {
        let file = |(path, size): &(&str, u64)| PlannedFile {
            path: (*path).to_owned(),
            size: *size,
            keep: false,
        };
        DownloadPlan {
            manifest_id: "00".into(),
            manifest_bytes: Vec::new(),
            files: files.iter().map(file).collect(),
            empty_dirs: Vec::new(),
            sentinel: b"20250101\r\n".to_vec(),
            old_files: Vec::new(),
        }
    }

    #[test]
    fn versions_are_trimmed() {
        assert_eq!(plan_of(&[]).version(), "20250101");
    }

    /// Proves T45.
    #[test]
    fn sizes_that_overflow_are_refused() {
        let plan = plan_of(&[("a", u64::MAX), ("b", 1)]);
        assert!(matches!(plan.validate(), Err(TxnFailure::Space(SpaceError::Overflow))));
        assert!(plan.bytes_to_write().is_err());
    }

    /// Proves T41 at this border too.
    #[test]
    fn our_names_and_ways_out_are_refused() {
        for bad in ["version.ini", "Version.INI", "local/x", ".lanspread.json", "../x", "a//b", ""]
        {
            let plan = plan_of(&[(bad, 1)]);
            assert!(matches!(plan.validate(), Err(TxnFailure::BadPath(_))), "{bad:?}");
            let old = DownloadPlan { old_files: vec![bad.to_owned()], ..plan_of(&[]) };
            assert!(old.validate().is_err(), "old {bad:?}");
            let dir = DownloadPlan { empty_dirs: vec![bad.to_owned()], ..plan_of(&[]) };
            assert!(dir.validate().is_err(), "directory {bad:?}");
        }
        assert!(plan_of(&[("a/version.ini", 1), ("a/local/x", 1)]).validate().is_ok());
        assert!(plan_of(&[("a", 1), ("a", 1)]).validate().is_err(), "twice");
    }

    #[test]
    fn an_empty_or_huge_sentinel_is_refused() {
        let plan = DownloadPlan { sentinel: b" \n".to_vec(), ..plan_of(&[]) };
        assert!(plan.validate().is_err());
        let huge = vec![b'1'; usize::try_from(SENTINEL_BYTES_MAX).unwrap() + 1];
        let plan = DownloadPlan { sentinel: huge.clone(), ..plan_of(&[]) };
        assert!(plan.validate().is_err());
        let plan = DownloadPlan { sentinel: huge[1..].to_vec(), ..plan_of(&[]) };
        assert!(plan.validate().is_ok());
    }
}
