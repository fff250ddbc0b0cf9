//! Every limit at one below, at, and one above. The numbers themselves are pinned at the end.

use lanspread_wire::{
    BadManifest, BadMessage, BadName, BadText, BadVersion, Catalog, ChunkRun, ChunkerId,
    CodecError, Control, DisplayName, GameId, GameSummary, Hello, LibraryDelta, Manifest,
    ManifestId, RelPath, Request, Response, SnapshotPage, Title, VersionStamp, check_component,
    decode_frame, encode_frame, limits::*,
};

use super::samples::{chunk_of_len, delta, game, hello, page, path, summary};

fn body_of(message: &Control) -> Vec<u8> {
    encode_frame(message).unwrap().split_off(4)
}

#[test]
fn a_frame_is_limited() {
    // A page whose bytes are set by the length of one stamp.
    let of_bytes = |bytes: usize| {
        let mut games: Vec<GameSummary> =
            (0..16).map(|n| big_summary(&format!("g{n:02}"), SENTINEL_BYTES_MAX - 20)).collect();
        let last = games.last_mut().unwrap();
        last.version = VersionStamp::parse(&[b'1'; 1000]).unwrap();
        let now = Control::Snapshot(SnapshotPage { games: games.clone(), ..page() });
        let missing = bytes - body_of(&now).len();
        games.last_mut().unwrap().version =
            VersionStamp::parse(&vec![b'1'; 1000 + missing]).unwrap();
        Control::Snapshot(SnapshotPage { games, ..page() })
    };
    for bytes in [FRAME_BYTES_MAX - 1, FRAME_BYTES_MAX] {
        let message = of_bytes(bytes);
        let body = body_of(&message);
        assert_eq!(body.len(), bytes);
        assert_eq!(decode_frame(&body), Ok(message));
    }
    let bytes = FRAME_BYTES_MAX + 1;
    let error = CodecError::Length { bytes };
    assert_eq!(encode_frame(&of_bytes(bytes)), Err(error.clone()));
    assert_eq!(decode_frame::<Control>(&vec![5; bytes]), Err(error));
    assert_eq!(decode_frame::<Control>(&[]), Err(CodecError::Length { bytes: 0 }));
}

fn big_summary(id: &str, version_bytes: usize) -> GameSummary {
    let version = VersionStamp::parse(&vec![b'1'; version_bytes]).unwrap();
    GameSummary { version, ..summary(id) }
}

#[test]
fn the_addresses_of_a_greeting_are_limited() {
    let of = |count: u16| {
        let addresses = (0..count).map(|port| ([10, 0, 0, 1], 1024 + port).into()).collect();
        Control::Hello(Hello { addresses, ..hello() })
    };
    let most = u16::try_from(ADDRESSES_MAX).unwrap();
    for count in [most - 1, most] {
        assert_eq!(decode_frame(&body_of(&of(count))), Ok(of(count)));
    }
    let count = ADDRESSES_MAX + 1;
    let reason = BadMessage::Count { what: "addresses", count, max: ADDRESSES_MAX };
    let error = CodecError::Rule { frame: "control message", reason };
    assert_eq!(encode_frame(&of(most + 1)), Err(error));
}

#[test]
fn the_items_of_a_message_are_limited_over_all_its_lists() {
    let of = |count: usize| {
        let mut removed: Vec<GameId> = (0..count).map(|n| game(&format!("{n:05}"))).collect();
        let added = vec![small_summary("a")];
        let updated = vec![small_summary("b")];
        removed.truncate(count - 2);
        Control::Delta(LibraryDelta { added, updated, removed, ..delta() })
    };
    for count in [CONTROL_ITEMS_MAX - 1, CONTROL_ITEMS_MAX] {
        assert_eq!(decode_frame(&body_of(&of(count))), Ok(of(count)));
    }
    let count = CONTROL_ITEMS_MAX + 1;
    let reason = BadMessage::Count { what: "changes", count, max: CONTROL_ITEMS_MAX };
    let error = CodecError::Rule { frame: "control message", reason };
    assert_eq!(encode_frame(&of(count)), Err(error));

    let games = (0..count).map(|n| small_summary(&format!("{n:05}"))).collect();
    let reason = BadMessage::Count { what: "games", count, max: CONTROL_ITEMS_MAX };
    let error = CodecError::Rule { frame: "control message", reason };
    let snapshot = Control::Snapshot(SnapshotPage { games, ..page() });
    assert_eq!(encode_frame(&snapshot), Err(error));
}

