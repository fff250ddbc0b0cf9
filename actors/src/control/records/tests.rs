//! Golden JSON of every command, answer and event that scripts rely on: `golden/*.jsonl`, in the
//! order of the values here.

use lanspread_wire::{GameId, ManifestId, PeerId, VersionStamp};

use super::*;
use crate::api::{Availability, GameView, NodeInfo, OperationKind, OperationView, Phase, Status};

const COMMANDS: &str = include_str!("golden/commands.jsonl");
const ANSWERS: &str = include_str!("golden/answers.jsonl");
const EVENTS: &str = include_str!("golden/events.jsonl");

fn game() -> GameId {
    GameId::parse("quake").unwrap()
}

fn peer() -> PeerId {
    PeerId([1; 32])
}

fn stamp() -> VersionStamp {
    VersionStamp::parse(b"20240131").unwrap()
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn addresses() -> Vec<std::net::SocketAddr> {
    vec!["10.0.0.1:4000".parse().unwrap(), "[fe80::1]:4000".parse().unwrap()]
}

fn operation() -> OperationView {
    let (kind, phase) = (OperationKind::Downloading, Phase::Fetching);
    OperationView { game: game(), kind, phase, bytes_done: 1, bytes_total: 4 }
}

fn view() -> GameView {
    GameView {
        id: game(),
        title: text("Quake"),
        version: None,
        newest: Some(stamp()),
        manifest: None,
        size_bytes: 9,
        downloaded: false,
        installed: false,
        availability: Some(Availability::LocalOnly),
        peers: 1,
        sources: vec![peer()],
        operation: Some(operation()),
        problem: None,
        genre: None,
        players: None,
        description: None,
    }
}

fn commands() -> Vec<Command> {
    let quake = || text("quake");
    vec![
        Command::Status {},
        Command::ListPeers {},
        Command::ListGames {},
        Command::ShowGame { game: quake() },
        Command::Download { game: quake(), install: false },
        Command::Install { game: quake() },
        Command::Update { game: quake() },
        Command::Uninstall { game: quake() },
        Command::Remove { game: quake() },
        Command::Verify { game: quake() },
        Command::Cancel { game: quake() },
        Command::Connect { address: addresses()[0] },
        Command::SetGamesDir { path: "/srv/games".into() },
        Command::WaitPeers { count: 2, timeout_s: 5 },
        Command::Add {
            path: "/x".into(),
            id: quake(),
            title: None,
            version: Some(text("1")),
            move_files: true,
        },
        Command::Shutdown {},
    ]
}

/// Each golden line with its value; a line or a value too many is a failure.
fn paired<T>(golden: &'static str, values: Vec<T>) -> Vec<(&'static str, T)> {
    assert_eq!(golden.lines().count(), values.len());
    golden.lines().zip(values).collect()
}

/// Proves O9 in the same breath: `install` is on unless it is switched off.
#[test]
fn every_command_has_its_documented_form() {
    for (line, command) in paired(COMMANDS, commands()) {
        let parsed = CommandLine::parse(line).unwrap_or_else(|bad| panic!("{line}: {bad:?}"));
        assert_eq!((parsed.command.clone(), parsed.id.get()), (command, "1"), "{line}");
        assert_eq!(parsed.to_line(), line);
    }
    let short = CommandLine::parse(r#"{"command":"download","game":"quake"}"#).unwrap();
    assert_eq!(short.command, Command::Download { game: text("quake"), install: true });
    assert_eq!(short.id.get(), "null");
    let short = CommandLine::parse(r#"{"command":"wait-peers","count":1}"#).unwrap();
    assert_eq!(short.command, Command::WaitPeers { count: 1, timeout_s: 60 });
}

#[test]
fn an_id_comes_back_unchanged() {
    let long = "123456789012345678901234567890";
    for id in ["null", "7", "-1.5e3", long, "\"a b\"", "[1,{\"b\":1,\"a\":2}]"] {
        let line = format!(r#"{{"id":{id},"command":"status"}}"#);
        let parsed = CommandLine::parse(&line).unwrap();
        let answer = Record::answer(parsed.id, Ok(Reply::Done {})).to_line();
        assert_eq!(answer, format!(r#"{{"type":"result","id":{id}}}"#));
    }
}

#[test]
fn what_is_no_command_is_an_error_record_with_its_id() {
    for (line, id) in [
        ("", "null"),
        ("hello", "null"),
        ("{\"id\":3", "null"),
        ("[1]", "null"),
        (r#"{"id":3}"#, "3"),
        (r#"{"id":3,"command":"fly"}"#, "3"),
        (r#"{"id":3,"command":"download"}"#, "3"),
        (r#"{"id":3,"command":"download","game":7}"#, "3"),
        (r#"{"id":3,"command":"status","extra":1}"#, "3"),
        (r#"{"id":3,"command":"connect","address":"nowhere"}"#, "3"),
    ] {
        let bad = CommandLine::parse(line).expect_err(line);
        assert_eq!((bad.id.get(), bad.refused.code), (id, ErrorCode::BadCommand), "{line}");
        let record = Record::from(bad).to_line();
        assert!(record.starts_with(r#"{"type":"error","id":"#), "{record}");
        let words = r#""code":"bad-command","message":"not a command: "#;
        assert!(record.contains(words), "{record}");
    }
}

fn answers() -> Vec<Result<Reply, Refused>> {
    let node = NodeInfo { peer_id: Some(peer()), name: text("me"), ..NodeInfo::default() };
    let status = Status { node, ..Status::default() };
    vec![
        Ok(Reply::Operation { operation: text("op-1") }),
        Ok(Reply::Done {}),
        Ok(Reply::Games { games: Vec::new() }),
        Ok(Reply::Peers { peers: Vec::new() }),
        Ok(Reply::Game { game: Box::new(view()) }),
        Ok(Reply::Status { status: Box::new(status) }),
        Err(Refused::of_game(ErrorCode::OperationInProgress, &game(), "busy")),
        Err(Refused::new(ErrorCode::SelfConnect, "that is me")),
    ]
}

#[test]
fn answers_have_their_documented_form() {
    for (line, answer) in paired(ANSWERS, answers()) {
        let id = RawValue::from_string(text("4")).unwrap();
        assert_eq!(Record::answer(id, answer.clone()).to_line(), line);
        let back = match Record::parse(line).unwrap() {
            Record::Result { id, reply } => (id, Ok(reply)),
            Record::Error { id, refused } => (id, Err(refused)),
            Record::Event(event) => panic!("{event:?}"),
        };
        assert_eq!((back.0.get(), back.1), ("4", answer), "{line}");
    }
}

fn peer_events() -> Vec<Event> {
    let name = || text("Calm Otter");
    let (peer_id, addresses) = (peer(), addresses());
    vec![
        Event::Ready {
            peer_id,
            name: name(),
            addresses: addresses.clone(),
            games_dir: Some("/g".into()),
            state_dir: "/s".into(),
            version: text("0.1.0"),
            protocol: 1,
        },
        Event::PeerDiscovered { peer_id, name: name(), addresses: addresses.clone() },
        Event::PeerConnected { peer_id, name: name(), addresses: addresses.clone() },
        Event::PeerLost { peer_id, name: name(), addresses, reason: text("silent") },
        Event::RemoteLibraryChanged { peer_id, games: vec![game()] },
        Event::ChunkRejected { game: game(), peer_id, file: text("pak0"), reason: text("hash") },
        Event::PeerRejected {
            address: "10.0.0.1:4000".parse().unwrap(),
            claimed_id: Some(peer_id),
            code: text("version-mismatch"),
            message: text("m"),
        },
    ]
}

fn download_events() -> Vec<Event> {
    vec![
        Event::DownloadBegin {
            game: game(),
            version: stamp(),
            manifest: ManifestId([2; 32]),
            bytes_total: 9,
            bytes_reused: 2,
            sources: vec![peer()],
        },
        Event::DownloadProgress {
            game: game(),
            bytes_done: 1,
            bytes_total: 9,
            bytes_per_second: 3,
            peers: 2,
            eta_s: Some(4),
        },
        Event::DownloadFinished {
            game: game(),
            version: stamp(),
            bytes_received: 7,
            bytes_reused: 2,
            seconds: 1.5,
            sources: [(peer(), 7)].into(),
        },
        Event::DownloadFailed { game: game(), code: ErrorCode::DiskFull, message: text("m") },
        Event::DownloadCancelled { game: game() },
        Event::DownloadPeersGone { game: game() },
    ]
}

fn operation_events() -> Vec<Event> {
    let (code, message) = (ErrorCode::UnpackFailed, || text("m"));
    let version = || Some(stamp());
    vec![
        Event::InstallFailed { game: game(), code, message: message() },
        Event::UpdateFailed { game: game(), code, message: message() },
        Event::UninstallFailed { game: game(), code, message: message() },
        Event::RemoveFailed { game: game(), code, message: message() },
        Event::VerifyFailed { game: game(), code, message: message() },
        Event::InstallFinished { game: game(), version: version() },
        Event::UpdateFinished { game: game(), version: version() },
        Event::UninstallFinished { game: game(), version: version() },
        Event::RemoveFinished { game: game(), version: version() },
        Event::VerifyFinished { game: game(), version: version() },
        Event::OperationCancelled { game: game() },
        Event::ActiveOperationsChanged { operations: vec![operation()] },
        Event::LocalLibraryChanged { games: vec![view()] },
    ]
}

fn runtime_events() -> Vec<Event> {
    vec![
        Event::Recovery { game: text("quake"), found: text("f"), action: text("a") },
        Event::ActorRestarted { component: text("library"), reason: text("r"), restarts: 2 },
        Event::RuntimeFailed { component: text("disk"), error: text("e") },
        Event::Notice { game: None, message: text("m") },
        Event::EventsMissed { count: 3 },
    ]
}

#[test]
fn every_event_has_its_documented_form() {
    let events = [peer_events(), download_events(), operation_events(), runtime_events()];
    for (line, event) in paired(EVENTS, events.concat()) {
        assert_eq!(Record::Event(event.clone()).to_line(), line);
        match Record::parse(line).unwrap() {
            Record::Event(back) => assert_eq!(back, event, "{line}"),
            other => panic!("{other:?}"),
        }
    }
}

/// Proves I15 for records: nothing that a terminal obeys goes out raw, and it is still the same
/// text.
#[test]
fn control_and_direction_characters_are_escaped() {
    let message = text("a\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{2066}\u{feff}\nb");
    let event = Event::Notice { game: None, message };
    let line = Record::Event(event.clone()).to_line();
    assert!(line.chars().all(|c| c.is_ascii() && !c.is_control()), "{line}");
    assert!(matches!(Record::parse(&line).unwrap(), Record::Event(back) if back == event));
}

/// Proves that a client survives a node of a later version.
#[test]
fn an_unknown_record_is_an_error_and_no_panic() {
    let later = r#"{"type":"event","event":"new-thing"}"#;
    for line in ["", "{}", "[]", later, r#"{"type":"other"}"#] {
        assert!(Record::parse(line).is_err(), "{line}");
    }
}
