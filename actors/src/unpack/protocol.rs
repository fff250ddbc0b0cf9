//! The stream of entries that the child writes and the parent reads: frames, their encoding and a
//! parser without I/O. Knows the limits of each field; must never judge a name or an order of
//! frames (that is [`super::policy`]).
//!
//! A frame is one byte of kind, four bytes of little endian length and that many bytes. The
//! order is: `Listed`* `Begin` ( `Dir` | `File` `Data`* `EndFile` | `Special` )* `Done`; a
//! `Failed` may stand anywhere and is the last frame. The listing is what the headers announce,
//! for the formats that have them in one place; it lets the parent refuse before it writes.

use std::fmt;

use super::limits::{
    FRAME_DATA_BYTES_MAX, FRAME_TEXT_BYTES_MAX, MESSAGE_BYTES_MAX, NAME_BYTES_MAX,
};

/// Bytes of a frame before its body.
pub(super) const FRAME_HEAD_BYTES: usize = 5;

/// One frame. Names are text as the archive has it, not yet judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// An entry that the headers announce.
    Listed {
        /// What it is.
        kind: EntryKind,
        /// Its size, when the header states one.
        size: Option<u64>,
        /// Its name.
        name: &'a str,
    },
    /// The listing is complete; entries follow.
    Begin,
    /// A directory.
    Dir {
        /// Its name, without a separator at the end.
        name: &'a str,
    },
    /// A file begins.
    File {
        /// Its size, when the header states one.
        size: Option<u64>,
        /// Whether the archive has an execute permission for it.
        executable: bool,
        /// Its name.
        name: &'a str,
    },
    /// The next bytes of the file.
    Data(&'a [u8]),
    /// The file is complete and its checksum, where it has one, was right.
    EndFile,
    /// An entry that is no regular file, for the parent to refuse by name.
    Special {
        /// What it is.
        kind: SpecialKind,
        /// Its name.
        name: &'a str,
        /// Where it points, as far as that is text.
        target: &'a str,
    },
    /// The archive was decoded to its end.
    Done {
        /// Directories and files that were sent.
        entries: u64,
        /// Bytes of files that were sent.
        bytes: u64,
    },
    /// The archive was not decoded.
    Failed {
        /// What kind of failure it is.
        code: FailCode,
        /// Number of the volume at fault from zero, when that is known.
        part: Option<u32>,
        /// One sentence.
        message: &'a str,
    },
}

/// What a listed entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// Something that is refused.
    Special(SpecialKind),
}

macro_rules! byte_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $byte:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(unreachable_pub, reason = "one of the two is public")]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            #[cfg(test)]
            pub(super) const ALL: &[$name] = &[$($name::$variant,)*];

            fn to_byte(self) -> u8 {
                match self { $($name::$variant => $byte,)* }
            }

            fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($byte => Some($name::$variant),)* _ => None }
            }
        }
    };
}

byte_enum! {
    /// An entry that is neither a regular file nor a directory.
    SpecialKind {
        /// A symbolic link.
        Symlink = 1,
        /// A second name of a file.
        HardLink = 2,
        /// A directory link of Windows.
        Junction = 3,
        /// A reference to an earlier file.
        FileCopy = 4,
        /// A character or block device.
        Device = 5,
        /// A named pipe.
        Fifo = 6,
        /// A socket.
        Socket = 7,
        /// A file with holes that are not in the archive.
        Sparse = 8,
        /// An order to delete a file.
        AntiItem = 9,
        /// A kind that is not known.
        Unknown = 10,
    }
}

impl fmt::Display for SpecialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SpecialKind::Symlink => "symbolic link",
            SpecialKind::HardLink => "hard link",
            SpecialKind::Junction => "junction",
            SpecialKind::FileCopy => "reference to another file",
            SpecialKind::Device => "device",
            SpecialKind::Fifo => "named pipe",
            SpecialKind::Socket => "socket",
            SpecialKind::Sparse => "sparse file",
            SpecialKind::AntiItem => "deletion mark",
            SpecialKind::Unknown => "special entry",
        })
    }
}

