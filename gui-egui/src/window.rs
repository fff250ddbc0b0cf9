//! The window: shows the latest snapshot, passes the user's commands on, says what was refused.
//!
//! Holds no state of games: the snapshot is replaced whole whenever the node publishes one.

use std::sync::{Arc, mpsc};

use eframe::egui::{self, CentralPanel};
use lanspread_actors::{
    api::{Command, Refused, Snapshot},
    handle::{NodeHandle, Outcome},
};
use tokio::{runtime::Handle, sync::watch, task::JoinSet};

use crate::lists::lists_ui;

/// What happens beside the drawing, told to the window.
enum Told {
    Refused(Refused),
    Stopped(String),
}

/// The application that eframe drives.
pub(crate) struct Window {
    node: Arc<NodeHandle>,
    runtime: Handle,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    told: mpsc::Receiver<Told>,
    tell: mpsc::SyncSender<Told>,
    message: Option<String>,
    /// Commands that were sent and not answered yet, and the task that wakes the window.
    tasks: JoinSet<()>,
}

/// Refusals that wait to be shown; more than this at once would not be read anyway.
const TOLD_MAX: usize = 64;

impl Window {
    pub(crate) fn new(node: Arc<NodeHandle>, runtime: Handle, context: egui::Context) -> Self {
        let (tell, told) = mpsc::sync_channel(TOLD_MAX);
        let mut tasks = JoinSet::new();
        let snapshot = node.snapshot();
        let mut changes = snapshot.clone();
        let repaint = context.clone();
        tasks.spawn_on(
            async move {
                while changes.changed().await.is_ok() {
                    repaint.request_repaint();
                }
            },
            &runtime,
        );
        let (watched, stopped) = (node.clone(), tell.clone());
        tasks.spawn_on(
            async move {
                let end = match watched.wait_stopped().await {
                    Outcome::Stopped => "it was told to".to_owned(),
                    Outcome::NotStarted(error) => error.message,
                    Outcome::Failed { component, error } => format!("{component}: {error}"),
                };
                // A full channel means the window is not read any more.
                stopped.try_send(Told::Stopped(end)).ok();
                context.request_repaint();
            },
            &runtime,
        );
        Self { node, runtime, snapshot, told, tell, message: None, tasks }
    }

    fn send(&mut self, command: Command, context: &egui::Context) {
        let (node, tell, context) = (self.node.clone(), self.tell.clone(), context.clone());
        self.tasks.spawn_on(
            async move {
                if let Err(refused) = node.command(command).await {
                    tell.try_send(Told::Refused(refused)).ok();
                    context.request_repaint();
                }
            },
            &self.runtime,
        );
    }

    fn read_messages(&mut self) {
        while let Ok(told) = self.told.try_recv() {
            self.message = Some(match told {
                Told::Refused(refused) => refused.message,
                Told::Stopped(end) => {
                    format!("The node has stopped: {end}. Start Lanspread again.")
                }
            });
        }
    }
}

impl eframe::App for Window {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        while self.tasks.try_join_next().is_some() {}
        self.read_messages();
        let snapshot = self.snapshot.borrow_and_update().clone();
        let context = ui.ctx().clone();
        let wanted = CentralPanel::default().show(ui, |ui| {
            if let Some(message) = &self.message {
                ui.colored_label(ui.visuals().warn_fg_color, message);
            }
            lists_ui(ui, &snapshot)
        });
        for command in wanted.inner {
            self.message = None;
            self.send(command, &context);
        }
    }
}
