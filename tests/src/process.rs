//! A real `lanspread run --jsonl` process, driven over its JSON lines.
//!
//! Every record the process prints is kept; waiting for an event looks at all that came since the
//! last [`NodeProcess::mark`], so that an event that arrives before the wait is not missed.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::lab::Host;

/// A running node. Dropping it kills it.
pub struct NodeProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    records: Arc<Records>,
    reader: Option<JoinHandle<()>>,
    mark: usize,
    next_id: u64,
    log: PathBuf,
}

/// Where a node keeps its things; survives the process.
#[derive(Clone, Debug)]
pub struct NodeHome {
    /// Holds `state/`, `games/` and `log`.
    pub root: PathBuf,
}

impl NodeHome {
    /// Makes the folders.
    pub fn new(root: &Path) -> Result<Self> {
        let home = Self { root: root.to_path_buf() };
        std::fs::create_dir_all(home.games())?;
        std::fs::create_dir_all(home.state())?;
        Ok(home)
    }

    /// The shared folder.
    pub fn games(&self) -> PathBuf {
        self.root.join("games")
    }

    /// The state folder.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }
}

#[derive(Default)]
struct Records {
    list: Mutex<(Vec<Value>, bool)>,
    changed: Condvar,
}

/// The `lanspread` program that belongs to the running test binary.
///
/// # Panics
/// If it was not built: `cargo test --workspace` builds it.
pub fn lanspread() -> PathBuf {
    let mut folder = std::env::current_exe().expect("the path of this test");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let program = folder.join(format!("lanspread{}", std::env::consts::EXE_SUFFIX));
    assert!(program.is_file(), "{} is missing: run the tests with --workspace", program.display());
    program
}

impl NodeProcess {
    /// Starts a node, on a host of a lab or (with `None`) on loopback only, and waits for `ready`.
    pub fn start(home: &NodeHome, host: Option<&Host>, extra: &[&str]) -> Result<Self> {
        let program = lanspread();
        let mut command = match host {
            Some(host) => host.command(&program),
            None => Command::new(&program),
        };
        command.arg("run").arg("--jsonl");
        command.arg("--state-dir").arg(home.state()).arg("--games-dir").arg(home.games());
        if host.is_none() {
            command.args(["--interface", "lo"]);
        }
        command.args(extra);
        let log = home.root.join("log");
        let log_file = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().context("cannot start lanspread")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("no stdout")?;
        let records = Arc::new(Records::default());
        let reader = std::thread::spawn({
            let records = records.clone();
            move || read_records(BufReader::new(stdout), &records)
        });
        let mut node =
            Self { child, stdin, records, reader: Some(reader), mark: 0, next_id: 0, log };
        node.wait_event("ready", Duration::from_secs(20), |_| true)?;
        Ok(node)
    }

    /// Sends a command and returns its `result` record; an `error` record becomes an error.
    pub fn command(&mut self, command: Value) -> Result<Value> {
        let record = self.ask(command.clone(), Duration::from_secs(30))?;
        if record["type"] == "error" {
            bail!("{command} was refused: {record}");
        }
        Ok(record)
    }

    /// Sends a command and returns the code of the `error` record it must get.
    pub fn refused(&mut self, command: Value) -> Result<String> {
        let record = self.ask(command.clone(), Duration::from_secs(30))?;
        if record["type"] != "error" {
            bail!("{command} was accepted: {record}");
        }
        Ok(record["code"].as_str().unwrap_or_default().to_owned())
    }

    fn ask(&mut self, mut command: Value, deadline: Duration) -> Result<Value> {
        self.next_id += 1;
        let id = self.next_id;
        command["id"] = json!(id);
        let stdin = self.stdin.as_mut().context("stdin is closed")?;
        writeln!(stdin, "{command}")?;
        stdin.flush()?;
        self.wait(0, deadline, &format!("the answer to {command}"), |record| {
            record["id"] == json!(id) && record["type"] != "event"
        })
    }

    /// From now on, waits look only at what comes later.
    pub fn mark(&mut self) {
        let seen = self.lock().0.len();
        self.mark = seen;
    }

    /// The first event of this name since the mark that fits.
    pub fn wait_event(
        &mut self,
        name: &str,
        deadline: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.wait(self.mark, deadline, &format!("event {name}"), |record| {
            record["event"] == name && fits(record)
        })
    }

    /// The terminal event of an operation on `game`: `wanted`, or an error with the one that came instead.
    pub fn wait_end(&mut self, game: &str, wanted: &str, deadline: Duration) -> Result<Value> {
        let ends = ["-finished", "-failed", "-cancelled", "-peers-gone"];
        let event = self.wait(self.mark, deadline, &format!("{wanted} of {game}"), |record| {
            let name = record["event"].as_str().unwrap_or_default();
            record["game"] == game
                && (name == wanted || name.ends_with("-failed"))
                && ends.iter().any(|end| name.ends_with(end))
        })?;
        if event["event"] != wanted {
            bail!("{wanted} was expected, but: {event}");
        }
        Ok(event)
    }

    /// All events of this name since the start.
    pub fn events(&self, name: &str) -> Vec<Value> {
        self.lock().0.iter().filter(|record| record["event"] == name).cloned().collect()
    }

    /// The `game` object of `show-game`.
    pub fn game(&mut self, game: &str) -> Result<Value> {
        Ok(self.command(json!({"command": "show-game", "game": game}))?["game"].clone())
    }

    /// Ends it the hard way, as a power button would.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.join_reader();
        Ok(())
    }

    /// Ends it by closing its stdin; fails if it does not end in time or reports a failure.
    pub fn shut_down(&mut self) -> Result<Duration> {
        let begun = tokio::time::Instant::now();
        drop(self.stdin.take());
        self.join_reader();
        let status = self.child.wait()?;
        if !status.success() {
            bail!("ended with {status}\n{}", self.log_tail());
        }
        Ok(begun.elapsed())
    }

    /// The id of the process, for signals and measurements.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn join_reader(&mut self) {
        if let Some(reader) = self.reader.take()
            && reader.join().is_err()
        {
            eprintln!("the reader of a node's records panicked");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Vec<Value>, bool)> {
        self.records.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(
        &self,
        from: usize,
        deadline: Duration,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let (guard, timed_out) = self
            .records
            .changed
            .wait_timeout_while(self.lock(), deadline, |(list, ended)| {
                !*ended && !list[from..].iter().any(&fits)
            })
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = guard.0[from..].iter().find(|record| fits(record)) {
            return Ok(found.clone());
        }
        let recent: Vec<String> = guard.0.iter().rev().take(8).map(Value::to_string).collect();
        let why = if timed_out.timed_out() { "did not come in time" } else { "the node ended" };
        bail!("{what}: {why}; last records:\n{}\n{}", recent.join("\n"), self.log_tail());
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(15).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // An ended process cannot be killed again; nothing to do about it.
        self.child.kill().ok();
        self.child.wait().ok();
        self.join_reader();
    }
}

fn read_records(lines: impl BufRead, records: &Records) {
    for line in lines.lines() {
        let Ok(line) = line else { break };
        let record = serde_json::from_str(&line)
            .unwrap_or_else(|error| json!({"not-json": line, "error": error.to_string()}));
        let mut list = records.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.0.push(record);
        records.changed.notify_all();
    }
    records.list.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
    records.changed.notify_all();
}
