//! Moving a complete, durable staging into place. Written to be run again from any point: what
//! has moved already is recognised, so recovery uses the same code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::plan::{StoredPlan, planned_path};
use crate::atomic::{create_dirs, rename_to_free, write_new_durable};
use crate::layout;
use crate::marker::create_marked;
use crate::ops::context::Txn;
use crate::ops::error::{TxnError, TxnFailure};
use crate::ops::step::Step;
use crate::tree::{look_loosely, parents_of, regular_file};
use crate::vfs::{Dir, FileKind, FsError, look, remove_file_if_present};

/// A promotion under way.
pub(super) struct Promote<'a> {
    pub(super) txn: &'a Txn,
    pub(super) plan: &'a StoredPlan,
    pub(super) sentinel: Vec<u8>,
    /// Directories whose entries must be durable before the sentinel is written.
    touched: BTreeSet<PathBuf>,
    /// Where files of the old version go, and how many went: they are numbered there.
    trash: Option<(PathBuf, u64)>,
    /// Files of the user that were in the way: where they are now.
    pub(super) kept: Vec<String>,
}

impl<'a> Promote<'a> {
    pub(super) fn new(txn: &'a Txn, plan: &'a StoredPlan, sentinel: Vec<u8>) -> Self {
        let touched = BTreeSet::from([PathBuf::new()]);
        Self { txn, plan, sentinel, touched, trash: None, kept: Vec::new() }
    }

    fn root(&self) -> &dyn Dir {
        &*self.txn.root
    }

