//! The bytes of every message and of a manifest, as they were when this version of the protocol
//! was fixed. A change here is another protocol: it needs another version, not another line.

use lanspread_wire::{
    Control, Frame, Manifest, Refusal, Request, Response, decode_frame, encode_frame,
    library_digest,
};

use super::samples;

const GOLDEN: &str = include_str!("golden.txt");

fn golden(name: &str) -> Vec<u8> {
    let line = GOLDEN.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    hex::decode(line.unwrap_or_else(|| panic!("no golden bytes named {name}"))).unwrap()
}

#[track_caller]
fn check<T: Frame + PartialEq + std::fmt::Debug>(name: &str, message: &T) {
    let expected = golden(name);
    let frame = encode_frame(message).unwrap();
    assert_eq!(hex::encode(&frame), hex::encode(&expected), "{name}");
    assert_eq!(decode_frame::<T>(&expected[4..]).as_ref(), Ok(message), "{name}");
}

fn responses() -> Vec<(String, Response)> {
    let refused = Refusal::ALL.iter().map(|reason| {
        (format!("response-{}", reason.code()), Response::Refused { reason: *reason })
    });
    let mut all = vec![("response-ok".to_owned(), Response::Ok { len: 70_000 })];
    all.extend(refused);
    all
}

#[test]
fn control_messages_keep_their_bytes() {
    for (name, message) in samples::controls() {
        check::<Control>(&format!("control-{name}"), &message);
    }
}

#[test]
fn requests_keep_their_bytes() {
    for (name, message) in samples::requests() {
        check::<Request>(&format!("request-{name}"), &message);
    }
}

#[test]
fn responses_keep_their_bytes() {
    for (name, message) in responses() {
        check::<Response>(&name, &message);
    }
}

#[test]
fn a_manifest_keeps_its_bytes_and_its_id() {
    let manifest = samples::manifest();
    assert_eq!(hex::encode(manifest.encode()), hex::encode(golden("manifest")));
    assert_eq!(manifest.id().0.as_slice(), golden("manifest-id"));
    assert_eq!(Manifest::decode(&golden("manifest")), Ok(manifest));
}

#[test]
fn a_library_keeps_its_digest() {
    let games = [samples::summary("openra-2.0"), samples::summary("quake3")];
    assert_eq!(library_digest(games.iter()).0.as_slice(), golden("library-digest"));
    assert_eq!(library_digest([].iter()).0.as_slice(), golden("library-digest-empty"));
}

/// Nothing is golden that no test looks at.
#[test]
fn every_golden_line_is_used() {
    let mut names: Vec<String> =
        ["manifest", "manifest-id", "library-digest", "library-digest-empty"]
            .map(String::from)
            .into();
    names.extend(samples::controls().iter().map(|(name, _)| format!("control-{name}")));
    names.extend(samples::requests().iter().map(|(name, _)| format!("request-{name}")));
    names.extend(responses().into_iter().map(|(name, _)| name));
    let lines = GOLDEN.lines().filter(|line| !line.starts_with('#'));
    let unused: Vec<&str> = lines
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !names.iter().any(|known| known == name))
        .collect();
    assert_eq!(unused, Vec::<&str>::new());
}
