//! One game of the index: what was found of it and what that makes of it. Pure; asks nobody and
//! decides nothing about when to look.

use lanspread_wire::{
    CatalogGame, GameId, GameSummary, ManifestId, Title, VersionStamp, limits::GAME_BYTES_MAX,
};

use super::{
    facts::{
        Content, DirIdentity, Fingerprint, HashOrder, HashOutcome, Remembered, RootScan, ScanOrder,
    },
    gate::Gate,
};
use crate::api::Availability;

/// Everything the index knows of one game.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// When it is scanned.
    pub(super) gate: Gate,
    /// What was found last; `None` if nothing stands there or nobody has looked.
    pub(super) scan: Option<RootScan>,
    /// Content that a download committed and no scan has looked at yet.
    pub(super) committed: Option<ManifestId>,
    /// Damaged files that a verification named and no scan has recorded yet.
    pub(super) damaged: Vec<String>,
    /// Which directory stands there, as far as it was seen in this life of the index.
    pub(super) identity: Option<DirIdentity>,
    /// Hashing failed on what looks like this, and why.
    pub(super) failure: Option<(Fingerprint, String)>,
    /// It was seen in this life of the index, not only remembered.
    confirmed: bool,
    remarks_said: Option<[u8; 32]>,
}

/// What the catalog says of a game (P11).
#[derive(Clone, Copy, Debug)]
pub(super) enum Listed<'a> {
    /// There is no catalog: every game counts.
    Open,
    /// It counts.
    InCatalog(&'a CatalogGame),
    /// It is neither announced nor served.
    NotInCatalog,
}

/// What is told of a game on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFacts {
    /// Which.
    pub game: GameId,
    /// From the catalog, else the id.
    pub title: Title,
    /// The sentinel's version.
    pub version: Option<VersionStamp>,
    /// Whether `local/` is a directory.
    pub installed: bool,
    /// Whether it can be shared (D3).
    pub availability: Option<Availability>,
    /// Its content, once known; also when the files are not what it says any more.
    pub manifest: Option<ManifestId>,
    /// Its size.
    pub bytes_total: u64,
    /// Whether it is hashed or will be.
    pub hashing: bool,
    /// What is wrong with it.
    pub problem: Option<String>,
}

impl Entry {
    /// An entry from the index file; `announced`: peers of this process know it already.
    pub(super) fn remembered(remembered: &Remembered, announced: bool) -> Self {
        Self {
            scan: Some(RootScan::from_remembered(remembered)),
            confirmed: announced,
            remarks_said: remembered.remarks_said,
            ..Self::default()
        }
    }

    /// What the index file has to remember.
    pub(super) fn remember(&self) -> Option<Remembered> {
        let scan = self.scan.as_ref()?;
        let manifest = match scan.content {
            Content::Known { manifest, .. } => Some(manifest),
            _ => None,
        };
        Some(Remembered {
            sentinel: scan.sentinel.as_ref().map(|found| (found.version.clone(), found.hash)),
            installed: scan.installed,
            bytes_total: scan.bytes_total,
            manifest,
            kept: scan.kept,
            remarks_said: self.remarks_said,
        })
    }

    /// How it is to be scanned.
    pub(super) fn scan_order(&self, game: GameId) -> ScanOrder {
        ScanOrder {
            game,
            committed: self.committed,
            kept: self.scan.as_ref().and_then(|scan| scan.kept),
            damaged: self.damaged.clone(),
        }
    }

    /// Nothing stands there any more.
    pub(super) fn lose(&mut self) {
        self.scan = None;
        self.identity = None;
        self.committed = None;
        self.damaged.clear();
        self.failure = None;
        self.remarks_said = None;
    }

    /// It stands there but cannot be looked at.
    pub(super) fn become_unreadable(&mut self, text: String) {
        let before = self.scan.take();
        self.confirmed = true;
        self.identity = None;
        self.scan = Some(RootScan {
            identity: DirIdentity::default(),
            sentinel: None,
            installed: false,
            bytes_total: 0,
            content: Content::Blocked(text),
            kept: before.and_then(|scan| scan.kept),
            problem: None,
            remarks: Vec::new(),
        });
    }

    /// Takes over what a scan found. Returns what has to be said of it, once.
    pub(super) fn adopt(&mut self, mut found: RootScan) -> Option<String> {
        let before = self.scan.take();
        if found.content == Content::Unwalked
            && let Some(before) = before
        {
            found.take_over(before);
        }
        self.confirmed = true;
        self.identity = Some(found.identity);
        self.committed = None;
        self.damaged.clear();
        if self.failure.as_ref().map(|(seen, _)| *seen) != found.content.unread() {
            self.failure = None;
        }
        let message = self.remark(&found.remarks);
        self.scan = Some(found);
        message
    }

    /// What has to be hashed of it, if anything.
    pub(super) fn hash_order(&self) -> Option<HashOrder> {
        if self.failure.is_some() {
            return None;
        }
        match self.scan.as_ref()?.content {
            Content::Unhashed { .. } => Some(HashOrder::Payload),
            Content::Suspect { manifest, .. } => Some(HashOrder::Recheck(manifest)),
            _ => None,
        }
    }

