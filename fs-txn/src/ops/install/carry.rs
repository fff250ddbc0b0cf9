//! Carrying the user's files from the old `local/` into the staging of the new one (rule 12).
//!
//! They get a second name there (a hard link): nothing is copied, nothing is moved, and if the
//! update is given up the old `local/` has not changed. Where the file system has no links the
//! bytes are copied. What the new version ships itself is not overwritten: the user's file goes
//! to `.lanspread.kept/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::list::InstalledList;
use super::scan::{Scan, scan_user_files};
use super::staging::{InstallStaging, hash_file};
use crate::atomic::create_dirs;
use crate::layout;
use crate::limits::CARRY_ATTEMPTS_MAX;
use crate::ops::error::TxnFailure;
use crate::tree::{copy_file, look_loosely, remove_contents};
use crate::vfs::{Dir, FileKind, FsError, Metadata, look, remove_file_if_present};

impl InstallStaging {
    /// Carries the user's files over until two looks in a row find the same. Tells the kept ones,
    /// below the directory of kept files.
    pub(super) fn carry_user_files(&self) -> Result<Vec<PathBuf>, TxnFailure> {
        let local = self.txn.root.open_dir(Path::new(layout::LOCAL))?;
        let installed = InstalledList::read(&*local, Path::new(""))?;
        let mut scan = scan_user_files(&*local, installed.as_ref())?;
        for _attempt in 0..CARRY_ATTEMPTS_MAX {
            let mut carry = Carry::new(self, &*local);
            let carried = carry.carry(&scan);
            let again = scan_user_files(&*local, installed.as_ref())?;
            if again == scan {
                carried?;
                carry.make_durable()?;
                return Ok(carry.kept);
            }
            carry.undo()?;
            scan = again;
        }
        Err(TxnFailure::LocalInUse)
    }
}

struct Carry<'a> {
    staging: &'a dyn Dir,
    local: &'a dyn Dir,
    /// Where kept files go inside the staging until the swap is done.
    kept_dir: PathBuf,
    shipped_files: BTreeSet<PathBuf>,
    shipped_dirs: BTreeSet<PathBuf>,
    made: Vec<PathBuf>,
    made_dirs: Vec<PathBuf>,
    copied: Vec<PathBuf>,
    touched: BTreeSet<PathBuf>,
    kept: Vec<PathBuf>,
}

impl<'a> Carry<'a> {
    fn new(staging: &'a InstallStaging, local: &'a dyn Dir) -> Self {
        let version = layout::kept_version_dir(staging.intent.from_version.as_deref());
        let written = staging.written.lock();
        let shipped = written.files.iter().map(|file| file.path.split('/').collect());
        Self {
            staging: &*staging.dir,
            local,
            kept_dir: Path::new(layout::KEPT_PENDING).join(version),
            shipped_files: shipped.collect(),
            shipped_dirs: staging.dirs.clone(),
            made: Vec::new(),
            made_dirs: Vec::new(),
            copied: Vec::new(),
            touched: BTreeSet::new(),
            kept: Vec::new(),
        }
    }

    fn carry(&mut self, scan: &Scan) -> Result<(), TxnFailure> {
        for dir in &scan.dirs {
            if !self.is_taken(dir) && !self.shipped_dirs.contains(dir) {
                self.create_dirs(dir)?;
            }
        }
        for (path, found) in &scan.things {
            self.carry_one(path, found)?;
        }
        Ok(())
    }

    fn carry_one(&mut self, path: &Path, found: &Metadata) -> Result<(), TxnFailure> {
        if !self.is_taken(path) && !self.shipped_dirs.contains(path) {
            self.create_dirs(path.parent().unwrap_or(Path::new("")))?;
            match self.give_name(path, path, found) {
                // a name that differs by case only, on a file system that does not tell them apart
                Err(TxnFailure::Fs(error)) if error.code() == "exists" => {}
                result => return result,
            }
        }
        if self.is_shipped_alike(path, found)? {
            return Ok(());
        }
        let kept = self.kept_dir.join(path);
        self.create_dirs(kept.parent().unwrap_or(Path::new("")))?;
        self.give_name(path, &kept, found)?;
        self.kept.push(kept);
        Ok(())
    }

    /// Whether the new version has a file at this path or at one of its parents.
    fn is_taken(&self, path: &Path) -> bool {
        path.ancestors().any(|ancestor| self.shipped_files.contains(ancestor))
    }

    /// Whether the new version ships the very same content: then nothing would be lost.
    fn is_shipped_alike(&self, path: &Path, found: &Metadata) -> Result<bool, FsError> {
        let shipped = look_loosely(self.staging, path)?;
        let alike = shipped
            .is_some_and(|shipped| shipped.kind == FileKind::File && shipped.len == found.len);
        let alike = alike && found.kind == FileKind::File;
        Ok(alike && hash_file(self.staging, path)? == hash_file(self.local, path)?)
    }

    /// Gives a thing of the old `local/` a name in the staging.
    fn give_name(&mut self, from: &Path, to: &Path, found: &Metadata) -> Result<(), TxnFailure> {
        self.touched.insert(to.parent().unwrap_or(Path::new("")).to_path_buf());
        let linked = self.staging.hard_link(self.local, from, to);
        match linked {
            Ok(()) => {
                self.made.push(to.to_path_buf());
                Ok(())
            }
            Err(error) if is_final(&error) => Err(error.into()),
            Err(_no_links_here) if found.kind == FileKind::File => {
                self.made.push(to.to_path_buf());
                self.copied.push(to.to_path_buf());
                copy_file(self.local, from, self.staging, to, found.len)?;
                if found.executable {
                    self.staging.set_executable(to, true)?;
                }
                Ok(())
            }
            Err(error) => Err(TxnFailure::Blocked {
                reason: format!("a file in local cannot be carried over: {error}"),
            }),
        }
    }

    fn create_dirs(&mut self, path: &Path) -> Result<(), FsError> {
        let mut created = Vec::new();
        let result = create_dirs(self.staging, path, &mut created);
        for dir in created {
            self.touched.insert(dir.parent().unwrap_or(Path::new("")).to_path_buf());
            self.touched.insert(dir.clone());
            self.made_dirs.push(dir);
        }
        result
    }

    fn make_durable(&self) -> Result<(), FsError> {
        let dirs: Vec<PathBuf> = self.touched.iter().rev().cloned().collect();
        self.staging.sync_batch(&self.copied, &dirs)
    }

    /// Takes back what was carried: the user has changed it meanwhile.
    fn undo(self) -> Result<(), FsError> {
        for path in &self.made {
            remove_file_if_present(self.staging, path)?;
        }
        let pending = Path::new(layout::KEPT_PENDING);
        if look(self.staging, pending)?.is_some() {
            remove_contents(&*self.staging.open_dir(pending)?, None)?;
            self.staging.remove_dir(pending)?;
        }
        for dir in self.made_dirs.iter().rev().filter(|dir| !dir.starts_with(pending)) {
            self.staging.remove_dir(dir)?;
        }
        Ok(())
    }
}

/// Errors that a copy instead of a link would not cure.
fn is_final(error: &FsError) -> bool {
    matches!(error.code(), "exists" | "not-found" | "disk-full" | "read-only" | "fenced" | "io")
}
