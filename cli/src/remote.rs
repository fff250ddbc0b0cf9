//! Commands for a running node: ask, show the answer, wait where there is something to wait for.

use std::{path::Path, time::Duration};

use lanspread_actors::{
    api::{Command, Refused, Reply},
    control::{Record, RemoteEvents, RemoteNode, records::no_id},
};
use lanspread_wire::GameId;

use crate::{
    args::{OnGame, Output, Remote, absolute},
    exit::{self, Exit, say},
    human,
    operation::{Goal, Watch, wait},
    signals::Signals,
};

/// A cancelled operation stops at its next chunk; this is far more than that takes.
const CANCEL_DEADLINE: Duration = Duration::from_secs(30);

/// Carries out one command against the node of `state_dir`.
pub(crate) async fn carry_out(verb: Remote, state_dir: &Path) -> Exit {
    let node = match RemoteNode::connect(state_dir).await {
        Ok(node) => node,
        Err(error) => return exit::unconnected(&error),
    };
    match verb {
        Remote::Status(output) => ask(&node, Command::Status {}, output).await,
        Remote::Peers(output) => ask(&node, Command::ListPeers {}, output).await,
        Remote::Games(output) => ask(&node, Command::ListGames {}, output).await,
        Remote::Show { game, output } => ask(&node, Command::ShowGame { game }, output).await,
        Remote::Connect { address, output } => {
            ask(&node, Command::Connect { address }, output).await
        }
        Remote::GamesDir { dir, output } => games_dir(&node, dir.as_deref(), output).await,
        Remote::Add { path, id, title, version, move_files, output } => match absolute(&path) {
            Ok(path) => {
                ask(&node, Command::Add { path, id, title, version, move_files }, output).await
            }
            Err(error) => exit::usage(&error),
        },
        Remote::Watch(output) => watch(node, output).await,
        Remote::Shutdown(output) => shutdown(&node, output).await,
        Remote::Cancel { game, output } => cancel(&node, game, output).await,
        Remote::Download { no_install, on } => {
            let command = Command::Download { game: on.game.clone(), install: !no_install };
            let goal = if no_install { Goal::Downloaded } else { Goal::DownloadedAndInstalled };
            operate(&node, command, &on, goal).await
        }
        Remote::Install(on) => {
            operate(&node, Command::Install { game: on.game.clone() }, &on, Goal::Installed).await
        }
        Remote::Update(on) => {
            operate(&node, Command::Update { game: on.game.clone() }, &on, Goal::Updated).await
        }
        Remote::Uninstall(on) => {
            let command = Command::Uninstall { game: on.game.clone() };
            operate(&node, command, &on, Goal::Uninstalled).await
        }
        Remote::Remove(on) => {
            operate(&node, Command::Remove { game: on.game.clone() }, &on, Goal::Removed).await
        }
        Remote::Verify(on) => {
            operate(&node, Command::Verify { game: on.game.clone() }, &on, Goal::Verified).await
        }
    }
}

/// Asks, shows the answer, is done.
async fn ask(node: &RemoteNode, command: Command, output: Output) -> Exit {
    let answer = node.command(command).await;
    show(&answer, output);
    match answer {
        Ok(_) => Exit::Done,
        Err(refused) => exit::refused(&refused),
    }
}

/// Starts an operation and, unless told otherwise, waits for its end.
async fn operate(node: &RemoteNode, command: Command, on: &OnGame, goal: Goal) -> Exit {
    // Before the command, so that no event of it is missed.
    let events = node.events();
    let answer = node.command(command).await;
    show(&answer, on.output);
    if let Err(refused) = answer {
        return exit::refused(&refused);
    }
    if on.detach {
        return Exit::Done;
    }
    match GameId::parse(&on.game) {
        Ok(game) => wait(node, events, &Watch::new(game, goal), on.output.json).await,
        Err(error) => exit::failed(&error.into()), // the node has accepted a name it cannot know
    }
}

/// Cancels, and waits until the game is free for the next command.
async fn cancel(node: &RemoteNode, game: String, output: Output) -> Exit {
    let mut events = node.events();
    let answer = node.command(Command::Cancel { game: game.clone() }).await;
    show(&answer, output);
    if let Err(refused) = answer {
        return exit::refused(&refused);
    }
    let ended = tokio::time::timeout(CANCEL_DEADLINE, until_over(node, &mut events, &game));
    match ended.await {
        Ok(true) => Exit::Done,
        Ok(false) => {
            say("lanspread: the node has ended");
            Exit::NoNode
        }
        Err(_) => {
            say(&format!("lanspread: the operation on {game} has not stopped yet"));
            Exit::Failed
        }
    }
}

/// Waits until no operation runs on `game`; `false` if the node ends before.
async fn until_over(node: &RemoteNode, events: &mut RemoteEvents, game: &str) -> bool {
    loop {
        match node.command(Command::ShowGame { game: game.to_owned() }).await {
            Ok(Reply::Game { game }) if game.operation.is_some() => {}
            _ => return true,
        }
        if events.next().await.is_none() {
            return false;
        }
    }
}

async fn games_dir(node: &RemoteNode, dir: Option<&Path>, output: Output) -> Exit {
    let Some(dir) = dir else {
        let answer = node.command(Command::Status {}).await;
        return match answer {
            Ok(Reply::Status { status }) => {
                let dir = status.node.games_dir;
                if output.json {
                    println!("{}", serde_json::json!({"games_dir": dir}));
                } else if let Some(dir) = dir {
                    println!("{}", human::shown(&dir.to_string_lossy()));
                } else {
                    say("no games folder is set yet: lanspread games-dir DIR");
                }
                Exit::Done
            }
            Ok(_) => Exit::Failed,
            Err(refused) => exit::refused(&refused),
        };
    };
    match absolute(dir) {
        Ok(path) => ask(node, Command::SetGamesDir { path }, output).await,
        Err(error) => exit::usage(&error),
    }
}

async fn watch(node: RemoteNode, output: Output) -> Exit {
    let Ok(mut signals) = Signals::new() else {
        say("lanspread: Ctrl+C cannot be watched");
        return Exit::Failed;
    };
    let mut events = node.events();
    loop {
        let event = tokio::select! {
            biased;
            () = signals.next() => return Exit::Done,
            event = events.next() => event,
        };
        let Some(event) = event else {
            say("the node has ended");
            return Exit::Done;
        };
        if output.json {
            println!("{}", Record::Event(event.clone()).to_line());
        } else if let Some(sentence) = human::event(&event) {
            println!("{sentence}");
        }
        if matches!(event, lanspread_actors::api::Event::RuntimeFailed { .. }) {
            return Exit::NodeFailed;
        }
    }
}

/// Told to end; done when it has.
async fn shutdown(node: &RemoteNode, output: Output) -> Exit {
    let exit = ask(node, Command::Shutdown {}, output).await;
    if exit == Exit::Done {
        node.wait_stopped().await;
    }
    exit
}

fn show(answer: &Result<Reply, Refused>, output: Output) {
    if output.json {
        println!("{}", Record::answer(no_id(), answer.clone()).to_line());
        return;
    }
    match answer {
        Ok(Reply::Status { status }) => print!("{}", human::status(status)),
        Ok(Reply::Peers { peers }) => print!("{}", human::peers(peers)),
        Ok(Reply::Games { games }) => print!("{}", human::games(games)),
        Ok(Reply::Game { game }) => print!("{}", human::game(game)),
        Ok(Reply::Operation { .. } | Reply::Done {}) | Err(_) => {}
    }
}
