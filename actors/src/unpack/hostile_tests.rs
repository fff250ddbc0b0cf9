//! Archives that no honest program writes are refused, by name where an entry is at fault.

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{
    super::{
        UnpackLimits,
        fixtures::{
            Item, dir, file, game, gz, noise, rar_builder, rename, sevenz, sevenz_encrypted,
            sevenz_with, tar, tar_entry, zip, zip_with, zst,
        },
        limits::{BOMB_FLOOR_BYTES, TAR_HEADER_BYTES_MAX},
    },
    Node, refusal, unpack_named, unpack_one,
};
use std::io::{Cursor, Write};

/// Names that must not reach any disk, each with the bytes of a harmless name of the same length.
const SLIPS: [&str; 16] = [
    "../evil",
    "a/../../evil",
    "/etc/evil",
    "C:/evil",
    "C:evil",
    "//srv/share/evil",
    "a//evil",
    "a/./evil",
    "a\\..\\..\\evil",
    "\\\\srv\\share\\evil",
    "evil:stream",
    "con",
    "data/aux.txt",
    "evil.",
    "evil ",
    "ev\u{202e}il",
];

fn harmless(name: &str) -> String {
    "x".repeat(name.len())
}

fn assert_slip(archive_name: &str, archive: &[u8], slip: &str) {
    let (sink, result) = unpack_one(archive_name, archive);
    let error = result.expect_err(slip);
    assert_eq!(error.reason(), "entry-name", "{slip:?} in {archive_name}: {error}");
    if archive_name != "g.tar" {
        assert!(sink.tree.is_empty(), "{slip:?} in {archive_name}: {:?}", sink.tree.keys());
    }
    assert!(!sink.tree.keys().any(|path| path.contains("evil")), "{:?}", sink.tree.keys());
}

/// Proves T59: refused before the first write where the format has its headers in one place, and
/// before that entry in a tar.
#[test]
fn names_that_leave_the_tree_or_are_no_names_are_refused() {
    for slip in SLIPS {
        let items = [file("ok", b"1"), file(slip, b"evil")];
        assert_slip("g.tar", &tar(&items), slip);
        assert_slip("g.7z", &sevenz(&items), slip);
        let harmless = harmless(slip);
        let mut archive = zip(&[file("ok", b"1"), file(&harmless, b"evil")]);
        rename(&mut archive, harmless.as_bytes(), slip.as_bytes());
        assert_slip("g.zip", &archive, slip);
        assert_slip("g.rar", &rar50_with_name(slip), slip);
    }
}

/// A RAR 5 archive whose second name the writer would not take.
fn rar50_with_name(name: &str) -> Vec<u8> {
    use rars::{
        EntrySource,
        rar50::{ArchiveEntry, Rar50Writer, WriterOptions},
    };
    let entry = |name: &str| ArchiveEntry::new(name, EntrySource::from_bytes(b"evil".to_vec()));
    let writer = Rar50Writer::new(WriterOptions::default());
    writer.entries([entry("ok"), entry(name)]).finish().unwrap()
}

#[test]
fn backslashes_of_old_rar_archives_separate_and_still_do_not_leave() {
    let version = rars::ArchiveVersion::Rar15;
    let build = |name: &str| {
        let mut builder = rars::Builder::new(version);
        builder.add_bytes(name.as_bytes().to_vec(), b"1".to_vec(), None, None).unwrap();
        builder.to_bytes().unwrap()
    };
    let (sink, result) = unpack_one("g.rar", &build("data\\maps\\a.bsp"));
    result.unwrap();
    assert_eq!(sink.tree["data/maps/a.bsp"], Node::File(b"1".to_vec(), false));
    for name in ["a\\..\\b", "\\x", "a\\con", "a\\"] {
        let Ok(archive) =
            std::panic::catch_unwind(|| build(name)).map_err(|_| "the writer refuses it itself")
        else {
            continue;
        };
        assert_eq!(refusal("g.rar", &archive).0, "entry-name", "{name}");
    }
}

#[test]
fn names_of_this_program_are_refused_anywhere() {
    for name in [".lanspread_owned", "a/.LANSPREAD.json", ".local.installing/x", "d/.Local.x"] {
        let (reason, message) = refusal("g.tar", &tar(&[file(name, b"1")]));
        assert_eq!(reason, "entry-reserved", "{name}: {message}");
    }
    // They mean something in a game root only, not in the tree that goes below it.
    let fine = [file("version.ini", b"1"), file(".config/x", b"2"), file("local/y", b"3")];
    unpack_one("g.tar", &tar(&fine)).1.unwrap();
}

