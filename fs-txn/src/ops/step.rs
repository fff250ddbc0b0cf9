//! The names of the steps of all operations: for progress, for errors, and as failpoints.

use std::fmt;

/// One named step. The observer hears of it before its first call to the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Looking at the root and deciding whether the operation fits.
    Check,
    /// Finishing or undoing what an earlier operation left.
    Recover,
    /// Writing the intent.
    IntentWrite,
    /// Making the staging directory.
    StagingCreate,
    /// Writing files into the staging.
    StagingWrite,
    /// Saving how far a download is.
    ProgressSave,
    /// Making the staged files durable.
    FilesDurable,
    /// Marking the staging as complete.
    Seal,
    /// Recording that the files go into place.
    IntentPromoting,
    /// Moving the old sentinel away.
    SentinelAway,
    /// Moving files of the old version away.
    OldAway,
    /// Moving the new files to their places.
    Promote,
    /// Making the moves durable.
    PromoteDurable,
    /// Writing the new sentinel: the commit of a download.
    SentinelWrite,
    /// Carrying the user's own files over to a new `local/`.
    Carry,
    /// Recording that `local/` is about to be changed for the new one.
    IntentSwap,
    /// Moving `local/` to its backup.
    BackupAside,
    /// Moving the staging to `local/`.
    SwapIn,
    /// Making that durable: the commit of an install or update.
    SwapDurable,
    /// Moving everything of a root away.
    RemoveAway,
    /// Deleting what is out of use.
    CleanUp,
    /// Clearing the intent.
    IntentClear,
    /// Removing the empty root of a removed game.
    RootRemove,
    /// Giving a staging up.
    Abort,
}

impl Step {
    /// All steps, for tests that hit each one.
    pub const ALL: [Self; 24] = [
        Self::Check,
        Self::Recover,
        Self::IntentWrite,
        Self::StagingCreate,
        Self::StagingWrite,
        Self::ProgressSave,
        Self::FilesDurable,
        Self::Seal,
        Self::IntentPromoting,
        Self::SentinelAway,
        Self::OldAway,
        Self::Promote,
        Self::PromoteDurable,
        Self::SentinelWrite,
        Self::Carry,
        Self::IntentSwap,
        Self::BackupAside,
        Self::SwapIn,
        Self::SwapDurable,
        Self::RemoveAway,
        Self::CleanUp,
        Self::IntentClear,
        Self::RootRemove,
        Self::Abort,
    ];

    /// A stable word for events, failpoints and scripts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Recover => "recover",
            Self::IntentWrite => "intent-write",
            Self::StagingCreate => "staging-create",
            Self::StagingWrite => "staging-write",
            Self::ProgressSave => "progress-save",
            Self::FilesDurable => "files-durable",
            Self::Seal => "seal",
            Self::IntentPromoting => "intent-promoting",
            Self::SentinelAway => "sentinel-away",
            Self::OldAway => "old-away",
            Self::Promote => "promote",
            Self::PromoteDurable => "promote-durable",
            Self::SentinelWrite => "sentinel-write",
            Self::Carry => "carry",
            Self::IntentSwap => "intent-swap",
            Self::BackupAside => "backup-aside",
            Self::SwapIn => "swap-in",
            Self::SwapDurable => "swap-durable",
            Self::RemoveAway => "remove-away",
            Self::CleanUp => "clean-up",
            Self::IntentClear => "intent-clear",
            Self::RootRemove => "root-remove",
            Self::Abort => "abort",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far a step is. `total` is 0 where a step has no parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The step.
    pub step: Step,
    /// Parts done.
    pub done: u64,
    /// Parts in all.
    pub total: u64,
}
