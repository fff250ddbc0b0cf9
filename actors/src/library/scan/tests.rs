//! Scans of roots found on disk: what is payload, what is not, and when a game counts as what.

use std::fs;

use lanspread_wire::{GameId, RelPath, VersionStamp};

use super::*;
use crate::library::testbed::Testbed;

fn is_known(scan: &RootScan) -> bool {
    matches!(scan.content, Content::Known { .. })
}

fn is_unhashed(scan: &RootScan) -> bool {
    matches!(scan.content, Content::Unhashed { .. })
}

fn blocked(scan: &RootScan) -> &str {
    match &scan.content {
        Content::Blocked(text) => text,
        other => panic!("not blocked: {other:?}"),
    }
}

/// The payload as the walk sees it.
fn payload(bed: &Testbed) -> Payload {
    let root = bed.places.open_root(&GameId::parse("quake").unwrap()).unwrap();
    let top = root.read_dir(Path::new("")).unwrap();
    walk::walk(&*root, &top, &Budget::UNLIMITED).unwrap()
}

fn payload_paths(bed: &Testbed) -> Vec<String> {
    payload(bed).files.iter().map(|stamp| stamp.path.to_string()).collect()
}

/// Proves D1 and D2.
#[test]
fn downloaded_and_installed_are_independent() {
    let bed = Testbed::new();
    assert_eq!(bed.scan_as(&bed.order()), ScanOutcome::Absent);
    bed.make_dir("");
    let scan = bed.scan();
    assert!(scan.sentinel.is_none() && !scan.installed && !scan.is_present());
    bed.make_dir("local");
    bed.write("local/save", b"12345");
    let scan = bed.scan();
    assert!(scan.sentinel.is_none() && scan.installed && scan.is_present());
    assert_eq!(scan.bytes_total, 5, "the size of what is installed");
    bed.write("version.ini", "20240131\n");
    let scan = bed.scan();
    assert_eq!(scan.sentinel.unwrap().version, VersionStamp::parse(b"20240131").unwrap());
    assert!(scan.installed);
    fs::remove_dir_all(bed.path("local")).unwrap();
    assert!(!bed.scan().installed);
}

/// Proves D1: only a regular file of that very name, directly in the root.
#[test]
fn nothing_else_is_a_sentinel() {
    let bed = Testbed::new();
    bed.write("deeper/version.ini", "1");
    assert!(bed.scan().sentinel.is_none());
    bed.make_dir("version.ini");
    let scan = bed.scan();
    assert!(scan.sentinel.is_none());
    assert!(blocked(&scan).contains("version.ini"));
    fs::remove_dir(bed.path("version.ini")).unwrap();
    bed.write("Version.INI", "1");
    let scan = bed.scan();
    assert!(scan.sentinel.is_none());
    assert!(scan.problem.unwrap().contains("Version.INI"));
}

/// Proves D1 and D6 for bad sentinels: the error names the file.
#[test]
fn a_bad_sentinel_is_named() {
    let bed = Testbed::new();
    for bad in [&b""[..], b" \n", b"a\x1bb", b"\xff", &[b'1'; SENTINEL_BYTES_MAX + 1]] {
        bed.write("version.ini", bad);
        let scan = bed.scan();
        assert!(scan.sentinel.is_none());
        assert!(blocked(&scan).contains("version.ini"), "{}", blocked(&scan));
    }
}

/// Proves D7: what is payload and what is not.
#[test]
fn payload_is_what_belongs_to_the_game() {
    let bed = Testbed::new();
    for mine in ["pak0.pk3", "maps/q3dm1.bsp", "maps/.hidden", "local.txt", "sub/local/x"] {
        bed.write(mine, mine);
    }
    let not_mine = [
        "version.ini",
        "local/q3config.cfg",
        ".version.ini.tmp",
        ".lanspread.json",
        ".download/manifest",
        ".local.backup/x",
        ".sync/database",
        "Thumbs.db",
        "maps/desktop.ini",
        "maps/.DS_Store",
        "$RECYCLE.BIN/x",
    ];
    for other in not_mine {
        bed.write(other, "1");
    }
    bed.make_dir("empty/inner");
    bed.make_dir("litter");
    bed.write("litter/Thumbs.db", "1");
    let payload = payload(&bed);
    let paths: Vec<&str> = payload.files.iter().map(|stamp| stamp.path.as_str()).collect();
    assert_eq!(paths, ["local.txt", "maps/.hidden", "maps/q3dm1.bsp", "pak0.pk3", "sub/local/x"]);
    let empty: Vec<&str> = payload.empty_dirs.iter().map(RelPath::as_str).collect();
    assert_eq!(empty, ["empty/inner", "litter"]);
    let bytes: usize = paths.iter().map(|path| path.len()).sum();
    assert_eq!(payload.bytes_total, bytes as u64);
    assert_eq!(payload.remarks, Vec::<String>::new(), "nothing of it is worth a word");
}

