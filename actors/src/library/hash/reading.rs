//! Reads one payload file so that what was read is what stands there: a file that changes
//! meanwhile is read again, a few times. Owns that rule and nothing else.

use lanspread_fs_txn::vfs::{Dir, File, parse_payload};
use lanspread_wire::RelPath;

use super::{
    End, Ticket,
    cutter::{CutEnd, Cutter},
    failed,
};
use crate::{
    library::{ledger::Stamp, scan::walk},
    limits::library::HASH_ATTEMPTS_MAX,
};

/// How the reading of one file ended.
pub(super) enum Reading<T> {
    /// It looked like this before and after.
    Steady(Stamp, T),
    /// So it did, but it is not what it should be.
    Wrong(Stamp),
    /// It goes on changing, or is gone.
    Unsteady,
}

/// Reads a file with `read` until it looks the same before and after.
pub(super) fn read_steadily<T>(
    root: &dyn Dir,
    path: &RelPath,
    ticket: &Ticket,
    cutter: &mut Cutter,
    mut read: impl FnMut(&mut Cutter, &dyn File, u64, &Ticket) -> Result<T, CutEnd>,
) -> Result<Reading<T>, End> {
    let Some(below) = parse_payload(path.as_str()) else {
        return Err(failed(format!("{path} is no path of this system")));
    };
    for _ in 0..HASH_ATTEMPTS_MAX {
        let Some(before) = walk::stamp(root, path).map_err(failed)? else {
            return Ok(Reading::Unsteady);
        };
        let file = match root.open_read(&below) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => return Ok(Reading::Unsteady),
            Err(error) => return Err(failed(error)),
        };
        let done_before = ticket.progress().bytes_done;
        let result = read(cutter, &*file, before.size, ticket);
        let settled = walk::stamp(root, path).map_err(failed)?.as_ref() == Some(&before);
        match result {
            Err(CutEnd::Cancelled) => return Err(End::Cancelled),
            Err(CutEnd::Read(error)) => return Err(failed(error)),
            Ok(value) if settled => return Ok(Reading::Steady(before, value)),
            Err(CutEnd::Changed) if settled => return Ok(Reading::Wrong(before)),
            Ok(_) | Err(CutEnd::Changed) => {}
        }
        ticket.go_back(ticket.progress().bytes_done.saturating_sub(done_before));
    }
    Ok(Reading::Unsteady)
}
