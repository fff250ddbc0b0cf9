//! Real binaries on hosts of their own: what a LAN party does, with real games.
//!
//! Needs root, `ip`, `dpkg` and the packages of `LANSPREAD_LAB_GAMES`; says what it lacks and passes
//! elsewhere (`LANSPREAD_LAB=required` makes that a failure).

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use lanspread_tests::{
    games::{checksums, make_root, random_file, real_game},
    lab::Lab,
    process::{NodeHome, NodeProcess},
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);
const TRANSFER: Duration = Duration::from_secs(180);

struct Party {
    // Ends before the lab goes away.
    nodes: Vec<NodeProcess>,
    homes: Vec<NodeHome>,
    lab: Lab,
    folder: tempfile::TempDir,
}

impl Party {
    fn new(count: u8) -> Result<Option<Self>> {
        let Some(lab) = Lab::new(count) else { return Ok(None) };
        let folder = tempfile::tempdir()?;
        let homes = (0..count)
            .map(|index| NodeHome::new(&folder.path().join(format!("h{index}"))))
            .collect::<Result<Vec<_>>>()?;
        Ok(Some(Self { nodes: Vec::new(), homes, lab, folder }))
    }

    fn start_all(&mut self) -> Result<()> {
        for index in 0..self.homes.len() {
            let node = self.start(index)?;
            self.nodes.push(node);
        }
        let others = self.homes.len() - 1;
        for node in &mut self.nodes {
            node.command(json!({"command": "wait-peers", "count": others, "timeout_s": 20}))?;
        }
        Ok(())
    }

    fn start(&self, index: usize) -> Result<NodeProcess> {
        let name = format!("guest-{index}");
        NodeProcess::start(&self.homes[index], Some(self.lab.host(index)), &["--name", &name])
    }

    fn root(&self, index: usize, game: &str) -> std::path::PathBuf {
        self.homes[index].games().join(game)
    }

    /// Waits until `node` knows `count` sources of the newest `version` of `game`.
    fn wait_sources(node: &mut NodeProcess, game: &str, version: &str, count: u64) -> Result<()> {
        let begun = std::time::SystemTime::now();
        loop {
            let seen = node.game(game);
            if let Ok(view) = &seen
                && view["newest"] == version
                && view["peers"].as_u64() >= Some(count)
            {
                return Ok(());
            }
            ensure!(
                begun.elapsed()? < Duration::from_secs(60),
                "{count} sources of {game} {version}: {seen:?}"
            );
            // The event that will change it, or a second look.
            node.mark();
            node.wait_event("remote-library-changed", Duration::from_secs(2), |_| true).ok();
        }
    }
}

fn same_payload(a: &Path, b: &Path) -> Result<()> {
    let (left, right) = (checksums(a)?, checksums(b)?);
    ensure!(!left.is_empty(), "{} holds nothing", a.display());
    ensure!(left == right, "{} and {} differ", a.display(), b.display());
    Ok(())
}

/// Four hosts, nobody told anybody an address: a real game spreads from one to all, each installs it, one uninstalls
/// and removes it. Proves D1, D2, L7, P1, P4, P6, R4, T2, T4, A4.
#[test]
fn a_real_game_spreads_from_one_to_all() -> Result<()> {
    let Some(mut party) = Party::new(4)? else { return Ok(()) };
    for (package, folder, id) in [
        ("teeworlds-data", "usr/share/games/teeworlds/data", "teeworlds"),
        ("freedoom", "usr/share/games/doom", "freedoom"),
        ("hedgewars-data", "usr/share/games/hedgewars", "hedgewars"),
    ] {
        let Some(content) = real_game(package, folder, party.folder.path()) else { return Ok(()) };
        make_root(&content, &party.homes[0].games(), id, "20240101")?;
    }
    party.start_all()?;
    for id in ["teeworlds", "freedoom", "hedgewars"] {
        for index in 1..4 {
            Party::wait_sources(&mut party.nodes[index], id, "20240101", 1)?;
            party.nodes[index].mark();
            party.nodes[index].command(json!({"command": "download", "game": id}))?;
        }
        for index in 1..4 {
            let node = &mut party.nodes[index];
            node.wait_end(id, "download-finished", TRANSFER)?;
            node.wait_end(id, "install-finished", TRANSFER)?;
            let view = node.game(id)?;
            ensure!(view["downloaded"] == true && view["installed"] == true, "{view}");
            ensure!(view["availability"] == "ready" && view["operation"] == Value::Null, "{view}");
            let root = party.root(index, id);
            same_payload(&party.root(0, id), &root)?;
            let sentinel = std::fs::read(root.join("version.ini"))?;
            ensure!(sentinel == b"20240101", "the sentinel travels byte for byte");
            ensure!(
                checksums(&root)? == checksums(&root.join("local"))?,
                "a game without an archive is installed by a copy of its payload"
            );
        }
    }
    uninstall_and_remove(&mut party, "teeworlds")?;
    for node in &mut party.nodes {
        let took = node.shut_down()?;
        ensure!(took < Duration::from_secs(4), "shutdown took {took:?}");
    }
    Ok(())
}

