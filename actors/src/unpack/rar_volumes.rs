//! Whether parsed RAR volumes are a whole set: none missing before, between or after them, each
//! with its end. Reads headers alone; must never decode.

use rars::{Archive, rar15_40, rar50};

use super::{emit::DecodeError, protocol::FailCode};

/// Flag of the end block of older archives: another volume follows.
const END_NEXT_VOLUME: u16 = 0x0001;

/// Checks the set. A failure names the missing or cut volume by its number.
pub(super) fn check(archives: &[Archive]) -> Result<(), DecodeError> {
    let last = archives.len().saturating_sub(1);
    for (part, archive) in archives.iter().enumerate() {
        check_number(archive, part)?;
        let starts_within = archive.member_refs().next().is_some_and(|m| m.is_split_before());
        if part == 0 && starts_within {
            return Err(missing(0));
        }
        if !has_end(archive) {
            let message = "it ends without an end mark";
            return Err(DecodeError::in_part(FailCode::Damaged, part, message));
        }
        let goes_on = goes_on(archive);
        if part == last && goes_on {
            return Err(missing(part + 1));
        }
        if part < last && !goes_on {
            let message = format!("it is the last of {} volumes, but more are there", part + 1);
            return Err(DecodeError::in_part(FailCode::Damaged, part, message));
        }
    }
    Ok(())
}

fn missing(part: usize) -> DecodeError {
    DecodeError::in_part(FailCode::MissingVolume, part, "a volume is missing")
}

/// Where the headers number the volumes, the numbers must fit the names.
fn check_number(archive: &Archive, part: usize) -> Result<(), DecodeError> {
    let number = match archive {
        Archive::Rar50Plus(archive) if archive.main.is_volume() => {
            Some(archive.main.volume_number.unwrap_or(0))
        }
        _ => None,
    };
    match number {
        Some(number) if number != part as u64 && part == 0 => Err(missing(0)),
        Some(number) if number != part as u64 => {
            let message = format!("it says that it is volume {}", number.saturating_add(1));
            Err(DecodeError::in_part(FailCode::Damaged, part, message))
        }
        _ => Ok(()),
    }
}

/// Whether the volume is complete. Only the newer format always has an end block.
fn has_end(archive: &Archive) -> bool {
    match archive {
        Archive::Rar50Plus(archive) => {
            archive.blocks.iter().any(|block| matches!(block, rar50::Block::End(_)))
        }
        _ => true,
    }
}

/// Whether another volume must follow.
fn goes_on(archive: &Archive) -> bool {
    let last_is_split = archive.member_refs().last().is_some_and(|member| match member {
        rars::ArchiveMemberRef::Rar13(entry) => entry.is_split_after(),
        rars::ArchiveMemberRef::Rar15To40(file) => file.is_split_after(),
        rars::ArchiveMemberRef::Rar50Plus(file) => file.is_split_after(),
        _ => false,
    });
    let end_says_so = match archive {
        Archive::Rar50Plus(archive) => archive.blocks.iter().any(|block| match block {
            rar50::Block::End(end) => end.has_next_volume(),
            _ => false,
        }),
        Archive::Rar15To40(archive) => archive.blocks.iter().any(|block| match block {
            rar15_40::Block::End(end) => end.flags & END_NEXT_VOLUME != 0,
            _ => false,
        }),
        _ => false,
    };
    last_is_split || end_says_so
}
