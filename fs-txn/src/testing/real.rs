//! The same operations on the real file system, and what others may plant there.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::check::view;
use super::explore::{ends, is_same};
use super::games::GAME;
use super::place::Place;
use super::scenarios;
use crate::vfs::sim::{Node, SimVfs};
use crate::vfs::{Dir, FileKind, RealVfs, Vfs, read_exact_at};
use crate::{FolderLock, FolderLockError, layout, tree};

/// Puts what a simulated machine holds below a real folder.
fn put(machine: &SimVfs, top: &Path) {
    for (path, node) in machine.tree() {
        let path = top.join(path.strip_prefix("/").unwrap());
        match node {
            Node::Dir => fs::create_dir(&path).unwrap(),
            Node::File(bytes, executable) => {
                fs::write(&path, bytes).unwrap();
                let mode = if executable { 0o755 } else { 0o644 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            Node::Link => symlink("/nowhere/at/all", &path).unwrap(),
            Node::Pipe => {
                let mode = rustix::fs::Mode::from_raw_mode(0o644);
                rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0)
                    .unwrap();
            }
        }
    }
}

/// Everything below a real folder, as a simulated machine holds it.
fn take(top: &Path) -> SimVfs {
    let machine = SimVfs::new();
    let mut waiting = vec![top.to_path_buf()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let node = if found.is_dir() {
                waiting.push(path.clone());
                Node::Dir
            } else if found.is_symlink() {
                Node::Link
            } else if found.is_file() {
                Node::File(fs::read(&path).unwrap(), found.permissions().mode() & 0o100 != 0)
            } else {
                Node::Pipe
            };
            let inner = Path::new("/").join(path.strip_prefix(top).unwrap());
            if node != Node::Dir || !machine.tree().contains_key(&inner) {
                machine.plant(&inner, node);
            }
        }
    }
    machine
}

/// Every operation ends on the real file system as on the simulated one.
#[test]
fn operations_end_alike_on_both_file_systems() {
    for scenario in scenarios::all() {
        let ends = ends(&scenario);
        let folder = tempfile::tempdir().unwrap();
        put(&ends.start, folder.path());
        (scenario.run)(&Place::real(folder.path()))
            .unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
        let found = view(&take(folder.path()));
        assert!(
            is_same(&scenario, &found, &ends.new),
            "{}:\n{}",
            scenario.name,
            super::check::difference(&found, &ends.new)
        );
    }
}

/// A link at each of our names, to a folder or file outside: no operation follows it, whatever
/// else comes of it.
#[test]
fn links_planted_at_our_names_are_not_followed() {
    let names = [
        layout::SENTINEL,
        layout::SENTINEL_TMP,
        layout::SENTINEL_DISCARDED,
        layout::LOCAL,
        layout::INTENT,
        layout::INTENT_TMP,
        layout::DOWNLOAD,
        layout::LOCAL_INSTALLING,
        layout::LOCAL_BACKUP,
        layout::KEPT,
        "data",
        "game.rar",
        "bin",
        "saves",
        ".trash-x",
    ];
    for scenario in scenarios::all() {
        let ends = ends(&scenario);
        for name in names {
            for target in ["outside", "outside/precious"] {
                let folder = scratch();
                put(&ends.start, folder.path());
                let planted = folder.path().join("games").join(GAME).join(name);
                remove(&planted);
                symlink(folder.path().join(target), &planted).unwrap();
                let before = outside(folder.path());
                // refused or done: both are right, and neither touches what the link leads to
                let result = (scenario.run)(&Place::real(folder.path()));
                let at = format!("{} with {name} → {target}: {result:?}", scenario.name);
                assert_eq!(outside(folder.path()), before, "{at}");
                if let Err(error) = result {
                    assert_ne!(error.code(), "io", "{at}");
                }
            }
        }
    }
}

/// A folder in memory where there is one: hundreds of runs need not wait for a disk.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

