//! What people read: sizes, times, events, states. Every text of a peer goes through [`shown`].

use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration};
use lanspread_actors::api::{
    Availability, Event, GameView, OperationKind, OperationView, PeerView, Phase, Status,
};

use crate::table::Table;

/// A text that may hold anything, safe for one line of a terminal.
pub(crate) fn shown(text: &str) -> String {
    lanspread_wire::printable_line(text)
}

/// A number of bytes.
pub(crate) fn bytes(count: u64) -> String {
    HumanBytes(count).to_string()
}

/// A span of time.
pub(crate) fn seconds(count: u64) -> String {
    HumanDuration(Duration::from_secs(count)).to_string()
}

/// How many peers.
pub(crate) fn peer_count(count: usize) -> String {
    if count == 1 { "1 peer".to_owned() } else { format!("{count} peers") }
}

/// One event as a sentence; `None` for those that only machines need.
pub(crate) fn event(event: &Event) -> Option<String> {
    let sentence = match event {
        Event::Ready { name, addresses, games_dir, .. } => {
            let at: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let folder = games_dir.as_ref().map_or_else(
                || "no games folder yet: lanspread games-dir DIR".to_owned(),
                |dir| format!("sharing {}", dir.display()),
            );
            format!("{name} is ready at {}, {folder}", at.join(", "))
        }
        Event::PeerConnected { name, peer_id, .. } => {
            format!("{name} ({}) is here", peer_id.short())
        }
        Event::PeerLost { name, peer_id, reason, .. } => {
            format!("{name} ({}) is gone: {reason}", peer_id.short())
        }
        Event::PeerRejected { address, message, .. } => format!("{address} was refused: {message}"),
        Event::Recovery { game, found, action } => format!("{game}: found {found}; {action}"),
        Event::ActorRestarted { component, reason, .. } => {
            format!("{component} was started again: {reason}")
        }
        Event::RuntimeFailed { component, error } => {
            format!("the node failed: {component}: {error}")
        }
        Event::Notice { game: Some(game), message } => format!("{game}: {message}"),
        Event::Notice { game: None, message } => message.clone(),
        Event::EventsMissed { count } => format!("{count} events were missed"),
        Event::ChunkRejected { game, peer_id, file, reason } => {
            format!("{game}: bad data of {} from {}: {reason}", file, peer_id.short())
        }
        Event::LocalLibraryChanged { .. }
        | Event::PeerDiscovered { .. }
        | Event::RemoteLibraryChanged { .. }
        | Event::ActiveOperationsChanged { .. }
        | Event::DownloadProgress { .. } => return None,
        operation => return of_operation(operation).map(|sentence| shown(&sentence)),
    };
    Some(shown(&sentence))
}

fn of_operation(event: &Event) -> Option<String> {
    Some(match event {
        Event::DownloadBegin { game, version, bytes_total, bytes_reused, sources, .. } => format!(
            "{game}: downloading version {version}, {} of which {} are here already, from {}",
            bytes(*bytes_total),
            bytes(*bytes_reused),
            peer_count(sources.len())
        ),
        Event::DownloadFinished { game, version, bytes_received, seconds, sources, .. } => format!(
            "{game}: downloaded version {version}: {} from {} in {seconds:.1} s",
            bytes(*bytes_received),
            peer_count(sources.len())
        ),
        Event::DownloadPeersGone { game } => {
            format!("{game}: nobody who has it is left; the download goes on when one returns")
        }
        Event::DownloadCancelled { game } | Event::OperationCancelled { game } => {
            format!("{game}: cancelled")
        }
        Event::DownloadFailed { game, message, .. } => {
            format!("{game}: download failed: {message}")
        }
        Event::InstallFailed { game, message, .. } => format!("{game}: install failed: {message}"),
        Event::UpdateFailed { game, message, .. } => format!("{game}: update failed: {message}"),
        Event::UninstallFailed { game, message, .. } => {
            format!("{game}: uninstall failed: {message}")
        }
        Event::RemoveFailed { game, message, .. } => format!("{game}: remove failed: {message}"),
        Event::VerifyFailed { game, message, .. } => format!("{game}: verify failed: {message}"),
        Event::InstallFinished { game, .. } => format!("{game}: installed"),
        Event::UpdateFinished { game, version, .. } => match version {
            Some(version) => format!("{game}: updated to version {version}"),
            None => format!("{game}: updated"),
        },
        Event::UninstallFinished { game, .. } => format!("{game}: uninstalled"),
        Event::RemoveFinished { game, .. } => format!("{game}: removed"),
        Event::VerifyFinished { game, .. } => format!("{game}: every file is right"),
        _ => return None,
    })
}