/// Proves T42 for archives.
#[test]
fn two_entries_for_one_place_are_refused() {
    let pairs: [(Item, Item); 7] = [
        (file("a", b"1"), file("a", b"2")),
        (file("Readme", b"1"), file("README", b"2")),
        (file("straße", b"1"), file("STRASSE", b"2")),
        (file("Data/a", b"1"), file("data/b", b"2")),
        (dir("data"), dir("DATA")),
        (file("data", b"1"), file("data/a", b"2")),
        (file("data/a", b"1"), file("data", b"2")),
    ];
    for (first, second) in pairs {
        let both = [first, second];
        let names = format!("{} and {}", both[0].name, both[1].name);
        for (name, archive) in [("g.tar", tar(&both)), ("g.7z", sevenz_each(&both))] {
            let (reason, message) = refusal(name, &archive);
            assert_eq!(reason, "entry-collision", "{names} in {name}: {message}");
        }
    }
}

fn sevenz_each(items: &[Item]) -> Vec<u8> {
    sevenz_with(items, false, vec![sevenz_rust2::EncoderMethod::COPY.into()])
}

/// The zip library keeps the last of two equal names, so the child has to notice.
#[test]
fn a_zip_with_one_name_twice_is_refused() {
    let mut archive = zip(&[file("aaaa", b"1"), file("bbbb", b"2")]);
    rename(&mut archive, b"bbbb", b"aaaa");
    assert_eq!(refusal("g.zip", &archive).0, "entry-name");
}

#[test]
fn a_rar_with_one_name_twice_is_refused() {
    let mut builder = rars::Builder::new(rars::ArchiveVersion::Rar50).allow_duplicate_names(true);
    for bytes in [b"1", b"2"] {
        builder.add_bytes(b"same".to_vec(), bytes.to_vec(), None, None).unwrap();
    }
    assert_eq!(refusal("g.rar", &builder.to_bytes().unwrap()).0, "entry-collision");
}

/// Proves T60 and T61 for tar: the link is refused, so nothing can go through it.
#[test]
fn special_entries_of_a_tar_are_refused_by_name() {
    let kinds = [(b'1', "hard link"), (b'2', "symbolic link"), (b'3', "device"), (b'4', "device")];
    let kinds =
        kinds.into_iter().chain([(b'6', "named pipe"), (b'S', "sparse"), (b'Z', "special")]);
    for (kind, word) in kinds {
        let mut archive = Vec::new();
        tar_entry(&mut archive, "evil", kind, 0o777, b"", "/etc");
        tar_entry(&mut archive, "evil/passwd", b'0', 0o644, b"root", "");
        archive.resize(archive.len() + 1024, 0);
        let (sink, result) = unpack_one("g.tar", &archive);
        let error = result.expect_err(word);
        assert!(sink.tree.is_empty() && sink.open.is_none());
        // A sparse header without a map is refused by the decoder already.
        if kind != b'S' {
            assert_eq!(error.reason(), "entry-special", "{error}");
            assert!(error.to_string().contains(word) && error.to_string().contains("evil"));
        }
    }
}

#[test]
fn a_sparse_file_of_the_newer_kind_is_refused() {
    let mut archive = Vec::new();
    tar_entry(&mut archive, "x", b'x', 0o644, b"22 GNU.sparse.major=1\n", "");
    tar_entry(&mut archive, "holes", b'0', 0o644, b"1\n0\n512\n", "");
    archive.resize(archive.len() + 1024, 0);
    let (reason, message) = refusal("g.tar", &archive);
    assert_eq!(reason, "entry-special", "{message}");
}

