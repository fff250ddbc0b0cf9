//! Decodes RAR of every generation, alone or in volumes. Must never ask for a password, create a
//! link, or take an archive without its end for complete where the format has an end mark.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, SeekFrom, Write},
};

use rars::{
    Archive, ArchiveFamily, ArchiveMemberRef, ArchiveReadOptions, ArchiveReader, AttrSource, Error,
    ErrorKind, ExtractedEntryMeta, ExtractedLink, extract_volumes_with_links,
    filename::LegacyNameEncoding,
};

use super::{
    child::Source,
    detect::Format,
    emit::{DecodeError, Emitter},
    limits::{
        CHILD_OWN_BYTES, DECODER_MEMORY_BYTES, RAR_BUFFERED_BYTES, RAR_BUFFERED_RETRY_BYTES,
        RAR_HEADER_BYTES_MAX, RAR_HEADERS_MAX, child_address_bytes,
    },
    protocol::{EntryKind, FailCode, SpecialKind},
    rar_volumes, unix_mode,
};

/// Sends all entries of a RAR archive.
pub(super) fn decode(
    mut volumes: Vec<Source>,
    format: Format,
    emitter: &Emitter,
) -> Result<(), DecodeError> {
    let bytes =
        volumes.iter_mut().map(|volume| volume.seek(SeekFrom::End(0))).sum::<Result<_, _>>();
    let bytes = bytes.map_err(|error| DecodeError::new(FailCode::Open, error.to_string()))?;
    let options = ArchiveReadOptions::new()
        .with_max_header_count(RAR_HEADERS_MAX)
        .with_max_header_bytes(RAR_HEADER_BYTES_MAX)
        .with_max_reader_workspace_bytes(child_address_bytes(format, bytes) - CHILD_OWN_BYTES);
    let mut archives = Vec::with_capacity(volumes.len());
    for (part, volume) in volumes.into_iter().enumerate() {
        let archive = ArchiveReader::read_reader_with_options(volume, options);
        archives.push(archive.map_err(|error| failed(&error, Some(part)))?);
    }
    rar_volumes::check(&archives)?;
    let members = list(&archives, emitter)?;
    check_dictionaries(&archives)?;
    emitter.begin()?;
    let options = match archives.first().map(Archive::family) {
        Some(ArchiveFamily::Rar50Plus) => options,
        // Any bound of the whole output keeps the library from holding the output of a member of
        // an older archive in memory. The parent counts what comes out.
        _ => options.with_max_total_output_bytes(u64::MAX),
    };
    in_two_attempts(emitter, |buffered_bytes| {
        let options = options.with_rar50_buffered_decode_limit(buffered_bytes);
        extract(&archives, options, members.clone(), emitter)
    })
}

/// Decodes with the small buffer that is enough for every archive met so far, and with a large
/// one where a member has a filter that cannot be streamed.
fn in_two_attempts(
    emitter: &Emitter,
    mut attempt: impl FnMut(u64) -> Result<(), Stopped>,
) -> Result<(), DecodeError> {
    match attempt(RAR_BUFFERED_BYTES) {
        Err(Stopped::NeedsBuffer) => {
            emitter.replay();
            attempt(RAR_BUFFERED_RETRY_BYTES).map_err(Stopped::into_error)
        }
        other => other.map_err(Stopped::into_error),
    }
}

/// A file or directory that the headers name, with its size where they state one.
#[derive(Clone)]
struct Member {
    raw_name: Vec<u8>,
    size: Option<u64>,
}

/// Announces every member once, and says what each one is before anything is decoded.
fn list(archives: &[Archive], emitter: &Emitter) -> Result<VecDeque<Member>, DecodeError> {
    let mut members = VecDeque::new();
    for (part, archive) in archives.iter().enumerate() {
        for member in archive.member_refs().filter(|member| !member.is_split_before()) {
            let name = text(
                member.name_bytes(),
                member.name_is_unicode(),
                archive.family(),
                member.to_owned().meta.attr_source(),
            )?;
            let owned = member.to_owned();
            if owned.meta.is_encrypted {
                return Err(DecodeError::in_part(FailCode::Encrypted, part, name));
            }
            let size = known_size(member);
            emitter.list(kind(member), &name, size)?;
            members.push_back(Member { raw_name: member.name_bytes().to_vec(), size });
        }
    }
    Ok(members)
}

