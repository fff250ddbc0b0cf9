//! Manifests by their hash, one file each in the state folder. Content-addressed: any number of writers, no owner.

use std::path::PathBuf;

/// The store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ManifestStore {
    dir: PathBuf,
}