fn small_summary(id: &str) -> GameSummary {
    GameSummary {
        title: Title::parse("x").unwrap(),
        version: VersionStamp::parse(b"1").unwrap(),
        manifest: None,
        bytes_total: 0,
        ..summary(id)
    }
}

#[test]
fn the_bytes_of_a_game_are_limited() {
    let of = |bytes_total| {
        let games = vec![GameSummary { bytes_total, ..summary("a") }];
        Control::Snapshot(SnapshotPage { games, ..page() })
    };
    for bytes in [GAME_BYTES_MAX - 1, GAME_BYTES_MAX] {
        assert_eq!(decode_frame(&body_of(&of(bytes))), Ok(of(bytes)));
    }
    assert!(encode_frame(&of(GAME_BYTES_MAX + 1)).is_err());
}

#[test]
fn the_runs_and_chunks_of_a_request_are_limited() {
    let of = |runs: Vec<ChunkRun>| Request::Chunks {
        game: game("a"),
        manifest: ManifestId([1; 32]),
        runs,
    };
    let apart = |count: usize| {
        let firsts = (0..count).map(|n| 2 * u32::try_from(n).unwrap());
        of(firsts.map(|first| ChunkRun { first, count: 1 }).collect())
    };
    let accepted = |request: &Request| {
        let frame = encode_frame(request).unwrap();
        assert_eq!(decode_frame(&frame[4..]).as_ref(), Ok(request));
    };
    accepted(&apart(RUNS_PER_REQUEST_MAX - 1));
    accepted(&apart(RUNS_PER_REQUEST_MAX));
    assert!(encode_frame(&apart(RUNS_PER_REQUEST_MAX + 1)).is_err());

    let long = |count| of(vec![ChunkRun { first: 0, count: 1 }, ChunkRun { first: 5, count }]);
    accepted(&long(CHUNKS_PER_REQUEST_MAX - 2));
    accepted(&long(CHUNKS_PER_REQUEST_MAX - 1));
    assert!(encode_frame(&long(CHUNKS_PER_REQUEST_MAX)).is_err());
    assert!(encode_frame(&long(u32::MAX - 5)).is_err());
}

#[test]
fn the_bytes_of_an_answer_are_limited() {
    let most = MANIFEST_BYTES_MAX as u64;
    for len in [most - 1, most] {
        let frame = encode_frame(&Response::Ok { len }).unwrap();
        assert_eq!(decode_frame(&frame[4..]), Ok(Response::Ok { len }));
    }
    for len in [most + 1, 1 << 60, u64::MAX] {
        assert!(encode_frame(&Response::Ok { len }).is_err());
        let body = [&[0, 253][..], &len.to_le_bytes()].concat();
        assert!(decode_frame::<Response>(&body).is_err());
    }
}

#[test]
fn names_and_titles_are_limited_by_characters() {
    for character in ["x", "é", "😀"] {
        for count in [DISPLAY_NAME_CHARS_MAX - 1, DISPLAY_NAME_CHARS_MAX] {
            assert!(DisplayName::parse(&character.repeat(count)).is_ok());
        }
        let long = character.repeat(DISPLAY_NAME_CHARS_MAX + 1);
        assert!(matches!(DisplayName::parse(&long), Err(BadText::Long { .. })));
        for count in [TITLE_CHARS_MAX - 1, TITLE_CHARS_MAX] {
            assert!(Title::parse(&character.repeat(count)).is_ok());
        }
        let long = character.repeat(TITLE_CHARS_MAX + 1);
        assert!(matches!(Title::parse(&long), Err(BadText::Long { .. })));
    }
    // Proves T35: a name of many kilobytes is refused in a short sentence.
    let error = Title::parse(&"x".repeat(40_000)).unwrap_err().to_string();
    assert!(error.len() < 200, "{error}");
}

