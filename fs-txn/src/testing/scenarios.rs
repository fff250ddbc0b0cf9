//! The operations that are crashed and failed everywhere: each with the state it starts from.

use std::path::Path;
use std::sync::Arc;

use super::games::{
    GAME, content, context, download, file_content, fill, games, in_root, install, plan_of, plant,
    setup_error,
};
use super::place::Place;
use crate::ops::{AdoptMode, AdoptRequest, DownloadStaging, InstallStaging, TxnError};
use crate::vfs::sim::{Node, SimVfs};
use crate::{adopt, create_game_root, remove, uninstall};

/// One operation on one state.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) prepare: fn(&SimVfs),
    pub(super) run: fn(&Place) -> Result<(), TxnError>,
    /// Whether files of others in the root go too.
    pub(super) removes_all: bool,
    /// Whether the operation ends in the state it began with (it was given up on purpose).
    pub(super) gives_up: bool,
}

const PAYLOAD_OLD: &[&str] =
    &["game.rar", "data/kept.pak", "data/gone.pak", "old/only/x.pak", "tofile/x"];
const FILES_NEW: &[&str] =
    &["game.rar", "data/new.pak", "bin/run.sh", "tofile", "mine.cfg", "empty.cfg"];

pub(super) fn all() -> Vec<Scenario> {
    let plain =
        |name, prepare, run| Scenario { name, prepare, run, removes_all: false, gives_up: false };
    let given_up = |name, prepare, run| Scenario { gives_up: true, ..plain(name, prepare, run) };
    vec![
        plain("download", bare, download_fresh),
        plain("download of a new version", downloaded, download_update),
        plain("download of the same version", downloaded, download_again),
        plain("download resumed", parked, download_fresh),
        plain("download instead of another", parked, download_other),
        given_up("download parked", downloaded, |place| download_given_up(place, false)),
        given_up("download discarded", parked, |place| download_given_up(place, true)),
        plain("install", downloaded, install_new),
        given_up("install given up", downloaded, install_given_up),
        plain("update", installed, install_new),
        plain("update of a foreign local", foreign_local, install_new),
        plain("uninstall", installed, uninstall_game),
        plain("uninstall of a foreign local", foreign_local, uninstall_game),
        Scenario { removes_all: true, ..plain("remove", installed, remove_all) },
        Scenario {
            removes_all: true,
            ..plain("remove without version", without_version, remove_all)
        },
        plain("adopt by copy", adoptable, |place| adopt_folder(place, AdoptMode::Copy)),
        plain("adopt by move", adoptable, |place| adopt_folder(place, AdoptMode::Move)),
    ]
}

/// What is not ours: it must survive everything (but a removal, for what lies in the root).
pub(super) fn foreign() -> Vec<(&'static str, Node)> {
    let file = |text: &str| Node::File(text.as_bytes().to_vec(), false);
    vec![
        ("/outside/precious", file("outside")),
        ("/games/doom/version.ini", file("19931210")),
        ("/games/doom/local/save", file("of another game")),
        ("/games/quake/.sync/state", file("of a synchroniser")),
        ("/games/quake/notes \u{1b}[31m.txt", file("odd name")),
        ("/games/quake/data/mine.txt", file("beside payload")),
        ("/games/quake/shortcut", Node::Link),
        ("/games/quake/pipe", Node::Pipe),
        ("/games/quake/.trash-mine/x", file("unowned trash")),
        ("/games/quake/.trash-empty", Node::Dir),
        ("/games/quake/.local.backup.old/x", file("unowned backup")),
        ("/games/quake/.local.installing (copy)/x", file("unowned staging")),
        ("/games/quake/Version.INI.bak", file("no sentinel")),
    ]
}

fn bare(machine: &SimVfs) {
    create_game_root(&*games(machine), GAME).unwrap();
    for (path, node) in foreign() {
        machine.plant(Path::new(path), node);
    }
    machine.flush_all();
}

fn downloaded(machine: &SimVfs) {
    bare(machine);
    for path in PAYLOAD_OLD {
        machine.plant(&in_root(path), Node::File(file_content(path, "1"), false));
    }
    plant(machine, "mine.cfg", "the user's, in the way of a new file");
    plant(machine, "version.ini", "1\n");
}

fn installed(machine: &SimVfs) {
    downloaded(machine);
    install(&Place::of(machine), "1", &["game.exe", "run.sh", "maps/one", "shared.cfg"]).unwrap();
    plant(machine, "local/saves/slot1", "a game of the user");
    plant(machine, "local/shared.cfg", "changed by the user");
    plant(machine, "local/maps/two", "made by the user, shipped later");
    machine.plant(&in_root("local/made/by/user"), Node::Dir);
    machine.plant(&in_root("local/wine/dosdevices"), Node::Link);
    machine.flush_all();
}

