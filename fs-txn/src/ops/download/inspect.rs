//! Looking into the staging of a download: is its manifest whole, how far is its commit?

use std::path::Path;

use super::plan::{StoredPlan, planned_path};
use crate::atomic::read_limited_at;
use crate::intent::is_odd_file;
use crate::layout;
use crate::limits::{MANIFEST_BYTES_MAX, PLAN_BYTES_MAX};
use crate::marker::Marker;
use crate::record::{self, Kind};
use crate::tree::regular_file;
use crate::vfs::{Dir, FsError};

/// How far the commit of a download is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// The new sentinel.
    pub sentinel: Vec<u8>,
    /// Files that still lie in the staging.
    pub staged_left: usize,
    /// Files that are neither in the staging nor in place.
    pub missing: Vec<String>,
    /// Whether no file has moved yet.
    pub untouched: bool,
}

/// Whether the manifest in the staging is the one its marker names.
pub(crate) fn manifest_known(root: &dyn Dir, marker: &Marker) -> Result<bool, FsError> {
    let path = Path::new(layout::DOWNLOAD).join(layout::STAGED_MANIFEST);
    let Some(bytes) = read_or_odd(root, &path, MANIFEST_BYTES_MAX)? else { return Ok(false) };
    let id = blake3::hash(&bytes).to_hex();
    Ok(marker.manifest_id.as_deref() == Some(id.as_str()) && stored_plan(root)?.is_some())
}

/// The plan in the staging; `None` if it is damaged or not there.
pub(crate) fn stored_plan(root: &dyn Dir) -> Result<Option<StoredPlan>, FsError> {
    let path = Path::new(layout::DOWNLOAD).join(layout::STAGED_PLAN);
    let bytes = read_or_odd(root, &path, PLAN_BYTES_MAX)?;
    let plan = bytes.and_then(|bytes| record::decode::<StoredPlan>(Kind::Plan, &bytes).ok());
    Ok(plan.filter(StoredPlan::is_sound))
}

/// How far the commit is; `None` if the plan is not readable.
pub(crate) fn promotion(root: &dyn Dir) -> Result<Option<Promotion>, FsError> {
    let Some(plan) = stored_plan(root)? else { return Ok(None) };
    let Some(sentinel) = plan.sentinel_bytes() else { return Ok(None) };
    let mut promotion =
        Promotion { sentinel, staged_left: 0, missing: Vec::new(), untouched: true };
    for (number, file) in plan.files.iter().enumerate() {
        let staged = Path::new(layout::DOWNLOAD).join(layout::staged_file(number));
        let has_size = |path: &Path| -> Result<bool, FsError> {
            Ok(regular_file(root, path)?.is_some_and(|found| found.len == file.size))
        };
        if !file.keep && has_size(&staged)? {
            promotion.staged_left += 1;
        } else if !has_size(&planned_path(&file.path))? {
            promotion.missing.push(file.path.clone());
        } else if !file.keep {
            promotion.untouched = false;
        }
    }
    Ok(Some(promotion))
}

fn read_or_odd(root: &dyn Dir, path: &Path, max: u64) -> Result<Option<Vec<u8>>, FsError> {
    match read_limited_at(root, path, max) {
        Err(error) if is_odd_file(&error) => Ok(None),
        result => result,
    }
}
