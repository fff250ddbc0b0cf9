//! The wait for the end of an operation. [`Watch`] decides, without a clock or a socket, which
//! event is the end; [`wait`] shows the progress and obeys Ctrl+C.

use lanspread_actors::{
    api::{Command, Event, GameView, OperationView, Reply},
    control::{Record, RemoteEvents, RemoteNode},
};
use lanspread_wire::GameId;

use crate::{
    exit::{Exit, say},
    human,
    progress::Progress,
    signals::Signals,
};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    Downloaded,
    /// Downloaded and then installed.
    DownloadedAndInstalled,
    Installed,
    Updated,
    Uninstalled,
    Removed,
    Verified,
}

/// What an event means to the wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Nothing.
    Other,
    /// It belongs to the operation, which goes on.
    Step,
    Done,
    Failed,
    Cancelled,
    NodeFailed,
    /// Events were missed: the state tells more than waiting.
    Unsure,
}

/// Follows one operation through the events.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    game: GameId,
    goal: Goal,
}

impl Watch {
    pub(crate) fn new(game: GameId, goal: Goal) -> Self {
        Self { game, goal }
    }

    /// What `event` means.
    pub(crate) fn see(&self, event: &Event) -> Sight {
        match event {
            Event::RuntimeFailed { .. } => Sight::NodeFailed,
            Event::EventsMissed { .. } => Sight::Unsure,
            event if game_of(event) != Some(&self.game) => Sight::Other,
            Event::DownloadCancelled { .. } | Event::OperationCancelled { .. } => Sight::Cancelled,
            Event::DownloadFailed { .. }
            | Event::InstallFailed { .. }
            | Event::UpdateFailed { .. }
            | Event::UninstallFailed { .. }
            | Event::RemoveFailed { .. }
            | Event::VerifyFailed { .. } => Sight::Failed,
            event => match (reached_by(event), self.goal) {
                (Some(reached), goal) if reached == goal => Sight::Done,
                // Over an older install it is an update.
                (Some(Goal::Installed | Goal::Updated), Goal::DownloadedAndInstalled) => {
                    Sight::Done
                }
                _ => Sight::Step,
            },
        }
    }

    /// The end as the state shows it, when the event that told it was missed.
    pub(crate) fn judge(&self, view: Option<&GameView>) -> Option<Sight> {
        if view.is_some_and(|view| view.operation.is_some()) {
            return None;
        }
        let is = |wanted: fn(&GameView) -> bool| view.is_some_and(wanted);
        let is_reached = match self.goal {
            Goal::Downloaded => is(|view| view.downloaded),
            Goal::DownloadedAndInstalled | Goal::Installed => is(|view| view.installed),
            Goal::Updated => is(|view| view.installed && view.version >= view.newest),
            Goal::Uninstalled => !is(|view| view.installed),
            Goal::Removed => !is(|view| view.installed || view.downloaded),
            Goal::Verified => is(|view| view.problem.is_none()),
        };
        Some(if is_reached { Sight::Done } else { Sight::Failed })
    }
}

fn reached_by(event: &Event) -> Option<Goal> {
    match event {
        Event::DownloadFinished { .. } => Some(Goal::Downloaded),
        Event::InstallFinished { .. } => Some(Goal::Installed),
        Event::UpdateFinished { .. } => Some(Goal::Updated),
        Event::UninstallFinished { .. } => Some(Goal::Uninstalled),
        Event::RemoveFinished { .. } => Some(Goal::Removed),
        Event::VerifyFinished { .. } => Some(Goal::Verified),
        _ => None,
    }
}

/// The game an event of an operation is about.
fn game_of(event: &Event) -> Option<&GameId> {
    match event {
        Event::DownloadBegin { game, .. }
        | Event::DownloadProgress { game, .. }
        | Event::DownloadFinished { game, .. }
        | Event::DownloadFailed { game, .. }
        | Event::InstallFailed { game, .. }
        | Event::UpdateFailed { game, .. }
        | Event::UninstallFailed { game, .. }
        | Event::RemoveFailed { game, .. }
        | Event::VerifyFailed { game, .. }
        | Event::DownloadCancelled { game }
        | Event::OperationCancelled { game }
        | Event::DownloadPeersGone { game }
        | Event::InstallFinished { game, .. }
        | Event::UpdateFinished { game, .. }
        | Event::UninstallFinished { game, .. }
        | Event::RemoveFinished { game, .. }
        | Event::VerifyFinished { game, .. }
        | Event::ChunkRejected { game, .. } => Some(game),
        _ => None,
    }
}

