//! Which files of a game root are archives and which of them are volumes of one archive. Pure:
//! works on names alone; must never look at a disk.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use lanspread_wire::{fold_key, printable};

use super::{
    detect::{Format, strip_end},
    error::UnpackError,
    limits::{ARCHIVES_MAX, VOLUMES_MAX},
};

/// One archive of a game by the names of its files in the game root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveSet {
    /// The volumes in their order; there is at least one.
    volumes: Vec<String>,
}

impl ArchiveSet {
    /// An archive in one file.
    pub fn single(name: impl Into<String>) -> Self {
        ArchiveSet { volumes: vec![name.into()] }
    }

    /// The first volume, by which messages name the archive.
    pub fn name(&self) -> &str {
        &self.volumes[0]
    }

    /// All volumes in their order.
    pub fn volumes(&self) -> &[String] {
        &self.volumes
    }

    /// The same archive with the place of its files.
    pub fn located(&self, root: &Path) -> LocatedArchive {
        LocatedArchive {
            name: self.name().to_owned(),
            volumes: self.volumes.iter().map(|name| root.join(name)).collect(),
        }
    }
}

/// One archive with the paths of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedArchive {
    /// How messages name the archive.
    pub name: String,
    /// The volumes in their order.
    pub volumes: Vec<PathBuf>,
}

/// Which archives a downloaded game is installed from, sorted by name; an empty list means that
/// the game is installed by a copy of its payload. Only files that stand directly in the game
/// root count. A set of volumes with a gap, and kinds of sets that cannot be read, are errors: to
/// install the rest would leave half a game.
pub fn find_archives<'a>(
    payload_names: impl Iterator<Item = &'a str>,
) -> Result<Vec<ArchiveSet>, UnpackError> {
    let mut sets: BTreeMap<(String, Scheme), BTreeMap<u32, &str>> = BTreeMap::new();
    let names: Vec<&str> = payload_names.filter(|name| !name.contains('/')).collect();
    if let Some(name) = names.iter().find(|name| is_foreign_volume(name, &names)) {
        return Err(UnpackError::Unsupported {
            archive: printable(name),
            message: "split archives of this kind are not read".to_owned(),
        });
    }
    for name in names {
        let Some(volume) = Volume::of(name) else {
            continue;
        };
        let set = sets.entry((fold_key(volume.base), volume.scheme));
        if let Some(first) = set.or_default().insert(volume.number, name) {
            return Err(UnpackError::AmbiguousVolume {
                archive: printable(name),
                first: printable(first),
                second: printable(name),
            });
        }
    }
    join_old_volumes(&mut sets)?;
    if sets.len() > ARCHIVES_MAX {
        let name = sets.values().flat_map(BTreeMap::values).next();
        return Err(UnpackError::Unsupported {
            archive: printable(name.unwrap_or(&"the game")),
            message: format!("there are more than {ARCHIVES_MAX} archives"),
        });
    }
    let mut found: Vec<ArchiveSet> = sets.values().map(complete).collect::<Result<_, _>>()?;
    found.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(found)
}

/// The name of volume `number`, from zero, of a set of which at least one volume is known.
pub(super) fn volume_name(known: &str, number: u32) -> String {
    if let Some(part) = Part::of(known) {
        let number = number + 1;
        let width = part.width;
        return format!("{}.part{number:0width$}.{}", part.base, part.extension);
    }
    let base = ["rar", "eti"]
        .iter()
        .find_map(|end| strip_end(known, &format!(".{end}")))
        .or_else(|| old_number(known).map(|(base, _)| base))
        .unwrap_or(known);
    match number.checked_sub(1) {
        None => format!("{base}.rar"),
        Some(after) => {
            let letter = char::from_u32('r' as u32 + after / 100).unwrap_or('z');
            format!("{base}.{letter}{:02}", after % 100)
        }
    }
}

/// How the volumes of a set are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scheme {
    /// The archive is one file, or the first of an old set.
    Single(&'static str),
    /// `x.part1.rar`, `x.part2.rar`, …
    Parts(&'static str),
    /// `x.r00`, `x.r01`, … after `x.rar`.
    Old,
}

/// What a name says about its place in a set.
struct Volume<'a> {
    base: &'a str,
    scheme: Scheme,
    number: u32,
}

