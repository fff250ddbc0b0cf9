//! The real program on loopback: nodes driven over their JSON lines, and commands against them.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unreachable_pub, reason = "a module of test programs")]
#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use serde_json::{Value, json};

/// Far more than anything here takes.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The program under test.
pub fn lanspread() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanspread"));
    command.env_remove("LANSPREAD_STATE_DIR").env_remove("RUST_LOG");
    command
}

/// The loopback interface of this machine, the only one that tests may touch.
pub fn loopback() -> String {
    lanspread_actors::config::loopback_interfaces().unwrap().remove(0)
}

/// The folders of one node.
pub struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("games")).unwrap();
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn games(&self) -> PathBuf {
        self.path().join("games")
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// A `run` on these folders.
    pub fn run(&self, flags: &[&str]) -> Command {
        let mut command = lanspread();
        command.args(["run", "--interface", &loopback()]);
        command.arg("--state-dir").arg(self.state()).arg("--games-dir").arg(self.games());
        command.args(flags);
        command
    }

    /// A node that is ready.
    pub fn node(&self) -> Node {
        let mut node = Node::new(self.run(&["--jsonl"]));
        node.event("ready");
        node
    }

    /// A command against the node, at its end.
    pub fn ask(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// A command against the node, not started yet.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = lanspread();
        command.args(words).arg("--state-dir").arg(self.state()).stdin(Stdio::null());
        command
    }
}

/// A `run --jsonl`. Dropping it kills it.
pub struct Node {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<Value>,
    next: usize,
}

impl Node {
    pub fn new(mut command: Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = piped.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                if send.send(line.unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { child, stdin, lines, seen: Vec::new(), next: 0 }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a raw line.
    pub fn write(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
        stdin.flush().unwrap();
    }

    /// The next record, `None` at the end.
    pub fn record(&mut self) -> Option<Value> {
        if self.next == self.seen.len() {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => {
                    let record = serde_json::from_str(&line);
                    self.seen.push(record.unwrap_or_else(|e| panic!("{e}: {line}")));
                }
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(error) => panic!("no record: {error}; so far: {:#?}", self.seen),
            }
        }
        self.next += 1;
        Some(self.seen[self.next - 1].clone())
    }

    /// The next record that fits; those before it are passed over.
    pub fn find(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            match self.record() {
                Some(record) if fits(&record) => return record,
                Some(_) => {}
                None => panic!("the node ended before {what}: {:#?}", self.seen),
            }
        }
    }

    pub fn event(&mut self, name: &str) -> Value {
        self.find(name, |record| record["event"] == name)
    }

    /// Gives a command and returns its answer.
    pub fn ask(&mut self, mut command: Value) -> Value {
        let id = json!([self.seen.len(), "id"]);
        command["id"] = id.clone();
        self.write(&command.to_string());
        self.find(&command.to_string(), |record| record["id"] == id && record["type"] != "event")
    }

    /// Every record from the first one on, also those passed over.
    pub fn seen(&self) -> &[Value] {
        &self.seen
    }

    /// Looks again from the first record on.
    pub fn rewind(&mut self) {
        self.next = 0;
    }

    /// Closes stdin and waits for the end.
    pub fn finish(mut self) -> (Vec<Value>, ExitStatus) {
        drop(self.stdin.take());
        while self.record().is_some() {}
        let status = self.child.wait().unwrap();
        (std::mem::take(&mut self.seen), status)
    }

    /// Waits for the end that somebody else causes.
    pub fn wait(mut self) -> (Vec<Value>, ExitStatus) {
        while self.record().is_some() {}
        let status = self.child.wait().unwrap();
        (std::mem::take(&mut self.seen), status)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A signal to a process of ours.
#[cfg(unix)]
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The one JSON record on stdout.
pub fn record(output: &Output) -> Value {
    let text = stdout(output);
    assert_eq!(text.lines().count(), 1, "one record and nothing else: {text}");
    serde_json::from_str(&text).unwrap()
}
