//! Decodes zip: by the central directory, entry by entry. Must never use the crate's own ideas of
//! where a file belongs.

use std::io::{BufReader, Read, Seek};

use zip::{ZipArchive, read::ZipFileEntry, result::ZipError};

use super::{
    child::Source,
    emit::{DecodeError, Emitter},
    limits::CHILD_BUFFER_BYTES,
    protocol::{EntryKind, FailCode, SpecialKind},
    unix_mode,
};

/// Sends all entries of a zip.
pub(super) fn decode(source: Source, emitter: &Emitter) -> Result<(), DecodeError> {
    let reader = BufReader::with_capacity(CHILD_BUFFER_BYTES / 4, source);
    let mut archive = ZipArchive::new(reader).map_err(|error| failed(&error, None))?;
    check(&mut archive)?;
    let metadata = archive.metadata();
    for index in 0..archive.len() {
        let entry = metadata.entry(index).map_err(|error| failed(&error, None))?;
        list(&entry, emitter)?;
    }
    emitter.begin()?;
    for index in 0..archive.len() {
        send(&mut archive, index, emitter)?;
    }
    Ok(())
}

/// The central directory must describe every byte once: overlapping entries are the trick of
/// bombs, duplicate names are dropped silently by the crate.
fn check<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<(), DecodeError> {
    if archive.has_duplicate_names() {
        let message = "two entries have the same name";
        return Err(DecodeError::new(FailCode::Duplicate, message));
    }
    let overlaps = archive.has_overlapping_entries().map_err(|error| failed(&error, None))?;
    if overlaps {
        return Err(DecodeError::new(FailCode::Damaged, "its entries overlap"));
    }
    Ok(())
}

fn list(entry: &ZipFileEntry<'_>, emitter: &Emitter) -> Result<(), DecodeError> {
    let name = entry.name().map_err(|error| failed(&error, None))?;
    if entry.encrypted() {
        return Err(DecodeError::new(FailCode::Encrypted, &*name));
    }
    let kind = kind(entry.external_attributes(), entry.is_dir());
    emitter.list(kind, &name, Some(entry.size()))
}

fn send<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    index: usize,
    emitter: &Emitter,
) -> Result<(), DecodeError> {
    let mut file = archive.by_index(index).map_err(|error| failed(&error, None))?;
    let name = file.name().map_err(|error| failed(&error, None))?.into_owned();
    match kind(file.external_attributes(), file.is_dir()) {
        EntryKind::Dir => emitter.dir(&name),
        EntryKind::Special(special) => emitter.special(special, &name, ""),
        EntryKind::File => {
            let executable = unix_mode::is_executable(file.external_attributes() >> 16);
            let size = file.size();
            let copied = emitter.copy_file(&name, Some(size), executable, &mut file)?;
            copied.map_err(|error| failed(&ZipError::Io(error), Some(&name)))
        }
    }
}

/// The type bits count whatever system the entry claims to come from: some unpackers look at
/// them always.
fn kind(external_attributes: u32, is_dir: bool) -> EntryKind {
    match unix_mode::special(external_attributes >> 16) {
        Some(special) => EntryKind::Special(special),
        None if external_attributes & REPARSE_POINT != 0 => {
            EntryKind::Special(SpecialKind::Symlink)
        }
        None if is_dir => EntryKind::Dir,
        None => EntryKind::File,
    }
}

/// The Windows attribute of links and junctions.
const REPARSE_POINT: u32 = 0x400;

fn failed(error: &ZipError, name: Option<&str>) -> DecodeError {
    let code = match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            FailCode::Encrypted
        }
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            FailCode::Unsupported
        }
        ZipError::Io(_) | ZipError::InvalidArchive(_) | ZipError::FileNotFound => FailCode::Damaged,
        _ => FailCode::Damaged,
    };
    let message = match name {
        Some(name) => format!("{name}: {error}"),
        None => error.to_string(),
    };
    DecodeError::new(code, message)
}