impl<'a> Volume<'a> {
    fn of(name: &'a str) -> Option<Self> {
        if let Some(part) = Part::of(name) {
            return Some(Volume {
                base: part.base,
                scheme: Scheme::Parts(if part.is_eti() { "eti" } else { "rar" }),
                number: part.number,
            });
        }
        if let Some(format) = Format::by_name(name) {
            let extension = if strip_end(name, ".eti").is_some() { "eti" } else { format.code() };
            return Some(Volume {
                base: name.rsplit_once('.').map_or(name, |(base, _)| base),
                scheme: Scheme::Single(extension),
                number: 0,
            });
        }
        let (base, number) = old_number(name)?;
        Some(Volume { base, scheme: Scheme::Old, number })
    }
}

/// A name such as `game.part03.rar`.
struct Part<'a> {
    base: &'a str,
    width: usize,
    number: u32,
    extension: &'a str,
}

impl<'a> Part<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let (rest, extension) = name.rsplit_once('.')?;
        if !["rar", "eti"].iter().any(|end| extension.eq_ignore_ascii_case(end)) {
            return None;
        }
        let digits = rest.len() - rest.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (rest, number) = rest.split_at(rest.len() - digits);
        let base = strip_end(rest, ".part").filter(|base| !base.is_empty())?;
        let number = number.parse::<u32>().ok()?.checked_sub(1)?;
        Some(Part { base, width: digits, number, extension })
    }

    fn is_eti(&self) -> bool {
        self.extension.eq_ignore_ascii_case("eti")
    }
}

/// `x.r00` is volume 1 of `x`, `x.s00` is volume 101.
fn old_number(name: &str) -> Option<(&str, u32)> {
    let (base, end) = name.rsplit_once('.')?;
    let &[letter, tens, ones] = end.as_bytes() else {
        return None;
    };
    let letter = letter.to_ascii_lowercase();
    let fits = (b'r'..=b'y').contains(&letter) && tens.is_ascii_digit() && ones.is_ascii_digit();
    let number = u32::from(letter.wrapping_sub(b'r')) * 100
        + u32::from(tens.wrapping_sub(b'0')) * 10
        + u32::from(ones.wrapping_sub(b'0'));
    (fits && !base.is_empty()).then_some((base, number + 1))
}

/// A piece of a zip or 7z that was split, which nothing here can read: `x.7z.001`, or `x.z01`
/// beside `x.zip`.
fn is_foreign_volume(name: &str, names: &[&str]) -> bool {
    let Some((base, end)) = name.rsplit_once('.') else {
        return false;
    };
    let &[first, tens, ones] = end.as_bytes() else {
        return false;
    };
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return false;
    }
    if first.is_ascii_digit() {
        return Format::by_name(base).is_some_and(|format| format != Format::Rar);
    }
    let is_zip_of_it = |other: &&str| {
        strip_end(other, ".zip").is_some_and(|stem| fold_key(stem) == fold_key(base))
    };
    first.eq_ignore_ascii_case(&b'z') && names.iter().any(is_zip_of_it)
}

/// Puts `x.r00` … behind `x.rar`, or `x.eti` where that one does not exist.
fn join_old_volumes(
    sets: &mut BTreeMap<(String, Scheme), BTreeMap<u32, &str>>,
) -> Result<(), UnpackError> {
    let old: Vec<String> = sets
        .keys()
        .filter(|(_, scheme)| *scheme == Scheme::Old)
        .map(|(base, _)| base.clone())
        .collect();
    for base in old {
        let Some(tail) = sets.remove(&(base.clone(), Scheme::Old)) else {
            continue;
        };
        // Endings such as `.v64` mean other things: they follow `.r99` or are no volumes.
        if tail.keys().all(|number| *number > 100) {
            continue;
        }
        let first = ["rar", "eti"]
            .into_iter()
            .map(|end| (base.clone(), Scheme::Single(end)))
            .find(|key| sets.contains_key(key));
        match first.and_then(|key| sets.get_mut(&key)) {
            Some(set) => set.extend(tail),
            None => return complete(&tail).map(|_| ()),
        }
    }
    Ok(())
}

