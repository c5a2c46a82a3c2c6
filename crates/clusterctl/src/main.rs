//! `clusterctl`: words → one API call → a table.
//!
//! It holds no state but contexts (`contexts`), and decides nothing about a cluster. The way of a command:
//! `args` reads the words, `session` knows whom to ask, a file under `command` makes the call (`retry` repeats
//! it where that is safe), pure functions (`status`, `listing`, `tree`, `json`) make the text, `out` prints
//! it. What "done" means for a waiting command is decided in `wait`.

mod args;
mod clock;
mod command;
mod connect;
mod contexts;
mod failure;
mod json;
mod listing;
mod logins;
mod out;
mod project;
mod retry;
mod rollouts;
mod session;
mod status;
mod table;
mod text;
mod tree;
mod usage;
mod wait;
mod watch;

use args::Args;
use clap::Parser;
use out::Out;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    let out = Out::new(args.global.json);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            out.failure(&failure::Failure::refused(format!("cannot start: {error}")));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(command::run(out, args));
    // A thread that waits for standard input would hold the process back.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out.failure(&failure);
            ExitCode::from(failure.exit.code())
        }
    }
}
