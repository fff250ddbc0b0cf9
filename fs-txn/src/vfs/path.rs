//! The border check of relative paths: plain components only. Pure; never touches the disk.

use std::path::{Component, Path, PathBuf};

use super::error::{FsError, FsOp, Refusal};

/// Whether `path` consists of plain components only (it may be empty: the handle itself).
///
/// A component may hold any byte the system allows in a name: a user's own files must be
/// reachable whatever they are called. What comes from outside goes through [`parse_payload`].
#[must_use]
pub fn is_plain(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() {
        return true;
    }
    !bytes.contains(&0)
        && !bytes.starts_with(b"/")
        && !bytes.ends_with(b"/")
        && path.components().all(|component| matches!(component, Component::Normal(_)))
        // `components` drops `.` and doubled separators; a plain path has neither
        && bytes.split(|byte| *byte == b'/').all(|name| !name.is_empty() && name != b".")
}

/// Refuses a path that is not plain.
pub fn check_plain(op: FsOp, path: &Path) -> Result<(), FsError> {
    if is_plain(path) {
        return Ok(());
    }
    Err(FsError::refused(op, path, Refusal::BadName))
}

/// Turns the text of a payload path (`/` between components) into a path of this system.
///
/// The caller has validated it; this checks again what would leave the game root: separators of
/// any system, `..`, drive letters, NUL.
pub fn parse_payload(text: &str) -> Option<PathBuf> {
    if text.is_empty() {
        return None;
    }
    let mut path = PathBuf::new();
    for name in text.split('/') {
        if !is_payload_component(name) {
            return None;
        }
        path.push(name);
    }
    Some(path)
}

/// One component of a payload path: no separator, no drive or stream mark, no dots alone.
#[must_use]
pub fn is_payload_component(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && name.len() <= crate::limits::COMPONENT_BYTES_MAX
        && !name.contains(['/', '\\', '\0', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_pass_and_others_do_not() {
        for good in ["", "a", "a/b", "a b/c.d", ".hidden", "..a", "a\nb"] {
            assert!(is_plain(Path::new(good)), "{good:?} must pass");
        }
        for bad in
            ["/", "/a", "..", "a/..", "../a", "a/../b", ".", "./a", "a/.", "a//b", "a/", "a\0"]
        {
            assert!(!is_plain(Path::new(bad)), "{bad:?} must be refused");
        }
    }

    #[test]
    fn payload_paths_cannot_leave_the_root_on_any_system() {
        assert_eq!(parse_payload("a/b.c"), Some(PathBuf::from("a").join("b.c")));
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", ".", "a\\b", "c:", "a:b", "a\0b"] {
            assert_eq!(parse_payload(bad), None, "{bad:?} must be refused");
        }
        let long = "x".repeat(crate::limits::COMPONENT_BYTES_MAX + 1);
        assert_eq!(parse_payload(&long), None);
        assert!(parse_payload(&long[1..]).is_some());
    }
}
