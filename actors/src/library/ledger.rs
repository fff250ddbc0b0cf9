//! What the files of a game root looked like when its manifest was made: the reason why an
//! unchanged file is never hashed twice, and how a root that a download made is known to be whole.
//! One file for each game in the state folder. A lost ledger costs hashing, nothing else.

use lanspread_wire::{GameId, ManifestId, RelPath};

use super::{
    index::{Fingerprint, facts::DirIdentity},
    sealed,
    state_files::StateFiles,
};
use crate::limits::library::{DAMAGED_FILES_MAX, LEDGER_BYTES_MAX};

mod codec;

/// How a payload file looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) path: RelPath,
    pub(crate) size: u64,
    pub(crate) modified_ns: i64,
    pub(crate) inode: Option<u64>,
}

/// Where the content of a root comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It was found there and hashed as it was.
    Found,
    /// A download committed it (D7).
    Download,
    /// Some files of it were hashed before the work was given up: good for looking up, no more.
    Partial,
}

/// The ledger of one game.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) manifest: ManifestId,
    pub(crate) origin: Origin,
    /// Which directory the root was.
    pub(crate) root: DirIdentity,
    /// The hash of the sentinel's bytes.
    pub(crate) sentinel: [u8; 32],
    /// In the order of the manifest's files.
    pub(crate) files: Vec<Stamp>,
    pub(crate) empty_dirs: Vec<RelPath>,
    /// Files whose content is not what the manifest says.
    pub(crate) damaged: Vec<String>,
}

/// All ledgers.
#[derive(Clone, Debug)]
pub(crate) struct Ledgers {
    files: StateFiles,
}

impl Ledger {
    /// The fingerprint of what it describes.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.sentinel, &self.files, &self.empty_dirs)
    }

    /// Names the damaged files, as many as are worth naming.
    pub(crate) fn set_damaged(&mut self, mut damaged: Vec<String>) {
        damaged.truncate(DAMAGED_FILES_MAX);
        self.damaged = damaged;
    }

    /// Whether the list of damaged files may be incomplete.
    pub(crate) fn is_damaged_list_full(&self) -> bool {
        self.damaged.len() >= DAMAGED_FILES_MAX
    }

    fn encode(&self, game: &GameId) -> Vec<u8> {
        sealed::seal(KIND, FORM, &codec::encode(self, game))
    }

    fn decode(game: &GameId, bytes: &[u8]) -> Option<Self> {
        codec::decode(sealed::open(KIND, FORM, bytes).ok()?, game)
    }
}

impl Ledgers {
    /// The ledgers of a state folder.
    pub(crate) fn new(state_dir: &std::path::Path) -> Self {
        Self { files: StateFiles::new(state_dir.join(FOLDER)) }
    }

    /// The ledger of a game. One that cannot be read is as good as none: it is put out of the
    /// way, and the game is hashed again.
    pub(crate) fn load(&self, game: &GameId) -> Option<Ledger> {
        match self.files.read(game.as_str(), LEDGER_BYTES_MAX) {
            Ok(None) => None,
            Ok(Some(bytes)) => {
                let ledger = Ledger::decode(game, &bytes);
                if ledger.is_none() {
                    tracing::warn!(%game, "ledger damaged: the game is hashed again");
                    self.forget(game);
                }
                ledger
            }
            Err(error) => {
                tracing::warn!(%game, %error, "ledger unreadable: the game is hashed again");
                None
            }
        }
    }

    /// Writes the ledger of a game. A failure costs another hashing after the next start.
    pub(crate) fn save(&self, game: &GameId, ledger: &Ledger) {
        if let Err(error) = self.files.write(game.as_str(), &ledger.encode(game)) {
            tracing::warn!(%game, %error, "ledger not written: the game will be hashed again");
        }
    }

    /// The game is gone, or its ledger is damaged.
    pub(crate) fn forget(&self, game: &GameId) {
        if let Err(error) = self.files.remove(game.as_str()) {
            tracing::warn!(%game, %error, "ledger not removed");
        }
    }
}

