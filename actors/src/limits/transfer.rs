//! Limits and times of downloads. The planner's stand here with the reason they were chosen; most come from
//! simulating the policy with one to two hundred receivers.

use std::time::Duration;

use lanspread_wire::limits::{CHUNK_BYTES_MAX, REQUEST_BYTES_MAX};

/// One request: small enough that no source queues much for one receiver, large enough that streams stay cheap.
pub const REQUEST_BYTES_AIMED: u64 = 1024 * 1024;

/// Chunks are taken from one aligned block of the content while it has any: reads at the source stay sequential.
pub const BLOCK_BYTES: u64 = 1024 * 1024;

/// Requests at one source at once; with a second game they still fit the streams that a peer accepts.
pub const REQUESTS_PER_SOURCE_MAX: usize = 8;

/// What may be asked for and not yet be written, over all sources: bounds memory and what a crash repeats.
pub const IN_FLIGHT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Buffers of one download that hold received bytes: permits of this sum travel with them.
pub const BUFFER_BYTES_MAX: u32 = 48 * 1024 * 1024;

/// Received chunks are handed to a worker in batches: one hand-over costs as much as hashing a small chunk.
pub const WRITE_BATCH_BYTES: u64 = 512 * 1024;

/// Writes of one request that may be under way while it reads on.
pub const WRITES_PER_REQUEST_MAX: usize = 2;

/// The window of a source that nothing is known of.
pub const WINDOW_BYTES_START: u64 = 256 * 1024;

/// Below this a window holds no whole chunk.
pub const WINDOW_BYTES_MIN: u64 = 64 * 1024;

/// With few sources each must have the next chunk queued while it sends one, or the line idles for a round trip.
pub const WINDOW_BYTES_MIN_FEW: u64 = 3 * WINDOW_BYTES_MIN;

/// Up to here sources are few.
pub const SOURCES_FEW_MAX: usize = 2;

/// Less is too little for a line of ten gigabits.
pub const WINDOW_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A window is what a source sends in this time: a short queue, so that sources can be changed quickly.
pub const WINDOW_TIME_MIN: Duration = Duration::from_millis(30);

/// … or in so many round trips, if that is longer.
pub const WINDOW_ROUND_TRIPS: u32 = 3;

/// How many free chunks are looked at to find a rare one: more gain nothing.
pub const PROBES: u32 = 64;

/// A source with open requests that sends nothing for so long is passed over, if another one can help.
pub const STALL_AFTER: Duration = Duration::from_millis(500);

/// A stalled source is not asked again for so long.
pub const STALL_REST: Duration = Duration::from_secs(4);

/// The end game looks at a chunk that has been outstanding for so long.
pub const END_GAME_AGE_MIN: Duration = Duration::from_millis(20);

/// The end game looks for second sources no more often than this.
pub const END_GAME_INTERVAL: Duration = Duration::from_millis(5);

/// A second source with more outstanding than this would not be faster than the first.
pub const END_GAME_OUTSTANDING_MAX: u64 = 4 * WINDOW_BYTES_MIN;

/// The rest of a source after its first refusal or broken answer; each further one in a row takes four times as long.
pub const FAILURE_REST: Duration = Duration::from_millis(250);

/// The longest rest of a source that keeps failing.
pub const FAILURE_REST_MAX: Duration = Duration::from_secs(30);

/// Failures in a row before a source counts as none until it announces itself anew.
pub const FAILURES_MAX: u32 = 6;

/// Window updates and rates are told to user interfaces no more often than this.
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