fn known_size(member: ArchiveMemberRef<'_>) -> Option<u64> {
    match member {
        ArchiveMemberRef::Rar50Plus(file) => file.known_unpacked_size(),
        other => Some(other.to_owned().meta.unpacked_size),
    }
}

fn kind(member: ArchiveMemberRef<'_>) -> EntryKind {
    if let ArchiveMemberRef::Rar50Plus(file) = member
        && let Some(redirection) = &file.redirection
    {
        return EntryKind::Special(match redirection.redirection_type {
            1 | 2 => SpecialKind::Symlink,
            3 => SpecialKind::Junction,
            4 => SpecialKind::HardLink,
            5 => SpecialKind::FileCopy,
            _ => SpecialKind::Unknown,
        });
    }
    let meta = member.to_owned().meta;
    match unix_special(meta.attr_source(), meta.file_attr) {
        Some(special) => EntryKind::Special(special),
        None if meta.is_directory => EntryKind::Dir,
        None => EntryKind::File,
    }
}

fn unix_special(source: AttrSource, attributes: u64) -> Option<SpecialKind> {
    let mode = unix_mode_bits(source, attributes)?;
    unix_mode::special(mode)
}

fn unix_mode_bits(source: AttrSource, attributes: u64) -> Option<u32> {
    match source {
        AttrSource::Unix => u32::try_from(attributes & 0xffff).ok(),
        _ => None,
    }
}

/// A dictionary is only a problem as far as there is data to fill it.
fn check_dictionaries(archives: &[Archive]) -> Result<(), DecodeError> {
    let is_solid = archives.iter().any(Archive::is_solid);
    let total: u64 = archives
        .iter()
        .flat_map(Archive::member_refs)
        .filter_map(known_size)
        .fold(0, u64::saturating_add);
    for member in archives.iter().flat_map(Archive::member_refs) {
        let ArchiveMemberRef::Rar50Plus(file) = member else {
            continue;
        };
        if file.is_stored() || file.is_directory() || file.is_redirection() {
            continue;
        }
        let info = file.decoded_compression_info().map_err(|error| failed(&error, None))?;
        let filled = if is_solid { Some(total) } else { file.known_unpacked_size() };
        let needed = filled.map_or(info.dictionary_size, |size| size.min(info.dictionary_size));
        if needed > DECODER_MEMORY_BYTES {
            let message = format!("a dictionary of {} bytes", info.dictionary_size);
            return Err(DecodeError::new(FailCode::Memory, message));
        }
    }
    Ok(())
}

/// Why an attempt ended.
enum Stopped {
    /// A member cannot be streamed; another attempt may hold it in memory.
    NeedsBuffer,
    Failed(DecodeError),
}

impl Stopped {
    fn into_error(self) -> DecodeError {
        match self {
            Stopped::NeedsBuffer => {
                DecodeError::new(FailCode::Memory, "a file that has to be held in memory whole")
            }
            Stopped::Failed(error) => error,
        }
    }
}

fn extract(
    archives: &[Archive],
    options: ArchiveReadOptions<'_>,
    members: VecDeque<Member>,
    emitter: &Emitter,
) -> Result<(), Stopped> {
    let session = RefCell::new(Session {
        emitter: emitter.clone(),
        family: archives.first().map(Archive::family),
        members,
        is_file_open: false,
        failure: None,
    });
    let open = |meta: &ExtractedEntryMeta| session.borrow_mut().open(meta);
    let link =
        |meta: &ExtractedEntryMeta, link: ExtractedLink<'_>| session.borrow_mut().link(meta, link);
    let extracted = match archives {
        [archive] => archive.extract_with_links(options, open, link),
        volumes => extract_volumes_with_links(volumes, options, open, link),
    };
    let mut session = session.into_inner();
    match extracted {
        Ok(()) => session.close().map_err(Stopped::Failed),
        Err(error) => Err(session.stopped(&error)),
    }
}