#[test]
fn a_game_id_is_limited() {
    for length in [GAME_ID_CHARS_MAX - 1, GAME_ID_CHARS_MAX] {
        assert!(GameId::parse(&"a".repeat(length)).is_ok());
    }
    assert!(GameId::parse(&"a".repeat(GAME_ID_CHARS_MAX + 1)).is_err());
}

#[test]
fn a_sentinel_is_limited_with_its_white_space() {
    for bytes in [SENTINEL_BYTES_MAX - 1, SENTINEL_BYTES_MAX] {
        assert!(VersionStamp::parse(&vec![b'1'; bytes]).is_ok());
    }
    let bytes = SENTINEL_BYTES_MAX + 1;
    assert_eq!(VersionStamp::parse(&vec![b'1'; bytes]), Err(BadVersion::Long { bytes }));
    assert_eq!(VersionStamp::parse(&vec![b' '; bytes]), Err(BadVersion::Long { bytes }));
}

#[test]
fn a_component_is_limited_by_bytes() {
    for (character, bytes) in [("x", 1), ("é", 2), ("€", 3), ("😀", 4)] {
        let most = COMPONENT_BYTES_MAX / bytes;
        assert_eq!(check_component(&character.repeat(most - 1)), Ok(()));
        assert_eq!(check_component(&character.repeat(most)), Ok(()));
        let long = character.repeat(most + 1);
        assert!(matches!(check_component(&long), Err(BadName::LongComponent(_))));
    }
}

#[test]
fn a_path_is_limited_by_units_and_by_depth() {
    let of_units = |units: usize| {
        let first = "x".repeat(COMPONENT_BYTES_MAX);
        let rest = units - first.len() - 1;
        let text = if rest > COMPONENT_BYTES_MAX {
            format!("{first}/{}/{}", "y".repeat(100), "z".repeat(rest - 101))
        } else {
            format!("{first}/{}", "y".repeat(rest))
        };
        assert_eq!(text.encode_utf16().count(), units);
        RelPath::parse(&text)
    };
    assert!(of_units(PATH_UNITS_MAX - 1).is_ok());
    assert!(of_units(PATH_UNITS_MAX).is_ok());
    assert!(matches!(of_units(PATH_UNITS_MAX + 1), Err(BadName::LongPath(_))));
    // Units, not bytes: three bytes each, and two units for four bytes.
    let wide = vec!["€".repeat(66); 5].join("/");
    assert!(wide.len() > 2 * PATH_UNITS_MAX && RelPath::parse(&wide).is_ok());
    let emoji = vec!["😀".repeat(50); 4].join("/");
    assert!(matches!(RelPath::parse(&emoji), Err(BadName::LongPath(_))));

    // Proves T46 for depth.
    for depth in [PATH_DEPTH_MAX - 1, PATH_DEPTH_MAX] {
        assert!(RelPath::parse(&vec!["d"; depth].join("/")).is_ok());
    }
    let deep = vec!["d"; PATH_DEPTH_MAX + 1].join("/");
    assert!(matches!(RelPath::parse(&deep), Err(BadName::DeepPath(_))));
    // A million levels cost no more than a glance.
    assert!(RelPath::parse(&"d/".repeat(1_000_000)).is_err());
}

fn manifest_of(files: usize, dirs: usize) -> Result<Manifest, BadManifest> {
    let files = (0..files).map(|n| (path(&format!("f{n:06}")), vec![])).collect();
    let dirs = (0..dirs).map(|n| path(&format!("d{n:06}"))).collect();
    Manifest::build(ChunkerId::STANDARD, b"1".to_vec(), files, dirs)
}

