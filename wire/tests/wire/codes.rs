//! Numbers and names that others rely on.

use lanspread_wire::{CloseCode, Refusal};

#[test]
fn close_codes_keep_their_numbers_and_names() {
    let fixed = [
        (0, "goodbye"),
        (1, "auth-required"),
        (2, "id-mismatch"),
        (3, "self-connect"),
        (4, "version-mismatch"),
        (5, "duplicate"),
        (6, "frame"),
        (7, "decode"),
        (8, "state"),
        (9, "abuse"),
        (10, "limit"),
        (11, "hello-timeout"),
        (12, "silent"),
        (13, "shutdown"),
        (14, "internal"),
        (15, "stalled"),
        (16, "wrong-chunk"),
        (17, "banned"),
    ];
    let listed: Vec<(u32, &str)> = CloseCode::ALL.iter().map(|c| (c.as_u32(), c.code())).collect();
    assert_eq!(listed, fixed);
    for code in CloseCode::ALL {
        assert_eq!(CloseCode::from_u32(code.as_u32()), Some(*code));
        assert_eq!(code.to_string(), code.code());
        assert_eq!(u32::from(*code), code.as_u32());
    }
    for unknown in [18, 255, 256, u32::MAX] {
        assert_eq!(CloseCode::from_u32(unknown), None);
    }
}

#[test]
fn refusals_keep_their_names_and_have_a_sentence() {
    let codes: Vec<&str> = Refusal::ALL.iter().map(|reason| reason.code()).collect();
    let fixed = [
        "not-in-catalog",
        "unknown-game",
        "not-ready",
        "other-content",
        "out-of-range",
        "busy",
        "limit",
        "io",
        "changed",
        "shutting-down",
    ];
    assert_eq!(codes, fixed);
    for reason in Refusal::ALL {
        let text = reason.to_string();
        assert!(text.contains(' ') && !text.ends_with('.'), "{text}");
        assert!(text.starts_with(char::is_lowercase), "{text}");
    }
}
