//! Decides about each frame of a child: whether the order is right, the name may reach a disk, and
//! the sizes are believable. Pure: no I/O, no clock. Trusts nothing that a frame says.

use lanspread_wire::{RelPath, printable};

use super::{
    error::UnpackError,
    limits::{BOMB_FLOOR_BYTES, BOMB_RATIO_MAX, DECLARED_PERCENT_MAX, UnpackLimits},
    names::{Admitted, NameTable},
    protocol::{EntryKind, Frame},
};

/// What the parent has to do after a frame was accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// Nothing.
    Nothing,
    /// The listing is complete and believable; `bytes` is its sum, where every size is known.
    Begin {
        /// Entries that were listed.
        entries: u32,
        /// Sum of their sizes.
        bytes: Option<u64>,
    },
    /// Create these directories, parents first.
    Dirs(Vec<RelPath>),
    /// Create these directories, then begin this file.
    File {
        /// New directories, parents first.
        dirs: Vec<RelPath>,
        /// The file.
        path: RelPath,
        /// Whether the archive has an execute permission for it.
        executable: bool,
    },
    /// Append to the file.
    Data(&'a [u8]),
    /// The file is complete.
    EndFile,
    /// The archive is complete.
    Done,
}

/// Judges the frames of the archives of one game, one archive after the other.
#[derive(Debug)]
pub(super) struct Policy {
    limits: UnpackLimits,
    archive: String,
    archive_bytes: u64,
    phase: Phase,
    listed: NameTable,
    written: NameTable,
    /// Entries that frames announced or began, over all archives.
    listed_entries: u32,
    entries: u32,
    /// Bytes of files, of this archive and of all before it.
    archive_output: u64,
    output_before: u64,
    /// Entries of this archive alone, to compare with what the child counted.
    archive_entries: u64,
    declared: Declared,
}

/// Where in the stream of one archive the child is.
#[derive(Debug)]
enum Phase {
    Listing,
    BetweenEntries,
    InFile { size: Option<u64>, written: u64 },
    Done,
}

/// What the listing of the present archive adds up to.
#[derive(Clone, Copy, Debug)]
struct Declared {
    entries: u32,
    /// `None` as soon as one size is not known.
    bytes: Option<u64>,
}

const NOTHING_DECLARED: Declared = Declared { entries: 0, bytes: Some(0) };

impl Policy {
    /// A policy for a game of which no archive was opened yet.
    pub(super) fn new(limits: UnpackLimits) -> Self {
        Policy {
            limits,
            archive: String::new(),
            archive_bytes: 0,
            phase: Phase::Done,
            listed: NameTable::default(),
            written: NameTable::default(),
            listed_entries: 0,
            entries: 0,
            archive_output: 0,
            output_before: 0,
            archive_entries: 0,
            declared: NOTHING_DECLARED,
        }
    }

    /// Turns to the next archive. What the ones before created stays taken.
    pub(super) fn open(&mut self, archive: &str, archive_bytes: u64) {
        self.archive = archive.to_owned();
        self.archive_bytes = archive_bytes;
        self.phase = Phase::Listing;
        self.output_before += std::mem::take(&mut self.archive_output);
        self.archive_entries = 0;
        self.declared = NOTHING_DECLARED;
    }

