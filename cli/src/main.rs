//! The `lanspread` command: `run` is a node; every other command talks to the node that runs on
//! the same state folder.
//!
//! Owns the meaning of arguments and exit codes, and what people read. Holds no domain rule: the
//! node decides.

mod args;
mod demo;
mod exit;
mod human;
mod logging;
mod operation;
mod progress;
mod remote;
mod run;
mod signals;
mod table;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;

use crate::{
    args::{Arguments, Verb},
    exit::Exit,
};

/// A blocking call on a disk that hangs must not keep the program from ending.
const RUNTIME_END_DEADLINE: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    // Before anything else: the child that decodes archives starts no thread and opens nothing.
    let mut given = std::env::args_os();
    if given.nth(1).is_some_and(|verb| verb == lanspread_actors::unpack::CHILD_COMMAND) {
        return lanspread_actors::unpack::child_main(given);
    }
    let arguments = Arguments::parse();
    logging::start(arguments.log.as_deref(), matches!(arguments.verb, Verb::Run(_)));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("lanspread: cannot start: {error}");
            return Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(carry_out(arguments));
    runtime.shutdown_timeout(RUNTIME_END_DEADLINE);
    exit.into()
}

async fn carry_out(arguments: Arguments) -> Exit {
    let state_dir = match arguments.state_dir() {
        Ok(state_dir) => state_dir,
        Err(error) => return exit::usage(&error),
    };
    match arguments.verb {
        Verb::Run(run) => run::run(run, state_dir).await,
        Verb::Demo => demo::demo().await,
        Verb::Remote(verb) => remote::carry_out(verb, &state_dir).await,
    }
}
