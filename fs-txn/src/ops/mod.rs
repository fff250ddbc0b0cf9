//! The operations on a game root, one file per transaction. Each is a list of named [`Step`]s;
//! each ends in the old or the new state, whatever interrupts it.

mod adopt;
mod context;
mod download;
mod error;
mod install;
mod magic;
mod remove;
mod report;
mod step;
mod uninstall;

pub use adopt::{AdoptMode, AdoptRequest, adopt};
pub use context::{TxnContext, create_game_root, open_game_root};
pub use download::{
    DownloadPlan, DownloadStaging, PlannedFile, PreviousStaging, Promotion, Resumed,
};
pub use error::{TxnError, TxnFailure};
pub use install::{FileWriter, InstallStaging, InstalledFile, InstalledList};
pub use remove::{remove, remove_empty_root};
pub use report::{Done, Leftover};
pub use step::{Progress, Step};
pub use uninstall::uninstall;

pub(crate) use download::finish_download;
pub(crate) use download::inspect as inspect_download;
pub(crate) use install::publish_kept;
pub(crate) use remove::finish_remove;
