//! Commands on their way from a user interface to the component that answers them.
//!
//! Every question has a deadline. Nothing here decides: a refusal comes from the owner of the fact.

use std::{sync::Arc, time::Duration};

use lanspread_wire::{GameId, printable_line};

use super::{Commander, Started};
use crate::{
    addr::CallError,
    api::{Command, ErrorCode, Refused, Reply, Snapshot},
    limits::node::{
        ADD_DEADLINE, ANSWER_DEADLINE, CONNECT_DEADLINE, SET_GAMES_DIR_DEADLINE,
        WAIT_PEERS_SECONDS_MAX,
    },
    node::NodeMsg,
    operations::OperationsMsg,
    peers::PeersMsg,
    ports::Ports,
    view::ViewMsg,
};

/// Carries out one command. Before the node is ready it waits for that.
pub(super) async fn carry_out(commander: &Commander, command: Command) -> Result<Reply, Refused> {
    if matches!(command, Command::Shutdown {}) {
        commander.begin_shutdown();
        return Ok(Reply::Done {});
    }
    let ports = match commander.started().await {
        Started::Ready { ports, .. } => ports,
        Started::Failed(error) => return Err(Refused::new(error.code, error.message)),
        Started::Starting => return Err(ending()),
    };
    if commander.signals.outcome.borrow().is_some() {
        return Err(ending());
    }
    match command {
        Command::Status {} => {
            let snapshot = read(commander, &ports).await;
            Ok(Reply::Status { status: Box::new(snapshot.status.clone()) })
        }
        Command::ListPeers {} => {
            Ok(Reply::Peers { peers: read(commander, &ports).await.peers.clone() })
        }
        Command::ListGames {} => {
            Ok(Reply::Games { games: read(commander, &ports).await.games.clone() })
        }
        Command::ShowGame { game } => {
            let snapshot = read(commander, &ports).await;
            show_game(&snapshot, &game)
        }
        Command::Connect { .. } => connect(&ports, command).await,
        Command::SetGamesDir { path } => set_games_dir(commander, path).await,
        Command::WaitPeers { count, timeout_s } => wait_peers(&ports, count, timeout_s).await,
        Command::Add { .. } => {
            let ask = |reply| OperationsMsg::Add { command, reply };
            let added = ports.operations.call(ask, ADD_DEADLINE).await;
            added.map_err(|error| unanswered("operations", error))??;
            Ok(Reply::Done {})
        }
        Command::Download { .. }
        | Command::Install { .. }
        | Command::Update { .. }
        | Command::Uninstall { .. }
        | Command::Remove { .. }
        | Command::Verify { .. }
        | Command::Cancel { .. } => {
            let ask = |reply| OperationsMsg::Start { command, reply };
            let started = ports.operations.call(ask, ANSWER_DEADLINE).await;
            let operation = started.map_err(|error| unanswered("operations", error))??;
            Ok(Reply::Operation { operation })
        }
        Command::Shutdown {} => Ok(Reply::Done {}), // answered above
    }
}

/// The snapshot of this instant; the last one if `View` is away.
async fn read(commander: &Commander, ports: &Ports) -> Arc<Snapshot> {
    match ports.view.call(|reply| ViewMsg::Read { reply }, ANSWER_DEADLINE).await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            tracing::debug!(%error, "answered from the last snapshot");
            commander.signals.snapshot.borrow().clone()
        }
    }
}

fn show_game(snapshot: &Snapshot, game: &str) -> Result<Reply, Refused> {
    let unknown = |message| Refused::new(ErrorCode::UnknownGame, message);
    let id = GameId::parse(game).map_err(|error| unknown(error.to_string()))?;
    let found = snapshot.games.iter().find(|view| view.id == id).cloned();
    let found = found.ok_or_else(|| {
        Refused::of_game(ErrorCode::UnknownGame, &id, format!("nobody here has a game {id}"))
    })?;
    Ok(Reply::Game { game: Box::new(found) })
}

async fn connect(ports: &Ports, command: Command) -> Result<Reply, Refused> {
    let Command::Connect { address } = command else { return Err(ending()) };
    let ask = |reply| PeersMsg::Connect { address, reply };
    let connected = ports.peers.call(ask, CONNECT_DEADLINE).await;
    connected.map_err(|error| match error {
        CallError::Deadline => {
            Refused::new(ErrorCode::Unreachable, format!("{address} did not answer in time"))
        }
        error => unanswered("peers", error),
    })??;
    Ok(Reply::Done {})
}

async fn set_games_dir(commander: &Commander, path: std::path::PathBuf) -> Result<Reply, Refused> {
    let ask = |reply| NodeMsg::SetGamesDir { path, reply };
    let deadline = Some(SET_GAMES_DIR_DEADLINE);
    match commander.node.call(ask, deadline).await {
        Ok(ractor::rpc::CallResult::Success(answer)) => answer.map(|()| Reply::Done {}),
        Ok(ractor::rpc::CallResult::Timeout) => Err(Refused::new(
            ErrorCode::Timeout,
            "the folder does not answer; whether it was changed shows in the status",
        )),
        Ok(ractor::rpc::CallResult::SenderError) | Err(_) => Err(ending()),
    }
}

async fn wait_peers(ports: &Ports, count: usize, timeout_s: u64) -> Result<Reply, Refused> {
    let deadline = Duration::from_secs(timeout_s.min(WAIT_PEERS_SECONDS_MAX));
    let mut table = ports.peer_table.clone();
    let waiting = table.wait_for(|table| table.peers.len() >= count);
    match tokio::time::timeout(deadline, waiting).await {
        Ok(Ok(_)) => Ok(Reply::Done {}),
        Ok(Err(_)) => Err(ending()),
        Err(_) => {
            let connected = ports.peer_table.borrow().peers.len();
            Err(Refused::new(
                ErrorCode::Timeout,
                format!("{connected} of {count} peers are connected after {timeout_s} s"),
            ))
        }
    }
}

fn ending() -> Refused {
    Refused::new(ErrorCode::ShuttingDown, "the node is ending")
}

fn unanswered(component: &str, error: CallError) -> Refused {
    let text = printable_line(&error.to_string());
    Refused::new(ErrorCode::Internal, format!("{component}: {text}; try again"))
}
