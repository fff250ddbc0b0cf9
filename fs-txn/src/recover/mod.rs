//! Recovery of a game root after a crash: look, decide, act.
//!
//! Runs at the start of the program, on a change of folder, and at the start of every operation
//! that finds something to do. It may itself be killed anywhere and run again; it touches only
//! what carries our marker; when one of its own actions fails it stops and reports the root.

pub(crate) mod execute;
mod plan;

use thiserror::Error;

use crate::inspect::{RootState, inspect};
use crate::ops::TxnContext;
use crate::vfs::FsError;

pub use plan::{Action, Attention, Direction, Plan, plan};

/// What recovery found and did.
#[derive(Debug)]
pub struct Recovery {
    /// The root before.
    pub found: RootState,
    /// What was done, in order.
    pub actions: Vec<Action>,
    /// How it ended.
    pub outcome: Outcome,
    /// What the user should know; nothing of it was changed.
    pub warnings: Vec<String>,
}

/// How a recovery ended.
#[derive(Debug)]
pub enum Outcome {
    /// There was nothing to do, or only leftovers to clear away.
    Clean,
    /// An operation was undone: the game is as it was before it.
    RolledBack,
    /// An operation was finished: the game is as it was meant to be after it.
    RolledForward,
    /// Nothing was removed; a person must look. The game takes part in no operation until a
    /// later recovery succeeds.
    NeedsAttention(RecoveryFailure),
}

/// Why a root needs attention.
#[derive(Debug, Error)]
pub enum RecoveryFailure {
    /// What stands there fits no way back or forward.
    #[error("{game}: {attention}")]
    Unclear {
        /// The game.
        game: String,
        /// What stands there.
        attention: Attention,
    },
    /// An action failed; it is tried again at the next start.
    #[error("{game}: {action}: {source}")]
    Failed {
        /// The game.
        game: String,
        /// What was being done.
        action: Action,
        /// Path and code of the system.
        source: FsError,
    },
    /// The root could not even be looked at.
    #[error("{game}: {source}")]
    Unreadable {
        /// The game.
        game: String,
        /// Path and code of the system.
        source: FsError,
    },
}

impl RecoveryFailure {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unclear { .. } => "needs-attention",
            Self::Failed { source, .. } | Self::Unreadable { source, .. } => source.code(),
        }
    }
}

impl Outcome {
    /// Whether operations on the game may go on.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !matches!(self, Self::NeedsAttention(_))
    }
}

/// Recovers one root. The error is the root that could not even be looked at (row 0): nothing
/// was touched, and other games go on.
pub fn recover(context: &TxnContext) -> Result<Recovery, RecoveryFailure> {
    let game = context.game().to_owned();
    let found = inspect(context.root(), &game)
        .map_err(|source| RecoveryFailure::Unreadable { game: game.clone(), source })?;
    let Plan { actions, direction, attention } = plan(&found);
    let warnings = warnings(&found);
    if let Some(attention) = attention {
        let outcome = Outcome::NeedsAttention(RecoveryFailure::Unclear { game, attention });
        return Ok(Recovery { found, actions: Vec::new(), outcome, warnings });
    }
    let mut done = Vec::with_capacity(actions.len());
    for action in actions {
        if let Err(source) = execute::execute(context, &found, &action) {
            let failure = RecoveryFailure::Failed { game, action, source };
            let outcome = Outcome::NeedsAttention(failure);
            return Ok(Recovery { found, actions: done, outcome, warnings });
        }
        done.push(action);
    }
    let outcome = match direction {
        Direction::None => Outcome::Clean,
        Direction::Back => Outcome::RolledBack,
        Direction::Forward => Outcome::RolledForward,
    };
    Ok(Recovery { found, actions: done, outcome, warnings })
}

/// What is left alone and should be known.
fn warnings(found: &RootState) -> Vec<String> {
    use crate::inspect::{Local, Sentinel};
    use crate::intent::IntentState;

    let mut warnings = Vec::new();
    match &found.intent {
        IntentState::Corrupt(why) => warnings.push(format!("the intent is damaged: {why}")),
        IntentState::Foreign(game) => {
            warnings.push(format!("the intent belongs to the game {game}"));
        }
        IntentState::Absent | IntentState::Valid(_) => {}
    }
    if let Sentinel::Odd(why) = &found.sentinel {
        warnings.push(format!("version.ini does not count: {why}"));
    }
    if let Local::Odd(why) = &found.local {
        warnings.push(format!("local does not count: {why}"));
    }
    for unowned in &found.unowned {
        warnings.push(format!("left alone: {}", unowned.reason));
    }
    warnings
}
