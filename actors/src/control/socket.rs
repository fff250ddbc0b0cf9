//! The local socket: its name, how it is opened, and who may use it (T71).
//!
//! On Unix it is `control.sock` in the state folder, which nobody else can enter; on Windows a
//! named pipe whose name is made from that folder. Both ends check that the other end is the same
//! user, whatever the permissions of folder and socket say.

use std::{io, path::Path};

use interprocess::local_socket::{
    ConnectOptions, ListenerOptions, Name,
    tokio::{Listener, Stream},
    traits::StreamCommon as _,
};

#[cfg(unix)]
#[path = "socket/unix.rs"]
mod system;
#[cfg(windows)]
#[path = "socket/windows.rs"]
mod system;

/// The name of the socket in the state folder.
pub const SOCKET_FILE: &str = "control.sock";

/// Why the socket cannot be opened or reached.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A node answers on it.
    #[error("another node already answers on the control socket of {0}")]
    Alive(String),
    /// Something else stands where the socket should be: it is not removed.
    #[error("{0} is not a socket; it is left alone")]
    NotASocket(String),
    /// No node answers.
    #[error("no node runs on {0}")]
    NotRunning(String),
    /// The other end is another user.
    #[error("the control socket of {0} belongs to another user")]
    OtherUser(String),
    /// The system refused.
    #[error("control socket of {folder}: {source}")]
    Io {
        /// The state folder.
        folder: String,
        /// The system's word.
        source: io::Error,
    },
}

/// Opens the socket of a state folder. A dead one is replaced, a living one never.
pub async fn listen(state_dir: &Path) -> Result<Listener, SocketError> {
    let place = system::Place::new(state_dir).map_err(|source| failed(state_dir, source))?;
    match open(&place) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
        opened => return opened.map_err(|source| failed(state_dir, source)),
    }
    if connect_to(&place).await.is_ok() {
        return Err(SocketError::Alive(shown(state_dir)));
    }
    place.remove_dead().map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => {
            SocketError::NotASocket(shown(&state_dir.join(SOCKET_FILE)))
        }
        _ => failed(state_dir, source),
    })?;
    open(&place).map_err(|source| failed(state_dir, source))
}

/// Connects to the node of a state folder.
pub async fn connect(state_dir: &Path) -> Result<Stream, SocketError> {
    let place = system::Place::new(state_dir).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => SocketError::NotRunning(shown(state_dir)),
        _ => failed(state_dir, source),
    })?;
    let stream = connect_to(&place).await.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            SocketError::NotRunning(shown(state_dir))
        }
        _ => failed(state_dir, source),
    })?;
    if !is_same_user(&stream).map_err(|source| failed(state_dir, source))? {
        return Err(SocketError::OtherUser(shown(state_dir)));
    }
    Ok(stream)
}

/// Whether the other end is run by the user of this process.
pub fn is_same_user(stream: &Stream) -> io::Result<bool> {
    Ok(system::is_same_user(&stream.peer_creds()?))
}

fn open(place: &system::Place) -> io::Result<Listener> {
    let name: Name<'_> = place.name()?;
    system::only_for_us(ListenerOptions::new().name(name))?.create_tokio()
}

async fn connect_to(place: &system::Place) -> io::Result<Stream> {
    ConnectOptions::new().name(place.name()?).connect_tokio().await
}

fn failed(state_dir: &Path, source: io::Error) -> SocketError {
    SocketError::Io { folder: shown(state_dir), source }
}

fn shown(path: &Path) -> String {
    lanspread_fs_txn::vfs::shown(path)
}
