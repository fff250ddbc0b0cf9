//! Supervision with stand-ins: order of the start, restarts, storms, escalation, ends.

mod ends;
mod folders;
mod restarts;
pub(crate) mod stand_ins;

use std::{path::Path, sync::Arc, time::Duration};

use self::stand_ins::StandIns;
use super::children::Part;
use crate::{
    api::{Event, Status},
    config::NodeConfig,
    handle::{EventStream, NodeHandle, StartError},
    ports::testing,
};

/// A node of stand-ins with folders of its own.
pub(crate) struct Rig {
    pub(crate) handle: NodeHandle,
    pub(crate) events: EventStream,
    pub(crate) parts: StandIns,
    pub(crate) home: tempfile::TempDir,
}

pub(crate) fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("games")).unwrap();
    home
}

pub(crate) fn config(home: &Path) -> NodeConfig {
    let mut config = testing::config(&home.join("state"));
    config.games_dir = Some(home.join("games"));
    config
}

pub(crate) async fn launch(parts: StandIns) -> Rig {
    let home = home();
    launch_at(home, parts).await
}

pub(crate) async fn launch_at(home: tempfile::TempDir, parts: StandIns) -> Rig {
    let config = config(home.path());
    let handle = NodeHandle::launch_with(config, Arc::new(parts.clone())).await.unwrap();
    let events = handle.events();
    Rig { handle, events, parts, home }
}

pub(crate) async fn start(parts: StandIns) -> Rig {
    let rig = launch(parts).await;
    rig.handle.ready().await.unwrap();
    rig
}

async fn start_error(config: NodeConfig) -> StartError {
    let handle = NodeHandle::launch_with(config, Arc::new(StandIns::default())).await.unwrap();
    handle.ready().await.unwrap_err()
}

impl Rig {
    /// The first event that fits, within a deadline.
    async fn event(&mut self, fits: impl Fn(&Event) -> bool) -> Event {
        let found = async {
            loop {
                let event = self.events.next().await.expect("the node still runs");
                if fits(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), found).await.expect("the event comes")
    }

    /// All events until the end.
    async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.events.next().await {
            events.push(event);
        }
        events
    }

    async fn status(&self) -> Status {
        match self.handle.command(crate::api::Command::Status {}).await.unwrap() {
            crate::api::Reply::Status { status } => *status,
            other => panic!("{other:?}"),
        }
    }

    async fn restarted(&mut self, part: Part) -> u32 {
        let wanted = part.name();
        let event = self
            .event(|event| {
                matches!(event, Event::ActorRestarted { component, .. } if component == wanted)
            })
            .await;
        let Event::ActorRestarted { restarts, .. } = event else { unreachable!() };
        restarts
    }
}

/// What the parts hear in an ordered end, the goodbye of the network among it (P10).
const END: [&str; 5] = ["withdraw", "park", "network", "operations", "library"];

fn runtime_failures(events: &[Event]) -> Vec<&str> {
    let failed = events.iter().filter_map(|event| match event {
        Event::RuntimeFailed { component, .. } => Some(component.as_str()),
        _ => None,
    });
    failed.collect()
}

pub(crate) const LIBRARY: Part = Part::Library;
