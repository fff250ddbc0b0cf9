//! One node and the commands of its user: records, exit codes, ends. Runs the real program.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod common;

use common::{Home, Node, lanspread, record, stderr, stdout};
use serde_json::json;

/// Proves A4, A5: `ready` first, answers with their ids, the end of stdin is the end of the node.
#[test]
fn a_session_over_json_lines() {
    let home = Home::new();
    let mut node = Node::new(home.run(&["--jsonl", "--name", "Calm Otter"]));
    let ready = node.record().unwrap();
    assert_eq!((&ready["type"], &ready["event"]), (&json!("event"), &json!("ready")));
    assert_eq!(ready["name"], "Calm Otter");
    assert_eq!(ready["games_dir"], json!(home.games()));
    assert_eq!(ready["protocol"], 1);
    let addresses = ready["addresses"].as_array().unwrap();
    assert!(!addresses.is_empty());
    for address in addresses {
        let address: std::net::SocketAddr = address.as_str().unwrap().parse().unwrap();
        assert!(address.ip().is_loopback(), "{address} is not on the interface that was named");
    }

    node.write("this is no command");
    let bad = node.find("the error", |record| record["type"] == "error");
    assert_eq!((&bad["code"], &bad["id"]), (&json!("bad-command"), &json!(null)));
    let status = node.ask(json!({"command": "status"}));
    assert_eq!(status["status"]["peer_id"], ready["peer_id"]);
    let unknown = node.ask(json!({"command": "download", "game": "quake"}));
    assert_eq!((&unknown["type"], &unknown["code"]), (&json!("error"), &json!("unknown-game")));

    let begun = std::time::SystemTime::now();
    let (records, status) = node.finish();
    assert!(begun.elapsed().unwrap() < std::time::Duration::from_secs(4));
    assert_eq!(status.code(), Some(0));
    assert!(records.iter().all(|record| record["event"] != "runtime-failed"), "{records:#?}");
}

/// Proves A4: the signals of the system are an ordered end.
#[cfg(unix)]
#[test]
fn signals_end_a_node_in_order() {
    for name in ["TERM", "INT"] {
        let home = Home::new();
        let node = home.node();
        common::signal(node.pid(), name);
        let (records, status) = node.wait();
        assert_eq!(status.code(), Some(0), "{name}");
        assert!(records.iter().all(|record| record["event"] != "runtime-failed"));
        assert!(!home.state().join("control.sock").try_exists().unwrap());
    }
}

#[test]
fn commands_reach_the_node_of_the_state_folder() {
    let home = Home::new();
    let node = home.node();
    let status = record(&home.ask(&["status", "--json"]));
    assert_eq!((&status["type"], &status["id"]), (&json!("result"), &json!(null)));
    assert_eq!(status["status"]["state_dir"], json!(home.state()));
    let text = stdout(&home.ask(&["status"]));
    assert!(text.contains("peer id: ") && text.contains("games here: 0"), "{text}");
    // Nodes of other tests on this machine are peers like any other.
    assert!(record(&home.ask(&["games", "--json"]))["games"].is_array());
    assert!(record(&home.ask(&["peers", "--jsonl"]))["peers"].is_array());
    assert!(stdout(&home.ask(&["peers"])).starts_with("PEER"));
    assert!(stdout(&home.ask(&["games"])).starts_with("GAME"));
    let dir = stdout(&home.ask(&["games-dir"]));
    assert_eq!(dir.trim_end(), home.games().to_str().unwrap());

    let begun = std::time::SystemTime::now();
    assert_eq!(home.ask(&["shutdown"]).status.code(), Some(0));
    assert!(begun.elapsed().unwrap() < std::time::Duration::from_secs(4));
    let (_, status) = node.wait();
    assert_eq!(status.code(), Some(0));
}

