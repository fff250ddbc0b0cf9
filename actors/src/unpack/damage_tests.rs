//! Damaged, cut and incomplete archives: one error that names the part, never a panic, and never
//! a tree that differs from what was packed.

use std::io::{self, Read, Seek, SeekFrom};

use rars::ArchiveVersion;

use super::{
    super::{
        Format, UnpackError, UnpackLimits,
        child::{LastWords, decode_caught},
        emit::{DecodeError, Emitter},
        fixtures::{
            Item, file, game, gz, noise, rar, rar_builder, rar_volumes, sevenz, sevenz_with, tar,
            text, xz, zip, zst,
        },
        limits::TAR_TAIL_BYTES_MAX,
        protocol::FailCode,
    },
    MemorySink, Shared, unpack_named, unpack_one,
};

fn small_game() -> Vec<Item> {
    vec![file("a/one", &text(3000)), file("two", &noise(2000, 1)), file("a/three", b"3")]
}

/// One archive of every kind that has a check of its own for its content.
fn archives() -> Vec<(&'static str, Vec<u8>)> {
    let items = small_game();
    let copy = vec![sevenz_rust2::EncoderMethod::COPY.into()];
    let solid = rar_builder(&items, ArchiveVersion::Rar50).solid(true).to_bytes().unwrap();
    vec![
        ("g.zip", zip(&items)),
        ("g.7z", sevenz(&items)),
        ("g.7z", sevenz_with(&items, false, copy)),
        ("g.tgz", gz(&tar(&items))),
        ("g.txz", xz(&tar(&items))),
        ("g.tzst", zst(&tar(&items))),
        ("g.rar", rar(&items)),
        ("g.rar", solid),
        ("g.rar", rar_builder(&items, ArchiveVersion::Rar29).to_bytes().unwrap()),
        ("g.rar", rar_builder(&items, ArchiveVersion::Rar20).to_bytes().unwrap()),
        ("g.rar", rar_builder(&items, ArchiveVersion::Rar14).to_bytes().unwrap()),
    ]
}

fn expected(name: &str, archive: &[u8]) -> MemorySink {
    let (sink, result) = unpack_one(name, archive);
    result.unwrap_or_else(|error| panic!("{name}: {error}"));
    sink
}

/// Formats before the end block cannot show that whole entries are gone.
fn has_no_end(archive: &[u8]) -> bool {
    archive.starts_with(b"RE~^") || archive.starts_with(b"Rar!\x1a\x07\x00")
}

/// Proves T64: cut off at any length it is refused, and told about as a fault of that archive.
#[test]
fn a_cut_archive_is_refused_at_every_length() {
    for (name, archive) in archives().into_iter().chain([("g.tar", tar(&small_game()))]) {
        let whole = expected(name, &archive);
        for len in (16..archive.len()).step_by(7) {
            let (sink, result) = unpack_one(name, &archive[..len]);
            match result {
                Ok(_) if sink.tree == whole.tree => {
                    // Only what follows the end mark may be missing.
                    assert!(len + 1024 > archive.len(), "{name} at {len} of {}", archive.len());
                }
                Ok(_) if has_no_end(&archive) => {
                    let is_part = sink.tree.iter().all(|(path, node)| whole.tree[path] == *node);
                    assert!(is_part, "{name} at {len} gave other bytes");
                }
                Ok(_) => panic!("{name} at {len} gave {:?}", sink.tree.keys()),
                Err(error) => assert_told(name, &error),
            }
        }
    }
}

/// Proves T64: one flipped bit is found, or lies where it changes nothing that is unpacked.
#[test]
fn a_flipped_bit_never_gives_other_bytes() {
    for (name, archive) in archives() {
        let whole = expected(name, &archive);
        for at in (0..archive.len()).step_by(5) {
            let mut damaged = archive.clone();
            damaged[at] ^= 1 << (at % 8);
            let Some((sink, result)) = unpack_if_known(name, &damaged) else {
                continue;
            };
            match result {
                Err(error) => assert_told(name, &error),
                Ok(()) => assert_same_content(name, at, &whole, &sink),
            }
        }
    }
}

/// A flip in the first bytes can make it no archive at all.
fn unpack_if_known(name: &str, archive: &[u8]) -> Option<(MemorySink, Result<(), UnpackError>)> {
    super::super::Format::detect(archive, name)?;
    let (sink, result) = unpack_one(name, archive);
    Some((sink, result.map(|_| ())))
}

