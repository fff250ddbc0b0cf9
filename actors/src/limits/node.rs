//! Limits of the node, of commands, of events and of the settings.

use std::time::Duration;

/// A part that fails so often in [`RESTARTS_WINDOW`] is broken, not unlucky.
pub const RESTARTS_MAX: usize = 5;

/// How far back failures count; a LAN party lasts days, yesterday's failure says nothing.
pub const RESTARTS_WINDOW: Duration = Duration::from_secs(60);

/// The wait before the first restart; doubles with each further one in the window.
pub const RESTART_DELAY: Duration = Duration::from_millis(50);

/// The whole of a shutdown: a user who closes the window must not wonder.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(2);

/// Discovery withdraws its advert with one packet.
pub const WITHDRAW_DEADLINE: Duration = Duration::from_millis(200);

/// Operations stop at the next chunk boundary and save their progress.
pub const PARK_DEADLINE: Duration = Duration::from_millis(700);

/// The goodbye is a courtesy; the endpoint may wait for its delivery this long.
pub const GOODBYE_DEADLINE: Duration = Duration::from_millis(500);

/// Index, settings and running disk jobs at the end.
pub const FLUSH_DEADLINE: Duration = Duration::from_millis(200);

/// One child that is told to stop and has nothing left to do.
pub const STOP_DEADLINE: Duration = Duration::from_millis(100);

/// What of the whole is kept for the very end: the last snapshot, the last records.
pub const STOP_RESERVE: Duration = Duration::from_millis(300);

const _: () = assert!(
    WITHDRAW_DEADLINE.as_millis()
        + PARK_DEADLINE.as_millis()
        + GOODBYE_DEADLINE.as_millis()
        + STOP_RESERVE.as_millis()
        < SHUTDOWN_DEADLINE.as_millis()
);

/// A component that answers a question from its own memory.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Dialling by hand: connecting, both proofs, the first library.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// Another games folder is probed, recovered and scanned; it may lie on a slow disk.
pub const SET_GAMES_DIR_DEADLINE: Duration = Duration::from_secs(120);

/// `add` copies a whole game, maybe from a USB stick.
pub const ADD_DEADLINE: Duration = Duration::from_secs(12 * 60 * 60);

/// The longest a script may let a node wait for peers.
pub const WAIT_PEERS_SECONDS_MAX: u64 = 24 * 60 * 60;

/// Events a slow reader may lag behind before it is told that it missed some (F27).
pub const EVENTS_BUFFERED_MAX: usize = 1024;

/// Events held back until `ready` was told, which is the first one.
pub const EVENTS_HELD_MAX: usize = 1024;

/// How often the snapshot is looked at for what changes without a message: uploads, round trips.
pub const VIEW_TICK: Duration = Duration::from_secs(1);

/// Settings are a few lines; a larger file is damaged and is not read.
pub const SETTINGS_BYTES_MAX: u64 = 64 * 1024;
