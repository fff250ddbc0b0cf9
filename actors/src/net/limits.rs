//! Every number of the transport and of discovery, each with its reason. Nothing else: no code
//! reads the environment to change one, and no comment elsewhere repeats one.

use std::time::Duration;

use lanspread_wire::limits::{ADDRESSES_MAX, FRAME_BYTES_MAX};

// ---- connections ----

/// Connections open at once, dialled and accepted together. One broadcast domain of a party is
/// smaller; past it a node would spend its time on keep-alives.
pub const CONNECTIONS_MAX: usize = 256;

/// Accepted connections from one address of another machine. One is enough for one node; the rest
/// leaves room for several users behind one address and for a redial that overtakes its end.
pub const CONNECTIONS_PER_IP_MAX: usize = 4;

/// Handshakes with sources that have not shown that they receive what we send. Past it a source
/// must first echo a token, which costs us no state.
pub const HANDSHAKES_UNVALIDATED_MAX: usize = 64;

/// Handshakes in progress at all. Past it the datagram is dropped: answering would help a flood.
pub const HANDSHAKES_MAX: usize = 256;

/// Bytes kept of one incoming attempt until the accept loop has looked at it: the first flight of
/// an honest dialler is two datagrams.
pub const INCOMING_BUFFER_BYTES_MAX: u64 = 64 * 1024;

/// The same for all attempts together.
pub const INCOMING_BUFFER_TOTAL_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// From the first datagram to a proved identity. A handshake takes milliseconds; this leaves room
/// for several lost flights.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// Dials in flight at once, for whoever dials. More of them overflow the default socket buffer of
/// most systems, and then all of them wait for retransmissions.
pub const DIALS_IN_FLIGHT_MAX: usize = 8;

// ---- streams and windows ----

/// Request streams that one peer may have open towards us.
pub const REQUEST_STREAMS_MAX: u32 = 16;

/// Bidirectional streams a peer may open: its requests and, by the dialler, the control stream.
pub const STREAMS_MAX: u32 = REQUEST_STREAMS_MAX + 1;

/// Bytes a peer may send on one stream before we have read them. It fills gigabit Ethernet many
/// times over at the round trips of a LAN, and it is what brakes a transfer.
pub const STREAM_WINDOW_BYTES: u32 = 512 * 1024;

/// Bytes a peer may send on all its streams before we have read them, as long as it is no source of
/// a running download. Times [`CONNECTIONS_MAX`] it bounds what hostile peers can make us hold.
pub const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// The same for a source of a running download (see [`crate::net::endpoint::widen`]): every stream
/// at its full window, and every request of its own. It must never be what brakes: then whoever is
/// served last waits longest, and the control stream stands still for seconds behind the bulk.
pub const SOURCE_WINDOW_BYTES: u32 =
    STREAMS_MAX * STREAM_WINDOW_BYTES + REQUEST_STREAMS_MAX * FRAME_BYTES_MAX as u32;

/// Bytes we keep for one peer until it has acknowledged them. As large as the window of the other
/// side, so that the sender's own limit never brakes either.
pub const SEND_WINDOW_BYTES: u64 = SOURCE_WINDOW_BYTES as u64;

/// Priority of the control stream: above everything else on the connection.
pub const PRIORITY_CONTROL: i32 = 10;

/// Priority of a manifest: a user waits for it.
pub const PRIORITY_MANIFEST: i32 = 0;

/// Priority of chunks. Priorities are strict, so the bulk must be the lowest.
pub const PRIORITY_BULK: i32 = -10;

// ---- time ----

/// A connection on which nothing was heard for so long is lost. After a cut QUIC may need as long
/// as the cut lasted to notice that it is over, so a new dial after a short time-out is quicker.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(8);

/// The dialler shows that it is there this often; several may be lost before [`IDLE_TIMEOUT`].
/// Only one side does it: that halves the traffic of an idle party.
pub const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// The round trip assumed before one was measured. A lost first datagram is sent again after three
/// of them; the standard's assumption is made for the Internet and costs a second here.
pub const ROUND_TRIP_ASSUMED: Duration = Duration::from_millis(50);

/// How long the end of the endpoint waits for its connections to drain. The close frames leave at
/// once; waiting only answers those who did not get theirs.
pub const GOODBYE_DEADLINE: Duration = Duration::from_millis(250);

// ---- datagrams ----

/// Bytes of the largest datagram that path discovery tries. One system call sends up to
/// [`SEGMENTS_PER_CALL`] of them and must stay below [`DATAGRAM_BATCH_BYTES_MAX`]: above it the
/// system refuses the call, the library swallows that, and the connection stalls for ever.
pub const DATAGRAM_BYTES_MAX: u16 = 6_500;

/// Segments the QUIC library hands to the system in one call (a private constant of it).
pub const SEGMENTS_PER_CALL: usize = 10;

/// Bytes of the largest UDP payload over IPv4.
pub const DATAGRAM_BATCH_BYTES_MAX: usize = 65_507;

/// What we ask of the system for each direction of the socket. A burst of handshakes or of bulk at
/// full speed overflows what most systems give without asking.
pub const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// The smallest port of a listener that we believe: below are the services of the system, and
/// nobody shall be able to point a party at them.
pub const PORT_MIN: u16 = 1024;

/// How long a restarted endpoint tries to get its port back: the connections of its predecessor
/// hold the socket until they have drained, which takes three probe time-outs.
pub const REBIND_DEADLINE: Duration = Duration::from_millis(1_500);