/// Waits for the end that `watch` follows.
pub(crate) async fn wait(
    node: &RemoteNode,
    mut events: RemoteEvents,
    watch: &Watch,
    is_json: bool,
) -> Exit {
    let Ok(mut signals) = Signals::new() else {
        say("lanspread: Ctrl+C cannot be watched");
        return Exit::Failed;
    };
    let mut progress = Progress::new(watch.game.as_str(), is_json);
    loop {
        let event = tokio::select! {
            biased;
            () = signals.next() => {
                progress.clear();
                say(&format!(
                    "stopped waiting; the operation on {0} goes on (lanspread cancel {0} ends it)",
                    watch.game
                ));
                return Exit::StoppedWaiting;
            }
            event = events.next() => event,
        };
        let Some(event) = event else {
            progress.clear();
            say(&format!("the node has ended; {} is as it was left", watch.game));
            return Exit::Failed;
        };
        if let Some(exit) = on_event(node, watch, &event, &mut progress, is_json).await {
            progress.clear();
            return exit;
        }
    }
}

async fn on_event(
    node: &RemoteNode,
    watch: &Watch,
    event: &Event,
    progress: &mut Progress,
    is_json: bool,
) -> Option<Exit> {
    if let Some(operation) = operation_of(event, &watch.game) {
        progress.on_operation(operation);
    }
    progress.on_event(event);
    let sight = match watch.see(event) {
        Sight::Other => return None,
        Sight::Unsure => {
            let answer = node.command(Command::ShowGame { game: watch.game.to_string() }).await;
            let view = match &answer {
                Ok(Reply::Game { game }) => Some(&**game),
                _ => None,
            };
            watch.judge(view)?
        }
        sight => {
            tell(event, progress, is_json);
            sight
        }
    };
    match sight {
        Sight::Done => Some(Exit::Done),
        Sight::Failed | Sight::Cancelled => Some(Exit::Failed),
        Sight::NodeFailed => Some(Exit::NodeFailed),
        Sight::Step | Sight::Other | Sight::Unsure => None,
    }
}

fn tell(event: &Event, progress: &Progress, is_json: bool) {
    if is_json {
        println!("{}", Record::Event(event.clone()).to_line());
    }
    // Failures are for people, too, whoever reads stdout.
    if let Some(sentence) = human::event(event) {
        progress.note(&sentence);
    }
}

fn operation_of<'a>(event: &'a Event, game: &GameId) -> Option<&'a OperationView> {
    match event {
        Event::ActiveOperationsChanged { operations } => {
            operations.iter().find(|operation| operation.game == *game)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lanspread_actors::api::ErrorCode;

    use super::*;

    fn quake() -> GameId {
        GameId::parse("quake").unwrap()
    }

    fn watch(goal: Goal) -> Watch {
        Watch::new(quake(), goal)
    }

    fn downloaded(game: GameId) -> Event {
        Event::DownloadFinished {
            game,
            version: lanspread_wire::VersionStamp::parse(b"1").unwrap(),
            bytes_received: 1,
            bytes_reused: 0,
            seconds: 1.0,
            sources: Default::default(),
        }
    }

    /// Proves O9 at the command line: the wait ends with the last step that was asked for.
    #[test]
    fn a_download_with_install_ends_with_the_install() {
        let installed = Event::InstallFinished { game: quake(), version: None };
        assert_eq!(watch(Goal::Downloaded).see(&downloaded(quake())), Sight::Done);
        let both = watch(Goal::DownloadedAndInstalled);
        assert_eq!(both.see(&downloaded(quake())), Sight::Step);
        assert_eq!(both.see(&installed), Sight::Done);
        let over_an_older_one = Event::UpdateFinished { game: quake(), version: None };
        assert_eq!(both.see(&over_an_older_one), Sight::Done);
    }

    #[test]
    fn failures_of_any_step_are_the_end() {
        let (code, message) = (ErrorCode::UnpackFailed, String::new());
        let failed = Event::InstallFailed { game: quake(), code, message };
        assert_eq!(watch(Goal::DownloadedAndInstalled).see(&failed), Sight::Failed);
        let cancelled = Event::DownloadCancelled { game: quake() };
        assert_eq!(watch(Goal::Updated).see(&cancelled), Sight::Cancelled);
        let gone = Event::DownloadPeersGone { game: quake() };
        assert_eq!(watch(Goal::Downloaded).see(&gone), Sight::Step, "it goes on (O7)");
        let failed = Event::RuntimeFailed { component: "disk".to_owned(), error: String::new() };
        assert_eq!(watch(Goal::Downloaded).see(&failed), Sight::NodeFailed);
    }

    #[test]
    fn other_games_and_other_events_are_passed_over() {
        let doom = GameId::parse("doom").unwrap();
        let watch = watch(Goal::Downloaded);
        assert_eq!(watch.see(&downloaded(doom)), Sight::Other);
        assert_eq!(watch.see(&Event::LocalLibraryChanged { games: Vec::new() }), Sight::Other);
        assert_eq!(watch.see(&Event::EventsMissed { count: 1 }), Sight::Unsure);
    }

    /// Proves F27 for the waiting command: a missed end is read from the state.
    #[test]
    fn a_missed_end_is_read_from_the_state() {
        assert_eq!(watch(Goal::Removed).judge(None), Some(Sight::Done));
        assert_eq!(watch(Goal::Downloaded).judge(None), Some(Sight::Failed));
    }
}
