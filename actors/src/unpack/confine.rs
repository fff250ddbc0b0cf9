//! Takes from the child every right that decoding does not need. Must be called after the volumes
//! were opened and before the first of their bytes is read. It cannot be undone.

use std::io;

use super::{calls, detect::Format};

/// What holds the process after [`confine`], for a test and for a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Memory, processor time, new files and core dumps are limited.
    pub limits: bool,
    /// The kernel closes the file system and the network.
    pub sandbox: bool,
    /// The kernel refuses every system call that decoding does not need.
    pub calls: bool,
}

/// Confines this process: no new file, socket or core dump, no system call but a few, and bounds
/// for memory and processor time that fit an archive of this format and size. A limit that the
/// system has and refuses is an error; a sandbox that it does not have is not.
pub fn confine(format: Format, archive_bytes: u64) -> io::Result<Confinement> {
    Ok(Confinement {
        sandbox: close_file_system()?,
        limits: set_limits(format, archive_bytes)?,
        calls: calls::restrict()?,
    })
}

#[cfg(unix)]
fn set_limits(format: Format, archive_bytes: u64) -> io::Result<bool> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::limits::{child_address_bytes, child_time};

    let set = |resource: Resource, wanted: u64| -> io::Result<()> {
        let before = getrlimit(resource);
        let value = before.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        let limit = Rlimit { current: Some(value), maximum: Some(value) };
        Ok(setrlimit(resource, limit)?)
    };
    set(Resource::Core, 0)?;
    set(Resource::Fsize, 0)?;
    set(Resource::Cpu, child_time(archive_bytes).as_secs())?;
    let address_bytes = child_address_bytes(format, archive_bytes);
    // Not every Unix has a limit of the address space that works.
    #[cfg(target_os = "linux")]
    set(Resource::As, address_bytes)?;
    #[cfg(not(target_os = "linux"))]
    set(Resource::As, address_bytes).ok();
    // What is open stays open; nothing new can be opened, connected or duplicated.
    set(Resource::Nofile, 0)?;
    Ok(true)
}

#[cfg(not(unix))]
fn set_limits(_format: Format, _archive_bytes: u64) -> io::Result<bool> {
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
