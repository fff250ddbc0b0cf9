//! What every operation is given, and what all of them do alike: begin, record, fail.

use std::path::Path;
use std::sync::Arc;

use super::error::{TxnError, TxnFailure};
use super::report::Done;
use super::step::{Progress, Step};
use crate::inspect::{RootState, inspect};
use crate::intent::{INTENT_SCHEMA, Intent, Operation, Phase};
use crate::layout;
use crate::lease::LeaseGuard;
use crate::marker::{MARKER_SCHEMA, Marker};
use crate::op::OpId;
use crate::recover::{Outcome, execute, plan, recover};
use crate::vfs::{
    Dir, FencedDir, FsError, FsOp, Refusal, is_payload_component, remove_file_if_present,
};

/// Hears of every step; may be called from the thread of the operation only.
type Observer = Arc<dyn Fn(Progress) + Send + Sync>;

/// One run of one operation on one game root. Cheap to clone.
#[derive(Clone)]
pub struct TxnContext {
    root: Arc<dyn Dir>,
    fenced: Arc<dyn Dir>,
    game: Arc<str>,
    op_id: OpId,
    lease: LeaseGuard,
    observer: Observer,
}

impl TxnContext {
    /// A context for an operation on the open root of the game the lease is for.
    #[must_use]
    pub fn new(root: Arc<dyn Dir>, op_id: OpId, lease: LeaseGuard) -> Self {
        let fenced: Arc<dyn Dir> = Arc::new(FencedDir::new(Arc::clone(&root), lease.clone()));
        let game = Arc::from(lease.game());
        Self { root, fenced, game, op_id, lease, observer: Arc::new(|_progress| {}) }
    }

    /// The same, with somebody who hears of every step before it starts and of its parts.
    #[must_use]
    pub fn observed(mut self, observer: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// The game.
    #[must_use]
    pub fn game(&self) -> &str {
        &self.game
    }

    /// The id of this run.
    #[must_use]
    pub fn op_id(&self) -> &OpId {
        &self.op_id
    }

    /// The lease.
    #[must_use]
    pub fn lease(&self) -> &LeaseGuard {
        &self.lease
    }

    /// The root for reading.
    #[must_use]
    pub fn root(&self) -> &dyn Dir {
        &*self.root
    }

    /// The root for changes, all of which ask the lease.
    pub(crate) fn fenced_root(&self) -> Arc<dyn Dir> {
        Arc::clone(&self.fenced)
    }

    fn error(&self, step: Step, source: impl Into<TxnFailure>) -> TxnError {
        let source = match source.into() {
            TxnFailure::Fs(error) if error.refusal() == Some(Refusal::Fenced) => {
                TxnFailure::Fenced(crate::lease::Fenced)
            }
            other => other,
        };
        TxnError { game: self.game.to_string(), step, source, after: None }
    }
}

/// Opens the root of a game below the games folder. A link, a mount point or a file there is an
/// error that says so (row 0 of the recovery table).
pub fn open_game_root(games: &dyn Dir, game: &str) -> Result<Arc<dyn Dir>, FsError> {
    games.open_dir(game_path(games, game)?)
}

/// Opens the root of a game, creating it if it is missing. It is durable either way: one that
/// stands already may have been created by a run that was killed before it flushed.
pub fn create_game_root(games: &dyn Dir, game: &str) -> Result<Arc<dyn Dir>, FsError> {
    let path = game_path(games, game)?;
    match games.create_dir(path) {
        Err(error) if error.code() != "exists" => return Err(error),
        _ => {}
    }
    let root = games.open_dir(path)?;
    games.sync_dir(Path::new(""))?;
    Ok(root)
}

fn game_path<'a>(games: &dyn Dir, game: &'a str) -> Result<&'a Path, FsError> {
    if is_payload_component(game) && !game.starts_with('.') {
        return Ok(Path::new(game));
    }
    Err(FsError::refused(FsOp::OpenDir, games.shown_path().join(game), Refusal::BadName))
}

/// A begun operation: its context, its place in the count of operations, and what it began with.
#[derive(Clone)]
pub(crate) struct Txn {
    pub(crate) context: TxnContext,
    /// The root, all changes under the lease.
    pub(crate) root: Arc<dyn Dir>,
    pub(crate) generation: u64,
}

