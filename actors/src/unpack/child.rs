//! The child process: opens the volumes, gives up every right it does not need, decodes, and
//! writes the stream of entries to its standard output. Must never create a file, and must never
//! be run in a process that does anything else: [`child_main`] confines the whole process.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Seek, Write},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex},
};

use super::{
    confine, decode_rar, decode_sevenz, decode_tar, decode_zip,
    detect::Format,
    emit::{DecodeError, Emitter},
    error::sentence,
    limits::VOLUMES_MAX,
    protocol::FailCode,
};

/// The hidden sub-command by which a program becomes the child.
pub const CHILD_COMMAND: &str = "__unpack";

/// What can be decoded: a file, or in tests a piece of memory.
pub(super) trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// One volume of an archive.
pub(super) type Source = Box<dyn ReadSeek>;

/// The child's `main`, for the arguments after [`CHILD_COMMAND`]: a format and the volumes. A
/// program must call it before it starts threads or opens anything.
pub fn child_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Ok(out) = own_stdout() else {
        return ExitCode::FAILURE;
    };
    let emitter = Emitter::new(Box::new(out));
    let result = run(args.into_iter().collect(), &emitter);
    match emitter.finish(result) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn run(args: Vec<OsString>, emitter: &Emitter) -> Result<(), DecodeError> {
    let mut args = args.into_iter();
    let format = args.next().and_then(|word| Format::from_code(word.to_str()?));
    let paths: Vec<PathBuf> = args.map(PathBuf::from).collect();
    let Some(format) = format.filter(|_| (1..=VOLUMES_MAX).contains(&paths.len())) else {
        return Err(DecodeError::new(FailCode::Usage, "unknown arguments"));
    };
    let mut volumes: Vec<Source> = Vec::with_capacity(paths.len());
    let mut bytes = 0;
    for (part, path) in paths.iter().enumerate() {
        let (file, len) = open(path).map_err(|error| {
            DecodeError::in_part(FailCode::Open, part, sentence(&error.to_string()))
        })?;
        volumes.push(Box::new(file));
        bytes += len;
    }
    let words = remember_panics();
    confine::confine(format, bytes)
        .map_err(|error| DecodeError::new(FailCode::Confine, error.to_string()))?;
    decode_caught(format, volumes, emitter, &words)
}

/// Decodes and sends everything but the last frame; a panic becomes a failure.
pub(super) fn decode_caught(
    format: Format,
    volumes: Vec<Source>,
    emitter: &Emitter,
    words: &LastWords,
) -> Result<(), DecodeError> {
    let decoded = panic::catch_unwind(AssertUnwindSafe(|| decode(format, volumes, emitter)));
    decoded.unwrap_or_else(|_| {
        Err(DecodeError::new(
            FailCode::Crashed,
            format!("the decoder of {format} crashed: {}", words.take()),
        ))
    })
}

fn decode(format: Format, mut volumes: Vec<Source>, emitter: &Emitter) -> Result<(), DecodeError> {
    if matches!(format, Format::Rar | Format::RarOld) {
        return decode_rar::decode(volumes, format, emitter);
    }
    let (Some(volume), true) = (volumes.pop(), volumes.is_empty()) else {
        return Err(DecodeError::new(FailCode::Usage, "one volume is expected"));
    };
    match format {
        Format::Zip => decode_zip::decode(volume, emitter),
        Format::SevenZ => decode_sevenz::decode(volume, emitter),
        Format::Tar | Format::TarGz | Format::TarXz | Format::TarZst => {
            decode_tar::decode(volume, format, emitter)
        }
        Format::Rar | Format::RarOld => Err(DecodeError::new(FailCode::Usage, "unknown arguments")),
    }
}

/// Opens a volume without following a link and without waiting for the other end of a pipe.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;

        use rustix::fs::OFlags;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        options.custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok((file, metadata.len()))
}

/// The standard output without the buffer of the standard library, which looks for line ends.
fn own_stdout() -> io::Result<impl Write> {
    #[cfg(unix)]
    let owned = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned();
    #[cfg(windows)]
    let owned = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned();
    owned.map(File::from)
}

/// What the last panic said.
#[derive(Clone, Default)]
pub(super) struct LastWords(Arc<Mutex<String>>);

impl LastWords {
    fn take(&self) -> String {
        let mut words = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        std::mem::take(&mut *words)
    }
}

/// Keeps the words of a panic for the parent; nobody reads the standard error.
fn remember_panics() -> LastWords {
    let words = LastWords::default();
    let kept = words.clone();
    panic::set_hook(Box::new(move |info| {
        let mut words = kept.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *words = sentence(&info.to_string());
    }));
    words
}
