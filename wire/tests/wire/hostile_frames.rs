//! Frames that no honest peer sends.

use lanspread_wire::{
    BadMessage, ChunkRun, CloseCode, CodecError, Control, Frame, FrameReader, GameSummary, Hello,
    LibraryDelta, ManifestId, PROTOCOL_VERSION, Request, Response, decode_frame, encode_frame,
    limits::{
        ADDRESSES_MAX, CONTROL_ITEMS_MAX, FRAME_BYTES_MAX, GAME_BYTES_MAX, RUNS_PER_REQUEST_MAX,
    },
    peek_version,
};
use proptest::{collection::vec, prelude::*};

use super::samples;

fn body_of<T: Frame>(message: &T) -> Vec<u8> {
    encode_frame(message).unwrap().split_off(4)
}

/// What was accepted must be what is written: nothing is ever accepted in two ways.
#[track_caller]
fn refused_or_exact<T: Frame>(body: &[u8]) {
    if let Ok(message) = decode_frame::<T>(body) {
        assert_eq!(body_of(&message), body);
    }
}

/// Proves T28.
#[test]
fn impossible_lengths_are_refused_before_anything_is_kept() {
    for length in [0, FRAME_BYTES_MAX as u32 + 1, i32::MAX as u32, 1 << 31, u32::MAX] {
        let mut reader = FrameReader::new();
        reader.push(&length.to_le_bytes());
        let error = CodecError::Length { bytes: length as usize };
        assert_eq!(reader.next(), Err(error.clone()));
        assert_eq!(error.close_code(), CloseCode::Frame);
        // Nothing behind a bad length is understood or kept.
        reader.push(&encode_frame(&Control::Ping { nonce: 1 }).unwrap());
        assert_eq!(reader.next(), Err(error.clone()));
        assert_eq!(reader.finish(), Err(error));
        assert_eq!(reader.bytes_waiting(), 0);
    }
}

/// Proves T28: a length that promises more than comes holds no memory for it.
#[test]
fn a_promise_of_bytes_costs_only_what_came() {
    let mut reader = FrameReader::new();
    reader.push(&(FRAME_BYTES_MAX as u32).to_le_bytes());
    reader.push(&[0; 100]);
    assert_eq!(reader.next(), Ok(None));
    assert_eq!(reader.bytes_waiting(), 104);
    let missing = FRAME_BYTES_MAX - 100;
    assert_eq!(reader.finish(), Err(CodecError::Truncated { missing }));
}

/// Proves T29: cut at every length, and with anything behind.
#[test]
fn a_frame_is_refused_at_every_cut_and_with_a_tail() {
    fn check<T: Frame + std::fmt::Debug>(message: &T) {
        let mut body = body_of(message);
        for cut in 0..body.len() {
            assert!(decode_frame::<T>(&body[..cut]).is_err(), "cut at {cut}: {message:?}");
        }
        body.push(0);
        let error = decode_frame::<T>(&body).unwrap_err();
        assert_eq!(error, CodecError::Trailing { frame: T::NAME, bytes: 1 });
        assert_eq!(error.close_code(), CloseCode::Decode);
    }
    samples::controls().iter().for_each(|(_, message)| check(message));
    samples::requests().iter().for_each(|(_, message)| check(message));
    check(&Response::Ok { len: 70_000 });
}

/// Proves T29: each bit flipped, and each byte replaced by those with a meaning of their own.
#[test]
fn a_frame_with_any_byte_changed_is_refused_or_is_another_message() {
    fn check<T: Frame>(message: &T) {
        let body = body_of(message);
        for index in 0..body.len() {
            let flips = (0..8).map(|bit| body[index] ^ (1 << bit));
            for byte in flips.chain([0, 1, 127, 250, 251, 252, 253, 254, 255]) {
                let mut changed = body.clone();
                changed[index] = byte;
                refused_or_exact::<T>(&changed);
            }
        }
    }
    samples::controls().iter().for_each(|(_, message)| check(message));
    samples::requests().iter().for_each(|(_, message)| check(message));
}

