//! What a look at the disk can find, as plain values: the words in which the scanner and the
//! hasher speak to the index. Owns no rule; must never hold a list of a game's files, of which
//! there are millions.

use std::collections::BTreeMap;

use lanspread_wire::{GameId, ManifestId, VersionStamp};
use serde::{Deserialize, Serialize};

/// Stands for everything that makes a game's content differ: the sentinel's bytes, and path, size,
/// time and file number of each payload file (D6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// Which directory stands under a name, where the system tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DirIdentity {
    /// The device it lies on.
    pub device: Option<u64>,
    /// Its number there.
    pub inode: Option<u64>,
}

/// The sentinel of a downloaded game.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel {
    /// What it says.
    pub version: VersionStamp,
    /// The hash of its exact bytes.
    pub hash: [u8; 32],
}

/// What the payload of a game root is, as far as it is known without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Not downloaded (D1).
    Absent,
    /// Cannot be shared as it stands: the sentence says why and names the file.
    Blocked(String),
    /// The scan left the payload out to be quick; a deep one must follow.
    Unwalked,
    /// Never hashed, or changed since.
    Unhashed {
        /// What was seen.
        fingerprint: Fingerprint,
    },
    /// As it was when this manifest was made or committed.
    Known {
        /// What was seen; `None` if it was taken over from a former life of the index.
        fingerprint: Option<Fingerprint>,
        /// Its content.
        manifest: ManifestId,
    },
    /// A download made this root, and some of its files look touched since: only reading tells.
    Suspect {
        /// What was seen.
        fingerprint: Fingerprint,
        /// The content it should have.
        manifest: ManifestId,
    },
    /// A download made this root, or a verification looked at it, and these files are not what
    /// the manifest says.
    Damaged {
        /// The content it should have.
        manifest: ManifestId,
        /// Some of the files, as text fit for a message.
        files: Vec<String>,
    },
}

/// What stands in one game root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootScan {
    /// Which directory the root is: a new one needs a new watch.
    pub identity: DirIdentity,
    /// A valid sentinel.
    pub sentinel: Option<Sentinel>,
    /// Whether `local/` is a directory (D2).
    pub installed: bool,
    /// Bytes of the payload, or of `local/` where there is no payload.
    pub bytes_total: u64,
    /// What the payload is.
    pub content: Content,
    /// The manifest that a download committed here, as long as it holds (D7).
    pub kept: Option<ManifestId>,
    /// What is wrong with the root without keeping it from being shared.
    pub problem: Option<String>,
    /// What is left out of the shared content, to be said once.
    pub remarks: Vec<String>,
}

/// How a scan of one root ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanOutcome {
    /// No directory of that name.
    Absent,
    /// A directory.
    Found(Box<RootScan>),
    /// The root stands there but cannot be looked at.
    Unreadable(String),
    /// The games folder itself cannot be read.
    FolderGone(String),
    /// Another folder than the one that was listed stands in its place.
    FolderReplaced,
}

/// One root to be scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanOrder {
    /// Which.
    pub game: GameId,
    /// A download has just committed this content here.
    pub committed: Option<ManifestId>,
    /// The index remembers that a download made this root, should the ledger be lost.
    pub kept: Option<ManifestId>,
    /// A verification found these files damaged.
    pub damaged: Vec<String>,
}

/// The games folder as it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Which folder it is.
    pub identity: DirIdentity,
    /// What stands under a name that is a game id; `None` if it is a link.
    pub roots: BTreeMap<GameId, Option<DirIdentity>>,
    /// Folders that look like games but cannot be, in sentences.
    pub strangers: Vec<String>,
}

/// What is to be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashOrder {
    /// The payload as it stands on disk, whatever it is.
    Payload,
    /// The files of this manifest, which they must match.
    Recheck(ManifestId),
}

/// How a hashing ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashOutcome {
    /// The content is known, its manifest stored and its ledger written.
    Done {
        /// What was seen when it was hashed.
        fingerprint: Fingerprint,
        /// The content.
        manifest: ManifestId,
        /// Its size.
        bytes_total: u64,
    },
    /// The files are not what their manifest says.
    Damaged {
        /// Some of them, as text fit for a message.
        files: Vec<String>,
    },
    /// Files went on changing; the next change or sweep tries again.
    Unsettled,
    /// It cannot be hashed: the sentence says why and names the file.
    Failed(String),
    /// It was told to stop, or the root is gone.
    Cancelled,
}

/// What the index file remembers of one game.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remembered {
    /// The version and the hash of the sentinel's bytes.
    pub sentinel: Option<(VersionStamp, [u8; 32])>,
    /// Whether it was installed.
    pub installed: bool,
    /// Bytes of the payload.
    pub bytes_total: u64,
    /// The content, if it was known and sound.
    pub manifest: Option<ManifestId>,
    /// The manifest that a download committed here.
    pub kept: Option<ManifestId>,
    /// What was said of what is left out.
    pub remarks_said: Option<[u8; 32]>,
}

impl RootScan {
    /// Whether anything of a game is here that a list should show.
    pub fn is_present(&self) -> bool {
        self.sentinel.is_some()
            || self.installed
            || self.problem.is_some()
            || self.content != Content::Absent
    }

    /// What the scan would have found, from what the index file remembers.
    pub fn from_remembered(remembered: &Remembered) -> Self {
        let sentinel = remembered
            .sentinel
            .as_ref()
            .map(|(version, hash)| Sentinel { version: version.clone(), hash: *hash });
        let content = match (&sentinel, remembered.manifest) {
            (None, _) => Content::Absent,
            (Some(_), Some(manifest)) => Content::Known { fingerprint: None, manifest },
            (Some(_), None) => Content::Unwalked,
        };
        Self {
            identity: DirIdentity::default(),
            sentinel,
            installed: remembered.installed,
            bytes_total: remembered.bytes_total,
            content,
            kept: remembered.kept,
            problem: None,
            remarks: Vec::new(),
        }
    }
}