fn uninstall_and_remove(party: &mut Party, id: &str) -> Result<()> {
    let root = party.root(1, id);
    let node = &mut party.nodes[1];
    node.command(json!({"command": "uninstall", "game": id}))?;
    node.wait_end(id, "uninstall-finished", SOON)?;
    ensure!(!root.join("local").try_exists()?, "local/ is gone");
    same_payload(&party.homes[0].games().join(id), &root)?;
    let node = &mut party.nodes[1];
    ensure!(node.refused(json!({"command": "uninstall", "game": id}))? == "not-installed");
    node.command(json!({"command": "remove", "game": id}))?;
    node.wait_end(id, "remove-finished", SOON)?;
    ensure!(!root.try_exists()?, "the game root is gone");
    ensure!(node.game(id)?["downloaded"] == false);
    Ok(())
}

/// A game packed as a RAR `.eti` is downloaded as it is and installed by unpacking it. Proves D1, T2, S.
#[test]
fn an_eti_archive_is_unpacked_at_the_other_end() -> Result<()> {
    let Some(mut party) = Party::new(2)? else { return Ok(()) };
    let content =
        real_game("teeworlds-data", "usr/share/games/teeworlds/data", party.folder.path());
    let Some(content) = content else { return Ok(()) };
    let plain = make_root(&content, party.folder.path(), "plain", "20240101")?;
    std::fs::remove_file(plain.join("version.ini"))?;
    let root = party.root(0, "teeworlds");
    std::fs::create_dir_all(&root)?;
    lanspread_tests::archives::pack_rar(&plain, &root.join("teeworlds.eti"))?;
    std::fs::write(root.join("version.ini"), "20240101")?;

    party.start_all()?;
    let node = &mut party.nodes[1];
    Party::wait_sources(node, "teeworlds", "20240101", 1)?;
    node.command(json!({"command": "download", "game": "teeworlds"}))?;
    node.wait_end("teeworlds", "install-finished", TRANSFER)?;
    let here = party.root(1, "teeworlds");
    same_payload(&root, &here)?;
    ensure!(checksums(&plain)? == checksums(&here.join("local"))?, "unpacked right");
    Ok(())
}

/// An update moves to other content under one id; the old version stays installed and served until the commit.
/// Proves R2, T3, O3, D9.
#[test]
fn an_update_replaces_payload_and_install() -> Result<()> {
    let Some(mut party) = Party::new(2)? else { return Ok(()) };
    let folder = "usr/share/games/openarena/baseoa";
    let old = real_game("openarena-data", folder, party.folder.path());
    let new = real_game("openarena-085-data", folder, party.folder.path());
    let (Some(old), Some(new)) = (old, new) else { return Ok(()) };
    make_root(&old, &party.homes[0].games(), "openarena", "20080101")?;
    party.start_all()?;
    let node = &mut party.nodes[1];
    Party::wait_sources(node, "openarena", "20080101", 1)?;
    node.command(json!({"command": "download", "game": "openarena"}))?;
    node.wait_end("openarena", "install-finished", TRANSFER)?;
    ensure!(node.refused(json!({"command": "update", "game": "openarena"}))? == "up-to-date");
    let here = party.root(1, "openarena");
    std::fs::write(here.join("local/my-save.dat"), "mine")?;

    let source = party.root(0, "openarena");
    std::fs::remove_dir_all(&source)?;
    make_root(&new, &party.homes[0].games(), "openarena", "20100101")?;
    let node = &mut party.nodes[1];
    Party::wait_sources(node, "openarena", "20100101", 1)?;
    node.mark();
    node.command(json!({"command": "update", "game": "openarena"}))?;
    node.wait_end("openarena", "update-finished", TRANSFER)?;
    let view = node.game("openarena")?;
    ensure!(view["version"] == "20100101" && view["installed"] == true, "{view}");
    same_payload(&source, &here)?;
    ensure!(std::fs::read(here.join("local/my-save.dat"))? == b"mine", "the user's file survives");
    for entry in std::fs::read_dir(&source)? {
        let name = entry?.file_name();
        let is_payload = name != "version.ini";
        ensure!(
            here.join("local").join(&name).try_exists()? == is_payload,
            "the payload and nothing else is installed: {name:?}"
        );
    }
    Ok(())
}

