//! The encoding of frames: round trips in any pieces, limits, and what is no frame.

use proptest::prelude::*;

use super::*;

fn every_frame() -> Vec<Frame<'static>> {
    let data: &'static [u8] = &[7; 1000];
    let mut frames = vec![
        Frame::Listed { kind: EntryKind::File, size: Some(u64::MAX), name: "a/b" },
        Frame::Listed { kind: EntryKind::Dir, size: None, name: "höhle" },
        Frame::Begin,
        Frame::Dir { name: "" },
        Frame::File { size: None, executable: true, name: "x" },
        Frame::File { size: Some(0), executable: false, name: "y" },
        Frame::Data(data),
        Frame::EndFile,
        Frame::Done { entries: 1, bytes: u64::MAX },
    ];
    for kind in SpecialKind::ALL.iter().copied() {
        frames.push(Frame::Special { kind, name: "l", target: "/etc" });
        frames.push(Frame::Listed { kind: EntryKind::Special(kind), size: None, name: "l" });
    }
    for code in FailCode::ALL.iter().copied() {
        frames.push(Frame::Failed { code, part: None, message: "why" });
        frames.push(Frame::Failed { code, part: Some(u32::MAX), message: "" });
    }
    frames
}

fn encoded(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        encode(frame, &mut out);
    }
    out
}

/// Checks that the parser gives exactly these frames, whatever the pieces.
fn assert_parsed(stream: &[u8], piece_bytes: usize, expected: &[Frame<'_>]) {
    let mut parser = FrameParser::new();
    let mut expected = expected.iter();
    for piece in stream.chunks(piece_bytes) {
        parser.push(piece);
        while let Some(frame) = parser.next_frame().unwrap() {
            assert_eq!(Some(&frame), expected.next());
        }
    }
    assert_eq!(expected.next(), None);
    assert!(parser.is_empty());
}

#[test]
fn every_frame_is_read_back_in_any_pieces() {
    let frames = every_frame();
    let stream = encoded(&frames);
    for piece_bytes in [1, 2, 3, 5, 7, 64, 1024, stream.len()] {
        assert_parsed(&stream, piece_bytes, &frames);
    }
}

#[test]
fn a_cut_stream_gives_no_half_frame() {
    for frame in every_frame() {
        let stream = encoded(&[frame]);
        for len in 0..stream.len() {
            let mut parser = FrameParser::new();
            parser.push(&stream[..len]);
            assert_eq!(parser.next_frame(), Ok(None));
            assert_eq!(parser.is_empty(), len == 0);
        }
    }
}

/// A length is refused before its bytes are waited for.
#[test]
fn a_length_above_the_limit_of_its_kind_is_refused_at_once() {
    let kinds = [
        (KIND_DATA, FRAME_DATA_BYTES_MAX),
        (KIND_FILE, FRAME_TEXT_BYTES_MAX),
        (KIND_FAILED, FRAME_TEXT_BYTES_MAX),
        (KIND_BEGIN, 0),
        (KIND_END_FILE, 0),
        (KIND_DONE, 16),
    ];
    for (kind, bytes_max) in kinds {
        for len in [bytes_max as u32 + 1, u32::MAX] {
            let mut parser = FrameParser::new();
            parser.push(&[kind]);
            parser.push(&len.to_le_bytes());
            assert_eq!(parser.next_frame(), Err(ProtocolError::TooLong { kind, len }));
        }
    }
    for kind in [0, 10, 255] {
        let mut parser = FrameParser::new();
        parser.push(&[kind, 0, 0, 0, 0]);
        assert_eq!(parser.next_frame(), Err(ProtocolError::UnknownKind(kind)));
    }
}

#[test]
fn the_largest_fields_fit_and_one_byte_more_does_not() {
    let data = vec![1; FRAME_DATA_BYTES_MAX];
    assert_parsed(&encoded(&[Frame::Data(&data)]), 65_536, &[Frame::Data(&data)]);
    let name = "n".repeat(NAME_BYTES_MAX);
    let message = "m".repeat(MESSAGE_BYTES_MAX);
    let frames = [
        Frame::Special { kind: SpecialKind::Fifo, name: &name, target: &name },
        Frame::Failed { code: FailCode::Damaged, part: None, message: &message },
    ];
    assert_parsed(&encoded(&frames), 4096, &frames);
    let longer = "n".repeat(NAME_BYTES_MAX + 1);
    for frame in [
        Frame::Dir { name: &longer },
        Frame::File { size: None, executable: false, name: &longer },
        Frame::Failed { code: FailCode::Damaged, part: None, message: &longer },
    ] {
        let mut parser = FrameParser::new();
        parser.push(&encoded(&[frame]));
        assert!(matches!(parser.next_frame(), Err(ProtocolError::Malformed(_))));
    }
}

#[test]
fn bodies_that_do_not_fit_their_kind_are_refused() {
    let bodies: [(u8, &[u8]); 12] = [
        (KIND_DIR, &[]),
        (KIND_DIR, &[1, 0]),
        (KIND_DIR, &[1, 0, b'a', b'b']),
        (KIND_DIR, &[1, 0, 0xff]),
        (KIND_FILE, &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (KIND_FILE, &[0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (KIND_LISTED, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (KIND_LISTED, &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (KIND_DATA, &[]),
        (KIND_SPECIAL, &[0, 0, 0, 0, 0]),
        (KIND_FAILED, &[99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (KIND_DONE, &[0; 15]),
    ];
    for (kind, body) in bodies {
        let mut parser = FrameParser::new();
        parser.push(&[kind]);
        parser.push(&(body.len() as u32).to_le_bytes());
        parser.push(body);
        let result = parser.next_frame().map(|_| ());
        assert_eq!(result, Err(ProtocolError::Malformed(kind)), "{body:?}");
    }
}

proptest! {
    /// What is accepted is what an encoder writes: there is one form for each frame.
    #[test]
    fn any_bytes_are_a_frame_in_its_one_form_or_refused(
        kind in 0u8..12, body in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut stream = vec![kind];
        stream.extend_from_slice(&(body.len() as u32).to_le_bytes());
        stream.extend_from_slice(&body);
        let mut parser = FrameParser::new();
        parser.push(&stream);
        if let Ok(Some(frame)) = parser.next_frame() {
            prop_assert_eq!(encoded(&[frame]), stream);
        }
    }
}