/// What the callbacks of one attempt share.
struct Session {
    emitter: Emitter,
    family: Option<ArchiveFamily>,
    members: VecDeque<Member>,
    is_file_open: bool,
    /// The first failure of a callback, which the library can only pass on as an I/O error.
    failure: Option<DecodeError>,
}

impl Session {
    /// The library has verified a file when it turns to the next one.
    fn close(&mut self) -> Result<(), DecodeError> {
        if std::mem::take(&mut self.is_file_open) {
            self.emitter.end_file()?;
        }
        Ok(())
    }

    fn open(&mut self, meta: &ExtractedEntryMeta) -> rars::Result<Box<dyn Write>> {
        match self.try_open(meta) {
            Ok(writer) => Ok(writer),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn try_open(&mut self, meta: &ExtractedEntryMeta) -> Result<Box<dyn Write>, DecodeError> {
        self.close()?;
        let name = self.name(meta)?;
        if let Some(special) = unix_special(meta.attr_source, meta.file_attr) {
            self.emitter.special(special, &name, "")?;
            return Ok(Box::new(io::sink()));
        }
        let size = self.size(meta);
        if meta.is_directory {
            self.emitter.dir(&name)?;
            return Ok(Box::new(io::sink()));
        }
        let mode = unix_mode_bits(meta.attr_source, meta.file_attr);
        let executable = mode.is_some_and(unix_mode::is_executable);
        self.emitter.file(&name, size, executable)?;
        self.is_file_open = true;
        Ok(Box::new(MemberWriter(self.emitter.clone())))
    }

    fn link(&mut self, meta: &ExtractedEntryMeta, link: ExtractedLink<'_>) -> rars::Result<()> {
        let kind = match link {
            ExtractedLink::Symlink { .. } => SpecialKind::Symlink,
            ExtractedLink::Junction { .. } => SpecialKind::Junction,
            ExtractedLink::HardLink { .. } => SpecialKind::HardLink,
            ExtractedLink::FileCopy { .. } => SpecialKind::FileCopy,
            _ => SpecialKind::Unknown,
        };
        let target = String::from_utf8_lossy(link.target()).into_owned();
        let sent = self.close().and_then(|()| self.name(meta));
        match sent.and_then(|name| self.emitter.special(kind, &name, &target)) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn name(&self, meta: &ExtractedEntryMeta) -> Result<String, DecodeError> {
        let family = self.family.unwrap_or(ArchiveFamily::Rar50Plus);
        text(meta.name_bytes(), meta.name_is_unicode, family, meta.attr_source)
    }

    /// The size from the headers; members come in their order.
    fn size(&mut self, meta: &ExtractedEntryMeta) -> Option<u64> {
        while let Some(member) = self.members.pop_front() {
            if member.raw_name == meta.name_bytes() {
                return member.size;
            }
        }
        None
    }

    fn fail(&mut self, error: DecodeError) -> Error {
        self.failure.get_or_insert(error);
        Error::from(io::Error::other("stopped"))
    }

    fn stopped(&mut self, error: &Error) -> Stopped {
        if self.emitter.is_parent_gone() {
            return Stopped::Failed(DecodeError::ParentGone);
        }
        if let Some(failure) = self.failure.take() {
            return Stopped::Failed(failure);
        }
        match error.root_cause() {
            Error::Rar50BufferedDecodeLimitExceeded { .. } => Stopped::NeedsBuffer,
            _ => Stopped::Failed(failed(error, None)),
        }
    }
}

struct MemberWriter(Emitter);

impl Write for MemberWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.data(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(DecodeError::ParentGone) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(DecodeError::Archive { message, .. }) => Err(io::Error::other(message)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The name as text. Old archives of DOS and Windows separate with a backslash, and have names in
/// the code page of their time unless they say otherwise.
fn text(
    raw: &[u8],
    is_unicode: bool,
    family: ArchiveFamily,
    source: AttrSource,
) -> Result<String, DecodeError> {
    let unmapped = match family {
        ArchiveFamily::Rar50Plus => rars::filename::decode_rar50(raw),
        _ => raw.into(),
    };
    let name = match std::str::from_utf8(&unmapped) {
        Ok(name) => name.to_owned(),
        Err(_) if family != ArchiveFamily::Rar50Plus && !is_unicode => {
            let decoded = LegacyNameEncoding::Cp437.decode(&unmapped);
            decoded.map_err(|error| DecodeError::new(FailCode::BadName, error.to_string()))?
        }
        Err(_) => {
            let shown = String::from_utf8_lossy(raw);
            let message = format!("its name is not UTF-8: {shown}");
            return Err(DecodeError::new(FailCode::BadName, message));
        }
    };
    if family == ArchiveFamily::Rar50Plus || source == AttrSource::Unix {
        return Ok(name);
    }
    Ok(name.replace('\\', "/"))
}

/// The library's error, with the volume where it names one.
fn failed(error: &Error, part: Option<usize>) -> DecodeError {
    let code = match error.kind() {
        ErrorKind::PasswordRequired | ErrorKind::BadPassword => FailCode::Encrypted,
        ErrorKind::ResourceLimit => FailCode::Memory,
        ErrorKind::UnsupportedFormat => FailCode::NotThisFormat,
        ErrorKind::UnsupportedFeature => FailCode::Unsupported,
        _ => FailCode::Damaged,
    };
    let message = match code {
        FailCode::Encrypted => "its list of entries".to_owned(),
        _ => error.to_string(),
    };
    match part.or_else(|| volume_of(error)) {
        Some(part) => DecodeError::in_part(code, part, message),
        None => DecodeError::new(code, message),
    }
}

fn volume_of(error: &Error) -> Option<usize> {
    match error {
        Error::InVolume { number, .. } => number.checked_sub(1),
        Error::AtEntry { source, .. } | Error::AtArchiveOffset { source, .. } => volume_of(source),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::Shared, *};

    fn session(emitter: &Emitter) -> Session {
        Session {
            emitter: emitter.clone(),
            family: None,
            members: VecDeque::new(),
            is_file_open: false,
            failure: None,
        }
    }

    /// The error is wrapped in the name of its entry and, in a set, in the number of its volume.
    #[test]
    fn only_a_filter_that_cannot_be_streamed_asks_for_another_attempt() {
        let emitter = Emitter::new(Box::new(Shared::default()));
        let limit = Error::Rar50BufferedDecodeLimitExceeded { limit: 1, required: 2 };
        let wrapped = Error::InVolume {
            number: 2,
            source: Box::new(limit.at_entry(b"a".to_vec(), "decoding")),
        };
        assert!(matches!(session(&emitter).stopped(&wrapped), Stopped::NeedsBuffer));
        let other = Error::InVolume {
            number: 2,
            source: Box::new(Error::TooShort.at_entry(b"a".to_vec(), "decoding")),
        };
        let Stopped::Failed(DecodeError::Archive { code, part, message }) =
            session(&emitter).stopped(&other)
        else {
            panic!("another failure must not be tried again");
        };
        assert_eq!((code, part), (FailCode::Damaged, Some(1)));
        assert!(message.contains("'a'"), "{message}");
    }

    #[test]
    fn the_second_attempt_has_the_larger_buffer_and_is_the_last() {
        let out = Shared::default();
        let emitter = Emitter::new(Box::new(out.clone()));
        let mut limits = Vec::new();
        let decoded = in_two_attempts(&emitter, |limit| {
            limits.push(limit);
            emitter.file("a", None, false).map_err(Stopped::Failed)?;
            emitter.data(b"12").map_err(Stopped::Failed)?;
            if limits.len() == 1 {
                return Err(Stopped::NeedsBuffer);
            }
            emitter.data(b"34").map_err(Stopped::Failed)?;
            emitter.end_file().map_err(Stopped::Failed)
        });
        assert!(emitter.finish(decoded));
        assert_eq!(limits, [RAR_BUFFERED_BYTES, RAR_BUFFERED_RETRY_BYTES]);

        let again = in_two_attempts(&emitter, |_| Err(Stopped::NeedsBuffer));
        assert!(matches!(again, Err(DecodeError::Archive { code: FailCode::Memory, .. })));
    }
}
