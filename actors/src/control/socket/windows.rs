//! The control socket as a named pipe, named after the state folder.

use std::{io, path::Path};

use interprocess::{
    local_socket::{GenericNamespaced, ListenerOptions, Name, PeerCreds, ToNsName as _},
    os::windows::{local_socket::ListenerOptionsExt as _, security_descriptor::SecurityDescriptor},
};
use widestring::u16cstr;

/// The pipe of one state folder.
pub(super) struct Place {
    name: String,
}

impl Place {
    pub(super) fn new(state_dir: &Path) -> io::Result<Self> {
        let folder = std::fs::canonicalize(state_dir)?;
        let hash = blake3::hash(folder.to_string_lossy().to_lowercase().as_bytes());
        Ok(Self { name: format!("lanspread-{}", &hash.to_hex()[..32]) })
    }

    pub(super) fn name(&self) -> io::Result<Name<'_>> {
        self.name.as_str().to_ns_name::<GenericNamespaced>()
    }

    /// A pipe ends with its process: there is no dead one.
    pub(super) fn remove_dead(&self) -> io::Result<()> {
        Err(io::ErrorKind::AddrInUse.into())
    }
}

/// Only the owner of the pipe and the system itself get in, so nobody else is ever at the other
/// end.
pub(super) fn only_for_us(options: ListenerOptions<'_>) -> io::Result<ListenerOptions<'_>> {
    let rights = SecurityDescriptor::deserialize(u16cstr!("D:P(A;;GA;;;OW)(A;;GA;;;SY)"))?;
    Ok(options.security_descriptor(rights))
}

/// The rights of the pipe say who may connect; a pipe tells no user of the other end.
pub(super) fn is_same_user(_creds: &PeerCreds) -> bool {
    true
}