/// Pause between two tries to get the port back. The system tells no event for a port that falls
/// free.
pub const REBIND_PAUSE: Duration = Duration::from_millis(20);

/// How often the addresses of the network interfaces are read. A new address is announced within
/// two of these.
pub const ADDRESS_CHECK_EVERY: Duration = Duration::from_secs(4);

// ---- discovery ----

/// Instances of the service remembered at once. A party has fewer; a flood of forged ones must not
/// grow us.
pub const INSTANCES_MAX: usize = 512;

/// Addresses believed of one instance.
pub const ADDRESSES_PER_INSTANCE_MAX: usize = ADDRESSES_MAX;

/// Sightings between the network side and the actor.
pub const SIGHTINGS_IN_FLIGHT_MAX: usize = 64;

/// Sightings passed on at once: a whole party that is there when we come.
pub const SIGHTINGS_BURST_MAX: u32 = 256;

/// Pause before each further sighting once the burst is used up. The receiver's mailbox has no
/// bound of its own.
pub const SIGHTING_PAUSE: Duration = Duration::from_millis(10);

/// All instances that are remembered are told again this often, without any packet: whoever forgot
/// a peer or failed to reach it gets another chance.
pub const SIGHTINGS_REPEAT_EVERY: Duration = Duration::from_secs(30);

/// Bytes of a TXT record that we read. Ours is half as long.
pub const TXT_BYTES_MAX: usize = 200;

/// Pointer records in the cache of the mDNS daemon, which has no bound of its own. Past it the
/// daemon is replaced by a new one with an empty cache.
pub const MDNS_CACHE_POINTERS_MAX: i64 = 4_096;

/// How often the cache is measured.
pub const MDNS_CACHE_CHECK_EVERY: Duration = Duration::from_secs(1);

/// The daemon is replaced at most this often.
pub const MDNS_RECYCLE_PAUSE: Duration = Duration::from_secs(10);

/// Times that somebody else may claim the name of our instance before we take a new random one.
pub const MDNS_RENAMES_MAX: u32 = 10;

/// How long the withdrawal of our advert may take to leave.
pub const MDNS_WITHDRAW_DEADLINE: Duration = Duration::from_millis(150);

/// The daemon answers a question within milliseconds unless it is flooded.
pub const MDNS_ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// The daemon must have announced us at least once by then; else no interface works for it.
pub const MDNS_ANNOUNCE_DEADLINE: Duration = Duration::from_secs(10);

/// Notes about ignored announcements are told at most this often.
pub const IGNORED_NOTE_EVERY: Duration = Duration::from_secs(10);

/// Saying again what we are costs every host of the party a packet.
pub const REFRESH_PAUSE: Duration = Duration::from_secs(10);

/// After this long without any other node the user is told what may be in the way.
pub const QUIET_HINT_AFTER: Duration = Duration::from_secs(60);

// ---- the accept loop ----

/// Refused connections told to the user at once, and then one per [`REJECTION_PAUSE`]; the rest is
/// only counted.
pub const REJECTIONS_BURST_MAX: u32 = 16;

/// See [`REJECTIONS_BURST_MAX`].
pub const REJECTION_PAUSE: Duration = Duration::from_secs(2);

/// Counts of turned-away attempts are passed on this long after the first.
pub const COUNTS_FLUSH_AFTER: Duration = Duration::from_millis(500);

// ---- the group of actors ----

/// Restarts of one actor of the group within [`RESTARTS_WINDOW`]; past it something is wrong that a
/// restart does not cure.
pub const RESTARTS_MAX: usize = 5;

/// See [`RESTARTS_MAX`].
pub const RESTARTS_WINDOW: Duration = Duration::from_secs(60);

/// The first restart is after this; each further one within the window waits twice as long.
pub const RESTART_DELAY: Duration = Duration::from_millis(50);

/// How long a child may take to stop in order before it is killed.
pub const STOP_DEADLINE: Duration = Duration::from_millis(400);

/// How long `Peers` may take to say goodbye to everybody.
pub const FAREWELL_DEADLINE: Duration = Duration::from_millis(150);

/// Discovery that was given up is tried again after this: the port or the interface it lacked may
/// be there again, and nobody else would notice.
pub const DISCOVERY_RETRY_AFTER: Duration = Duration::from_secs(120);

// A call with every segment at its largest still fits into one UDP payload.
const _: () = assert!(DATAGRAM_BYTES_MAX as usize * SEGMENTS_PER_CALL <= DATAGRAM_BATCH_BYTES_MAX);
// Beside a manifest or two there is room for the control stream also without widening.
const _: () = assert!(3 * STREAM_WINDOW_BYTES < CONNECTION_WINDOW_BYTES);
// All peers together cannot make us hold more than half a gigabyte.
const _: () = assert!(CONNECTIONS_MAX as u64 * CONNECTION_WINDOW_BYTES as u64 <= 512 * 1024 * 1024);
// The end of the network fits into what the node gives it, and so does the withdrawal.
const _: () = assert!(
    FAREWELL_DEADLINE.as_millis() + GOODBYE_DEADLINE.as_millis()
        < crate::limits::node::GOODBYE_DEADLINE.as_millis()
);
const _: () = assert!(
    MDNS_WITHDRAW_DEADLINE.as_millis() < crate::limits::node::WITHDRAW_DEADLINE.as_millis()
);
// Losing two keep-alives in a row must not lose the connection.
const _: () = assert!(KEEP_ALIVE.as_millis() * 3 < IDLE_TIMEOUT.as_millis());
