//! `lanspread demo`: two nodes in this process show the whole way of a game, on loopback and in
//! temporary folders only. Nothing of it reaches a real network or a folder of the user.

mod game;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use lanspread_actors::{
    api::{Command, GameView, Reply},
    config::{NodeConfig, loopback_interfaces},
    discovery::mdns::MdnsDiscovery,
    handle::{EventStream, NodeHandle, Outcome},
};

use self::game::GAME;
use crate::{
    exit::{self, Exit},
    human,
    operation::{Goal, Sight, Watch},
};

/// Far more than any step of it takes on a slow machine.
const STEP_DEADLINE: Duration = Duration::from_secs(60);

/// Next to the standard's port, so that nobody else answers.
const DEMO_MDNS_PORT: u16 = 53_530;

/// Runs the demo.
pub(crate) async fn demo() -> Exit {
    match tour().await {
        Ok(()) => Exit::Done,
        Err(error) => exit::failed(&error),
    }
}

struct Party {
    giver: NodeHandle,
    taker: NodeHandle,
    news: EventStream,
    home: tempfile::TempDir,
}

async fn tour() -> Result<()> {
    let home = tempfile::tempdir().context("no temporary folder")?;
    let bytes = tokio::task::block_in_place(|| game::make(&home.path().join("giver/games")))?;
    std::fs::create_dir_all(home.path().join("taker/games"))?;
    step(&format!("made a game of {} with an archive in it", human::bytes(bytes)));

    let giver = start(home.path(), "giver").await?;
    let taker = start(home.path(), "taker").await?;
    let news = taker.events();
    let mut party = Party { giver, taker, news, home };
    let shown = party.show().await;
    let ended = party.end().await;
    shown?;
    ended?;
    step("done");
    Ok(())
}

async fn start(home: &Path, name: &str) -> Result<NodeHandle> {
    let mut config = NodeConfig::new(home.join(name).join("state"), loopback_interfaces()?)?;
    config.games_dir = Some(home.join(name).join("games"));
    config.name = Some(name.to_owned());
    config.control_socket = false;
    // A swarm of its own: a node that runs on this machine neither sees it nor is seen.
    let discovery = MdnsDiscovery::new(config.interfaces.clone()).with_port(DEMO_MDNS_PORT);
    config.discovery = Arc::new(discovery);
    let handle = NodeHandle::start(config).await?;
    let info = handle.ready().await?;
    let at: Vec<String> = info.addresses.iter().map(ToString::to_string).collect();
    for address in &info.addresses {
        ensure!(address.ip().is_loopback(), "{name} would listen on {address}");
    }
    step(&format!("{name} listens at {}", at.join(", ")));
    Ok(handle)
}

impl Party {
    async fn show(&mut self) -> Result<()> {
        self.find_each_other().await?;
        self.wait_for_the_offer().await?;
        self.operate(Command::Download { game: GAME.to_owned(), install: false }, Goal::Downloaded)
            .await?;
        self.operate(Command::Verify { game: GAME.to_owned() }, Goal::Verified).await?;
        self.operate(Command::Install { game: GAME.to_owned() }, Goal::Installed).await?;
        let (giver, taker) = (self.home.path().join("giver"), self.home.path().join("taker"));
        let files = tokio::task::block_in_place(|| {
            game::compare(&giver.join("games"), &taker.join("games"))
        })?;
        step(&format!("compared {files} files: every byte is the same"));
        Ok(())
    }

    async fn find_each_other(&self) -> Result<()> {
        for node in [&self.giver, &self.taker] {
            let timeout_s = STEP_DEADLINE.as_secs();
            node.command(Command::WaitPeers { count: 1, timeout_s }).await?;
        }
        step("found each other and proved who they are");
        Ok(())
    }

    /// The giver must have hashed the game before it can offer it.
    async fn wait_for_the_offer(&self) -> Result<()> {
        let giver = self.giver.ready().await?.peer_id.context("no peer id")?;
        let mut snapshots = self.taker.snapshot();
        let offered = snapshots.wait_for(|snapshot| {
            let game = snapshot.games.iter().find(|game| game.id.as_str() == GAME);
            game.is_some_and(|game| game.sources.contains(&giver))
        });
        let snapshot = tokio::time::timeout(STEP_DEADLINE, offered)
            .await
            .context("the game was not offered in time")?
            .context("the node has ended")?;
        let game = snapshot.games.iter().find(|game| game.id.as_str() == GAME);
        let version = game.and_then(|game| game.newest.clone()).context("no version")?;
        step(&format!("the taker sees {GAME} version {version} at the giver"));
        Ok(())
    }

    async fn operate(&mut self, command: Command, goal: Goal) -> Result<()> {
        let game = lanspread_wire::GameId::parse(GAME)?;
        let watch = Watch::new(game, goal);
        self.taker.command(command).await?;
        let end = tokio::time::timeout(STEP_DEADLINE, self.follow(&watch)).await;
        end.context("it did not end in time")??;
        let view = self.view().await?;
        step(&format!("{GAME}: {}", human::state(&view)));
        Ok(())
    }

    async fn follow(&mut self, watch: &Watch) -> Result<()> {
        while let Some(event) = self.news.next().await {
            let sight = watch.see(&event);
            if !matches!(sight, Sight::Other | Sight::Unsure)
                && let Some(sentence) = human::event(&event)
            {
                step(&sentence);
            }
            match sight {
                Sight::Done => return Ok(()),
                Sight::Failed | Sight::Cancelled | Sight::NodeFailed => {
                    bail!("{}", human::event(&event).unwrap_or_else(|| "it failed".to_owned()))
                }
                Sight::Unsure => bail!("events were missed"),
                Sight::Other | Sight::Step => {}
            }
        }
        bail!("the node has ended")
    }

    async fn view(&self) -> Result<GameView> {
        match self.taker.command(Command::ShowGame { game: GAME.to_owned() }).await? {
            Reply::Game { game } => Ok(*game),
            other => bail!("an answer to another question: {other:?}"),
        }
    }

    async fn end(&self) -> Result<()> {
        for (name, node) in [("taker", &self.taker), ("giver", &self.giver)] {
            let outcome = node.shutdown().await;
            ensure!(outcome == Outcome::Stopped, "{name} ended as {outcome:?}");
        }
        step("both said goodbye");
        Ok(())
    }
}

fn step(text: &str) {
    println!("{}", human::shown(text));
}
