//! A sink that keeps the tree in memory, for tests. Checks that it is called in the order that
//! its trait promises; must never be part of the product.

use std::collections::BTreeMap;

use lanspread_wire::RelPath;

use super::{SinkError, TreeSink};

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// A directory.
    Dir,
    /// A file with its bytes and whether the archive wants it executable.
    File(Vec<u8>, bool),
}

/// The tree so far.
#[derive(Debug, Default)]
pub(crate) struct MemorySink {
    /// Complete files and directories.
    pub(crate) tree: BTreeMap<String, Node>,
    /// The file that was begun and not ended.
    pub(crate) open: Option<(String, Vec<u8>, bool)>,
    /// What was announced, in order.
    pub(crate) announced: Vec<(u32, Option<u64>)>,
    /// The call that fails, counted from one.
    pub(crate) fail_at: Option<usize>,
    /// Calls so far.
    pub(crate) calls: usize,
}

impl MemorySink {
    fn call(&mut self) -> Result<(), SinkError> {
        self.calls += 1;
        if self.fail_at == Some(self.calls) {
            return Err(SinkError::new("disk-full", "no space for the test"));
        }
        Ok(())
    }

    fn assert_free(&self, path: &RelPath) {
        assert!(self.open.is_none(), "{path:?} comes while a file is open");
        assert!(!self.tree.contains_key(path.as_str()), "{path:?} comes twice");
        if let Some(parent) = path.parent() {
            let parent = self.tree.get(parent.as_str());
            assert_eq!(parent, Some(&Node::Dir), "{path:?} comes before its parent");
        }
    }
}

impl TreeSink for MemorySink {
    fn announce(&mut self, entries: u32, bytes: Option<u64>) -> Result<(), SinkError> {
        self.call()?;
        self.announced.push((entries, bytes));
        Ok(())
    }

    fn create_dir(&mut self, path: &RelPath) -> Result<(), SinkError> {
        self.call()?;
        self.assert_free(path);
        self.tree.insert(path.as_str().to_owned(), Node::Dir);
        Ok(())
    }

    fn begin_file(&mut self, path: &RelPath, executable: Option<bool>) -> Result<(), SinkError> {
        self.call()?;
        self.assert_free(path);
        assert_ne!(executable, Some(false));
        self.open = Some((path.as_str().to_owned(), Vec::new(), executable == Some(true)));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.call()?;
        let (_, written, _) = self.open.as_mut().expect("an open file");
        written.extend_from_slice(bytes);
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), SinkError> {
        self.call()?;
        let (path, bytes, executable) = self.open.take().expect("an open file");
        self.tree.insert(path, Node::File(bytes, executable));
        Ok(())
    }
}
