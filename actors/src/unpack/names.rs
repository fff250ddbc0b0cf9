//! The names of one unpacked tree: each is validated, and no two may be one file on any system.
//! Pure. Must never let a name through that a sink would have to judge again.

use std::collections::HashMap;

use lanspread_wire::{RelPath, fold_key, printable};

use super::error::UnpackError;

/// Starts of component names that belong to this program, in folded form: a marker or an intent
/// must never come out of an archive.
const RESERVED_STARTS: [&str; 2] = [".lanspread", ".local."];

/// A name that may be created.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    /// Directories to create first, parents before children. For a directory entry it is among
    /// them, unless it exists already.
    pub(super) dirs: Vec<RelPath>,
    /// The entry itself.
    pub(super) path: RelPath,
}

/// All names so far, by what a system that ignores case would take them for.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    nodes: HashMap<String, Node>,
    /// The parent of the entry before, which most entries share.
    last_parent: Option<RelPath>,
    last_name: String,
}

#[derive(Debug)]
struct Node {
    spelling: RelPath,
    is_dir: bool,
}

impl NameTable {
    /// Admits a file. Its name must be new.
    pub(super) fn file(&mut self, archive: &str, name: &str) -> Result<Admitted, UnpackError> {
        let path = self.parse(archive, name)?;
        let dirs = self.add_parents(archive, &path)?;
        let key = fold_key(path.as_str());
        if let Some(taken) = self.nodes.get(&key) {
            return Err(collision(archive, taken, &path));
        }
        self.insert(key, &path, false);
        Ok(Admitted { dirs, path })
    }

    /// Admits a directory. The same directory may be named again in the same spelling.
    pub(super) fn dir(&mut self, archive: &str, name: &str) -> Result<Admitted, UnpackError> {
        let path = self.parse(archive, name)?;
        let mut dirs = self.add_parents(archive, &path)?;
        if self.add_dir(archive, &path)? {
            dirs.push(path.clone());
        }
        Ok(Admitted { dirs, path })
    }

    /// Files and directories, those included that no entry names.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The name that was admitted last.
    pub(super) fn last_name(&self) -> &str {
        &self.last_name
    }

    fn parse(&mut self, archive: &str, name: &str) -> Result<RelPath, UnpackError> {
        let path = RelPath::parse(name).map_err(|error| UnpackError::BadName {
            archive: archive.to_owned(),
            message: error.to_string(),
        })?;
        let is_reserved = |component: &str| {
            let folded = fold_key(component);
            RESERVED_STARTS.iter().any(|start| folded.starts_with(start))
        };
        if path.components().any(is_reserved) {
            return Err(UnpackError::Reserved {
                archive: archive.to_owned(),
                name: printable(name),
            });
        }
        self.last_name.clear();
        self.last_name.push_str(path.as_str());
        Ok(path)
    }

    fn add_parents(&mut self, archive: &str, path: &RelPath) -> Result<Vec<RelPath>, UnpackError> {
        let Some(parent) = path.parent() else {
            return Ok(Vec::new());
        };
        if self.last_parent.as_ref() == Some(&parent) {
            return Ok(Vec::new());
        }
        let mut chain = vec![parent.clone()];
        while let Some(above) = chain.last().and_then(RelPath::parent) {
            chain.push(above);
        }
        let mut new = Vec::new();
        for dir in chain.into_iter().rev() {
            if self.add_dir(archive, &dir)? {
                new.push(dir);
            }
        }
        self.last_parent = Some(parent);
        Ok(new)
    }

    /// Whether the directory is new.
    fn add_dir(&mut self, archive: &str, path: &RelPath) -> Result<bool, UnpackError> {
        let key = fold_key(path.as_str());
        match self.nodes.get(&key) {
            Some(node) if node.is_dir && node.spelling == *path => Ok(false),
            Some(taken) => Err(collision(archive, taken, path)),
            None => {
                self.insert(key, path, true);
                Ok(true)
            }
        }
    }

    fn insert(&mut self, key: String, path: &RelPath, is_dir: bool) {
        let node = Node { spelling: path.clone(), is_dir };
        self.nodes.insert(key, node);
    }
}

fn collision(archive: &str, taken: &Node, path: &RelPath) -> UnpackError {
    UnpackError::Collision {
        archive: archive.to_owned(),
        first: printable(taken.spelling.as_str()),
        second: printable(path.as_str()),
    }
}