fn outside(top: &Path) -> BTreeMap<PathBuf, Node> {
    let mut tree = take(top).tree();
    tree.retain(|path, _| path.starts_with("/outside") || path.starts_with("/games/doom"));
    assert!(tree.len() > 3);
    tree
}

fn open(path: &Path) -> std::sync::Arc<dyn Dir> {
    RealVfs.open_root(path).unwrap()
}

/// Proves T50: a file that was replaced by a link is not opened; one that shrank is an error.
#[test]
fn files_are_opened_without_following_and_read_in_full() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("dir")).unwrap();
    symlink("/etc/passwd", folder.path().join("dir/file")).unwrap();
    symlink("dir", folder.path().join("way")).unwrap();
    fs::write(folder.path().join("short"), "1234").unwrap();
    let root = open(folder.path());
    assert_eq!(root.open_read(Path::new("dir/file")).err().unwrap().code(), "link");
    assert_eq!(root.open_read(Path::new("way/file")).err().unwrap().code(), "link");
    assert_eq!(root.open_dir(Path::new("way")).err().unwrap().code(), "link");
    assert_eq!(root.open_read(Path::new("../x")).err().unwrap().code(), "bad-name");
    let file = root.open_read(Path::new("short")).unwrap();
    fs::write(folder.path().join("short"), "1").unwrap();
    let mut buffer = [0; 4];
    assert_eq!(read_exact_at(&*file, 0, &mut buffer).unwrap_err().code(), "changed");
    assert_eq!(RealVfs.open_root(&folder.path().join("way")).err().unwrap().code(), "link");
}

/// A pipe where a file should be does not hold the thread for ever.
#[test]
fn a_pipe_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let root = open(folder.path());
    assert_eq!(root.metadata(Path::new("pipe")).unwrap().kind, FileKind::Other);
    assert_eq!(root.open_read(Path::new("pipe")).err().unwrap().code(), "wrong-kind");
    assert_eq!(root.open_write(Path::new("pipe")).err().unwrap().code(), "wrong-kind");
}

/// Renames never replace a directory, nor anything where the name must be free.
#[test]
fn renames_replace_only_files() {
    let folder = tempfile::tempdir().unwrap();
    for dir in ["dir", "empty"] {
        fs::create_dir(folder.path().join(dir)).unwrap();
    }
    for file in ["a", "b"] {
        fs::write(folder.path().join(file), file).unwrap();
    }
    let root = open(folder.path());
    let (a, b) = (Path::new("a"), Path::new("b"));
    let (dir, empty) = (Path::new("dir"), Path::new("empty"));
    assert_eq!(root.rename_file(dir, empty).unwrap_err().code(), "wrong-kind");
    assert_eq!(root.rename_file(a, empty).unwrap_err().code(), "wrong-kind");
    assert_eq!(root.rename_new(dir, empty).unwrap_err().code(), "exists");
    assert_eq!(root.rename_new(a, b).unwrap_err().code(), "exists");
    assert_eq!(root.rename_new(a, Path::new("no/where")).unwrap_err().code(), "not-found");
    root.rename_file(a, b).unwrap();
    assert_eq!(fs::read(folder.path().join("b")).unwrap(), b"a");
    root.rename_new(dir, Path::new("empty/inside")).unwrap();
    assert!(folder.path().join("empty/inside").is_dir());
}

/// Proves T67: whatever the umask, files have 0644 or 0755.
#[test]
fn files_have_one_of_two_modes() {
    let folder = tempfile::tempdir().unwrap();
    let root = open(folder.path());
    let file = root.create_new(Path::new("file")).unwrap();
    let mode = || fs::metadata(folder.path().join("file")).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(), 0o644);
    file.set_executable(true).unwrap();
    assert_eq!(mode(), 0o755);
    assert!(root.metadata(Path::new("file")).unwrap().executable);
    root.set_executable(Path::new("file"), false).unwrap();
    assert_eq!(mode(), 0o644);
    assert_eq!(root.create_new(Path::new("file")).err().unwrap().code(), "exists");
}

