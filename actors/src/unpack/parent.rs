//! The parent: starts one child for each archive, judges what it sends and hands the tree to the
//! sink. Blocking. Must never hang on a child, and must never leave one behind.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use lanspread_wire::{RelPath, printable};

use super::{
    child::CHILD_COMMAND,
    detect::{Format, HEAD_BYTES},
    error::{UnpackError, sentence},
    limits::{PROGRESS_BYTES, UnpackLimits},
    policy::{Policy, Verdict},
    process::{ChildProcess, Heard, how_it_ended},
    protocol::{FailCode, Frame, FrameParser},
    sink::TreeSink,
    volumes::{LocatedArchive, volume_name},
};

/// What to unpack, and by which program.
#[derive(Clone, Debug)]
pub struct UnpackRequest {
    /// The program that runs [`super::child_main`]; in production the node's own.
    pub program: PathBuf,
    /// The archives of one game in the order in which they are unpacked into one tree.
    pub archives: Vec<LocatedArchive>,
    /// What it may take.
    pub limits: UnpackLimits,
}

/// How far an unpacking is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackProgress<'a> {
    /// The archive.
    pub archive: &'a str,
    /// The file that is being written.
    pub entry: &'a RelPath,
    /// Bytes written so far, over all archives.
    pub bytes_done: u64,
    /// Bytes to write in this archive and the ones before it, where its headers say so.
    pub bytes_total: Option<u64>,
}

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnpackSummary {
    /// Files.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Bytes of files.
    pub bytes: u64,
}

/// Unpacks all archives of the request into the sink. Blocks: call it on a worker thread. When
/// `cancel` becomes true the child is killed and waited for. After an error the tree in the sink
/// is incomplete.
pub fn unpack(
    request: &UnpackRequest,
    sink: &mut dyn TreeSink,
    progress: &mut dyn FnMut(UnpackProgress<'_>),
    cancel: &AtomicBool,
) -> Result<UnpackSummary, UnpackError> {
    let mut policy = Policy::new(request.limits);
    let mut summary = UnpackSummary::default();
    for archive in &request.archives {
        let examined = examine(archive)?;
        policy.open(&archive.name, examined.bytes);
        let mut unpacking = Unpacking::new(archive, &mut policy, sink, progress, &mut summary);
        let mut child = start(request, archive, &examined)?;
        let heard = unpacking.listen(&mut child, cancel);
        unpacking.conclude(child, heard)?;
    }
    Ok(summary)
}

/// What the parent itself learns about an archive.
struct Examined {
    format: Format,
    bytes: u64,
}

fn examine(archive: &LocatedArchive) -> Result<Examined, UnpackError> {
    let mut bytes = 0u64;
    let mut head = Vec::new();
    for path in &archive.volumes {
        let open_error = |source| UnpackError::Open { path: path.clone(), source };
        let metadata = path.symlink_metadata().map_err(open_error)?;
        if !metadata.is_file() {
            return Err(open_error(io::Error::other("it is no regular file")));
        }
        bytes = bytes.saturating_add(metadata.len());
        if head.is_empty() {
            head = read_head(path).map_err(open_error)?;
        }
    }
    match Format::detect(&head, &archive.name) {
        Some(format) => Ok(Examined { format, bytes }),
        None => Err(UnpackError::NotAnArchive {
            archive: printable(&archive.name),
            message: "its content is of no known kind".to_owned(),
        }),
    }
}

fn read_head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    File::open(path)?.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn start(
    request: &UnpackRequest,
    archive: &LocatedArchive,
    examined: &Examined,
) -> Result<ChildProcess, UnpackError> {
    let mut args: Vec<OsString> = vec![CHILD_COMMAND.into(), examined.format.code().into()];
    args.extend(archive.volumes.iter().map(|path| path.clone().into_os_string()));
    let patience = request.limits.wall_for(examined.bytes);
    let child = ChildProcess::start(&request.program, &args, request.limits.stall, patience);
    child.map_err(|source| UnpackError::Start {
        archive: printable(&archive.name),
        program: request.program.clone(),
        source,
    })
}

/// The unpacking of one archive.
pub(super) struct Unpacking<'a> {
    archive: &'a LocatedArchive,
    policy: &'a mut Policy,
    sink: &'a mut dyn TreeSink,
    progress: &'a mut dyn FnMut(UnpackProgress<'_>),
    summary: &'a mut UnpackSummary,
    file: Option<RelPath>,
    bytes_total: Option<u64>,
    /// What the last call of `progress` said.
    bytes_told: u64,
}

