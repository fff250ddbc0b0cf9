//! Every bound of the archive unpacking, once, each with its reason. Must never hold a bound that
//! belongs to the wire (those stand in `lanspread-wire`) or be repeated as a number elsewhere.

use std::time::Duration;

use lanspread_wire::limits::MANIFEST_ENTRIES_MAX;

use super::detect::Format;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// One data frame: large enough that its head costs nothing, small enough that the parent's
/// buffer of one frame stays small.
pub(super) const FRAME_DATA_BYTES_MAX: usize = MIB as usize;

/// A frame that carries names: two names, a message and their lengths.
pub(super) const FRAME_TEXT_BYTES_MAX: usize = 2 * NAME_BYTES_MAX + MESSAGE_BYTES_MAX + 64;

/// A name in a frame. Longer than any name that is accepted, so that a refusal can show it; a
/// decoder that meets a longer one says so instead of sending it.
pub(super) const NAME_BYTES_MAX: usize = 4096;

/// What a decoder may say about its failure: one sentence for a log line.
pub(super) const MESSAGE_BYTES_MAX: usize = 1024;

/// What of it is shown: a few lines.
pub(super) const MESSAGE_CHARS_MAX: usize = 400;

/// What the child gathers before it writes to the pipe, and the piece in which it decodes.
pub(super) const CHILD_BUFFER_BYTES: usize = 256 * KIB as usize;

/// What the parent reads from the pipe at once; a Linux pipe holds this much.
pub(super) const PIPE_READ_BYTES: usize = 64 * KIB as usize;

/// Pieces read ahead of the parent's writer: enough to hide a hiccup of the disk, no more.
pub(super) const PIPE_PIECES_MAX: usize = 16;

/// Files and directories of one game, those that only occur as a parent included: the same bound
/// as a manifest has, so that what can be installed can also be described.
pub(super) const ENTRIES_MAX: u32 = MANIFEST_ENTRIES_MAX as u32;

/// What an unpacked game may weigh when the caller knows nothing better, such as the free space.
pub(super) const OUTPUT_BYTES_MAX: u64 = 2048 * GIB;

/// Below this much output no ratio is looked at: small archives of text or zeros are harmless.
pub(super) const BOMB_FLOOR_BYTES: u64 = 64 * MIB;

/// Output per byte of archive beyond the floor. Plain deflate can reach five times as much; games
/// that were measured stay far below.
pub(super) const BOMB_RATIO_MAX: u64 = 200;

/// What may come out in percent of what the headers announced. Formats that do not state every
/// size exactly need a little room.
pub(super) const DECLARED_PERCENT_MAX: u64 = 105;

/// Volumes of one archive; each costs the child an open file.
pub(super) const VOLUMES_MAX: usize = 512;

/// Archives of one game: each costs a child process.
pub(super) const ARCHIVES_MAX: usize = 64;

/// Address space of the child, which is also what caps a dictionary.
pub(super) const CHILD_ADDRESS_BYTES: u64 = GIB;

/// What of the child's address space a decoder cannot have: the program itself, the buffers, and
/// what an allocator wastes.
pub(super) const CHILD_OWN_BYTES: u64 = 256 * MIB;

/// What a decoder may use for dictionaries and models.
pub(super) const DECODER_MEMORY_BYTES: u64 = CHILD_ADDRESS_BYTES - CHILD_OWN_BYTES;

/// The decoder of RAR before version 5 reads the packed bytes of a file whole, into a buffer that
/// grows by doubling. So a child for such an archive gets this times the archive's real size, ...
pub(super) const RAR_OLD_MEMORY_FACTOR: u64 = 3;

/// ... but no more than a PC for games can spare: it is enough for a full DVD in volumes.
pub(super) const RAR_OLD_MEMORY_BYTES_MAX: u64 = 4 * GIB;

/// RAR 5 members up to this size are decoded in memory. Without a bound the decoder holds the
/// largest member whole; with none at all allowed, solid archives take many times as long.
pub(super) const RAR_BUFFERED_BYTES: u64 = 4 * MIB;

/// The same for the second attempt, after a member needed a filter that cannot be streamed: all
/// that fits beside a copy of itself.
pub(super) const RAR_BUFFERED_RETRY_BYTES: u64 = 256 * MIB;

/// Headers of one RAR volume: one for each entry, and room for comments, services and marks.
pub(super) const RAR_HEADERS_MAX: u64 = ENTRIES_MAX as u64 + 4096;

/// Bytes of headers of one RAR volume.
pub(super) const RAR_HEADER_BYTES_MAX: u64 = 128 * MIB;

/// Window of a zstd stream as a power of two. `--long=29` is the largest that fits the memory.
pub(super) const ZSTD_WINDOW_LOG_MAX: u32 = 29;

