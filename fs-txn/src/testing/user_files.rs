//! Rule 12: what the user made or changed in `local/` survives an update.

use super::games::{GAME, content, context, file_content, games, in_root, plant};
use super::place::Place;
use crate::inspect::inspect;
use crate::ops::{InstallStaging, InstalledList};
use crate::vfs::sim::{Meddler, Node, SimVfs};
use crate::{create_game_root, layout};

const OLD: &[&str] = &["game.exe", "maps/one", "shared.cfg", "gone/file", "run.sh"];
const NEW: &[&str] = &["game.exe", "maps/two", "shared.cfg", "saves", "tree/leaf"];

fn installed() -> SimVfs {
    let machine = SimVfs::new();
    create_game_root(&*games(&machine), GAME).unwrap();
    let context = context(&Place::of(&machine)).unwrap();
    let mut staging = InstallStaging::create(&context, "1", None).unwrap();
    for path in OLD {
        let mut file = staging.create_file(path, None).unwrap();
        file.write(&file_content(path, "1")).unwrap();
        file.finish().unwrap();
    }
    staging.create_dir("shipped/empty").unwrap();
    staging.commit().unwrap();
    machine
}

fn update(machine: &SimVfs) -> crate::Done {
    try_update(machine).unwrap()
}

fn try_update(machine: &SimVfs) -> Result<crate::Done, crate::TxnError> {
    let context = context(&Place::of(machine)).unwrap();
    let mut staging = InstallStaging::create(&context, "2", None)?;
    assert!(staging.is_update());
    for path in NEW {
        let mut file = staging.create_file(path, None)?;
        file.write(&file_content(path, "2"))?;
        file.finish()?;
    }
    staging.commit()
}

fn text(machine: &SimVfs, path: &str) -> Option<String> {
    machine.read_file(&in_root(path)).map(|bytes| String::from_utf8(bytes).unwrap())
}

/// Files that are not the game's are carried over; untouched files of the old version go.
#[test]
fn files_of_the_user_are_carried_over() {
    let machine = installed();
    plant(&machine, "local/profile/slot1", "save");
    plant(&machine, "local/gone/file", "changed, and not shipped any more");
    machine.plant(&in_root("local/screens/empty"), Node::Dir);
    machine.plant(&in_root("local/drive_c"), Node::Link);
    let done = update(&machine);
    assert_eq!(done.kept, Vec::<String>::new());
    assert_eq!(text(&machine, "local/profile/slot1").as_deref(), Some("save"));
    let changed = text(&machine, "local/gone/file");
    assert_eq!(changed.as_deref(), Some("changed, and not shipped any more"));
    let tree = machine.tree();
    assert_eq!(tree.get(&in_root("local/screens/empty")), Some(&Node::Dir));
    assert_eq!(tree.get(&in_root("local/drive_c")), Some(&Node::Link));
    for gone in ["local/maps/one", "local/run.sh", "local/shipped"] {
        assert!(!tree.contains_key(&in_root(gone)), "{gone} was the old version's");
    }
    for path in NEW {
        let bytes = machine.read_file(&in_root("local").join(path));
        assert_eq!(bytes, Some(file_content(path, "2")), "{path}");
    }
}

/// What the new version ships itself wins, and what the user had there is kept and told.
#[test]
fn files_in_the_way_are_kept_and_told() {
    let machine = installed();
    plant(&machine, "local/shared.cfg", "changed");
    plant(&machine, "local/maps/two", "made by the user");
    plant(&machine, "local/saves/slot1", "below what is a file now");
    machine
        .plant(&in_root("local/tree"), Node::File(b"a file where a folder comes".to_vec(), true));
    let mut done = update(&machine);
    done.kept.sort();
    assert_eq!(
        done.kept,
        [
            ".lanspread.kept/1/maps/two",
            ".lanspread.kept/1/saves/slot1",
            ".lanspread.kept/1/shared.cfg",
            ".lanspread.kept/1/tree",
        ]
    );
    let kept: Vec<_> = done.kept.iter().map(|path| text(&machine, path).unwrap()).collect();
    let wanted =
        ["made by the user", "below what is a file now", "changed", "a file where a folder comes"];
    assert_eq!(kept, wanted);
    assert!(!machine.tree().contains_key(&in_root("local").join(layout::KEPT_PENDING)));
}

/// A second update of the same version keeps beside what was kept before.
#[test]
fn kept_files_do_not_overwrite_kept_files() {
    let machine = installed();
    plant(&machine, "local/shared.cfg", "first");
    update(&machine);
    plant(&machine, "local/shared.cfg", "second");
    let context = context(&Place::of(&machine)).unwrap();
    let record = inspect(context.root(), GAME).unwrap();
    assert_eq!(record.local_record().unwrap().version.as_deref(), Some("2"));
    let first = update(&machine);
    assert_eq!(first.kept, [".lanspread.kept/2/shared.cfg"]);
    plant(&machine, "local/shared.cfg", "third");
    let second = update(&machine);
    assert_eq!(second.kept, [".lanspread.kept/2.2/shared.cfg"]);
    assert_eq!(text(&machine, ".lanspread.kept/1/shared.cfg").as_deref(), Some("first"));
    assert_eq!(text(&machine, ".lanspread.kept/2/shared.cfg").as_deref(), Some("second"));
    assert_eq!(text(&machine, ".lanspread.kept/2.2/shared.cfg").as_deref(), Some("third"));
}

/// A folder that was copied has new times; the content tells that nobody changed it.
#[test]
fn a_copied_folder_counts_as_untouched() {
    let machine = installed();
    for path in OLD {
        let path = in_root("local").join(path);
        let bytes = machine.read_file(&path).unwrap();
        machine.plant(&path, Node::File(bytes, false));
    }
    assert_eq!(update(&machine).kept, Vec::<String>::new());
    assert!(!machine.tree().contains_key(&in_root("local/maps/one")));
}

