//! The catalog file.

use lanspread_wire::{BadCatalog, Catalog, CatalogGame, GameId, ManifestId, Title, VersionStamp};
use proptest::{collection::btree_map, option, prelude::*};

use super::samples::{any_game, any_path, game};

const FULL: &str = r#"
# A party of two games.
[games.quake3]
title = "Quake III Arena"
version = "20240131"
manifest = "0101010101010101010101010101010101010101010101010101010101010101"
genre = "Shooter"
players = "2-16"
description = """
Fast
and old."""
cover = "covers/quake3.jpg"

[games."openra-2.0"]
title = "OpenRA"
"#;

#[test]
fn a_catalog_is_read_with_all_its_fields() {
    let catalog = Catalog::parse(FULL).unwrap();
    let quake = CatalogGame {
        title: Title::parse("Quake III Arena").unwrap(),
        version: Some(VersionStamp::parse(b"20240131").unwrap()),
        manifest: Some(ManifestId([1; 32])),
        genre: Some("Shooter".into()),
        players: Some("2-16".into()),
        description: Some("Fast\nand old.".into()),
        cover: Some("covers/quake3.jpg".into()),
    };
    let openra = CatalogGame::titled(Title::parse("OpenRA").unwrap());
    let expected = [(game("openra-2.0"), openra), (game("quake3"), quake)];
    assert_eq!(catalog.games.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn an_empty_file_is_an_empty_catalog() {
    assert_eq!(Catalog::parse(""), Ok(Catalog::default()));
    assert_eq!(Catalog::parse(&Catalog::default().to_toml()), Ok(Catalog::default()));
}

/// The line where `marker` stands, counted from one.
fn line_of(text: &str, marker: &str) -> usize {
    1 + text.lines().position(|line| line.contains(marker)).unwrap()
}

/// Each change of one line is refused, and the error tells the line.
#[test]
fn what_is_wrong_is_told_with_its_line() {
    let changes = [
        ("title = \"OpenRA\"", "titel = \"OpenRA\"", "titel"),
        ("genre = \"Shooter\"", "genre = 3", "integer"),
        ("players = \"2-16\"", "extra = 1", "unknown field `extra`"),
        ("version = \"20240131\"", "version = \"  \"", "version is empty"),
        ("title = \"Quake III Arena\"", "title = \"a\\u001b\"", "title"),
        ("[games.quake3]", "[games.QUAKE]", "not a game id"),
        ("[games.quake3]", "[games.con]", "device"),
        ("0101010101", "01010101", "manifest id"),
        ("[games.quake3]", "[game.quake3]", "unknown field `game`"),
        ("players = \"2-16\"", "players = ", ""),
        ("genre = \"Shooter\"", "genre = \"a\"\ngenre = \"b\"", "duplicate key"),
    ];
    for (from, to, part) in changes {
        let text = FULL.replacen(from, to, 1);
        let error = Catalog::parse(&text).unwrap_err();
        let BadCatalog::Line { line, message } = &error else { panic!("{to}: {error}") };
        assert!(message.contains(part), "{to}: {message}");
        let expected = line_of(&text, to.lines().last().unwrap());
        assert!((expected..=expected + 1).contains(line), "{to}: line {line}, not {expected}");
    }
}

#[test]
fn a_field_against_its_rule_is_told_with_its_game() {
    let changes = [
        ("\"Shooter\"", "\"a\\nb\"", "genre"),
        ("\"Shooter\"", "\"\"", "genre"),
        ("\"2-16\"", "\" 2\"", "players"),
        ("\"covers/quake3.jpg\"", "\"../secret.jpg\"", "cover"),
        ("\"covers/quake3.jpg\"", "'C:\\a.jpg'", "cover"),
        ("Fast", "\\u001b[2J", "description"),
        ("Fast", "a\\u202eb", "description"),
    ];
    for (from, to, expected) in changes {
        let error = Catalog::parse(&FULL.replacen(from, to, 1)).unwrap_err();
        let BadCatalog::Field { game: id, field, .. } = &error else { panic!("{to}: {error}") };
        assert_eq!((id, *field), (&game("quake3"), expected));
        assert!(!error.to_string().chars().any(char::is_control), "{error}");
    }
}

/// Proves T43: what the message quotes of the file cannot move a cursor or turn a line around.
#[test]
fn an_unknown_key_is_told_without_its_control_characters() {
    let text = "[games.a]\ntitle = 't'\n\"x\\u202e\\u001b[2J\" = 1";
    let error = Catalog::parse(text).unwrap_err().to_string();
    assert!(error.starts_with("catalog line 3: unknown field `x"), "{error}");
    assert!(!error.contains(['\u{202e}', '\u{1b}']), "{error}");
}

/// Proves T70: a catalog from anybody gets a verdict, whatever its bytes.
#[test]
fn a_catalog_cut_or_changed_anywhere_gets_a_verdict() {
    for cut in (0..FULL.len()).filter(|cut| FULL.is_char_boundary(*cut)) {
        if let Ok(catalog) = Catalog::parse(&FULL[..cut]) {
            assert!(catalog.games.len() <= 2);
        }
    }
    for index in 0..FULL.len() {
        for byte in [0, b'"', b'[', b']', b'=', b'\n', b'.', 0x1b] {
            let mut changed = FULL.as_bytes().to_vec();
            changed[index] = byte;
            if let Err(error) = Catalog::parse(std::str::from_utf8(&changed).unwrap()) {
                let shown = error.to_string();
                assert!(!shown.contains(['\0', '\u{1b}']), "{shown}");
            }
        }
    }
}

/// Proves T30 for files: no recursion without bound.
#[test]
fn deep_nesting_is_refused() {
    for text in [
        format!("games = {}", "[".repeat(100_000)),
        format!("games = {}", "{a=".repeat(100_000)),
        format!("[games{}]", ".a".repeat(100_000)),
    ] {
        assert!(Catalog::parse(&text).is_err());
    }
}

fn any_catalog_game() -> impl Strategy<Value = CatalogGame> {
    let line = || option::of("[A-Za-z0-9\"'\\\\#é-]{1,20}");
    let title = "[A-Za-z0-9\"'\\\\#é=-]{1,20}".prop_map(|text| Title::parse(&text).unwrap());
    let version = option::of("[0-9a-z.\"]{1,8}".prop_map(|text| text.parse().unwrap()));
    let manifest = option::of(any::<[u8; 32]>().prop_map(ManifestId));
    let description = option::of("[A-Za-z\n\t\"'\\\\ ]{0,60}");
    let cover = option::of(any_path().prop_map(|path| path.to_string()));
    (title, version, manifest, line(), line(), description, cover).prop_map(
        |(title, version, manifest, genre, players, description, cover)| CatalogGame {
            title,
            version,
            manifest,
            genre,
            players,
            description,
            cover,
        },
    )
}

proptest! {
    #[test]
    fn every_catalog_returns(
        games in btree_map(any_game(), any_catalog_game(), 0..5),
    ) {
        let catalog = Catalog { games };
        prop_assert_eq!(Catalog::parse(&catalog.to_toml()), Ok(catalog));
    }

    #[test]
    fn any_text_gets_a_verdict(text in "[\\[\\]a-z=\".\n{}',0-9]{0,60}") {
        Catalog::parse(&text).ok();
    }
}

#[test]
fn a_dotted_id_needs_its_quotation_marks() {
    let error = Catalog::parse("[games.openra-2.0]\ntitle = 'x'").unwrap_err();
    assert!(matches!(error, BadCatalog::Line { .. }), "{error}");
    let id: GameId = "openra-2.0".parse().unwrap();
    let quoted = Catalog::parse("[games.\"openra-2.0\"]\ntitle = 'x'").unwrap();
    assert!(quoted.games.contains_key(&id));
}
