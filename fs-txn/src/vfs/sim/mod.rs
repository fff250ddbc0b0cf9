//! A simulated machine with a disk that can lose power after every call.
//!
//! What programs see and what the disk holds are two states; every change is seen at once and
//! becomes durable when the file or directory it concerns is flushed. Until then a power cut may
//! keep any subset of the changes, in any combination, and half of a write. Renames happen whole
//! or not at all. A flush that fails loses what it should have made durable and calls it clean.
//! A killed process loses nothing that was seen.
//!
//! ```
//! # use std::path::Path;
//! use lanspread_fs_txn::vfs::sim::{Crash, SimVfs};
//! use lanspread_fs_txn::{Vfs, write_atomic};
//!
//! # fn main() -> Result<(), lanspread_fs_txn::FsError> {
//! let machine = SimVfs::new();
//! let folder = machine.create_root(Path::new("/state"))?;
//! write_atomic(&*folder, "index", b"old")?;
//! machine.stop_after_changes(Some(2)); // dies in the middle of the next write
//! write_atomic(&*folder, "index", b"new").unwrap_err();
//! let after = machine.crash(&Crash::PowerNone);
//! assert_eq!(after.read_file(Path::new("/state/index")).as_deref(), Some(&b"old"[..]));
//! # Ok(())
//! # }
//! ```

mod dir;
mod file;
mod machine;
mod world;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

pub use machine::{Call, Fault, Meddler};

use super::{Dir, FileKind, FsError, FsOp, Vfs};
use crate::atomic::create_dirs;
use dir::{SimDir, lock};
use machine::Machine;
use world::{Change, NameChange, ROOT, Thing, World};

/// A simulated machine. Clones are the same machine.
#[derive(Clone)]
pub struct SimVfs {
    machine: Arc<Mutex<Machine>>,
}

/// How a machine goes down, by the numbers of the changes that were not durable yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed; the machine goes on.
    Kill,
    /// Power goes; nothing that was not flushed is kept.
    PowerNone,
    /// Power goes; everything is kept.
    PowerAll,
    /// Power goes; only these are kept.
    PowerOnly(Vec<usize>),
    /// Power goes; all but these are kept.
    PowerWithout(Vec<usize>),
    /// Power goes; all are kept, of this write only the first half.
    PowerTorn(usize),
}

/// What stands under a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// A directory.
    Dir,
    /// A regular file with its bytes and whether it is executable.
    File(Vec<u8>, bool),
    /// A link.
    Link,
    /// A pipe.
    Pipe,
}

impl Default for SimVfs {
    fn default() -> Self {
        Self::new()
    }
}

impl SimVfs {
    /// An empty machine.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Machine::new())
    }

    fn of(machine: Machine) -> Self {
        Self { machine: Arc::new(Mutex::new(machine)) }
    }

    /// Another machine in the same state, with no handle open on it.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut machine = lock(&self.machine).clone();
        machine.locked.clear();
        Self::of(machine)
    }

    /// Lets the machine stop dead at the first change after `count` more ones; `None`: never.
    pub fn stop_after_changes(&self, count: Option<usize>) {
        let mut machine = lock(&self.machine);
        machine.stop_after_changes = count.map(|count| machine.changes + count);
    }

    /// Whether the machine has stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        lock(&self.machine).stopped
    }

    /// Lets the call after `count` more ones end with `fault`.
    pub fn fail_after_calls(&self, count: usize, fault: Fault) {
        let mut machine = lock(&self.machine);
        machine.fault = Some((machine.calls.len() + count, fault));
    }

    /// Limits the bytes in all files together.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        lock(&self.machine).capacity = bytes;
    }

    /// Whether the file system has no hard links.
    pub fn refuse_links(&self, refused: bool) {
        lock(&self.machine).links_refused = refused;
    }

    /// Lets flushes say they are done and do nothing: what a program would be without them.
    pub fn lie_about(&self, lies: impl Fn(&Call) -> bool + Send + Sync + 'static) {
        lock(&self.machine).lies = Some(machine::Lies(Arc::new(lies)));
    }

    /// Lets another program write a file while ours looks at it.
    pub fn meddle(&self, meddler: Option<Meddler>) {
        lock(&self.machine).meddler = meddler;
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.machine).calls.clone()
    }

    /// Forgets the calls so far, so that counting starts anew.
    pub fn reset_calls(&self) {
        let mut machine = lock(&self.machine);
        machine.calls.clear();
        machine.changes = 0;
        machine.fault = None;
        machine.stop_after_changes = None;
    }

    /// How many changes are not durable.
    #[must_use]
    pub fn pending_count(&self) -> usize {
        lock(&self.machine).pending.len()
    }

    /// Makes everything durable.
    pub fn flush_all(&self) {
        let mut machine = lock(&self.machine);
        machine.disk = machine.seen.clone();
        machine.pending.clear();
    }

    /// The machine after it went down and came up again. This one is not changed.
    #[must_use]
    pub fn crash(&self, crash: &Crash) -> Self {
        let before = lock(&self.machine);
        let mut after = Machine::new();
        after.capacity = before.capacity;
        after.links_refused = before.links_refused;
        match kept(&before, crash) {
            None => {
                after.seen = before.seen.clone();
                after.disk = before.disk.clone();
                after.pending = before.pending.clone();
            }
            Some(disk) => {
                after.seen = disk.clone();
                after.disk = disk;
            }
        }
        after.now();
        Self::of(after)
    }

    /// Everything a program sees, by full path.
    #[must_use]
    pub fn tree(&self) -> BTreeMap<PathBuf, Node> {
        let machine = lock(&self.machine);
        let mut tree = BTreeMap::new();
        collect(&machine.seen, ROOT, Path::new("/"), &mut tree);
        tree
    }

    /// A number for what is seen, what is durable and what is between: equal machines behave
    /// alike.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let machine = lock(&self.machine);
        let mut hasher = DefaultHasher::new();
        machine.seen.hash_tree(ROOT, &mut hasher);
        machine.disk.hash_tree(ROOT, &mut hasher);
        machine.pending.hash(&mut hasher);
        hasher.finish()
    }

    /// The bytes of a file, `None` if there is no regular file.
    #[must_use]
    pub fn read_file(&self, path: &Path) -> Option<Vec<u8>> {
        match self.tree().remove(path) {
            Some(Node::File(bytes, _)) => Some(bytes),
            _ => None,
        }
    }

    /// Plants something as a foreign program would: seen and durable, not counted as a call.
    /// Missing directories are made; what stands there is replaced.
    pub fn plant(&self, path: &Path, node: Node) {
        let mut machine = lock(&self.machine);
        let mut dir = ROOT;
        let names: Vec<_> = path
            .components()
            .filter(|component| matches!(component, Component::Normal(_)))
            .map(Component::as_os_str)
            .collect();
        let Some((last, parents)) = names.split_last() else { return };
        for name in parents {
            let found = machine.seen.entries(dir).ok().and_then(|names| names.get(*name).copied());
            dir =
                found.unwrap_or_else(|| put(&mut machine, dir, name, Thing::Dir(BTreeMap::new())));
        }
        let now = machine.now();
        let thing = match node {
            Node::Dir => Thing::Dir(BTreeMap::new()),
            Node::File(bytes, executable) => Thing::File { bytes, executable, modified: now },
            Node::Link => Thing::Link,
            Node::Pipe => Thing::Pipe,
        };
        put(&mut machine, dir, last, thing);
    }

    /// Removes something as a foreign program would.
    pub fn uproot(&self, path: &Path) {
        let mut machine = lock(&self.machine);
        let inner = path.strip_prefix("/").unwrap_or(path);
        let parent = inner.parent().unwrap_or(Path::new(""));
        let Ok(Some(dir)) = machine.seen.walk(ROOT, parent) else { return };
        let Some(name) = inner.file_name() else { return };
        change_both(&mut machine, NameChange { dir, name: name.to_owned(), to: None });
    }
}

