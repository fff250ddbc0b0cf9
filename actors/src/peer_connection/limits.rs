//! The limits of finding peers and of talking to one, each with its reason. What a single message
//! may hold is limited in `lanspread_wire::limits`; the windows and stream counts of QUIC belong to
//! the endpoint.

use std::time::Duration;

// ---- The session ----

/// From the first byte of a connection to the other side's greeting. A LAN answers within
/// milliseconds; whoever holds a connection open without a word holds memory.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(5);

/// From the greeting to the last page of the other side's library: the largest library over the
/// slowest link that is still of use, twice.
pub const LIBRARY_DEADLINE: Duration = Duration::from_secs(40);

/// A frame that was begun must end within this time; a peer that drips single bytes is let go.
pub const FRAME_DEADLINE: Duration = Duration::from_secs(10);

/// Nothing heard for this long: ask for a sign of life.
pub const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Nothing heard for this long although asked: the program at the other end is gone or stuck.
/// Longer than the idle timeout of QUIC, which finds dead hosts; this one finds dead programs.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);

/// We wrote and the peer took nothing for this long: it does not read any more.
pub const SEND_PROGRESS_DEADLINE: Duration = Duration::from_secs(20);

/// Changes of the library within this time travel as one: a scan publishes many in a row.
pub const DELTA_BATCH: Duration = Duration::from_millis(250);

/// A peer whose changes do not fit ours is asked for its whole library at most this often.
pub const SNAPSHOT_ASK_INTERVAL: Duration = Duration::from_secs(5);

/// The answer to a lost probe or greeting that nobody asked for: more than this many and the peer
/// is not sane.
pub const UNASKED_MAX: u32 = 10;

/// Control messages of one peer that may wait for its session at once; beyond it nothing more is
/// read from its stream.
pub const CONTROL_IN_FLIGHT_MAX: usize = 64;

/// Control messages a second of one peer, on average. Honest peers send a few.
pub const CONTROL_RATE: u32 = 200;

/// Control messages that may come at once: all pages of the largest library with room to spare.
pub const CONTROL_BURST: u32 = 400;

/// What one change of a library counts against [`CONTROL_RATE`]: applying it costs a hash over the
/// whole library.
pub const DELTA_COST: u32 = 10;

/// Frames that may wait for the writer. Each answer to a peer's message keeps the credit of that
/// message until it is written, so these are all of them, and a few frames of our own making. A
/// peer that lets more of those pile up is not reading.
pub const WRITER_QUEUE_MAX: usize = CONTROL_IN_FLIGHT_MAX + 16;

// ---- Requests ----

/// From opening a request stream to the first frame of the answer. The server may let us wait for
/// an upload slot meanwhile.
pub const RESPONSE_DEADLINE: Duration = Duration::from_secs(10);

/// No byte of a running answer for this long: the request is given up. Planners that know the usual
/// rate give up earlier.
pub const BODY_PROGRESS_DEADLINE: Duration = Duration::from_secs(20);

/// A request must arrive whole within this time.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// Uploads to one peer at once. More streams bring nothing on one connection, and the others want
/// some too.
pub const UPLOADS_PER_PEER_MAX: usize = 4;

/// Uploads of the whole node at once: bounds the memory of read-ahead and the disk's seeks.
pub const UPLOADS_MAX: usize = 16;

/// A request waits this long for an upload slot before it is refused: below [`RESPONSE_DEADLINE`],
/// so that the refusal arrives.
pub const UPLOAD_WAIT: Duration = Duration::from_secs(8);

/// What one read of a served file takes: large enough to cost little, small enough to stay in the
/// processor's cache.
pub const PIECE_BYTES: usize = 256 * 1024;

/// Pieces of one upload that are read ahead of the network.
pub const PIECES_AHEAD: usize = 4;

/// Streams that a peer may abort within [`RESETS_WINDOW`]; cancelled downloads abort a handful.
pub const RESETS_MAX: usize = 200;
/// See [`RESETS_MAX`].
pub const RESETS_WINDOW: Duration = Duration::from_secs(10);

/// Manifests that are kept loaded for serving: the games of a party that are asked for at the same
/// time.
pub const SERVED_GAMES_MAX: usize = 32;

/// The loaded manifests together, as they lie in memory.
pub const SERVED_BYTES_MAX: usize = 128 * 1024 * 1024;

// ---- Who is there ----

/// Peers that were only heard of. Anybody can invent names on a LAN.
pub const CANDIDATES_MAX: usize = 512;

/// Peers that proved their key in this run and are remembered while they are away: as many as can
/// be connected.
pub const KNOWN_PEERS_MAX: usize = 256;

/// Handshakes with one peer at once: its dial and ours may cross, and one may be left over from
/// before.
pub const GREETINGS_PER_PEER_MAX: usize = 3;

/// Dials a second.
pub const DIAL_RATE: u32 = 20;

