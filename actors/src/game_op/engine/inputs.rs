//! What the engine does about what its tasks tell it.

use tokio::task::JoinError;

use super::{Engine, EngineError, EngineEvent, resume_panic};
use crate::{
    api::Event,
    game_op::{
        feed::SourceError,
        planner::{Delivery, End, RequestId},
        writer::{Pool, ShelfError},
    },
    limits::transfer::{DISK_SILENCE, ROUND_TRIP_INTERVAL, SAVE_INTERVAL},
};
use lanspread_wire::{PeerId, Refusal};

impl<P: Pool> Engine<'_, P> {
    pub(super) fn on_event(&mut self, event: EngineEvent) -> Result<(), EngineError> {
        match event {
            EngineEvent::Written { request, peer, chunks } => {
                for (chunk, is_right) in chunks {
                    self.on_chunk(request, peer, chunk, is_right);
                }
            }
            EngineEvent::ShelfFailed(error) => self.on_shelf_failed(error)?,
            EngineEvent::Reused(found) => self.on_reused(found)?,
            EngineEvent::Kept { file } => self.on_kept(file),
            EngineEvent::Copied { twin, result } => self.on_copied(twin, result)?,
            EngineEvent::Saved(result) => self.on_saved(result)?,
            EngineEvent::Space(free) => self.on_space(free)?,
        }
        Ok(())
    }

    /// A request ended by itself. Whatever it brought was told before.
    pub(super) fn on_fetched(
        &mut self,
        ended: Result<(RequestId, Result<(), SourceError>), JoinError>,
    ) {
        let (request, result) = match ended {
            Ok(ended) => ended,
            Err(error) => return resume_panic(Some(error)),
        };
        let Some(running) = self.running.remove(&request) else {
            return;
        };
        let now = self.now();
        let end = match result {
            Ok(()) => End::Complete,
            Err(error) => {
                let peer = running.peer;
                let game = &self.target.game;
                tracing::debug!(%game, peer = %peer.short(), %error, "a request failed");
                if matches!(error, SourceError::Lost(_)) {
                    // It stays announced until the feed says otherwise: not asked, not joined anew.
                    let dropped = self.planner.source_left(peer);
                    self.give_up(&dropped);
                    return;
                }
                end_of(&error)
            }
        };
        self.planner.ended(now, request, end);
    }

    /// What time alone brings.
    pub(super) fn tick(&mut self) -> Result<(), EngineError> {
        let now = self.now();
        for running in self.running.values() {
            self.planner.heard(running.beat.heard_at(now), running.peer);
        }
        let silent = self.planner.tick(now);
        self.give_up(&silent);
        if now >= self.round_trips_at + ROUND_TRIP_INTERVAL {
            self.round_trips_at = now;
            for (peer, announced) in &self.announced {
                self.planner.round_trip(*peer, announced.source.round_trip());
            }
        }
        self.look_for_space(now)?;
        self.look_for_silence();
        let saving = &self.saving;
        let is_due = saving.bytes_unsaved >= self.save_bytes()
            || (saving.bytes_unsaved > 0 && now >= saving.saved_at + SAVE_INTERVAL);
        if is_due && !saving.is_under_way {
            self.start_save(now);
        }
        Ok(())
    }

    /// A disk that hangs is told of, once in a transfer (F5). Everything else goes on, and so
    /// does this when the disk does.
    fn look_for_silence(&mut self) {
        let silence = self.workshop.silence();
        if silence >= DISK_SILENCE && !self.is_silence_told {
            self.is_silence_told = true;
            let game = self.target.game.clone();
            let seconds = silence.as_secs();
            let message = format!("{game}: the disk has not answered for {seconds} s");
            self.event(Event::Notice { game: Some(game), message });
        }
    }

    fn on_chunk(&mut self, request: RequestId, peer: PeerId, chunk: u32, is_right: bool) {
        if !is_right {
            return self.reject(peer, chunk);
        }
        let now = self.now();
        let Delivery { fresh, cancel } = self.planner.delivered(now, request, chunk);
        self.give_up(&cancel);
        if fresh {
            let bytes = self.target.len(chunk);
            self.progress.received(now, bytes);
            *self.received.entry(peer).or_default() += bytes;
            self.arrived(chunk);
        }
    }

    /// A wrong chunk names its sender exactly: it is out for this download (R4).
    fn reject(&mut self, peer: PeerId, chunk: u32) {
        if self.planner.expelled().contains(&peer) {
            return;
        }
        tracing::warn!(game = %self.target.game, peer = %peer, chunk, "a wrong chunk");
        self.event(Event::ChunkRejected {
            game: self.target.game.clone(),
            peer_id: peer,
            file: self.target.file_of(chunk),
            reason: format!("chunk {chunk} does not have its hash"),
        });
        let dropped = self.planner.expel(peer);
        self.give_up(&dropped);
    }

    fn on_saved(&mut self, result: Result<(), ShelfError>) -> Result<(), EngineError> {
        self.saving.is_under_way = false;
        // A flush that failed leaves nothing that was written since to be believed.
        result.map_err(EngineError::Shelf)
    }
}

fn end_of(error: &SourceError) -> End {
    match error {
        SourceError::Refused(Refusal::Busy | Refusal::Limit | Refusal::Io) => End::Refused,
        SourceError::Refused(_) => End::RefusedForGood,
        SourceError::Lost(_) | SourceError::Late | SourceError::Broken(_) => End::Broken,
    }
}
