//! Remove: everything in the game root goes, whoever put it there, and the root with it.
//!
//! The sentinel goes first and durably: from then on the game serves nothing, and recovery knows
//! by its absence that the removal is to be finished.

use std::path::{Path, PathBuf};

use super::context::{Txn, TxnContext, open_game_root};
use super::error::TxnError;
use super::report::Done;
use super::step::Step;
use crate::intent::{Operation, Phase};
use crate::layout;
use crate::marker::create_marked;
use crate::tree::remove_trash;
use crate::vfs::{Dir, FsError, look};

/// Removes the game and its root below `games`.
pub fn remove(context: &TxnContext, games: &dyn Dir) -> Result<Done, TxnError> {
    let (txn, state) = Txn::begin(context)?;
    let mut intent = txn.intent(Operation::Remove, Phase::Removing);
    intent.from_version = state.sentinel.version();
    let mut done = txn.guarded(|| {
        txn.write_intent(Step::IntentWrite, &intent)?;
        txn.enter(Step::SentinelAway)?;
        let mut bin = txn.at(Step::SentinelAway, Bin::create(&txn))?;
        txn.at(Step::SentinelAway, bin.take_sentinel())?;
        txn.enter(Step::RemoveAway)?;
        txn.at(Step::RemoveAway, bin.take_rest())?;
        let mut done = Done::default();
        txn.enter(Step::CleanUp)?;
        done.note(remove_trash(&*txn.root, &bin.name));
        txn.settle(&mut done)?;
        Ok(done)
    })?;
    if done.leftovers.is_empty() {
        txn.enter(Step::RootRemove)?;
        done.note(remove_empty_root(games, context.game()).map(|_removed| ()));
    }
    Ok(done)
}

/// Recovery of a removal whose sentinel is gone: the rest goes too. The intent stays; recovery
/// drops it last.
pub(crate) fn finish_remove(context: &TxnContext) -> Result<(), FsError> {
    let txn = Txn { context: context.clone(), root: context.fenced_root(), generation: 0 };
    let mut bin = Bin::create(&txn)?;
    bin.take_rest()?;
    remove_trash(&*txn.root, &bin.name)
}

/// The trash directory that everything moves into.
struct Bin<'a> {
    txn: &'a Txn,
    name: PathBuf,
    /// Entries are numbered: a name of the user might be that of the marker.
    count: u64,
}

impl<'a> Bin<'a> {
    fn create(txn: &'a Txn) -> Result<Self, FsError> {
        let (name, _dir) = create_marked(&*txn.root, &txn.marker(None, None))?;
        txn.sync_root()?;
        Ok(Self { txn, name, count: 0 })
    }

    fn take_sentinel(&mut self) -> Result<(), FsError> {
        if look(&*self.txn.root, Path::new(layout::SENTINEL))?.is_some() {
            self.take(Path::new(layout::SENTINEL))?;
            self.txn.sync_root()?;
        }
        Ok(())
    }

    fn take_rest(&mut self) -> Result<(), FsError> {
        for entry in self.txn.root.read_dir(Path::new(""))? {
            let name = Path::new(&entry.name);
            if name != self.name && name != Path::new(layout::INTENT) {
                self.take(name)?;
            }
        }
        self.txn.root.sync_dir(&self.name)?;
        self.txn.sync_root()
    }

    fn take(&mut self, name: &Path) -> Result<(), FsError> {
        self.count += 1;
        self.txn.root.rename_new(name, &self.name.join(self.count.to_string()))
    }
}

/// Removes the root of a game if it is empty, and says whether it did. For the end of a removal
/// and for recoveries that finished one ([`crate::recover::Action::FinishRemove`]).
pub fn remove_empty_root(games: &dyn Dir, game: &str) -> Result<bool, FsError> {
    let root = open_game_root(games, game)?;
    if !root.read_dir(Path::new(""))?.is_empty() {
        return Ok(false);
    }
    drop(root);
    games.remove_dir(Path::new(game))?;
    games.sync_dir(Path::new(""))?;
    Ok(true)
}
