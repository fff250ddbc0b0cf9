//! The names on disk, all of them. No other file of this program spells one of these names.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::op::OpId;

/// The commit sentinel of a download: its presence alone says "downloaded".
pub const SENTINEL: &str = "version.ini";
/// The sentinel while it is being written.
pub const SENTINEL_TMP: &str = ".version.ini.tmp";
/// The sentinel of the version that a running commit replaces.
pub const SENTINEL_DISCARDED: &str = ".version.ini.discarded";
/// The installed game; belongs to the user.
pub const LOCAL: &str = "local";
/// The record of what an operation is about to do.
pub const INTENT: &str = ".lanspread.json";
/// The intent while it is being written.
pub const INTENT_TMP: &str = ".lanspread.json.tmp";
/// The staging of a download.
pub const DOWNLOAD: &str = ".download";
/// The staging of an install or update.
pub const LOCAL_INSTALLING: &str = ".local.installing";
/// The `local/` that an update or uninstall took away.
pub const LOCAL_BACKUP: &str = ".local.backup";
/// What is out of use and being deleted.
pub const TRASH_PREFIX: &str = ".trash-";
/// Proves that a directory is ours.
pub const MARKER: &str = ".lanspread_owned";
/// The marker while it is being written.
pub const MARKER_TMP: &str = ".lanspread_owned.tmp";
/// Which files an install wrote, beside the marker.
pub const INSTALLED_LIST: &str = ".lanspread_installed";
/// Files of the user that a newer version would have overwritten, in the game root.
pub const KEPT: &str = ".lanspread.kept";
/// The same, while they still lie in the staging that will replace `local/`.
pub const KEPT_PENDING: &str = ".lanspread_kept";
/// The advisory lock of a folder.
pub const FOLDER_LOCK: &str = ".lanspread.lock";
/// Who holds that lock. A file of its own: on some systems a locked file cannot be read.
pub const FOLDER_LOCK_HOLDER: &str = ".lanspread.lock.holder";

/// Inside a download's staging: the manifest as it came.
pub const STAGED_MANIFEST: &str = "manifest";
/// Inside a download's staging: the plan.
pub const STAGED_PLAN: &str = "plan";
/// Inside a download's staging: what was last known to be durable.
pub const STAGED_PROGRESS: &str = "progress";
/// The directory inside a download's staging that holds file number `file`.
#[must_use]
pub fn staged_shard(shard: usize) -> String {
    format!("s{shard:02}")
}

/// Where file number `file` of a download lies inside its staging.
///
/// Flat and numbered: no name of a peer reaches the disk before the commit.
#[must_use]
pub fn staged_file(file: usize) -> PathBuf {
    let shard = file % crate::limits::STAGING_SHARDS;
    Path::new(&staged_shard(shard)).join(format!("{file}"))
}

/// The name of a trash directory. It carries a check value over the game and the operation, so
/// that an *empty* one (its marker is the first to come and the last to go) is known as ours.
#[must_use]
pub fn trash_name(game: &str, op_id: &OpId, number: u32) -> String {
    let stem = format!("{op_id}.{number}");
    format!("{TRASH_PREFIX}{stem}-{}", trash_check(game, &stem))
}

/// Whether a name has the form of a trash directory at all.
#[must_use]
pub fn is_trash_name(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(TRASH_PREFIX))
}

/// Whether a trash directory's name proves that this program made it for this game.
#[must_use]
pub fn is_own_trash_name(game: &str, name: &OsStr) -> bool {
    let stem_and_check = name
        .to_str()
        .and_then(|name| name.strip_prefix(TRASH_PREFIX))
        .and_then(|rest| rest.rsplit_once('-'));
    stem_and_check.is_some_and(|(stem, check)| trash_check(game, stem) == check)
}

fn trash_check(game: &str, stem: &str) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("lanspread 2025 trash name");
    hasher.update(game.as_bytes()).update(&[0]).update(stem.as_bytes());
    let mut check = [0; 8];
    hasher.finalize_xof().fill(&mut check);
    hex::encode(check)
}

