//! How a ledger is written: numbers in little endian, texts with their length. Pure. Bodies come
//! through a checksum, but nothing here relies on it: what does not decode is no ledger.

use lanspread_wire::{GameId, ManifestId, RelPath};

use super::{Ledger, Origin, Stamp};
use crate::library::index::facts::DirIdentity;

/// The body of a ledger's file.
pub(super) fn encode(ledger: &Ledger, game: &GameId) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + 64 * ledger.files.len());
    put_text(&mut out, game.as_str());
    out.extend_from_slice(&ledger.manifest.0);
    out.push(match ledger.origin {
        Origin::Found => 0,
        Origin::Download => 1,
        Origin::Partial => 2,
    });
    put_option(&mut out, ledger.root.device);
    put_option(&mut out, ledger.root.inode);
    out.extend_from_slice(&ledger.sentinel);
    put_number(&mut out, ledger.files.len() as u64);
    for stamp in &ledger.files {
        put_text(&mut out, stamp.path.as_str());
        put_number(&mut out, stamp.size);
        put_number(&mut out, stamp.modified_ns.cast_unsigned());
        put_option(&mut out, stamp.inode);
    }
    put_number(&mut out, ledger.empty_dirs.len() as u64);
    for path in &ledger.empty_dirs {
        put_text(&mut out, path.as_str());
    }
    put_number(&mut out, ledger.damaged.len() as u64);
    for name in &ledger.damaged {
        put_text(&mut out, name);
    }
    out
}

/// The ledger of `game` with this body.
pub(super) fn decode(body: &[u8], game: &GameId) -> Option<Ledger> {
    let mut input = Reader(body);
    if input.text()? != game.as_str() {
        return None;
    }
    let manifest = ManifestId(input.hash()?);
    let origin = match input.byte()? {
        0 => Origin::Found,
        1 => Origin::Download,
        2 => Origin::Partial,
        _ => return None,
    };
    let root = DirIdentity { device: input.option()?, inode: input.option()? };
    let sentinel = input.hash()?;
    let files = input.list(Reader::stamp)?;
    let empty_dirs = input.list(Reader::path)?;
    let damaged = input.list(|input| input.text().map(str::to_owned))?;
    let ledger = Ledger { manifest, origin, root, sentinel, files, empty_dirs, damaged };
    input.0.is_empty().then_some(ledger)
}

fn put_number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_option(out: &mut Vec<u8>, value: Option<u64>) {
    out.push(u8::from(value.is_some()));
    put_number(out, value.unwrap_or_default());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn hash(&mut self) -> Option<[u8; 32]> {
        self.take(32)?.try_into().ok()
    }

    fn option(&mut self) -> Option<Option<u64>> {
        match (self.byte()?, self.number()?) {
            (1, value) => Some(Some(value)),
            (0, 0) => Some(None),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'a str> {
        let count = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.take(count)?).ok()
    }

    fn path(&mut self) -> Option<RelPath> {
        RelPath::parse(self.text()?).ok()
    }

    fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp {
            path: self.path()?,
            size: self.number()?,
            modified_ns: self.number()?.cast_signed(),
            inode: self.option()?,
        })
    }

    /// No memory is set aside on the word of a count: each item has to be there.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }
}
