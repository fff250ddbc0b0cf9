//! One session: commands in, records out, until the input or the node ends.
//!
//! Owns the commands of this session that wait for their answer. A reader that does not read holds
//! up this session alone: events are bounded in the channel, and it is told how many it missed.

use std::{io, time::Duration};

use serde_json::value::RawValue;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    task::JoinSet,
};

use super::{
    lines::{Line, Lines},
    records::{BadLine, CommandLine, Record, no_id},
};
use crate::{
    api::{Command, Refused, Reply},
    handle::{Commander, EventStream},
    limits::control::{COMMAND_LINE_BYTES_MAX, COMMANDS_IN_FLIGHT_MAX},
};

/// What the end of the input means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputEnd {
    /// Standard input: whoever started the node is gone, so the node ends, too.
    Shutdown,
    /// A client of the socket has left: the node goes on.
    Leave,
}

/// How a session behaves.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// What the end of the input means.
    pub input_end: InputEnd,
    /// How long a record may wait for the reader; `None` for ever.
    pub write_deadline: Option<Duration>,
}

type Answered = (Box<RawValue>, Result<Reply, Refused>);

struct Session<W> {
    output: Option<W>,
    options: SessionOptions,
    commander: Commander,
    waiting: JoinSet<Answered>,
}

/// Serves one session to its end. Returns when the node has stopped, or when the input has ended
/// and that does not end the node. An output that breaks ends a session that only leaves; a node
/// that is driven by its input goes on without a listener.
pub async fn serve(
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
    commander: Commander,
    mut events: EventStream,
    options: SessionOptions,
) -> io::Result<()> {
    let mut lines = Lines::new(input, COMMAND_LINE_BYTES_MAX);
    let mut session = Session { output: Some(output), options, commander, waiting: JoinSet::new() };
    let mut is_open = true;
    loop {
        let is_free = session.waiting.len() < COMMANDS_IN_FLIGHT_MAX;
        tokio::select! {
            biased;
            Some(answered) = session.waiting.join_next() => session.on_answered(answered).await?,
            event = events.next() => match event {
                Some(event) => session.write(&Record::Event(event)).await?,
                None => return Ok(()),
            },
            line = lines.next(), if is_open && is_free => match line {
                Ok(Some(line)) => session.on_line(line).await?,
                ended => {
                    if let Err(error) = ended {
                        tracing::warn!(%error, "commands cannot be read any more");
                    }
                    if options.input_end == InputEnd::Leave {
                        return Ok(());
                    }
                    is_open = false;
                    session.commander.begin_shutdown();
                }
            },
        }
    }
}

impl<W: AsyncWrite + Unpin> Session<W> {
    async fn on_line(&mut self, line: Line) -> io::Result<()> {
        let parsed = match line {
            Line::Text(text) => CommandLine::parse(&text),
            Line::TooLong => Err(BadLine::new(no_id(), "the line is too long")),
            Line::NotText => Err(BadLine::new(no_id(), "the line is not UTF-8 text")),
        };
        match parsed {
            Err(bad) => self.write(&bad.into()).await,
            Ok(CommandLine { id, command }) if waits(&command) => {
                let commander = self.commander.clone();
                self.waiting.spawn(async move { (id, commander.command(command).await) });
                Ok(())
            }
            // In the order in which they came: a cancel must not overtake its download.
            Ok(CommandLine { id, command }) => {
                let answer = self.commander.command(command).await;
                self.write(&Record::answer(id, answer)).await
            }
        }
    }

    async fn on_answered(
        &mut self,
        answered: Result<Answered, tokio::task::JoinError>,
    ) -> io::Result<()> {
        match answered {
            Ok((id, answer)) => self.write(&Record::answer(id, answer)).await,
            Err(error) => Err(io::Error::other(format!("a command failed: {error}"))),
        }
    }

    async fn write(&mut self, record: &Record) -> io::Result<()> {
        let Some(output) = &mut self.output else { return Ok(()) };
        let mut line = record.to_line();
        line.push('\n');
        let written = async {
            output.write_all(line.as_bytes()).await?;
            output.flush().await
        };
        let written = match self.options.write_deadline {
            None => written.await,
            Some(deadline) => match tokio::time::timeout(deadline, written).await {
                Ok(written) => written,
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the reader has stopped")),
            },
        };
        match written {
            Err(error) if self.options.input_end == InputEnd::Shutdown => {
                tracing::warn!(%error, "nobody reads the records any more");
                self.output = None;
                Ok(())
            }
            written => written,
        }
    }
}

/// Commands whose answer can take long: others must not wait behind them.
fn waits(command: &Command) -> bool {
    matches!(
        command,
        Command::WaitPeers { .. }
            | Command::Add { .. }
            | Command::Connect { .. }
            | Command::SetGamesDir { .. }
    )
}
