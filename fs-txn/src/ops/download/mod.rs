//! A download: staged in `.download/`, kept for resume, then moved into place.
//!
//! Until the commit nothing of the old version is touched. The commit goes forward only: once the
//! intent says "promoting", recovery redoes what is left of it.

mod commit;
mod files;
pub(crate) mod inspect;
mod plan;
mod promote;
mod staging;

pub use inspect::Promotion;
pub use plan::{DownloadPlan, PlannedFile};
pub use staging::{DownloadStaging, PreviousStaging, Resumed};

pub(crate) use commit::finish_download;