    /// What would stop the promotion in the middle is found before it begins.
    pub(super) fn check(&self) -> Result<(), TxnFailure> {
        let old: BTreeSet<&str> = self.plan.old_files.iter().map(String::as_str).collect();
        for file in &self.plan.files {
            let path = planned_path(&file.path);
            if file.keep {
                let found = regular_file(self.root(), &path)?;
                if found.is_none_or(|found| found.len != file.size) {
                    return Err(TxnFailure::Incomplete { path: file.path.clone() });
                }
            } else if let Some(found) = look_loosely(self.root(), &path)? {
                self.check_target(&file.path, found.kind)?;
            }
        }
        let files = self.plan.files.iter().map(|file| planned_path(&file.path));
        let dirs = self.plan.empty_dirs.iter().map(|dir| planned_path(dir).join("inside"));
        let all: Vec<PathBuf> = files.chain(dirs).collect();
        for parent in parents_of(all.iter().map(PathBuf::as_path)) {
            let text = parent.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
            match look_loosely(self.root(), &parent)? {
                Some(found) if found.kind != FileKind::Dir && !old.contains(&*text) => {
                    return Err(blocked(&text, "a file stands where a directory must be"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_target(&self, path: &str, kind: FileKind) -> Result<(), TxnFailure> {
        match kind {
            FileKind::File => Ok(()),
            FileKind::Dir if self.only_old_files_below(path)? => Ok(()),
            FileKind::Dir => Err(blocked(path, "a directory stands where a file must be")),
            FileKind::Link => Err(blocked(path, "a link stands where a file must be")),
            FileKind::Other => Err(blocked(path, "a special file stands where a file must be")),
        }
    }

    /// Whether a directory will be gone when the old version's files have gone.
    fn only_old_files_below(&self, path: &str) -> Result<bool, FsError> {
        let old: BTreeSet<PathBuf> =
            self.plan.old_files.iter().map(|old| planned_path(old)).collect();
        let start = planned_path(path);
        let found = crate::tree::walk(self.root(), &start, &|_| true)?;
        Ok(found.iter().all(|entry| match entry.kind {
            FileKind::Dir => true,
            FileKind::File => old.contains(&start.join(&entry.path)),
            _ => false,
        }))
    }

    /// Files that stay may have been copied here by the user a moment ago.
    pub(super) fn make_kept_durable(&self) -> Result<(), FsError> {
        let kept = self.plan.files.iter().filter(|file| file.keep);
        let kept: Vec<PathBuf> = kept.map(|file| planned_path(&file.path)).collect();
        if kept.is_empty() {
            return Ok(());
        }
        let mut dirs = parents_of(kept.iter().map(PathBuf::as_path));
        dirs.push(PathBuf::new());
        self.root().sync_batch(&kept, &dirs)
    }

    /// Everything up to and including the commit.
    pub(super) fn run(&mut self) -> Result<(), TxnError> {
        let txn = self.txn;
        txn.enter(Step::SentinelAway)?;
        txn.at(Step::SentinelAway, self.move_sentinel_away())?;
        txn.enter(Step::OldAway)?;
        txn.at(Step::OldAway, self.move_old_away())?;
        txn.enter(Step::Promote)?;
        txn.at(Step::Promote, self.move_in())?;
        txn.enter(Step::PromoteDurable)?;
        txn.at(Step::PromoteDurable, self.make_durable())?;
        txn.enter(Step::SentinelWrite)?;
        txn.at(Step::SentinelWrite, self.write_sentinel())
    }

    /// After the commit: what is out of use goes.
    pub(super) fn clean_up(&mut self) -> Result<(), FsError> {
        remove_file_if_present(self.root(), Path::new(layout::SENTINEL_DISCARDED))?;
        if let Some((name, _count)) = self.trash.take() {
            crate::tree::remove_trash(self.root(), &name)?;
        }
        self.txn.trash(layout::DOWNLOAD)
    }

    /// Durable before any file under it changes.
    fn move_sentinel_away(&mut self) -> Result<(), FsError> {
        let (sentinel, discarded) =
            (Path::new(layout::SENTINEL), Path::new(layout::SENTINEL_DISCARDED));
        match look(self.root(), sentinel)? {
            None => return Ok(()),
            Some(found) if found.kind == FileKind::File => {
                self.root().rename_file(sentinel, discarded)?;
            }
            // that is no sentinel and says nothing, but the new one needs the name
            Some(_) => self.move_to_kept(layout::SENTINEL)?,
        }
        self.txn.sync_root()
    }

    fn move_old_away(&mut self) -> Result<(), FsError> {
        let new = self.plan.file_paths();
        let old = self.plan.old_files.iter().filter(|old| !new.contains(old.as_str()));
        let old: Vec<PathBuf> = old.map(|old| planned_path(old)).collect();
        for path in &old {
            if regular_file(self.root(), path)?.is_some() {
                self.move_to_trash(path)?;
            }
        }
        // the innermost first; a directory that still holds something stays
        for dir in parents_of(old.iter().map(PathBuf::as_path)).iter().rev() {
            if !self.is_planned_dir(dir) && self.is_empty_dir(dir)? {
                self.root().remove_dir(dir)?;
                self.touch_parent(dir);
                self.touched.remove(dir);
            }
        }
        Ok(())
    }

    fn is_empty_dir(&self, dir: &Path) -> Result<bool, FsError> {
        match look_loosely(self.root(), dir)? {
            Some(found) if found.kind == FileKind::Dir => Ok(self.root().read_dir(dir)?.is_empty()),
            _ => Ok(false),
        }
    }

    fn is_planned_dir(&self, dir: &Path) -> bool {
        self.plan.empty_dirs.iter().any(|planned| planned_path(planned) == dir)
    }

    fn move_to_trash(&mut self, path: &Path) -> Result<(), FsError> {
        let (name, count) = match self.trash.take() {
            Some(trash) => trash,
            None => {
                let (name, _dir) = create_marked(self.root(), &self.txn.marker(None, None))?;
                self.txn.sync_root()?;
                self.touched.insert(name.clone());
                (name, 0)
            }
        };
        let to = name.join(count.to_string());
        self.trash = Some((name, count + 1));
        self.root().rename_new(path, &to)?;
        self.touch_parent(path);
        Ok(())
    }

    fn move_in(&mut self) -> Result<(), TxnFailure> {
        self.create_directories()?;
        let old: BTreeSet<&str> = self.plan.old_files.iter().map(String::as_str).collect();
        let total = self.plan.files.len() as u64;
        for (number, file) in self.plan.files.iter().enumerate() {
            let path = planned_path(&file.path);
            let staged = Path::new(layout::DOWNLOAD).join(layout::staged_file(number));
            if !file.keep && regular_file(self.root(), &staged)?.is_some() {
                self.free_target(&file.path, old.contains(file.path.as_str()))?;
                self.root().rename_file(&staged, &path)?;
                self.touch_parent(&path);
            }
            self.txn.progress(Step::Promote, number as u64 + 1, total);
        }
        self.verify()
    }

    /// What stands at the place of a new file: old payload is replaced, what only the old version
    /// needed goes, what is the user's is kept elsewhere.
    fn free_target(&mut self, text: &str, is_old: bool) -> Result<(), FsError> {
        let path = planned_path(text);
        match look(self.root(), &path)? {
            None => Ok(()),
            Some(found) if found.kind == FileKind::Dir => {
                let found = crate::tree::walk(self.root(), &path, &|_| true)?;
                if found.iter().any(|entry| entry.kind != FileKind::Dir) {
                    return self.move_to_kept(text);
                }
                for dir in found.iter().rev() {
                    self.root().remove_dir(&path.join(&dir.path))?;
                }
                self.root().remove_dir(&path)
            }
            Some(_) if is_old => Ok(()),
            Some(_) => self.move_to_kept(text),
        }
    }

    fn create_directories(&mut self) -> Result<(), FsError> {
        let files = self.plan.files.iter().filter(|file| !file.keep);
        let files: Vec<PathBuf> = files.map(|file| planned_path(&file.path)).collect();
        let mut wanted = parents_of(files.iter().map(PathBuf::as_path));
        wanted.extend(self.plan.empty_dirs.iter().map(|dir| planned_path(dir)));
        for dir in &wanted {
            create_dirs(self.root(), dir, &mut Vec::new())?;
        }
        self.link_durably(wanted)
    }

    /// Makes directories durable before anything moves into them: else a file could durably move
    /// to a place that a power cut takes away. Those that stand already may be of an earlier run
    /// that was killed, and so may what it moved out of them, so all are flushed.
    fn link_durably(&mut self, dirs: Vec<PathBuf>) -> Result<(), FsError> {
        self.touched.extend(dirs.iter().cloned());
        let mut all = dirs;
        all.push(PathBuf::new());
        self.root().sync_batch(&[], &all)
    }

    /// Nothing is called complete that is not there: the sentinel must not lie.
    fn verify(&self) -> Result<(), TxnFailure> {
        for file in &self.plan.files {
            let found = regular_file(self.root(), &planned_path(&file.path))?;
            if found.is_none_or(|found| found.len != file.size) {
                return Err(TxnFailure::Incomplete { path: file.path.clone() });
            }
        }
        Ok(())
    }

    /// Moves something of the user out of the way, to where he finds it again.
    fn move_to_kept(&mut self, path: &str) -> Result<(), FsError> {
        let version = layout::kept_version_dir(self.plan.from_version.as_deref());
        let target = Path::new(layout::KEPT).join(version).join(planned_path(path));
        let parent = target.parent().unwrap_or(Path::new(""));
        create_dirs(self.root(), parent, &mut Vec::new())?;
        self.link_durably(parents_of(std::iter::once(target.as_path())))?;
        let file_name = target.file_name().unwrap_or_default().to_os_string();
        let to = rename_to_free(self.root(), &planned_path(path), &|number| {
            let mut name = file_name.clone();
            if number > 1 {
                name.push(format!(".{number}"));
            }
            target.with_file_name(name)
        })?;
        // durable before its old name is given to another file
        self.root().sync_dir(parent)?;
        self.touch_parent(&to);
        self.kept.push(to.to_string_lossy().into_owned());
        Ok(())
    }

    fn touch_parent(&mut self, path: &Path) {
        self.touched.insert(path.parent().unwrap_or(Path::new("")).to_path_buf());
    }

    /// Flushes what this run has touched, and what an earlier run that was killed may have.
    fn make_durable(&mut self) -> Result<(), FsError> {
        self.touch_all_planned()?;
        let dirs: Vec<PathBuf> = std::mem::take(&mut self.touched).into_iter().collect();
        self.root().sync_batch(&[], &dirs)
    }

    fn touch_all_planned(&mut self) -> Result<(), FsError> {
        let files = self.plan.files.iter().map(|file| planned_path(&file.path));
        let dirs = self.plan.empty_dirs.iter().map(|dir| planned_path(dir).join("inside"));
        let new: Vec<PathBuf> = files.chain(dirs).collect();
        self.touched.extend(parents_of(new.iter().map(PathBuf::as_path)));
        let old: Vec<PathBuf> = self.plan.old_files.iter().map(|old| planned_path(old)).collect();
        for dir in parents_of(old.iter().map(PathBuf::as_path)) {
            if look_loosely(self.root(), &dir)?.is_some_and(|found| found.kind == FileKind::Dir) {
                self.touched.insert(dir);
            }
        }
        Ok(())
    }

    /// The commit.
    fn write_sentinel(&mut self) -> Result<(), FsError> {
        let (tmp, sentinel) = (Path::new(layout::SENTINEL_TMP), Path::new(layout::SENTINEL));
        write_new_durable(self.root(), tmp, &self.sentinel)?;
        self.root().rename_file(tmp, sentinel)?;
        self.txn.sync_root()
    }
}

fn blocked(path: &str, what: &str) -> TxnFailure {
    TxnFailure::Blocked { reason: format!("{what}: {}", crate::vfs::shown(Path::new(path))) }
}
