//! Addresses of actors that survive their restarts.
//!
//! A supervisor owns the [`Slot`] and is the only one to write it; everyone else holds an [`Addr`].
//! There is no registry and no global name, so two nodes can live in one process.

use std::time::Duration;

use ractor::{ActorRef, Message, MessagingErr, RpcReplyPort, rpc::CallResult};
use tokio::sync::watch;

/// The write end of an address. Only the supervisor of the actor holds it.
pub struct Slot<M>(watch::Sender<Option<ActorRef<M>>>);

/// The read end: sends to whichever incarnation of the actor lives now.
pub struct Addr<M>(watch::Receiver<Option<ActorRef<M>>>);

/// Why a call had no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No incarnation lives at the moment; its supervisor is about to start one.
    #[error("the component is restarting")]
    Absent,
    /// It lives but did not answer before the deadline.
    #[error("the component did not answer in time")]
    Deadline,
    /// It died with the question unanswered.
    #[error("the component failed while it answered")]
    Died,
}

impl<M: Message> Slot<M> {
    /// An empty slot and its first reader.
    pub fn new() -> (Self, Addr<M>) {
        let (sender, receiver) = watch::channel(None);
        (Self(sender), Addr(receiver))
    }

    /// Publishes a new incarnation, or `None` while there is none.
    pub fn publish(&self, actor: Option<ActorRef<M>>) {
        self.0.send_replace(actor);
    }

    /// Another reader.
    pub fn addr(&self) -> Addr<M> {
        Addr(self.0.subscribe())
    }

    /// The incarnation published last.
    pub fn current(&self) -> Option<ActorRef<M>> {
        self.0.borrow().clone()
    }
}

impl<M> Clone for Addr<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Message> Addr<M> {
    /// An address at which nobody will ever be: for tests that leave a part out.
    pub fn nobody() -> Self {
        Slot::new().1
    }

    /// Sends `message` to the current incarnation, or hands it back if there is none.
    pub fn cast(&self, message: M) -> Result<(), M> {
        let current = self.0.borrow().clone();
        let Some(actor) = current else {
            return Err(message);
        };
        actor.cast(message).map_err(|error| match error {
            MessagingErr::SendErr(message) => message,
            MessagingErr::ChannelClosed | MessagingErr::InvalidActorType => {
                unreachable!("a typed reference cannot meet another message type")
            }
        })
    }

    /// Sends `message` if somebody is there; says in the log that it was dropped otherwise.
    ///
    /// For messages whose loss the receiver makes good when it restarts.
    pub fn tell(&self, message: M) {
        if self.cast(message).is_err() {
            tracing::debug!(actor = std::any::type_name::<M>(), "message dropped: no receiver");
        }
    }

    /// Asks a question with a deadline.
    pub async fn call<T: Send + 'static>(
        &self,
        build: impl FnOnce(RpcReplyPort<T>) -> M,
        deadline: Duration,
    ) -> Result<T, CallError> {
        let current = self.0.borrow().clone();
        let Some(actor) = current else {
            return Err(CallError::Absent);
        };
        match actor.call(build, Some(deadline)).await {
            Ok(CallResult::Success(answer)) => Ok(answer),
            Ok(CallResult::Timeout) => Err(CallError::Deadline),
            Ok(CallResult::SenderError) => Err(CallError::Died),
            Err(_) => Err(CallError::Absent),
        }
    }

    /// Resolves at the next change of incarnation; `false` when the supervisor is gone for good.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }

    /// The incarnation that lives now.
    pub fn current(&self) -> Option<ActorRef<M>> {
        self.0.borrow().clone()
    }
}
