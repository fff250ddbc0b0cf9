//! Archives made on the spot for tests, of every format and also such as no honest program would
//! write. Must never be part of the product.

use std::io::{Cursor, Write};

use rars::{ArchiveVersion, Builder};
use sevenz_rust2::{
    ArchiveEntry, ArchiveWriter, EncoderConfiguration, EncoderMethod, Password, SourceReader,
    encoder_options::AesEncoderOptions,
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// An entry to pack.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Its name, taken as it is.
    pub(crate) name: String,
    /// Its bytes; `None` for a directory.
    pub(crate) bytes: Option<Vec<u8>>,
    /// Its permissions.
    pub(crate) mode: u32,
}

/// A file.
pub(crate) fn file(name: &str, bytes: &[u8]) -> Item {
    Item { name: name.to_owned(), bytes: Some(bytes.to_vec()), mode: 0o644 }
}

/// A file with an execute permission.
pub(crate) fn program(name: &str, bytes: &[u8]) -> Item {
    Item { mode: 0o755, ..file(name, bytes) }
}

/// A directory.
pub(crate) fn dir(name: &str) -> Item {
    Item { name: name.to_owned(), bytes: None, mode: 0o755 }
}

/// A game as small as it can be while every case occurs: nested, empty, large, incompressible.
pub(crate) fn game() -> Vec<Item> {
    vec![
        dir("data"),
        file("data/pak0.pk3", &noise(60_000, 1)),
        file("data/maps/höhle.bsp", &text(40_000)),
        file("data/empty.cfg", b""),
        dir("data/saves"),
        program("run.sh", b"#!/bin/sh\nexec ./game\n"),
        file("readme.txt", &text(1000)),
    ]
}

/// Bytes that do not compress.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Bytes that compress as text does.
pub(crate) fn text(len: usize) -> Vec<u8> {
    let words = ["frag ", "limit ", "rocket ", "launcher ", "\n", "armor ", "quad ", "damage "];
    let mut bytes = Vec::with_capacity(len + 16);
    for byte in noise(len, 7) {
        bytes.extend_from_slice(words[usize::from(byte) % words.len()].as_bytes());
        if bytes.len() >= len {
            break;
        }
    }
    bytes.truncate(len);
    bytes
}

/// A zip with this method for every file.
pub(crate) fn zip_with(items: &[Item], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for item in items {
        let options =
            SimpleFileOptions::default().compression_method(method).unix_permissions(item.mode);
        match &item.bytes {
            None => writer.add_directory(item.name.as_str(), options).unwrap(),
            Some(bytes) => {
                writer.start_file(item.name.as_str(), options).unwrap();
                writer.write_all(bytes).unwrap();
            }
        }
    }
    writer.finish().unwrap().into_inner()
}

/// A zip as most programs write it.
pub(crate) fn zip(items: &[Item]) -> Vec<u8> {
    zip_with(items, CompressionMethod::Deflated)
}

/// A tar. Names are written as they are, as a hostile program would.
pub(crate) fn tar(items: &[Item]) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        let kind = if item.bytes.is_some() { b'0' } else { b'5' };
        tar_entry(&mut out, &item.name, kind, item.mode, item.bytes.as_deref().unwrap_or(b""), "");
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// Appends one raw tar entry of any kind.
pub(crate) fn tar_entry(
    out: &mut Vec<u8>,
    name: &str,
    kind: u8,
    mode: u32,
    data: &[u8],
    target: &str,
) {
    let mut header = tar::Header::new_ustar();
    let fields = header.as_ustar_mut().unwrap();
    fields.name[..name.len()].copy_from_slice(name.as_bytes());
    fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
    fields.typeflag = [kind];
    header.set_mode(mode);
    header.set_size(data.len() as u64);
    header.set_mtime(0);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(512), 0);
}