/// Dials by hand that wait for their turn or their answer.
pub const DIALS_BY_HAND_MAX: usize = 16;

/// Dials under way at once of peers that were tried in vain since they were last heard of. They
/// mostly lead nowhere and then take their whole time; the other half is for those with more hope.
pub const PATIENT_DIALS_MAX: usize = crate::net::limits::DIALS_IN_FLIGHT_MAX / 2;

/// How long a dial may take at an address that has proved nothing. A LAN answers at once, and a
/// flood of inventions must not keep real peers waiting for their turn.
pub const STRANGER_PATIENCE: Duration = Duration::from_secs(2);

/// How long a dial may take at an address where the peer was before: several packets in a row may
/// be lost.
pub const KNOWN_PATIENCE: Duration = Duration::from_secs(4);

/// The next address of a peer is tried beside the first after this time, as an address may lead
/// nowhere.
pub const DIAL_STAGGER: Duration = Duration::from_millis(300);

/// The peer with the higher id waits this long for the dial of the other before it dials itself.
pub const DIAL_GRACE: Duration = Duration::from_secs(1);

/// An address that has not proved anything is dialled at most this often, whoever is said to be
/// there: else a few forged announcements make the whole party knock at a third machine.
pub const UNPROVED_DIAL_INTERVAL: Duration = Duration::from_secs(30);

/// Failures after which such an address is left alone for [`UNPROVED_DIAL_PAUSE`].
pub const UNPROVED_FAILURES_MAX: u32 = 3;
/// See [`UNPROVED_FAILURES_MAX`].
pub const UNPROVED_DIAL_PAUSE: Duration = Duration::from_secs(600);

/// Addresses whose failures are remembered.
pub const ADDRESS_BOOK_MAX: usize = 4_096;

/// A peer that proved to be someone else at an address is not looked for there for this long.
pub const WRONG_ID_PAUSE: Duration = Duration::from_secs(60);

/// A peer of another version, or one that refused us for good, is not dialled for this long.
pub const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// The first pause before a lost peer is dialled again; it doubles with each failure.
pub const REDIAL_FIRST: Duration = Duration::from_millis(250);

/// The longest pause for a peer lost a moment ago: its program or its switch is starting again.
pub const REDIAL_SOON_MAX: Duration = Duration::from_secs(2);
/// How long a loss counts as a moment ago.
pub const REDIAL_SOON: Duration = Duration::from_secs(60);

/// The longest pause for a peer lost a while ago: a cut link that heals must be noticed within ten
/// seconds.
pub const REDIAL_LATER_MAX: Duration = Duration::from_secs(6);
/// How long a loss counts as a while ago.
pub const REDIAL_LATER: Duration = Duration::from_secs(1_800);

/// The pause for a peer that said goodbye, or that has been away for long.
pub const REDIAL_RARELY: Duration = Duration::from_secs(60);

/// After its goodbye a peer is not dialled for this long even if it is announced: the announcement
/// is an old one.
pub const GOODBYE_QUIET: Duration = Duration::from_secs(2);

/// The older of two connections must answer within this time, else the newer one replaces it.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(1);

/// A peer that closed a connection for a better one has this long to bring the better one up.
pub const SUCCESSOR_DEADLINE: Duration = Duration::from_secs(5);

/// The same rejection of the same address is told once in this time.
pub const REJECTION_INTERVAL: Duration = Duration::from_secs(60);

/// Rejections that are remembered for that.
pub const REJECTIONS_MAX: usize = 256;

/// The libraries of all peers together, connected or remembered, as they lie in memory.
pub const REMOTE_LIBRARIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a game of a remote library costs beside its texts.
pub const REMOTE_GAME_OVERHEAD_BYTES: usize = 256;

/// The file that remembers peers over restarts: all of them with all their addresses.
pub const ACQUAINTANCES_BYTES_MAX: u64 = 512 * 1024;

/// From a new peer to writing it down: a party comes all at once.
pub const ACQUAINTANCES_PAUSE: Duration = Duration::from_secs(3);

/// How long the connections may take to end at a goodbye.
pub const GOODBYE_DEADLINE: Duration = Duration::from_millis(300);

// A refusal for want of a slot must arrive before the asker gives up.
const _: () = assert!(UPLOAD_WAIT.as_millis() < RESPONSE_DEADLINE.as_millis());
// One ping at least must be answered or lost before a peer counts as silent.
const _: () = assert!(2 * PING_INTERVAL.as_millis() < SILENCE_MAX.as_millis());
// A whole library fits the burst: every page but the last holds more than half a frame, since the
// largest game does.
const _: () = assert!(
    2 * lanspread_wire::limits::SNAPSHOT_BYTES_MAX / lanspread_wire::limits::FRAME_BYTES_MAX
        < CONTROL_BURST as usize
);
// A chunk of the largest size is a few pieces.
const _: () = assert!(PIECE_BYTES <= lanspread_wire::limits::CHUNK_BYTES_MAX as usize);
