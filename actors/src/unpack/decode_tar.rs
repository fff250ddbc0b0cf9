//! Decodes tar, plain or compressed, in one pass. Must never call the crate's own unpacking, and
//! must never take a file without its end mark for complete.

use std::{
    cell::Cell,
    io::{self, BufReader, Read},
    rc::Rc,
};

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use tar::{Archive, Entry, EntryType};

use super::{
    child::Source,
    detect::Format,
    emit::{DecodeError, Emitter},
    limits::{
        CHILD_BUFFER_BYTES, DECODER_MEMORY_BYTES, TAR_HEADER_BYTES_MAX, TAR_TAIL_BYTES_MAX,
        ZSTD_WINDOW_LOG_MAX,
    },
    protocol::{FailCode, SpecialKind},
    unix_mode,
};

/// Sends all entries of a tar.
pub(super) fn decode(source: Source, format: Format, emitter: &Emitter) -> Result<(), DecodeError> {
    let raw = BufReader::with_capacity(CHILD_BUFFER_BYTES, source);
    let plain: Box<dyn Read> = match format {
        Format::TarGz => Box::new(MultiGzDecoder::new(raw)),
        Format::TarXz => {
            let memory_kib = u32::try_from(DECODER_MEMORY_BYTES / 1024).unwrap_or(u32::MAX);
            Box::new(XzReader::new_mem_limit(raw, true, memory_kib))
        }
        Format::TarZst => {
            let mut decoder = zstd::Decoder::with_buffer(raw).map_err(|error| failed(&error))?;
            let limited = decoder.window_log_max(ZSTD_WINDOW_LOG_MAX);
            limited.map_err(|error| failed(&error))?;
            Box::new(decoder)
        }
        _ => Box::new(raw),
    };
    let plain = BufReader::with_capacity(CHILD_BUFFER_BYTES, plain);
    decode_plain(plain, emitter)
}

fn decode_plain(plain: impl Read, emitter: &Emitter) -> Result<(), DecodeError> {
    let watch = Rc::new(Watch::default());
    let mut archive = Archive::new(Watched { inner: plain, watch: Rc::clone(&watch) });
    emitter.begin()?;
    send_all(&mut archive, &watch, emitter)?;
    if watch.is_at_end.get() {
        // The crate takes the end of the file for the end mark.
        return Err(DecodeError::new(FailCode::Damaged, "it ends without an end mark"));
    }
    drain(archive.into_inner())
}

fn send_all(
    archive: &mut Archive<impl Read>,
    watch: &Watch,
    emitter: &Emitter,
) -> Result<(), DecodeError> {
    let mut entries = archive.entries().map_err(|error| failed(&error))?;
    loop {
        watch.budget.set(Some(TAR_HEADER_BYTES_MAX));
        let entry = entries.next();
        watch.budget.set(None);
        let Some(entry) = entry else {
            return Ok(());
        };
        let entry = entry.map_err(|error| failed(&error))?;
        send(entry, emitter)?;
    }
}

/// Reads on to the end of the stream, so that its checksum is looked at.
fn drain(mut rest: impl Read) -> Result<(), DecodeError> {
    let mut tail = (&mut rest).take(TAR_TAIL_BYTES_MAX);
    let read = io::copy(&mut tail, &mut io::sink()).map_err(|error| failed(&error))?;
    if read == TAR_TAIL_BYTES_MAX {
        let message = "too much follows its end mark";
        return Err(DecodeError::new(FailCode::Damaged, message));
    }
    Ok(())
}

fn send(mut entry: Entry<'_, impl Read>, emitter: &Emitter) -> Result<(), DecodeError> {
    let name = text(&entry.path_bytes())?;
    // `tar -C folder .` writes every name with this start, and the folder itself.
    let name = name.strip_prefix("./").unwrap_or(&name);
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        // A comment for all entries; nothing of it is used.
        return Ok(());
    }
    if is_pax_sparse(&mut entry)? {
        return emitter.special(SpecialKind::Sparse, name, "");
    }
    let is_dir = kind.is_dir() || kind == EntryType::Regular && name.ends_with('/');
    if is_dir && (name.is_empty() || name == ".") {
        return Ok(());
    }
    if is_dir {
        return emitter.dir(name);
    }
    let special = match kind {
        EntryType::Regular | EntryType::Continuous => None,
        EntryType::Symlink => Some(SpecialKind::Symlink),
        EntryType::Link => Some(SpecialKind::HardLink),
        EntryType::Char | EntryType::Block => Some(SpecialKind::Device),
        EntryType::Fifo => Some(SpecialKind::Fifo),
        EntryType::GNUSparse => Some(SpecialKind::Sparse),
        _ => Some(SpecialKind::Unknown),
    };
    if let Some(special) = special {
        let target = entry.link_name_bytes().unwrap_or_default();
        return emitter.special(special, name, &String::from_utf8_lossy(&target));
    }
    let mode = entry.header().mode().map_err(|error| failed(&error))?;
    let size = entry.size();
    let copied = emitter.copy_file(name, Some(size), unix_mode::is_executable(mode), &mut entry)?;
    copied.map_err(|error| in_entry(name, &error))
}

/// Sparse files of the newer kind look like regular ones with the map in front of the data.
fn is_pax_sparse(entry: &mut Entry<'_, impl Read>) -> Result<bool, DecodeError> {
    let Some(extensions) = entry.pax_extensions().map_err(|error| failed(&error))? else {
        return Ok(false);
    };
    for extension in extensions {
        let extension = extension.map_err(|error| failed(&error))?;
        if extension.key_bytes().starts_with(b"GNU.sparse.") {
            return Ok(true);
        }
    }
    Ok(false)
}

fn text(bytes: &[u8]) -> Result<String, DecodeError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        let shown = String::from_utf8_lossy(bytes);
        DecodeError::new(FailCode::BadName, format!("its name is not UTF-8: {shown}"))
    })
}

fn in_entry(name: &str, error: &io::Error) -> DecodeError {
    match failed(error) {
        DecodeError::Archive { code, part, message } => {
            DecodeError::Archive { code, part, message: format!("{name}: {message}") }
        }
        gone @ DecodeError::ParentGone => gone,
    }
}

fn failed(error: &io::Error) -> DecodeError {
    match error.kind() {
        io::ErrorKind::OutOfMemory => DecodeError::new(FailCode::Memory, error.to_string()),
        io::ErrorKind::Unsupported => DecodeError::new(FailCode::Unsupported, error.to_string()),
        _ => DecodeError::new(FailCode::Damaged, error.to_string()),
    }
}

/// What is known about the reads below the tar decoder.
#[derive(Default)]
struct Watch {
    /// Bytes that may still be read; `None` while a file's data is read.
    budget: Cell<Option<u64>>,
    is_at_end: Cell<bool>,
}

/// A reader that keeps the decoder from gathering endless names, and sees the end of the file.
struct Watched<R> {
    inner: R,
    watch: Rc<Watch>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buf)?;
        if len == 0 && !buf.is_empty() {
            self.watch.is_at_end.set(true);
        }
        if let Some(budget) = self.watch.budget.get() {
            let left = budget.checked_sub(len as u64);
            let left = left.ok_or_else(|| io::Error::other("its headers are too long"))?;
            self.watch.budget.set(Some(left));
        }
        Ok(len)
    }
}