proptest! {
    /// Proves T29.
    #[test]
    fn any_bytes_are_refused_or_exact(body in vec(any::<u8>(), 0..300)) {
        refused_or_exact::<Control>(&body);
        refused_or_exact::<Request>(&body);
        refused_or_exact::<Response>(&body);
    }

    /// Proves T29: any bytes behind the tag of any message.
    #[test]
    fn any_bytes_behind_a_tag_are_refused_or_exact(
        tag in 0..9_u8,
        rest in vec(prop_oneof![Just(0_u8), Just(1), Just(0xfd), any::<u8>()], 0..200),
    ) {
        let mut body = vec![tag];
        if tag < 2 {
            body.extend(PROTOCOL_VERSION.to_le_bytes());
        }
        body.extend(rest);
        refused_or_exact::<Control>(&body);
        refused_or_exact::<Request>(&body);
        refused_or_exact::<Response>(&body);
    }
}

/// Proves T29.
#[test]
fn an_unknown_variant_is_refused() {
    let first_unknown = samples::controls().len() as u8;
    for tag in first_unknown..=250 {
        let error = decode_frame::<Control>(&[tag, 0, 0]).unwrap_err();
        assert!(matches!(error, CodecError::Malformed { .. }), "{tag}: {error}");
    }
    assert!(decode_frame::<Response>(&[1, 10]).is_err(), "a refusal that is none");
}

/// Proves T29: the same number in more bytes than it needs.
#[test]
fn an_integer_written_the_long_way_is_refused() {
    assert_eq!(decode_frame(&[5, 1]), Ok(Control::Ping { nonce: 1 }));
    let long = [
        &[5, 251, 1, 0][..],
        &[5, 252, 1, 0, 0, 0],
        &[5, 253, 1, 0, 0, 0, 0, 0, 0, 0],
        &[251, 5, 0, 1],
    ];
    for body in long {
        let error = decode_frame::<Control>(body).unwrap_err();
        assert_eq!(error, CodecError::NotCanonical { frame: "control message" });
        assert_eq!(error.close_code(), CloseCode::Decode);
    }
}

/// Proves T30: the announced length is refused as such, before a single item is read.
#[test]
fn a_list_of_impossible_length_is_refused_before_it_is_read() {
    let announced = [ADDRESSES_MAX as u64 + 1, 1 << 20, 1 << 32, 1 << 60, u64::MAX];
    let hello = body_of(&Control::Hello(Hello { addresses: vec![], ..samples::hello() }));
    // Tag, version, peer, the name with its length: then the length of the list.
    let list = 1 + 2 + 32 + 1 + "Zoë".len();
    assert_eq!(hello[list], 0);
    for length in announced {
        let mut body = hello[..list].to_vec();
        push_varint(&mut body, length);
        body.extend([0; 64]);
        let CodecError::Malformed { detail, .. } = decode_frame::<Control>(&body).unwrap_err()
        else {
            panic!("length {length} was understood");
        };
        assert!(detail.contains(&length.to_string()), "{detail}");
        assert!(detail.contains(&format!("at most {ADDRESSES_MAX}")), "{detail}");
    }
}

/// Proves T30: a text of impossible length.
#[test]
fn a_text_of_impossible_length_is_refused() {
    let hello = body_of(&Control::Hello(samples::hello()));
    for length in [1 << 16, 1 << 32, 1 << 60, u64::MAX] {
        let mut body = hello[..1 + 2 + 32].to_vec();
        push_varint(&mut body, length);
        body.extend(b"Zoe");
        let error = decode_frame::<Control>(&body).unwrap_err();
        assert!(matches!(error, CodecError::Malformed { .. }), "{length}: {error}");
    }
}

