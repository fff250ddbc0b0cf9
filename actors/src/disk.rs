//! The `Disk` actor: a lease per game root and a bounded pool of blocking workers.
//!
//! Owns: the lease table (who may change which game root, with a generation), the permits of the blocking pool, the queue of jobs.
//! Never: decides what to write; that is the job's business.

use lanspread_wire::GameId;

use crate::addr::Addr;

/// Messages of the `Disk` actor. Sent through [`DiskHandle`] only.
pub enum DiskMsg {}

/// The door to the blocking pool for everyone else. Cheap to clone; survives restarts of `Disk`.
#[derive(Clone)]
pub struct DiskHandle {
    addr: Addr<DiskMsg>,
}

/// The right to change one game root. Dropping it gives it back.
pub struct Lease {
    game: GameId,
}
