//! Names and titles that are shown to people.

use lanspread_wire::{BadText, DisplayName, GameId, Title};
use proptest::prelude::*;

#[test]
fn a_line_that_can_be_shown_is_accepted() {
    for text in ["a", "Zoë", "PC 3 (left)", "日本", "👩\u{200d}🚀", "O'Neil \"x\" \\o/"] {
        assert_eq!(DisplayName::parse(text).unwrap().as_str(), text);
        assert_eq!(Title::parse(text).unwrap().to_string(), text);
    }
}

/// Proves T43.
#[test]
fn a_line_that_cannot_be_shown_is_refused_and_said_so() {
    assert!(matches!(DisplayName::parse(""), Err(BadText::Empty { .. })));
    for text in [" a", "a ", "a\n", "\u{3000}a"] {
        assert!(matches!(DisplayName::parse(text), Err(BadText::Padded { .. })), "{text:?}");
    }
    for text in ["a\nb", "a\u{1b}b", "\0", "a\u{202e}b", "a\u{2066}b", "\u{feff}a", "a\u{9b}b"] {
        let error = Title::parse(text).unwrap_err();
        assert!(matches!(error, BadText::Unprintable { .. }), "{text:?}");
        assert!(!error.to_string().chars().any(char::is_control));
        assert!(error.to_string().starts_with("title"), "{error}");
    }
}

#[test]
fn a_game_without_a_title_is_called_by_its_id() {
    let id = GameId::parse(&"a".repeat(64)).unwrap();
    assert_eq!(Title::from(&id).as_str(), id.as_str());
    assert_eq!(Title::parse(id.as_str()), Ok(Title::from(&id)));
}

#[test]
fn our_own_names_are_made_to_fit() {
    assert_eq!(DisplayName::nearest("  my\tPC\n").unwrap().as_str(), "my PC");
    assert_eq!(DisplayName::nearest("a\u{1b}[1mb").unwrap().as_str(), "a[1mb");
    let cut = format!("{} x", "é".repeat(63));
    assert_eq!(DisplayName::nearest(&cut).unwrap().as_str(), "é".repeat(63));
    assert_eq!(DisplayName::nearest(" \u{202e} "), None);
    assert_eq!(Title::nearest(""), None);
}

proptest! {
    #[test]
    fn the_nearest_name_is_a_name(text in any::<String>()) {
        if let Some(name) = DisplayName::nearest(&text) {
            prop_assert_eq!(DisplayName::parse(name.as_str()), Ok(name));
        }
        if let Ok(name) = DisplayName::parse(&text) {
            // Only other kinds of white space are changed.
            let nearest = DisplayName::nearest(&text).unwrap();
            let (got, wanted) = (nearest.as_str(), name.as_str());
            prop_assert!(got.split_whitespace().eq(wanted.split_whitespace()), "{got:?}");
        }
    }
}
