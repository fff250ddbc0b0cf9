//! The JSON records of `run --jsonl` and of the control socket: one object a line.
//!
//! Pure. A line that is not a command becomes an error record, never an end of the session. What
//! goes out holds no raw control or direction character, so that it can be shown on a terminal.

use std::fmt::Write as _;

use lanspread_wire::{is_unprintable, printable_line};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use crate::api::{Command, ErrorCode, Event, Refused, Reply};

/// A command as it came in, with the caller's own id, which goes back unchanged.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// Any JSON value; `null` if there was none.
    pub id: Box<RawValue>,
    /// What is to be done.
    pub command: Command,
}

/// A line that is no command.
#[derive(Clone, Debug)]
pub struct BadLine {
    /// The id, as far as one could be found.
    pub id: Box<RawValue>,
    /// What is wrong with it, with code `bad-command`.
    pub refused: Refused,
}

/// One line from a node.
#[derive(Clone, Debug)]
pub enum Record {
    /// A command was carried out or accepted.
    Result {
        /// The id of the command.
        id: Box<RawValue>,
        /// The answer.
        reply: Reply,
    },
    /// A command was not carried out.
    Error {
        /// The id of the command.
        id: Box<RawValue>,
        /// Why.
        refused: Refused,
    },
    /// Something happened.
    Event(Event),
}

/// Why a line of a node cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("not a record of this version: {0}")]
pub struct BadRecord(String);

/// The id of a command that has none.
pub fn no_id() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

impl CommandLine {
    /// Reads one line.
    pub fn parse(line: &str) -> Result<Self, BadLine> {
        #[derive(Deserialize)]
        struct Id<'a> {
            #[serde(borrow)]
            id: Option<&'a RawValue>,
        }

        // A sequence would do for a struct, but a record is an object.
        if !line.trim_start().starts_with('{') {
            return Err(BadLine::new(no_id(), "it is no JSON object"));
        }
        let id = match serde_json::from_str::<Id<'_>>(line) {
            Ok(Id { id }) => id.map_or_else(no_id, ToOwned::to_owned),
            Err(error) => return Err(BadLine::new(no_id(), &error.to_string())),
        };
        let fields = serde_json::from_str::<Map<String, Value>>(line);
        let command = fields.and_then(|mut fields| {
            fields.remove("id");
            serde_json::from_value(Value::Object(fields))
        });
        match command {
            Ok(command) => Ok(Self { id, command }),
            Err(error) => Err(BadLine::new(id, &error.to_string())),
        }
    }

    /// The line that [`CommandLine::parse`] reads.
    pub fn to_line(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            id: &'a RawValue,
            #[serde(flatten)]
            command: &'a Command,
        }

        line_of(&Line { id: &self.id, command: &self.command })
    }
}

impl BadLine {
    /// A line that is refused with these words.
    pub fn new(id: Box<RawValue>, why: &str) -> Self {
        let message = format!("not a command: {}", printable_line(why));
        Self { id, refused: Refused::new(ErrorCode::BadCommand, message) }
    }
}

impl From<BadLine> for Record {
    fn from(bad: BadLine) -> Self {
        Self::Error { id: bad.id, refused: bad.refused }
    }
}

impl Record {
    /// The record that answers a command.
    pub fn answer(id: Box<RawValue>, answer: Result<Reply, Refused>) -> Self {
        match answer {
            Ok(reply) => Self::Result { id, reply },
            Err(refused) => Self::Error { id, refused },
        }
    }

    /// The record as one line, without the line feed.
    pub fn to_line(&self) -> String {
        #[derive(Serialize)]
        #[serde(tag = "type", rename_all = "kebab-case")]
        enum Line<'a> {
            Result {
                id: &'a RawValue,
                #[serde(flatten)]
                reply: &'a Reply,
            },
            Error {
                id: &'a RawValue,
                #[serde(flatten)]
                refused: &'a Refused,
            },
            Event(&'a Event),
        }

        line_of(&match self {
            Self::Result { id, reply } => Line::Result { id, reply },
            Self::Error { id, refused } => Line::Error { id, refused },
            Self::Event(event) => Line::Event(event),
        })
    }

    /// Reads a line of a node.
    pub fn parse(line: &str) -> Result<Self, BadRecord> {
        let bad = |error: &dyn std::fmt::Display| BadRecord(printable_line(&error.to_string()));
        let mut fields: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| bad(&error))?;
        let kind = fields.remove("type");
        if kind.as_ref().and_then(Value::as_str) == Some("event") {
            let event = serde_json::from_value(Value::Object(fields));
            return event.map(Self::Event).map_err(|error| bad(&error));
        }
        let id = fields.remove("id").unwrap_or(Value::Null);
        let id = RawValue::from_string(id.to_string()).map_err(|error| bad(&error))?;
        let fields = Value::Object(fields);
        match kind.as_ref().and_then(Value::as_str) {
            Some("result") => {
                let reply = serde_json::from_value(fields).map_err(|error| bad(&error))?;
                Ok(Self::Result { id, reply })
            }
            Some("error") => {
                let refused = serde_json::from_value(fields).map_err(|error| bad(&error))?;
                Ok(Self::Error { id, refused })
            }
            _ => Err(bad(&"it has no known type")),
        }
    }
}

/// The JSON of `value`, safe to show.
fn line_of(value: &impl Serialize) -> String {
    match serde_json::to_string(value) {
        Ok(json) => escaped(&json),
        // Only a path that is no text fails; the record is then told as an error.
        Err(error) => {
            let refused = Refused::new(ErrorCode::Internal, printable_line(&error.to_string()));
            serde_json::json!({"type": "error", "id": null, "code": refused.code,
                "message": refused.message})
            .to_string()
        }
    }
}

/// Escapes what JSON allows raw inside of a string but a terminal would obey.
fn escaped(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        if is_unprintable(character) {
            // All of them lie in the basic plane, so one escape is enough.
            write!(line, "\\u{:04x}", u32::from(character)).ok();
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests;
