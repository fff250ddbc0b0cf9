//! Whole nodes in one process over the virtual network: the main job without a socket or a second process.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use lanspread_actors::{
    api::{Command, Event, Reply},
    config::NodeConfig,
    handle::{EventStream, NodeHandle, Outcome},
};
use lanspread_tests::{
    games::random_file,
    hub::{Hub, Link},
    process::lanspread,
    vdiscovery::VirtualDiscovery,
};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(60);
const GAME_BYTES: u64 = 6 << 20;

/// One node of a party with its events since the start.
struct Guest {
    node: NodeHandle,
    events: EventStream,
    games: PathBuf,
}

struct Party {
    guests: Vec<Guest>,
    hub: Hub,
    // Lives longer than the nodes that have files open in it.
    _folder: tempfile::TempDir,
}

fn address(index: usize) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, 1 + index as u8], 4000))
}

impl Party {
    /// Nodes of which the first `holders` have the game.
    async fn start(count: usize, holders: usize, link: Link) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let hub = Hub::new(7, link);
        let segment = VirtualDiscovery::new(Duration::from_millis(5));
        let mut guests = Vec::new();
        for index in 0..count {
            let home = folder.path().join(format!("guest-{index}"));
            let games = home.join("games");
            std::fs::create_dir_all(&games)?;
            if index < holders {
                make_game(&games.join("quake"), "20240101", 1)?;
            }
            let config = NodeConfig {
                state_dir: home.join("state"),
                games_dir: Some(games.clone()),
                name: Some(format!("guest-{index}")),
                listen: None,
                interfaces: Vec::new(),
                catalog: None,
                transport: hub.transport(address(index)),
                discovery: segment.backend(),
                unpack_program: lanspread(),
                control_socket: false,
            };
            let node = NodeHandle::start(config).await?;
            let events = node.events();
            guests.push(Guest { node, events, games });
        }
        Ok(Self { guests, hub, _folder: folder })
    }

    async fn end(self) -> Result<()> {
        for guest in &self.guests {
            let outcome = guest.node.shutdown().await;
            ensure!(outcome == Outcome::Stopped, "{outcome:?}");
        }
        Ok(())
    }
}

impl Guest {
    /// Waits until `count` peers hold the newest `version` of the game.
    async fn wait_sources(&self, version: &str, count: usize) -> Result<()> {
        let mut snapshots = self.node.snapshot();
        let seen = snapshots.wait_for(|snapshot| {
            snapshot.games.iter().any(|game| {
                game.newest.as_ref().is_some_and(|newest| newest.as_str() == version)
                    && game.peers >= count
            })
        });
        timeout(DEADLINE, seen).await.context("no sources in time")??;
        Ok(())
    }

    async fn order(&self, command: Command) -> Result<()> {
        match self.node.command(command).await? {
            Reply::Operation { .. } => Ok(()),
            other => bail!("an operation was expected: {other:?}"),
        }
    }

    /// The first event that fits; a failure of an operation is an error.
    async fn wait(&mut self, fits: impl Fn(&Event) -> bool) -> Result<Event> {
        let wait = async {
            while let Some(event) = self.events.next().await {
                if fits(&event) {
                    return Ok(event);
                }
                if let Event::DownloadFailed { .. } | Event::InstallFailed { .. } = event {
                    bail!("{event:?}");
                }
            }
            bail!("the node ended")
        };
        timeout(DEADLINE, wait).await.context("no event in time")?
    }
}

fn make_game(root: &Path, version: &str, seed: u64) -> Result<()> {
    std::fs::create_dir_all(root.join("data"))?;
    random_file(&root.join("data/big.pak"), GAME_BYTES, seed)?;
    for index in 0..40 {
        random_file(&root.join(format!("data/{index}.cfg")), 300 + index, seed + index)?;
    }
    std::fs::write(root.join("version.ini"), version)?;
    Ok(())
}

fn same_files(one: &Path, other: &Path) -> Result<()> {
    ensure!(std::fs::read(one.join("data/big.pak"))? == std::fs::read(other.join("data/big.pak"))?);
    for index in 0..40 {
        let name = format!("data/{index}.cfg");
        ensure!(std::fs::read(one.join(&name))? == std::fs::read(other.join(&name))?, "{name}");
    }
    Ok(())
}

/// Two nodes: one finds the other, fetches, installs; both see the same in the end. Proves P4, R4, T2, O4.
#[tokio::test(flavor = "multi_thread")]
async fn a_game_goes_from_one_to_the_other() -> Result<()> {
    let mut party = Party::start(2, 1, Link::default()).await?;
    let source = party.guests[0].games.join("quake");
    let taker = &mut party.guests[1];
    taker.wait_sources("20240101", 1).await?;
    taker.order(Command::Download { game: "quake".to_owned(), install: true }).await?;
    let done = taker.wait(|event| matches!(event, Event::DownloadFinished { .. })).await?;
    let Event::DownloadFinished { bytes_received, .. } = done else { bail!("{done:?}") };
    ensure!(bytes_received >= GAME_BYTES, "{bytes_received} bytes");
    taker.wait(|event| matches!(event, Event::InstallFinished { .. })).await?;
    same_files(&source, &taker.games.join("quake"))?;
    same_files(&source, &taker.games.join("quake/local"))?;
    // What was fetched is offered in turn.
    party.guests[0].wait_sources("20240101", 1).await?;
    party.end().await
}

/// Three nodes, two of which hold the game: both give to the third over a link that loses, doubles and delays.
/// Proves R1, R4.
#[tokio::test(flavor = "multi_thread")]
async fn two_sources_feed_a_third_over_a_bad_link() -> Result<()> {
    let link = Link { loss: 0.01, duplication: 0.01, ..Link::default() };
    let mut party = Party::start(3, 2, link).await?;
    let source = party.guests[0].games.join("quake");
    let taker = &mut party.guests[2];
    taker.wait_sources("20240101", 2).await?;
    taker.order(Command::Download { game: "quake".to_owned(), install: false }).await?;
    let done = taker.wait(|event| matches!(event, Event::DownloadFinished { .. })).await?;
    let Event::DownloadFinished { sources, .. } = done else { bail!("{done:?}") };
    ensure!(sources.len() == 2, "both gave something: {sources:?}");
    same_files(&source, &taker.games.join("quake"))?;
    ensure!(party.hub.counts().lost > 0, "the link was bad indeed");
    party.end().await
}