/// What an operation is doing.
pub(crate) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "waits for its turn",
        Phase::FindingSources => "looks for sources",
        Phase::Checking => "checks what is here",
        Phase::Fetching => "downloads",
        Phase::WaitingForPeers => "waits for a source to return",
        Phase::WaitingForSpace => "waits for space on the disk",
        Phase::Committing => "puts the files in place",
        Phase::Unpacking => "unpacks",
        Phase::Promoting => "finishes the install",
        Phase::Removing => "removes",
        Phase::Hashing => "compares every file",
        Phase::Recovering => "puts things in order",
        Phase::Settling => "looks at the result",
    }
}

/// What an operation is.
pub(crate) fn kind(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Downloading => "download",
        OperationKind::Installing => "install",
        OperationKind::Updating => "update",
        OperationKind::Uninstalling => "uninstall",
        OperationKind::Removing => "removal",
        OperationKind::Verifying => "verification",
        OperationKind::Adding => "adding",
    }
}

fn operation(view: &OperationView) -> String {
    match view.bytes_done.saturating_mul(100).checked_div(view.bytes_total) {
        Some(percent) => format!("{} {percent} %", phase(view.phase)),
        None => phase(view.phase).to_owned(),
    }
}

/// The state of a game in a word or two.
pub(crate) fn state(game: &GameView) -> String {
    if let Some(running) = &game.operation {
        return operation(running);
    }
    let newer = game.newest > game.version && game.downloaded;
    let state = match (game.downloaded, game.installed, game.availability) {
        (_, true, _) if newer => "installed, update",
        (_, true, _) => "installed",
        (true, false, _) if newer => "here, update",
        (true, false, _) => "here",
        (false, false, Some(Availability::LocalOnly)) => "unfinished",
        (false, false, _) if game.peers > 0 => "on the LAN",
        (false, false, _) => "nobody has it",
    };
    state.to_owned()
}

/// The list of games.
pub(crate) fn games(games: &[GameView]) -> String {
    let mut table = Table::new(&["GAME", "TITLE", "STATE", "VERSION", "NEWEST", "SIZE", "PEERS"]);
    for game in games {
        let stamp = |stamp: &Option<lanspread_wire::VersionStamp>| {
            stamp.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)
        };
        table.row([
            game.id.to_string(),
            game.title.clone(),
            state(game),
            stamp(&game.version),
            stamp(&game.newest),
            bytes(game.size_bytes),
            game.peers.to_string(),
        ]);
    }
    table.render()
}

/// One game.
pub(crate) fn game(game: &GameView) -> String {
    let mut text = games(std::slice::from_ref(game));
    let extras = [
        ("content", game.manifest.map(|manifest| manifest.to_string())),
        ("genre", game.genre.clone()),
        ("players", game.players.clone()),
        ("about", game.description.clone()),
        ("problem", game.problem.clone()),
    ];
    for (name, value) in extras {
        if let Some(value) = value {
            text.push_str(&format!("{name}: {}\n", shown(&value)));
        }
    }
    for source in &game.sources {
        text.push_str(&format!("source: {source}\n"));
    }
    text
}