fn foreign_local(machine: &SimVfs) {
    downloaded(machine);
    plant(machine, "local/game.exe", "copied from a friend");
    plant(machine, "local/saves/slot1", "a game of the user");
}

fn without_version(machine: &SimVfs) {
    installed(machine);
    machine.uproot(&in_root("version.ini"));
}

fn parked(machine: &SimVfs) {
    downloaded(machine);
    let plan = plan_of("2", FILES_NEW, &["data/kept.pak"], PAYLOAD_OLD);
    let (staging, _) = DownloadStaging::open_or_create(&context_of(machine), &plan).unwrap();
    staging.write_at(0, 0, &file_content("game.rar", "2")).unwrap();
    staging.save_progress(b"\x01").unwrap();
    staging.park().unwrap();
    machine.flush_all();
}

fn adoptable(machine: &SimVfs) {
    bare(machine);
    for path in ["game.rar", "bin/run.sh", "deep/er/file"] {
        let path_there = Path::new("/stick/quake").join(path);
        machine.plant(&path_there, Node::File(file_content(path, "7"), false));
    }
    machine.plant(Path::new("/stick/quake/saves/empty"), Node::Dir);
    machine.plant(Path::new("/stick/quake/link"), Node::Link);
    machine.plant(Path::new("/stick/quake/local/save"), Node::File(content("private"), false));
    machine.plant(Path::new("/stick/quake/version.ini"), Node::File(b"7".to_vec(), false));
}

fn context_of(machine: &SimVfs) -> crate::TxnContext {
    context(&Place::of(machine)).unwrap()
}

fn uninstall_game(place: &Place) -> Result<(), TxnError> {
    no_leftovers(uninstall(&context(place).map_err(setup_error)?)?)
}

/// A leftover is a fault after the commit: the caller is told, and the machine goes on.
fn no_leftovers(done: crate::Done) -> Result<(), TxnError> {
    drop(done);
    Ok(())
}

fn download_fresh(place: &Place) -> Result<(), TxnError> {
    let plan = plan_of("2", FILES_NEW, &[], PAYLOAD_OLD);
    no_leftovers(download(place, &plan)?)
}

fn download_update(place: &Place) -> Result<(), TxnError> {
    let plan = plan_of("2", FILES_NEW, &["data/kept.pak"], PAYLOAD_OLD);
    no_leftovers(download(place, &plan)?)
}

fn download_again(place: &Place) -> Result<(), TxnError> {
    let plan = plan_of("1", FILES_NEW, &["data/kept.pak"], PAYLOAD_OLD);
    no_leftovers(download(place, &plan)?)
}

fn download_other(place: &Place) -> Result<(), TxnError> {
    let plan = plan_of("3", &["game.rar", "other/file"], &[], PAYLOAD_OLD);
    let context = context(place).map_err(setup_error)?;
    let (mut staging, resumed) = DownloadStaging::open_or_create(&context, &plan)?;
    if !resumed.same_manifest && staging.previous().is_some() {
        let mut start = [0; 8];
        if let Some(previous) = staging.previous() {
            previous.read_at(0, 0, &mut start).ok();
        }
        staging.drop_previous()?;
    }
    fill(&staging, &plan)?;
    no_leftovers(staging.commit()?)
}

fn download_given_up(place: &Place, discard: bool) -> Result<(), TxnError> {
    let plan = plan_of("2", FILES_NEW, &["data/kept.pak"], PAYLOAD_OLD);
    let context = context(place).map_err(setup_error)?;
    let (staging, _) = DownloadStaging::open_or_create(&context, &plan)?;
    fill(&staging, &plan)?;
    staging.save_progress(b"\x03")?;
    if discard { staging.discard() } else { staging.park() }
}

fn install_new(place: &Place) -> Result<(), TxnError> {
    let files = ["game.exe", "run.sh", "maps/two", "shared.cfg", "new/file"];
    no_leftovers(install(place, "2", &files)?)
}

fn install_given_up(place: &Place) -> Result<(), TxnError> {
    let context = context(place).map_err(setup_error)?;
    let mut staging = InstallStaging::create(&context, "2", None)?;
    let mut file = staging.create_file("a/b/c", None)?;
    file.write(b"half")?;
    file.finish()?;
    staging.copy_payload("game.rar")?;
    staging.abort()
}

fn remove_all(place: &Place) -> Result<(), TxnError> {
    let games = place.open("/games").map_err(setup_error)?;
    let context = context(place).map_err(setup_error)?;
    no_leftovers(remove(&context, &*games)?)
}

fn adopt_folder(place: &Place, mode: AdoptMode) -> Result<(), TxnError> {
    let source = place.open("/stick/quake").map_err(setup_error)?;
    let context = context(place).map_err(setup_error)?;
    let request = AdoptRequest { source: Arc::clone(&source), sentinel: None, mode };
    no_leftovers(adopt(&context, &request)?)
}