/// A tree deeper than any path may be long is removed; links in it are removed, not followed.
#[test]
fn deep_trees_are_removed_and_links_in_them_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("precious"), "x").unwrap();
    let root = open(folder.path());
    root.create_dir(Path::new("top")).unwrap();
    let mut dir = root.open_dir(Path::new("top")).unwrap();
    let name = "n".repeat(200);
    for level in 0..400 {
        dir.create_dir(Path::new(&name)).unwrap();
        dir.create_new(Path::new("file")).unwrap();
        if level == 100 {
            symlink("..", folder.path().join("way")).unwrap();
            dir.hard_link(&*root, Path::new("way"), Path::new("way")).unwrap();
            dir.hard_link(&*root, Path::new("precious"), Path::new("linked")).unwrap();
        }
        dir = dir.open_dir(Path::new(&name)).unwrap();
    }
    drop(dir);
    let top = root.open_dir(Path::new("top")).unwrap();
    tree::remove_contents(&*top, None).unwrap();
    assert_eq!(top.read_dir(Path::new("")).unwrap(), []);
    assert_eq!(fs::read(folder.path().join("precious")).unwrap(), b"x");
    assert!(folder.path().join("way").is_symlink());
}

/// Directories that a game made read-only can be deleted all the same.
#[test]
fn read_only_directories_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("a/b");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("file"), "x").unwrap();
    for path in [&dir, &folder.path().join("a")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
    }
    tree::remove_contents(&*open(folder.path()), None).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Many files are flushed by one call, few by one each; a missing one is an error where each is.
#[test]
fn batches_are_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let root = open(folder.path());
    let name = |number: usize| PathBuf::from(format!("{number}"));
    let files: Vec<PathBuf> = (0..200).map(name).collect();
    for file in &files {
        root.create_new(file).unwrap().write_at(0, b"x").unwrap();
    }
    root.sync_batch(&files, &[PathBuf::new()]).unwrap();
    root.sync_batch(&files[..3], &[PathBuf::new()]).unwrap();
    let missing = root.sync_batch(&["none".into()], &[]).unwrap_err();
    assert!(missing.is_not_found());
}

/// Proves T69: a second program on a folder is refused and told who holds it.
#[test]
fn a_folder_has_one_program() {
    let folder = tempfile::tempdir().unwrap();
    let first = FolderLock::acquire(open(folder.path()), "lanspread 1.2").unwrap();
    let error = FolderLock::acquire(open(folder.path()), "lanspread 1.3").err().unwrap();
    let FolderLockError::Held { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, format!("process {}, lanspread 1.2", std::process::id()));
    assert!(error.to_string().contains(&*folder.path().to_string_lossy()));
    drop(first);
    FolderLock::acquire(open(folder.path()), "lanspread 1.3").unwrap();
    assert!(!folder.path().join(layout::FOLDER_LOCK_HOLDER).is_file());
}

/// A missing folder is created with those above it; a file in the way is an error.
#[test]
fn folders_are_created() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/c");
    RealVfs.create_root(&path).unwrap();
    RealVfs.create_root(&path).unwrap();
    assert!(path.is_dir());
    fs::write(folder.path().join("file"), "").unwrap();
    assert!(RealVfs.create_root(&folder.path().join("file/x")).is_err());
    assert!(RealVfs.create_root(&folder.path().join("file")).is_err());
}

/// Files of other programs keep their odd names through everything, also such as are no text.
#[test]
fn names_that_are_no_text_are_carried() {
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    let machine = SimVfs::new();
    crate::create_game_root(&*super::games::games(&machine), GAME).unwrap();
    put(&machine, folder.path());
    let place = Place::real(folder.path());
    super::games::install(&place, "1", &["game.exe"]).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"sa\xffve\n\\1");
    let local = folder.path().join("games").join(GAME).join("local");
    fs::write(local.join(odd), "of the user").unwrap();
    super::games::install(&place, "2", &["game.exe"]).unwrap();
    assert_eq!(fs::read(local.join(odd)).unwrap(), b"of the user");
}
