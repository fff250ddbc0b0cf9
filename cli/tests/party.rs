//! Two nodes on loopback: found, downloaded, installed, updated, removed, by records and by
//! commands. Runs the real program.
//!
//! Every test has games of its own: nodes of other tests on this machine are peers, too.
#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use common::{Home, Node, lanspread, record, stderr, stdout};
use serde_json::{Value, json};

/// A giver with one game and a taker who knows that the giver has it.
struct Party {
    game: String,
    giver: Home,
    taker: Home,
    giving: Node,
    taking: Node,
}

fn party(test: &str, bytes: usize) -> Party {
    let game = format!("{test}-{}", std::process::id());
    let (giver, taker) = (Home::new(), Home::new());
    make(&giver.games().join(&game), "20240101", bytes);
    let (giving, mut taking) = (giver.node(), taker.node());
    offered(&mut taking, &game, "20240101");
    Party { game, giver, taker, giving, taking }
}

/// A plain game: a big file, a small one, an empty one, one in a folder, an empty folder.
fn make(root: &Path, version: &str, bytes: usize) {
    fs::create_dir_all(root.join("data/empty")).unwrap();
    fs::write(root.join("data/pak0.pk3"), noise(version, bytes)).unwrap();
    fs::write(root.join("readme.txt"), format!("version {version}")).unwrap();
    fs::write(root.join("empty.cfg"), "").unwrap();
    fs::write(root.join("start.sh"), "#!/bin/sh\n").unwrap();
    fs::write(root.join("version.ini"), version).unwrap();
}

fn noise(seed: &str, bytes: usize) -> Vec<u8> {
    let mut state = seed.bytes().fold(0x9E37_79B9_7F4A_7C15_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(bytes).collect()
}

/// Waits until `node` sees `version` of `game` at some source.
fn offered(node: &mut Node, game: &str, version: &str) {
    loop {
        let shown = node.ask(json!({"command": "show-game", "game": game}));
        if shown["game"]["newest"] == version && shown["game"]["peers"] != 0 {
            return;
        }
        node.event("remote-library-changed");
    }
}

/// Files below `folder` that are not the program's own.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(&current).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(folder).unwrap().to_path_buf();
            if relative.starts_with("local") || relative.to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(relative, fs::read(&path).unwrap());
            }
        }
    }
    found
}

impl Party {
    fn root(&self) -> PathBuf {
        self.taker.games().join(&self.game)
    }

    fn ask(&mut self, command: &str) -> Value {
        self.taking.ask(json!({"command": command, "game": self.game}))
    }

    fn end(&mut self, name: &str) -> Value {
        let game = self.game.clone();
        let event = self.taking.find(name, |record| {
            let event = record["event"].as_str().unwrap_or_default();
            record["game"] == game && (event == name || event.ends_with("-failed"))
        });
        assert_eq!(event["event"], name, "{event}");
        event
    }

    fn view(&mut self) -> Value {
        self.ask("show-game")["game"].clone()
    }

    /// Payload as the giver has it.
    fn given(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files(&self.giver.games().join(&self.game))
    }
}

/// Proves that the main job works on a fresh machine, with an archive to unpack.
#[test]
fn the_demo_shows_the_whole_way() {
    let output = lanspread().arg("demo").output().unwrap();
    let (text, errors) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    for step in ["found each other", "downloaded", "every file is right", "installed", "goodbye"] {
        assert!(text.contains(step), "{step} is missing: {text}");
    }
}

/// Proves D1, D2, O4, P6, R4: found by itself, fetched and installed; each next command is given
/// the moment the terminal event of the one before is read.
#[test]
fn a_game_goes_the_whole_way_by_records() {
    let mut party = party("whole-way", 3_000_000);
    let accepted = party.ask("download");
    assert_eq!(accepted["type"], "result", "{accepted}");
    assert!(accepted["operation"].is_string());
    let finished = party.end("download-finished");
    assert_eq!(finished["version"], "20240101");
    party.end("install-finished");
    let view = party.view();
    assert_eq!(view["operation"], json!(null), "free when its end is told (O4)");
    assert_eq!((&view["downloaded"], &view["installed"]), (&json!(true), &json!(true)));
    assert_eq!(view["availability"], "ready");
    assert_eq!(files(&party.root()), party.given());

    for (command, end) in [
        ("verify", "verify-finished"),
        ("uninstall", "uninstall-finished"),
        ("install", "install-finished"),
        ("remove", "remove-finished"),
    ] {
        let accepted = party.ask(command);
        assert_eq!(accepted["type"], "result", "{command}: {accepted}");
        party.end(end);
    }
    assert!(!party.root().try_exists().unwrap(), "removed");
    assert_eq!(party.view()["downloaded"], false, "still listed: the giver has it");
    for node in [party.taking, party.giving] {
        let (records, status) = node.finish();
        assert_eq!(status.code(), Some(0));
        assert!(records.iter().all(|record| record["event"] != "runtime-failed"));
        assert!(records.iter().all(|record| record["event"] != "actor-restarted"), "{records:#?}");
    }
}

