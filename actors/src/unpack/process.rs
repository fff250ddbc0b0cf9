//! One child process and the bytes of its standard output. Must never outlive its value: a child
//! that is dropped is killed, waited for, and its reader joined.

use std::{
    ffi::OsString,
    io::{self, Read},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::limits::{CANCEL_TICK, PIPE_PIECES_MAX, PIPE_READ_BYTES};

/// What came while the parent waited.
pub(super) enum Heard {
    /// Bytes from the child.
    Bytes(Vec<u8>),
    /// The child closed its output.
    End,
    /// The output could not be read.
    Broken(io::Error),
    /// The caller wants to stop.
    Cancelled,
    /// The child was silent for as long as it may be.
    Stalled,
    /// The parent waited for this child as long as it may in all.
    TooSlow,
}

/// A running child.
pub(super) struct ChildProcess {
    child: Child,
    pieces: Option<Receiver<io::Result<Vec<u8>>>>,
    reader: Option<JoinHandle<()>>,
    /// Time that may still be spent on waiting.
    patience: Duration,
    patience_at_start: Duration,
    stall: Duration,
    is_reaped: bool,
}

impl ChildProcess {
    /// Starts `program` with a clean environment and nothing but its output connected.
    pub(super) fn start(
        program: &Path,
        args: &[OsString],
        stall: Duration,
        patience: Duration,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        // Windows finds its own libraries by it.
        if cfg!(windows)
            && let Some(root) = std::env::var_os("SystemRoot")
        {
            command.env("SystemRoot", root);
        }
        let mut process = ChildProcess {
            child: command.spawn()?,
            pieces: None,
            reader: None,
            patience,
            patience_at_start: patience,
            stall,
            is_reaped: false,
        };
        let output = process.child.stdout.take();
        let output = output.ok_or_else(|| io::Error::other("the child has no output"))?;
        let (sender, receiver) = sync_channel(PIPE_PIECES_MAX);
        let reader = thread::Builder::new().name("unpack-reader".to_owned());
        process.reader = Some(reader.spawn(move || read_all(output, &sender))?);
        process.pieces = Some(receiver);
        Ok(process)
    }

    /// Waits for the next bytes, for a reason to give up, or for `cancel`.
    #[expect(clippy::disallowed_methods, reason = "a real process is waited for in real time")]
    pub(super) fn hear(&mut self, cancel: &AtomicBool) -> Heard {
        let Some(pieces) = &self.pieces else {
            return Heard::End;
        };
        let began = Instant::now();
        let heard = loop {
            if cancel.load(Ordering::Relaxed) {
                break Heard::Cancelled;
            }
            match pieces.recv_timeout(CANCEL_TICK) {
                Ok(Ok(bytes)) => break Heard::Bytes(bytes),
                Ok(Err(error)) => break Heard::Broken(error),
                Err(RecvTimeoutError::Disconnected) => break Heard::End,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let waited = began.elapsed();
            if waited >= self.stall {
                break Heard::Stalled;
            }
            if waited >= self.patience {
                break Heard::TooSlow;
            }
        };
        self.patience = self.patience.saturating_sub(began.elapsed());
        heard
    }

    /// How long it may be silent.
    pub(super) fn stall(&self) -> Duration {
        self.stall
    }

    /// How long it may be waited for in all.
    pub(super) fn patience_at_start(&self) -> Duration {
        self.patience_at_start
    }

    /// Makes sure that the process is gone, and tells how it ended. A process that closed its
    /// output is ending, so killing it does not change what it says.
    pub(super) fn end(mut self) -> io::Result<ExitStatus> {
        self.reap()
    }

    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.is_reaped = true;
        // An error means that it has ended already; then there is its status.
        self.child.kill().ok();
        // The reader may stand in a full channel: without a receiver it goes on to the end.
        self.pieces = None;
        let status = self.child.wait();
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
        status
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.reap().ok();
        }
    }
}

fn read_all(mut output: ChildStdout, pieces: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIPE_READ_BYTES];
        let read = match output.read(&mut piece) {
            Ok(0) => return,
            Ok(len) => {
                piece.truncate(len);
                Ok(piece)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = read.is_err();
        if pieces.send(read).is_err() || is_last {
            return;
        }
    }
}

/// How a process ended, as a piece of a sentence.
pub(super) fn how_it_ended(status: io::Result<ExitStatus>) -> String {
    let status = match status {
        Ok(status) => status,
        Err(error) => return format!("ended in an unknown way: {error}"),
    };
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("was ended by signal {signal}{}", why(signal));
    }
    match status.code() {
        Some(code) => format!("ended with exit code {code} and without a word"),
        None => "ended without a word".to_owned(),
    }
}

/// What a signal says about a decoder.
#[cfg(unix)]
fn why(signal: i32) -> &'static str {
    use rustix::process::Signal;

    let known = [
        (Signal::ILL, ": it met an illegal instruction"),
        (Signal::ABORT, ": it gave up, as when memory runs out"),
        (Signal::BUS, ": it met a bus error"),
        (Signal::KILL, ": somebody killed it, as when memory runs out"),
        (Signal::SEGV, ": it met an invalid address"),
        (Signal::XCPU, ": it used up its processor time"),
        (Signal::XFSZ, ": it tried to write a file"),
        (Signal::SYS, ": it made a forbidden system call"),
    ];
    known.iter().find(|(known, _)| known.as_raw() == signal).map_or("", |(_, why)| why)
}
