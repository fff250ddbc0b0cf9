//! The `lanspread-gui` program: a node with a window.
//!
//! Owns the flags, the runtime under the node and the order of start and end. Holds no domain rule: the window reads
//! snapshots and sends commands.

mod lists;
mod window;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Parser;
use lanspread_actors::{
    config::{NodeConfig, default_state_dir},
    handle::NodeHandle,
};
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

use crate::window::Window;

/// A blocking call on a disk that hangs must not keep the window from ending.
const RUNTIME_END_DEADLINE: Duration = Duration::from_millis(200);

/// A node of a LAN party with a window. The flags are those of `lanspread run`.
#[derive(Debug, Parser)]
#[command(name = "lanspread-gui", version)]
struct Arguments {
    /// The folder to share; the last one if not given
    #[arg(long, value_name = "DIR")]
    games_dir: Option<PathBuf>,
    /// Key, index, settings and control socket; the platform's data folder if not given
    #[arg(long, value_name = "DIR", env = "LANSPREAD_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// What the others see; made up at the first start
    #[arg(long)]
    name: Option<String>,
    /// Where to listen; all interfaces and a port that is kept if not given
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Be found and listen on this network interface only; may be given several times
    #[arg(long = "interface", value_name = "NAME")]
    interfaces: Vec<String>,
    /// The games of this party; every well-formed game if not given
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
}

fn main() -> ExitCode {
    // Before anything else: the child that decodes archives starts no thread and opens nothing.
    let mut given = std::env::args_os();
    if given.nth(1).is_some_and(|verb| verb == lanspread_actors::unpack::CHILD_COMMAND) {
        return lanspread_actors::unpack::child_main(given);
    }
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lanspread-gui: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let runtime = Runtime::new().context("cannot start")?;
    let config = config(arguments)?;
    let node = Arc::new(runtime.block_on(NodeHandle::start(config))?);
    let (shown, handle) = (node.clone(), runtime.handle().clone());
    let ended = eframe::run_native(
        "Lanspread",
        eframe::NativeOptions::default(),
        Box::new(move |context| Ok(Box::new(Window::new(shown, handle, context.egui_ctx.clone())))),
    );
    runtime.block_on(node.shutdown());
    runtime.shutdown_timeout(RUNTIME_END_DEADLINE);
    ended.map_err(|error| anyhow::anyhow!("the window cannot be shown: {error}"))
}

fn config(arguments: Arguments) -> Result<NodeConfig> {
    let state_dir = arguments
        .state_dir
        .or_else(default_state_dir)
        .context("this system has no folder for data: give one with --state-dir DIR")?;
    let mut config = NodeConfig::new(absolute(&state_dir)?, arguments.interfaces)?;
    config.games_dir = arguments.games_dir.as_deref().map(absolute).transpose()?;
    config.catalog = arguments.catalog.as_deref().map(absolute).transpose()?;
    config.name = arguments.name;
    config.listen = arguments.listen;
    Ok(config)
}

/// A path that stays the same wherever the node's working folder is.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| path.display().to_string())
}