fn put(machine: &mut Machine, dir: u64, name: &std::ffi::OsStr, thing: Thing) -> u64 {
    let inode = machine.create(thing);
    change_both(machine, NameChange { dir, name: name.to_owned(), to: Some(inode) });
    inode
}

fn change_both(machine: &mut Machine, change: NameChange) {
    let change = Change::Names(vec![change]);
    machine.seen.apply(&change);
    machine.disk.apply(&change);
}

/// The disk after a power cut; `None` if power stayed.
fn kept(machine: &Machine, crash: &Crash) -> Option<World> {
    let keeps = |number: usize| match crash {
        Crash::Kill | Crash::PowerAll | Crash::PowerTorn(_) => true,
        Crash::PowerNone => false,
        Crash::PowerOnly(kept) => kept.contains(&number),
        Crash::PowerWithout(lost) => !lost.contains(&number),
    };
    if *crash == Crash::Kill {
        return None;
    }
    let mut disk = machine.disk.clone();
    for (number, change) in machine.pending.iter().enumerate().filter(|(number, _)| keeps(*number))
    {
        match change.torn() {
            Some(torn) if *crash == Crash::PowerTorn(number) => disk.apply(&torn),
            _ => disk.apply(change),
        }
    }
    Some(disk)
}

fn collect(world: &World, dir: u64, path: &Path, tree: &mut BTreeMap<PathBuf, Node>) {
    let Ok(entries) = world.entries(dir) else { return };
    for (name, inode) in entries {
        let path = path.join(name);
        match world.thing(*inode) {
            Some(Thing::Dir(_)) => {
                tree.insert(path.clone(), Node::Dir);
                collect(world, *inode, &path, tree);
            }
            Some(Thing::File { bytes, executable, .. }) => {
                tree.insert(path, Node::File(bytes.clone(), *executable));
            }
            Some(Thing::Link) => {
                tree.insert(path, Node::Link);
            }
            Some(Thing::Pipe) => {
                tree.insert(path, Node::Pipe);
            }
            None => {}
        }
    }
}

impl Vfs for SimVfs {
    fn open_root(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError> {
        let root = SimDir { machine: Arc::clone(&self.machine), inode: ROOT, shown: "/".into() };
        root.open_dir(path.strip_prefix("/").unwrap_or(path))
    }

    fn create_root(&self, path: &Path) -> Result<Arc<dyn Dir>, FsError> {
        let root = SimDir { machine: Arc::clone(&self.machine), inode: ROOT, shown: "/".into() };
        let inner = path.strip_prefix("/").unwrap_or(path);
        let mut created = Vec::new();
        create_dirs(&root, inner, &mut created)?;
        for dir in created {
            root.sync_dir(dir.parent().unwrap_or(Path::new("")))?;
        }
        match root.metadata(inner)?.kind {
            FileKind::Dir => root.open_dir(inner),
            _ => Err(FsError::new(FsOp::OpenDir, path, std::io::ErrorKind::NotADirectory)),
        }
    }
}
