//! A full disk in the middle of a download: a pause, not a loss (R7).

use std::time::Duration;

use super::{Engine, EngineError, EngineEvent};
use crate::{
    api::ErrorCode,
    game_op::{
        planner::{End, RequestId},
        writer::{Pool, ShelfError},
    },
    limits::transfer::{SPACE_BYTES_MIN, SPACE_LOOK_INTERVAL, SPACE_WAIT_MAX},
};

/// Whether there is room on the disk.
#[derive(Debug, Default)]
pub(super) enum Space {
    #[default]
    Enough,
    /// Nothing is fetched until somebody makes space.
    Short { since: Duration, look_at: Duration, error: ShelfError },
}

impl Space {
    pub(super) fn is_short(&self) -> bool {
        matches!(self, Self::Short { .. })
    }

    pub(super) fn wake_at(&self) -> Option<Duration> {
        match self {
            Self::Enough => None,
            Self::Short { look_at, .. } => Some(*look_at),
        }
    }
}

impl<P: Pool> Engine<'_, P> {
    /// A full disk pauses the download, any other failure ends it.
    pub(super) fn on_shelf_failed(&mut self, error: ShelfError) -> Result<(), EngineError> {
        if error.code != ErrorCode::DiskFull {
            return Err(EngineError::Shelf(error));
        }
        if self.space.is_short() {
            return Ok(());
        }
        tracing::warn!(game = %self.target.game, %error, "the disk is full: the download waits");
        let now = self.now();
        // Space that turns out to be none does not begin the wait anew; a chunk that fits does.
        let since = *self.short_since.get_or_insert(now);
        self.space = Space::Short { since, look_at: now + SPACE_LOOK_INTERVAL, error };
        let running: Vec<RequestId> = self.running.keys().copied().collect();
        self.give_up(&running);
        for request in running {
            self.planner.ended(now, request, End::Withdrawn);
        }
        Ok(())
    }

    /// Looks whether somebody has made space, and gives up after a while.
    pub(super) fn look_for_space(&mut self, now: Duration) -> Result<(), EngineError> {
        let Space::Short { since, look_at, error } = &mut self.space else {
            return Ok(());
        };
        if now < *look_at {
            return Ok(());
        }
        if now >= *since + SPACE_WAIT_MAX {
            return Err(EngineError::Shelf(error.clone()));
        }
        *look_at = now + SPACE_LOOK_INTERVAL;
        let (workshop, events) = (self.workshop.clone(), self.events_sender.clone());
        self.helpers.spawn(async move {
            events.send(EngineEvent::Space(workshop.bytes_free().await)).await.ok();
        });
        Ok(())
    }

    pub(super) fn on_space(
        &mut self,
        free: Result<Option<u64>, ShelfError>,
    ) -> Result<(), EngineError> {
        let free = free.map_err(EngineError::Shelf)?;
        let total = self.target.manifest.bytes_total();
        let missing = total.saturating_sub(self.target.bytes_of(self.stock.done().iter()));
        // A system that does not tell is tried.
        if free.is_none_or(|free| free >= missing.min(SPACE_BYTES_MIN)) {
            self.space = Space::Enough;
        }
        Ok(())
    }
}
