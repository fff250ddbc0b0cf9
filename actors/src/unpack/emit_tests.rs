//! The child's side of the stream: a second attempt continues the first one without a seam.

use super::{
    super::{protocol::FrameParser, tests::Shared},
    *,
};

/// What the parent would make of a stream: entries with their bytes, data in one piece.
fn entries_of(stream: &[u8]) -> Vec<(String, Option<Vec<u8>>, bool)> {
    let mut parser = FrameParser::new();
    parser.push(stream);
    let mut entries: Vec<(String, Option<Vec<u8>>, bool)> = Vec::new();
    while let Some(frame) = parser.next_frame().unwrap() {
        match frame {
            Frame::Dir { name } => entries.push((name.to_owned(), None, true)),
            Frame::File { name, .. } => entries.push((name.to_owned(), Some(Vec::new()), false)),
            Frame::Data(bytes) => {
                let (_, data, is_ended) = entries.last_mut().unwrap();
                assert!(!*is_ended);
                data.as_mut().unwrap().extend_from_slice(bytes);
            }
            Frame::EndFile => entries.last_mut().unwrap().2 = true,
            Frame::Done { entries: count, bytes } => {
                let data = entries.iter().filter_map(|(_, data, _)| data.as_ref());
                assert_eq!(bytes, data.map(|data| data.len() as u64).sum::<u64>());
                assert_eq!(count, entries.len() as u64);
            }
            _ => {}
        }
    }
    entries
}

/// Sends the first `calls` steps of a decoder's life, with data in pieces of the given size.
fn attempt(emitter: &Emitter, bytes: &[u8], piece: usize, calls: usize) -> Result<(), DecodeError> {
    let mut steps: Vec<Box<dyn Fn() -> Result<(), DecodeError> + '_>> = Vec::new();
    steps.push(Box::new(|| emitter.dir("d/")));
    for name in ["d/a", "d/b", "c"] {
        steps.push(Box::new(move || emitter.file(name, None, false)));
        for part in bytes.chunks(piece) {
            steps.push(Box::new(move || emitter.data(part)));
        }
        steps.push(Box::new(|| emitter.end_file()));
    }
    steps.iter().take(calls).try_for_each(|step| step())
}

#[test]
fn a_second_attempt_goes_on_wherever_the_first_one_stopped() {
    let bytes: Vec<u8> = (0..100).collect();
    let straight = Shared::default();
    let emitter = Emitter::new(Box::new(straight.clone()));
    attempt(&emitter, &bytes, 10, usize::MAX).unwrap();
    assert!(emitter.finish(Ok(())));
    let expected = entries_of(&straight.take());
    assert_eq!(expected.len(), 4);

    for stop in 0..=37 {
        for second_piece in [1, 7, 10, 33, 100] {
            let out = Shared::default();
            let emitter = Emitter::new(Box::new(out.clone()));
            attempt(&emitter, &bytes, 10, stop).unwrap();
            emitter.replay();
            attempt(&emitter, &bytes, second_piece, usize::MAX).unwrap();
            assert!(emitter.finish(Ok(())));
            assert_eq!(entries_of(&out.take()), expected, "stopped after {stop}");
        }
    }
}

#[test]
fn a_second_attempt_with_other_bytes_fails_before_a_file_is_complete() {
    let bytes: Vec<u8> = (0..100).collect();
    let mut other = bytes.clone();
    other[3] = 99;
    let out = Shared::default();
    let emitter = Emitter::new(Box::new(out.clone()));
    // Into the middle of the second file.
    attempt(&emitter, &bytes, 10, 18).unwrap();
    emitter.replay();
    let error = attempt(&emitter, &other, 10, usize::MAX).unwrap_err();
    assert!(matches!(error, DecodeError::Archive { code: FailCode::Damaged, .. }));
    emitter.finish(Err(error));
    let entries = entries_of(&out.take());
    assert_eq!(
        entries.last().map(|(name, _, is_ended)| (name.as_str(), *is_ended)),
        Some(("d/b", false))
    );
}

#[test]
fn a_second_attempt_that_is_shorter_fails() {
    let bytes: Vec<u8> = (0..100).collect();
    let emitter = Emitter::new(Box::new(Shared::default()));
    attempt(&emitter, &bytes, 10, 20).unwrap();
    emitter.replay();
    let error = attempt(&emitter, &bytes[..30], 10, usize::MAX).unwrap_err();
    assert!(matches!(error, DecodeError::Archive { code: FailCode::Damaged, .. }));
}

#[test]
fn a_broken_pipe_is_remembered() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let emitter = Emitter::new(Box::new(Closed));
    emitter.file("a", None, false).unwrap();
    let sent = emitter.data(&vec![0; 4 * CHILD_BUFFER_BYTES]);
    assert!(matches!(sent, Err(DecodeError::ParentGone)));
    assert!(emitter.is_parent_gone());
    assert!(!emitter.finish(sent));
}

#[test]
fn a_name_that_fits_no_frame_is_reported_instead() {
    let emitter = Emitter::new(Box::new(Shared::default()));
    let long = "ä".repeat(NAME_BYTES_MAX / 2 + 1);
    let error = emitter.dir(&long).unwrap_err();
    assert!(matches!(error, DecodeError::Archive { code: FailCode::BadName, .. }));
    emitter.dir(&long[2..]).unwrap();
}

#[test]
fn a_reader_that_ends_early_does_not_end_the_file() {
    let out = Shared::default();
    let emitter = Emitter::new(Box::new(out.clone()));
    let copied = emitter.copy_file("a", Some(4), false, &mut &b"123"[..]).unwrap();
    assert_eq!(copied.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    emitter.finish(Err(DecodeError::new(FailCode::Damaged, "short")));
    assert_eq!(entries_of(&out.take()), [("a".to_owned(), Some(b"123".to_vec()), false)]);
}