/// Without a list nothing is known: everything is the user's, and what is in the way is kept.
#[test]
fn without_a_list_nothing_is_thrown_away() {
    for damage in [Node::File(b"torn".to_vec(), false), Node::Link] {
        let machine = installed();
        machine.plant(&in_root("local").join(layout::INSTALLED_LIST), damage);
        let mut done = update(&machine);
        done.kept.sort();
        assert_eq!(done.kept, [".lanspread.kept/1/game.exe", ".lanspread.kept/1/shared.cfg"]);
        let one = machine.read_file(&in_root("local/maps/one"));
        assert_eq!(one, Some(file_content("maps/one", "1")));
    }
}

/// On a file system without hard links files are copied, and the update is as good.
#[test]
fn without_links_files_are_copied() {
    let machine = installed();
    plant(&machine, "local/profile/slot1", "save");
    plant(&machine, "local/shared.cfg", "changed");
    machine.refuse_links(true);
    let done = update(&machine);
    assert_eq!(done.kept, [".lanspread.kept/1/shared.cfg"]);
    assert_eq!(text(&machine, "local/profile/slot1").as_deref(), Some("save"));
    assert_eq!(text(&machine, ".lanspread.kept/1/shared.cfg").as_deref(), Some("changed"));
}

/// A link of the user cannot be copied: the update is refused and the old version stands.
#[test]
fn without_links_a_link_of_the_user_refuses_the_update() {
    let machine = installed();
    machine.plant(&in_root("local/drive_c"), Node::Link);
    machine.refuse_links(true);
    let error = try_update(&machine).unwrap_err();
    assert_eq!(error.code(), "blocked");
    assert_eq!(machine.tree().get(&in_root("local/drive_c")), Some(&Node::Link));
    assert_eq!(machine.read_file(&in_root("local/run.sh")), Some(file_content("run.sh", "1")));
}

/// Proves T69: a file that the game writes while the update looks is carried as it is in the end.
#[test]
fn a_file_written_during_the_update_is_carried() {
    let machine = installed();
    plant(&machine, "local/save", "first");
    machine.meddle(Some(Meddler { path: in_root("local/save"), times: 1 }));
    update(&machine);
    assert_eq!(text(&machine, "local/save").as_deref(), Some("written by another program 1"));
}

/// Proves T69: a game that goes on writing refuses the update, and nothing is lost.
#[test]
fn a_game_that_keeps_writing_refuses_the_update() {
    let machine = installed();
    plant(&machine, "local/save", "first");
    machine.meddle(Some(Meddler { path: in_root("local/save"), times: usize::MAX }));
    let error = try_update(&machine).unwrap_err();
    assert_eq!(error.code(), "busy", "{error}");
    machine.meddle(None);
    assert!(text(&machine, "local/save").unwrap().starts_with("written by another"));
    assert_eq!(machine.read_file(&in_root("local/run.sh")), Some(file_content("run.sh", "1")));
    assert!(error.after.is_some_and(|after| after.is_usable()));
}

/// The list says what was written, with sizes and hashes; the record says which version.
#[test]
fn an_install_records_what_it_wrote() {
    let machine = installed();
    let context = context(&Place::of(&machine)).unwrap();
    let list = InstalledList::read(context.root(), layout::LOCAL.as_ref()).unwrap().unwrap();
    let paths: Vec<&str> = list.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, OLD);
    let first = &list.files[0];
    assert_eq!(first.size, content("game.exe 1;").len() as u64);
    let hash = blake3::hash(&file_content("game.exe", "1")).to_hex().to_string();
    assert_eq!(first.hash.as_deref(), Some(hash.as_str()));
    assert_eq!(list.dirs, ["gone", "maps", "shipped", "shipped/empty"]);
}

/// Paths that look like ours, or lead out, are refused and nothing is written.
#[test]
fn an_install_writes_no_path_of_ours() {
    let machine = installed();
    let context = context(&Place::of(&machine)).unwrap();
    let mut staging = InstallStaging::create(&context, "2", None).unwrap();
    let before = machine.tree();
    for bad in [".lanspread_owned", "a/.LANSPREAD_x", "../x", "/x", "a//b", "a\\b", "", "c:x", "."]
    {
        assert_eq!(staging.create_file(bad, None).err().unwrap().code(), "bad-name", "{bad:?}");
        assert_eq!(staging.create_dir(bad).unwrap_err().code(), "bad-name", "{bad:?}");
    }
    assert_eq!(machine.tree(), before);
    staging.create_file("twice", None).unwrap().finish().unwrap();
    assert_eq!(staging.create_file("twice", None).err().unwrap().code(), "exists");
    staging.abort().unwrap();
}

/// A file that was begun and not finished cannot be committed; nothing has changed then.
#[test]
fn an_unfinished_file_is_not_installed() {
    let machine = installed();
    let context = context(&Place::of(&machine)).unwrap();
    let mut staging = InstallStaging::create(&context, "2", None).unwrap();
    staging.create_file("whole", None).unwrap().finish().unwrap();
    drop(staging.create_file("half", None).unwrap());
    let error = staging.commit().unwrap_err();
    assert_eq!(error.code(), "incomplete");
    assert!(error.to_string().contains("half"), "{error}");
    assert_eq!(machine.read_file(&in_root("local/run.sh")), Some(file_content("run.sh", "1")));
    assert!(!machine.tree().contains_key(&in_root(layout::LOCAL_INSTALLING)));
}
