//! One state of a simulated disk: numbered things, and the changes that lead from one state to
//! the next. Pure data; cheap to copy, so that thousands of crashes can be tried from one state.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{Hash, Hasher};
use std::path::{Component, Path};
use std::sync::Arc;

use super::super::{FileKind, Refusal};

/// Number of a thing on the disk.
pub(super) type Inode = u64;

/// The directory everything hangs below.
pub(super) const ROOT: Inode = 0;

/// A state of the disk.
#[derive(Clone, Debug)]
pub(super) struct World {
    things: BTreeMap<Inode, Arc<Thing>>,
    next: Inode,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Thing {
    Dir(BTreeMap<OsString, Inode>),
    File {
        bytes: Vec<u8>,
        executable: bool,
        modified: i64,
    },
    Link,
    /// A pipe: opening it must not be waited for.
    Pipe,
}

impl Thing {
    pub(super) fn empty_file(modified: i64) -> Self {
        Self::File { bytes: Vec::new(), executable: false, modified }
    }

    pub(super) fn kind(&self) -> FileKind {
        match self {
            Self::Dir(_) => FileKind::Dir,
            Self::File { .. } => FileKind::File,
            Self::Link => FileKind::Link,
            Self::Pipe => FileKind::Other,
        }
    }
}

/// One change, as a disk may keep or lose it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Change {
    /// Bytes of a file.
    Bytes { file: Inode, offset: usize, bytes: Vec<u8>, modified: i64 },
    /// Length of a file.
    Len { file: Inode, len: usize, modified: i64 },
    /// Whether a file is executable.
    Mode { file: Inode, executable: bool },
    /// Names, all of them or none: a rename is one change.
    Names(Vec<NameChange>),
}

/// What a name stands for from now on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct NameChange {
    pub(super) dir: Inode,
    pub(super) name: OsString,
    pub(super) to: Option<Inode>,
}

impl Change {
    /// Whether making `inode` durable includes this change.
    pub(super) fn concerns(&self, inode: Inode) -> bool {
        match self {
            Self::Bytes { file, .. } | Self::Len { file, .. } | Self::Mode { file, .. } => {
                *file == inode
            }
            Self::Names(names) => names.iter().any(|change| change.dir == inode),
        }
    }

    /// Whether both say something about one name.
    pub(super) fn shares_name(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Names(mine), Self::Names(others)) => mine.iter().any(|change| {
                others.iter().any(|other| other.dir == change.dir && other.name == change.name)
            }),
            _ => false,
        }
    }

    /// The first half of a write, in whole sectors: what a power cut in the middle leaves.
    pub(super) fn torn(&self) -> Option<Self> {
        match self {
            Self::Bytes { file, offset, bytes, modified } => {
                let half = bytes.len() / 2 / SECTOR_BYTES * SECTOR_BYTES;
                let bytes = bytes[..half].to_vec();
                let (file, offset, modified) = (*file, *offset, *modified);
                Some(Self::Bytes { file, offset, bytes, modified })
            }
            _ => None,
        }
    }
}

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

impl World {
    pub(super) fn new() -> Self {
        let things = BTreeMap::from([(ROOT, Arc::new(Thing::Dir(BTreeMap::new())))]);
        Self { things, next: ROOT + 1 }
    }

    /// A number for a new thing.
    pub(super) fn reserve(&mut self) -> Inode {
        self.next += 1;
        self.next - 1
    }

    /// Puts a thing on the disk that no name stands for yet.
    pub(super) fn put(&mut self, inode: Inode, thing: Thing) {
        self.next = self.next.max(inode + 1);
        self.things.insert(inode, Arc::new(thing));
    }

    pub(super) fn thing(&self, inode: Inode) -> Option<&Thing> {
        self.things.get(&inode).map(|thing| &**thing)
    }

    pub(super) fn entries(&self, dir: Inode) -> Result<&BTreeMap<OsString, Inode>, Refusal> {
        match self.thing(dir) {
            Some(Thing::Dir(entries)) => Ok(entries),
            Some(Thing::Link) => Err(Refusal::Link),
            _ => Err(Refusal::NotADirectory),
        }
    }

    /// The directory `path` leads to from `dir`, `None` if a name does not exist.
    pub(super) fn walk(&self, dir: Inode, path: &Path) -> Result<Option<Inode>, Refusal> {
        let mut current = dir;
        for component in path.components() {
            let Component::Normal(name) = component else { return Err(Refusal::BadName) };
            match self.entries(current)?.get(name) {
                Some(inode) => current = *inode,
                None => return Ok(None),
            }
        }
        Ok(Some(current))
    }

    /// Makes a change. One that concerns a thing that is not there changes nothing.
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Bytes { file, offset, bytes: new, modified: at } => {
                self.edit(*file, |thing| {
                    if let Thing::File { bytes, modified, .. } = thing {
                        let end = offset + new.len();
                        if bytes.len() < end {
                            bytes.resize(end, 0);
                        }
                        bytes[*offset..end].copy_from_slice(new);
                        *modified = *at;
                    }
                });
            }
            Change::Len { file, len, modified: at } => self.edit(*file, |thing| {
                if let Thing::File { bytes, modified, .. } = thing {
                    bytes.resize(*len, 0);
                    *modified = *at;
                }
            }),
            Change::Mode { file, executable: wanted } => self.edit(*file, |thing| {
                if let Thing::File { executable, .. } = thing {
                    *executable = *wanted;
                }
            }),
            Change::Names(names) => {
                for change in names {
                    self.edit(change.dir, |thing| {
                        if let Thing::Dir(entries) = thing {
                            match change.to {
                                Some(inode) => entries.insert(change.name.clone(), inode),
                                None => entries.remove(&change.name),
                            };
                        }
                    });
                }
            }
        }
    }

    fn edit(&mut self, inode: Inode, edit: impl FnOnce(&mut Thing)) {
        if let Some(thing) = self.things.get_mut(&inode) {
            edit(Arc::make_mut(thing));
        }
    }

    /// Takes in everything that hangs below `dir`.
    pub(super) fn hash_tree(&self, dir: Inode, hasher: &mut impl Hasher) {
        let Ok(entries) = self.entries(dir) else { return };
        entries.len().hash(hasher);
        for (name, inode) in entries {
            name.hash(hasher);
            match self.thing(*inode) {
                Some(Thing::Dir(_)) => self.hash_tree(*inode, hasher),
                thing => thing.hash(hasher),
            }
        }
    }

    /// Bytes in all files that a name stands for, each counted once.
    pub(super) fn bytes_used(&self) -> u64 {
        let mut seen = std::collections::BTreeSet::new();
        let mut waiting = vec![ROOT];
        let mut used = 0;
        while let Some(inode) = waiting.pop() {
            if !seen.insert(inode) {
                continue;
            }
            match self.thing(inode) {
                Some(Thing::Dir(entries)) => waiting.extend(entries.values()),
                Some(Thing::File { bytes, .. }) => used += bytes.len() as u64,
                _ => {}
            }
        }
        used
    }
}
