//! What a node remembers from one start to the next: `settings.toml` in the state folder.
//!
//! Owns the format of that file. Written whole or not at all; a damaged one is set aside and told,
//! never a reason not to start. All calls are blocking.

mod names;

use std::path::{Path, PathBuf};

use lanspread_fs_txn::{
    atomic::{read_limited, set_aside_corrupt, write_atomic},
    vfs::{Dir, FsError, RealVfs, Vfs},
};
use serde::{Deserialize, Serialize};

pub use self::names::made_up_name;
use crate::limits::node::SETTINGS_BYTES_MAX;

/// The name of the file in the state folder.
pub const SETTINGS_FILE: &str = "settings.toml";

/// The settings. A key that is missing was never set; a key of a later version is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Settings {
    /// The folder that is shared.
    pub games_dir: Option<PathBuf>,
    /// What this node calls itself. Made up at the first start: never the host or user name (T72).
    pub name: Option<String>,
    /// The listener's port, kept so that others find us at the same address.
    pub port: Option<u16>,
}

/// Settings, and what the user should know about how they were found.
#[derive(Debug)]
pub struct LoadedSettings {
    /// The settings; those of a first start if there were none or they were damaged.
    pub settings: Settings,
    /// Present when a damaged file was set aside.
    pub notice: Option<String>,
}

/// The settings can neither be read nor set aside, or not be written.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The disk refused.
    #[error("the settings cannot be kept: {0}")]
    Fs(#[from] FsError),
    /// A path that is no text cannot stand in the file.
    #[error("the settings cannot be written down: {0}")]
    Form(#[from] toml::ser::Error),
}

impl Settings {
    /// Reads the settings of the state folder.
    pub fn load(state_dir: &dyn Dir) -> Result<LoadedSettings, SettingsError> {
        let why = match read_limited(state_dir, SETTINGS_FILE, SETTINGS_BYTES_MAX) {
            Ok(None) => return Ok(LoadedSettings { settings: Self::default(), notice: None }),
            Ok(Some(bytes)) => match parse(&bytes) {
                Ok(settings) => return Ok(LoadedSettings { settings, notice: None }),
                Err(why) => why,
            },
            // Too large, a link, a folder: what stands there is not ours.
            Err(error) if error.refusal().is_some() => error.to_string(),
            Err(error) => return Err(error.into()),
        };
        let aside = set_aside_corrupt(state_dir, SETTINGS_FILE)?;
        let notice = format!(
            "{SETTINGS_FILE} could not be read ({why}); it is kept as {aside} and new ones were made"
        );
        Ok(LoadedSettings { settings: Self::default(), notice: Some(notice) })
    }

    /// Replaces the settings of the state folder.
    pub fn save(&self, state_dir: &dyn Dir) -> Result<(), SettingsError> {
        let text = toml::to_string(self)?;
        Ok(write_atomic(state_dir, SETTINGS_FILE, text.as_bytes())?)
    }
}

/// What the state folder remembers, for callers that only want to know: changes nothing, and a
/// folder or file that cannot be read remembers nothing.
pub fn remembered(state_dir: &Path) -> Settings {
    let read = RealVfs
        .open_root(state_dir)
        .and_then(|dir| read_limited(&*dir, SETTINGS_FILE, SETTINGS_BYTES_MAX));
    let text = read.ok().flatten();
    text.and_then(|bytes| parse(&bytes).ok()).unwrap_or_default()
}

fn parse(bytes: &[u8]) -> Result<Settings, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    let settings: Settings =
        toml::from_str(text).map_err(|error| lanspread_wire::printable_line(error.message()))?;
    if settings
        .name
        .as_deref()
        .is_some_and(|name| lanspread_wire::DisplayName::parse(name).is_err())
    {
        return Err("the name cannot be shown".to_owned());
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use super::*;

    fn folder() -> (tempfile::TempDir, Arc<dyn Dir>) {
        let folder = tempfile::tempdir().unwrap();
        let dir = RealVfs.open_root(folder.path()).unwrap();
        (folder, dir)
    }

    fn full() -> Settings {
        Settings {
            games_dir: Some("/srv/games \"x\"".into()),
            name: Some("Calm Otter".to_owned()),
            port: Some(40123),
        }
    }

    #[test]
    fn settings_survive_a_round_trip() {
        let (folder, dir) = folder();
        let first = Settings::load(&*dir).unwrap();
        assert_eq!((first.settings, first.notice), (Settings::default(), None));
        full().save(&*dir).unwrap();
        assert_eq!(Settings::load(&*dir).unwrap().settings, full());
        let text = fs::read_to_string(folder.path().join(SETTINGS_FILE)).unwrap();
        assert!(text.contains("games-dir"), "the documented keys: {text}");
    }

    #[test]
    fn a_key_of_a_later_version_is_no_damage() {
        let (folder, dir) = folder();
        fs::write(folder.path().join(SETTINGS_FILE), "port = 7\ntheme = \"dark\"\n").unwrap();
        let loaded = Settings::load(&*dir).unwrap();
        assert_eq!((loaded.settings.port, loaded.notice), (Some(7), None));
    }

    /// Proves T70: cut at every length, each byte flipped, empty, huge, another kind of file: the
    /// node starts, and what it does not understand is kept aside.
    #[test]
    fn damage_is_set_aside_and_never_fatal() {
        let text = toml::to_string(&full()).unwrap();
        let (folder, dir) = folder();
        let path = folder.path().join(SETTINGS_FILE);
        for cut in 0..text.len() {
            fs::write(&path, &text.as_bytes()[..cut]).unwrap();
            Settings::load(&*dir).unwrap();
        }
        for index in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[index] ^= 0x80;
            fs::write(&path, &bytes).unwrap();
            let loaded = Settings::load(&*dir).unwrap();
            assert!(loaded.notice.is_some(), "byte {index} is no text any more");
            assert_eq!(loaded.settings, Settings::default());
            assert!(!path.try_exists().unwrap(), "the damaged file is out of the way");
        }
        let huge = usize::try_from(SETTINGS_BYTES_MAX).unwrap() + 1;
        fs::write(&path, "#".repeat(huge)).unwrap();
        assert!(Settings::load(&*dir).unwrap().notice.is_some());
        fs::create_dir(&path).unwrap();
        assert!(Settings::load(&*dir).unwrap().notice.is_some());
        full().save(&*dir).unwrap();
        assert_eq!(Settings::load(&*dir).unwrap().settings, full());
    }

    /// Proves T43 for our own file: a name with control characters does not reach a terminal.
    #[test]
    fn a_name_that_cannot_be_shown_is_damage() {
        let (folder, dir) = folder();
        fs::write(folder.path().join(SETTINGS_FILE), "name = \"a\\u001b[2Jb\"").unwrap();
        let notice = Settings::load(&*dir).unwrap().notice.unwrap();
        assert!(!notice.chars().any(char::is_control), "{notice}");
    }
}
