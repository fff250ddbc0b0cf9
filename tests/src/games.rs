//! Games for tests: real ones from Debian packages, made-up ones of any size, and an independent comparison.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// The unpacked content of a Debian package below `subfolder`, or `None` (with the reason on stderr)
/// where the package is not at hand. The packages lie in the folder `LANSPREAD_LAB_GAMES`.
///
/// # Panics
/// If `LANSPREAD_LAB=required` and the package cannot be had.
pub fn real_game(package: &str, subfolder: &str, into: &Path) -> Option<PathBuf> {
    match unpack(package, subfolder, into) {
        Ok(folder) => Some(folder),
        Err(error) if std::env::var("LANSPREAD_LAB").is_ok_and(|lab| lab == "required") => {
            panic!("{package} is required but cannot be had: {error:#}")
        }
        Err(error) => {
            eprintln!("skipped: {package}: {error:#}");
            None
        }
    }
}

fn unpack(package: &str, subfolder: &str, into: &Path) -> Result<PathBuf> {
    let folder = std::env::var("LANSPREAD_LAB_GAMES").context("LANSPREAD_LAB_GAMES is not set")?;
    let prefix = format!("{package}_");
    let deb = fs::read_dir(&folder)
        .with_context(|| folder.clone())?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        })
        .with_context(|| format!("no {prefix}*.deb in {folder}"))?;
    let target = into.join(package);
    fs::create_dir_all(&target)?;
    let status = Command::new("dpkg").arg("-x").arg(&deb).arg(&target).status()?;
    if !status.success() {
        bail!("dpkg -x {}: {status}", deb.display());
    }
    let content = target.join(subfolder);
    if !content.is_dir() {
        bail!("{} has no {subfolder}", deb.display());
    }
    Ok(content)
}

/// Copies the regular files of a folder into a new game root and writes its sentinel.
pub fn make_root(content: &Path, games: &Path, id: &str, version: &str) -> Result<PathBuf> {
    let root = games.join(id);
    fs::create_dir_all(&root)?;
    let status = Command::new("cp").arg("-r").arg(content.join(".")).arg(&root).status()?;
    if !status.success() {
        bail!("cp -r {}: {status}", content.display());
    }
    fs::write(root.join("version.ini"), version)?;
    Ok(root)
}

/// A file of incompressible bytes that depend on the seed alone.
pub fn random_file(path: &Path, bytes: u64, seed: u64) -> Result<()> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut file = std::io::BufWriter::new(fs::File::create(path)?);
    let mut left = bytes;
    let mut block = vec![0u8; 1 << 20];
    while left > 0 {
        dice.fill_bytes(&mut block);
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        file.write_all(&block[..part])?;
        left -= part as u64;
    }
    file.flush()?;
    Ok(())
}

/// `sha256sum` of every regular file below a game root or its `local/`, by the system's own tools.
///
/// What is no payload is left out: names that start with a dot, `local/` and the sentinel.
pub fn checksums(folder: &Path) -> Result<String> {
    let script = "find . -type f -not -path './local/*' -not -path './.*' -not -path ./version.ini -print0 \
                  | LC_ALL=C sort -z | xargs -0 --no-run-if-empty sha256sum";
    let output = Command::new("sh").arg("-c").arg(script).current_dir(folder).output()?;
    if !output.status.success() {
        bail!("sha256sum: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