/// Proves D7, T50 and T69: links and special files are left out with a word, never followed.
#[cfg(unix)]
#[test]
fn links_are_left_out_and_said() {
    let bed = Testbed::new();
    bed.write("version.ini", "1");
    bed.write("pak0", "1");
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "x").unwrap();
    bed.link(outside.path(), "dir-link");
    bed.link(outside.path().join("secret"), "file-link");
    bed.link("nowhere", "broken-link");
    let fifo = std::process::Command::new("mkfifo").arg(bed.path("pipe")).status().unwrap();
    assert!(fifo.success());
    assert_eq!(payload_paths(&bed), ["pak0"]);
    let scan = bed.scan();
    assert!(is_unhashed(&scan));
    assert_eq!(scan.remarks.len(), 1);
    for name in ["dir-link", "file-link", "broken-link", "pipe"] {
        assert!(scan.remarks[0].contains(name), "{}", scan.remarks[0]);
    }
}

/// Proves T68 and row 0 of recovery: a root that is a link is shown as an error, not followed.
#[cfg(unix)]
#[test]
fn a_root_that_is_a_link_is_not_followed() {
    let bed = Testbed::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("version.ini"), "1").unwrap();
    std::os::unix::fs::symlink(outside.path(), bed.places.games_dir.join("quake")).unwrap();
    match bed.scan_as(&bed.order()) {
        ScanOutcome::Unreadable(text) => assert!(text.contains("link"), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// Proves T69: a planted `local` is not installed and is told.
#[cfg(unix)]
#[test]
fn a_planted_local_is_told() {
    let bed = Testbed::new();
    bed.write("version.ini", "1");
    bed.link("/etc", "local");
    let scan = bed.scan();
    assert!(!scan.installed && is_unhashed(&scan), "it is shared all the same");
    assert!(scan.problem.unwrap().contains("local is a link"));
    bed.remove("local");
    bed.write("local", "a file");
    let scan = bed.scan();
    assert!(!scan.installed && scan.problem.is_some());
}

/// Proves T40 to T43 for what is found on disk: a game that others cannot hold is not shared, and
/// the file is named.
#[cfg(unix)]
#[test]
fn names_that_others_cannot_hold_block_the_game() {
    for bad in ["con", "a:b", "trailing.", "e\u{301}", "x/aux.txt", "bidi\u{202e}"] {
        let bed = Testbed::new();
        bed.write("version.ini", "1");
        bed.write(bad, "1");
        let scan = bed.scan();
        assert!(blocked(&scan).starts_with("cannot be shared: "), "{}", blocked(&scan));
        assert!(scan.sentinel.is_some(), "it is downloaded, though");
    }
    let bed = Testbed::new();
    bed.write("version.ini", "1");
    bed.write("Maps/a", "1");
    bed.write("maps/b", "1");
    let scan = bed.scan();
    assert!(blocked(&scan).contains("Maps") && blocked(&scan).contains("maps"));
}

#[cfg(unix)]
#[test]
fn a_name_that_is_no_text_blocks_the_game() {
    use std::os::unix::ffi::OsStrExt;
    let bed = Testbed::new();
    bed.write("version.ini", "1");
    let name = std::ffi::OsStr::from_bytes(b"bad\xff");
    fs::write(bed.path("").join(name), "1").unwrap();
    assert!(blocked(&bed.scan()).contains("not valid text"));
}

/// Names that the program keeps for itself are no payload of a found game either.
#[test]
fn reserved_names_are_left_out_and_said() {
    let bed = Testbed::new();
    bed.write("version.ini", "1");
    bed.write("pak0", "1");
    bed.write("sub/.lanspread_owned", "1");
    bed.write("LOCAL/x", "1");
    assert_eq!(payload_paths(&bed), ["pak0"]);
    assert!(bed.scan().remarks[0].contains("LOCAL"));
}

/// Proves D6: a rewrite of the sentinel of the same length at the same time is seen.
#[test]
fn the_content_of_the_sentinel_counts() {
    let bed = Testbed::new();
    bed.write("version.ini", "20240101");
    bed.write("pak0", "1");
    bed.hash();
    assert!(is_known(&bed.scan()));
    bed.write_in_secret("version.ini", b"20240102");
    assert!(is_unhashed(&bed.scan()));
}

/// Proves D6: every change of the payload that can be seen is seen.
#[test]
fn every_visible_change_is_seen() {
    type Change = (&'static str, fn(&Testbed));
    let changes: [Change; 6] = [
        ("a new file", |bed| bed.write("new", "1")),
        ("a removed file", |bed| bed.remove("pak0")),
        ("another size", |bed| bed.write("pak0", "longer")),
        ("another time", |bed| bed.touch("pak0", 100)),
        ("a new empty folder", |bed| bed.make_dir("empty")),
        ("another file in its place", |bed| {
            let metadata = fs::metadata(bed.path("pak0")).unwrap();
            fs::write(bed.path(".tmp"), "x").unwrap();
            let file = fs::OpenOptions::new().write(true).open(bed.path(".tmp")).unwrap();
            file.set_modified(metadata.modified().unwrap()).unwrap();
            fs::rename(bed.path(".tmp"), bed.path("pak0")).unwrap();
        }),
    ];
    for (what, change) in changes {
        let bed = Testbed::new();
        bed.write("version.ini", "1");
        bed.write("pak0", "1");
        bed.hash();
        assert!(is_known(&bed.scan()), "before {what}");
        change(&bed);
        let is_seen = cfg!(unix) || what != "another file in its place";
        assert_eq!(is_unhashed(&bed.scan()), is_seen, "{what}");
    }
}

/// Proves D4 and D9: what happens in `local/` and in files of others changes nothing.
#[test]
fn local_and_the_files_of_others_change_nothing() {
    let bed = Testbed::new();
    bed.write("version.ini", "1");
    bed.write("pak0", "1");
    bed.hash();
    bed.write("local/save", "1");
    bed.write(".sync/database", "1");
    bed.write("Thumbs.db", "1");
    assert!(is_known(&bed.scan()));
}

/// A manifest that was lost is made again.
#[test]
fn a_lost_manifest_is_noticed() {
    let bed = Testbed::new();
    bed.write("version.ini", "1");
    bed.write("pak0", "1");
    let id = bed.hash().id();
    bed.places.manifests.remove(id).unwrap();
    assert!(is_unhashed(&bed.scan()));
    assert_eq!(bed.hash().id(), id);
    assert!(is_known(&bed.scan()));
}

/// Proves L7's time budget: with no budget left the payload is left for later.
#[test]
fn a_quick_scan_stops_at_its_budget() {
    let bed = Testbed::new();
    bed.write("version.ini", "1");
    for index in 0..10 {
        bed.write(&format!("f{index}"), "1");
    }
    let scan_with =
        |entries| Testbed::found(bed.places.scan(None, &bed.order(), &Budget::of(entries)));
    assert_eq!(scan_with(9).content, Content::Unwalked);
    assert!(scan_with(9).sentinel.is_some(), "the version is read all the same");
    assert!(is_unhashed(&scan_with(10)));
    bed.commit();
    assert_eq!(scan_with(9).content, Content::Unwalked);
    assert!(is_known(&scan_with(10)));
}

/// Proves T68: a missing folder, and another one in its place, are told apart from a missing game.
#[test]
fn a_missing_folder_is_no_missing_game() {
    let bed = Testbed::new();
    bed.write("version.ini", "1");
    let folder = bed.places.vfs.open_root(&bed.places.games_dir).unwrap();
    let identity = identity_of(&*folder).unwrap();
    let scan = || bed.places.scan(Some(identity), &bed.order(), &Budget::UNLIMITED);
    assert!(matches!(scan(), ScanOutcome::Found(_)));
    let aside = bed.places.games_dir.with_extension("aside");
    fs::rename(&bed.places.games_dir, &aside).unwrap();
    assert!(matches!(scan(), ScanOutcome::FolderGone(_)));
    fs::create_dir(&bed.places.games_dir).unwrap();
    if identity.inode.is_some() {
        assert_eq!(scan(), ScanOutcome::FolderReplaced);
    }
    fs::remove_dir(&bed.places.games_dir).unwrap();
    fs::rename(&aside, &bed.places.games_dir).unwrap();
    assert!(matches!(scan(), ScanOutcome::Found(_)));
}

#[cfg(unix)]
#[test]
fn a_folder_without_the_right_to_list_it_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let bed = Testbed::new();
    bed.write("version.ini", "1");
    bed.write("sub/pak0", "1");
    let set_mode = |path: &str, mode| {
        fs::set_permissions(bed.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode("sub", 0o000);
    // The superuser may read everything: then there is nothing to tell.
    let may_read = fs::read_dir(bed.path("sub")).is_ok();
    let scan = bed.scan();
    set_mode("sub", 0o755);
    if !may_read {
        assert!(blocked(&scan).contains("sub"), "{}", blocked(&scan));
    }
}
