//! One validator, the same verdict on every system.

use lanspread_wire::{BadName, check_component, fold_key, is_litter, printable};
use proptest::{collection::vec, prelude::*};

#[test]
fn ordinary_names_are_accepted() {
    let names = [
        "pak0.pk3",
        "setup.exe",
        ".hidden",
        "a",
        "README",
        "Größe.txt",
        "日本語.dat",
        "a b",
        "a.b.c",
        "it's (1) [x] {y} #$%&+,;=@^`!-_",
        "con-fig",
        "console",
        "auxiliary.txt",
        "com",
        "com10",
        "lpt",
        "nul0",
        "clock",
        "comé",
        "😀.png",
        "~",
        "a~1",
        "readme~1.txt",
        "x~local",
        "localhost~1.txt",
    ];
    for name in names {
        assert_eq!(check_component(name), Ok(()), "{name}");
    }
}

/// Proves T39.
#[test]
fn names_that_lead_elsewhere_are_refused() {
    assert_eq!(check_component(""), Err(BadName::Empty));
    for name in [".", ".."] {
        assert_eq!(check_component(name), Err(BadName::Dots(name.into())));
    }
    for (name, character) in [("a/b", '/'), ("a\\b", '\\'), ("C:", ':'), ("..\\a", '\\')] {
        assert!(
            matches!(check_component(name), Err(BadName::Character { character: c, .. }) if c == character),
            "{name}"
        );
    }
}

/// Proves T40.
#[test]
fn characters_that_windows_refuses_are_refused_everywhere() {
    for character in ['<', '>', ':', '"', '|', '?', '*', '\\', '/'] {
        for name in [format!("a{character}b"), format!("{character}b"), format!("a{character}")] {
            let refused = check_component(&name);
            assert!(
                matches!(&refused, Err(BadName::Character { character: c, .. }) if *c == character),
                "{name}: {refused:?}"
            );
        }
    }
    assert!(check_component("f:ads").is_err());
    assert!(check_component("f::$INDEX_ALLOCATION").is_err());
}

/// Proves T40.
#[test]
fn names_that_windows_would_trim_are_refused() {
    for name in ["x.", "x ", " x", "x. ", "x .", "...", " ", "x..."] {
        assert!(matches!(check_component(name), Err(BadName::Edge(_))), "{name:?}");
    }
}

/// Proves T40.
#[test]
fn names_of_devices_are_refused_in_any_case_and_with_any_extension() {
    let mut devices: Vec<String> =
        ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"].map(String::from).into();
    for port in ["COM", "LPT"] {
        devices.extend("0123456789¹²³".chars().map(|digit| format!("{port}{digit}")));
    }
    assert_eq!(devices.len(), 33);
    for device in &devices {
        let lower = device.to_lowercase();
        let spellings = [
            device.clone(),
            lower.clone(),
            format!("{}{}", &device[..1], &lower[1..]),
            format!("{lower}.txt"),
            format!("{device}.tar.gz"),
            format!("{device} .txt"),
        ];
        for name in spellings {
            assert!(matches!(check_component(&name), Err(BadName::Device(_))), "{name}");
        }
        assert_eq!(check_component(&format!("x{device}")), Ok(()));
        assert_eq!(check_component(&format!("{lower}x")), Ok(()));
    }
    // A character that HFS+ does not see hides nothing.
    assert!(matches!(check_component("co\u{200d}n"), Err(BadName::Device(_))));
}

/// Proves T40.
#[test]
fn short_forms_of_names_that_we_own_are_refused() {
    let refused = [
        "LOCAL~1",
        "local~1",
        "LOCAL~1.INS",
        "LOCAL~2.BAC",
        "LANSPR~1.JSO",
        "lansp~12",
        "VERSIO~1.TMP",
        "VERSI~10.TMP",
        "DOWNLO~1",
        "LO1A2B~1.INS",
        "la0f3e~1.jso",
        "VE~1",
    ];
    for name in refused {
        assert!(matches!(check_component(name), Err(BadName::ShortForm(_))), "{name}");
    }
    for name in ["local~", "local~x", "local~1x", "locals~1", "localversion~1", "~1", "l~1"] {
        assert_eq!(check_component(name), Ok(()), "{name}");
    }
}

/// Proves T43.
#[test]
fn control_and_direction_characters_are_refused() {
    let mut characters: Vec<char> = (0..32_u8).map(char::from).collect();
    characters.push('\u{7f}');
    characters.extend('\u{80}'..='\u{9f}');
    characters.extend('\u{202a}'..='\u{202e}');
    characters.extend('\u{2066}'..='\u{2069}');
    characters.extend(['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}']);
    for character in characters {
        let refused = check_component(&format!("a{character}b"));
        let Err(BadName::Control(shown)) = &refused else {
            panic!("{character:?}: {refused:?}");
        };
        assert_eq!(shown, &format!("a{}b", character.escape_unicode()));
    }
}