/// One of two sources dies by SIGKILL in the middle: the other one finishes the download. Proves R5.
#[test]
fn a_killed_source_is_replaced_by_the_other() -> Result<()> {
    let Some(mut party) = Party::new(3)? else { return Ok(()) };
    big_game(&party, &[0, 1])?;
    party.start_all()?;
    party.lab.set_rate(0, 200)?;
    party.lab.set_rate(1, 200)?;
    Party::wait_sources(&mut party.nodes[2], "big", "20240101", 2)?;
    party.nodes[2].mark();
    party.nodes[2].command(json!({"command": "download", "game": "big", "install": false}))?;
    wait_share(&mut party.nodes[2], "big", 0.25)?;
    party.nodes[0].kill()?;
    let done = party.nodes[2].wait_end("big", "download-finished", TRANSFER)?;
    let sources = done["sources"].as_object().context("sources")?;
    ensure!(sources.len() == 2, "both gave something: {done}");
    same_payload(&party.root(1, "big"), &party.root(2, "big"))?;
    Ok(())
}

/// The downloader dies by SIGKILL in the middle; started again, it fetches less than 5 % twice. Proves R6, T5, T6.
#[test]
fn a_killed_download_resumes() -> Result<()> {
    let Some(mut party) = Party::new(2)? else { return Ok(()) };
    big_game(&party, &[0])?;
    party.start_all()?;
    party.lab.set_rate(0, 300)?;
    let node = &mut party.nodes[1];
    Party::wait_sources(node, "big", "20240101", 1)?;
    node.command(json!({"command": "download", "game": "big", "install": false}))?;
    let before = wait_share(node, "big", 0.5)?;
    node.kill()?;
    let here = party.root(1, "big");
    ensure!(!here.join("version.ini").try_exists()?, "half a download is never visible");

    party.nodes[1] = party.start(1)?;
    let node = &mut party.nodes[1];
    Party::wait_sources(node, "big", "20240101", 1)?;
    ensure!(node.game("big")?["downloaded"] == false);
    node.command(json!({"command": "download", "game": "big", "install": false}))?;
    let done = node.wait_end("big", "download-finished", TRANSFER)?;
    let received = done["bytes_received"].as_u64().context("bytes_received")?;
    let twice = (before + received).saturating_sub(BIG_BYTES);
    eprintln!("had {before}, then received {received}: {twice} bytes fetched twice");
    ensure!(twice < BIG_BYTES / 20, "{twice} bytes were fetched twice");
    same_payload(&party.root(0, "big"), &here)?;
    Ok(())
}

/// A pulled cable: the download says that its peers are gone, keeps what it has, and goes on by itself when
/// the cable is back. Proves O7, P9.
#[test]
fn a_pulled_cable_heals() -> Result<()> {
    let Some(mut party) = Party::new(2)? else { return Ok(()) };
    big_game(&party, &[0])?;
    party.start_all()?;
    party.lab.set_rate(0, 200)?;
    Party::wait_sources(&mut party.nodes[1], "big", "20240101", 1)?;
    let node = &mut party.nodes[1];
    node.mark();
    node.command(json!({"command": "download", "game": "big", "install": false}))?;
    wait_share(node, "big", 0.3)?;
    party.lab.set_cable(0, false)?;
    let node = &mut party.nodes[1];
    node.wait_event("download-peers-gone", Duration::from_secs(40), |_| true)?;
    party.lab.set_cable(0, true)?;
    let node = &mut party.nodes[1];
    let done = node.wait_event("download-finished", TRANSFER, |event| event["game"] == "big")?;
    ensure!(node.events("download-failed").is_empty(), "no failure beside it");
    let received = done["bytes_received"].as_u64().context("bytes_received")?;
    ensure!(received < BIG_BYTES + BIG_BYTES / 5, "{received} bytes for {BIG_BYTES}");
    same_payload(&party.root(0, "big"), &party.root(1, "big"))?;
    Ok(())
}

const BIG_BYTES: u64 = 192 << 20;

fn big_game(party: &Party, holders: &[usize]) -> Result<()> {
    for holder in holders {
        let root = party.root(*holder, "big");
        std::fs::create_dir_all(&root)?;
        random_file(&root.join("data.bin"), BIG_BYTES - (1 << 20), 7)?;
        random_file(&root.join("more.bin"), 1 << 20, 8)?;
        std::fs::write(root.join("version.ini"), "20240101")?;
    }
    Ok(())
}

/// Waits until this share of a download is done; returns the bytes.
fn wait_share(node: &mut NodeProcess, game: &str, share: f64) -> Result<u64> {
    let event = node.wait_event("download-progress", TRANSFER, |event| {
        let part = event["bytes_done"].as_f64().zip(event["bytes_total"].as_f64());
        event["game"] == game && part.is_some_and(|(done, total)| done >= total * share)
    })?;
    event["bytes_done"].as_u64().context("bytes_done")
}
