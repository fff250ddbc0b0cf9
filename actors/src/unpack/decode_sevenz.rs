//! Decodes 7z: block by block in one thread, which keeps solid archives fast and memory at one
//! dictionary. Must never decode an entry that was not listed to the parent first.

use std::io::{self, BufReader, Read};

use sevenz_rust2::{ArchiveEntry, ArchiveReader, Error, Password};

use super::{
    child::Source,
    emit::{DecodeError, Emitter},
    limits::{CHILD_BUFFER_BYTES, DECODER_MEMORY_BYTES},
    protocol::{EntryKind, FailCode, SpecialKind},
    unix_mode,
};

/// Attribute bit of 7-Zip on Unix: the upper half is a mode.
const UNIX_EXTENSION: u32 = 0x8000;
/// The Windows attribute of links and junctions.
const REPARSE_POINT: u32 = 0x400;

/// Sends all entries of a 7z archive.
pub(super) fn decode(source: Source, emitter: &Emitter) -> Result<(), DecodeError> {
    let reader = BufReader::with_capacity(CHILD_BUFFER_BYTES / 4, source);
    let memory_kib = usize::try_from(DECODER_MEMORY_BYTES / 1024).unwrap_or(usize::MAX);
    let mut archive = ArchiveReader::new_with_memory_limit(reader, Password::empty(), memory_kib)
        .map_err(|error| failed(&error, None))?;
    archive.set_thread_count(1);
    for (index, entry) in archive.archive().files.iter().enumerate() {
        if archive.archive().is_file_encrypted(index) {
            return Err(DecodeError::new(FailCode::Encrypted, entry.name()));
        }
        emitter.list(kind(entry), entry.name(), Some(entry.size()))?;
    }
    emitter.begin()?;
    let mut stopped = None;
    let decoded = archive.for_each_entries(|entry, reader| match send(entry, reader, emitter) {
        Ok(()) => Ok(true),
        Err(error) => {
            stopped = Some(error);
            Err(Error::Other("stopped".into()))
        }
    });
    match (stopped, decoded) {
        (Some(error), _) => Err(error),
        (None, decoded) => decoded.map_err(|error| failed(&error, None)),
    }
}

fn send(entry: &ArchiveEntry, reader: &mut dyn Read, emitter: &Emitter) -> Result<(), DecodeError> {
    let name = entry.name();
    match kind(entry) {
        EntryKind::Dir => emitter.dir(name),
        EntryKind::Special(special) => emitter.special(special, name, ""),
        EntryKind::File => {
            let executable = mode(entry).is_some_and(unix_mode::is_executable);
            let copied = emitter.copy_file(name, Some(entry.size()), executable, reader)?;
            copied.map_err(|error| failed(&Error::Io(error, "".into()), Some(name)))
        }
    }
}

fn kind(entry: &ArchiveEntry) -> EntryKind {
    if entry.is_anti_item() {
        return EntryKind::Special(SpecialKind::AntiItem);
    }
    if let Some(special) = mode(entry).and_then(unix_mode::special) {
        return EntryKind::Special(special);
    }
    if entry.has_windows_attributes && entry.windows_attributes() & REPARSE_POINT != 0 {
        return EntryKind::Special(SpecialKind::Symlink);
    }
    if entry.is_directory() {
        return EntryKind::Dir;
    }
    EntryKind::File
}

fn mode(entry: &ArchiveEntry) -> Option<u32> {
    let attributes = entry.windows_attributes();
    let has_mode = entry.has_windows_attributes && attributes & UNIX_EXTENSION != 0;
    has_mode.then_some(attributes >> 16)
}

fn failed(error: &Error, name: Option<&str>) -> DecodeError {
    let (code, message) = match error {
        Error::PasswordRequired | Error::MaybeBadPassword(_) => {
            (FailCode::Encrypted, "its list of entries".to_owned())
        }
        Error::MaxMemLimited { max_kb, actaul_kb: needed_kb } => {
            (FailCode::Memory, format!("{needed_kb} KiB are needed, {max_kb} allowed"))
        }
        Error::UnsupportedVersion { .. }
        | Error::UnsupportedCompressionMethod(_)
        | Error::Unsupported(_)
        | Error::ExternalUnsupported => (FailCode::Unsupported, error.to_string()),
        Error::BadSignature(_) => (FailCode::NotThisFormat, "no 7z signature".to_owned()),
        Error::Io(source, _) if source.kind() == io::ErrorKind::UnexpectedEof => {
            (FailCode::Damaged, "it ends too early".to_owned())
        }
        Error::Io(source, _) => (FailCode::Damaged, source.to_string()),
        other => (FailCode::Damaged, other.to_string()),
    };
    match name {
        Some(name) if code != FailCode::Encrypted => {
            DecodeError::new(code, format!("{name}: {message}"))
        }
        _ => DecodeError::new(code, message),
    }
}
