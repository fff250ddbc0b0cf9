//! The control socket as a file in the state folder.

use std::{
    fs, io,
    os::{fd::AsRawFd, unix::ffi::OsStrExt, unix::fs::FileTypeExt},
    path::{Path, PathBuf},
};

use interprocess::{
    local_socket::{GenericFilePath, ListenerOptions, Name, PeerCreds, ToFsName as _},
    os::unix::local_socket::ListenerOptionsExt as _,
};

use super::SOCKET_FILE;

/// The system's limit for the name of a socket, with its end mark, is the smallest of all systems.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// Where the socket lies. A folder with a long path is reached through a handle where the system
/// has such names, because the name of a socket is short.
pub(super) struct Place {
    path: PathBuf,
    name: PathBuf,
    _folder: fs::File,
}

impl Place {
    pub(super) fn new(state_dir: &Path) -> io::Result<Self> {
        let folder = fs::File::open(state_dir)?;
        let path = state_dir.join(SOCKET_FILE);
        let through_handle =
            cfg!(target_os = "linux") && path.as_os_str().as_bytes().len() > SOCKET_PATH_BYTES_MAX;
        let name = if through_handle {
            PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(SOCKET_FILE)
        } else {
            path.clone()
        };
        Ok(Self { path, name, _folder: folder })
    }

    pub(super) fn name(&self) -> io::Result<Name<'_>> {
        self.name.as_path().to_fs_name::<GenericFilePath>()
    }

    /// Removes the socket file that nobody listens on. Whatever is no socket stays.
    pub(super) fn remove_dead(&self) -> io::Result<()> {
        let metadata = fs::symlink_metadata(&self.path)?;
        if !metadata.file_type().is_socket() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::remove_file(&self.path)
    }
}

pub(super) fn only_for_us(options: ListenerOptions<'_>) -> io::Result<ListenerOptions<'_>> {
    // Where the system cannot set it, the folder and the check of the user still stand.
    Ok(if cfg!(target_os = "linux") { options.mode(0o600) } else { options })
}

pub(super) fn is_same_user(creds: &PeerCreds) -> bool {
    creds.euid() == Some(rustix::process::geteuid().as_raw())
}
