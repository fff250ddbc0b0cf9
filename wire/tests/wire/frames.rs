//! What goes out comes back, however the stream cuts it.

use lanspread_wire::{
    CodecError, Control, Frame, FrameReader, Request, Response, decode_frame, encode_frame,
};
use proptest::{collection::vec, prelude::*};

use super::samples;

fn returns<T: Frame + PartialEq + std::fmt::Debug>(message: &T) {
    let frame = encode_frame(message).unwrap();
    let (length, body) = frame.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_le_bytes(*length) as usize, body.len());
    assert_eq!(decode_frame::<T>(body).as_ref(), Ok(message));
}

proptest! {
    #[test]
    fn every_control_message_returns(message in samples::any_control()) {
        returns(&message);
    }

    #[test]
    fn every_request_returns(message in samples::any_request()) {
        returns(&message);
    }

    #[test]
    fn every_response_returns(message in samples::any_response()) {
        returns(&message);
    }

    /// A stream is cut into reads anywhere; the frames are the same.
    #[test]
    fn a_reader_finds_the_frames_however_the_stream_is_cut(
        messages in vec(samples::any_control(), 1..6),
        cuts in vec(1..400_usize, 1..60),
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|m| encode_frame(m).unwrap()).collect();
        let mut reader = FrameReader::new();
        let mut got: Vec<Control> = Vec::new();
        let mut rest = stream.as_slice();
        let mut sizes = cuts.iter().cycle();
        while !rest.is_empty() {
            let (read, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            rest = later;
            reader.push(read);
            while let Some(body) = reader.next().unwrap() {
                got.push(decode_frame(&body).unwrap());
            }
        }
        prop_assert_eq!(reader.finish(), Ok(()));
        prop_assert_eq!(reader.bytes_waiting(), 0);
        prop_assert_eq!(got, messages);
    }
}

#[test]
fn one_message_of_every_kind_returns() {
    samples::controls().iter().for_each(|(_, message)| returns(message));
    samples::requests().iter().for_each(|(_, message)| returns(message));
    for reason in lanspread_wire::Refusal::ALL {
        returns(&Response::Refused { reason: *reason });
    }
}

#[test]
fn a_message_of_one_stream_is_none_of_another() {
    let request: Request = samples::request_chunks();
    let frame = encode_frame(&request).unwrap();
    assert!(decode_frame::<Control>(&frame[4..]).is_err());
    assert!(decode_frame::<Response>(&frame[4..]).is_err());
}

/// A stream may end between frames, never within one.
#[test]
fn a_reader_tells_an_end_within_a_frame() {
    let frame = encode_frame(&Control::Ping { nonce: 5 }).unwrap();
    for cut in 1..frame.len() {
        let mut reader = FrameReader::new();
        reader.push(&frame[..cut]);
        assert_eq!(reader.next(), Ok(None));
        let missing = if cut < 4 { 4 - cut } else { frame.len() - cut };
        assert_eq!(reader.finish(), Err(CodecError::Truncated { missing }));
    }
}
