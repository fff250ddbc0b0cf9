//! The child's side of the stream: gathers frames and writes them to the parent. Must never write
//! anywhere else, and must never let an unverified file look complete.

use std::{
    cell::RefCell,
    io::{self, Write},
    rc::Rc,
};

use super::{
    limits::{CHILD_BUFFER_BYTES, MESSAGE_BYTES_MAX, NAME_BYTES_MAX},
    protocol::{self, EntryKind, FailCode, Frame, SpecialKind},
};

/// Why a decoder gave up.
#[derive(Debug)]
pub(super) enum DecodeError {
    /// The parent does not read any more; nobody is left to tell.
    ParentGone,
    /// The archive is at fault, or what it needs is not there.
    Archive {
        /// What kind of failure it is.
        code: FailCode,
        /// Number of the volume at fault from zero, when that is known.
        part: Option<u32>,
        /// One sentence.
        message: String,
    },
}

impl DecodeError {
    pub(super) fn new(code: FailCode, message: impl Into<String>) -> Self {
        DecodeError::Archive { code, part: None, message: message.into() }
    }

    pub(super) fn in_part(code: FailCode, part: usize, message: impl Into<String>) -> Self {
        DecodeError::Archive { code, part: u32::try_from(part).ok(), message: message.into() }
    }
}

/// What a decoder may say. Clones share the stream, because some decoders want a writer of their
/// own for each file.
#[derive(Clone)]
pub(super) struct Emitter(Rc<RefCell<Inner>>);

struct Inner {
    out: Box<dyn Write>,
    buffer: Vec<u8>,
    is_parent_gone: bool,
    entries: u64,
    bytes: u64,
    file: Option<OpenFile>,
    replay: Option<Replay>,
}

/// The file that was begun and not ended.
struct OpenFile {
    bytes: u64,
    hash: blake3::Hasher,
}

/// A second attempt of a decoder: what the first one sent is decoded again and swallowed.
struct Replay {
    /// Complete entries of the first attempt that are still to come.
    entries_left: u64,
    /// The file that the first attempt left incomplete.
    partial: Option<OpenFile>,
    /// The same file in the second attempt, while its known start comes again.
    resumed: Option<OpenFile>,
    /// A complete file of the first attempt is being swallowed.
    in_known_file: bool,
}

impl Emitter {
    pub(super) fn new(out: Box<dyn Write>) -> Self {
        Emitter(Rc::new(RefCell::new(Inner {
            out,
            buffer: Vec::with_capacity(2 * CHILD_BUFFER_BYTES),
            is_parent_gone: false,
            entries: 0,
            bytes: 0,
            file: None,
            replay: None,
        })))
    }

    /// Announces an entry from the headers.
    pub(super) fn list(
        &self,
        kind: EntryKind,
        name: &str,
        size: Option<u64>,
    ) -> Result<(), DecodeError> {
        let name = match kind {
            EntryKind::Dir => name.strip_suffix('/').unwrap_or(name),
            EntryKind::File | EntryKind::Special(_) => name,
        };
        check_name(name)?;
        self.inner(|inner| inner.send(&Frame::Listed { kind, size, name }))
    }

    /// Ends the listing; every decoder calls this once.
    pub(super) fn begin(&self) -> Result<(), DecodeError> {
        self.inner(|inner| {
            inner.send(&Frame::Begin)?;
            inner.flush()
        })
    }

    /// Sends a directory. One separator at its end is the custom of some formats.
    pub(super) fn dir(&self, name: &str) -> Result<(), DecodeError> {
        let name = name.strip_suffix('/').unwrap_or(name);
        check_name(name)?;
        self.inner(|inner| inner.entry(&Frame::Dir { name }))
    }

    /// Begins a file. The one before must have been ended.
    pub(super) fn file(
        &self,
        name: &str,
        size: Option<u64>,
        executable: bool,
    ) -> Result<(), DecodeError> {
        check_name(name)?;
        let frame = Frame::File { size, executable, name };
        self.inner(|inner| inner.entry(&frame))
    }

    /// Sends the next bytes of the file.
    pub(super) fn data(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.inner(|inner| inner.data(bytes))
    }

    /// Ends the file, after its checksum was found to be right.
    pub(super) fn end_file(&self) -> Result<(), DecodeError> {
        self.inner(Inner::end_file)
    }

    /// Sends an entry that the parent will refuse by name.
    pub(super) fn special(
        &self,
        kind: SpecialKind,
        name: &str,
        target: &str,
    ) -> Result<(), DecodeError> {
        let name = clip(name, NAME_BYTES_MAX);
        let target = clip(target, NAME_BYTES_MAX);
        self.inner(|inner| {
            inner.send(&Frame::Special { kind, name, target })?;
            inner.flush()
        })
    }

