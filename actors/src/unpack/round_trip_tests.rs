//! Every format gives back what was packed.

use std::collections::BTreeMap;

use rars::ArchiveVersion;
use sevenz_rust2::EncoderMethod;
use zip::CompressionMethod;

use super::{
    super::{
        UnpackLimits,
        fixtures::{
            Item, dir, file, game, gz, noise, program, rar, rar_builder, rar_volumes, sevenz,
            sevenz_with, tar, tar_entry, text, xz, zip, zip_with, zst,
        },
        limits::RAR_BUFFERED_BYTES,
    },
    MemorySink, Node, unpack_named, unpack_one,
};

/// The tree that these items stand for.
fn tree_of(items: &[Item]) -> BTreeMap<String, Node> {
    let mut tree = BTreeMap::new();
    for item in items {
        for (at, _) in item.name.match_indices('/') {
            tree.insert(item.name[..at].to_owned(), Node::Dir);
        }
        let node = match &item.bytes {
            None => Node::Dir,
            Some(bytes) => Node::File(bytes.clone(), item.mode & 0o111 != 0),
        };
        tree.insert(item.name.clone(), node);
    }
    tree
}

fn assert_unpacks(name: &str, archive: &[u8], items: &[Item]) -> MemorySink {
    let (sink, result) = unpack_one(name, archive);
    let summary = result.unwrap_or_else(|error| panic!("{name}: {error}"));
    let tree = tree_of(items);
    assert!(sink.tree == tree, "{name} gave {:?}", sink.tree.keys());
    let files = tree.values().filter(|node| **node != Node::Dir).count();
    assert_eq!((summary.files, summary.dirs), (files as u64, (tree.len() - files) as u64));
    let bytes: u64 =
        items.iter().flat_map(|item| &item.bytes).map(|bytes| bytes.len() as u64).sum();
    assert_eq!(summary.bytes, bytes, "{name}");
    sink
}

#[test]
fn zip_gives_back_the_game_with_every_method() {
    use CompressionMethod as Method;
    for method in [Method::Stored, Method::Deflated, Method::Zstd, Method::Bzip2, Method::Xz] {
        let sink = assert_unpacks("game.zip", &zip_with(&game(), method), &game());
        let bytes = game().iter().flat_map(|item| &item.bytes).map(Vec::len).sum::<usize>();
        assert_eq!(sink.announced, [(7, Some(bytes as u64))], "{method}");
    }
}

#[test]
fn sevenz_gives_back_the_game_with_every_coder() {
    use EncoderMethod as Method;
    for method in [Method::LZMA, Method::BZIP2, Method::PPMD, Method::ZSTD, Method::COPY] {
        let archive = sevenz_with(&game(), true, vec![method.into()]);
        assert_unpacks("game.7z", &archive, &game());
    }
    for solid in [true, false] {
        let filtered = vec![Method::BCJ_X86_FILTER.into(), Method::LZMA2.into()];
        assert_unpacks("game.7z", &sevenz_with(&game(), solid, filtered), &game());
    }
}

#[test]
fn tar_gives_back_the_game_plain_and_compressed() {
    let plain = tar(&game());
    assert_unpacks("game.tar", &plain, &game());
    assert_unpacks("game.tar.gz", &gz(&plain), &game());
    assert_unpacks("game.tar.xz", &xz(&plain), &game());
    let sink = assert_unpacks("game.tar.zst", &zst(&plain), &game());
    assert_eq!(sink.announced, [(0, None)]);
}

#[test]
fn the_content_counts_and_not_the_extension() {
    assert_unpacks("game.rar", &zip(&game()), &game());
    assert_unpacks("game.zip", &rar(&game()), &game());
    assert_unpacks("game.eti", &rar(&game()), &game());
    assert_unpacks("game.tar", &gz(&tar(&game())), &game());
}

#[test]
fn several_compressed_streams_in_a_row_are_one_tar() {
    let plain = tar(&game());
    let (a, b) = plain.split_at(plain.len() / 3);
    assert_unpacks("game.tgz", &[gz(a), gz(b)].concat(), &game());
    assert_unpacks("game.txz", &[xz(a), xz(b)].concat(), &game());
    assert_unpacks("game.tzst", &[zst(a), zst(b)].concat(), &game());
}

