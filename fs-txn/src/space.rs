//! Asking for space before it is needed.

use thiserror::Error;

use crate::limits::{SPACE_RESERVE_BYTES, SPACE_RESERVE_PERCENT};
use crate::vfs::{Dir, FsError};

/// Why an operation is not started for want of space.
#[derive(Debug, Error)]
pub enum SpaceError {
    /// It does not fit.
    #[error("needs {needed} bytes, {free} free")]
    Short {
        /// Bytes wanted, with the reserve.
        needed: u64,
        /// Bytes there.
        free: u64,
    },
    /// The sum of what it needs is beyond any disk.
    #[error("the sizes add up to more than any disk holds")]
    Overflow,
    /// The system did not tell.
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// Whether `bytes` more fit on the disk of `dir`, with the reserve that every operation leaves.
/// A system that does not tell its free space is believed to have it.
pub fn check_space(dir: &dyn Dir, bytes: u64) -> Result<(), SpaceError> {
    let needed = space_needed(bytes).ok_or(SpaceError::Overflow)?;
    match dir.free_space()? {
        Some(free) if free < needed => Err(SpaceError::Short { needed, free }),
        _ => Ok(()),
    }
}

/// What must be free before `bytes` are written; `None` when the sum overflows.
#[must_use]
pub fn space_needed(bytes: u64) -> Option<u64> {
    let share = (bytes / 100).checked_mul(SPACE_RESERVE_PERCENT)?;
    bytes.checked_add(share)?.checked_add(SPACE_RESERVE_BYTES)
}

/// The sum of sizes, `None` when it overflows.
pub fn bytes_total(sizes: impl IntoIterator<Item = u64>) -> Option<u64> {
    sizes.into_iter().try_fold(0_u64, u64::checked_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves T45: sizes that overflow are refused, not wrapped.
    #[test]
    fn sums_do_not_wrap() {
        assert_eq!(bytes_total([u64::MAX, 1]), None);
        assert_eq!(bytes_total([1, 2, 3]), Some(6));
        assert_eq!(space_needed(u64::MAX), None);
        assert_eq!(space_needed(0), Some(SPACE_RESERVE_BYTES));
        let gigabyte = 1_000_000_000;
        assert_eq!(space_needed(gigabyte), Some(1_050_000_000 + SPACE_RESERVE_BYTES));
    }
}
