//! Which content to fetch and from whom: the agreement of the peers on version and content
//! (R1–R3).
//!
//! Pure. Never mixes two contents, never goes back to an older version by itself.

use std::collections::BTreeMap;

use lanspread_wire::{ManifestId, PeerId, VersionStamp};

/// What one peer offers of a game. Only peers that are ready with a known content make an offer
/// (R1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub peer: PeerId,
    pub version: VersionStamp,
    pub manifest: ManifestId,
}

/// What is here of the game.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    pub version: VersionStamp,
    /// `None` while it is hashed.
    pub manifest: Option<ManifestId>,
    /// Whether nothing is known to be damaged: damaged content may be fetched again.
    pub is_sound: bool,
}

/// What to fetch, and from whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub version: VersionStamp,
    pub manifest: ManifestId,
    /// In the order of their ids; at least one.
    pub sources: Vec<PeerId>,
}

/// What follows from the offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Fetch(Choice),
    /// What is here is the newest that the rules allow.
    UpToDate,
}

/// Why nothing can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDecision {
    /// Nobody offers it.
    #[error("no peer offers it")]
    NoSources,
    /// Peers offer it, but none of them with the content that the catalog names.
    #[error("{offers} peers offer it, none with content {}, which the catalog names", pin.short())]
    NotPinned { pin: ManifestId, offers: usize },
    /// As many peers say one thing as another (R3).
    #[error("version {version} exists with different content: {}", tell_sides(sides))]
    Ambiguous { version: VersionStamp, sides: Vec<(ManifestId, Vec<PeerId>)> },
}

/// Decides for the newest version and, within it, for the content that most hold, this node
/// included. A content that the catalog pins wins over both.
pub fn decide(
    offers: &[Offer],
    pin: Option<ManifestId>,
    here: Option<&Here>,
) -> Result<Decision, NoDecision> {
    match pin {
        Some(pin) => decide_pinned(offers, pin, here),
        None => decide_by_agreement(offers, here),
    }
}

/// The peers that offer exactly this content.
pub fn sources_of(offers: &[Offer], manifest: ManifestId) -> Vec<PeerId> {
    let mut sources: Vec<PeerId> =
        offers.iter().filter(|offer| offer.manifest == manifest).map(|offer| offer.peer).collect();
    sources.sort_unstable();
    sources.dedup();
    sources
}

fn decide_pinned(
    offers: &[Offer],
    pin: ManifestId,
    here: Option<&Here>,
) -> Result<Decision, NoDecision> {
    if here.is_some_and(|here| here.is_sound && here.manifest == Some(pin)) {
        return Ok(Decision::UpToDate);
    }
    let version = offers.iter().filter(|offer| offer.manifest == pin).map(|offer| &offer.version);
    match version.max() {
        Some(version) => Ok(fetch(offers, version, pin)),
        None if offers.is_empty() => Err(NoDecision::NoSources),
        None => Err(NoDecision::NotPinned { pin, offers: offers.len() }),
    }
}

fn decide_by_agreement(offers: &[Offer], here: Option<&Here>) -> Result<Decision, NoDecision> {
    let Some(newest) = offers.iter().map(|offer| &offer.version).max() else {
        return Err(NoDecision::NoSources);
    };
    let sound = here.filter(|here| here.is_sound);
    if let Some(here) = sound
        && (here.version > *newest || (here.version == *newest && here.manifest.is_none()))
    {
        return Ok(Decision::UpToDate);
    }
    if here.is_some_and(|here| here.version > *newest) {
        // Damaged, and only an older version could be had: never back by itself.
        return Err(NoDecision::NoSources);
    }
    let mut sides: BTreeMap<ManifestId, Vec<PeerId>> = BTreeMap::new();
    for offer in offers.iter().filter(|offer| offer.version == *newest) {
        sides.entry(offer.manifest).or_default().push(offer.peer);
    }
    let own = here.filter(|here| here.version == *newest).and_then(|here| here.manifest);
    let own_votes = own.map_or(0, |own| sides.get(&own).map_or(0, Vec::len) + 1);
    let votes = |manifest: &ManifestId, peers: &Vec<PeerId>| {
        peers.len() + usize::from(own == Some(*manifest))
    };
    let most = sides.iter().map(|(manifest, peers)| votes(manifest, peers)).max().unwrap_or(0);
    if sound.is_some() && own_votes > 0 && own_votes >= most {
        return Ok(Decision::UpToDate);
    }
    let best: Vec<ManifestId> = sides
        .iter()
        .filter(|(manifest, peers)| votes(manifest, peers) == most)
        .map(|(manifest, _)| *manifest)
        .collect();
    // What is damaged here is repaired before it is replaced.
    let repaired = own.filter(|own| best.contains(own));
    match (repaired, best.as_slice()) {
        (Some(own), _) => Ok(fetch(offers, newest, own)),
        (None, [only]) => Ok(fetch(offers, newest, *only)),
        (None, _) => Err(NoDecision::Ambiguous {
            version: newest.clone(),
            sides: sides.into_iter().collect(),
        }),
    }
}

fn fetch(offers: &[Offer], version: &VersionStamp, manifest: ManifestId) -> Decision {
    let sources = sources_of(offers, manifest);
    Decision::Fetch(Choice { version: version.clone(), manifest, sources })
}

