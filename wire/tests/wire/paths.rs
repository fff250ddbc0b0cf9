//! Relative paths cannot name anything outside the folder they are joined to.

use lanspread_wire::{BadName, RelPath, is_reserved_payload};
use proptest::prelude::*;
use serde::Deserialize;

use super::samples::{any_path, path};

/// Proves T39.
#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let refused = [
        "",
        "/",
        "/x",
        "//x",
        "x/",
        "a//b",
        "../x",
        "a/../b",
        "a/..",
        "..",
        ".",
        "a/./b",
        "./a",
        "C:\\x",
        "C:/x",
        "c:x",
        "\\\\srv\\s",
        "a\\..\\..\\b",
        "a\\b",
        "\\x",
        "\\\\?\\C:\\x",
        "a/b/../../../c",
        "a\0b",
        "a/ b",
        "a./b",
        "a /b",
        "dir/con",
        "dir/nul.txt/x",
        "com1/x",
    ];
    for text in refused {
        assert!(RelPath::parse(text).is_err(), "{text:?}");
    }
    for text in ["/x", "x/", "a//b"] {
        assert_eq!(RelPath::parse(text), Err(BadName::EmptyComponent(text.into())));
    }
}

#[test]
fn a_path_tells_its_parts() {
    let deep = path("data/maps/q3dm17.bsp");
    assert_eq!(deep.components().collect::<Vec<_>>(), ["data", "maps", "q3dm17.bsp"]);
    assert_eq!(deep.file_name(), "q3dm17.bsp");
    assert_eq!(deep.parent(), Some(path("data/maps")));
    assert_eq!(deep.to_string(), "data/maps/q3dm17.bsp");
    let top = path("setup.exe");
    assert_eq!(top.file_name(), "setup.exe");
    assert_eq!(top.parent(), None);
    assert_eq!(path("data").join("maps"), Ok(path("data/maps")));
    assert!(path("data").join("..").is_err());
    assert!(path("data").join("").is_err());
    assert!(path("data").join("/etc").is_err());
}

/// Proves T41 and D7.
#[test]
fn names_that_are_no_payload_are_known_in_any_case_and_place() {
    let reserved = [
        "version.ini",
        "Version.INI",
        "VERSION.INI",
        "local",
        "LOCAL",
        "Local/evil",
        "local/a/b",
        ".lanspread.json",
        ".LANSPREAD.json",
        "a/.lanspread_owned",
        "a/b/.LanSpread",
        ".lanspreadx",
        ".local.backup/x",
        ".local.installing",
        "a/.local.x",
        ".version.ini.tmp",
        ".download/0",
        ".sync/x",
        ".hidden",
        "thumbs.db",
        "a/Thumbs.db",
        "a/desktop.ini",
        "$Recycle.Bin/a",
        "a/$RECYCLE.BIN/b",
        "x/.DS_Store",
        "loc\u{200d}al/x",
        "\u{feff}version.ini",
    ];
    for text in reserved {
        assert!(is_reserved_payload(&path(text)), "{text}");
    }
    let payload = [
        "a/version.ini",
        "a/local",
        "locale",
        "version.ini.bak",
        "local.txt",
        "a/.hidden",
        "a/.sync",
        "data/.local",
        "lanspread.json",
        "a/.download",
        "recycle.bin",
    ];
    for text in payload {
        assert!(!is_reserved_payload(&path(text)), "{text}");
    }
}

#[test]
fn paths_are_ordered_by_bytes() {
    let mut paths = ["b", "a/b", "a.b", "a", "B", "é"].map(path);
    paths.sort();
    assert_eq!(paths.map(|p| p.to_string()), ["B", "a", "a.b", "a/b", "b", "é"]);
}

#[derive(Debug, Deserialize)]
struct Holder {
    path: RelPath,
}

#[test]
fn a_file_cannot_bring_in_a_bad_path() {
    let good: Holder = toml::from_str("path = 'a/b'").unwrap();
    assert_eq!(good.path, path("a/b"));
    let error = toml::from_str::<Holder>("path = '../b'").unwrap_err();
    assert!(error.message().contains("leads out"), "{error}");
}

proptest! {
    #[test]
    fn an_accepted_path_stays_below_its_folder(text in "[a-c./\\\\: ]{0,12}") {
        if let Ok(path) = RelPath::parse(&text) {
            prop_assert_eq!(path.as_str(), text.as_str());
            let mut depth = 0;
            for part in std::path::Path::new(path.as_str()).components() {
                prop_assert!(matches!(part, std::path::Component::Normal(_)));
                depth += 1;
            }
            prop_assert_eq!(depth, path.components().count());
        }
    }

    #[test]
    fn a_path_is_its_parent_and_its_name(path in any_path()) {
        match path.parent() {
            Some(parent) => prop_assert_eq!(parent.join(path.file_name()), Ok(path)),
            None => prop_assert_eq!(path.file_name(), path.as_str()),
        }
    }
}
