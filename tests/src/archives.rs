//! Archives for tests, made from folders.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use rars::{ArchiveVersion, builder::Builder};

/// Packs all regular files below `folder` into one RAR archive, names relative to `folder`.
pub fn pack_rar(folder: &Path, archive: &Path) -> Result<()> {
    let mut files = Vec::new();
    list(folder, &mut files)?;
    files.sort();
    let mut builder = Builder::new(ArchiveVersion::Rar50).compression_level(Some(1));
    for file in files {
        let name = file.strip_prefix(folder)?.to_str().context("a UTF-8 name")?;
        builder
            .add_path(&file, name.as_bytes())
            .map_err(|error| anyhow!("{}: {error}", file.display()))?;
    }
    builder.write_to_path(archive, None).map_err(|error| anyhow!("{}: {error}", archive.display()))
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}