/// Proves T60 for zip, 7z and RAR, before the first write.
#[test]
fn links_of_other_formats_are_refused_before_the_first_write() {
    let mut writer = ZipWriter::new(Cursor::new(zip(&game())));
    writer.add_directory("d", SimpleFileOptions::default()).unwrap();
    writer.add_symlink("evil", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let zip_archive = writer.finish().unwrap().into_inner();

    let mut link = file("evil", b"/etc/passwd");
    link.mode = 0o020_777; // with the type bits of a file this is a link
    let sevenz_archive = sevenz(&[file("ok", b"1"), link]);

    for version in rars::ArchiveVersion::ALL {
        let mut builder = rar_builder(&[file("ok", b"1")], version);
        let target = b"/etc/passwd".to_vec();
        if builder.add_unix_symlink(b"evil".to_vec(), target, false, None, None).is_ok() {
            assert_link("g.rar", &builder.to_bytes().unwrap());
        }
    }
    assert_link("g.zip", &zip_archive);
    assert_link("g.7z", &sevenz_archive);
}

fn assert_link(name: &str, archive: &[u8]) {
    let (sink, result) = unpack_one(name, archive);
    let error = result.expect_err("a link must be refused");
    assert_eq!(error.reason(), "entry-special", "{name}: {error}");
    assert!(error.to_string().contains("symbolic link") && error.to_string().contains("evil"));
    assert_eq!(sink.calls, 0, "{name}");
}

/// Proves T64 for passwords: data, headers, and one entry among plain ones.
#[test]
fn encrypted_archives_are_refused_by_name() {
    let items = [file("plain", b"1"), file("secret", b"2")];
    for version in rars::ArchiveVersion::ALL {
        for headers in [false, true] {
            let builder = rar_builder(&items, version).password(Some(b"pw".to_vec()));
            if let Ok(archive) = builder.header_encryption(headers).to_bytes() {
                let (reason, message) = refusal("g.rar", &archive);
                assert_eq!(reason, "archive-encrypted", "{version:?} {headers}: {message}");
            }
        }
    }
    for headers in [false, true] {
        let (reason, message) = refusal("g.7z", &sevenz_encrypted(&items, headers));
        assert_eq!((reason, message.contains("plain")), ("archive-encrypted", !headers));
    }
    let mut archive = zip(&items);
    set_zip_flag_encrypted(&mut archive);
    let (reason, message) = refusal("g.zip", &archive);
    assert_eq!(reason, "archive-encrypted", "{message}");
    assert!(message.contains("plain"), "{message}");
}

/// Sets the flag in all headers; the data need not be encrypted for the refusal.
fn set_zip_flag_encrypted(archive: &mut [u8]) {
    for (mark, flags_at) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        for at in 0..archive.len() - 4 {
            if archive[at..].starts_with(mark) {
                archive[at + flags_at] |= 1;
            }
        }
    }
}

/// Proves T62 for the ratio: a bomb is stopped while it goes off, or before, by its headers.
#[test]
fn bombs_are_stopped() {
    let zeros = vec![0; BOMB_FLOOR_BYTES as usize + 5_000_000];
    let bomb = [file("zeros", &zeros)];
    let (sink, result) = unpack_one("g.zip", &zip(&bomb));
    assert_eq!(result.unwrap_err().reason(), "archive-bomb");
    assert_eq!(sink.calls, 0, "the headers were enough");
    for (name, archive) in [("g.tgz", gz(&tar(&bomb))), ("g.tzst", zst(&tar(&bomb)))] {
        let (sink, result) = unpack_one(name, &archive);
        assert_eq!(result.unwrap_err().reason(), "archive-bomb", "{name}");
        assert!(sink.tree.is_empty());
    }
    let below = [file("zeros", &zeros[..BOMB_FLOOR_BYTES as usize])];
    unpack_one("g.tgz", &gz(&tar(&below))).1.unwrap();
}

/// Proves T62 for overlapping entries: two names for one piece of data.
#[test]
fn a_zip_with_overlapping_entries_is_refused() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    writer.start_file("first", options).unwrap();
    writer.write_all(&noise(1000, 1)).unwrap();
    writer.shallow_copy_file("first", "second").unwrap();
    let archive = writer.finish().unwrap().into_inner();
    let (reason, message) = refusal("g.zip", &archive);
    assert_eq!((reason, message.contains("overlap")), ("archive-damaged", true), "{message}");
}

/// Proves T63: a header that promises less, or more, than comes.
#[test]
fn a_header_with_a_wrong_size_is_refused() {
    let bytes = noise(1000, 1);
    for lie in [999u32, 1001, 0, u32::MAX - 1] {
        let mut archive = zip_with(&[file("liar", &bytes)], CompressionMethod::Deflated);
        rename(&mut archive, &1000u32.to_le_bytes(), &lie.to_le_bytes());
        let (reason, message) = refusal("g.zip", &archive);
        let is_told = ["entry-size", "archive-damaged", "archive-bomb", "too-large"];
        assert!(is_told.contains(&reason), "{lie}: {reason}: {message}");
    }
}