/// Proves T46.
#[test]
fn the_entries_of_a_manifest_are_limited() {
    let largest = manifest_of(MANIFEST_ENTRIES_MAX - 1, 1).unwrap();
    assert_eq!(Manifest::decode(&largest.encode()), Ok(largest));
    assert!(manifest_of(MANIFEST_ENTRIES_MAX - 1, 0).is_ok());
    let count = MANIFEST_ENTRIES_MAX + 1;
    assert_eq!(manifest_of(count, 0), Err(BadManifest::Entries { count }));
    assert_eq!(manifest_of(count - 7, 7), Err(BadManifest::Entries { count }));
}

/// Proves T46: what must pass.
#[test]
fn a_hundred_thousand_files_and_ten_thousand_long_names_pass() {
    let many = (0..100_000).map(|n| format!("data/{}/{n}.dat", n / 100));
    let long = (0..10_000).map(|n| format!("long/{n:0>200}"));
    let files = many.chain(long).map(|name| (path(&name), vec![chunk_of_len(b"x", 9)]));
    let manifest =
        Manifest::build(ChunkerId::STANDARD, b"1".to_vec(), files.collect(), vec![]).unwrap();
    assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
}

/// A short list of deep paths cannot stand for millions of directories.
#[test]
fn the_directories_of_a_manifest_are_limited() {
    let in_dirs = |dirs: usize| {
        let files = (0..dirs / 10).map(|n| (path(&format!("{n}/b/c/d/e/f/g/h/i/j/file")), vec![]));
        let more = (0..dirs % 10).map(|n| (path(&format!("x{n}/file")), vec![]));
        let files = files.chain(more).collect();
        Manifest::build(ChunkerId::STANDARD, b"1".to_vec(), files, vec![])
    };
    assert!(in_dirs(MANIFEST_DIRS_MAX - 1).is_ok());
    assert!(in_dirs(MANIFEST_DIRS_MAX).is_ok());
    assert_eq!(in_dirs(MANIFEST_DIRS_MAX + 1), Err(BadManifest::Directories));
}

fn manifest_of_chunks(chunks: usize, len: usize) -> Result<Manifest, BadManifest> {
    let files = vec![(path("a"), vec![chunk_of_len(b"x", len); chunks])];
    Manifest::build(ChunkerId::STANDARD, b"1".to_vec(), files, vec![])
}

/// Proves T46.
#[test]
fn the_chunks_of_a_manifest_are_limited() {
    let largest = manifest_of_chunks(MANIFEST_CHUNKS_MAX, 1).unwrap();
    assert!(Manifest::decode(&largest.encode()).is_ok());
    assert!(manifest_of_chunks(MANIFEST_CHUNKS_MAX - 1, 1).is_ok());
    let count = MANIFEST_CHUNKS_MAX + 1;
    assert_eq!(manifest_of_chunks(count, 1), Err(BadManifest::Chunks { count }));
}

/// Proves T46: a manifest too large is refused by whoever builds it and whoever is sent it.
#[test]
fn the_bytes_of_a_manifest_are_limited() {
    // A chunk of full length takes the most bytes in the list.
    let per_chunk = 32 + 5;
    let most = MANIFEST_BYTES_MAX / per_chunk;
    let len = CHUNK_BYTES_MAX as usize;
    let refused = manifest_of_chunks(most, len).unwrap_err();
    let BadManifest::Bytes { bytes } = refused else { panic!("{refused}") };
    let fitting = most - (bytes - MANIFEST_BYTES_MAX).div_ceil(per_chunk);
    let largest = manifest_of_chunks(fitting, len).unwrap();
    let mut bytes = largest.encode();
    assert!(bytes.len() <= MANIFEST_BYTES_MAX && bytes.len() + per_chunk > MANIFEST_BYTES_MAX);
    assert_eq!(Manifest::decode(&bytes), Ok(largest));
    assert!(manifest_of_chunks(fitting + 1, len).is_err());

    bytes.resize(MANIFEST_BYTES_MAX, 0);
    assert!(matches!(Manifest::decode(&bytes), Err(BadManifest::Trailing { .. })));
    bytes.push(0);
    let refused = BadManifest::Bytes { bytes: bytes.len() };
    assert_eq!(Manifest::decode(&bytes), Err(refused.clone()));
    assert_eq!(Manifest::decode_expecting(&bytes, ManifestId([0; 32])), Err(refused));
}

