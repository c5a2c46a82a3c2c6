//! `clusterd`: one daemon per host. Wires the doing crates to the deciding ones; decides nothing itself.
//!
//! Two processes of this binary run on a host: the daemon (`clusterd`), and the edge (`clusterd edge`),
//! which serves published ports and outlives the daemon. Start with `member.rs`, which starts every part;
//! then `managing.rs` and `agenting.rs`, the drivers of the two deciding values.

mod addresses;
mod admin;
mod agenting;
mod beats;
mod caller;
mod certificates;
mod clock;
mod config;
mod control;
mod dial;
mod edge;
mod edge_metrics;
mod edge_process;
mod examine;
mod facts;
mod files;
mod folder;
mod host;
mod leave;
mod listen;
mod log;
mod logging;
mod managing;
mod member;
mod mesh;
mod metrics;
mod node;
mod promote;
mod renew;
mod run;
mod serve;
mod session;
mod tasks;
mod uninstall;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// The cluster's daemon: runs its share of the containers, and decides with its peers what runs where.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file (TOML). Without one, the defaults hold.
    #[arg(long, short, env = "CLUSTERD_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Mode>,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Serve published ports; started by the daemon.
    #[command(hide = true)]
    Edge,
    /// Remove everything of the cluster from this host: containers, networks, the data folder. Volumes
    /// stay, with their data.
    Uninstall,
}

fn main() -> ExitCode {
    // Nobody else's unless a file says so: the sockets too, from the moment they are bound.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let config = config::Config::load(arguments.config.as_deref())?;
        logging::start(&config)?;
        match arguments.command {
            None => runtime.block_on(run::daemon(config, arguments.config)),
            Some(Mode::Edge) => runtime.block_on(edge_process::run(config)),
            Some(Mode::Uninstall) => runtime.block_on(uninstall::uninstall(&config)),
        }
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            logging::fatal(&why);
            ExitCode::FAILURE
        }
    }
}
