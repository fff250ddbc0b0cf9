//! One big file between two processes on loopback, beside a plain copy of the same file in the same
//! run: `cargo build --release && cargo bench -p lanspread-tests --bench transfer -- [MiB] [rounds]`.
//!
//! Prints one line per round and a table of medians. The transfer includes hashing, verification,
//! writing and the durable commit; the copy is `cp` followed by `sync`. Absolute figures drift on a
//! shared machine: quote ratios.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use lanspread_tests::{
    games::{checksums, random_file},
    process::{NodeHome, NodeProcess},
};
use serde_json::json;

const MIB: u64 = 1 << 20;

/// What one measured thing took.
#[derive(Clone, Copy, Debug)]
struct Round {
    seconds: f64,
    cpu_send: f64,
    cpu_receive: f64,
}

fn main() -> Result<()> {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let mebibytes = numbers.first().copied().unwrap_or(2048);
    let rounds = numbers.get(1).copied().unwrap_or(3);
    let folder = tempfile::tempdir_in(
        std::env::var("LANSPREAD_BENCH_DIR").unwrap_or_else(|_| ".".to_owned()),
    )?;

    let sender = NodeHome::new(&folder.path().join("sender"))?;
    let root = sender.games().join("big");
    fs::create_dir_all(&root)?;
    random_file(&root.join("data.bin"), mebibytes * MIB, 1)?;
    fs::write(root.join("version.ini"), "20240101")?;
    let mut from = NodeProcess::start(&sender, None, &["--name", "sender"])?;
    let hashed = from.wait_event("local-library-changed", Duration::from_secs(300), |event| {
        event["games"]
            .as_array()
            .is_some_and(|games| games.iter().any(|game| game["manifest"].is_string()))
    });
    hashed.context("the sender did not finish hashing")?;

    let (mut copies, mut transfers) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        copies.push(copy(&root, &folder.path().join("copy"))?);
        let home = NodeHome::new(&folder.path().join(format!("receiver{round}")))?;
        transfers.push(transfer(&mut from, &home, &root)?);
        fs::remove_dir_all(&home.root)?;
        println!("round {round}: copy {:?}, transfer {:?}", copies.last(), transfers.last());
    }
    table(mebibytes, &copies, &transfers);
    Ok(())
}

fn copy(root: &Path, target: &Path) -> Result<Round> {
    let begun = SystemTime::now();
    let status = Command::new("cp").arg("-r").arg(root).arg(target).status()?;
    ensure!(status.success(), "cp: {status}");
    ensure!(Command::new("sync").arg("-f").arg(target).status()?.success(), "sync");
    let seconds = begun.elapsed()?.as_secs_f64();
    fs::remove_dir_all(target)?;
    Ok(Round { seconds, cpu_send: 0.0, cpu_receive: 0.0 })
}

fn transfer(from: &mut NodeProcess, home: &NodeHome, root: &Path) -> Result<Round> {
    let mut to = NodeProcess::start(home, None, &["--name", "receiver"])?;
    to.command(json!({"command": "wait-peers", "count": 1, "timeout_s": 30}))?;
    while to.game("big").map_or(true, |game| game["peers"] != 1) {
        to.wait_event("remote-library-changed", Duration::from_secs(30), |_| true)?;
    }
    let (send, receive) = (cpu_seconds(from.pid())?, cpu_seconds(to.pid())?);
    let begun = SystemTime::now();
    to.command(json!({"command": "download", "game": "big", "install": false}))?;
    to.wait_end("big", "download-finished", Duration::from_secs(600))?;
    let round = Round {
        seconds: begun.elapsed()?.as_secs_f64(),
        cpu_send: cpu_seconds(from.pid())? - send,
        cpu_receive: cpu_seconds(to.pid())? - receive,
    };
    ensure!(checksums(root)? == checksums(&home.games().join("big"))?, "the bytes differ");
    to.shut_down()?;
    Ok(round)
}

/// User and system seconds of a process, from the kernel's own account.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 =
        [11, 12].iter().filter_map(|index| fields.get(*index)?.parse::<u64>().ok()).sum();
    let output = Command::new("getconf").arg("CLK_TCK").output()?;
    let hertz: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(ticks as f64 / hertz)
}

fn table(mebibytes: u64, copies: &[Round], transfers: &[Round]) {
    let gibibytes = mebibytes as f64 / 1024.0;
    let (copy, transfer) = (median(copies, |r| r.seconds), median(transfers, |r| r.seconds));
    println!("| what | MiB/s | CPU s/GiB send | CPU s/GiB receive | × copy |");
    println!("|---|---|---|---|---|");
    println!("| cp + sync | {:.0} | – | – | 1 |", mebibytes as f64 / copy);
    println!(
        "| lanspread, file to file, verified, durable | {:.0} | {:.2} | {:.2} | {:.2} |",
        mebibytes as f64 / transfer,
        median(transfers, |r| r.cpu_send) / gibibytes,
        median(transfers, |r| r.cpu_receive) / gibibytes,
        copy / transfer
    );
    println!("n = {}, {mebibytes} MiB, medians", transfers.len());
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
