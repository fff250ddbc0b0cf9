//! Resolving a relative path below a handle without following links or crossing mounts.
//!
//! Linux does it in one call (`openat2`); where that is missing the path is walked component by
//! component, which is as safe because every step is made below an open handle.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, fstat, openat};
use rustix::io::{Errno, Result, retry_on_intr};

/// The handle of the directory that holds the last component of a path.
pub(super) enum Parent<'a> {
    /// The handle the path was given to: the path had one component.
    Same(BorrowedFd<'a>),
    /// A directory between.
    Below(OwnedFd),
}

impl AsFd for Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Same(fd) => fd.as_fd(),
            Self::Below(fd) => fd.as_fd(),
        }
    }
}

/// Splits `path` into an open parent directory and the last name.
pub(super) fn open_parent<'a>(
    root: BorrowedFd<'a>,
    device: u64,
    path: &'a Path,
) -> Result<(Parent<'a>, &'a OsStr)> {
    let name = path.file_name().ok_or(Errno::INVAL)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            let fd = open_below(root, device, parent, directory_flags())?;
            Ok((Parent::Below(fd), name))
        }
        _ => Ok((Parent::Same(root), name)),
    }
}

/// Opens `path` below `root`; `flags` say what is wanted of the last component.
pub(super) fn open_below(
    root: BorrowedFd<'_>,
    device: u64,
    path: &Path,
    flags: OFlags,
) -> Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match open_at_once(root, path, flags) {
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP) => {
            open_by_steps(root, device, path, flags)
        }
        result => result,
    }
}

#[cfg(target_os = "linux")]
fn open_at_once(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd> {
    use rustix::fs::{ResolveFlags, openat2};

    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    loop {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            // the kernel asks to try again when a rename elsewhere disturbed the walk
            Err(Errno::INTR | Errno::AGAIN) => {}
            result => return result,
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn open_at_once(_root: BorrowedFd<'_>, _path: &Path, _flags: OFlags) -> Result<OwnedFd> {
    Err(Errno::NOSYS)
}

fn open_by_steps(root: BorrowedFd<'_>, device: u64, path: &Path, flags: OFlags) -> Result<OwnedFd> {
    let mut current: Option<OwnedFd> = None;
    let mut components = path.components().peekable();
    while let Some(component) = components.next() {
        let wanted = if components.peek().is_some() {
            directory_flags() | OFlags::NOFOLLOW | OFlags::CLOEXEC
        } else {
            flags
        };
        let base = current.as_ref().map_or(root, |fd| fd.as_fd());
        let next = retry_on_intr(|| openat(base, component.as_os_str(), wanted, Mode::empty()))?;
        if device_of(next.as_fd())? != device {
            return Err(Errno::XDEV);
        }
        current = Some(next);
    }
    current.ok_or(Errno::INVAL)
}

/// The number of the device an open file lies on.
pub(super) fn device_of(fd: BorrowedFd<'_>) -> Result<u64> {
    let stat = retry_on_intr(|| fstat(fd))?;
    Ok(device_number(&stat))
}

/// The device number, which is narrower on some systems.
#[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
pub(super) fn device_number(stat: &rustix::fs::Stat) -> u64 {
    stat.st_dev as u64
}

/// Flags for a directory that is only passed through.
fn directory_flags() -> OFlags {
    #[cfg(target_os = "linux")]
    {
        OFlags::PATH | OFlags::DIRECTORY
    }
    #[cfg(not(target_os = "linux"))]
    {
        OFlags::RDONLY | OFlags::DIRECTORY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_of(dir: &tempfile::TempDir) -> (OwnedFd, u64) {
        let fd: OwnedFd = std::fs::File::open(dir.path()).unwrap().into();
        let device = device_of(fd.as_fd()).unwrap();
        (fd, device)
    }

    /// Both ways of resolving refuse what the other refuses.
    #[test]
    fn steps_and_one_call_agree() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("b/file", dir.path().join("a/leaf")).unwrap();
        let (root, device) = root_of(&dir);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for (path, opens) in [
            ("a/b/file", true),
            ("a/b", true),
            ("link/b/file", false),
            ("a/leaf", false),
            ("a/none", false),
            ("a/b/file/x", false),
        ] {
            let path = Path::new(path);
            let steps = open_by_steps(root.as_fd(), device, path, flags);
            assert_eq!(steps.is_ok(), opens, "by steps: {path:?} {steps:?}");
            let whole = open_below(root.as_fd(), device, path, flags);
            assert_eq!(whole.is_ok(), opens, "at once: {path:?} {whole:?}");
        }
    }

    /// Another file system in the path is refused by both ways.
    #[test]
    fn another_device_is_refused() {
        let root: OwnedFd = std::fs::File::open("/").unwrap().into();
        let device = device_of(root.as_fd()).unwrap();
        let proc: OwnedFd = std::fs::File::open("/proc").unwrap().into();
        if device_of(proc.as_fd()).unwrap() == device {
            return; // no such mount on this machine
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = Path::new("proc/self");
        assert_eq!(open_by_steps(root.as_fd(), device, path, flags).unwrap_err(), Errno::XDEV);
        assert_eq!(open_below(root.as_fd(), device, path, flags).unwrap_err(), Errno::XDEV);
    }
}
