//! What a finished operation tells.

use crate::vfs::FsError;

/// A finished operation: it is committed and durable.
#[derive(Debug, Default)]
pub struct Done {
    /// What could not be cleared away afterwards. The next recovery tries again.
    pub leftovers: Vec<Leftover>,
    /// Files of the user that the new version would have overwritten: where they are now, below
    /// the game root.
    pub kept: Vec<String>,
}

/// Something out of use that could not be deleted.
#[derive(Debug)]
pub struct Leftover {
    /// Why.
    pub error: FsError,
}

impl Done {
    /// Notes a failure after the commit.
    pub(crate) fn note(&mut self, result: Result<(), FsError>) {
        if let Err(error) = result {
            self.leftovers.push(Leftover { error });
        }
    }
}
