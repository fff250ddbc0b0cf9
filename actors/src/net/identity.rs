//! The key pair of this installation, and the file it is kept in. The public half is the peer id (P1).
//!
//! Owns `identity.key` in the state folder. Must never overwrite a key file, never use one whose
//! content it does not fully understand, and never let the private half into a log.

use std::{
    fmt, fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use lanspread_wire::PeerId;
use rustls::{
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};

use super::tls;

/// The name of the key file in the state folder.
pub const KEY_FILE: &str = "identity.key";

/// The key file is the PKCS #8 form of an Ed25519 seed (RFC 8410): this prefix and the seed.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Bytes of an Ed25519 seed.
const SEED_BYTES: usize = 32;

/// Bytes of the key file.
const KEY_FILE_BYTES: usize = PKCS8_PREFIX.len() + SEED_BYTES;

/// Copies of bad key files that are kept; past it something is wrong that a new key does not cure.
const BAD_FILES_MAX: u32 = 100;

/// This installation's key pair. Holds the private half; shows only the public one.
pub struct Identity {
    peer: PeerId,
    key: Arc<CertifiedKey>,
    provider: Arc<CryptoProvider>,
}

/// An identity and what the user should know about how it was found.
pub struct LoadedIdentity {
    /// The key pair.
    pub identity: Identity,
    /// Present when the file was bad or its permissions were too wide: what was done about it.
    pub notice: Option<String>,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The key file cannot be read or written. It may still be good, so no new one is made.
    #[error("cannot use the key file {}: {source}", path.display())]
    Io {
        /// The key file, or the name a bad one should have got.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Every name for a bad key file is taken.
    #[error("too many bad key files beside {}: remove them", path.display())]
    TooManyBadFiles {
        /// The key file.
        path: PathBuf,
    },
    /// The cryptographic library refused the key or has no randomness.
    #[error("cannot make a key pair: {0}")]
    Crypto(String),
}

impl Identity {
    /// The key pair in `state_dir`, made on the first start. Blocks on the disk.
    ///
    /// The caller holds the lock of the state folder, so nobody else makes one at the same time. A
    /// file that is no key is set aside under a new name and a new identity is made (T10).
    pub fn load_or_create(state_dir: &Path) -> Result<LoadedIdentity, IdentityError> {
        let path = state_dir.join(KEY_FILE);
        match read_key_file(&path)? {
            KeyFile::Absent => Ok(LoadedIdentity { identity: create(&path)?, notice: None }),
            KeyFile::Good { seed, widened } => {
                Ok(LoadedIdentity { identity: Self::from_seed(&seed)?, notice: widened })
            }
            KeyFile::Bad(why) => {
                let kept = set_aside(&path)?;
                let identity = create(&path)?;
                let notice = format!(
                    "the key file {} was unusable ({why}); it is kept as {} and this node has a \
                     new identity, {}: others see it as a new peer",
                    path.display(),
                    kept.display(),
                    identity.peer.short(),
                );
                Ok(LoadedIdentity { identity, notice: Some(notice) })
            }
        }
    }

    /// The key pair that grows from `seed`. For tests and for the key file.
    pub fn from_seed(seed: &[u8; SEED_BYTES]) -> Result<Self, IdentityError> {
        let provider = Arc::new(ring::default_provider());
        let signer = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(encode(seed).to_vec()))
            .map_err(|error| IdentityError::Crypto(error.to_string()))?;
        let spki = signer.public_key().map(|key| key.as_ref().to_vec()).unwrap_or_default();
        let peer = tls::peer_of_spki(&spki)
            .ok_or_else(|| IdentityError::Crypto("the key is not an Ed25519 key".to_owned()))?;
        let key = Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], signer));
        Ok(Self { peer, key, provider })
    }

    /// A new key pair that is kept nowhere.
    pub fn random() -> Result<Self, IdentityError> {
        Self::from_seed(&random_seed()?)
    }

    /// The public key: who this node is.
    pub fn peer_id(&self) -> PeerId {
        self.peer
    }

    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        self.key.clone()
    }

    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        self.provider.clone()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl fmt::Debug for LoadedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedIdentity")
            .field("identity", &self.identity)
            .field("notice", &self.notice)
            .finish()
    }
}