    /// Judges one frame. After an error the policy must not be used again.
    pub(super) fn judge<'a>(&mut self, frame: Frame<'a>) -> Result<Verdict<'a>, UnpackError> {
        match (&self.phase, frame) {
            (Phase::Listing, Frame::Listed { kind, size, name }) => self.list(kind, size, name),
            (Phase::Listing, Frame::Begin) => self.begin(),
            (Phase::BetweenEntries, Frame::Dir { name }) => self.dir(name),
            (Phase::BetweenEntries, Frame::File { size, executable, name }) => {
                self.file(name, size, executable)
            }
            (Phase::BetweenEntries, Frame::Special { kind, name, .. }) => {
                Err(self.special(EntryKind::Special(kind), name))
            }
            (Phase::BetweenEntries, Frame::Done { entries, bytes }) => self.done(entries, bytes),
            (Phase::InFile { .. }, Frame::Data(bytes)) => self.data(bytes),
            (Phase::InFile { .. }, Frame::EndFile) => self.end_file(),
            _ => Err(self.broken("frames came in a wrong order")),
        }
    }

    /// Whether the child said that it is done.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// Bytes of files over all archives.
    pub(super) fn output_bytes(&self) -> u64 {
        self.output_before + self.archive_output
    }

    fn list<'a>(
        &mut self,
        kind: EntryKind,
        size: Option<u64>,
        name: &str,
    ) -> Result<Verdict<'a>, UnpackError> {
        self.listed_entries += 1;
        if self.listed_entries > self.limits.entries_max {
            return Err(self.too_many());
        }
        match kind {
            EntryKind::File => self.listed.file(&self.archive, name)?,
            EntryKind::Dir => self.listed.dir(&self.archive, name)?,
            EntryKind::Special(_) => return Err(self.special(kind, name)),
        };
        self.check_table(self.listed.len())?;
        self.declared.entries += 1;
        if kind == EntryKind::File {
            let sum = self.declared.bytes.zip(size);
            self.declared.bytes = match sum {
                Some((sum, size)) => Some(sum.checked_add(size).ok_or_else(|| self.too_large())?),
                None => None,
            };
        }
        Ok(Verdict::Nothing)
    }

    fn begin<'a>(&mut self) -> Result<Verdict<'a>, UnpackError> {
        if self.declared.entries == 0 {
            // A format without a listing, or an empty archive: then nothing may follow anyway.
            self.declared.bytes = None;
        }
        if let Some(bytes) = self.declared.bytes {
            self.check_output(bytes)?;
        }
        self.phase = Phase::BetweenEntries;
        Ok(Verdict::Begin { entries: self.declared.entries, bytes: self.declared.bytes })
    }

    fn dir<'a>(&mut self, name: &str) -> Result<Verdict<'a>, UnpackError> {
        self.count_entry()?;
        let admitted = self.written.dir(&self.archive, name)?;
        self.check_table(self.written.len())?;
        Ok(Verdict::Dirs(admitted.dirs))
    }

    fn file<'a>(
        &mut self,
        name: &str,
        size: Option<u64>,
        executable: bool,
    ) -> Result<Verdict<'a>, UnpackError> {
        self.count_entry()?;
        let Admitted { dirs, path } = self.written.file(&self.archive, name)?;
        self.check_table(self.written.len())?;
        if let Some(size) = size {
            let after = self.archive_output.checked_add(size);
            self.check_output(after.ok_or_else(|| self.too_large())?)?;
        }
        self.phase = Phase::InFile { size, written: 0 };
        Ok(Verdict::File { dirs, path, executable })
    }

    fn data<'a>(&mut self, bytes: &'a [u8]) -> Result<Verdict<'a>, UnpackError> {
        let after = self.archive_output.checked_add(bytes.len() as u64);
        self.check_output(after.ok_or_else(|| self.too_large())?)?;
        self.archive_output += bytes.len() as u64;
        if let Phase::InFile { size, written } = &mut self.phase {
            *written += bytes.len() as u64;
            if let (Some(size), written) = (*size, *written)
                && written > size
            {
                return Err(self.size_mismatch(size, written));
            }
        }
        Ok(Verdict::Data(bytes))
    }

    fn end_file<'a>(&mut self) -> Result<Verdict<'a>, UnpackError> {
        if let Phase::InFile { size: Some(size), written } = self.phase
            && written != size
        {
            return Err(self.size_mismatch(size, written));
        }
        self.phase = Phase::BetweenEntries;
        Ok(Verdict::EndFile)
    }

    fn done<'a>(&mut self, entries: u64, bytes: u64) -> Result<Verdict<'a>, UnpackError> {
        if (entries, bytes) != (self.archive_entries, self.archive_output) {
            return Err(self.broken("the counts at the end are wrong"));
        }
        if self.declared.entries > 0 && u64::from(self.declared.entries) != entries {
            return Err(self.broken("not every announced entry came"));
        }
        self.phase = Phase::Done;
        Ok(Verdict::Done)
    }

    fn count_entry(&mut self) -> Result<(), UnpackError> {
        self.archive_entries += 1;
        self.entries += 1;
        if self.entries > self.limits.entries_max {
            return Err(self.too_many());
        }
        Ok(())
    }

    /// Parents that no entry names count too.
    fn check_table(&self, len: usize) -> Result<(), UnpackError> {
        if len > self.limits.entries_max as usize {
            return Err(self.too_many());
        }
        Ok(())
    }

    /// Whether this archive may give `bytes` in all.
    fn check_output(&self, bytes: u64) -> Result<(), UnpackError> {
        if self.output_before.saturating_add(bytes) > self.limits.bytes_max {
            return Err(self.too_large());
        }
        let ratio_max = self.archive_bytes.saturating_mul(BOMB_RATIO_MAX);
        if bytes > BOMB_FLOOR_BYTES && bytes > ratio_max {
            return Err(self.bomb(format!(
                "{bytes} bytes from {} are more than {BOMB_RATIO_MAX} times as much",
                self.archive_bytes
            )));
        }
        let Some(declared) = self.declared.bytes else {
            return Ok(());
        };
        let declared_max = u128::from(declared) * u128::from(DECLARED_PERCENT_MAX) / 100;
        if u128::from(bytes) > declared_max {
            return Err(self.bomb(format!("its headers announce {declared} bytes, not {bytes}")));
        }
        Ok(())
    }

    fn special(&self, kind: EntryKind, name: &str) -> UnpackError {
        match kind {
            EntryKind::Special(kind) => {
                UnpackError::Special { archive: self.archive.clone(), kind, name: printable(name) }
            }
            EntryKind::File | EntryKind::Dir => self.broken("an ordinary entry as a special one"),
        }
    }

    fn size_mismatch(&self, declared: u64, written: u64) -> UnpackError {
        UnpackError::SizeMismatch {
            archive: self.archive.clone(),
            name: self.written.last_name().to_owned(),
            declared,
            written,
        }
    }

    fn too_many(&self) -> UnpackError {
        UnpackError::TooManyEntries {
            archive: self.archive.clone(),
            limit: self.limits.entries_max,
        }
    }

    fn too_large(&self) -> UnpackError {
        UnpackError::TooLarge { archive: self.archive.clone(), limit: self.limits.bytes_max }
    }

    fn bomb(&self, message: String) -> UnpackError {
        UnpackError::Bomb { archive: self.archive.clone(), message }
    }

    fn broken(&self, message: &str) -> UnpackError {
        UnpackError::Protocol { archive: self.archive.clone(), message: message.to_owned() }
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