/// What a tar may spend between two entries on long names and extended headers.
pub(super) const TAR_HEADER_BYTES_MAX: u64 = MIB;

/// Zeros after the end mark of a tar: writers fill up a record, never more.
pub(super) const TAR_TAIL_BYTES_MAX: u64 = 16 * MIB;

/// A child that says nothing for so long is stuck: a decoder always has a piece of output ready
/// long before, even on a slow disk.
pub(super) const STALL: Duration = Duration::from_secs(300);

/// What every child may take, whatever its archive weighs.
pub(super) const CHILD_TIME_BASE: Duration = Duration::from_secs(600);

/// Archive bytes for one more second: a tenth of what the slowest decoder does on a slow machine.
pub(super) const CHILD_TIME_BYTES_PER_SECOND: u64 = MIB;

/// How soon a cancellation is noticed while the child is silent.
pub(super) const CANCEL_TICK: Duration = Duration::from_millis(20);

/// Output between two calls of the progress callback within one file.
pub(super) const PROGRESS_BYTES: u64 = MIB;

const _: () = assert!(CHILD_BUFFER_BYTES <= FRAME_DATA_BYTES_MAX);
const _: () = assert!(DECODER_MEMORY_BYTES < CHILD_ADDRESS_BYTES);
const _: () = assert!(2 * RAR_BUFFERED_RETRY_BYTES <= DECODER_MEMORY_BYTES);
const _: () = assert!(1 << ZSTD_WINDOW_LOG_MAX <= DECODER_MEMORY_BYTES);

/// What one unpacking may take. The defaults are for production; tests narrow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Files and directories over all archives of the game.
    pub entries_max: u32,
    /// Bytes over all archives of the game.
    pub bytes_max: u64,
    /// How long a child may say nothing.
    pub stall: Duration,
    /// How long the parent waits for one child in all; `None`: as the archive's size suggests.
    /// The time that the parent itself spends on writing does not count.
    pub wall: Option<Duration>,
}

impl UnpackLimits {
    /// How long the parent waits in all for the child of an archive of this size.
    pub(super) fn wall_for(&self, archive_bytes: u64) -> Duration {
        self.wall.unwrap_or_else(|| child_time(archive_bytes))
    }
}

impl Default for UnpackLimits {
    fn default() -> Self {
        UnpackLimits {
            entries_max: ENTRIES_MAX,
            bytes_max: OUTPUT_BYTES_MAX,
            stall: STALL,
            wall: None,
        }
    }
}

/// Address space of the child for an archive of this format and size.
pub(super) fn child_address_bytes(format: Format, archive_bytes: u64) -> u64 {
    let more = match format {
        Format::RarOld => archive_bytes.saturating_mul(RAR_OLD_MEMORY_FACTOR),
        _ => 0,
    };
    CHILD_ADDRESS_BYTES + more.min(RAR_OLD_MEMORY_BYTES_MAX)
}

/// The time, of processor and of wall, that the child of an archive of this size may take.
pub(super) fn child_time(archive_bytes: u64) -> Duration {
    CHILD_TIME_BASE + Duration::from_secs(archive_bytes / CHILD_TIME_BYTES_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that is changed by accident shows here; the reasons stand above.
    #[test]
    fn the_bounds_are_what_was_decided() {
        assert_eq!(BOMB_FLOOR_BYTES, 67_108_864);
        assert_eq!(BOMB_RATIO_MAX, 200);
        assert_eq!(DECLARED_PERCENT_MAX, 105);
        assert_eq!(ENTRIES_MAX, 250_000);
        assert_eq!(RAR_BUFFERED_BYTES, 4_194_304);
        assert_eq!(CHILD_ADDRESS_BYTES, 1_073_741_824);
    }

    #[test]
    fn only_old_rar_archives_get_more_memory() {
        for format in Format::ALL {
            let (small, large) =
                (child_address_bytes(format, MIB), child_address_bytes(format, GIB));
            let is_old = format == Format::RarOld;
            assert_eq!(small, CHILD_ADDRESS_BYTES + if is_old { 3 * MIB } else { 0 });
            assert_eq!(large, CHILD_ADDRESS_BYTES + if is_old { 3 * GIB } else { 0 });
            assert!(child_address_bytes(format, u64::MAX) <= 5 * GIB);
        }
    }

    #[test]
    fn a_larger_archive_gets_more_time() {
        let limits = UnpackLimits::default();
        assert_eq!(limits.wall_for(0), CHILD_TIME_BASE);
        assert_eq!(limits.wall_for(100 * MIB), CHILD_TIME_BASE + Duration::from_secs(100));
        let short = UnpackLimits { wall: Some(Duration::from_secs(1)), ..limits };
        assert_eq!(short.wall_for(u64::MAX), Duration::from_secs(1));
    }
}
