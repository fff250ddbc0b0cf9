//! The one page so far: the live snapshot as plain lists. Reads a snapshot, returns commands; knows no node.

use eframe::egui::{Grid, ProgressBar, RichText, ScrollArea, Ui};
use lanspread_actors::api::{Command, GameView, OperationView, PeerView, Snapshot};

/// Draws everything and returns what the user asked for.
pub(crate) fn lists_ui(ui: &mut Ui, snapshot: &Snapshot) -> Vec<Command> {
    let mut wanted = Vec::new();
    header_ui(ui, snapshot);
    ScrollArea::vertical().show(ui, |ui| {
        ui.heading("Games");
        games_ui(ui, &snapshot.games, &mut wanted);
        ui.separator();
        ui.heading("Running");
        operations_ui(ui, &snapshot.operations, &mut wanted);
        ui.separator();
        ui.heading("Peers");
        peers_ui(ui, &snapshot.peers);
    });
    wanted
}

fn header_ui(ui: &mut Ui, snapshot: &Snapshot) {
    let node = &snapshot.status.node;
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(&node.name).strong());
        let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
        ui.label(addresses.join(", "));
        match &node.games_dir {
            Some(folder) => ui.label(format!("shares {}", folder.display())),
            None => ui.label("no games folder yet: start with --games-dir FOLDER"),
        };
    });
    for problem in &snapshot.status.problems {
        ui.colored_label(ui.visuals().error_fg_color, problem);
    }
}

fn games_ui(ui: &mut Ui, games: &[GameView], wanted: &mut Vec<Command>) {
    if games.is_empty() {
        ui.label("No games here and none on the LAN yet.");
        return;
    }
    Grid::new("games").num_columns(6).striped(true).show(ui, |ui| {
        for game in games {
            ui.label(&game.title);
            ui.label(version_text(game));
            ui.label(size_text(game.size_bytes));
            ui.label(format!("{} peers", game.peers));
            ui.label(state_text(game));
            ui.horizontal(|ui| wanted.extend(game_buttons(ui, game)));
            ui.end_row();
        }
    });
}

/// The commands that fit the state of a game, each on a button.
fn game_buttons(ui: &mut Ui, game: &GameView) -> Vec<Command> {
    let id = game.id.to_string();
    commands_for(game)
        .into_iter()
        .filter(|(label, _)| ui.button(*label).on_hover_text(format!("{label} {id}")).clicked())
        .map(|(_, command)| command)
        .collect()
}

/// What can be done with a game in its present state, the most wanted first.
pub(crate) fn commands_for(game: &GameView) -> Vec<(&'static str, Command)> {
    let id = game.id.to_string();
    if game.operation.is_some() {
        return vec![("Cancel", Command::Cancel { game: id })];
    }
    let mut commands = Vec::new();
    if !game.downloaded && game.peers > 0 {
        commands.push(("Download", Command::Download { game: id.clone(), install: true }));
    }
    if game.downloaded && !game.installed {
        commands.push(("Install", Command::Install { game: id.clone() }));
    }
    if game.downloaded && game.newest > game.version {
        commands.push(("Update", Command::Update { game: id.clone() }));
    }
    if game.installed {
        commands.push(("Uninstall", Command::Uninstall { game: id.clone() }));
    }
    if game.downloaded {
        commands.push(("Remove", Command::Remove { game: id }));
    }
    commands
}

fn operations_ui(ui: &mut Ui, operations: &[OperationView], wanted: &mut Vec<Command>) {
    if operations.is_empty() {
        ui.label("Nothing is running.");
    }
    for operation in operations {
        ui.horizontal(|ui| {
            ui.label(format!("{}: {}", operation.kind.verb(), operation.game));
            let share = operation.bytes_done as f32 / operation.bytes_total.max(1) as f32;
            ui.add(ProgressBar::new(share).desired_width(240.0).show_percentage());
            ui.label(format!(
                "{} of {}",
                size_text(operation.bytes_done),
                size_text(operation.bytes_total)
            ));
            if ui.button("Cancel").clicked() {
                wanted.push(Command::Cancel { game: operation.game.to_string() });
            }
        });
    }
}

fn peers_ui(ui: &mut Ui, peers: &[PeerView]) {
    if peers.is_empty() {
        ui.label("Nobody else is here yet. Others are found by themselves when they start.");
    }
    for peer in peers {
        ui.label(format!(
            "{} ({}): {} games, round trip {} ms",
            peer.name,
            peer.peer_id.short(),
            peer.games.len(),
            peer.rtt_ms
        ));
    }
}

fn version_text(game: &GameView) -> String {
    match (&game.version, &game.newest) {
        (Some(here), Some(newest)) if newest > here => format!("{here} (newest {newest})"),
        (Some(here), _) => here.to_string(),
        (None, Some(newest)) => newest.to_string(),
        (None, None) => String::new(),
    }
}

fn state_text(game: &GameView) -> String {
    if let Some(problem) = &game.problem {
        return problem.clone();
    }
    match (&game.operation, game.downloaded, game.installed) {
        (Some(operation), _, _) => format!("{}…", operation.kind.verb()),
        (None, _, true) => "installed".to_owned(),
        (None, true, false) => "ready to install".to_owned(),
        (None, false, false) => "on the LAN".to_owned(),
    }
}

/// Bytes in the unit people read.
fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use lanspread_wire::{GameId, VersionStamp};

    use super::*;

    fn game(downloaded: bool, installed: bool, peers: usize) -> GameView {
        let version = VersionStamp::parse(b"20240101").expect("a version");
        GameView {
            id: GameId::parse("abc").expect("an id"),
            title: "Abc".to_owned(),
            version: downloaded.then(|| version.clone()),
            newest: Some(version),
            manifest: None,
            size_bytes: 0,
            downloaded,
            installed,
            availability: None,
            peers,
            sources: Vec::new(),
            operation: None,
            problem: None,
            genre: None,
            players: None,
            description: None,
        }
    }

    fn labels(game: &GameView) -> Vec<&'static str> {
        commands_for(game).into_iter().map(|(label, _)| label).collect()
    }

    #[test]
    fn the_buttons_fit_the_state() {
        assert_eq!(labels(&game(false, false, 0)), Vec::<&str>::new());
        assert_eq!(labels(&game(false, false, 2)), ["Download"]);
        assert_eq!(labels(&game(true, false, 0)), ["Install", "Remove"]);
        assert_eq!(labels(&game(true, true, 1)), ["Uninstall", "Remove"]);
        let mut old = game(true, true, 1);
        old.newest = Some(VersionStamp::parse(b"20250101").expect("a version"));
        assert_eq!(labels(&old), ["Update", "Uninstall", "Remove"]);
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(size_text(999), "999 B");
        assert_eq!(size_text(1_500_000), "1.5 MB");
    }
}
