//! Directory and file handles of the simulated machine. The rules are those of the real one:
//! plain paths, no links followed, nothing replaced that must not be.

use std::any::Any;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::path::check_plain;
use super::super::{
    CopyKind, CopyRange, Dir, DirEntry, File, FileKind, FsError, FsOp, HeldLock, Metadata, Refusal,
};
use super::file::SimFile;
use super::machine::Machine;
use super::world::{Change, Inode, NameChange, Thing};

/// A directory handle.
#[derive(Clone)]
pub(super) struct SimDir {
    pub(super) machine: Arc<Mutex<Machine>>,
    pub(super) inode: Inode,
    pub(super) shown: PathBuf,
}

pub(super) fn lock(machine: &Mutex<Machine>) -> MutexGuard<'_, Machine> {
    machine.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimDir {
    fn shown(&self, path: &Path) -> PathBuf {
        self.shown.join(path)
    }

    fn refused(&self, op: FsOp, path: &Path, refusal: Refusal) -> FsError {
        FsError::refused(op, self.shown(path), refusal)
    }

    fn failed(&self, op: FsOp, path: &Path, kind: io::ErrorKind) -> FsError {
        FsError::new(op, self.shown(path), kind)
    }

    /// The thing at `path`, which must exist.
    fn find(&self, machine: &Machine, op: FsOp, path: &Path) -> Result<Inode, FsError> {
        check_plain(op, path)?;
        match machine.seen.walk(self.inode, path) {
            Ok(Some(inode)) => Ok(inode),
            Ok(None) => Err(self.failed(op, path, io::ErrorKind::NotFound)),
            Err(refusal) => Err(self.refused(op, path, refusal)),
        }
    }

    /// The directory that holds the last name of `path`, that name, and what stands there.
    fn place(
        &self,
        machine: &Machine,
        op: FsOp,
        path: &Path,
    ) -> Result<(Inode, OsString, Option<Inode>), FsError> {
        check_plain(op, path)?;
        let name = path.file_name().ok_or_else(|| self.refused(op, path, Refusal::BadName))?;
        let parent = self.find(machine, op, path.parent().unwrap_or(Path::new("")))?;
        let entries = machine.seen.entries(parent);
        let entries = entries.map_err(|refusal| self.refused(op, path, refusal))?;
        Ok((parent, name.to_owned(), entries.get(name).copied()))
    }

    /// As [`SimDir::place`], for something that must stand there.
    fn existing(
        &self,
        machine: &Machine,
        op: FsOp,
        path: &Path,
    ) -> Result<(Inode, OsString, Inode), FsError> {
        let (parent, name, found) = self.place(machine, op, path)?;
        let found = found.ok_or_else(|| self.failed(op, path, io::ErrorKind::NotFound))?;
        Ok((parent, name, found))
    }

    /// As [`SimDir::place`], for a name that must be free.
    fn free(&self, machine: &Machine, op: FsOp, path: &Path) -> Result<(Inode, OsString), FsError> {
        match self.place(machine, op, path)? {
            (parent, name, None) => Ok((parent, name)),
            _ => Err(self.failed(op, path, io::ErrorKind::AlreadyExists)),
        }
    }

    fn kind(machine: &Machine, inode: Inode) -> FileKind {
        machine.seen.thing(inode).map_or(FileKind::Other, Thing::kind)
    }

    fn open_file(&self, path: &Path) -> Result<SimFile, FsError> {
        let mut machine = lock(&self.machine);
        machine.read(FsOp::OpenFile, &self.shown(path))?;
        let inode = self.find(&machine, FsOp::OpenFile, path)?;
        match Self::kind(&machine, inode) {
            FileKind::File => {}
            FileKind::Link => return Err(self.refused(FsOp::OpenFile, path, Refusal::Link)),
            _ => return Err(self.refused(FsOp::OpenFile, path, Refusal::NotAFile)),
        }
        Ok(SimFile { machine: Arc::clone(&self.machine), inode, shown: self.shown(path) })
    }

    fn rename(&self, machine: &mut Machine, from: (Inode, OsString, Inode), to: (Inode, OsString)) {
        let (from_dir, from_name, inode) = from;
        let (to_dir, to_name) = to;
        machine.make(Change::Names(vec![
            NameChange { dir: from_dir, name: from_name, to: None },
            NameChange { dir: to_dir, name: to_name, to: Some(inode) },
        ]));
    }

    fn real<'a>(&self, op: FsOp, other: &'a dyn Dir, path: &Path) -> Result<&'a Self, FsError> {
        let other: Option<&Self> = other.as_any().downcast_ref();
        let same = other.filter(|other| Arc::ptr_eq(&other.machine, &self.machine));
        same.ok_or_else(|| self.refused(op, path, Refusal::ForeignHandle))
    }
}

