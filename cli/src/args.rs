//! The arguments of the command line.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    the operation failed
  2    wrong usage
  3    no node runs on this state folder
  4    refused: busy, unknown game, wrong state, not in the catalog
  5    the node failed
  130  stopped waiting on Ctrl+C; the operation goes on";

/// Spreads games at a LAN party: finds the other PCs, pulls games from many of them at once,
/// verifies every byte, installs, and gives on what it has.
#[derive(Debug, Parser)]
#[command(name = "lanspread", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,

    /// Key, index, settings and control socket; the platform's data folder if not given
    #[arg(long, global = true, value_name = "DIR", env = "LANSPREAD_STATE_DIR")]
    state_dir: Option<PathBuf>,

    /// What is logged on stderr, such as `debug` or `lanspread_actors=trace`
    #[arg(long, global = true, value_name = "FILTER", env = "RUST_LOG")]
    pub(crate) log: Option<String>,
}

impl Arguments {
    /// The state folder as a full path.
    pub(crate) fn state_dir(&self) -> anyhow::Result<PathBuf> {
        let given = match &self.state_dir {
            Some(given) => given.clone(),
            None => lanspread_actors::config::default_state_dir().ok_or_else(|| {
                anyhow::anyhow!("this system has no folder for data: give one with --state-dir DIR")
            })?,
        };
        absolute(&given)
    }
}

/// A path that stays the same wherever the node's working folder is.
pub(crate) fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).map_err(|error| {
        let shown = lanspread_wire::printable(&path.to_string_lossy());
        anyhow::anyhow!("the path \"{shown}\": {error}")
    })
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a node: share the games folder and find the others
    Run(Run),
    /// Two nodes on loopback show the whole way of a game: found, downloaded, verified, installed
    Demo,
    #[command(flatten)]
    Remote(Remote),
}

/// The flags of a node.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The folder to share; the last one if not given
    #[arg(long, value_name = "DIR")]
    pub(crate) games_dir: Option<PathBuf>,
    /// What the others see; made up at the first start
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Where to listen; all interfaces and a port that is kept if not given
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Be found and listen on this network interface only; may be given several times
    #[arg(long = "interface", value_name = "NAME")]
    pub(crate) interfaces: Vec<String>,
    /// The games of this party; without one every game counts
    #[arg(long, value_name = "FILE")]
    pub(crate) catalog: Option<PathBuf>,
    /// Commands as JSON lines on stdin, records on stdout; the end of stdin is the end of the node
    #[arg(long)]
    pub(crate) jsonl: bool,
}

/// What stands on stdout.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Output {
    /// JSON records on stdout and nothing else there
    #[arg(long, alias = "jsonl")]
    pub(crate) json: bool,
}

/// A game, and whether to wait for the end of the operation.
#[derive(Clone, Debug, Args)]
pub(crate) struct OnGame {
    /// The id of the game, which is the name of its folder
    pub(crate) game: String,
    /// Do not wait for the end
    #[arg(long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Commands for a running node.
#[derive(Debug, Subcommand)]
pub(crate) enum Remote {
    /// Who this node is, what runs, what is wrong
    Status(Output),
    /// Who is connected
    Peers(Output),
    /// The games here and on the LAN
    Games(Output),
    /// One game
    Show {
        /// The id of the game
        game: String,
        #[command(flatten)]
        output: Output,
    },
    /// Fetch a game from the others and install it
    Download {
        /// Leave it uninstalled
        #[arg(long)]
        no_install: bool,
        #[command(flatten)]
        on: OnGame,
    },
    /// Unpack a downloaded game
    Install(OnGame),
    /// Fetch the newest version and install it over the present one
    Update(OnGame),
    /// Remove what was installed, keep what was downloaded
    Uninstall(OnGame),
    /// Remove a game with all its files
    Remove(OnGame),
    /// Compare every file of a game with its hash
    Verify(OnGame),
    /// End the operation that runs on a game
    Cancel {
        /// The id of the game
        game: String,
        #[command(flatten)]
        output: Output,
    },
    /// Connect to a node that is not found by itself
    Connect {
        /// Where it listens
        #[arg(value_name = "IP:PORT")]
        address: SocketAddr,
        #[command(flatten)]
        output: Output,
    },
    /// Show the games folder, or share another one
    GamesDir {
        /// The folder
        dir: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Show what happens until Ctrl+C
    Watch(Output),
    /// End the node
    Shutdown(Output),
    /// Make a game of any folder
    Add {
        /// The folder
        path: PathBuf,
        /// The id of the new game
        #[arg(long)]
        id: String,
        /// What it is called; the id if not given
        #[arg(long)]
        title: Option<String>,
        /// Its version, such as 20240131; today if not given
        #[arg(long, value_name = "STAMP")]
        version: Option<String>,
        /// Move the files instead of copying them
        #[arg(long = "move")]
        move_files: bool,
        #[command(flatten)]
        output: Output,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    /// Proves that every command of the contract is understood, with its flags.
    #[test]
    fn documented_commands_are_understood() {
        for line in [
            "run --games-dir g --state-dir s --name N --catalog c --jsonl",
            "run --listen 1.2.3.4:5 --interface lo --interface eth0",
            "demo",
            "status --json",
            "peers --jsonl",
            "games",
            "show quake --json",
            "download quake --no-install --detach --json",
            "install quake",
            "update quake --detach",
            "uninstall quake",
            "remove quake",
            "verify quake",
            "cancel quake",
            "connect 10.0.0.1:4000",
            "games-dir",
            "games-dir /srv/games --json",
            "watch --json",
            "shutdown --state-dir s",
            "add /x --id quake --title Quake --version 20240131 --move",
        ] {
            let words = std::iter::once("lanspread").chain(line.split(' '));
            Arguments::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        for line in ["", "fly", "show", "connect nowhere", "add /x", "download"] {
            let words =
                std::iter::once("lanspread").chain(line.split(' ').filter(|w| !w.is_empty()));
            assert!(Arguments::try_parse_from(words).is_err(), "{line}");
        }
    }
}
