//! Takes from the child every right that decoding does not need. Must be called after the volumes
//! were opened and before the first of their bytes is read. It cannot be undone.

use std::io;

/// What held the process after [`confine`], for a test and for a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Memory, processor time, new files and core dumps are limited.
    pub limits: bool,
    /// The file system and the network are closed by the kernel.
    pub sandbox: bool,
}

/// Confines this process: no new file, socket or core dump, and bounds for memory and processor
/// time that fit an archive of this size. A limit that the system has and refuses is an error; a
/// sandbox that it does not have is not.
pub fn confine(archive_bytes: u64) -> io::Result<Confinement> {
    Ok(Confinement { sandbox: close_file_system()?, limits: set_limits(archive_bytes)? })
}

#[cfg(unix)]
fn set_limits(archive_bytes: u64) -> io::Result<bool> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::limits::{CHILD_ADDRESS_BYTES, child_time};

    let set = |resource: Resource, wanted: u64| -> io::Result<()> {
        let before = getrlimit(resource);
        let value = before.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        let limit = Rlimit { current: Some(value), maximum: Some(value) };
        Ok(setrlimit(resource, limit)?)
    };
    set(Resource::Core, 0)?;
    set(Resource::Fsize, 0)?;
    set(Resource::Cpu, child_time(archive_bytes).as_secs())?;
    // Not every Unix has a limit of the address space that works.
    #[cfg(target_os = "linux")]
    set(Resource::As, CHILD_ADDRESS_BYTES)?;
    #[cfg(not(target_os = "linux"))]
    set(Resource::As, CHILD_ADDRESS_BYTES).ok();
    // What is open stays open; nothing new can be opened, connected or duplicated.
    set(Resource::Nofile, 0)?;
    Ok(true)
}

#[cfg(not(unix))]
fn set_limits(_archive_bytes: u64) -> io::Result<bool> {
    Ok(false)
}

/// Whether the kernel enforces it. No rule is added: the volumes are open already, so not even
/// they can be opened again.
#[cfg(target_os = "linux")]
fn close_file_system() -> io::Result<bool> {
    use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};

    let abi = ABI::V7;
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(|rules| rules.scope(Scope::from_all(abi)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.restrict_self())
        .map_err(io::Error::other)?;
    Ok(restricted.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(not(target_os = "linux"))]
fn close_file_system() -> io::Result<bool> {
    Ok(false)
}