impl Txn {
    /// Looks at the root, first recovering what an earlier operation left there.
    pub(crate) fn begin(context: &TxnContext) -> Result<(Self, RootState), TxnError> {
        let root = context.fenced_root();
        let mut txn = Self { context: context.clone(), root, generation: 0 };
        txn.enter(Step::Check)?;
        let mut state = txn.at(Step::Check, inspect(context.root(), context.game()))?;
        let wanted = plan(&state);
        if !wanted.actions.is_empty() || wanted.attention.is_some() {
            txn.enter(Step::Recover)?;
            let recovery = recover(context).map_err(|failure| {
                txn.fail(Step::Recover, TxnFailure::Unrecovered(Box::new(failure)))
            })?;
            if let Outcome::NeedsAttention(failure) = recovery.outcome {
                return Err(txn.fail(Step::Recover, TxnFailure::Unrecovered(Box::new(failure))));
            }
            state = txn.at(Step::Check, inspect(context.root(), context.game()))?;
        }
        txn.generation = state.generation_newest + 1;
        Ok((txn, state))
    }

    /// Starts a step: the lease is asked and the observer told.
    pub(crate) fn enter(&self, step: Step) -> Result<(), TxnError> {
        self.context.lease.check().map_err(|fenced| self.fail(step, fenced))?;
        self.progress(step, 0, 0);
        Ok(())
    }

    pub(crate) fn progress(&self, step: Step, done: u64, total: u64) {
        (self.context.observer)(Progress { step, done, total });
    }

    pub(crate) fn fail(&self, step: Step, source: impl Into<TxnFailure>) -> TxnError {
        self.context.error(step, source)
    }

    pub(crate) fn at<T, E: Into<TxnFailure>>(
        &self,
        step: Step,
        result: Result<T, E>,
    ) -> Result<T, TxnError> {
        result.map_err(|error| self.fail(step, error))
    }

    /// Runs what changes the root. If it fails, the root is recovered at once and the error says
    /// what came of it; a fenced worker leaves that to its successor.
    pub(crate) fn guarded<T>(
        &self,
        run: impl FnOnce() -> Result<T, TxnError>,
    ) -> Result<T, TxnError> {
        run().map_err(|error| self.recovered(error))
    }

    pub(crate) fn recovered(&self, mut error: TxnError) -> TxnError {
        if self.context.lease.is_fenced() {
            return error;
        }
        let outcome = match recover(&self.context) {
            Ok(recovery) => recovery.outcome,
            Err(failure) => Outcome::NeedsAttention(failure),
        };
        error.after = Some(Box::new(outcome));
        error
    }

    /// Makes an intent durable.
    pub(crate) fn write_intent(&self, step: Step, intent: &Intent) -> Result<(), TxnError> {
        self.enter(step)?;
        self.at(step, intent.write(&*self.root))
    }

    pub(crate) fn intent(&self, operation: Operation, phase: Phase) -> Intent {
        Intent {
            schema: INTENT_SCHEMA,
            op_id: self.context.op_id.clone(),
            generation: self.generation,
            game_id: self.context.game.to_string(),
            operation,
            phase,
            from_version: None,
            to_version: None,
            manifest_id: None,
        }
    }

    pub(crate) fn marker(&self, version: Option<&str>, manifest_id: Option<&str>) -> Marker {
        Marker {
            schema: MARKER_SCHEMA,
            op_id: self.context.op_id.clone(),
            generation: self.generation,
            game_id: self.context.game.to_string(),
            version: version.map(str::to_owned),
            manifest_id: manifest_id.map(str::to_owned),
            sealed: false,
        }
    }

    /// Ends an operation that is committed. What could not be cleared away is tried once more, by
    /// the recovery; if that fails too it is told as a leftover, and the intent stays for the
    /// next recovery.
    pub(crate) fn settle(&self, done: &mut Done) -> Result<(), TxnError> {
        self.enter(Step::IntentClear)?;
        if done.leftovers.is_empty() {
            done.note(self.drop_intent());
        }
        if !done.leftovers.is_empty() && !self.context.lease.is_fenced() {
            let recovered = recover(&self.context);
            if recovered.is_ok_and(|recovery| recovery.outcome.is_usable()) {
                done.leftovers.clear();
            }
        }
        Ok(())
    }

    pub(crate) fn drop_intent(&self) -> Result<(), FsError> {
        remove_file_if_present(&*self.root, Path::new(layout::INTENT))?;
        self.sync_root()
    }

    pub(crate) fn sync_root(&self) -> Result<(), FsError> {
        self.root.sync_dir(Path::new(""))
    }

    /// Takes an owned directory out of use and deletes it.
    pub(crate) fn trash(&self, name: &str) -> Result<(), FsError> {
        execute::trash(&*self.root, &self.context, Path::new(name))
    }

    /// Refuses when something that is not provably ours stands under a name we need.
    pub(crate) fn refuse_unowned(&self, state: &RootState, names: &[&str]) -> Result<(), TxnError> {
        match names.iter().find_map(|name| state.unowned_named(name)) {
            Some(unowned) => {
                let reason = format!("in the way and not ours: {}", unowned.reason);
                Err(self.fail(Step::Check, TxnFailure::Blocked { reason }))
            }
            None => Ok(()),
        }
    }
}