byte_enum! {
    /// Why the child gave up.
    FailCode {
        /// It was started with arguments that it does not know.
        Usage = 1,
        /// It could not open a volume.
        Open = 2,
        /// It could not confine itself.
        Confine = 3,
        /// The content is not of the format it was told.
        NotThisFormat = 4,
        /// A password is needed.
        Encrypted = 5,
        /// A volume before, between or after the given ones is needed.
        MissingVolume = 6,
        /// A checksum, a length or a structure is wrong.
        Damaged = 7,
        /// A feature that the decoder does not have.
        Unsupported = 8,
        /// More memory than allowed.
        Memory = 9,
        /// A name that is no text or too long.
        BadName = 10,
        /// Two entries of the same name.
        Duplicate = 11,
        /// The decoder panicked.
        Crashed = 12,
    }
}

const KIND_LISTED: u8 = 1;
const KIND_BEGIN: u8 = 2;
const KIND_DIR: u8 = 3;
const KIND_FILE: u8 = 4;
const KIND_DATA: u8 = 5;
const KIND_END_FILE: u8 = 6;
const KIND_SPECIAL: u8 = 7;
const KIND_DONE: u8 = 8;
const KIND_FAILED: u8 = 9;

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtocolError {
    /// No frame has this kind.
    #[error("unknown frame {0}")]
    UnknownKind(u8),
    /// Longer than its kind allows; found before anything is allocated.
    #[error("frame {kind} of {len} bytes is too long")]
    TooLong {
        /// The kind.
        kind: u8,
        /// The length it claims.
        len: u32,
    },
    /// The body does not fit its kind.
    #[error("frame {0} is malformed")]
    Malformed(u8),
}

/// Appends the frame to `out`. Names, messages and data must be within their limits.
pub(super) fn encode(frame: &Frame<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD_BYTES]);
    let kind = encode_body(frame, out);
    let len = out.len() - start - FRAME_HEAD_BYTES;
    debug_assert!(len <= FRAME_DATA_BYTES_MAX.max(FRAME_TEXT_BYTES_MAX));
    out[start] = kind;
    out[start + 1..start + FRAME_HEAD_BYTES].copy_from_slice(&(len as u32).to_le_bytes());
}

fn encode_body(frame: &Frame<'_>, out: &mut Vec<u8>) -> u8 {
    match *frame {
        Frame::Listed { kind, size, name } => {
            let (kind, special) = match kind {
                EntryKind::File => (0, 0),
                EntryKind::Dir => (1, 0),
                EntryKind::Special(special) => (2, special.to_byte()),
            };
            out.extend_from_slice(&[kind, special]);
            put_size(out, size);
            put_text(out, name);
            KIND_LISTED
        }
        Frame::Begin => KIND_BEGIN,
        Frame::Dir { name } => {
            put_text(out, name);
            KIND_DIR
        }
        Frame::File { size, executable, name } => {
            out.push(u8::from(executable));
            put_size(out, size);
            put_text(out, name);
            KIND_FILE
        }
        Frame::Data(bytes) => {
            out.extend_from_slice(bytes);
            KIND_DATA
        }
        Frame::EndFile => KIND_END_FILE,
        Frame::Special { kind, name, target } => {
            out.push(kind.to_byte());
            put_text(out, name);
            put_text(out, target);
            KIND_SPECIAL
        }
        Frame::Done { entries, bytes } => {
            out.extend_from_slice(&entries.to_le_bytes());
            out.extend_from_slice(&bytes.to_le_bytes());
            KIND_DONE
        }
        Frame::Failed { code, part, message } => {
            out.push(code.to_byte());
            put_size(out, part.map(u64::from));
            put_text(out, message);
            KIND_FAILED
        }
    }
}

