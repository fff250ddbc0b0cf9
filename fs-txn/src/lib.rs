//! Transactions on game folders that survive a crash or a power cut.
//!
//! Owns the names on disk ([`layout`]), the door to the file system ([`vfs`]), the records by which
//! an interrupted operation is recognised ([`intent`], [`marker`]), the recovery of a root
//! ([`recover`](mod@recover)), and the operations ([`ops`]). Knows nothing of peers, of manifests'
//! insides, of actors or of clocks; every call blocks.
//!
//! # How a caller uses it
//!
//! A game root is opened below the games folder, a lease is taken, and a [`TxnContext`] is made of
//! both. Every operation first recovers what an earlier one left.
//!
//! ```
//! use std::sync::Arc;
//! use lanspread_fs_txn::{
//!     DownloadPlan, DownloadStaging, InstallStaging, LeaseTable, OpId, PlannedFile, RealVfs,
//!     TxnContext, Vfs, create_game_root, inspect, recover, remove, uninstall,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let games = RealVfs.open_root(folder.path())?;
//! let root = create_game_root(&*games, "quake")?;
//! let mut leases = LeaseTable::new(); // owned by one actor
//! let context = |leases: &mut LeaseTable| -> Result<TxnContext, Box<dyn std::error::Error>> {
//!     let lease = leases.acquire("quake")?;
//!     let context = TxnContext::new(Arc::clone(&root), OpId::fresh(), lease);
//!     // told of every step before it begins, and of its parts
//!     Ok(context.observed(|progress| drop(progress.step.name())))
//! };
//!
//! // at the start of the program, once per root
//! let recovery = recover(&context(&mut leases)?)?;
//! assert!(recovery.outcome.is_usable());
//!
//! // a download: staged, written in any order from any thread, then committed
//! let manifest = b"the manifest's canonical bytes".to_vec();
//! let plan = DownloadPlan {
//!     manifest_id: blake3::hash(&manifest).to_hex().to_string(),
//!     manifest_bytes: manifest,
//!     files: vec![PlannedFile { path: "bin/run.sh".into(), size: 10, keep: false }],
//!     empty_dirs: vec!["saves".into()],
//!     sentinel: b"20250101\n".to_vec(),
//!     old_files: vec![],
//! };
//! lanspread_fs_txn::check_space(&*root, plan.bytes_to_write()?)?;
//! let (staging, resumed) = DownloadStaging::open_or_create(&context(&mut leases)?, &plan)?;
//! assert_eq!(resumed.progress, None);
//! staging.write_at(0, 0, b"#!/bin/sh\n")?;
//! staging.save_progress(&[0b1])?; // what it covers is durable before it is
//! staging.commit()?; // or park(), to go on later, or discard()
//! assert!(inspect(&*root, "quake")?.is_downloaded());
//!
//! // an install, or an update if `local/` stands
//! let mut staging = InstallStaging::create(&context(&mut leases)?, "20250101", None)?;
//! let mut file = staging.create_file("game/run.sh", None)?;
//! file.write(b"#!/bin/sh\n")?;
//! file.finish()?;
//! staging.copy_payload("bin/run.sh")?;
//! staging.commit()?; // or abort()
//! assert!(inspect(&*root, "quake")?.is_installed());
//!
//! uninstall(&context(&mut leases)?)?;
//! remove(&context(&mut leases)?, &*games)?;
//! # Ok(())
//! # }
//! ```
//!
//! An error of an operation ([`TxnError`]) names the game, the step, the path and the code of the
//! system; where something had been changed, recovery has run already and `after` tells what came
//! of it. A folder is adopted as a game with [`adopt`]; a whole games folder is kept for one
//! process with [`FolderLock`]; state files are written with [`write_atomic`].

pub mod atomic;
pub mod inspect;
pub mod intent;
pub mod layout;
pub mod lease;
pub mod limits;
pub mod lock;
pub mod marker;
pub mod op;
pub mod ops;
pub mod payload;
mod record;
pub mod recover;
pub mod space;
#[cfg(test)]
mod testing;
pub mod tree;
pub mod vfs;

pub use atomic::{read_limited, set_aside_corrupt, write_atomic};
pub use inspect::{Local, RootState, Sentinel, inspect};
pub use intent::{Intent, IntentState, Operation, Phase};
pub use lease::{Fenced, LeaseError, LeaseGuard, LeaseTable};
pub use lock::{FolderLock, FolderLockError};
pub use marker::{Marker, MarkerState};
pub use op::OpId;
pub use ops::{
    AdoptMode, AdoptRequest, Done, DownloadPlan, DownloadStaging, FileWriter, InstallStaging,
    InstalledFile, InstalledList, PlannedFile, PreviousStaging, Progress, Resumed, Step,
    TxnContext, TxnError, TxnFailure, adopt, create_game_root, open_game_root, remove,
    remove_empty_root, uninstall,
};
pub use payload::{Payload, list_payload};
pub use recover::{Outcome, Recovery, RecoveryFailure, recover};
pub use space::{SpaceError, check_space};
pub use vfs::{Dir, File, FileKind, FsError, Metadata, RealVfs, Vfs};