#[test]
fn rar_of_every_generation_gives_back_the_game() {
    for version in ArchiveVersion::ALL {
        let is_dos = matches!(
            version,
            ArchiveVersion::Rar13 | ArchiveVersion::Rar14 | ArchiveVersion::Rar15
        );
        // The oldest ones know no permissions, and names beyond ASCII only in a code page.
        let is_legacy = !matches!(version, ArchiveVersion::Rar50 | ArchiveVersion::Rar70);
        let mut items = game();
        items.retain(|item| !is_legacy || item.name.is_ascii());
        for item in items.iter_mut().filter(|_| is_dos) {
            item.mode = 0o644;
        }
        for store in [false, true] {
            let builder = rar_builder(&items, version).store(store);
            assert_unpacks("game.rar", &builder.to_bytes().unwrap(), &items);
        }
        if let Ok(solid) = rar_builder(&items, version).solid(true).to_bytes() {
            assert_unpacks("game.rar", &solid, &items);
        }
    }
}

/// More than one member is larger than what is decoded in memory, and the solid chain goes on
/// through both ways of decoding.
#[test]
fn a_solid_rar_with_large_members_streams() {
    let large = RAR_BUFFERED_BYTES as usize + 1000;
    let items = [
        file("a", &text(large)),
        file("b", &text(100_000)),
        file("c", &noise(large, 3)),
        file("d", &text(100_000)),
    ];
    let builder = rar_builder(&items, ArchiveVersion::Rar50).solid(true);
    let archive = builder.compression_level(Some(1)).to_bytes().unwrap();
    assert_unpacks("game.rar", &archive, &items);
}

#[test]
fn rar_volumes_give_back_the_game() {
    let volumes = rar_volumes(&game(), 20_000);
    assert!(volumes.len() > 3, "{} volumes", volumes.len());
    let names: Vec<String> = (1..=volumes.len()).map(|n| format!("g.part{n}.rar")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (sink, result) = unpack_named(&names, &volumes, UnpackLimits::default());
    result.unwrap();
    assert_eq!(sink.tree, tree_of(&game()));
}

#[test]
fn a_tar_of_the_current_folder_loses_its_dots() {
    let items = [dir("./"), dir("./data"), file("./data/a", b"1"), file("./b", b"2")];
    let expected = [dir("data"), file("data/a", b"1"), file("b", b"2")];
    assert_unpacks("game.tar", &tar(&items), &expected);
}

#[test]
fn long_names_of_both_tar_kinds_are_read() {
    let deep = format!("{}/{}/file.dat", "d".repeat(80), "e".repeat(70));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o755);
    builder.append_data(&mut header, &deep, &b"gnu"[..]).unwrap();
    let mut archive = builder.into_inner().unwrap();
    archive.truncate(archive.len() - 1024);
    let pax_name = format!("{}/pax.dat", "p".repeat(120));
    let record = format!(" path={pax_name}\n");
    let record = format!("{}{record}", record.len() + 3);
    tar_entry(&mut archive, "pax", b'x', 0o644, record.as_bytes(), "");
    tar_entry(&mut archive, "short", b'0', 0o644, b"pax", "");
    archive.resize(archive.len() + 1024, 0);
    assert_unpacks("game.tar", &archive, &[program(&deep, b"gnu"), file(&pax_name, b"pax")]);
}

#[test]
fn a_global_header_as_of_git_is_skipped() {
    let mut archive = Vec::new();
    tar_entry(&mut archive, "pax_global_header", b'g', 0o666, b"52 comment=0123456789\n", "");
    tar_entry(&mut archive, "a", b'0', 0o644, b"1", "");
    archive.resize(archive.len() + 1024, 0);
    assert_unpacks("game.tar", &archive, &[file("a", b"1")]);
}

/// Proves T67: set-user bits, odd modes and times of the future leave one bit.
#[test]
fn of_the_permissions_only_the_execute_bit_is_left() {
    let mut items = vec![file("plain", b"1"), file("odd", b"2"), file("suid", b"3")];
    items[1].mode = 0o7602;
    items[2].mode = 0o4711;
    for (name, archive) in
        [("g.tar", tar(&items)), ("g.7z", sevenz(&items)), ("g.rar", rar(&items))]
    {
        let (sink, result) = unpack_one(name, &archive);
        result.unwrap();
        assert_eq!(sink.tree["odd"], Node::File(b"2".to_vec(), false), "{name}");
        assert_eq!(sink.tree["suid"], Node::File(b"3".to_vec(), true), "{name}");
    }
}

#[test]
fn a_directory_may_be_named_twice_and_late() {
    let items = [file("d/a", b"1"), dir("d"), dir("d"), file("d/b", b"2")];
    assert_unpacks("game.tar", &tar(&items), &items);
}

#[test]
fn an_empty_archive_is_an_empty_tree() {
    for (name, archive) in [("g.zip", zip(&[])), ("g.tar", tar(&[])), ("g.tgz", gz(&tar(&[])))] {
        assert_unpacks(name, &archive, &[]);
    }
}