impl<'a> Unpacking<'a> {
    pub(super) fn new(
        archive: &'a LocatedArchive,
        policy: &'a mut Policy,
        sink: &'a mut dyn TreeSink,
        progress: &'a mut dyn FnMut(UnpackProgress<'_>),
        summary: &'a mut UnpackSummary,
    ) -> Self {
        Unpacking {
            archive,
            policy,
            sink,
            progress,
            summary,
            file: None,
            bytes_total: None,
            bytes_told: 0,
        }
    }

    /// Reads frames until the child is done and has closed its output.
    fn listen(&mut self, child: &mut ChildProcess, cancel: &AtomicBool) -> Result<(), UnpackError> {
        let mut parser = FrameParser::new();
        loop {
            match child.hear(cancel) {
                Heard::Bytes(bytes) => self.on_bytes(&mut parser, &bytes)?,
                Heard::End if parser.is_empty() => return Ok(()),
                Heard::End => return Err(self.broken("its last frame is cut off")),
                Heard::Broken(error) => return Err(self.broken(&error.to_string())),
                Heard::Cancelled => return Err(UnpackError::Cancelled),
                Heard::Stalled => return Err(self.stalled(child)),
                Heard::TooSlow => return Err(self.too_slow(child)),
            }
        }
    }

    /// Takes the next bytes of the stream, in any pieces.
    pub(super) fn on_bytes(
        &mut self,
        parser: &mut FrameParser,
        bytes: &[u8],
    ) -> Result<(), UnpackError> {
        parser.push(bytes);
        while let Some(frame) =
            parser.next_frame().map_err(|error| self.broken(&error.to_string()))?
        {
            self.on_frame(frame)?;
        }
        Ok(())
    }

    /// Waits for the child's end. What it said comes before how it ended.
    fn conclude(
        &self,
        child: ChildProcess,
        heard: Result<(), UnpackError>,
    ) -> Result<(), UnpackError> {
        let status = child.end();
        heard?;
        if self.policy.is_done() {
            return Ok(());
        }
        Err(UnpackError::Died { archive: self.name(), how: how_it_ended(status) })
    }

    fn on_frame(&mut self, frame: Frame<'_>) -> Result<(), UnpackError> {
        if let Frame::Failed { code, part, message } = frame {
            return Err(self.failed(code, part, message));
        }
        match self.policy.judge(frame)? {
            Verdict::Nothing | Verdict::Done => {}
            Verdict::Begin { entries, bytes } => {
                let before = self.policy.output_bytes();
                self.bytes_total = bytes.map(|bytes| before.saturating_add(bytes));
                self.sink.announce(entries, bytes)?;
            }
            Verdict::Dirs(dirs) => self.create_dirs(&dirs)?,
            Verdict::File { dirs, path, executable } => {
                self.create_dirs(&dirs)?;
                self.sink.begin_file(&path, executable.then_some(true))?;
                self.summary.files += 1;
                self.file = Some(path);
                self.tell();
            }
            Verdict::Data(bytes) => {
                self.sink.write(bytes)?;
                self.summary.bytes += bytes.len() as u64;
                if self.summary.bytes - self.bytes_told >= PROGRESS_BYTES {
                    self.tell();
                }
            }
            Verdict::EndFile => {
                self.sink.end_file()?;
                self.tell();
                self.file = None;
            }
        }
        Ok(())
    }

    fn create_dirs(&mut self, dirs: &[RelPath]) -> Result<(), UnpackError> {
        for dir in dirs {
            self.sink.create_dir(dir)?;
            self.summary.dirs += 1;
        }
        Ok(())
    }

    fn tell(&mut self) {
        if let Some(entry) = &self.file {
            self.bytes_told = self.summary.bytes;
            (self.progress)(UnpackProgress {
                archive: &self.archive.name,
                entry,
                bytes_done: self.bytes_told,
                bytes_total: self.bytes_total,
            });
        }
    }

    /// The child's own word for its failure, with the names that only the parent knows.
    fn failed(&self, code: FailCode, part: Option<u32>, message: &str) -> UnpackError {
        let archive = self.name();
        let message = sentence(message);
        match code {
            FailCode::Encrypted => UnpackError::Encrypted { archive, entry: message },
            FailCode::MissingVolume => {
                UnpackError::MissingVolume { archive, part: self.part_name(part) }
            }
            FailCode::Damaged => UnpackError::Damaged { part: self.part_name(part), message },
            FailCode::NotThisFormat => UnpackError::NotAnArchive { archive, message },
            FailCode::Unsupported => UnpackError::Unsupported { archive, message },
            FailCode::Memory => UnpackError::Memory { archive, message },
            FailCode::BadName | FailCode::Duplicate => UnpackError::BadName { archive, message },
            FailCode::Open => UnpackError::Open {
                path: self.volume(part).to_owned(),
                source: io::Error::other(message),
            },
            FailCode::Usage | FailCode::Confine | FailCode::Crashed => {
                UnpackError::Protocol { archive, message }
            }
        }
    }

    fn name(&self) -> String {
        printable(&self.archive.name)
    }

    fn volume(&self, part: Option<u32>) -> &Path {
        let part = part.and_then(|part| usize::try_from(part).ok()).unwrap_or(0);
        let volume = self.archive.volumes.get(part).or(self.archive.volumes.first());
        volume.map_or(Path::new(&self.archive.name), PathBuf::as_path)
    }

    /// The file name of a volume, also of one that is not there.
    fn part_name(&self, part: Option<u32>) -> String {
        let number = part.unwrap_or(0);
        let known = self.volume(part);
        let known = known.file_name().and_then(|name| name.to_str()).unwrap_or(&self.archive.name);
        if (number as usize) < self.archive.volumes.len() {
            return printable(known);
        }
        printable(&volume_name(known, number))
    }

    fn broken(&self, message: &str) -> UnpackError {
        UnpackError::Protocol { archive: self.name(), message: message.to_owned() }
    }

    fn stalled(&self, child: &ChildProcess) -> UnpackError {
        UnpackError::Stalled { archive: self.name(), seconds: child.stall().as_secs() }
    }

    fn too_slow(&self, child: &ChildProcess) -> UnpackError {
        UnpackError::TooSlow { archive: self.name(), seconds: child.patience_at_start().as_secs() }
    }
}
