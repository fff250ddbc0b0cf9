//! Identifiers and version stamps.

use lanspread_wire::{
    BadName, BadVersion, ChunkHash, GameId, LibraryDigest, ManifestId, PeerId, VersionStamp,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Ids {
    peer: PeerId,
    manifest: ManifestId,
    chunk: ChunkHash,
    digest: LibraryDigest,
    game: GameId,
    version: VersionStamp,
}

fn ids() -> Ids {
    Ids {
        peer: PeerId([0xab; 32]),
        manifest: ManifestId([1; 32]),
        chunk: ChunkHash::of(b""),
        digest: LibraryDigest([2; 32]),
        game: GameId::parse("openra-2.0").unwrap(),
        version: VersionStamp::parse(b"20240131").unwrap(),
    }
}

#[test]
fn ids_are_texts_in_files_that_people_read() {
    let text = toml::to_string(&ids()).unwrap();
    assert!(text.contains(&format!("peer = \"{}\"", "ab".repeat(32))), "{text}");
    assert!(text.contains("game = \"openra-2.0\""), "{text}");
    assert_eq!(toml::from_str::<Ids>(&text).unwrap(), ids());
    for (good, bad) in [("abab", "abag"), ("abab", "ab"), ("openra", "../ra"), ("2024", "   ")] {
        let text = text.replacen(good, bad, 1).replacen("   0131", "        ", 1);
        assert!(toml::from_str::<Ids>(&text).is_err(), "{text}");
    }
}

#[test]
fn an_id_is_shown_whole_or_short_and_read_back() {
    let id = PeerId([0xab; 32]);
    assert_eq!(id.to_string(), "ab".repeat(32));
    assert_eq!(id.short(), "abababab");
    assert_eq!(format!("{id:?}"), "abababab");
    assert_eq!("AB".repeat(32).parse(), Ok(id));
    for text in ["", "ab", &"ab".repeat(31), &"ab".repeat(33), &"ag".repeat(32), &"é".repeat(32)] {
        let error = text.parse::<PeerId>().unwrap_err();
        assert!(error.to_string().starts_with("not a peer id"), "{error}");
    }
}

#[test]
fn a_chunk_hash_is_blake3() {
    let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    assert_eq!(ChunkHash::of(b"").to_string(), empty);
    assert_ne!(ChunkHash::of(b"a"), ChunkHash::of(b"b"));
}

/// Proves T44.
#[test]
fn game_ids_follow_their_rule() {
    let longest = "a".repeat(64);
    for text in ["a", "0", "quake3", "openra-2.0", "a_b", "local", "version.ini", &longest] {
        assert_eq!(GameId::parse(text).map(|id| id.to_string()), Ok(text.to_owned()));
    }
    let too_long = "a".repeat(65);
    let refused = [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "Quake3",
        "QUAKE3",
        "quäke",
        "a b",
        " a",
        "-a",
        "_a",
        ".a",
        "a\n",
        "a\0",
        "../a",
        "a:b",
        &too_long,
        &"a".repeat(300),
    ];
    for text in refused {
        assert!(matches!(GameId::parse(text), Err(BadName::GameId(_))), "{text:?}");
    }
    for text in ["con", "nul", "com1", "aux.x", "lpt9.tar.gz"] {
        assert!(matches!(GameId::parse(text), Err(BadName::Device(_))), "{text}");
    }
    assert!(matches!(GameId::parse("a."), Err(BadName::Edge(_))));
}

#[test]
fn a_stamp_is_the_trimmed_text_of_its_file() {
    let same: [&[u8]; 6] = [
        b"20240131",
        b"20240131\n",
        b"20240131\r\n",
        b"  20240131\t",
        "\u{feff}20240131\r\n".as_bytes(),
        b"\n\n20240131",
    ];
    for bytes in same {
        assert_eq!(VersionStamp::parse(bytes).unwrap().as_str(), "20240131");
    }
    for bytes in [&b""[..], b" ", b"\r\n", "\u{feff}".as_bytes(), "\u{a0}".as_bytes()] {
        assert_eq!(VersionStamp::parse(bytes), Err(BadVersion::Empty));
    }
    assert_eq!(VersionStamp::parse(b"\xff\xfe2\x000"), Err(BadVersion::NotText));
    for text in ["1\n2", "1\u{1b}[2J", "a\u{202e}b", "1\0", "\u{feff}\u{feff}1"] {
        let refused = VersionStamp::parse(text.as_bytes());
        assert!(matches!(refused, Err(BadVersion::Unprintable(_))), "{text:?}: {refused:?}");
    }
}

/// Proves D1: dates by time, anything else as text.
#[test]
fn stamps_are_ordered_as_text() {
    let stamps = ["1.10", "1.9", "20231231", "20240101", "20240131", "beta"];
    let parsed = stamps.map(|text| text.parse::<VersionStamp>().unwrap());
    assert!(parsed.is_sorted());
    assert!("20240101 ".parse::<VersionStamp>().unwrap() == parsed[3]);
}

proptest! {
    #[test]
    fn a_stamp_is_its_own_stamp(text in "\\PC{0,30}") {
        if let Ok(stamp) = text.parse::<VersionStamp>() {
            prop_assert_eq!(stamp.as_str().parse::<VersionStamp>(), Ok(stamp.clone()));
            prop_assert_eq!(stamp.as_str().trim(), stamp.as_str());
        }
    }

    #[test]
    fn any_bytes_get_a_verdict(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Err(error) = VersionStamp::parse(&bytes) {
            prop_assert!(!error.to_string().chars().any(char::is_control));
        }
    }

    #[test]
    fn an_id_returns_from_its_text(bytes in any::<[u8; 32]>()) {
        prop_assert_eq!(PeerId(bytes).to_string().parse(), Ok(PeerId(bytes)));
    }
}
