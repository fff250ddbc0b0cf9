//! The games folder as a whole: whether it can be shared, and which game roots stand in it.
//! Blocking; changes nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use lanspread_fs_txn::vfs::{Dir, DirEntry, FileKind, FsError, Refusal, Vfs, shown};
use lanspread_wire::{GameId, printable};

use super::{
    index::{DirIdentity, Listing},
    scan::{has_sentinel, identity_of},
};

/// Why a folder cannot be the games folder.
#[derive(Debug, thiserror::Error)]
pub enum BadFolder {
    /// A path that would mean something else after a change of the working folder.
    #[error("the games folder must be given as a full path: {}", shown(path))]
    NotAbsolute {
        /// The path.
        path: PathBuf,
    },
    /// Nothing there.
    #[error("the games folder {} does not exist", shown(path))]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A link or a junction: what it leads to can change behind our back.
    #[error("the games folder {} is a link: give the folder it leads to", shown(path))]
    Link {
        /// The path.
        path: PathBuf,
    },
    /// A file or a device.
    #[error("the games folder {} is not a folder", shown(path))]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// It cannot be listed.
    #[error("the games folder cannot be read: {0}")]
    Unreadable(FsError),
    /// Looking at it failed inside the program.
    #[error("the games folder cannot be looked at: internal error: {0}")]
    Internal(String),
}

/// Checks that a folder can be shared, and names the reason if not. Says nothing about whether it
/// can be written: a folder that cannot is shared all the same.
pub fn validate(vfs: &dyn Vfs, path: &Path) -> Result<(), BadFolder> {
    let owned = || path.to_path_buf();
    if !path.is_absolute() {
        return Err(BadFolder::NotAbsolute { path: owned() });
    }
    let explain = |error: FsError| match error.refusal() {
        Some(Refusal::Link) => BadFolder::Link { path: owned() },
        Some(Refusal::NotADirectory) => BadFolder::NotAFolder { path: owned() },
        _ if error.is_not_found() => BadFolder::Missing { path: owned() },
        _ if error.code() == "link" => BadFolder::Link { path: owned() },
        _ if error.code() == "wrong-kind" => BadFolder::NotAFolder { path: owned() },
        _ => BadFolder::Unreadable(error),
    };
    let folder = vfs.open_root(path).map_err(explain)?;
    folder.read_dir(Path::new("")).map_err(explain)?;
    Ok(())
}

/// The folder as it is given, and as the system may call it in its reports.
pub(crate) fn names_of(path: &Path) -> Vec<PathBuf> {
    let mut names = vec![path.to_path_buf()];
    if let Ok(real) = path.canonicalize()
        && real != path
    {
        names.push(real);
    }
    names
}

/// Lists the game roots of a folder.
pub(crate) fn list(vfs: &dyn Vfs, path: &Path) -> Result<Listing, BadFolder> {
    validate(vfs, path)?;
    let folder = vfs.open_root(path).map_err(BadFolder::Unreadable)?;
    let entries = folder.read_dir(Path::new("")).map_err(BadFolder::Unreadable)?;
    let identity = identity_of(&*folder).map_err(BadFolder::Unreadable)?;
    let mut roots = BTreeMap::new();
    let mut strangers = Vec::new();
    for entry in &entries {
        match root_id(entry) {
            Some(Ok(game)) => {
                roots.insert(game, root_identity(&*folder, entry));
            }
            Some(Err(why)) if looks_like_a_game(&*folder, entry) => strangers.push(why),
            Some(Err(_)) | None => {}
        }
    }
    Ok(Listing { identity, roots, strangers })
}

/// Which directory an entry is; a link is none, and neither is what has gone since.
fn root_identity(folder: &dyn Dir, entry: &DirEntry) -> Option<DirIdentity> {
    let found = folder.metadata(Path::new(&entry.name)).ok()?;
    (found.kind == FileKind::Dir)
        .then_some(DirIdentity { device: found.device, inode: found.inode })
}

/// The game an entry of the folder is the root of; an error if it is a folder of another name.
fn root_id(entry: &DirEntry) -> Option<Result<GameId, String>> {
    let name = entry.name.to_string_lossy();
    let game = entry.name.to_str().and_then(|name| GameId::parse(name).ok());
    match (entry.kind, game) {
        (FileKind::Dir | FileKind::Link, Some(game)) => Some(Ok(game)),
        (FileKind::Dir, None) if !name.starts_with('.') => {
            let shown = printable(&name);
            Some(Err(match GameId::parse(&name) {
                Err(why) => format!("the folder \"{shown}\" is not shared: {why}"),
                Ok(_) => {
                    format!("the folder \"{shown}\" is not shared: its name is not valid text")
                }
            }))
        }
        _ => None,
    }
}

/// Whether a folder that cannot be a game root has a sentinel: then its owner should know.
fn looks_like_a_game(folder: &dyn Dir, entry: &DirEntry) -> bool {
    let entries = folder.read_dir(Path::new(&entry.name));
    entries.is_ok_and(|entries| has_sentinel(&entries))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lanspread_fs_txn::vfs::RealVfs;

    use super::*;

    fn refusal(path: &Path) -> BadFolder {
        validate(&RealVfs, path).expect_err("must be refused")
    }

    /// Proves L7 and L8: each bad folder is named with its reason.
    #[test]
    fn a_bad_folder_is_named_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        validate(&RealVfs, dir.path()).unwrap();
        let missing = dir.path().join("missing");
        assert!(matches!(refusal(&missing), BadFolder::Missing { .. }));
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(matches!(refusal(&file), BadFolder::NotAFolder { .. }));
        let relative = Path::new("games");
        assert!(matches!(refusal(relative), BadFolder::NotAbsolute { .. }));
        for path in [missing, file] {
            assert!(refusal(&path).to_string().contains(path.to_str().unwrap()));
        }
    }

    /// Proves T68.
    #[cfg(unix)]
    #[test]
    fn a_link_is_no_games_folder() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(matches!(refusal(&link), BadFolder::Link { .. }));
    }

    #[test]
    fn game_roots_are_listed_and_what_only_looks_like_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["quake", "openra-2.0", "My Game", "Stuff", ".hidden"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        for name in ["quake", "My Game", ".hidden"] {
            fs::write(dir.path().join(name).join("version.ini"), "1").unwrap();
        }
        fs::write(dir.path().join("notes"), "a file is no root").unwrap();
        let listing = list(&RealVfs, dir.path()).unwrap();
        let roots: Vec<&str> = listing.roots.keys().map(GameId::as_str).collect();
        assert_eq!(roots, ["openra-2.0", "quake"]);
        assert_eq!(listing.strangers.len(), 1, "{:?}", listing.strangers);
        assert!(listing.strangers[0].contains("My Game"));
    }
}