/// Proves T3 at the command line: an update of what is installed, with the old version as a source.
#[test]
fn an_update_replaces_the_old_version() {
    let mut party = party("update", 2_000_000);
    party.ask("download");
    party.end("install-finished");
    fs::write(party.root().join("local/my-save"), "mine").unwrap();
    let root = party.giver.games().join(&party.game);
    make(&root, "20250101", 2_500_000);
    let game = party.game.clone();
    offered(&mut party.taking, &game, "20250101");
    assert_eq!(party.ask("update")["type"], "result");
    party.end("update-finished");
    let view = party.view();
    assert_eq!((&view["version"], &view["installed"]), (&json!("20250101"), &json!(true)));
    assert_eq!(files(&party.root()), party.given());
    let readme = fs::read_to_string(party.root().join("local/readme.txt")).unwrap();
    assert_eq!(readme, "version 20250101");
    assert_eq!(fs::read_to_string(party.root().join("local/my-save")).unwrap(), "mine");
}

/// Proves that a person at a shell gets the same: waiting commands, their words and exit codes.
#[test]
fn commands_wait_for_the_end_of_their_operation() {
    let party = party("shell", 1_000_000);
    let game = party.game.as_str();
    let ask = |words: &[&str]| party.taker.ask(words);
    let output = ask(&["download", game, "--no-install"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("downloaded version 20240101"), "{}", stderr(&output));
    assert!(output.stdout.is_empty(), "texts are not for stdout");
    assert!(!party.root().join("local").try_exists().unwrap());
    let shown = stdout(&ask(&["show", game]));
    assert!(shown.contains("here") && shown.contains("source: "), "{shown}");

    assert_eq!(ask(&["uninstall", game]).status.code(), Some(4), "not installed yet");
    let output = ask(&["install", game, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(records[0]["operation"].is_string(), "{text}");
    assert_eq!(records.last().unwrap()["event"], "install-finished", "{text}");

    for (words, code) in [
        (vec!["install", game], 4),
        (vec!["update", game], 4),
        (vec!["verify", game], 0),
        (vec!["cancel", game], 4),
        (vec!["uninstall", game], 0),
        (vec!["remove", game, "--json"], 0),
        (vec!["remove", game], 4),
    ] {
        let output = ask(&words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", stderr(&output));
    }
    let peers = record(&ask(&["peers", "--json"]));
    assert!(!peers["peers"].as_array().unwrap().is_empty());
}

/// Proves O6 and the promise of Ctrl+C: it stops the wait, the operation goes on.
#[cfg(unix)]
#[test]
fn a_stopped_wait_leaves_the_operation_running() {
    use std::{io::BufRead as _, process::Stdio};
    let mut party = party("stopped-wait", 80_000_000);
    let mut waiting = party
        .taker
        .command(&["download", &party.game, "--no-install"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(waiting.stderr.take().unwrap()).lines();
    lines.next().unwrap().unwrap(); // the first word of the operation
    common::signal(waiting.id(), "INT");
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(waiting.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("goes on")), "{rest:?}");
    party.end("download-finished");
    assert_eq!(files(&party.root()), party.given());
}

/// Proves O2, O6: a busy game is refused, a cancelled download leaves nothing visible, and the game
/// is free when `cancel` returns.
#[test]
fn a_cancelled_download_leaves_the_game_free() {
    let mut party = party("cancelled", 100_000_000);
    let game = party.game.clone();
    let output = party.taker.ask(&["download", &game, "--detach", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(record(&output)["operation"].is_string(), "one record, no waiting");
    let busy = party.taker.ask(&["download", &game]);
    assert_eq!(busy.status.code(), Some(4), "{}", stderr(&busy));
    let output = party.taker.ask(&["cancel", &game]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let free = party.taker.ask(&["remove", &game]);
    assert!(matches!(free.status.code(), Some(0 | 4)), "not busy any more: {}", stderr(&free));
    assert!(!stderr(&free).contains("busy"), "{}", stderr(&free));
    party.end("download-cancelled");
    assert!(!party.root().join("version.ini").try_exists().unwrap(), "never visible (R6)");
}

/// Proves P9 and A3 for a killed peer: its loss is told, and it is found again.
#[test]
fn a_killed_peer_is_lost_and_found_again() {
    let mut party = party("killed", 1000);
    let id = party.giving.ask(json!({"command": "status"}))["status"]["peer_id"].clone();
    drop(std::mem::replace(&mut party.giving, Node::new(lanspread()))); // killed
    let lost = party
        .taking
        .find("peer-lost", |record| record["event"] == "peer-lost" && record["peer_id"] == id);
    assert!(lost["reason"].is_string());
    assert_eq!(party.ask("show-game")["code"], "unknown-game", "nobody here has it any more");
    party.giving = party.giver.node();
    party.taking.find("peer-connected", |record| {
        record["event"] == "peer-connected" && record["peer_id"] == id
    });
    let game = party.game.clone();
    offered(&mut party.taking, &game, "20240101");
}

/// Proves that any folder becomes a game by one command, and is shared.
#[test]
fn any_folder_becomes_a_game() {
    let mut party = party("add", 1000);
    let folder = party.taker.path().join("My Old Game");
    make(&folder, "ignored", 5000);
    fs::remove_file(folder.join("version.ini")).unwrap();
    let id = format!("added-{}", std::process::id());
    let output = party.taker.ask(&[
        "add",
        folder.to_str().unwrap(),
        "--id",
        &id,
        "--title",
        "My Old Game",
        "--version",
        "20200202",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(folder.join("readme.txt").try_exists().unwrap(), "copied, not moved");
    offered(&mut party.giving, &id, "20200202");
}