/// Stands for a sentinel and the payload files as they look (D6).
pub(crate) fn fingerprint(
    sentinel: &[u8; 32],
    files: &[Stamp],
    empty_dirs: &[RelPath],
) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(sentinel);
    let number = |hasher: &mut blake3::Hasher, value: u64| {
        hasher.update(&value.to_le_bytes());
    };
    number(&mut hasher, files.len() as u64);
    for stamp in files {
        number(&mut hasher, stamp.path.as_str().len() as u64);
        hasher.update(stamp.path.as_str().as_bytes());
        number(&mut hasher, stamp.size);
        number(&mut hasher, stamp.modified_ns.cast_unsigned());
        number(&mut hasher, stamp.inode.map_or(u64::MAX, |inode| inode));
    }
    for path in empty_dirs {
        number(&mut hasher, path.as_str().len() as u64);
        hasher.update(path.as_str().as_bytes());
    }
    Fingerprint(*hasher.finalize().as_bytes())
}

const KIND: &str = "ledger";
const FORM: u32 = 1;
const FOLDER: &str = "ledgers";

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(path: &str, size: u64, modified_ns: i64, inode: Option<u64>) -> Stamp {
        Stamp { path: RelPath::parse(path).unwrap(), size, modified_ns, inode }
    }

    fn ledger() -> Ledger {
        Ledger {
            manifest: ManifestId([7; 32]),
            origin: Origin::Download,
            root: DirIdentity { device: Some(1), inode: Some(2) },
            sentinel: [9; 32],
            files: vec![stamp("a", 1, -5, Some(4)), stamp("b/c", u64::MAX, i64::MAX, None)],
            empty_dirs: vec![RelPath::parse("empty").unwrap()],
            damaged: vec!["a".to_owned()],
        }
    }

    #[test]
    fn a_ledger_comes_back_as_it_was() {
        let game = GameId::parse("quake").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ledgers = Ledgers::new(dir.path());
        assert_eq!(ledgers.load(&game), None);
        ledgers.save(&game, &ledger());
        assert_eq!(ledgers.load(&game), Some(ledger()));
        ledgers.forget(&game);
        assert_eq!(ledgers.load(&game), None);
    }

    /// Proves T70 for ledgers: no damage is taken for content, and none is a panic.
    #[test]
    fn a_damaged_ledger_is_none() {
        let game = GameId::parse("quake").unwrap();
        let whole = ledger().encode(&game);
        assert_eq!(Ledger::decode(&game, &whole), Some(ledger()));
        for cut in 0..whole.len() {
            assert_eq!(Ledger::decode(&game, &whole[..cut]), None, "cut at {cut}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            assert_eq!(Ledger::decode(&game, &flipped), None, "byte {at}");
        }
        let other = GameId::parse("doom").unwrap();
        assert_eq!(Ledger::decode(&other, &whole), None, "the ledger of another game");
    }

    /// Bodies that a correct checksum covers but no ledger has: the codec alone must hold.
    #[test]
    fn the_codec_refuses_what_no_ledger_has() {
        let game = GameId::parse("quake").unwrap();
        let body = codec::encode(&ledger(), &game);
        for cut in 0..body.len() {
            assert_eq!(codec::decode(&body[..cut], &game), None, "cut at {cut}");
        }
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 0x80;
            // It may decode to another ledger, it may be refused, it must not fail otherwise.
            let _ledger = codec::decode(&changed, &game);
        }
        let mut longer = body;
        longer.push(0);
        assert_eq!(codec::decode(&longer, &game), None);
    }

    /// Proves D6: each thing that can differ makes another fingerprint.
    #[test]
    fn a_fingerprint_sees_every_difference() {
        let base = ledger();
        let mut seen = vec![base.fingerprint()];
        let mut others: Vec<Ledger> = Vec::new();
        for change in 0..7 {
            let mut other = base.clone();
            match change {
                0 => other.sentinel[0] ^= 1,
                1 => other.files[0].size += 1,
                2 => other.files[0].modified_ns += 1,
                3 => other.files[0].inode = Some(5),
                4 => other.files[0].path = RelPath::parse("aa").unwrap(),
                5 => drop(other.files.pop()),
                _ => other.empty_dirs.clear(),
            }
            others.push(other);
        }
        seen.extend(others.iter().map(Ledger::fingerprint));
        let distinct: std::collections::HashSet<_> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len());
    }
}
