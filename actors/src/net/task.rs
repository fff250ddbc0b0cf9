//! Tasks that always report their end to the actor that owns them, also when they panic.

use std::{any::Any, panic::AssertUnwindSafe};

use futures::FutureExt;
use ractor::{ActorRef, Message};
use tokio::task::JoinSet;

/// Runs `work` on `tasks`; when it ends, `actor` is sent what `report` makes of its result, or of
/// the text of its panic. Aborted with the set, and then it reports nothing.
pub(crate) fn spawn_reporting<T, M>(
    tasks: &mut JoinSet<()>,
    actor: &ActorRef<M>,
    work: impl Future<Output = T> + Send + 'static,
    report: impl FnOnce(Result<T, String>) -> M + Send + 'static,
) where
    T: Send + 'static,
    M: Message,
{
    let actor = actor.clone();
    tasks.spawn(async move {
        let result = AssertUnwindSafe(work).catch_unwind().await.map_err(panic_text);
        if actor.cast(report(result)).is_err() {
            tracing::debug!("the owner of a task ended before it");
        }
    });
    // What has ended is not kept.
    while tasks.try_join_next().is_some() {}
}

fn panic_text(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}
