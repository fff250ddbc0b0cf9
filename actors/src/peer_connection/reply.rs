//! The sending half of a request stream. Must never let an answer that was not sent to its end look
//! like a whole one: dropping a stream of QUIC ends it as if it were complete, dropping a [`Reply`]
//! resets it.

use bytes::Bytes;
use lanspread_wire::{Refusal, Response, encode_frame};
use quinn::{SendStream, VarInt, WriteError};
use tokio::time::timeout;

use super::limits::SEND_PROGRESS_DEADLINE;

/// One answer, on its way.
#[derive(Debug)]
pub(crate) struct Reply {
    stream: SendStream,
    whole: bool,
    /// What the stream is reset with unless it comes to its end.
    otherwise: VarInt,
}

/// Why an answer was not sent to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The peer does not want it any more.
    Cancelled,
    /// The peer takes nothing any more.
    Stalled,
    /// The connection is gone.
    Gone,
}

impl Reply {
    pub(crate) fn new(stream: SendStream) -> Self {
        Self { stream, whole: false, otherwise: reset_code(Refusal::Io) }
    }

    /// Sends this answer after all others of higher priority.
    pub(crate) fn set_priority(&self, priority: i32) {
        // It fails on a stream that is closed, which the next write finds out.
        self.stream.set_priority(priority).ok();
    }

    /// Resolves when the peer does not want the answer any more, or the connection is gone.
    pub(crate) fn unwanted(&self) -> impl Future<Output = Cut> + Send + 'static {
        let stopped = self.stream.stopped();
        async move {
            match stopped.await {
                Ok(_) => Cut::Cancelled,
                Err(_) => Cut::Gone,
            }
        }
    }

    /// Sends the frame before the bytes.
    pub(crate) async fn accept(&mut self, len: u64) -> Result<(), Cut> {
        self.frame(&Response::Ok { len }).await
    }

    /// Sends bytes of the answer, as they are.
    pub(crate) async fn send(&mut self, bytes: Bytes) -> Result<(), Cut> {
        let mut left = [bytes];
        while !left[0].is_empty() {
            let written = timeout(SEND_PROGRESS_DEADLINE, self.stream.write_chunks(&mut left));
            written.await.map_err(|_| Cut::Stalled)?.map_err(cut)?;
        }
        Ok(())
    }

    /// The answer is whole.
    pub(crate) fn finish(mut self) {
        self.whole = self.stream.finish().is_ok();
    }

    /// Says no instead of an answer.
    pub(crate) async fn refuse(mut self, reason: Refusal) -> Result<(), Cut> {
        self.otherwise = reset_code(reason);
        self.frame(&Response::Refused { reason }).await?;
        self.finish();
        Ok(())
    }

    /// Gives up in the middle of the answer.
    pub(crate) fn give_up(mut self, reason: Refusal) {
        self.otherwise = reset_code(reason);
    }

    async fn frame(&mut self, response: &Response) -> Result<(), Cut> {
        match encode_frame(response) {
            Ok(frame) => self.send(frame.into()).await,
            Err(error) => {
                tracing::error!(%error, "an answer that cannot be written");
                Err(Cut::Gone)
            }
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.whole {
            // It fails if the peer has stopped the stream already, which is the same.
            self.stream.reset(self.otherwise).ok();
        }
    }
}

fn reset_code(reason: Refusal) -> VarInt {
    VarInt::from_u32(reason.reset_code())
}

fn cut(error: WriteError) -> Cut {
    match error {
        WriteError::Stopped(_) => Cut::Cancelled,
        _ => Cut::Gone,
    }
}