/// Proves T42: two spellings of one name cannot both be sent, only the composed one.
#[test]
fn names_that_are_not_composed_are_refused() {
    assert_eq!(check_component("\u{e9}"), Ok(()));
    for name in ["e\u{301}", "\u{212b}", "q\u{307}\u{323}"] {
        assert!(matches!(check_component(name), Err(BadName::NotComposed(_))), "{name:?}");
    }
}

/// Proves T42.
#[test]
fn names_that_some_system_takes_for_the_same_have_the_same_key() {
    let same = [
        ("readme", "README"),
        ("data/Pak0.PK3", "DATA/pak0.pk3"),
        ("\u{e9}", "e\u{301}"),
        ("É", "e\u{301}"),
        ("straße", "STRASSE"),
        ("Σ", "ς"),
        ("K", "\u{212a}"),
        ("a/b", "a./b.. "),
        ("x\u{200d}y", "xy"),
        ("ﬁx", "FIX"),
    ];
    for (left, right) in same {
        assert_eq!(fold_key(left), fold_key(right), "{left} {right}");
    }
    for (left, right) in [("a", "b"), ("a/b", "ab"), ("e", "é"), ("ı", "i"), ("a.b", "ab")] {
        assert_ne!(fold_key(left), fold_key(right), "{left} {right}");
    }
}

/// Proves D7.
#[test]
fn litter_is_known_in_any_case() {
    for name in
        ["Thumbs.db", "THUMBS.DB", "desktop.ini", "Desktop.ini", ".DS_Store", "$RECYCLE.BIN"]
    {
        assert!(is_litter(name), "{name}");
    }
    for name in ["thumbs.db2", "desktop", "DS_Store", "recycle.bin", ""] {
        assert!(!is_litter(name), "{name}");
    }
}

/// Proves T43.
#[test]
fn foreign_text_is_shown_on_one_line_and_cut() {
    assert_eq!(printable("plain Größe 😀"), "plain Größe 😀");
    assert_eq!(printable("a\nb\u{1b}[2J"), "a\\u{a}b\\u{1b}[2J");
    assert_eq!(printable("gpj\u{202e}exe"), "gpj\\u{202e}exe");
    assert_eq!(printable("\"\\"), "\\\"\\\\");
    assert_eq!(printable("a\u{feff}\u{200b}"), "a\\u{feff}\u{200b}");
    let cut = printable(&"ä".repeat(1000));
    assert!(cut.ends_with("ä…"));
    assert!(cut.chars().count() < 100);
}

proptest! {
    /// Folding twice changes nothing, so a key is a key.
    #[test]
    fn a_key_is_its_own_key(name in "\\PC{0,20}") {
        let key = fold_key(&name);
        prop_assert_eq!(fold_key(&key), key);
    }

    /// A path is folded part by part, so that a tree can be folded name by name.
    #[test]
    fn the_key_of_a_path_is_the_keys_of_its_parts(parts in vec("\\PC{0,8}", 1..4)) {
        let parts: Vec<String> = parts.iter().map(|part| part.replace('/', "")).collect();
        let keys: Vec<String> = parts.iter().map(|part| fold_key(part)).collect();
        prop_assert_eq!(fold_key(&parts.join("/")), keys.join("/"));
    }

    /// A name that is accepted stays accepted and equal to itself under every case.
    #[test]
    fn case_never_matters_to_a_key(name in "[a-zA-Zäöüéßñ ._]{1,20}") {
        prop_assert_eq!(fold_key(&name.to_uppercase()), fold_key(&name.to_lowercase()));
    }

    /// Nothing panics, and nothing shown can move a cursor.
    #[test]
    fn any_text_gets_a_verdict_that_can_be_shown(name in any::<String>()) {
        let shown = printable(&name);
        prop_assert!(!shown.chars().any(char::is_control));
        if let Err(error) = check_component(&name) {
            prop_assert!(!error.to_string().chars().any(char::is_control));
        }
    }

    /// What is accepted is safe on the strictest system, told by rules written another way.
    #[test]
    fn an_accepted_name_is_safe(name in "[a-cA-CnouxlpstOCMN0-9 .~$:\\\\/*é]{1,9}") {
        if check_component(&name).is_ok() {
            prop_assert!(!name.contains(['/', '\\', ':', '*']));
            prop_assert!(!name.ends_with('.') && name.trim() == name);
            let base = name.split('.').next().unwrap().trim().to_ascii_uppercase();
            prop_assert!(!["CON", "AUX", "NUL", "PRN"].contains(&base.as_str()));
            let (port, number) = base.split_at_checked(3).unwrap_or_default();
            let is_port = ["COM", "LPT"].contains(&port) && number.parse::<u8>().is_ok_and(|n| n < 10);
            prop_assert!(!(is_port && number.len() == 1));
        }
    }
}
