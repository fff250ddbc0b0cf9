//! Relative paths: the only way from the wire to the file system. A [`RelPath`] cannot name
//! anything outside the folder it is joined to, on any operating system.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{
    limits::{PATH_DEPTH_MAX, PATH_UNITS_MAX},
    names::{BadName, check_component, fold_key, is_folded_litter, printable},
    text::serde_as_text,
};

/// A validated relative path with `/` between its components, ordered by bytes. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Arc<str>);

impl RelPath {
    /// Accepts a path whose components all pass [`check_component`] and that is neither too long
    /// nor too deep. Nothing is repaired.
    pub fn parse(text: &str) -> Result<RelPath, BadName> {
        if text.is_empty() {
            return Err(BadName::Empty);
        }
        // Bytes first: it is cheap, and one unit never takes more than three of them.
        if text.len() > 3 * PATH_UNITS_MAX || text.encode_utf16().count() > PATH_UNITS_MAX {
            return Err(BadName::LongPath(printable(text)));
        }
        if text.split('/').count() > PATH_DEPTH_MAX {
            return Err(BadName::DeepPath(printable(text)));
        }
        for component in text.split('/') {
            if component.is_empty() {
                return Err(BadName::EmptyComponent(printable(text)));
            }
            check_component(component)?;
        }
        Ok(RelPath(text.into()))
    }

    /// The path below this one with one more component.
    pub fn join(&self, component: &str) -> Result<RelPath, BadName> {
        RelPath::parse(&format!("{}/{component}", self.0))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components, from the outermost to the last.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.0.split('/')
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The directory it lies in, or nothing at the top.
    pub fn parent(&self) -> Option<RelPath> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(RelPath(parent.into()))
    }
}

/// Whether a path in a game root is no payload: the sentinel and `local` in any case, every name
/// that the program owns, whatever begins with a dot at the top, and the litter of systems.
pub fn is_reserved_payload(path: &RelPath) -> bool {
    let key = fold_key(path.as_str());
    key.split('/').enumerate().any(|(level, part)| is_reserved_component(part, level == 0))
}

/// [`is_reserved_payload`] for one folded component, which stands at the top of the game root or
/// below.
pub(crate) fn is_reserved_component(folded: &str, at_top: bool) -> bool {
    let owned = folded.starts_with(".lanspread") || folded.starts_with(".local.");
    let owned_at_top = folded.starts_with('.') || matches!(folded, "version.ini" | "local");
    owned || (at_top && owned_at_top) || is_folded_litter(folded)
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl FromStr for RelPath {
    type Err = BadName;

    fn from_str(text: &str) -> Result<RelPath, BadName> {
        RelPath::parse(text)
    }
}

impl AsRef<str> for RelPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

serde_as_text!(RelPath, RelPath::parse, "a relative path");
