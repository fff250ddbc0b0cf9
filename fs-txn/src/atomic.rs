//! State files: written whole or not at all, read with a limit, set aside when damaged.
//! Nothing here knows what is in them.

use std::path::{Path, PathBuf};

use crate::layout;
use crate::limits::FREE_NAME_ATTEMPTS_MAX;
use crate::vfs::{
    Dir, FileKind, FsError, FsOp, Refusal, look, read_exact_at, remove_file_if_present,
};

/// Writes `bytes` as `name` in `dir` so that after any crash the old or the new file is there:
/// written beside it, made durable, renamed, and the directory made durable.
pub fn write_atomic(dir: &dyn Dir, name: &str, bytes: &[u8]) -> Result<(), FsError> {
    write_atomic_by(dir, &layout::tmp_name(name), name, bytes)
}

/// As [`write_atomic`], with a temporary name of the caller's choice.
pub fn write_atomic_by(dir: &dyn Dir, tmp: &str, name: &str, bytes: &[u8]) -> Result<(), FsError> {
    let (tmp, name) = (Path::new(tmp), Path::new(name));
    write_new_durable(dir, tmp, bytes)?;
    dir.rename_file(tmp, name)?;
    dir.sync_dir(name.parent().unwrap_or(Path::new("")))
}

/// Writes a file under a temporary name, durable in its bytes but not yet in its name. What an
/// earlier crash left under that name is removed first; after a failure nothing is left.
pub(crate) fn write_new_durable(dir: &dyn Dir, tmp: &Path, bytes: &[u8]) -> Result<(), FsError> {
    remove_file_if_present(dir, tmp)?;
    let written = write_and_sync(dir, tmp, bytes);
    if written.is_err() {
        // the first error is the one to report; a leftover is removed by the next attempt
        remove_file_if_present(dir, tmp).ok();
    }
    written
}

fn write_and_sync(dir: &dyn Dir, path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    let file = dir.create_new(path)?;
    file.write_at(0, bytes)?;
    file.sync()
}

/// Reads a whole file of at most `bytes_max` bytes; `None` if there is none. A larger one is
/// [`Refusal::TooLarge`] and is not read.
pub fn read_limited(dir: &dyn Dir, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, FsError> {
    read_limited_at(dir, Path::new(name), bytes_max)
}

pub(crate) fn read_limited_at(
    dir: &dyn Dir,
    path: &Path,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, FsError> {
    let file = match dir.open_read(path) {
        Err(error) if error.is_not_found() => return Ok(None),
        file => file?,
    };
    let len = file.metadata()?.len;
    if len > bytes_max {
        let shown = dir.shown_path().join(path);
        return Err(FsError::refused(FsOp::Read, shown, Refusal::TooLarge));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    read_exact_at(&*file, 0, &mut bytes).map_err(|mut error| {
        error.path = dir.shown_path().join(path);
        error
    })?;
    Ok(Some(bytes))
}

/// Renames a damaged file to the first free `NAME.corrupt-N`, durable, and tells that name.
pub fn set_aside_corrupt(dir: &dyn Dir, name: &str) -> Result<String, FsError> {
    let aside =
        rename_to_free(dir, Path::new(name), &|number| layout::corrupt_name(name, number).into())?;
    dir.sync_dir(Path::new(""))?;
    Ok(aside.to_string_lossy().into_owned())
}

/// Renames `from` to the first free one of `names`.
pub(crate) fn rename_to_free(
    dir: &dyn Dir,
    from: &Path,
    names: &dyn Fn(u32) -> PathBuf,
) -> Result<PathBuf, FsError> {
    for number in 1..=FREE_NAME_ATTEMPTS_MAX {
        let to = names(number);
        if look(dir, &to)?.is_some() {
            continue;
        }
        match dir.rename_new(from, &to) {
            Ok(()) => return Ok(to),
            Err(error) if error.code() == "exists" => {}
            Err(error) => return Err(error),
        }
    }
    Err(FsError::refused(FsOp::Rename, dir.shown_path().join(from), Refusal::Exists))
}

/// Creates the directories of `path` that are missing; those that were created are appended to
/// `created`, outermost first.
pub(crate) fn create_dirs(
    dir: &dyn Dir,
    path: &Path,
    created: &mut Vec<PathBuf>,
) -> Result<(), FsError> {
    let mut current = PathBuf::new();
    for component in path.components() {
        current.push(component);
        match look(dir, &current)? {
            Some(found) if found.kind == FileKind::Dir => {}
            Some(found) => {
                let refusal = match found.kind {
                    FileKind::Link => Refusal::Link,
                    _ => Refusal::NotADirectory,
                };
                let shown = dir.shown_path().join(&current);
                return Err(FsError::refused(FsOp::CreateDir, shown, refusal));
            }
            None => {
                dir.create_dir(&current)?;
                created.push(current.clone());
            }
        }
    }
    Ok(())
}
