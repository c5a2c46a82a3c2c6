//! One file per family of commands. This one only says which function does what.

mod build;
mod check;
mod contents;
mod context;
mod deploy;
mod doctor;
mod events;
mod exec;
mod image;
mod inspect;
mod list;
mod local;
mod logs;
mod network;
mod nodes;
mod policy;
mod rollout;
mod run;
mod scale;
mod stats;
mod token;
mod version;

use crate::args::{Args, Command};
use crate::failure::Failure;
use crate::out::Out;
use crate::session::Session;
use clap::CommandFactory;
use model::ContentKind;

/// Does what was asked.
pub(crate) async fn run(out: Out, args: Args) -> Result<(), Failure> {
    let global = args.global;
    let local = || Session::local(out, global.clone());
    let session = || Session::new(out, global.clone());
    match args.command {
        Command::Init(words) => local::init(&local()?, words).await,
        Command::Join(words) => local::join(&local()?, words).await,
        Command::Leave(words) => local::leave(&local()?, words).await,
        Command::Context(words) => context::run(out, &global, words).await,
        Command::Completion { shell } => completion(out, shell),
        Command::Version => version::run(out, session()).await,
        Command::Token(words) => token::run(&session()?, words).await,
        Command::Nodes(words) => nodes::run(&session()?, words.action).await,
        Command::Check(words) => check::check(out, &global, &words),
        Command::Config(words) => match words.action {
            Some(action) => contents::run(&session()?, ContentKind::Config, action).await,
            None => check::config(out, &global, &words),
        },
        Command::Secret(action) => contents::run(&session()?, ContentKind::Secret, action).await,
        Command::Deploy(words) => deploy::run(&session()?, words).await,
        Command::Ls(words) => list::ls(&session()?, words).await,
        Command::Ps(words) => list::ps(&session()?, words).await,
        Command::Scale(words) => scale::scale(&session()?, words).await,
        Command::Rollout(words) => rollout::run(&session()?, words.action).await,
        Command::Logs(words) => logs::run(&session()?, words).await,
        Command::Exec(words) => exec::run(&session()?, words).await,
        Command::Network(words) => network::run(&session()?, words).await,
        Command::Policy(words) => policy::run(&session()?, words).await,
        Command::Run(words) => run::run(&session()?, words).await,
        Command::Inspect(words) => inspect::run(&session()?, &words.name).await,
        Command::Events(words) => events::run(&session()?, words).await,
        Command::Status => list::status(&session()?).await,
        Command::Stats(words) => stats::stats(&session()?, words).await,
        Command::Top(words) => stats::top(&session()?, words).await,
        Command::Down(words) => scale::down(&session()?, words).await,
        Command::Image(words) => image::run(&session()?, words).await,
    }
}

fn completion(out: Out, shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "clusterctl", &mut script);
    out.bytes(&script)
}