/// Names and permissions of a zip or an old RAR have no checksum, so a flip may change those; the
/// bytes of the files may not.
fn assert_same_content(name: &str, at: usize, whole: &MemorySink, sink: &MemorySink) {
    let bytes = |sink: &MemorySink| {
        let mut bytes: Vec<Vec<u8>> = sink
            .tree
            .values()
            .filter_map(|node| match node {
                super::Node::File(bytes, _) => Some(bytes.clone()),
                super::Node::Dir => None,
            })
            .collect();
        bytes.sort();
        bytes
    };
    assert!(bytes(whole) == bytes(sink), "{name} with a flip at {at} gave other bytes");
}

fn assert_told(name: &str, error: &UnpackError) {
    let message = error.to_string();
    assert_eq!(error.code(), "unpack-failed", "{message}");
    assert!(message.contains(name), "{message}");
    assert!(!error.reason().starts_with("child-"), "{}: {message}", error.reason());
}

/// Writers fill up a record with zeros; more than any of them does is looked at as damage, so
/// that nobody reads zeros for hours.
#[test]
fn a_tar_may_have_a_tail_but_not_an_endless_one() {
    let archive = tar(&small_game());
    for (tail, is_fine) in [(TAR_TAIL_BYTES_MAX - 1024, true), (TAR_TAIL_BYTES_MAX, false)] {
        let mut padded = archive.clone();
        padded.resize(archive.len() + tail as usize, 0);
        let (_, result) = unpack_one("g.tgz", &gz(&padded));
        assert_eq!(result.is_ok(), is_fine, "{tail} {result:?}");
    }
}

fn volumes() -> (Vec<String>, Vec<Vec<u8>>) {
    let volumes = rar_volumes(&game(), 20_000);
    let names = (1..=volumes.len()).map(|n| format!("g.part{n}.rar")).collect();
    (names, volumes)
}

fn unpack_parts(names: &[String], volumes: &[Vec<u8>], parts: &[usize]) -> UnpackError {
    let names: Vec<&str> = parts.iter().map(|part| names[*part].as_str()).collect();
    let volumes: Vec<Vec<u8>> = parts.iter().map(|part| volumes[*part].clone()).collect();
    unpack_named(&names, &volumes, UnpackLimits::default()).1.unwrap_err()
}

/// Proves T64: the missing volume is named.
#[test]
fn a_missing_last_volume_is_named() {
    let (names, volumes) = volumes();
    for count in 1..volumes.len() {
        let parts: Vec<usize> = (0..count).collect();
        match unpack_parts(&names, &volumes, &parts) {
            UnpackError::MissingVolume { part, .. } => assert_eq!(part, names[count]),
            other => panic!("{count} volumes: {other}"),
        }
    }
}

#[test]
fn volumes_in_a_wrong_order_are_refused() {
    let (names, volumes) = volumes();
    let error = unpack_parts(&names, &volumes, &[1, 2, 3]);
    assert_eq!(error.reason(), "archive-part-missing", "{error}");
    for parts in [[0, 2, 1, 3], [0, 1, 3, 2], [0, 1, 1, 2]] {
        let error = unpack_parts(&names, &volumes, &parts);
        assert_eq!(error.reason(), "archive-damaged", "{error}");
    }
}

#[test]
fn a_damaged_volume_is_named() {
    let (names, volumes) = volumes();
    let parts: Vec<usize> = (0..volumes.len()).collect();
    for part in 0..volumes.len() {
        let mut cut = volumes.clone();
        let len = cut[part].len() - 20;
        cut[part].truncate(len);
        let error = unpack_parts(&names, &cut, &parts);
        let message = error.to_string();
        assert!(message.contains(&names[part]), "part {part}: {message}");
    }
}

#[test]
fn a_solid_archive_with_a_bad_member_is_refused() {
    let items = [file("good", &text(20_000)), file("bad", &noise(20_000, 9))];
    let mut archive = rar_builder(&items, ArchiveVersion::Rar50).solid(true).to_bytes().unwrap();
    let at = archive.len() - 5_000;
    archive[at] ^= 0x10;
    let (sink, result) = unpack_one("g.rar", &archive);
    let message = result.unwrap_err().to_string();
    assert!(message.contains("bad"), "{message}");
    assert!(!sink.tree.contains_key("bad"), "an unverified file was ended");
}

/// Proves T65 for a decoder that panics: the parent is told, with the words of the panic.
#[test]
fn a_decoder_that_panics_is_told_about() {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("a bug in a decoder")
        }
    }
    impl Seek for Panics {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(1000)
        }
    }
    for format in Format::ALL {
        let out = Shared::default();
        let emitter = Emitter::new(Box::new(out.clone()));
        let decoded =
            decode_caught(format, vec![Box::new(Panics)], &emitter, &LastWords::default());
        assert!(matches!(&decoded, Err(DecodeError::Archive { code: FailCode::Crashed, .. })));
        assert!(!emitter.finish(decoded));
        assert!(!out.take().is_empty(), "nothing was told");
    }
}
