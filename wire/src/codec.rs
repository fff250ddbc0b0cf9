//! How messages become bytes: a length in four bytes, little endian, then the body. The only
//! place that knows the serialisation library, so that it can be replaced here.
//! Must never allocate for a length before that length is checked, and never accept two
//! different byte strings for the same value.

use std::{fmt, marker::PhantomData};

use bincode::{
    config::{Configuration, Limit},
    error::DecodeError,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, SeqAccess, Visitor},
};
use thiserror::Error;

use crate::{
    close::CloseCode,
    limits::{FRAME_BYTES_MAX, MANIFEST_BYTES_MAX},
    messages::{BadMessage, PROTOCOL_VERSION},
};

/// Something that travels as one frame.
pub trait Frame: Serialize + DeserializeOwned {
    /// What it is called in error texts.
    const NAME: &'static str;

    /// Looks at the part of a body that keeps its place in every version of the protocol.
    fn check_version(_body: &[u8]) -> Result<(), CodecError> {
        Ok(())
    }

    /// The rules that the types of the fields do not express.
    fn check(&self) -> Result<(), BadMessage>;
}

/// Why bytes are not a frame, or a message cannot become one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The length before the body is zero or over the limit. The stream cannot go on.
    #[error("a frame of {bytes} bytes, allowed are 1 to {FRAME_BYTES_MAX}")]
    Length {
        /// The length.
        bytes: usize,
    },
    /// The stream ended within a frame.
    #[error("the stream ended within a frame, {missing} bytes before its end")]
    Truncated {
        /// How many bytes are missing at least.
        missing: usize,
    },
    /// The sender speaks another version of the protocol.
    #[error("protocol version {theirs} instead of {ours}")]
    Version {
        /// The version in the frame.
        theirs: u16,
        /// The only version we speak.
        ours: u16,
    },
    /// The body is not what it should be.
    #[error("a {frame} that does not decode: {detail}")]
    Malformed {
        /// What it should have been.
        frame: &'static str,
        /// What the decoder met.
        detail: String,
    },
    /// Bytes follow the value.
    #[error("a {frame} followed by {bytes} bytes that belong to nothing")]
    Trailing {
        /// What it should have been.
        frame: &'static str,
        /// How many bytes follow.
        bytes: usize,
    },
    /// The bytes are not the ones that the value is written as.
    #[error("a {frame} that is not written in its one way")]
    NotCanonical {
        /// What it should have been.
        frame: &'static str,
    },
    /// The value breaks a rule of its type.
    #[error("a {frame} against the rules: {reason}")]
    Rule {
        /// What it is.
        frame: &'static str,
        /// The rule.
        reason: BadMessage,
    },
}

impl CodecError {
    /// The reason to close the connection with.
    pub fn close_code(&self) -> CloseCode {
        match self {
            CodecError::Length { .. } | CodecError::Truncated { .. } => CloseCode::Frame,
            CodecError::Version { .. } => CloseCode::VersionMismatch,
            CodecError::Malformed { .. }
            | CodecError::Trailing { .. }
            | CodecError::NotCanonical { .. }
            | CodecError::Rule { .. } => CloseCode::Decode,
        }
    }
}

/// A message as it is written to a stream: the length, then the body.
pub fn encode_frame<T: Frame>(message: &T) -> Result<Vec<u8>, CodecError> {
    message.check().map_err(|reason| CodecError::Rule { frame: T::NAME, reason })?;
    let body = encode_value(message);
    check_length(body.len())?;
    let mut frame = Vec::with_capacity(PREFIX_BYTES + body.len());
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(&body);
    Ok(frame)
}

/// The message in a frame's body (without the length before it).
pub fn decode_frame<T: Frame>(body: &[u8]) -> Result<T, CodecError> {
    check_length(body.len())?;
    T::check_version(body)?;
    let config = config_for::<{ CLAIM_FACTOR * FRAME_BYTES_MAX }>();
    let (message, used): (T, usize) = bincode::serde::decode_from_slice(body, config)
        .map_err(|error| CodecError::Malformed { frame: T::NAME, detail: detail_of(error) })?;
    if used < body.len() {
        return Err(CodecError::Trailing { frame: T::NAME, bytes: body.len() - used });
    }
    message.check().map_err(|reason| CodecError::Rule { frame: T::NAME, reason })?;
    if encode_value(&message) != body {
        return Err(CodecError::NotCanonical { frame: T::NAME });
    }
    Ok(message)
}

/// The version check of greetings, for [`Frame::check_version`].
pub(crate) fn check_protocol_version(theirs: u16) -> Result<(), CodecError> {
    if theirs == PROTOCOL_VERSION {
        Ok(())
    } else {
        Err(CodecError::Version { theirs, ours: PROTOCOL_VERSION })
    }
}