    /// Takes over how a hashing ended. Returns whether the root has to be looked at again.
    pub(super) fn take_hash(&mut self, outcome: HashOutcome) -> bool {
        let Some(scan) = &mut self.scan else {
            return false;
        };
        let Some(seen) = scan.content.unread() else {
            return false;
        };
        match (outcome, &scan.content) {
            (HashOutcome::Done { fingerprint, manifest, bytes_total }, _) => {
                scan.content = Content::Known { fingerprint: Some(fingerprint), manifest };
                scan.bytes_total = bytes_total;
                fingerprint != seen
            }
            (HashOutcome::Damaged { files }, Content::Suspect { manifest, .. }) => {
                scan.content = Content::Damaged { manifest: *manifest, files };
                false
            }
            (HashOutcome::Damaged { .. } | HashOutcome::Cancelled, _) => true,
            (HashOutcome::Unsettled, _) => false,
            (HashOutcome::Failed(text), _) => {
                self.failure = Some((seen, text));
                false
            }
        }
    }

    /// Whether nothing is here and nothing is going on.
    pub(super) fn is_forgettable(&self) -> bool {
        self.scan.is_none() && self.committed.is_none() && self.gate.is_at_rest()
    }

    /// What peers are told of it: only what is ready, and only what was seen.
    pub(super) fn summary(&self, game: &GameId, listed: Listed<'_>) -> Option<GameSummary> {
        if matches!(listed, Listed::NotInCatalog) || !self.confirmed {
            return None;
        }
        let scan = self.scan.as_ref()?;
        if self.availability() != Some(Availability::Ready) || scan.bytes_total > GAME_BYTES_MAX {
            return None;
        }
        Some(GameSummary {
            game: game.clone(),
            title: listed.title(game),
            version: scan.sentinel.as_ref()?.version.clone(),
            manifest: scan.content.manifest(),
            bytes_total: scan.bytes_total,
        })
    }

    /// What is told of it on this machine; nothing if nothing of a game is there.
    pub(super) fn local(
        &self,
        game: &GameId,
        listed: Listed<'_>,
        hashing: bool,
    ) -> Option<LocalFacts> {
        let scan = self.scan.as_ref().filter(|scan| scan.is_present())?;
        Some(LocalFacts {
            game: game.clone(),
            title: listed.title(game),
            version: scan.sentinel.as_ref().map(|sentinel| sentinel.version.clone()),
            installed: scan.installed,
            availability: self.availability(),
            manifest: scan.content.manifest_to_compare(),
            bytes_total: scan.bytes_total,
            hashing,
            problem: self.problem(),
        })
    }

    fn availability(&self) -> Option<Availability> {
        let scan = self.scan.as_ref().filter(|scan| scan.is_present())?;
        let sound = match scan.content {
            Content::Known { .. } => true,
            Content::Unhashed { .. } | Content::Unwalked => self.failure.is_none(),
            _ => false,
        };
        if sound { Some(Availability::Ready) } else { Some(Availability::LocalOnly) }
    }

    fn problem(&self) -> Option<String> {
        let scan = self.scan.as_ref()?;
        match &scan.content {
            Content::Blocked(text) => Some(text.clone()),
            Content::Damaged { files, .. } => Some(damaged_text(files)),
            Content::Suspect { .. } if self.failure.is_none() => Some(SUSPECT.to_owned()),
            _ => match &self.failure {
                Some((_, text)) => Some(text.clone()),
                None => scan.problem.clone(),
            },
        }
    }

    fn remark(&mut self, remarks: &[String]) -> Option<String> {
        if remarks.is_empty() {
            self.remarks_said = None;
            return None;
        }
        let text = remarks.join("; ");
        let digest = *blake3::hash(text.as_bytes()).as_bytes();
        let is_new = self.remarks_said.replace(digest) != Some(digest);
        is_new.then_some(text)
    }
}

impl RootScan {
    /// Fills in what a quick scan left out by what was known of the same version before.
    fn take_over(&mut self, before: RootScan) {
        let hash = |scan: &RootScan| scan.sentinel.as_ref().map(|sentinel| sentinel.hash);
        if hash(self) == hash(&before) {
            self.content = before.content;
            self.bytes_total = before.bytes_total;
            self.kept = before.kept;
        }
    }
}

impl Content {
    /// What was seen, of content that has to be read.
    fn unread(&self) -> Option<Fingerprint> {
        match self {
            Self::Unhashed { fingerprint } | Self::Suspect { fingerprint, .. } => {
                Some(*fingerprint)
            }
            _ => None,
        }
    }

    /// The manifest of content that is known, sound or not: a verification compares with it.
    fn manifest_to_compare(&self) -> Option<ManifestId> {
        match self {
            Self::Known { manifest, .. }
            | Self::Suspect { manifest, .. }
            | Self::Damaged { manifest, .. } => Some(*manifest),
            _ => None,
        }
    }

    /// The manifest of content that is known and sound.
    fn manifest(&self) -> Option<ManifestId> {
        match self {
            Self::Known { manifest, .. } => Some(*manifest),
            _ => None,
        }
    }
}

impl Listed<'_> {
    fn title(self, game: &GameId) -> Title {
        match self {
            Self::InCatalog(listed) => listed.title.clone(),
            Self::Open | Self::NotInCatalog => Title::from(game),
        }
    }
}

fn damaged_text(files: &[String]) -> String {
    match files {
        [] => "damaged: run verify".to_owned(),
        [one] => format!("damaged: run verify ({one} is not what was downloaded)"),
        [first, rest @ ..] => format!(
            "damaged: run verify ({first} and {} more are not what was downloaded)",
            rest.len()
        ),
    }
}

/// Said while the files of a download are read again.
const SUSPECT: &str = "files have changed since the download: they are being checked";
