//! What the engine does with what is here already: looking at it, copying it, recording it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::sync::{Mutex, mpsc};

use super::{Engine, EngineError, EngineEvent};
use crate::{
    api::ErrorCode,
    game_op::{
        reuse::{Origin, Work, batches},
        stock::{Need, Twin},
        target::Target,
        writer::{Found, Pool, ShelfError, Workshop},
    },
    limits::transfer::REUSE_WORKERS,
};

/// What is still to be looked at.
enum Task {
    Work(Work),
    InPlace(u32),
}

impl<P: Pool> Engine<'_, P> {
    /// A few tasks share one list, so that none of them waits for another.
    pub(super) fn start_reuse(&mut self) {
        let plan = std::mem::take(&mut self.reuse);
        let files = plan.in_place.into_iter().map(Task::InPlace);
        let tasks: VecDeque<Task> = plan.works.into_iter().map(Task::Work).chain(files).collect();
        if tasks.is_empty() {
            return;
        }
        let tasks = Arc::new(Mutex::new(tasks));
        for _ in 0..REUSE_WORKERS {
            let looker = Looker {
                workshop: self.workshop.clone(),
                events: self.events_sender.clone(),
                tasks: tasks.clone(),
            };
            self.helpers.spawn(looker.run());
        }
    }

    pub(super) fn start_copy(&mut self, twin: Twin) {
        let (workshop, events) = (self.workshop.clone(), self.events_sender.clone());
        self.helpers.spawn(async move {
            let result = workshop.copy(twin).await;
            // The engine being gone ends the download anyway.
            events.send(EngineEvent::Copied { twin, result }).await.ok();
        });
    }

    /// Records what is here now; what comes meanwhile is for the next time.
    pub(super) fn start_save(&mut self, now: Duration) {
        self.saving.is_under_way = true;
        self.saving.bytes_unsaved = 0;
        self.saving.saved_at = now;
        let record = self.record();
        let (workshop, events) = (self.workshop.clone(), self.events_sender.clone());
        self.helpers.spawn(async move {
            let result = workshop.save(record).await;
            events.send(EngineEvent::Saved(result)).await.ok();
        });
    }

    pub(super) fn on_reused(&mut self, found: Found) -> Result<(), EngineError> {
        for chunk in found.right {
            if !self.stock.done().contains(chunk) {
                self.progress.reused(self.target.len(chunk));
            }
            self.arrived(chunk);
        }
        for chunk in found.wrong {
            let need = self.stock.lost(chunk);
            self.provide(need);
        }
        found.error.map_or(Ok(()), |error| self.on_shelf_failed(error))
    }

    pub(super) fn on_kept(&mut self, file: u32) {
        for chunk in self.target.map.file_chunks(file) {
            self.kept.insert(chunk);
            if !self.stock.done().contains(chunk) {
                self.progress.reused(self.target.len(chunk));
            }
            self.arrived(chunk);
        }
    }

    pub(super) fn on_copied(
        &mut self,
        twin: Twin,
        result: Result<bool, ShelfError>,
    ) -> Result<(), EngineError> {
        match result {
            Ok(true) => {
                if !self.stock.done().contains(twin.to) {
                    self.progress.reused(self.target.len(twin.to));
                }
                self.arrived(twin.to);
            }
            Ok(false) => {
                let need = self.stock.not_copied(twin);
                self.provide(need);
            }
            Err(error) => {
                let is_full = error.code == ErrorCode::DiskFull;
                self.on_shelf_failed(error)?;
                if is_full {
                    let need = self.stock.not_copied(twin);
                    self.provide(need);
                }
            }
        }
        Ok(())
    }

    /// A chunk is here, by whatever way.
    pub(super) fn arrived(&mut self, chunk: u32) {
        if !self.stock.done().contains(chunk) {
            self.saving.bytes_unsaved += self.target.len(chunk);
            self.short_since = None;
        }
        let cancel = self.planner.found(chunk).cancel;
        self.give_up(&cancel);
        for twin in self.stock.arrived(chunk) {
            self.provide(Need::Copy(twin));
        }
    }
}

/// Looks at what may be here, one piece after the other.
struct Looker<P> {
    workshop: Workshop<P>,
    events: mpsc::Sender<EngineEvent>,
    tasks: Arc<Mutex<VecDeque<Task>>>,
}

impl<P: Pool> Looker<P> {
    async fn run(self) {
        loop {
            let next = self.tasks.lock().await.pop_front();
            let is_heard = match next {
                None => return,
                Some(Task::Work(work)) => self.tell(self.workshop.reuse(work).await).await,
                Some(Task::InPlace(file)) => self.look_in_place(file).await,
            };
            if !is_heard {
                return;
            }
        }
    }

    /// Hashes a file in the root. If all of it is right it stays, else its right chunks are copied.
    async fn look_in_place(&self, file: u32) -> bool {
        let target: Arc<Target> = self.workshop.target().clone();
        let mut found = Found::default();
        for batch in batches(&target, target.map.file_chunks(file)) {
            let part = self.workshop.check_in_place(file, batch).await;
            found.right.extend(part.right);
            found.wrong.extend(part.wrong);
            found.error = found.error.or(part.error);
        }
        if found.wrong.is_empty() && found.error.is_none() {
            match self.workshop.keep_in_place(file).await {
                Ok(()) => {
                    return self.events.send(EngineEvent::Kept { file }).await.is_ok();
                }
                Err(error) => {
                    found.wrong = std::mem::take(&mut found.right);
                    found.error = Some(error);
                }
            }
        }
        let right = std::mem::take(&mut found.right);
        self.tell(found).await && self.copy_from_place(&target, file, right).await
    }

    async fn copy_from_place(&self, target: &Target, file: u32, chunks: Vec<u32>) -> bool {
        let Some(entry) = target.manifest.files.get(file as usize) else {
            return true;
        };
        for batch in batches(target, chunks) {
            let origin = |chunk: u32| {
                let offset = target.map.locate(chunk).offset;
                (chunk, Origin::Root { path: entry.path.clone(), offset })
            };
            let work = Work::Copy { chunks: batch.into_iter().map(origin).collect() };
            if !self.tell(self.workshop.reuse(work).await).await {
                return false;
            }
        }
        true
    }

    async fn tell(&self, found: Found) -> bool {
        self.events.send(EngineEvent::Reused(found)).await.is_ok()
    }
}