/// The same bytes in gzip.
pub(crate) fn gz(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// The same bytes in xz.
pub(crate) fn xz(plain: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// The same bytes in Zstandard, with a checksum.
pub(crate) fn zst(plain: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A 7z with these coders, solid or with one block for each file.
pub(crate) fn sevenz_with(
    items: &[Item],
    solid: bool,
    methods: Vec<EncoderConfiguration>,
) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Cursor::new(Vec::new())).unwrap();
    writer.set_content_methods(methods);
    writer.set_encrypt_header(false);
    let mut block = (Vec::new(), Vec::new());
    for item in items {
        match &item.bytes {
            None => {
                let entry = ArchiveEntry::new_directory(&item.name);
                writer.push_archive_entry::<&[u8]>(entry, None).unwrap();
            }
            Some(bytes) if bytes.is_empty() => {
                let entry = ArchiveEntry { has_stream: false, ..sevenz_entry(item) };
                writer.push_archive_entry::<&[u8]>(entry, None).unwrap();
            }
            Some(bytes) if solid => {
                block.0.push(sevenz_entry(item));
                block.1.push(SourceReader::new(Cursor::new(bytes.clone())));
            }
            Some(bytes) => {
                writer.push_archive_entry(sevenz_entry(item), Some(bytes.as_slice())).unwrap();
            }
        }
    }
    if solid {
        writer.push_archive_entries(block.0, block.1).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn sevenz_entry(item: &Item) -> ArchiveEntry {
    ArchiveEntry {
        has_windows_attributes: true,
        windows_attributes: 0x8000 | (0o100_000 | item.mode) << 16,
        ..ArchiveEntry::new_file(&item.name)
    }
}

/// A solid 7z with LZMA2.
pub(crate) fn sevenz(items: &[Item]) -> Vec<u8> {
    sevenz_with(items, true, vec![EncoderMethod::LZMA2.into()])
}

/// A 7z that needs a password.
pub(crate) fn sevenz_encrypted(items: &[Item], headers: bool) -> Vec<u8> {
    let aes = AesEncoderOptions::new(Password::from("secret"));
    let methods = vec![aes.into(), EncoderMethod::LZMA2.into()];
    let mut writer = ArchiveWriter::new(Cursor::new(Vec::new())).unwrap();
    writer.set_content_methods(methods);
    writer.set_encrypt_header(headers);
    for item in items {
        writer.push_archive_entry(sevenz_entry(item), item.bytes.as_deref()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A builder with these items. Formats that have no explicit directories get only files.
pub(crate) fn rar_builder(items: &[Item], version: ArchiveVersion) -> Builder {
    let mut builder = Builder::new(version);
    let is_old =
        matches!(version, ArchiveVersion::Rar13 | ArchiveVersion::Rar14 | ArchiveVersion::Rar15);
    for item in items {
        let mode = (!is_old).then_some(item.mode);
        let name = item.name.clone().into_bytes();
        match &item.bytes {
            None => builder.add_directory(name, None, mode).unwrap(),
            Some(bytes) => {
                let mode = mode.map(|mode| 0o100_000 | mode);
                builder.add_bytes(name, bytes.clone(), None, mode).unwrap();
            }
        }
    }
    builder
}

/// A RAR 5 archive.
pub(crate) fn rar(items: &[Item]) -> Vec<u8> {
    rar_builder(items, ArchiveVersion::Rar50).to_bytes().unwrap()
}

/// The volumes of a RAR 5 archive.
pub(crate) fn rar_volumes(items: &[Item], volume_bytes: usize) -> Vec<Vec<u8>> {
    let builder = rar_builder(items, ArchiveVersion::Rar50).volume_size(Some(volume_bytes));
    builder.build_volumes(None).unwrap()
}

/// Puts `new` in the place of every `old`, which has as many bytes, in names without a checksum.
pub(crate) fn rename(archive: &mut [u8], old: &[u8], new: &[u8]) {
    assert_eq!(old.len(), new.len());
    let mut count = 0;
    for at in 0..=archive.len() - old.len() {
        if archive[at..].starts_with(old) {
            archive[at..at + new.len()].copy_from_slice(new);
            count += 1;
        }
    }
    assert!(count > 0, "the name to replace is not there");
}