fn tell_sides(sides: &[(ManifestId, Vec<PeerId>)]) -> String {
    let tell = |(manifest, peers): &(ManifestId, Vec<PeerId>)| {
        let names: Vec<String> = peers.iter().map(PeerId::short).collect();
        format!("content {} from {}", manifest.short(), names.join(", "))
    };
    sides.iter().map(tell).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(text: &str) -> VersionStamp {
        VersionStamp::parse(text.as_bytes()).expect("a version")
    }

    fn manifest(number: u8) -> ManifestId {
        ManifestId([number; 32])
    }

    fn peer(number: u8) -> PeerId {
        PeerId([number; 32])
    }

    /// Offers as (peer, version, content).
    fn offers(list: &[(u8, &str, u8)]) -> Vec<Offer> {
        list.iter()
            .map(|(number, version, content)| Offer {
                peer: peer(*number),
                version: stamp(version),
                manifest: manifest(*content),
            })
            .collect()
    }

    fn here(version: &str, content: Option<u8>) -> Here {
        Here { version: stamp(version), manifest: content.map(manifest), is_sound: true }
    }

    fn fetches(decision: Result<Decision, NoDecision>, content: u8, from: &[u8]) {
        match decision {
            Ok(Decision::Fetch(choice)) => {
                assert_eq!(choice.manifest, manifest(content));
                assert_eq!(choice.sources, from.iter().copied().map(peer).collect::<Vec<_>>());
            }
            other => panic!("expected content {content}, got {other:?}"),
        }
    }

    /// Proves R1, R3.
    #[test]
    fn the_newest_version_wins_and_in_it_the_content_of_the_most() {
        let newest = offers(&[(1, "20240101", 1), (2, "20250101", 2), (3, "20240101", 1)]);
        fetches(decide(&newest, None, None), 2, &[2]);
        let split = offers(&[(3, "20250101", 7), (1, "20250101", 1), (2, "20250101", 7)]);
        fetches(decide(&split, None, None), 7, &[2, 3]);
    }

    /// Proves R3, T48: a tie names both sides.
    #[test]
    fn a_tie_is_an_error_that_names_both_sides() {
        let tie = offers(&[(1, "20250101", 1), (2, "20250101", 2), (3, "20240101", 2)]);
        let error = decide(&tie, None, None).expect_err("a tie");
        let text = error.to_string();
        for named in [peer(1).short(), peer(2).short(), manifest(1).short(), manifest(2).short()] {
            assert!(text.contains(&named), "{text}");
        }
        assert!(!text.contains(&peer(3).short()), "an older version is no side: {text}");
    }

    /// Proves R3: the pinned content wins over newer versions and over the majority.
    #[test]
    fn a_pinned_content_always_wins() {
        let list = offers(&[(1, "20250101", 1), (2, "20240101", 2), (3, "20250101", 1)]);
        fetches(decide(&list, Some(manifest(2)), None), 2, &[2]);
        assert_eq!(
            decide(&list, Some(manifest(9)), None),
            Err(NoDecision::NotPinned { pin: manifest(9), offers: 3 })
        );
        assert_eq!(decide(&[], Some(manifest(9)), None), Err(NoDecision::NoSources));
        let pinned_here = here("20240101", Some(2));
        assert_eq!(
            decide(&list, Some(manifest(2)), Some(&pinned_here)),
            Ok(Decision::UpToDate),
            "the pin is here, whatever else is offered"
        );
    }

    /// Proves T56: nobody can talk a node into an older version.
    #[test]
    fn an_older_version_is_never_fetched_by_itself() {
        let older = offers(&[(1, "20230101", 1), (2, "20230101", 1)]);
        assert_eq!(decide(&older, None, Some(&here("20240101", Some(2)))), Ok(Decision::UpToDate));
        let damaged = Here { is_sound: false, ..here("20240101", Some(2)) };
        assert_eq!(decide(&older, None, Some(&damaged)), Err(NoDecision::NoSources));
    }

    #[test]
    fn the_same_content_is_up_to_date_unless_it_is_damaged() {
        let same = offers(&[(1, "20240101", 2)]);
        assert_eq!(decide(&same, None, Some(&here("20240101", Some(2)))), Ok(Decision::UpToDate));
        assert_eq!(decide(&same, None, Some(&here("20240101", None))), Ok(Decision::UpToDate));
        let damaged = Here { is_sound: false, ..here("20240101", Some(2)) };
        fetches(decide(&same, None, Some(&damaged)), 2, &[1]);
    }

    /// Two nodes that differ do not swap contents for ever: what is here is given up for a
    /// majority only.
    #[test]
    fn other_content_of_the_same_version_needs_a_majority() {
        let one = offers(&[(1, "20240101", 1)]);
        assert_eq!(decide(&one, None, Some(&here("20240101", Some(2)))), Ok(Decision::UpToDate));
        let two = offers(&[(1, "20240101", 1), (2, "20240101", 1)]);
        fetches(decide(&two, None, Some(&here("20240101", Some(2)))), 1, &[1, 2]);
        let tie = offers(&[(1, "20240101", 1), (3, "20240101", 2)]);
        assert_eq!(decide(&tie, None, Some(&here("20240101", Some(2)))), Ok(Decision::UpToDate));
        let others = offers(&[(1, "20240101", 1), (3, "20240101", 3)]);
        assert_eq!(decide(&others, None, Some(&here("20240101", Some(2)))), Ok(Decision::UpToDate));
        let damaged = Here { is_sound: false, ..here("20240101", Some(2)) };
        fetches(decide(&tie, None, Some(&damaged)), 2, &[3]);
        assert!(matches!(decide(&others, None, Some(&damaged)), Err(NoDecision::Ambiguous { .. })));
    }

    #[test]
    fn without_offers_there_is_nothing_to_decide() {
        assert_eq!(decide(&[], None, None), Err(NoDecision::NoSources));
        assert_eq!(decide(&[], None, Some(&here("20240101", Some(2)))), Err(NoDecision::NoSources));
    }
}