/// Proves T30: a frame full of the smallest possible items.
#[test]
fn a_frame_full_of_empty_texts_is_refused() {
    let mut body = body_of(&Control::Delta(LibraryDelta {
        added: vec![],
        updated: vec![],
        removed: vec![],
        ..samples::delta()
    }));
    body.truncate(body.len() - 1);
    push_varint(&mut body, CONTROL_ITEMS_MAX as u64);
    body.extend([0].repeat(CONTROL_ITEMS_MAX));
    let error = decode_frame::<Control>(&body).unwrap_err();
    assert!(error.to_string().contains("game id"), "{error}");
}

/// Proves T08.
#[test]
fn a_greeting_of_another_version_is_recognised_although_its_rest_does_not_decode() {
    for (tag, theirs) in [(0, 0_u16), (0, 2), (1, 255), (1, u16::MAX)] {
        let mut body = vec![tag];
        body.extend(theirs.to_le_bytes());
        body.extend(b"whatever a later version says here");
        assert_eq!(peek_version(&body), Some(theirs));
        let error = decode_frame::<Control>(&body).unwrap_err();
        assert_eq!(error, CodecError::Version { theirs, ours: PROTOCOL_VERSION });
        assert_eq!(error.close_code(), CloseCode::VersionMismatch);
        let text = error.to_string();
        assert!(text.contains(&theirs.to_string()), "{text}");
        assert!(text.contains(&PROTOCOL_VERSION.to_string()), "{text}");
    }
}

/// Proves T08: the place of the version is tied to the codec, for both greetings and no other.
#[test]
fn only_greetings_have_a_version_to_peek_at() {
    for (name, message) in samples::controls() {
        let expected = name.starts_with("hello").then_some(PROTOCOL_VERSION);
        assert_eq!(peek_version(&body_of(&message)), expected, "{name}");
    }
    let other = Control::Hello(Hello { version: 0x1234, ..samples::hello() });
    assert_eq!(peek_version(&body_of(&other)), Some(0x1234));
    assert_eq!(peek_version(&[]), None);
    assert_eq!(peek_version(&[0, 1]), None);
}

/// A rule holds for what we send as for what we receive.
#[track_caller]
fn breaks_a_rule<T: Frame + std::fmt::Debug>(message: &T, reason: &BadMessage) {
    let error = CodecError::Rule { frame: T::NAME, reason: reason.clone() };
    assert_eq!(encode_frame(message).unwrap_err(), error);
    assert_eq!(error.close_code(), CloseCode::Decode);
}

#[test]
fn games_out_of_order_twice_or_too_large_are_refused() {
    let (a, b) = (samples::summary("a1"), samples::summary("b1"));
    let page = |games: Vec<GameSummary>| {
        Control::Snapshot(lanspread_wire::SnapshotPage { games, ..samples::page() })
    };
    breaks_a_rule(&page(vec![b.clone(), a.clone()]), &BadMessage::GameOrder(a.game.clone()));
    breaks_a_rule(&page(vec![a.clone(), a.clone()]), &BadMessage::GameOrder(a.game.clone()));
    let bytes = GAME_BYTES_MAX + 1;
    let huge = GameSummary { bytes_total: bytes, ..a.clone() };
    let reason = BadMessage::GameBytes { game: a.game.clone(), bytes };
    breaks_a_rule(&page(vec![huge]), &reason);

    // The same on the way in: two games swapped by hand.
    let mut body = body_of(&page(vec![a.clone(), b.clone()]));
    let (first, second) = (find(&body, b"a1"), find(&body, b"b1"));
    body[first] = b'b';
    body[second] = b'a';
    let reason = BadMessage::GameOrder(a.game);
    let error = CodecError::Rule { frame: "control message", reason };
    assert_eq!(decode_frame::<Control>(&body), Err(error));
}

