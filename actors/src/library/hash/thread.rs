//! One thread of the lowest priority for one piece of work, joined by whoever waits for it. A
//! thread of its own because a priority once given up cannot be had back, and the threads of the
//! runtime are needed for better things.

use std::any::Any;

use crate::limits::library::HASH_NICENESS;

/// Runs `work` on a thread of the lowest priority and waits for it. `Err` is what it said when it
/// panicked, or why there is no thread.
pub(crate) fn run_low<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        lower_priority();
        work()
    });
    let thread = thread.map_err(|error| format!("no thread: {error}"))?;
    thread.join().map_err(|panic| panic_text(&*panic))
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "panicked".to_owned())
}

/// On Linux the priority is one of the thread; elsewhere it would be that of the whole program.
#[cfg(target_os = "linux")]
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, HASH_NICENESS) {
        tracing::debug!(%error, "hashing runs at normal priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {
    tracing::trace!(HASH_NICENESS, "hashing runs at normal priority");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_comes_back_and_a_panic_is_told() {
        assert_eq!(run_low("t", || 5), Ok(5));
        assert_eq!(run_low("t", || panic!("on {}", 1)), Err::<(), _>("on 1".to_owned()));
        assert_eq!(run_low("t", || panic!("plain")), Err::<(), _>("plain".to_owned()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_the_thread_itself_becomes_slow() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        assert_eq!(run_low("t", nice), Ok(HASH_NICENESS));
        assert_eq!(nice(), before);
    }
}
