//! Which format a file has: by its first bytes, then by its name. Pure; must never open a file.

use std::fmt;

/// Bytes from the start of a file that [`Format::detect`] wants to see: a tar's mark stands deep.
pub(super) const HEAD_BYTES: usize = 512;

const TAR_MARK_AT: usize = 257;
const TAR_MARK: &[u8] = b"ustar";

/// Marks at the start of a file. A tar has none there.
const MARKS: &[(&[u8], Format)] = &[
    (b"PK\x03\x04", Format::Zip),
    (b"PK\x05\x06", Format::Zip),
    (b"7z\xbc\xaf\x27\x1c", Format::SevenZ),
    (b"Rar!\x1a\x07\x01\x00", Format::Rar),
    (b"Rar!\x1a\x07\x00", Format::RarOld),
    (b"RE~^", Format::RarOld),
    (b"\x1f\x8b", Format::TarGz),
    (b"\xfd7zXZ\x00", Format::TarXz),
    (b"\x28\xb5\x2f\xfd", Format::TarZst),
];

/// Ends of names, the longer one first where one contains the other.
const ENDS: &[(&str, Format)] = &[
    (".tar.gz", Format::TarGz),
    (".tgz", Format::TarGz),
    (".tar.xz", Format::TarXz),
    (".txz", Format::TarXz),
    (".tar.zst", Format::TarZst),
    (".tzst", Format::TarZst),
    (".tar", Format::Tar),
    (".zip", Format::Zip),
    (".7z", Format::SevenZ),
    (".rar", Format::Rar),
    (".eti", Format::Rar),
];

/// A format that can be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Zip, with the usual methods.
    Zip,
    /// 7z.
    SevenZ,
    /// A plain tar.
    Tar,
    /// A tar in gzip.
    TarGz,
    /// A tar in xz.
    TarXz,
    /// A tar in Zstandard.
    TarZst,
    /// RAR 5 and later.
    Rar,
    /// RAR before version 5, whose decoder takes more memory.
    RarOld,
}

impl Format {
    /// All formats.
    pub(super) const ALL: [Format; 8] = [
        Format::Zip,
        Format::SevenZ,
        Format::Tar,
        Format::TarGz,
        Format::TarXz,
        Format::TarZst,
        Format::Rar,
        Format::RarOld,
    ];

    /// The format of a file with this name, which starts with these bytes. The bytes win: games
    /// are renamed more often than repacked. A tar of the oldest kind has no mark, so for a tar
    /// the name is enough.
    pub(super) fn detect(head: &[u8], name: &str) -> Option<Format> {
        let by_mark =
            MARKS.iter().find(|(mark, _)| head.starts_with(mark)).map(|(_, format)| *format);
        by_mark.or_else(|| {
            let marked = head.get(TAR_MARK_AT..).is_some_and(|rest| rest.starts_with(TAR_MARK));
            (marked || Format::by_name(name) == Some(Format::Tar)).then_some(Format::Tar)
        })
    }

    /// The format that a name promises. A RAR archive and an `.eti` promise the newest kind.
    pub(super) fn by_name(name: &str) -> Option<Format> {
        ENDS.iter()
            .find(|(end, _)| strip_end(name, end).is_some_and(|base| !base.is_empty()))
            .map(|(_, format)| *format)
    }

    /// The word for this format on the child's command line.
    pub(super) fn code(self) -> &'static str {
        match self {
            Format::Zip => "zip",
            Format::SevenZ => "7z",
            Format::Tar => "tar",
            Format::TarGz => "tar.gz",
            Format::TarXz => "tar.xz",
            Format::TarZst => "tar.zst",
            Format::Rar => "rar",
            Format::RarOld => "rar.old",
        }
    }

    /// The format of a word from the command line.
    pub(super) fn from_code(code: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.code() == code)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// `name` without an ASCII end, whatever its case.
pub(super) fn strip_end<'a>(name: &'a str, end: &str) -> Option<&'a str> {
    let at = name.len().checked_sub(end.len())?;
    let (base, rest) = name.split_at_checked(at)?;
    rest.eq_ignore_ascii_case(end).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &[u8]) -> Vec<u8> {
        let mut head = bytes.to_vec();
        head.resize(HEAD_BYTES, 0xee);
        head
    }

    #[test]
    fn the_first_bytes_win_over_the_name() {
        for (mark, format) in MARKS {
            assert_eq!(Format::detect(&head(mark), "game.tar"), Some(*format));
            assert_eq!(Format::detect(&head(mark), "game.eti"), Some(*format));
        }
        let mut tar = head(b"");
        tar[TAR_MARK_AT..TAR_MARK_AT + TAR_MARK.len()].copy_from_slice(TAR_MARK);
        assert_eq!(Format::detect(&tar, "game.zip"), Some(Format::Tar));
    }

    #[test]
    fn without_a_mark_only_a_tar_is_believed() {
        assert_eq!(Format::detect(&head(b""), "game.TAR"), Some(Format::Tar));
        for name in ["game.zip", "game.rar", "game.7z", "game.tar.gz", "game"] {
            assert_eq!(Format::detect(&head(b""), name), None, "{name}");
            assert_eq!(Format::detect(b"", name), None, "{name}");
        }
    }

    #[test]
    fn a_short_file_is_no_panic() {
        for len in 0..HEAD_BYTES {
            let zeros = vec![0; len];
            assert_eq!(Format::detect(&zeros, "x"), None);
        }
    }

    #[test]
    fn names_promise_a_format_in_any_case() {
        let cases = [
            ("a.zip", Some(Format::Zip)),
            ("a.ETI", Some(Format::Rar)),
            ("a.tar.GZ", Some(Format::TarGz)),
            ("a.tgz", Some(Format::TarGz)),
            ("a.txz", Some(Format::TarXz)),
            ("a.tar.zst", Some(Format::TarZst)),
            ("a.7Z", Some(Format::SevenZ)),
            ("a.gz", None),
            (".zip", None),
            ("zip", None),
            ("a.zip.txt", None),
            ("ä.zıp", None),
        ];
        for (name, format) in cases {
            assert_eq!(Format::by_name(name), format, "{name}");
        }
    }

    #[test]
    fn codes_are_read_back() {
        for format in Format::ALL {
            assert_eq!(Format::from_code(format.code()), Some(format));
        }
        assert_eq!(Format::from_code("ZIP"), None);
    }
}