/// Proves T66: the cap counts files, directories, and directories that only occur in names.
#[test]
fn too_many_entries_are_refused() {
    let limits = UnpackLimits { entries_max: 100, ..UnpackLimits::default() };
    let flat =
        |count: usize| -> Vec<Item> { (0..count).map(|n| file(&format!("{n}"), b"")).collect() };
    let deep: Vec<Item> = (0..11).map(|n| file(&format!("{n}/b/c/d/e/f/g/h/i/j"), b"")).collect();
    for (name, pack) in
        [("g.tar", tar as fn(&[Item]) -> Vec<u8>), ("g.zip", zip), ("g.7z", sevenz_each)]
    {
        unpack_named(&[name], &[pack(&flat(100))], limits).1.unwrap();
        unpack_named(&[name], &[pack(&deep[..10])], limits).1.unwrap();
        for items in [flat(101), deep.clone()] {
            let (_, result) = unpack_named(&[name], &[pack(&items)], limits);
            assert_eq!(result.unwrap_err().reason(), "too-many-entries", "{name}");
        }
    }
    let repeated: Vec<Item> = (0..101).map(|_| dir("same")).collect();
    let (_, result) = unpack_named(&["g.tar"], &[tar(&repeated)], limits);
    assert_eq!(result.unwrap_err().reason(), "too-many-entries");
}

#[test]
fn a_hundred_thousand_tiny_entries_are_unpacked() {
    let items: Vec<Item> = (0..100_000).map(|n| file(&format!("{}/{n}", n % 100), b"")).collect();
    let (sink, result) = unpack_one("g.tar", &tar(&items));
    assert_eq!(result.unwrap().files, 100_000);
    assert_eq!(sink.tree.len(), 100_100);
}

#[test]
fn more_bytes_than_allowed_are_refused() {
    let limits = UnpackLimits { bytes_max: 10_000, ..UnpackLimits::default() };
    let items = |len| [file("a", &noise(len, 1)), file("b", b"12345")];
    for (name, pack) in [("g.tar", tar as fn(&[Item]) -> Vec<u8>), ("g.zip", zip)] {
        unpack_named(&[name], &[pack(&items(9995))], limits).1.unwrap();
        let (_, result) = unpack_named(&[name], &[pack(&items(9996))], limits);
        assert_eq!(result.unwrap_err().reason(), "too-large", "{name}");
    }
}

/// A name of a gigabyte would be gathered in memory by the tar library.
#[test]
fn endless_tar_headers_are_refused() {
    for kind in [b'L', b'K', b'x'] {
        let mut archive = Vec::new();
        let long = vec![b'a'; TAR_HEADER_BYTES_MAX as usize + 1];
        tar_entry(&mut archive, "x", kind, 0o644, &long, "");
        tar_entry(&mut archive, "a", b'0', 0o644, b"1", "");
        archive.resize(archive.len() + 1024, 0);
        let (reason, message) = refusal("g.tgz", &gz(&archive));
        assert_eq!(reason, "archive-damaged", "{message}");
        assert!(message.contains("too long"), "{message}");
    }
}

#[test]
fn names_that_are_no_text_are_refused() {
    let mut archive = tar(&[file("aXb", b"1")]);
    archive[1] = 0xff;
    let sum: u32 = archive[..512].iter().map(|byte| u32::from(*byte)).sum::<u32>()
        - archive[148..156].iter().map(|byte| u32::from(*byte)).sum::<u32>()
        + 8 * 32;
    archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(refusal("g.tar", &archive).0, "entry-name");
}

#[test]
fn a_file_that_only_claims_to_be_an_archive_is_refused() {
    let cases = [
        ("g.tar", noise(4096, 1)),
        ("g.zip", [b"PK\x03\x04".to_vec(), noise(4096, 1)].concat()),
        ("g.rar", [b"Rar!\x1a\x07\x01\x00".to_vec(), noise(4096, 1)].concat()),
        ("g.rar", [b"Rar!\x1a\x07\x00".to_vec(), noise(4096, 1)].concat()),
        ("g.7z", [b"7z\xbc\xaf\x27\x1c".to_vec(), noise(4096, 1)].concat()),
        ("g.tgz", gz(&noise(4096, 1))),
        ("g.txz", [b"\xfd7zXZ\x00".to_vec(), noise(4096, 1)].concat()),
        ("g.tzst", [b"\x28\xb5\x2f\xfd".to_vec(), noise(4096, 1)].concat()),
    ];
    for (name, archive) in cases {
        let (reason, message) = refusal(name, &archive);
        let is_told = reason.starts_with("archive-");
        assert!(is_told, "{name}: {reason}: {message}");
    }
}