impl Dir for SimDir {
    fn shown_path(&self) -> PathBuf {
        self.shown.clone()
    }

    fn open_dir(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError> {
        let mut machine = lock(&self.machine);
        machine.read(FsOp::OpenDir, &self.shown(path))?;
        let inode = self.find(&machine, FsOp::OpenDir, path)?;
        match Self::kind(&machine, inode) {
            FileKind::Dir => {}
            FileKind::Link => return Err(self.refused(FsOp::OpenDir, path, Refusal::Link)),
            _ => return Err(self.refused(FsOp::OpenDir, path, Refusal::NotADirectory)),
        }
        drop(machine);
        let machine = Arc::clone(&self.machine);
        Ok(Arc::new(Self { machine, inode, shown: self.shown(path) }))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata, FsError> {
        let mut machine = lock(&self.machine);
        machine.read(FsOp::Metadata, &self.shown(path))?;
        let inode = self.find(&machine, FsOp::Metadata, path)?;
        let found = metadata_of(&machine, inode);
        machine.meddle(&self.shown(path), inode);
        Ok(found)
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<DirEntry>, FsError> {
        let mut machine = lock(&self.machine);
        machine.read(FsOp::ReadDir, &self.shown(path))?;
        let inode = self.find(&machine, FsOp::ReadDir, path)?;
        let entries = machine.seen.entries(inode);
        let entries = entries.map_err(|refusal| self.refused(FsOp::ReadDir, path, refusal))?;
        let entry = |(name, inode): (&OsString, &Inode)| DirEntry {
            name: name.clone(),
            kind: Self::kind(&machine, *inode),
        };
        Ok(entries.iter().map(entry).collect())
    }

    fn create_dir(&self, path: &Path) -> Result<(), FsError> {
        let mut machine = lock(&self.machine);
        machine.change_whole(FsOp::CreateDir, &self.shown(path))?;
        let (dir, name) = self.free(&machine, FsOp::CreateDir, path)?;
        let inode = machine.create(Thing::Dir(std::collections::BTreeMap::new()));
        machine.make(Change::Names(vec![NameChange { dir, name, to: Some(inode) }]));
        Ok(())
    }

    fn create_new(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        let mut machine = lock(&self.machine);
        machine.change_whole(FsOp::CreateFile, &self.shown(path))?;
        let (dir, name) = self.free(&machine, FsOp::CreateFile, path)?;
        let now = machine.now();
        let inode = machine.create(Thing::empty_file(now));
        machine.make(Change::Names(vec![NameChange { dir, name, to: Some(inode) }]));
        let machine = Arc::clone(&self.machine);
        Ok(Box::new(SimFile { machine, inode, shown: self.shown(path) }))
    }

    fn open_read(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        Ok(Box::new(self.open_file(path)?))
    }

    fn open_write(&self, path: &Path) -> Result<Box<dyn File>, FsError> {
        Ok(Box::new(self.open_file(path)?))
    }

    fn rename_file(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        let mut machine = lock(&self.machine);
        machine.change_whole(FsOp::Rename, &self.shown(from))?;
        let source = self.existing(&machine, FsOp::Rename, from)?;
        if Self::kind(&machine, source.2) == FileKind::Dir {
            return Err(self.refused(FsOp::Rename, from, Refusal::NotAFile));
        }
        let (dir, name, found) = self.place(&machine, FsOp::Rename, to)?;
        if found.is_some_and(|found| Self::kind(&machine, found) == FileKind::Dir) {
            return Err(self.failed(FsOp::Rename, to, io::ErrorKind::IsADirectory));
        }
        if found != Some(source.2) {
            self.rename(&mut machine, source, (dir, name));
        }
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        let mut machine = lock(&self.machine);
        machine.change_whole(FsOp::Rename, &self.shown(from))?;
        let source = self.existing(&machine, FsOp::Rename, from)?;
        let target = self.free(&machine, FsOp::Rename, to)?;
        self.rename(&mut machine, source, target);
        Ok(())
    }

    fn hard_link(&self, source: &dyn Dir, from: &Path, to: &Path) -> Result<(), FsError> {
        let source = self.real(FsOp::Link, source, to)?;
        let mut machine = lock(&self.machine);
        machine.change_whole(FsOp::Link, &self.shown(to))?;
        if machine.links_refused {
            return Err(self.failed(FsOp::Link, to, io::ErrorKind::PermissionDenied));
        }
        let (_, _, inode) = source.existing(&machine, FsOp::Link, from)?;
        if Self::kind(&machine, inode) == FileKind::Dir {
            return Err(self.failed(FsOp::Link, to, io::ErrorKind::PermissionDenied));
        }
        let (dir, name) = self.free(&machine, FsOp::Link, to)?;
        machine.make(Change::Names(vec![NameChange { dir, name, to: Some(inode) }]));
        Ok(())
    }

    fn copy_range(&self, source: &dyn Dir, copy: &CopyRange<'_>) -> Result<CopyKind, FsError> {
        let source = self.real(FsOp::Copy, source, copy.to)?;
        let (from, to) = (source.open_file(copy.from)?, self.open_file(copy.to)?);
        let mut bytes = vec![0; usize::try_from(copy.len).unwrap_or(0)];
        super::super::read_exact_at(&from, copy.from_offset, &mut bytes)?;
        to.write_as(FsOp::Copy, copy.to_offset, &bytes)?;
        Ok(CopyKind::Copied)
    }

    fn remove_file(&self, path: &Path) -> Result<(), FsError> {
        let mut machine = lock(&self.machine);
        // a name that is not there is looked up only: nothing a crash could come after
        check_plain(FsOp::RemoveFile, path)?;
        if !machine.stopped && matches!(machine.seen.walk(self.inode, path), Ok(None)) {
            machine.read(FsOp::RemoveFile, &self.shown(path))?;
            return Err(self.failed(FsOp::RemoveFile, path, io::ErrorKind::NotFound));
        }
        machine.change_whole(FsOp::RemoveFile, &self.shown(path))?;
        let (dir, name, found) = self.existing(&machine, FsOp::RemoveFile, path)?;
        if Self::kind(&machine, found) == FileKind::Dir {
            return Err(self.failed(FsOp::RemoveFile, path, io::ErrorKind::IsADirectory));
        }
        machine.make(Change::Names(vec![NameChange { dir, name, to: None }]));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FsError> {
        let mut machine = lock(&self.machine);
        machine.change_whole(FsOp::RemoveDir, &self.shown(path))?;
        let (dir, name, found) = self.existing(&machine, FsOp::RemoveDir, path)?;
        let entries = machine.seen.entries(found);
        let entries = entries.map_err(|refusal| self.refused(FsOp::RemoveDir, path, refusal))?;
        if !entries.is_empty() {
            return Err(self.failed(FsOp::RemoveDir, path, io::ErrorKind::DirectoryNotEmpty));
        }
        machine.make(Change::Names(vec![NameChange { dir, name, to: None }]));
        Ok(())
    }

    fn set_executable(&self, path: &Path, executable: bool) -> Result<(), FsError> {
        self.open_file(path)?.set_executable(executable)
    }

    fn make_dir_writable(&self, path: &Path) -> Result<(), FsError> {
        let mut machine = lock(&self.machine);
        machine.change_whole(FsOp::SetMode, &self.shown(path))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), FsError> {
        let mut machine = lock(&self.machine);
        let inode = self.find(&machine, FsOp::SyncDir, path);
        // the call counts even where it fails, as on a real machine
        match inode {
            Ok(inode) => machine.flush(FsOp::SyncDir, &self.shown(path), inode),
            Err(error) => {
                machine.read(FsOp::SyncDir, &self.shown(path))?;
                Err(error)
            }
        }
    }

    fn sync_batch(&self, files: &[PathBuf], dirs: &[PathBuf]) -> Result<(), FsError> {
        for file in files {
            self.open_file(file)?.sync()?;
        }
        dirs.iter().try_for_each(|dir| self.sync_dir(dir))
    }

    fn free_space(&self) -> Result<Option<u64>, FsError> {
        let mut machine = lock(&self.machine);
        machine.read(FsOp::FreeSpace, &self.shown)?;
        let used = machine.seen.bytes_used();
        Ok(machine.capacity.map(|capacity| capacity.saturating_sub(used)))
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn HeldLock>>, FsError> {
        let held = |inode| SimLock { machine: Arc::clone(&self.machine), inode };
        let existing = {
            let machine = lock(&self.machine);
            self.place(&machine, FsOp::Lock, path)?.2
        };
        if existing.is_none() {
            drop(self.create_new(path)?);
        }
        let mut machine = lock(&self.machine);
        let inode = self.find(&machine, FsOp::Lock, path)?;
        let taken = machine.locked.insert(inode);
        Ok(taken.then(|| -> Box<dyn HeldLock> { Box::new(held(inode)) }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct SimLock {
    machine: Arc<Mutex<Machine>>,
    inode: Inode,
}

impl HeldLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        lock(&self.machine).locked.remove(&self.inode);
    }
}

pub(super) fn metadata_of(machine: &Machine, inode: Inode) -> Metadata {
    let thing = machine.seen.thing(inode);
    let (len, modified_ns, executable) = match thing {
        Some(Thing::File { bytes, executable, modified }) => {
            (bytes.len() as u64, *modified, *executable)
        }
        _ => (0, 0, false),
    };
    Metadata {
        kind: thing.map_or(FileKind::Other, Thing::kind),
        len,
        modified_ns,
        inode: Some(inode),
        device: Some(1),
        executable,
    }
}