#[test]
fn a_delta_that_goes_back_or_names_a_game_twice_is_refused() {
    let delta = samples::delta();
    for to in [delta.from, delta.from - 1, 0] {
        let back = Control::Delta(LibraryDelta { to, ..delta.clone() });
        breaks_a_rule(&back, &BadMessage::Revision { from: delta.from, to });
    }
    let twice = LibraryDelta { removed: vec![samples::game("quake3")], ..delta.clone() };
    breaks_a_rule(&Control::Delta(twice), &BadMessage::GameOrder(samples::game("quake3")));
    let twice = LibraryDelta { updated: delta.added.clone(), ..delta };
    breaks_a_rule(&Control::Delta(twice), &BadMessage::GameOrder(samples::game("quake3")));
}

/// Proves T49 as far as it can be told without the manifest.
#[test]
fn runs_that_are_empty_overflow_overlap_or_go_back_are_refused() {
    let request = |runs: Vec<ChunkRun>| Request::Chunks {
        game: samples::game("quake3"),
        manifest: ManifestId([1; 32]),
        runs,
    };
    let run = |first, count| ChunkRun { first, count };
    breaks_a_rule(&request(vec![]), &BadMessage::NoRuns);
    breaks_a_rule(&request(vec![run(4, 0)]), &BadMessage::Run { first: 4, count: 0 });
    let overflow = BadMessage::Run { first: u32::MAX, count: 1 };
    breaks_a_rule(&request(vec![run(u32::MAX, 1)]), &overflow);
    breaks_a_rule(&request(vec![run(4, 4), run(7, 1)]), &BadMessage::RunOrder(7));
    breaks_a_rule(&request(vec![run(4, 4), run(0, 1)]), &BadMessage::RunOrder(0));

    // On the way in a run is refused by itself.
    let good = body_of(&request(vec![run(4, 1)]));
    let mut none = good.clone();
    *none.last_mut().unwrap() = 0;
    assert!(matches!(decode_frame::<Request>(&none), Err(CodecError::Malformed { .. })));
    let mut far = good[..good.len() - 2].to_vec();
    push_varint(&mut far, u64::from(u32::MAX));
    far.push(1);
    assert!(matches!(decode_frame::<Request>(&far), Err(CodecError::Malformed { .. })));
}

/// Proves T49: ten thousand ranges.
#[test]
fn a_request_of_too_many_runs_is_refused_by_its_count() {
    let good = body_of(&samples::request_chunks());
    let list = good.len() - (1 + 2 + 8);
    assert_eq!(good[list], 2);
    let mut body = good[..list].to_vec();
    push_varint(&mut body, 10_000);
    for _ in 0..10_000 {
        body.extend([1, 1]);
    }
    let error = decode_frame::<Request>(&body).unwrap_err().to_string();
    assert!(error.contains(&format!("at most {RUNS_PER_REQUEST_MAX}")), "{error}");
}

/// Proves T43: a name of a peer cannot bring control characters into a message of ours.
#[test]
fn a_refused_text_is_shown_escaped() {
    let mut body = body_of(&Control::Hello(samples::hello()));
    let name = find(&body, "Zoë".as_bytes());
    body[name..name + 4].copy_from_slice(b"\x1b[2J");
    let text = decode_frame::<Control>(&body).unwrap_err().to_string();
    assert!(text.contains("\\u{1b}[2J"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

fn find(body: &[u8], part: &[u8]) -> usize {
    body.windows(part.len()).position(|window| window == part).unwrap()
}

/// An integer as the codec writes it.
fn push_varint(body: &mut Vec<u8>, number: u64) {
    if number < 251 {
        body.push(number as u8);
    } else if let Ok(short) = u16::try_from(number) {
        body.push(251);
        body.extend(short.to_le_bytes());
    } else if let Ok(word) = u32::try_from(number) {
        body.push(252);
        body.extend(word.to_le_bytes());
    } else {
        body.push(253);
        body.extend(number.to_le_bytes());
    }
}