/// The connected peers.
pub(crate) fn peers(peers: &[PeerView]) -> String {
    let mut table = Table::new(&["PEER", "NAME", "ADDRESS", "GAMES", "HERE FOR", "ROUND TRIP"]);
    for peer in peers {
        table.row([
            peer.peer_id.short(),
            peer.name.clone(),
            peer.addresses.first().map_or_else(|| "-".to_owned(), ToString::to_string),
            peer.games.len().to_string(),
            seconds(peer.connected_s),
            format!("{} ms", peer.rtt_ms),
        ]);
    }
    table.render()
}

/// The state of a node.
pub(crate) fn status(status: &Status) -> String {
    let node = &status.node;
    let id = node.peer_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let at: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
    let folder =
        node.games_dir.as_ref().map_or_else(|| "-".to_owned(), |dir| dir.display().to_string());
    let mut lines = vec![
        format!("name: {}", node.name),
        format!("peer id: {id}"),
        format!("addresses: {}", at.join(", ")),
        format!("games folder: {folder}"),
        format!("state folder: {}", node.state_dir.display()),
        format!("version: {} (protocol {})", node.version, node.protocol),
        format!("games here: {}, peers: {}", status.games_here, status.peers_connected),
    ];
    for running in &status.operations {
        lines.push(format!("{}: {}: {}", running.game, kind(running.kind), operation(running)));
    }
    for (game, count) in &status.uploads {
        lines.push(format!("{game}: {count} uploads"));
    }
    for (game, (done, total)) in &status.hashing {
        lines.push(format!("{game}: hashing {} of {}", bytes(*done), bytes(*total)));
    }
    for actor in status.actors.iter().filter(|actor| actor.restarts > 0) {
        let last = actor.last_failure.as_deref().unwrap_or("-");
        lines.push(format!("{}: restarted {} times, last: {last}", actor.name, actor.restarts));
    }
    lines.extend(status.problems.iter().map(|problem| format!("problem: {problem}")));
    let lines: Vec<String> = lines.iter().map(|line| shown(line)).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use lanspread_wire::GameId;

    use super::*;

    fn view(downloaded: bool, installed: bool, newest: &str) -> GameView {
        let stamp = |text: &str| lanspread_wire::VersionStamp::parse(text.as_bytes()).unwrap();
        GameView {
            id: GameId::parse("quake").unwrap(),
            title: "Quake".to_owned(),
            version: downloaded.then(|| stamp("2")),
            newest: Some(stamp(newest)),
            manifest: None,
            size_bytes: 2048,
            downloaded,
            installed,
            availability: None,
            peers: 1,
            sources: Vec::new(),
            operation: None,
            problem: None,
            genre: None,
            players: None,
            description: None,
        }
    }

    #[test]
    fn states_are_words() {
        for (downloaded, installed, newest, wanted) in [
            (false, false, "2", "on the LAN"),
            (true, false, "2", "here"),
            (true, false, "3", "here, update"),
            (true, true, "2", "installed"),
            (true, true, "3", "installed, update"),
            (false, true, "3", "installed"),
        ] {
            assert_eq!(state(&view(downloaded, installed, newest)), wanted);
        }
        let mut busy = view(true, true, "2");
        busy.operation = Some(OperationView {
            game: busy.id.clone(),
            kind: OperationKind::Installing,
            phase: Phase::Unpacking,
            bytes_done: 1,
            bytes_total: 4,
        });
        assert_eq!(state(&busy), "unpacks 25 %");
    }

    /// Proves I15: what a peer chose cannot move the cursor.
    #[test]
    fn foreign_text_is_safe() {
        let mut evil = view(false, false, "1");
        evil.title = "Qu\u{1b}[2Jake\n".to_owned();
        evil.description = Some("a\u{202e}b".to_owned());
        let text = game(&evil);
        assert!(!text.chars().any(|c| c == '\u{1b}' || c == '\u{202e}'), "{text:?}");
        let lost = Event::Notice { game: None, message: "a\r\nb".to_owned() };
        assert_eq!(event(&lost).as_deref(), Some("a\\u{d}\\u{a}b"));
    }
}
