//! Peers of earlier runs and where they listened: a file in the state folder, so that they are
//! found again where nobody hears announcements (T20). It holds ids and addresses, nothing else,
//! and proves nothing: whoever answers at such an address must prove who it is like everybody else.

use std::{net::SocketAddr, path::Path};

use lanspread_fs_txn::vfs::FsError;
use lanspread_wire::{PeerId, limits::ADDRESSES_MAX};
use serde::{Deserialize, Serialize};

use crate::{
    library::state_files::StateFiles,
    peer_connection::limits::{ACQUAINTANCES_BYTES_MAX, KNOWN_PEERS_MAX},
};

/// Who was met, the latest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acquaintances(Vec<Acquaintance>);

/// One peer and where it said that it listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acquaintance {
    pub(crate) peer: PeerId,
    pub(crate) addresses: Vec<SocketAddr>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    schema: u32,
    peers: Vec<Acquaintance>,
}

/// What was found in the state folder.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) acquaintances: Acquaintances,
    /// What was wrong with it, for the user.
    pub(crate) notice: Option<String>,
}

impl Acquaintances {
    /// A peer is there and says that it listens at `addresses`. Whether that is worth writing down.
    pub(crate) fn note(&mut self, peer: PeerId, addresses: &[SocketAddr]) -> bool {
        let addresses: Vec<SocketAddr> = addresses.iter().copied().take(ADDRESSES_MAX).collect();
        let met = Acquaintance { peer, addresses };
        let known = self.0.iter().position(|before| before.peer == peer);
        let is_news = known.is_none_or(|at| self.0[at] != met);
        if let Some(at) = known {
            self.0.remove(at);
        }
        self.0.push(met);
        let surplus = self.0.len().saturating_sub(KNOWN_PEERS_MAX);
        self.0.drain(..surplus);
        is_news
    }

    /// Everybody, the latest first.
    pub(crate) fn latest_first(&self) -> impl Iterator<Item = &Acquaintance> {
        self.0.iter().rev()
    }

    /// Writes them to the state folder. Blocks on the disk.
    pub(crate) fn save(&self, state_dir: &Path) -> Result<(), FsError> {
        StateFiles::new(state_dir.to_owned()).write(FILE, self.to_text().as_bytes())
    }

    /// Reads them from the state folder; what cannot be understood is set aside. Blocks on the
    /// disk.
    pub(crate) fn load(state_dir: &Path) -> Loaded {
        let files = StateFiles::new(state_dir.to_owned());
        let read = files.read(FILE, ACQUAINTANCES_BYTES_MAX);
        let why = match read.as_ref().map(|bytes| bytes.as_deref().map(Self::parse)) {
            Ok(None) => return Loaded::default(),
            Ok(Some(Ok(acquaintances))) => return Loaded { acquaintances, notice: None },
            Ok(Some(Err(why))) => why,
            Err(error) => error.to_string(),
        };
        let aside = match files.set_aside(FILE) {
            Ok(path) => format!("it is kept as {}", path.display()),
            Err(error) => error.to_string(),
        };
        let notice = format!("the list of peers of earlier runs is unusable ({why}); {aside}");
        Loaded { acquaintances: Self::default(), notice: Some(notice) }
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let content: Content = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if content.schema != SCHEMA {
            return Err(format!("its schema is {}, not {SCHEMA}", content.schema));
        }
        let mut all = Self::default();
        for Acquaintance { peer, addresses } in content.peers {
            all.note(peer, &addresses);
        }
        Ok(all)
    }

    fn to_text(&self) -> String {
        let peers = self.0.iter().map(|met| {
            let addresses = met.addresses.iter().map(|address| format!("\"{address}\""));
            let addresses: Vec<String> = addresses.collect();
            format!("{{\"peer\":\"{}\",\"addresses\":[{}]}}", met.peer, addresses.join(","))
        });
        let peers: Vec<String> = peers.collect();
        format!("{{\"schema\":{SCHEMA},\"peers\":[\n{}\n]}}\n", peers.join(",\n"))
    }
}

/// The file in the state folder.
const FILE: &str = "peers.json";
/// The only form of it that is understood.
const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::peer_connection::samples::peer;

    fn at(host: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], 4000))
    }

    fn some() -> Acquaintances {
        let mut all = Acquaintances::default();
        assert!(all.note(peer(1), &[at(1), "[fe80::1]:4000".parse().unwrap()]));
        assert!(all.note(peer(2), &[]));
        all
    }

    fn order(all: &Acquaintances) -> Vec<u8> {
        all.latest_first().map(|met| met.peer.0[0]).collect()
    }

    #[test]
    fn only_news_is_worth_writing() {
        let mut all = some();
        assert_eq!(order(&all), [2, 1]);
        assert!(!all.note(peer(1), &[at(1), "[fe80::1]:4000".parse().unwrap()]));
        assert_eq!(order(&all), [1, 2], "but the order changes");
        assert!(all.note(peer(1), &[at(3)]));
        assert_eq!(all.latest_first().next().unwrap().addresses, [at(3)]);
    }

    /// Proves T20: the next run finds what this one wrote.
    #[test]
    fn the_next_run_finds_them() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        assert_eq!(Acquaintances::load(&state).acquaintances, Acquaintances::default());
        some().save(&state).unwrap();
        let loaded = Acquaintances::load(&state);
        assert_eq!((loaded.acquaintances, loaded.notice), (some(), None));
    }

    /// The list and its file have a bound.
    #[test]
    fn the_list_is_bounded() {
        let mut all = Acquaintances::default();
        let long: SocketAddr = "[2001:0db8:1111:2222:3333:4444:5555:6666]:65535".parse().unwrap();
        for number in 0..=KNOWN_PEERS_MAX {
            let mut id = [7; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            all.note(PeerId(id), &[long; 2 * ADDRESSES_MAX]);
        }
        assert_eq!(all.0.len(), KNOWN_PEERS_MAX);
        assert_eq!(all.0[0].peer.0[0], 1, "the first one met is forgotten");
        assert!(all.to_text().len() as u64 <= ACQUAINTANCES_BYTES_MAX);
        assert_eq!(Acquaintances::parse(all.to_text().as_bytes()), Ok(all));
    }

    /// Proves T70: damage anywhere is noticed, told, and set aside; nothing else is lost.
    #[test]
    fn damage_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let whole = some().to_text().into_bytes();
        let other_schema = String::from_utf8(whole.clone()).unwrap().replace(":1,", ":2,");
        let huge = vec![b' '; ACQUAINTANCES_BYTES_MAX as usize + 1];
        let cuts = (0..whole.len() - 2).map(|cut| whole[..cut].to_vec());
        for damaged in cuts.chain([other_schema.into_bytes(), huge, b"[]".to_vec()]) {
            fs::write(dir.path().join(FILE), &damaged).unwrap();
            let loaded = Acquaintances::load(dir.path());
            assert_eq!(loaded.acquaintances, Acquaintances::default());
            assert!(loaded.notice.unwrap().contains("kept as"), "{} bytes", damaged.len());
            assert!(!dir.path().join(FILE).try_exists().unwrap());
        }
    }
}