#[test]
fn the_bytes_of_a_chunk_are_limited() {
    let most = CHUNK_BYTES_MAX as usize;
    assert!(manifest_of_chunks(2, most - 1).is_ok());
    assert!(manifest_of_chunks(2, most).is_ok());
    let refused = manifest_of_chunks(2, most + 1).unwrap_err();
    assert!(matches!(refused, BadManifest::ChunkBytes { .. }), "{refused}");
}

#[test]
fn the_bytes_and_games_of_a_catalog_are_limited() {
    let comment = |bytes: usize| format!("#{}", "x".repeat(bytes - 1));
    assert!(Catalog::parse(&comment(CATALOG_BYTES_MAX - 1)).is_ok());
    assert!(Catalog::parse(&comment(CATALOG_BYTES_MAX)).is_ok());
    assert!(Catalog::parse(&comment(CATALOG_BYTES_MAX + 1)).is_err());

    let games = |count: usize| {
        let tables = (0..count).map(|n| format!("[games.g{n}]\ntitle = 't'\n"));
        Catalog::parse(&tables.collect::<String>())
    };
    assert!(games(CATALOG_GAMES_MAX - 1).is_ok());
    assert!(games(CATALOG_GAMES_MAX).is_ok());
    assert!(games(CATALOG_GAMES_MAX + 1).is_err());
}

#[test]
fn the_fields_of_a_catalog_are_limited() {
    let fits = |field: &str, chars: usize| {
        let text = format!("[games.a]\ntitle = 't'\n{field} = '{}'", "é".repeat(chars));
        Catalog::parse(&text).is_ok()
    };
    for (field, most) in [
        ("genre", CATALOG_FIELD_CHARS_MAX),
        ("players", CATALOG_FIELD_CHARS_MAX),
        ("description", CATALOG_DESCRIPTION_CHARS_MAX),
    ] {
        assert!(fits(field, most - 1) && fits(field, most), "{field}");
        assert!(!fits(field, most + 1), "{field}");
    }
}

/// Numbers that others were built for: a change must be meant.
#[test]
fn the_limits_are_what_was_agreed() {
    assert_eq!(FRAME_BYTES_MAX, 65_536);
    assert_eq!(SNAPSHOT_BYTES_MAX, 2_097_152);
    assert_eq!(MANIFEST_BYTES_MAX, 67_108_864);
    assert_eq!(GAMES_PER_PEER_MAX, 5000);
    assert_eq!(CONTROL_ITEMS_MAX, 4096);
    assert_eq!(MANIFEST_ENTRIES_MAX, 250_000);
    assert_eq!(PATH_DEPTH_MAX, 32);
    assert_eq!(COMPONENT_BYTES_MAX, 200);
    assert_eq!(TITLE_CHARS_MAX, 128);
    assert_eq!(DISPLAY_NAME_CHARS_MAX, 64);
    assert_eq!(ADDRESSES_MAX, 16);
    assert_eq!(SENTINEL_BYTES_MAX, 4096);
    assert_eq!(CHUNK_BYTES_MAX, 4_194_304);
    assert_eq!(GAME_BYTES_MAX, 8_796_093_022_208);
    assert_eq!(GAME_ID_CHARS_MAX, 64);
    assert_eq!(PATH_UNITS_MAX, 400);
    assert_eq!(MANIFEST_DIRS_MAX, 100_000);
    assert_eq!(MANIFEST_CHUNKS_MAX, 2_000_000);
    assert_eq!(RUNS_PER_REQUEST_MAX, 256);
    assert_eq!(CHUNKS_PER_REQUEST_MAX, 4096);
    assert_eq!(REQUEST_BYTES_MAX, 16_777_216);
    assert_eq!(CATALOG_BYTES_MAX, 8_388_608);
    assert_eq!(CATALOG_GAMES_MAX, 5000);
}
