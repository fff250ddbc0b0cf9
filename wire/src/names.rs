//! The one validator of file names. Pure: the same verdict on every operating system, so that a
//! Linux peer cannot hold what a Windows peer cannot take. Nothing behind it checks a name again.

use caseless::Caseless;
use thiserror::Error;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::limits::{
    COMPONENT_BYTES_MAX, GAME_ID_CHARS_MAX, PATH_DEPTH_MAX, PATH_UNITS_MAX, PRINTABLE_CHARS_MAX,
};

/// What is wrong with a name. The name inside is escaped by [`printable`] and safe to show.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the error texts are the documentation of the variants")]
pub enum BadName {
    #[error("an empty name")]
    Empty,
    #[error("\"{0}\" has an empty part between, before or after its slashes")]
    EmptyComponent(String),
    #[error("\"{0}\" leads out of its folder or nowhere")]
    Dots(String),
    #[error("\"{name}\" holds the forbidden character {character:?}")]
    Character { name: String, character: char },
    #[error("\"{0}\" holds a control or direction character")]
    Control(String),
    #[error("\"{0}\" begins or ends with a space or ends with a dot")]
    Edge(String),
    #[error("\"{0}\" is the name of a device")]
    Device(String),
    #[error("\"{0}\" is the short form of a name that the program owns")]
    ShortForm(String),
    #[error("\"{0}\" is not in the composed form of its characters (NFC)")]
    NotComposed(String),
    #[error("\"{0}\" has more than {COMPONENT_BYTES_MAX} bytes")]
    LongComponent(String),
    #[error("the path \"{0}\" has more than {PATH_UNITS_MAX} characters")]
    LongPath(String),
    #[error("the path \"{0}\" is more than {PATH_DEPTH_MAX} levels deep")]
    DeepPath(String),
    #[error(
        "\"{0}\" is not a game id: 1 to {GAME_ID_CHARS_MAX} small letters, digits, '.', '_', '-', \
         beginning with a letter or digit"
    )]
    GameId(String),
}

/// Whether one component of a path may exist on every system we run on.
pub fn check_component(name: &str) -> Result<(), BadName> {
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if name.len() > COMPONENT_BYTES_MAX {
        return Err(BadName::LongComponent(printable(name)));
    }
    if name == "." || name == ".." {
        return Err(BadName::Dots(name.into()));
    }
    if let Some(character) = name.chars().find(|c| FORBIDDEN.contains(c)) {
        return Err(BadName::Character { name: printable(name), character });
    }
    if name.chars().any(is_refused_control) {
        return Err(BadName::Control(printable(name)));
    }
    if name.starts_with(' ') || name.ends_with([' ', '.']) {
        return Err(BadName::Edge(printable(name)));
    }
    if is_device(name) {
        return Err(BadName::Device(printable(name)));
    }
    if is_short_form(name) {
        return Err(BadName::ShortForm(printable(name)));
    }
    if !name.is_ascii() && !is_nfc(name) {
        return Err(BadName::NotComposed(printable(name)));
    }
    Ok(())
}

/// What two paths have in common if any system we run on would take them for the same file:
/// composed, fully case-folded, without trailing dots and spaces, and without the characters
/// that HFS+ ignores. For comparison only; it is not a name.
pub fn fold_key(path: &str) -> String {
    let folded: String = if path.is_ascii() {
        path.to_ascii_lowercase()
    } else {
        path.chars().filter(|c| !is_ignored_by_hfs(*c)).nfd().default_case_fold().nfc().collect()
    };
    let mut key = String::with_capacity(folded.len());
    for (index, component) in folded.split('/').enumerate() {
        if index > 0 {
            key.push('/');
        }
        key.push_str(component.trim_end_matches(['.', ' ']));
    }
    key
}

/// Whether a component is litter that an operating system leaves behind by itself.
pub fn is_litter(component: &str) -> bool {
    is_folded_litter(&fold_key(component))
}

/// [`is_litter`] of a component that is folded already.
pub(crate) fn is_folded_litter(folded: &str) -> bool {
    LITTER.contains(&folded)
}

/// Foreign text made safe for one line of a log or a message: control and direction characters
/// and quotation marks are escaped, and what is too long is cut with `…`.
pub fn printable(text: &str) -> String {
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == PRINTABLE_CHARS_MAX {
            shown.push('…');
            break;
        }
        if is_unprintable(character) || is_ignored_by_hfs(character) {
            shown.extend(character.escape_unicode());
        } else if matches!(character, '"' | '\\') {
            shown.extend(['\\', character]);
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A whole sentence made safe for one line: control and direction characters are escaped, nothing
/// is cut. For texts whose foreign parts have a limit of their own.
pub fn printable_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unprintable(character) || is_ignored_by_hfs(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether a character can change how the text around it is shown, or ends a line.
pub fn is_unprintable(character: char) -> bool {
    is_refused_control(character) || matches!(character, '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Control characters, line separators, and everything with the property `Bidi_Control`.
fn is_refused_control(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

fn is_ignored_by_hfs(character: char) -> bool {
    matches!(
        character,
        '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
    )
}

/// Windows opens a device for these names whatever extension follows.
fn is_device(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or(name).trim();
    if base.is_ascii() && base.len() > DEVICE_BYTES_MAX {
        return false;
    }
    let base = fold_key(base);
    if DEVICES.contains(&base.as_str()) {
        return true;
    }
    let port = base.strip_prefix("com").or_else(|| base.strip_prefix("lpt"));
    let mut rest = port.unwrap_or_default().chars();
    let numbered = matches!(rest.next(), Some('0'..='9' | '¹' | '²' | '³'));
    numbered && rest.next().is_none()
}

/// Windows answers to `NAME~1` for a long name beside it, also for names that we own.
fn is_short_form(name: &str) -> bool {
    if !name.contains('~') {
        return false;
    }
    let folded = fold_key(name);
    let base = folded.split('.').next().unwrap_or(&folded);
    let Some((stem, number)) = base.split_once('~') else {
        return false;
    };
    if base.len() > SHORT_NAME_BYTES_MAX
        || number.is_empty()
        || !number.bytes().all(|b| b.is_ascii_digit())
    {
        return false;
    }
    OWNED.iter().any(|owned| is_short_stem(stem, owned))
}

/// The first letters of the long name, or two of them and four digits of a hash.
fn is_short_stem(stem: &str, owned: &str) -> bool {
    if stem.len() >= 2 && owned.starts_with(stem) {
        return true;
    }
    stem.len() == 6
        && stem.is_char_boundary(2)
        && owned.starts_with(&stem[..2])
        && stem[2..].bytes().all(|b| b.is_ascii_hexdigit())
}

const FORBIDDEN: [char; 9] = ['<', '>', ':', '"', '|', '?', '*', '\\', '/'];
const DEVICES: [&str; 7] = ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"];
/// The longest of the devices: a quick way out for nearly every name.
const DEVICE_BYTES_MAX: usize = 7;
const LITTER: [&str; 4] = ["thumbs.db", "desktop.ini", ".ds_store", "$recycle.bin"];
/// The names that the program owns in a game root, as Windows squeezes them for a short form.
const OWNED: [&str; 4] = ["local", "lanspread", "version", "download"];
const SHORT_NAME_BYTES_MAX: usize = 8;
