//! The game of the demo: plain files beside an archive that the install unpacks.

use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use zip::{ZipWriter, write::SimpleFileOptions};

/// Its id.
pub(super) const GAME: &str = "demo-game";

const VERSION: &str = "20240131";
const ARCHIVE: &str = "demo-game.zip";

/// Files in the archive and their sizes: empty, small, larger than one chunk, many chunks.
const FILES: [(&str, usize); 5] = [
    ("readme.txt", 300),
    ("empty.cfg", 0),
    ("bin/start.sh", 64),
    ("data/levels/first.map", 200_000),
    ("data/textures.pak", 6_000_000),
];

/// Makes its root below `games` and returns the bytes of its payload.
pub(super) fn make(games: &Path) -> Result<u64> {
    let root = games.join(GAME);
    fs::create_dir_all(root.join("docs"))?;
    let archive = archive()?;
    let manual = noise("manual", 40_000);
    fs::write(root.join(ARCHIVE), &archive)?;
    fs::write(root.join("docs/manual.pdf"), &manual)?;
    fs::write(root.join("version.ini"), VERSION)?;
    Ok(u64::try_from(archive.len() + manual.len())?)
}

/// Compares payload and install of `taker` with what `giver` gave; returns how many files.
pub(super) fn compare(giver: &Path, taker: &Path) -> Result<usize> {
    let (given, taken) = (files(&giver.join(GAME), "")?, files(&taker.join(GAME), "local")?);
    ensure!(given == taken, "the payloads differ");
    let installed = files(&taker.join(GAME).join("local"), "")?;
    for (name, size) in FILES {
        let file = installed.get(Path::new(name)).with_context(|| format!("{name} is missing"))?;
        ensure!(*file == content(name, size), "{name} was installed wrong");
    }
    Ok(given.len() + FILES.len())
}

fn archive() -> Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, size) in FILES {
        archive.start_file(name, SimpleFileOptions::default())?;
        archive.write_all(&content(name, size))?;
    }
    Ok(archive.finish()?.into_inner())
}

fn content(name: &str, size: usize) -> Vec<u8> {
    if name.ends_with(".sh") {
        let mut script = b"#!/bin/sh\necho started\n".to_vec();
        script.resize(size, b'#');
        return script;
    }
    noise(name, size)
}

/// Bytes that do not compress, the same ones for the same name.
fn noise(name: &str, size: usize) -> Vec<u8> {
    let mut state = name.bytes().fold(0x9E37_79B9_7F4A_7C15_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(size).collect()
}

/// Every file below `folder` by its relative path, without the program's own and without `skipped`.
fn files(folder: &Path, skipped: &str) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(&current)? {
            let path = entry?.path();
            let relative = path.strip_prefix(folder)?.to_path_buf();
            let is_ours = relative.to_string_lossy().starts_with('.');
            if is_ours || relative == Path::new(skipped) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(relative, fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comparison_sees_a_flipped_bit_and_a_missing_file() {
        let home = tempfile::tempdir().unwrap();
        let (giver, taker) = (home.path().join("giver"), home.path().join("taker"));
        make(&giver).unwrap();
        make(&taker).unwrap();
        let local = taker.join(GAME).join("local");
        for (name, size) in FILES {
            let path = local.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content(name, size)).unwrap();
        }
        assert_eq!(compare(&giver, &taker).unwrap(), 3 + FILES.len());
        let manual = taker.join(GAME).join("docs/manual.pdf");
        let mut bytes = fs::read(&manual).unwrap();
        bytes[7] ^= 1;
        fs::write(&manual, &bytes).unwrap();
        compare(&giver, &taker).unwrap_err();
        bytes[7] ^= 1;
        fs::write(&manual, &bytes).unwrap();
        compare(&giver, &taker).unwrap();
        fs::remove_file(local.join("bin/start.sh")).unwrap();
        compare(&giver, &taker).unwrap_err();
    }
}
