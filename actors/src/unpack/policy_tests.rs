//! The judge of frames: order, counts and sums, over one archive and over several; and whatever
//! comes, a sink is never called out of order.

use proptest::prelude::*;

use super::{
    super::{
        parent::{UnpackSummary, Unpacking},
        protocol::{self, FailCode, FrameParser, SpecialKind},
        tests::{MemorySink, located},
    },
    *,
};

const LISTED: Frame<'_> = Frame::Listed { kind: EntryKind::File, size: Some(3), name: "a" };
const FILE: Frame<'_> = Frame::File { size: Some(3), executable: false, name: "a" };
const DONE: Frame<'_> = Frame::Done { entries: 1, bytes: 3 };

fn opened(limits: UnpackLimits) -> Policy {
    let mut policy = Policy::new(limits);
    policy.open("g.zip", 1000);
    policy
}

/// Judges the frames and gives the reason of the first refusal.
fn judge(policy: &mut Policy, frames: &[Frame<'_>]) -> Result<(), &'static str> {
    for frame in frames {
        policy.judge(*frame).map_err(|error| error.reason())?;
    }
    Ok(())
}

#[test]
fn the_right_order_is_accepted_with_and_without_a_listing() {
    let frames = [Frame::Begin, FILE, Frame::Data(b"123"), Frame::EndFile, DONE];
    judge(&mut opened(UnpackLimits::default()), &frames).unwrap();
    let mut policy = opened(UnpackLimits::default());
    judge(&mut policy, &[&[LISTED][..], &frames].concat()).unwrap();
    assert!(policy.is_done());
}

#[test]
fn a_wrong_order_is_refused() {
    let begun = [Frame::Begin];
    let in_file = [Frame::Begin, FILE];
    let done = [Frame::Begin, Frame::Done { entries: 0, bytes: 0 }];
    let orders: [(&[Frame<'_>], Frame<'_>); 14] = [
        (&[], FILE),
        (&[], Frame::Dir { name: "d" }),
        (&[], Frame::Data(b"1")),
        (&[], Frame::EndFile),
        (&[], DONE),
        (&begun, Frame::Begin),
        (&begun, LISTED),
        (&begun, Frame::Data(b"1")),
        (&begun, Frame::EndFile),
        (&in_file, FILE),
        (&in_file, Frame::Dir { name: "d" }),
        (&in_file, DONE),
        (&done, DONE),
        (&done, FILE),
    ];
    for (before, frame) in orders {
        let mut policy = opened(UnpackLimits::default());
        judge(&mut policy, before).unwrap();
        assert_eq!(judge(&mut policy, &[frame]), Err("child-protocol"), "{before:?} {frame:?}");
    }
}

#[test]
fn counts_at_the_end_must_be_right() {
    for done in [
        Frame::Done { entries: 2, bytes: 3 },
        Frame::Done { entries: 1, bytes: 2 },
        Frame::Done { entries: 0, bytes: 0 },
    ] {
        let frames = [Frame::Begin, FILE, Frame::Data(b"123"), Frame::EndFile, done];
        let judged = judge(&mut opened(UnpackLimits::default()), &frames);
        assert_eq!(judged, Err("child-protocol"), "{done:?}");
    }
    let missing = [LISTED, Frame::Begin, Frame::Done { entries: 0, bytes: 0 }];
    assert_eq!(judge(&mut opened(UnpackLimits::default()), &missing), Err("child-protocol"));
}

/// Proves T63 with real bytes counted.
#[test]
fn a_file_has_the_size_of_its_header() {
    let begin = [Frame::Begin, FILE];
    let short = [&begin[..], &[Frame::Data(b"12"), Frame::EndFile]].concat();
    let long = [&begin[..], &[Frame::Data(b"123"), Frame::Data(b"4")]].concat();
    for frames in [short, long] {
        let judged = judge(&mut opened(UnpackLimits::default()), &frames);
        assert_eq!(judged, Err("entry-size"));
    }
}

/// Proves T62 for the sum of the headers: a few percent more are room, the rest is refused.
#[test]
fn more_than_the_headers_announce_is_refused() {
    let listed = Frame::Listed { kind: EntryKind::File, size: Some(100), name: "a" };
    let file = Frame::File { size: None, executable: false, name: "a" };
    let bytes = [7; 106];
    for (len, expected) in [(105, Ok(())), (106, Err("archive-bomb"))] {
        let frames = [listed, Frame::Begin, file, Frame::Data(&bytes[..len])];
        assert_eq!(judge(&mut opened(UnpackLimits::default()), &frames), expected, "{len}");
    }
}

/// Proves T62 for the ratio at its edges.
#[test]
fn the_ratio_counts_beyond_the_floor() {
    let sized = |size| Frame::File { size: Some(size), executable: false, name: "a" };
    let archive_bytes = BOMB_FLOOR_BYTES / 100;
    let cases = [
        (1, BOMB_FLOOR_BYTES, Ok(())),
        (1, BOMB_FLOOR_BYTES + 1, Err("archive-bomb")),
        (archive_bytes, archive_bytes * BOMB_RATIO_MAX, Ok(())),
        (archive_bytes, archive_bytes * BOMB_RATIO_MAX + 1, Err("archive-bomb")),
    ];
    for (archive_bytes, size, expected) in cases {
        let mut policy = Policy::new(UnpackLimits::default());
        policy.open("g.tar", archive_bytes);
        let judged = judge(&mut policy, &[Frame::Begin, sized(size)]);
        assert_eq!(judged, expected, "{size} bytes from {archive_bytes}");
    }
}

#[test]
fn sums_that_overflow_are_refused() {
    let listed = |name| Frame::Listed { kind: EntryKind::File, size: Some(u64::MAX), name };
    let judged = judge(&mut opened(UnpackLimits::default()), &[listed("a"), listed("b")]);
    assert_eq!(judged, Err("too-large"));
    let limits = UnpackLimits { bytes_max: u64::MAX, ..UnpackLimits::default() };
    let file = |name, size| Frame::File { size: Some(size), executable: false, name };
    let mut policy = Policy::new(limits);
    policy.open("g.tar", u64::MAX);
    let frames = [Frame::Begin, file("a", 1), Frame::Data(b"1"), Frame::EndFile];
    judge(&mut policy, &frames).unwrap();
    assert_eq!(judge(&mut policy, &[file("b", u64::MAX)]), Err("too-large"));
}

#[test]
fn the_second_archive_may_not_touch_what_the_first_one_made() {
    let frames = [Frame::Begin, FILE, Frame::Data(b"123"), Frame::EndFile, DONE];
    let mut policy = opened(UnpackLimits::default());
    judge(&mut policy, &frames).unwrap();
    policy.open("h.zip", 1000);
    let other = Frame::File { size: None, executable: false, name: "A" };
    assert_eq!(judge(&mut policy, &[Frame::Begin, other]), Err("entry-collision"));

    let mut policy = opened(UnpackLimits::default());
    judge(&mut policy, &[&[LISTED][..], &frames].concat()).unwrap();
    policy.open("h.zip", 1000);
    let listed = Frame::Listed { kind: EntryKind::Dir, size: None, name: "a" };
    assert_eq!(judge(&mut policy, &[listed]), Err("entry-collision"));
}

#[test]
fn limits_count_over_all_archives() {
    let limits = UnpackLimits { bytes_max: 5, ..UnpackLimits::default() };
    let mut policy = opened(limits);
    let frames = [Frame::Begin, FILE, Frame::Data(b"123"), Frame::EndFile, DONE];
    judge(&mut policy, &frames).unwrap();
    assert_eq!(policy.output_bytes(), 3);
    policy.open("h.zip", 1000);
    let second = Frame::File { size: None, executable: false, name: "b" };
    judge(&mut policy, &[Frame::Begin, second, Frame::Data(b"12")]).unwrap();
    assert_eq!(judge(&mut policy, &[Frame::Data(b"3")]), Err("too-large"));
}

/// A frame of any kind, with names that collide often.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let name =
        prop::sample::select(vec!["a", "A", "a/b", "a/b/c", "d", "d/..", "con", ".lanspread"]);
    let size = prop::option::of(0u64..6);
    let data = prop::collection::vec(any::<u8>(), 1..5);
    (0u8..12, name, size, data).prop_map(|(kind, name, size, data)| {
        let frame = match kind {
            0 => Frame::Listed { kind: EntryKind::File, size, name },
            1 => Frame::Begin,
            2 => Frame::Special { kind: SpecialKind::Symlink, name, target: "" },
            3 => Frame::Done { entries: size.unwrap_or(0), bytes: data.len() as u64 },
            4 => Frame::Failed { code: FailCode::Damaged, part: None, message: name },
            5 | 6 => Frame::Dir { name },
            7 | 8 => Frame::File { size, executable: data[0] & 1 == 1, name },
            9 | 10 => Frame::Data(&data),
            _ => Frame::EndFile,
        };
        let mut out = Vec::new();
        protocol::encode(&frame, &mut out);
        out
    })
}

proptest! {
    /// A child that was taken over can send anything: the sink still sees directories once and
    /// before their content, and files begun, written and ended one after the other. The sink
    /// itself checks that. A prefix is added so that the sequences get somewhere.
    #[test]
    fn whatever_a_child_sends_the_sink_is_called_in_order(
        frames in prop::collection::vec(any_frame(), 0..40), skip_begin in any::<bool>(),
    ) {
        let archive = located(&["g.zip"]);
        let mut policy = opened(UnpackLimits::default());
        let mut sink = MemorySink::default();
        let mut summary = UnpackSummary::default();
        let mut progress = |_: super::super::UnpackProgress<'_>| {};
        let mut unpacking =
            Unpacking::new(&archive, &mut policy, &mut sink, &mut progress, &mut summary);
        let mut parser = FrameParser::new();
        let mut begin = Vec::new();
        protocol::encode(&Frame::Begin, &mut begin);
        if !skip_begin {
            unpacking.on_bytes(&mut parser, &begin).unwrap();
        }
        for frame in &frames {
            if unpacking.on_bytes(&mut parser, frame).is_err() {
                break;
            }
        }
        for path in sink.tree.keys() {
            prop_assert!(lanspread_wire::RelPath::parse(path).is_ok());
        }
    }
}
