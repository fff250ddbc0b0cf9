//! What the tests' games consist of, and handles on them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::place::Place;
use crate::ops::{
    DownloadPlan, DownloadStaging, InstallStaging, PlannedFile, TxnContext, TxnError,
};
use crate::vfs::sim::{Node, SimVfs};
use crate::vfs::{Dir, Vfs};
use crate::{LeaseGuard, OpId, create_game_root};

pub(super) const GAME: &str = "quake";

/// The games folder of a machine.
pub(super) fn games(machine: &SimVfs) -> Arc<dyn Dir> {
    machine.create_root(Path::new("/games")).unwrap()
}

/// A context for one operation on the game.
pub(super) fn context(place: &Place) -> Result<TxnContext, crate::FsError> {
    let games = place.open("/games")?;
    let root = create_game_root(&*games, GAME)?;
    Ok(TxnContext::new(root, OpId::fresh(), LeaseGuard::standalone(GAME)))
}

/// A path in the game root of a machine.
pub(super) fn in_root(path: &str) -> PathBuf {
    Path::new("/games").join(GAME).join(path)
}

pub(super) fn plant(machine: &SimVfs, path: &str, text: &str) {
    machine.plant(&in_root(path), Node::File(text.as_bytes().to_vec(), false));
}

/// Content that is longer than a sector, so that half of it can be lost.
pub(super) fn content(seed: &str) -> Vec<u8> {
    seed.bytes().cycle().take(1400).collect()
}

/// A plan; what is not kept has `content(path + version)`.
pub(super) fn plan_of(version: &str, files: &[&str], kept: &[&str], old: &[&str]) -> DownloadPlan {
    let file = |path: &&str, keep| PlannedFile {
        path: (*path).to_owned(),
        size: file_content(path, version).len() as u64,
        keep,
    };
    let mut all: Vec<PlannedFile> = files.iter().map(|path| file(path, false)).collect();
    all.extend(kept.iter().map(|path| PlannedFile {
        size: file_content(path, "1").len() as u64,
        ..file(path, true)
    }));
    let manifest_bytes = format!("manifest {version} {all:?}").into_bytes();
    DownloadPlan {
        manifest_id: blake3::hash(&manifest_bytes).to_hex().to_string(),
        manifest_bytes,
        files: all,
        empty_dirs: vec!["saves/empty".to_owned()],
        sentinel: format!("{version}\n").into_bytes(),
        old_files: old.iter().map(|path| (*path).to_owned()).collect(),
    }
}

/// Scripts begin like scripts; one file is empty.
pub(super) fn file_content(path: &str, version: &str) -> Vec<u8> {
    match path {
        "empty.cfg" => Vec::new(),
        _ if path.ends_with(".sh") => [b"#!/bin/sh\n", &content(version)[..]].concat(),
        _ => content(&format!("{path} {version};")),
    }
}

/// Writes all files of a plan in two parts each, in reverse order.
pub(super) fn fill(staging: &DownloadStaging, plan: &DownloadPlan) -> Result<(), TxnError> {
    let version = plan.version();
    for (number, file) in plan.files.iter().enumerate().rev().filter(|(_, file)| !file.keep) {
        let bytes = file_content(&file.path, &version);
        let half = bytes.len() / 2;
        staging.write_at(number, half as u64, &bytes[half..])?;
        staging.write_at(number, 0, &bytes[..half])?;
    }
    Ok(())
}

/// The whole download.
pub(super) fn download(place: &Place, plan: &DownloadPlan) -> Result<crate::Done, TxnError> {
    let context = context(place).map_err(setup_error)?;
    let (staging, _) = DownloadStaging::open_or_create(&context, plan)?;
    fill(&staging, plan)?;
    staging.save_progress(b"\x01\x02")?;
    staging.commit()
}

/// The whole install or update.
pub(super) fn install(
    place: &Place,
    version: &str,
    files: &[&str],
) -> Result<crate::Done, TxnError> {
    let context = context(place).map_err(setup_error)?;
    let mut staging = InstallStaging::create(&context, version, None)?;
    staging.create_dir("saves")?;
    for path in files {
        let mut file = staging.create_file(path, None)?;
        for part in file_content(path, version).chunks(1000) {
            file.write(part)?;
        }
        file.finish()?;
    }
    staging.commit()
}

/// A failure to open the root, as the operation's own.
pub(super) fn setup_error(error: crate::FsError) -> TxnError {
    TxnError {
        game: GAME.to_owned(),
        step: crate::Step::Check,
        source: crate::TxnFailure::Fs(error),
        after: None,
    }
}
