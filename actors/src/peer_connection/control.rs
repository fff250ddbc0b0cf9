//! The control stream: a task that reads it and one that writes it. They own its two halves and
//! decide nothing but what is no message at all.
//!
//! The reader takes a credit for each message and hands it on with it; without a credit, or above
//! the rate, it does not read, and the peer's own flow control stops the peer. The writer has a
//! short queue; a peer that does not read is found by a deadline on progress.

use std::{sync::Arc, time::Duration};

use lanspread_wire::{CloseCode, CodecError, Control, FrameReader, decode_frame};
use quinn::{ReadError, RecvStream, SendStream, WriteError};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep, timeout_at},
};

use super::{
    end::Fault,
    limits::{
        CONTROL_BURST, CONTROL_IN_FLIGHT_MAX, CONTROL_RATE, DELTA_COST, FRAME_DEADLINE,
        SEND_PROGRESS_DEADLINE,
    },
    rate::TokenBucket,
};

/// What the reader hands on.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A message, the bytes it came in, and the credit that is given back when it was handled.
    Message { control: Control, bytes: usize, credit: OwnedSemaphorePermit },
    /// A greeting of another version of the protocol.
    OtherVersion { theirs: u16 },
    /// The peer's half cannot be read on.
    Faulted(Fault),
}

/// What the writer is given.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// One frame, with the credit of the message that it answers: a peer that does not take our
    /// answers is not read either.
    Frame { frame: Vec<u8>, credit: Option<OwnedSemaphorePermit> },
    /// Frames of the library; reported when they have left.
    Library(Vec<Vec<u8>>),
}

/// What the writer reports.
#[derive(Debug)]
pub(crate) enum Wrote {
    /// The library frames given last have left.
    Library,
    /// The peer does not take anything.
    Faulted(Fault),
}

/// Reads messages until `hand_on` says that nobody listens, or the stream cannot be read on.
pub(crate) async fn read(mut stream: RecvStream, hand_on: impl Fn(Heard) -> bool) {
    let mut reader = Reader::new();
    loop {
        let heard = match reader.next(&mut stream).await {
            Ok(Some(heard)) => heard,
            // The end of the connection is told by whoever watches it.
            Ok(None) => return,
            Err(fault) => Heard::Faulted(fault),
        };
        let last = !matches!(heard, Heard::Message { .. });
        if !hand_on(heard) || last {
            return;
        }
    }
}

struct Reader {
    frames: FrameReader,
    credits: Arc<Semaphore>,
    bucket: TokenBucket,
    started: Instant,
    /// When the frame that has begun must have ended.
    deadline: Option<Instant>,
}

impl Reader {
    fn new() -> Self {
        Self {
            frames: FrameReader::new(),
            credits: Arc::new(Semaphore::new(CONTROL_IN_FLIGHT_MAX)),
            bucket: TokenBucket::new(CONTROL_RATE, CONTROL_BURST),
            started: Instant::now(),
            deadline: None,
        }
    }

    async fn next(&mut self, stream: &mut RecvStream) -> Result<Option<Heard>, Fault> {
        let Some(body) = self.frame(stream).await? else {
            return Ok(None);
        };
        let control: Control = match decode_frame(&body) {
            Ok(control) => control,
            Err(CodecError::Version { theirs, .. }) => {
                return Ok(Some(Heard::OtherVersion { theirs }));
            }
            Err(error) => return Err(error.into()),
        };
        self.pace(&control).await;
        let Ok(credit) = self.credits.clone().acquire_owned().await else {
            return Ok(None);
        };
        Ok(Some(Heard::Message { control, bytes: body.len(), credit }))
    }

    /// The next frame; `None` when the connection is over.
    async fn frame(&mut self, stream: &mut RecvStream) -> Result<Option<Vec<u8>>, Fault> {
        loop {
            if let Some(body) = self.frames.next()? {
                self.deadline = None;
                return Ok(Some(body));
            }
            if self.frames.bytes_waiting() > 0 {
                self.deadline.get_or_insert_with(|| Instant::now() + FRAME_DEADLINE);
            }
            let read = stream.read_chunk(READ_BYTES_MAX, true);
            let read = match self.deadline {
                None => read.await,
                Some(deadline) => timeout_at(deadline, read)
                    .await
                    .map_err(|_| Fault::new(CloseCode::Stalled, "a frame that never ended"))?,
            };
            match read {
                Ok(Some(chunk)) => self.frames.push(&chunk.bytes),
                Ok(None) => {
                    self.frames.finish()?;
                    return Err(Fault::new(CloseCode::State, "the control stream was ended"));
                }
                Err(ReadError::ConnectionLost(_)) => return Ok(None),
                Err(_) => {
                    return Err(Fault::new(CloseCode::State, "the control stream was reset"));
                }
            }
        }
    }

    async fn pace(&mut self, control: &Control) {
        let cost = if matches!(control, Control::Delta(_)) { DELTA_COST } else { 1 };
        while let Err(wait) = self.bucket.take(self.started.elapsed(), cost) {
            // Timers tick in milliseconds: a shorter wait would spin.
            sleep(wait.max(Duration::from_millis(1))).await;
        }
    }
}

/// Writes what it is given until the other end of the channel is dropped.
pub(crate) async fn write(
    mut stream: SendStream,
    mut queue: mpsc::Receiver<Outgoing>,
    report: impl Fn(Wrote) -> bool,
) {
    while let Some(outgoing) = queue.recv().await {
        let (frames, credit, is_library) = match outgoing {
            Outgoing::Frame { frame, credit } => (vec![frame], credit, false),
            Outgoing::Library(frames) => (frames, None, true),
        };
        for frame in &frames {
            match write_frame(&mut stream, frame).await {
                Ok(()) => {}
                Err(Some(fault)) => {
                    report(Wrote::Faulted(fault));
                    return;
                }
                Err(None) => return,
            }
        }
        drop(credit);
        if is_library && !report(Wrote::Library) {
            return;
        }
    }
}

/// Writes one frame as long as the peer takes some of it now and then.
async fn write_frame(stream: &mut SendStream, frame: &[u8]) -> Result<(), Option<Fault>> {
    let mut left = frame;
    while !left.is_empty() {
        let deadline = Instant::now() + SEND_PROGRESS_DEADLINE;
        let written = timeout_at(deadline, stream.write(left)).await.map_err(|_| {
            Some(Fault::new(CloseCode::Stalled, "the peer does not read its control stream"))
        })?;
        match written {
            Ok(count) => left = &left[count..],
            Err(WriteError::ConnectionLost(_)) => return Err(None),
            Err(_) => {
                return Err(Some(Fault::new(CloseCode::State, "the control stream was stopped")));
            }
        }
    }
    Ok(())
}

/// What one read of the stream takes at most.
const READ_BYTES_MAX: usize = 64 * 1024;
