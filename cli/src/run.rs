//! `lanspread run`: a node in this process, driven by signals and, with `--jsonl`, by its input.

use std::path::{Path, PathBuf};

use lanspread_actors::{
    api::Refused,
    config::NodeConfig,
    control::{InputEnd, Record, SessionOptions, records::no_id, serve},
    handle::{NodeHandle, Outcome, StartError},
};

use crate::{
    args::{Run, absolute},
    exit::{self, Exit, say},
    human,
    signals::Signals,
};

/// Runs a node until it is told to end.
pub(crate) async fn run(run: Run, state_dir: PathBuf) -> Exit {
    let is_jsonl = run.jsonl;
    let config = match config(run, state_dir) {
        Ok(config) => config,
        Err(error) => return exit::usage(&error),
    };
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return exit::failed(&error.into()),
    };
    let handle = match NodeHandle::launch(config).await {
        Ok(handle) => handle,
        Err(error) => return unstarted(&error, is_jsonl),
    };
    let mut shown = std::pin::pin!(show(&handle, is_jsonl));
    tokio::select! {
        biased;
        () = signals.next() => {
            tokio::join!(handle.shutdown(), shown);
        }
        () = &mut shown => {}
    }
    // It has ended already, or nobody drives it any more.
    match handle.shutdown().await {
        Outcome::Stopped => Exit::Done,
        Outcome::NotStarted(error) => unstarted(&error, is_jsonl),
        Outcome::Failed { component, error } => {
            say(&format!("lanspread: the node failed: {component}: {error}"));
            Exit::NodeFailed
        }
    }
}

/// Passes records or sentences on until the node has ended.
async fn show(handle: &NodeHandle, is_jsonl: bool) {
    let mut events = handle.events();
    if is_jsonl {
        let options = SessionOptions { input_end: InputEnd::Shutdown, write_deadline: None };
        let (input, output) = (tokio::io::stdin(), tokio::io::stdout());
        if let Err(error) = serve(input, output, handle.commander(), events, options).await {
            tracing::error!(%error, "the session broke");
        }
        return;
    }
    while let Some(event) = events.next().await {
        if let Some(sentence) = human::event(&event) {
            say(&sentence);
        }
    }
}

fn config(run: Run, state_dir: PathBuf) -> anyhow::Result<NodeConfig> {
    let games_dir = run.games_dir.as_deref().map(absolute).transpose()?;
    if games_dir.is_none() && !has_games_dir(&state_dir) {
        anyhow::bail!("no games folder is set yet: give one with --games-dir DIR");
    }
    let mut config = NodeConfig::new(state_dir, run.interfaces)?;
    config.games_dir = games_dir;
    config.name = run.name;
    config.listen = run.listen;
    config.catalog = run.catalog.as_deref().map(absolute).transpose()?;
    Ok(config)
}

fn has_games_dir(state_dir: &Path) -> bool {
    lanspread_actors::settings::remembered(state_dir).games_dir.is_some()
}

fn unstarted(error: &StartError, is_jsonl: bool) -> Exit {
    if is_jsonl {
        let refused = Refused::new(error.code, error.message.clone());
        println!("{}", Record::answer(no_id(), Err(refused)).to_line());
    }
    exit::unstarted(error)
}
