//! The system calls that are left to the child: to read what is open, to write to what is open,
//! to get memory that cannot be executed, and to end. Everything else fails as forbidden, which
//! also closes what the other walls leave open, such as changing permissions by path.

use std::io;

/// Forbids every other system call for the rest of this process. Whether the kernel enforces it:
/// some kernels and processors have no filter, which is no error.
#[cfg(target_os = "linux")]
pub(super) fn restrict() -> io::Result<bool> {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Ok(false);
    };
    let forbidden = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter = SeccompFilter::new(rules()?, forbidden, SeccompAction::Allow, arch);
    let program: BpfProgram = filter.and_then(TryInto::try_into).map_err(io::Error::other)?;
    match seccompiler::apply_filter(&program) {
        Ok(()) => Ok(true),
        // The kernel was built without filters.
        Err(seccompiler::Error::Seccomp(error))
            if error.raw_os_error() == Some(libc::EINVAL)
                || error.raw_os_error() == Some(libc::ENOSYS) =>
        {
            Ok(false)
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn restrict() -> io::Result<bool> {
    Ok(false)
}

#[cfg(target_os = "linux")]
type Rules = std::collections::BTreeMap<i64, Vec<seccompiler::SeccompRule>>;

#[cfg(target_os = "linux")]
fn rules() -> io::Result<Rules> {
    use seccompiler::{
        SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition as Condition, SeccompRule as Rule,
    };

    let mut rules: Rules = FREE.iter().map(|call| (*call, Vec::new())).collect();
    let not_executable = SeccompCmpOp::MaskedEq(u64::from(libc::PROT_EXEC.cast_unsigned()));
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let condition = Condition::new(2, Dword, not_executable.clone(), 0);
        let rule = condition.and_then(|condition| Rule::new(vec![condition]));
        rules.insert(call, vec![rule.map_err(io::Error::other)?]);
    }
    // A process that gives up sends itself a signal; it must not send any to another one.
    let own = u64::from(std::process::id());
    for call in [libc::SYS_tgkill, libc::SYS_kill] {
        let condition = Condition::new(0, Dword, SeccompCmpOp::Eq, own);
        let rule = condition.and_then(|condition| Rule::new(vec![condition]));
        rules.insert(call, vec![rule.map_err(io::Error::other)?]);
    }
    Ok(rules)
}

/// Calls without a condition. They work on what is open or on the process itself.
#[cfg(target_os = "linux")]
const FREE: &[i64] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_close,
    libc::SYS_brk,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_sched_yield,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];
