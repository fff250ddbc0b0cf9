//! Where an unpacked tree goes. Implemented by whoever owns the staging; must never be handed a
//! name that was not validated.

use lanspread_wire::RelPath;

use super::error::SinkError;

/// Receives the tree of one game, in the order of its archives. Every directory comes once and
/// before what lies in it; every file is begun, written and ended before the next call. When an
/// unpacking fails the tree is incomplete and must be thrown away.
pub trait TreeSink {
    /// What an archive announces before its first entry: the sum of its file sizes, where all of
    /// them are known, for a look at the free space. Called once for each archive.
    fn announce(&mut self, entries: u32, bytes: Option<u64>) -> Result<(), SinkError> {
        let _ = (entries, bytes);
        Ok(())
    }

    /// Creates a directory.
    fn create_dir(&mut self, path: &RelPath) -> Result<(), SinkError>;

    /// Begins a file. `executable`: `Some(true)` if the archive has an execute permission for it;
    /// with `None` the content decides. There is no `Some(false)`.
    fn begin_file(&mut self, path: &RelPath, executable: Option<bool>) -> Result<(), SinkError>;

    /// Appends to the file.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError>;

    /// Ends the file: its checksum was right, where the archive has one.
    fn end_file(&mut self) -> Result<(), SinkError>;
}