    /// Sends a whole file from a reader, ending it when the reader ends without an error.
    pub(super) fn copy_file(
        &self,
        name: &str,
        size: Option<u64>,
        executable: bool,
        reader: &mut dyn io::Read,
    ) -> Result<io::Result<()>, DecodeError> {
        self.file(name, size, executable)?;
        let mut piece = vec![0; CHILD_BUFFER_BYTES];
        let mut copied = 0;
        loop {
            match reader.read(&mut piece) {
                Ok(0) if size.is_some_and(|size| copied < size) => {
                    return Ok(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(0) => break,
                Ok(len) => {
                    copied += len as u64;
                    self.data(&piece[..len])?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        self.end_file()?;
        Ok(Ok(()))
    }

    /// Prepares for a second attempt that gives the same entries in the same order.
    pub(super) fn replay(&self) {
        let mut inner = self.0.borrow_mut();
        let partial = inner.file.take();
        inner.replay = Some(Replay {
            entries_left: inner.entries - u64::from(partial.is_some()),
            partial,
            resumed: None,
            in_known_file: false,
        });
    }

    /// Whether the stream is broken; then an error of a decoder is only an echo of that.
    pub(super) fn is_parent_gone(&self) -> bool {
        self.0.borrow().is_parent_gone
    }

    /// Ends the stream: with the counts, or with the reason why there is nothing to count.
    pub(super) fn finish(&self, result: Result<(), DecodeError>) -> bool {
        let is_ok = result.is_ok();
        let sent = self.inner(|inner| {
            match &result {
                Ok(()) => {
                    inner.send(&Frame::Done { entries: inner.entries, bytes: inner.bytes })?
                }
                Err(DecodeError::ParentGone) => {}
                Err(DecodeError::Archive { code, part, message }) => {
                    inner.send(&Frame::Failed {
                        code: *code,
                        part: *part,
                        message: clip(message, MESSAGE_BYTES_MAX),
                    })?
                }
            }
            inner.flush()
        });
        is_ok && sent.is_ok()
    }

    fn inner<T>(&self, act: impl FnOnce(&mut Inner) -> io::Result<T>) -> Result<T, DecodeError> {
        let mut inner = self.0.borrow_mut();
        match act(&mut inner) {
            Ok(value) => Ok(value),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(DecodeError::new(
                FailCode::Damaged,
                "a second attempt of decoding gave other bytes",
            )),
            Err(_) => {
                inner.is_parent_gone = true;
                Err(DecodeError::ParentGone)
            }
        }
    }
}

impl Inner {
    fn entry(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        debug_assert!(self.file.is_none(), "a file must end before the next entry");
        let is_file = matches!(frame, Frame::File { .. });
        if let Some(replay) = &mut self.replay {
            if replay.entries_left > 0 {
                replay.entries_left -= 1;
                replay.in_known_file = is_file;
                return Ok(());
            }
            if replay.partial.is_some() {
                replay.resumed = is_file.then(OpenFile::new);
                return is_file.then_some(()).ok_or_else(differs);
            }
            self.replay = None;
        }
        self.entries += 1;
        self.file = is_file.then(OpenFile::new);
        self.send(frame)
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fresh = match &mut self.replay {
            None => bytes,
            Some(replay) if replay.in_known_file => return Ok(()),
            Some(replay) => {
                let fresh = replay.swallow(bytes)?;
                if replay.partial.is_none() {
                    self.file = replay.resumed.take();
                    self.replay = None;
                }
                fresh
            }
        };
        for piece in fresh.chunks(CHILD_BUFFER_BYTES) {
            self.bytes += piece.len() as u64;
            if let Some(file) = &mut self.file {
                file.take(piece);
            }
            self.send(&Frame::Data(piece))?;
        }
        Ok(())
    }

    fn end_file(&mut self) -> io::Result<()> {
        if let Some(replay) = &mut self.replay {
            if std::mem::take(&mut replay.in_known_file) {
                return Ok(());
            }
            // It ended within what was known, unless it ended exactly there.
            replay.swallow(&[])?;
            if replay.partial.is_some() {
                return Err(differs());
            }
            self.replay = None;
        }
        self.file = None;
        self.send(&Frame::EndFile)
    }

    fn send(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        protocol::encode(frame, &mut self.buffer);
        if self.buffer.len() >= CHILD_BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        self.out.flush()
    }
}

impl OpenFile {
    fn new() -> Self {
        OpenFile { bytes: 0, hash: blake3::Hasher::new() }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }
}

impl Replay {
    /// Takes what is known already from the front of `bytes` and returns the rest. When all that
    /// is known came again, and was the same, `partial` is gone.
    fn swallow<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let (Some(known), Some(again)) = (&self.partial, &mut self.resumed) else {
            return Err(differs());
        };
        let left = known.bytes - again.bytes;
        let len = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let (old, fresh) = bytes.split_at(len);
        again.take(old);
        if again.bytes == known.bytes {
            if again.hash.finalize() != known.hash.finalize() {
                return Err(differs());
            }
            self.partial = None;
        }
        Ok(fresh)
    }
}

fn differs() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

fn check_name(name: &str) -> Result<(), DecodeError> {
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(DecodeError::new(
        FailCode::BadName,
        format!("a name of {} bytes: {}", name.len(), clip(name, 200)),
    ))
}

/// The longest start of `text` that fits.
fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
#[path = "emit_tests.rs"]
mod tests;
