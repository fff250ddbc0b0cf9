//! The two directions of a client's connection. Commands get numbers; answers find their asker.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::value::{RawValue, to_raw_value};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::{broadcast, mpsc, oneshot, watch},
};

use crate::{
    api::{Command, Event, Refused, Reply},
    control::{
        lines::{Line, Lines},
        records::{CommandLine, Record, no_id},
    },
    limits::control::RECORD_LINE_BYTES_MAX,
};

/// A command that waits for its answer.
pub(super) struct Asked {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<Reply, Refused>>,
}

type Waiting = Arc<Mutex<BTreeMap<u64, oneshot::Sender<Result<Reply, Refused>>>>>;

/// Drives the connection until either side ends it, then tells it by `end`. The directions are
/// independent of each other: a full one must not stop the other.
pub(super) async fn drive(
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
    asked: mpsc::Receiver<Asked>,
    events: broadcast::Sender<Event>,
    end: watch::Sender<bool>,
) {
    let waiting = Waiting::default();
    tokio::select! {
        () = read(input, &waiting, &events) => {}
        () = write(output, asked, &waiting) => {}
    }
    drop(waiting); // whoever still waits is told that nobody will answer
    end.send_replace(true);
}

async fn read(input: impl AsyncRead + Unpin, waiting: &Waiting, events: &broadcast::Sender<Event>) {
    let mut lines = Lines::new(input, RECORD_LINE_BYTES_MAX);
    loop {
        let text = match lines.next().await {
            Ok(Some(Line::Text(text))) => text,
            Ok(Some(line)) => {
                tracing::warn!(?line, "a record of the node cannot be read");
                continue;
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "the connection to the node broke");
                return;
            }
        };
        match Record::parse(&text) {
            // Nobody listens: nobody needs it.
            Ok(Record::Event(event)) => {
                events.send(event).ok();
            }
            Ok(Record::Result { id, reply }) => answer(waiting, &id, Ok(reply)),
            Ok(Record::Error { id, refused }) => answer(waiting, &id, Err(refused)),
            Err(error) => tracing::warn!(%error, "passed over a record of the node"),
        }
    }
}

async fn write(
    mut output: impl AsyncWrite + Unpin,
    mut asked: mpsc::Receiver<Asked>,
    waiting: &Waiting,
) {
    let mut number = 0;
    while let Some(Asked { command, answer }) = asked.recv().await {
        number += 1;
        lock(waiting).insert(number, answer);
        let id = to_raw_value(&number).unwrap_or_else(|_| no_id());
        let mut line = CommandLine { id, command }.to_line();
        line.push('\n');
        let written = async {
            output.write_all(line.as_bytes()).await?;
            output.flush().await
        };
        if let Err(error) = written.await {
            tracing::debug!(%error, "the connection to the node broke");
            return;
        }
    }
    // Every asker is gone, but somebody may still listen to events.
    std::future::pending().await
}

fn answer(waiting: &Waiting, id: &RawValue, answer: Result<Reply, Refused>) {
    let asker = id.get().parse().ok().and_then(|number: u64| lock(waiting).remove(&number));
    match asker {
        // An asker that gave up wants no answer.
        Some(asker) => {
            asker.send(answer).ok();
        }
        None => tracing::warn!("an answer that nobody waits for"),
    }
}

fn lock(
    waiting: &Waiting,
) -> std::sync::MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Result<Reply, Refused>>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
