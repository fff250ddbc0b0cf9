//! Texts that are shown to people: display names and titles. Owns what may stand in them.
//! Must never let a control or direction character of a peer reach a terminal or a window.

use std::{fmt, str::FromStr, sync::Arc};

use thiserror::Error;

use crate::{
    ids::GameId,
    limits::{DISPLAY_NAME_CHARS_MAX, TITLE_CHARS_MAX},
    names::{is_unprintable, printable},
};

/// Why a text is not shown as it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadText {
    /// Nothing to show.
    #[error("{kind} is empty")]
    Empty {
        /// Which kind of text.
        kind: &'static str,
    },
    /// More characters than fit a line.
    #[error("{kind} has more than {max} characters: \"{text}\"")]
    Long {
        /// Which kind of text.
        kind: &'static str,
        /// The limit.
        max: usize,
        /// The text, escaped and cut.
        text: String,
    },
    /// White space at an end, which hides differences between names.
    #[error("{kind} begins or ends with white space: \"{text}\"")]
    Padded {
        /// Which kind of text.
        kind: &'static str,
        /// The text, escaped.
        text: String,
    },
    /// A control or direction character.
    #[error("{kind} holds a character that cannot be shown: \"{text}\"")]
    Unprintable {
        /// Which kind of text.
        kind: &'static str,
        /// The text, escaped.
        text: String,
    },
}

/// The rules shared by all texts of one line.
pub(crate) fn check_text(kind: &'static str, text: &str, max: usize) -> Result<(), BadText> {
    if text.is_empty() {
        return Err(BadText::Empty { kind });
    }
    if text.chars().nth(max).is_some() {
        return Err(BadText::Long { kind, max, text: printable(text) });
    }
    if text.trim() != text {
        return Err(BadText::Padded { kind, text: printable(text) });
    }
    if text.chars().any(is_unprintable) {
        return Err(BadText::Unprintable { kind, text: printable(text) });
    }
    Ok(())
}

/// The nearest text that the rules allow, or nothing if none of it can be shown.
fn nearest(text: &str, max: usize) -> Option<Arc<str>> {
    let shown: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !is_unprintable(*c))
        .collect();
    let cut: String = shown.trim().chars().take(max).collect();
    let cut = cut.trim_end();
    (!cut.is_empty()).then(|| cut.into())
}

macro_rules! line_of_text {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Accepts a text of one line that can be shown as it is.
            pub fn parse(text: &str) -> Result<$name, BadText> {
                check_text($kind, text, $max)?;
                Ok($name(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadText;

            fn from_str(text: &str) -> Result<$name, BadText> {
                $name::parse(text)
            }
        }

        serde_as_text!($name, $name::parse, $kind);
    };
}

/// Serde as a text that is parsed again on the way in.
macro_rules! serde_as_text {
    ($name:ident, $parse:expr, $expected:literal) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        ($parse)(text).map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}
pub(crate) use serde_as_text;

line_of_text!(
    /// What a peer calls itself. Anybody may choose any name: it identifies nobody.
    DisplayName, "display name", DISPLAY_NAME_CHARS_MAX
);
line_of_text!(
    /// What a game is called in a list.
    Title, "title", TITLE_CHARS_MAX
);

impl DisplayName {
    /// The nearest allowed name to a text of our own machine or user.
    pub fn nearest(text: &str) -> Option<DisplayName> {
        nearest(text, DISPLAY_NAME_CHARS_MAX).map(DisplayName)
    }
}

impl Title {
    /// The nearest allowed title to a text of our own machine or user.
    pub fn nearest(text: &str) -> Option<Title> {
        nearest(text, TITLE_CHARS_MAX).map(Title)
    }
}

/// A game without a title is called by its id.
impl From<&GameId> for Title {
    fn from(game: &GameId) -> Title {
        Title(game.as_str().into())
    }
}
