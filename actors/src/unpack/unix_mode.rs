//! What the mode bits of Unix say about an entry, for every format that carries them. Pure.

use super::protocol::SpecialKind;

const TYPE_MASK: u32 = 0o170_000;
const ANY_EXECUTE: u32 = 0o111;

/// The kind of a special entry; `None` for files, directories, and modes without type bits.
pub(super) fn special(mode: u32) -> Option<SpecialKind> {
    match mode & TYPE_MASK {
        0 | 0o100_000 | 0o040_000 => None,
        0o120_000 => Some(SpecialKind::Symlink),
        0o020_000 | 0o060_000 => Some(SpecialKind::Device),
        0o010_000 => Some(SpecialKind::Fifo),
        0o140_000 => Some(SpecialKind::Socket),
        _ => Some(SpecialKind::Unknown),
    }
}

/// Whether anyone may execute it. Set-user and set-group bits are never looked at.
pub(super) fn is_executable(mode: u32) -> bool {
    mode & ANY_EXECUTE != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_but_files_and_directories_is_special() {
        for (kind, special_kind) in [
            (0, None),
            (0o04, None),
            (0o10, None),
            (0o12, Some(SpecialKind::Symlink)),
            (0o02, Some(SpecialKind::Device)),
            (0o06, Some(SpecialKind::Device)),
            (0o01, Some(SpecialKind::Fifo)),
            (0o14, Some(SpecialKind::Socket)),
            (0o16, Some(SpecialKind::Unknown)),
        ] {
            assert_eq!(special(kind << 12 | 0o4755), special_kind, "{kind:o}");
        }
    }

    /// Proves T67 for what an archive can ask for: one bit.
    #[test]
    fn only_the_execute_bits_are_looked_at() {
        assert!(is_executable(0o100_755) && is_executable(0o001) && is_executable(0o010));
        assert!(!is_executable(0o107_644) && !is_executable(0o666) && !is_executable(0));
    }
}