/// Whether a name is one of the directories of an operation with something behind it, as a
/// synchronising program or a file manager names a copy.
#[must_use]
pub fn is_like_ours(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        [DOWNLOAD, LOCAL_INSTALLING, LOCAL_BACKUP].iter().any(|base| {
            let rest = name.strip_prefix(base);
            rest.is_some_and(|rest| rest.starts_with(['.', ' ', '-', '_', '~', '(']))
        })
    })
}

/// Whether a top-level name of a game root belongs to this program (or looks so much like it
/// that no payload may have it), in any case.
#[must_use]
pub fn is_reserved_root_name(name: &str) -> bool {
    let name = name.to_lowercase();
    name == LOCAL
        || name == SENTINEL
        || name.starts_with(".lanspread")
        || name.starts_with(".local.")
        || name.starts_with(DOWNLOAD)
        || name.starts_with(TRASH_PREFIX)
        || name.starts_with(".version.ini")
}

/// The name under `.lanspread.kept/` for files of `version`: one plain component.
#[must_use]
pub fn kept_version_dir(version: Option<&str>) -> String {
    let text = version.unwrap_or_default().trim();
    let mut name: String = text
        .chars()
        .take(64)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' })
        .collect();
    while name.ends_with('.') {
        name.pop();
    }
    if name.is_empty() || name.starts_with('.') { format!("version{name}") } else { name }
}

/// The name for a damaged file that is kept aside.
#[must_use]
pub fn corrupt_name(name: &str, number: u32) -> String {
    format!("{name}.corrupt-{number}")
}

/// The name beside a state file while it is being written.
#[must_use]
pub fn tmp_name(name: &str) -> String {
    format!("{name}.tmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trash_names_prove_themselves() {
        let op = OpId::parse("abc").unwrap();
        let name = trash_name("quake", &op, 3);
        assert!(is_trash_name(OsStr::new(&name)));
        assert!(is_own_trash_name("quake", OsStr::new(&name)));
        assert!(!is_own_trash_name("doom", OsStr::new(&name)), "of another game");
        for foreign in [".trash-", ".trash-abc", ".trash-abc.3-0011223344556677", "trash-x", ""] {
            assert!(!is_own_trash_name("quake", OsStr::new(foreign)), "{foreign:?}");
        }
        let mut flipped = name.into_bytes();
        flipped[8] ^= 1;
        let flipped = String::from_utf8(flipped).unwrap();
        assert!(!is_own_trash_name("quake", OsStr::new(&flipped)));
    }

    #[test]
    fn reserved_names_hold_in_any_case() {
        for name in [
            "version.ini",
            "Version.INI",
            "local",
            "LOCAL",
            ".lanspread.json",
            ".LANSPREAD_owned",
            ".local.backup",
            ".local.installing",
            ".download",
            ".trash-1",
            ".version.ini.tmp",
            ".lanspread.kept",
        ] {
            assert!(is_reserved_root_name(name), "{name}");
        }
        for name in ["game.rar", "locals", "version.ini.bak", ".sync", "data"] {
            assert!(!is_reserved_root_name(name), "{name}");
        }
    }

    #[test]
    fn kept_directories_are_plain_names() {
        assert_eq!(kept_version_dir(Some("20240101")), "20240101");
        assert_eq!(kept_version_dir(Some(" v1/../2 ")), "v1_.._2");
        assert_eq!(kept_version_dir(Some("..")), "version");
        assert_eq!(kept_version_dir(None), "version");
        assert_eq!(kept_version_dir(Some(".x")), "version.x");
    }

    #[test]
    fn copies_of_our_directories_are_recognised() {
        let is = |name: &str| is_like_ours(OsStr::new(name));
        assert!(is(".local.backup.1") && is(".download (copy)") && is(".local.installing~"));
        assert!(!is(".local.backup") && !is(".local.backups") && !is(".local") && !is("local"));
    }

    #[test]
    fn staged_files_spread_over_all_shards() {
        let shards: std::collections::BTreeSet<_> = (0..crate::limits::STAGING_SHARDS)
            .map(|file| staged_file(file).parent().map(Path::to_path_buf))
            .collect();
        assert_eq!(shards.len(), crate::limits::STAGING_SHARDS);
    }
}