/// The set, if none of its volumes is missing. The last one cannot be known from names.
fn complete(volumes: &BTreeMap<u32, &str>) -> Result<ArchiveSet, UnpackError> {
    let known = volumes.values().next().copied().unwrap_or_default();
    for (expected, (number, _)) in (0..).zip(volumes) {
        if expected != *number {
            return Err(UnpackError::MissingVolume {
                archive: printable(known),
                part: printable(&volume_name(known, expected)),
            });
        }
    }
    if volumes.len() > VOLUMES_MAX {
        return Err(UnpackError::Unsupported {
            archive: printable(known),
            message: format!("it has more than {VOLUMES_MAX} volumes"),
        });
    }
    Ok(ArchiveSet { volumes: volumes.values().map(|name| (*name).to_owned()).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<Vec<String>> {
        let sets = find_archives(names.iter().copied()).unwrap();
        sets.into_iter().map(|set| set.volumes).collect()
    }

    fn refused(names: &[&str]) -> UnpackError {
        find_archives(names.iter().copied()).unwrap_err()
    }

    fn missing(names: &[&str]) -> String {
        match refused(names) {
            UnpackError::MissingVolume { part, .. } => part,
            other => panic!("expected a missing volume, got {other}"),
        }
    }

    #[test]
    fn a_game_without_archives_is_copied() {
        assert!(found(&["game.exe", "data/pak0.zip", "readme.txt", ".zip"]).is_empty());
        assert!(found(&["game.rev", "disc.001", "song.s3m", "a.s01", "rom.z64"]).is_empty());
    }

    #[test]
    fn only_archives_directly_in_the_root_count() {
        assert_eq!(found(&["b.zip", "x/c.rar", "a.eti"]), [["a.eti"], ["b.zip"]]);
    }

    #[test]
    fn volumes_become_one_set_in_their_order() {
        let names = ["g.part10.rar", "g.part2.rar", "g.part1.rar"];
        assert_eq!(missing(&names), "g.part3.rar");
        assert_eq!(
            found(&["G.Part02.RAR", "g.part01.rar", "g.part03.rar"]),
            [["g.part01.rar", "G.Part02.RAR", "g.part03.rar"]]
        );
        assert_eq!(found(&["g.r01", "g.RAR", "g.R00"]), [["g.RAR", "g.R00", "g.r01"]]);
        assert_eq!(found(&["g.eti", "g.r00"]), [["g.eti", "g.r00"]]);
        assert_eq!(found(&["g.part1.eti", "g.part2.eti"]), [["g.part1.eti", "g.part2.eti"]]);
    }

    #[test]
    fn a_hundred_old_volumes_go_on_with_the_next_letter() {
        let mut names = vec!["g.rar".to_owned()];
        names.extend((0..100).map(|n| format!("g.r{n:02}")));
        names.extend((0..3).map(|n| format!("g.s{n:02}")));
        let sets = find_archives(names.iter().map(String::as_str)).unwrap();
        assert_eq!(sets.len(), 1);
        assert_eq!(sets[0].volumes(), names);
        assert_eq!(volume_name("g.rar", 101), "g.s00");
    }

    /// Proves T64 for the part that names can show.
    #[test]
    fn a_missing_volume_is_named() {
        assert_eq!(missing(&["g.part2.rar", "g.part3.rar"]), "g.part1.rar");
        assert_eq!(missing(&["g.part01.rar", "g.part03.rar"]), "g.part02.rar");
        assert_eq!(missing(&["g.r00", "g.r01"]), "g.rar");
        assert_eq!(missing(&["g.rar", "g.r01"]), "g.r00");
    }

    #[test]
    fn two_files_for_one_volume_are_refused() {
        for names in [["g.part1.rar", "g.part01.rar"], ["g.zip", "G.ZIP"]] {
            let error = refused(&names);
            assert_eq!(error.reason(), "archive-part-ambiguous", "{error}");
        }
    }

    #[test]
    fn names_that_differ_by_extension_are_separate_archives() {
        let all = ["g.rar", "g.zip", "g.eti", "g.part1.rar", "g.tar.gz", "g.tar"];
        assert_eq!(found(&all).len(), all.len());
    }

    #[test]
    fn split_archives_of_other_kinds_are_refused_by_name() {
        for name in ["g.7z.001", "g.zip.001", "g.z01"] {
            let error = refused(&["g.zip", name, "readme.txt"]);
            assert_eq!(error.reason(), "archive-unsupported");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn endings_that_only_look_like_volumes_are_left_alone() {
        assert_eq!(found(&["g.rar", "g.v64", "g.z64", "g.001"]), [["g.rar"]]);
    }

    #[test]
    fn the_next_volume_has_a_name() {
        assert_eq!(volume_name("a.part01.rar", 1), "a.part02.rar");
        assert_eq!(volume_name("a.part9.eti", 9), "a.part10.eti");
        assert_eq!(volume_name("a.rar", 1), "a.r00");
        assert_eq!(volume_name("a.eti", 2), "a.r01");
    }

    #[test]
    fn too_many_archives_are_refused() {
        let names: Vec<String> = (0..=ARCHIVES_MAX).map(|n| format!("{n}.zip")).collect();
        assert!(find_archives(names[1..].iter().map(String::as_str)).is_ok());
        let error = find_archives(names.iter().map(String::as_str)).unwrap_err();
        assert_eq!(error.reason(), "archive-unsupported");
    }
}