/// What lies at the place of the key file.
enum KeyFile {
    Absent,
    Good { seed: [u8; SEED_BYTES], widened: Option<String> },
    Bad(&'static str),
}

fn random_seed() -> Result<[u8; SEED_BYTES], IdentityError> {
    let mut seed = [0; SEED_BYTES];
    match ring::default_provider().secure_random.fill(&mut seed) {
        Ok(()) => Ok(seed),
        Err(_) => Err(IdentityError::Crypto("the system has no randomness".to_owned())),
    }
}

fn encode(seed: &[u8; SEED_BYTES]) -> [u8; KEY_FILE_BYTES] {
    let mut bytes = [0; KEY_FILE_BYTES];
    bytes[..PKCS8_PREFIX.len()].copy_from_slice(&PKCS8_PREFIX);
    bytes[PKCS8_PREFIX.len()..].copy_from_slice(seed);
    bytes
}

fn decode(bytes: &[u8]) -> Result<[u8; SEED_BYTES], &'static str> {
    if bytes.is_empty() {
        return Err("it is empty");
    }
    let Some(seed) = bytes.strip_prefix(&PKCS8_PREFIX) else {
        return Err("it is not an Ed25519 key in PKCS #8 form");
    };
    seed.try_into().map_err(|_| "it has the wrong length")
}

/// Reads the file without following a link. Only a missing file means that there is no identity yet:
/// one that cannot be read may still be the right one.
fn read_key_file(path: &Path) -> Result<KeyFile, IdentityError> {
    let failed = |source| IdentityError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(KeyFile::Absent),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.is_file() => return Ok(KeyFile::Bad("it is not a regular file")),
        Ok(_) => {}
    }
    let file = open_no_follow(path).map_err(failed)?;
    let widened = narrow(path, &file).map_err(failed)?;
    let mut bytes = Vec::with_capacity(KEY_FILE_BYTES);
    // One byte more than a key has: enough to see that a file is too long, whatever its length.
    file.take(KEY_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(match decode(&bytes) {
        Ok(seed) => KeyFile::Good { seed, widened },
        Err(why) => KeyFile::Bad(why),
    })
}

/// Makes a new key and its file. The file is never overwritten: it is created exclusively.
fn create(path: &Path) -> Result<Identity, IdentityError> {
    let failed = |source| IdentityError::Io { path: path.to_owned(), source };
    let seed = random_seed()?;
    let identity = Identity::from_seed(&seed)?;
    let mut file = create_new(path).map_err(failed)?;
    file.write_all(&encode(&seed)).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    sync_folder_of(path).map_err(failed)?;
    Ok(identity)
}

/// Renames a bad key file to the first free name beside it.
fn set_aside(path: &Path) -> Result<PathBuf, IdentityError> {
    for number in 1..=BAD_FILES_MAX {
        let kept = path.with_file_name(format!("{KEY_FILE}.bad-{number}"));
        let taken = fs::symlink_metadata(&kept);
        if taken.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            let failed = |source| IdentityError::Io { path: kept.clone(), source };
            fs::rename(path, &kept).map_err(failed)?;
            return Ok(kept);
        }
    }
    Err(IdentityError::TooManyBadFiles { path: path.to_owned() })
}

#[cfg(unix)]
fn open_no_follow(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;

    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

#[cfg(not(unix))]
fn open_no_follow(path: &Path) -> io::Result<fs::File> {
    fs::File::open(path)
}

#[cfg(unix)]
fn create_new(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;

    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create_new(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create_new(true).open(path)
}

/// Takes away everybody else's rights to the file; says so if there were any.
#[cfg(unix)]
fn narrow(path: &Path, file: &fs::File) -> io::Result<Option<String>> {
    use std::os::unix::fs::PermissionsExt;

    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(None);
    }
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(Some(format!(
        "the key file {} could be read by other users of this machine (mode {:03o}); now it \
         cannot. If somebody may have copied it, remove it to get a new identity",
        path.display(),
        mode & 0o777,
    )))
}

#[cfg(not(unix))]
fn narrow(_path: &Path, _file: &fs::File) -> io::Result<Option<String>> {
    Ok(None)
}

#[cfg(unix)]
fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

/// Windows has no handle of a folder to flush; its file system journals the new entry.
#[cfg(not(unix))]
fn sync_folder_of(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
