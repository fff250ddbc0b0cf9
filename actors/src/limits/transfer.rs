//! Limits and times of downloads. The planner's stand here with the reason they were chosen;
//! most come from simulating the policy with one to two hundred receivers.

use std::time::Duration;

use lanspread_wire::limits::{CHUNK_BYTES_MAX, REQUEST_BYTES_MAX};

/// One request: small enough that no source queues much for one receiver, large enough that
/// streams stay cheap.
pub const REQUEST_BYTES_AIMED: u64 = 1024 * 1024;

/// Chunks are taken from one aligned block of the content while it has any: reads at the source
/// stay sequential.
pub const BLOCK_BYTES: u64 = 1024 * 1024;

/// Requests at one source at once: as many as a peer answers at once, and enough that one is
/// always being answered while another one ends.
pub const REQUESTS_PER_SOURCE_MAX: usize = 4;

/// What may be asked for and not yet be written, over all sources: bounds memory and what a
/// crash repeats.
pub const IN_FLIGHT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Buffers of one download that hold received bytes: permits of this sum travel with them.
pub const BUFFER_BYTES_MAX: u32 = 48 * 1024 * 1024;

/// Received chunks are handed to a worker in batches: one hand-over costs as much as hashing a
/// small chunk.
pub const WRITE_BATCH_BYTES: u64 = 512 * 1024;

/// Writes of one request that may be under way while it reads on.
pub const WRITES_PER_REQUEST_MAX: usize = 2;

/// The window of a source that nothing is known of.
pub const WINDOW_BYTES_START: u64 = 256 * 1024;

/// Below this a window holds no whole chunk.
pub const WINDOW_BYTES_MIN: u64 = 64 * 1024;

/// With few sources each must have the next chunk queued while it sends one, or the line idles
/// for a round trip.
pub const WINDOW_BYTES_MIN_FEW: u64 = 3 * WINDOW_BYTES_MIN;

/// Up to here sources are few.
pub const SOURCES_FEW_MAX: usize = 2;

/// Less is too little for a line of ten gigabits.
pub const WINDOW_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A window is what a source sends in this time: a short queue, so that sources can be changed
/// quickly.
pub const WINDOW_TIME_MIN: Duration = Duration::from_millis(30);

/// … or in so many round trips, if that is longer.
pub const WINDOW_ROUND_TRIPS: u32 = 3;

/// How many free chunks are looked at to find a rare one: more gain nothing.
pub const PROBES: u32 = 64;

/// A source with open requests that sends nothing for so long is passed over, if another one
/// can help.
pub const STALL_AFTER: Duration = Duration::from_millis(500);

/// A stalled source is not asked again for so long.
pub const STALL_REST: Duration = Duration::from_secs(4);

/// The end game looks at a chunk that has been outstanding for so long.
pub const END_GAME_AGE_MIN: Duration = Duration::from_millis(20);

/// The end game looks for second sources no more often than this.
pub const END_GAME_INTERVAL: Duration = Duration::from_millis(5);

/// A second source with more outstanding than this would not be faster than the first.
pub const END_GAME_OUTSTANDING_MAX: u64 = 4 * WINDOW_BYTES_MIN;

/// The rest of a source after its first refusal or broken answer; each further one in a row
/// takes four times as long.
pub const FAILURE_REST: Duration = Duration::from_millis(250);

/// The longest rest of a source that keeps failing.
pub const FAILURE_REST_MAX: Duration = Duration::from_secs(30);

/// Failures in a row before a source counts as none for a while.
pub const FAILURES_MAX: u32 = 6;

/// So long a source that kept failing counts as none. It may only have been busy.
pub const BENCH_TIME: Duration = Duration::from_secs(60);

/// A disk that has not answered for so long is told of: the user may think that we hang.
pub const DISK_SILENCE: Duration = Duration::from_secs(10);

/// One piece of work on what is here already: short enough that a cancelled download does not wait.
pub const REUSE_BATCH_BYTES: u64 = 8 * 1024 * 1024;

/// Pieces of that work at once; the rest of the workers is for what arrives.
pub const REUSE_WORKERS: usize = 2;

/// Progress is saved after this share of the content …
pub const SAVE_SHARE: u64 = 64;

/// … but not more often than after so many bytes, as each time costs a flush of the disk …
pub const SAVE_BYTES_MIN: u64 = 4 * 1024 * 1024;

/// … and not more seldom than after so many: they would be fetched again after a power cut …
pub const SAVE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// … nor than after this time.
pub const SAVE_INTERVAL: Duration = Duration::from_secs(3);

/// A full disk is looked at again this often while a download waits for space.
pub const SPACE_LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// A download waits so long for somebody to make space, then it ends and can be resumed.
pub const SPACE_WAIT_MAX: Duration = Duration::from_secs(30);

/// A download that waited for space goes on when there is this much, or all that it needs.
pub const SPACE_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// Sources that had no manifest to give are asked again after this.
pub const MANIFEST_RETRY: Duration = Duration::from_secs(2);

/// Round trips are read anew this often.
pub const ROUND_TRIP_INTERVAL: Duration = Duration::from_secs(1);

/// An answer is read in pieces, each of which is a sign of life. From a slow source they are so
/// small that it is not taken for a silent one …
pub const READ_BYTES_MIN: usize = 2 * 1024;

/// … and from a fast one so large that they cost nothing.
pub const READ_BYTES_MAX: usize = 64 * 1024;

/// Pieces become smaller when one takes longer than this, and larger when it does not.
pub const READ_TIME: Duration = Duration::from_millis(50);

/// Messages of the tasks of a download that their engine has not looked at yet.
pub const ENGINE_EVENTS_MAX: usize = 64;

/// Progress is told to user interfaces no more often than this.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// Rates are means over this time: long enough to be readable, short enough to be true.
pub const RATE_WINDOW: Duration = Duration::from_secs(5);

// A request of the aimed size must be answerable even if its first chunk is of the greatest length.
const _: () = assert!(REQUEST_BYTES_AIMED + CHUNK_BYTES_MAX as u64 <= REQUEST_BYTES_MAX);
// The end game and the floor of windows must leave the other rules room.
const _: () = assert!(WINDOW_BYTES_MIN < WINDOW_BYTES_START);
const _: () = assert!(WINDOW_BYTES_START < WINDOW_BYTES_MAX);
// One chunk must always get its permits.
const _: () = assert!(CHUNK_BYTES_MAX <= BUFFER_BYTES_MAX);
const _: () = assert!(WRITE_BATCH_BYTES + (CHUNK_BYTES_MAX as u64) < BUFFER_BYTES_MAX as u64);
