//! An install or update: unpacked beside `local/`, made durable, then put in its place.
//!
//! Which of the two it is depends on whether `local/` stands. An update carries the user's own
//! files over; `local/` is never absent longer than between two renames, and recovery knows which
//! of the two has happened.

mod carry;
mod list;
mod scan;
mod staging;
mod swap;
mod writer;

pub use list::{InstalledFile, InstalledList};
pub use staging::InstallStaging;
pub use writer::FileWriter;

pub(crate) use swap::{move_local_aside, publish_kept};