/// Proves the exit codes of refusals: the reason is on stderr, and with `--json` on stdout, too.
#[test]
fn refusals_have_their_exit_code() {
    let home = Home::new();
    let _node = home.node();
    for words in [
        vec!["show", "quake"],
        vec!["download", "quake"],
        vec!["install", "quake"],
        vec!["uninstall", "../x"],
        vec!["cancel", "quake"],
        vec!["games-dir", "/definitely/not/there"],
    ] {
        let output = home.ask(&words);
        assert_eq!(output.status.code(), Some(4), "{words:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("lanspread: "), "{words:?}");
        assert!(output.stdout.is_empty());
        let output = home.ask(&[&words[..], &["--json"]].concat());
        assert_eq!((output.status.code(), &record(&output)["type"]), (Some(4), &json!("error")));
    }
}

#[test]
fn without_a_node_the_exit_code_is_three() {
    let home = Home::new();
    for words in [vec!["status"], vec!["download", "quake"], vec!["shutdown", "--json"]] {
        let output = home.ask(&words);
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stdout.is_empty());
        assert!(stderr(&output).contains("lanspread run"), "says how: {}", stderr(&output));
    }
}

#[test]
fn wrong_usage_has_the_exit_code_two() {
    let home = Home::new();
    for words in [vec!["fly"], vec!["show"], vec!["connect", "nowhere"]] {
        assert_eq!(home.ask(&words).status.code(), Some(2), "{words:?}");
    }
    let mut first = lanspread();
    let output = first.arg("run").arg("--state-dir").arg(home.state()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--games-dir"), "the first start says how");
    assert!(!home.state().try_exists().unwrap(), "and leaves nothing behind");
}

/// Proves L7, T69 at the command line: a start that fails says why, in both languages.
#[test]
fn a_failed_start_says_why() {
    let home = Home::new();
    let mut command = lanspread();
    command.args(["run", "--jsonl", "--state-dir"]).arg(home.state());
    let output = command.args(["--games-dir", "/definitely/not/there"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = record(&output);
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("bad-games-dir")));
    assert!(stderr(&output).contains("/definitely/not/there"));

    let mut node = home.node();
    let output = home.run(&["--jsonl"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(record(&output)["code"], "state-dir-busy");
    assert!(stderr(&output).contains(&node.pid().to_string()), "{}", stderr(&output));
    assert_eq!(node.ask(json!({"command": "status"}))["type"], "result", "the first one lives");
}

/// Proves L8 at the command line: the folder is remembered for a start that names none.
#[test]
fn a_changed_games_folder_is_remembered() {
    let home = Home::new();
    let mut node = home.node();
    let new = home.path().join("more games");
    std::fs::create_dir(&new).unwrap();
    let output = home.ask(&["games-dir", new.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let status = node.ask(json!({"command": "status"}));
    assert_eq!(status["status"]["games_dir"], json!(new));
    node.finish();

    let mut again = lanspread();
    again.args(["run", "--jsonl", "--interface", &common::loopback()]);
    let mut node = Node::new({
        again.arg("--state-dir").arg(home.state());
        again
    });
    assert_eq!(node.event("ready")["games_dir"], json!(new));
}

/// Proves that a person sees what happens, and a script sees records.
#[cfg(unix)]
#[test]
fn watch_shows_what_happens_until_it_is_stopped() {
    use std::{io::BufRead as _, process::Stdio};
    let home = Home::new();
    let mut node = home.node();
    let mut watch = home.command(&["watch", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufReader::new(watch.stdout.take().unwrap()).lines();
    let (send, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| send.send(line)));
    // Events before the watch has connected are not for it: something happens until it hears.
    let begun = std::time::SystemTime::now();
    let line = (0..).find_map(|round| {
        assert!(begun.elapsed().unwrap() < common::DEADLINE, "nothing was shown");
        make_game(&home.games().join(format!("game-{round}")));
        node.ask(json!({"command": "status"}));
        heard.recv_timeout(std::time::Duration::from_millis(500)).ok()
    });
    let event: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
    assert_eq!(event["type"], "event");
    common::signal(watch.id(), "INT");
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
fn make_game(root: &std::path::Path) {
    std::fs::create_dir(root).unwrap();
    std::fs::write(root.join("pak0.pk3"), vec![7; 4096]).unwrap();
    std::fs::write(root.join("version.ini"), "20240131").unwrap();
}