fn check_length(bytes: usize) -> Result<(), CodecError> {
    if (1..=FRAME_BYTES_MAX).contains(&bytes) { Ok(()) } else { Err(CodecError::Length { bytes }) }
}

/// Cuts a stream of bytes into the bodies of frames, without any I/O of its own. After an error
/// it stays in that error: nothing behind a bad length can be understood.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// Received and not yet handed out, from `start` on.
    buffer: Vec<u8>,
    start: usize,
    failed: Option<CodecError>,
}

impl FrameReader {
    /// An empty reader at the start of a stream.
    pub fn new() -> FrameReader {
        FrameReader::default()
    }

    /// Takes what was received. The caller takes frames out before it pushes more, so the buffer
    /// never holds more than one incomplete frame and one read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The body of the next complete frame, or nothing until more is pushed.
    #[expect(clippy::should_implement_trait, reason = "nothing today is not the end for ever")]
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, CodecError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Some(length) = self.next_length() else {
            return Ok(None);
        };
        if let Err(error) = check_length(length) {
            self.buffer = Vec::new();
            self.start = 0;
            self.failed = Some(error.clone());
            return Err(error);
        }
        let body = self.start + PREFIX_BYTES;
        let Some(bytes) = self.buffer.get(body..body + length) else {
            return Ok(None);
        };
        let bytes = bytes.to_vec();
        self.start = body + length;
        Ok(Some(bytes))
    }

    /// Whether the stream may end here: not within a frame.
    pub fn finish(&self) -> Result<(), CodecError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let present = self.buffer.len() - self.start;
        if present == 0 {
            return Ok(());
        }
        let needed = PREFIX_BYTES + self.next_length().unwrap_or(0);
        Err(CodecError::Truncated { missing: needed.saturating_sub(present).max(1) })
    }

    /// How many bytes wait for the rest of their frame.
    pub fn bytes_waiting(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn next_length(&self) -> Option<usize> {
        let prefix = self.buffer.get(self.start..)?.first_chunk::<PREFIX_BYTES>()?;
        usize::try_from(u32::from_le_bytes(*prefix)).ok()
    }
}

/// The canonical bytes of a value of this crate, without a length before them.
pub(crate) fn encode_value<T: Serialize>(value: &T) -> Vec<u8> {
    match bincode::serde::encode_to_vec(value, bincode::config::standard()) {
        Ok(bytes) => bytes,
        // Writing to memory cannot fail, every sequence here knows its length, and no serde
        // implementation of this crate returns an error of its own.
        Err(error) => unreachable!("a value that cannot be written: {error}"),
    }
}

/// Decodes a manifest's raw form, which borrows from the bytes. Returns it with the bytes used.
pub(crate) fn decode_manifest<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
) -> Result<(T, usize), String> {
    let config = config_for::<{ CLAIM_FACTOR * MANIFEST_BYTES_MAX }>();
    bincode::serde::borrow_decode_from_slice(bytes, config).map_err(detail_of)
}

fn config_for<const LIMIT: usize>()
-> Configuration<bincode::config::LittleEndian, bincode::config::Varint, Limit<LIMIT>> {
    bincode::config::standard().with_limit::<LIMIT>()
}

fn detail_of(error: DecodeError) -> String {
    match error {
        DecodeError::OtherString(text) => text,
        DecodeError::UnexpectedEnd { .. } => "it ends too early".into(),
        DecodeError::LimitExceeded => "a length beyond the limit".into(),
        other => format!("{other:?}"),
    }
}

/// Deserialises a list of at most `MAX` items; a larger announced length is refused before
/// anything is allocated for it.
pub(crate) fn capped<'de, const MAX: usize, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Capped<const MAX: usize, T>(PhantomData<T>);

    impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for Capped<MAX, T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX} items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            const { assert!(size_of::<T>() > 0, "an item without size costs no input") };
            let announced = items.size_hint().unwrap_or(0);
            if announced > MAX {
                return Err(A::Error::invalid_length(announced, &self));
            }
            // An announced length is a claim; what is allocated follows what arrives.
            let mut list = Vec::with_capacity(announced.min(PREALLOCATED_ITEMS_MAX));
            while let Some(item) = items.next_element()? {
                if list.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                list.push(item);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(Capped::<MAX, T>(PhantomData))
}

/// The length before each body.
const PREFIX_BYTES: usize = 4;
/// The decoder counts an integer by its width in memory, which is at most this many times its
/// length in the input: the limit must not refuse what the length of the input already allows.
const CLAIM_FACTOR: usize = 8;
/// Enough that small lists are allocated once, too little to be worth an attack.
const PREALLOCATED_ITEMS_MAX: usize = 256;