fn put_size(out: &mut Vec<u8>, size: Option<u64>) {
    out.push(u8::from(size.is_some()));
    out.extend_from_slice(&size.unwrap_or(0).to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Takes bytes in any pieces and gives frames. After an error it must not be used again.
#[derive(Debug, Default)]
pub(super) struct FrameParser {
    buffer: Vec<u8>,
    start: usize,
}

impl FrameParser {
    /// A parser at the start of a stream.
    pub(super) fn new() -> Self {
        FrameParser::default()
    }

    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether bytes of an unfinished frame are left.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// The next frame, or `None` when more bytes are needed.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame<'_>>, ProtocolError> {
        let rest = &self.buffer[self.start..];
        let Some((head, rest)) = rest.split_first_chunk::<FRAME_HEAD_BYTES>() else {
            return Ok(None);
        };
        let kind = head[0];
        let len = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        if len as usize > body_bytes_max(kind)? {
            return Err(ProtocolError::TooLong { kind, len });
        }
        let Some(body) = rest.get(..len as usize) else {
            return Ok(None);
        };
        self.start += FRAME_HEAD_BYTES + body.len();
        decode_body(kind, body).map(Some).ok_or(ProtocolError::Malformed(kind))
    }
}

fn body_bytes_max(kind: u8) -> Result<usize, ProtocolError> {
    match kind {
        KIND_DATA => Ok(FRAME_DATA_BYTES_MAX),
        KIND_LISTED | KIND_DIR | KIND_FILE | KIND_SPECIAL | KIND_FAILED => Ok(FRAME_TEXT_BYTES_MAX),
        KIND_BEGIN | KIND_END_FILE => Ok(0),
        KIND_DONE => Ok(16),
        other => Err(ProtocolError::UnknownKind(other)),
    }
}

fn decode_body(kind: u8, body: &[u8]) -> Option<Frame<'_>> {
    let mut body = Body(body);
    let frame = match kind {
        KIND_LISTED => Frame::Listed {
            kind: body.entry_kind()?,
            size: body.size()?,
            name: body.text(NAME_BYTES_MAX)?,
        },
        KIND_BEGIN => Frame::Begin,
        KIND_DIR => Frame::Dir { name: body.text(NAME_BYTES_MAX)? },
        KIND_FILE => Frame::File {
            executable: body.flag()?,
            size: body.size()?,
            name: body.text(NAME_BYTES_MAX)?,
        },
        KIND_DATA if body.0.is_empty() => return None,
        KIND_DATA => Frame::Data(std::mem::take(&mut body.0)),
        KIND_END_FILE => Frame::EndFile,
        KIND_SPECIAL => Frame::Special {
            kind: SpecialKind::from_byte(body.byte()?)?,
            name: body.text(NAME_BYTES_MAX)?,
            target: body.text(NAME_BYTES_MAX)?,
        },
        KIND_DONE => Frame::Done { entries: body.number()?, bytes: body.number()? },
        KIND_FAILED => Frame::Failed {
            code: FailCode::from_byte(body.byte()?)?,
            part: match body.size()? {
                Some(part) => Some(u32::try_from(part).ok()?),
                None => None,
            },
            message: body.text(MESSAGE_BYTES_MAX)?,
        },
        _ => return None,
    };
    body.0.is_empty().then_some(frame)
}

/// The rest of a body; each step takes from its front or says that it does not fit.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*head))
    }

    fn size(&mut self) -> Option<Option<u64>> {
        let known = self.flag()?;
        let size = self.number()?;
        match (known, size) {
            (true, size) => Some(Some(size)),
            (false, 0) => Some(None),
            (false, _) => None,
        }
    }

    fn text(&mut self, bytes_max: usize) -> Option<&'a str> {
        let len = self.take(2)?;
        let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
        if len > bytes_max {
            return None;
        }
        std::str::from_utf8(self.take(len)?).ok()
    }

    fn entry_kind(&mut self) -> Option<EntryKind> {
        match (self.byte()?, self.byte()?) {
            (0, 0) => Some(EntryKind::File),
            (1, 0) => Some(EntryKind::Dir),
            (2, special) => SpecialKind::from_byte(special).map(EntryKind::Special),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
