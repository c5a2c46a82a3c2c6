//! `cluster-lab`: several hosts on this machine, to try the product and rehearse failures.
//!
//! Owns the words of the command line and what they print; everything they do is in the library.
//! Start with [`Word`].

mod app;
mod demo;
mod show;
mod watch;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lab::{Binaries, Lab, Options, Part};
use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

/// Several Linux hosts on this one, with a Docker Engine and clusterd each, and cables to pull.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    word: Word,
}

/// Which lab is meant; the defaults do unless two are to be up at once.
#[derive(Args)]
struct Place {
    /// Folder of the lab; removed by `down`
    #[arg(long, global = true, default_value = "/var/lib/cluster-lab")]
    root: PathBuf,
    /// Prefix of its namespaces, links and control groups
    #[arg(long, global = true, default_value = "clab")]
    name: String,
    /// First three numbers of its network
    #[arg(long, global = true, default_value = "172.30.0")]
    subnet: String,
}

#[derive(Subcommand)]
enum Word {
    /// Start the hosts, with the example's image loaded on each
    Up {
        /// How many, 1 to 7
        #[arg(long, default_value_t = 3)]
        hosts: u8,
        /// Found a cluster on host 1 and join the others
        #[arg(long)]
        form: bool,
        /// Start Docker Engines but no clusterd
        #[arg(long, conflicts_with = "form")]
        engines_only: bool,
    },
    /// Show the hosts and what runs on them
    Status,
    /// Run clusterctl against a host: `cluster-lab ctl 1 nodes`
    Ctl {
        host: u8,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run docker against a host's engine: `cluster-lab docker 1 ps`
    Docker {
        host: u8,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run a program inside a host, a shell by default
    Exec {
        host: u8,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Pull a host's network cable
    Cut { host: u8 },
    /// Drop everything between two hosts; each still reaches all others
    CutLink {
        from: u8,
        to: u8,
        /// Only what FROM sends to TO
        #[arg(long)]
        one_way: bool,
    },
    /// Plug cables in again and forget cut links: of one host, or of all
    Heal { host: Option<u8> },
    /// Kill a part of a host with SIGKILL; `--part host` pulls its plug
    Kill {
        host: u8,
        #[arg(long, value_enum, default_value_t = PartName::Daemon)]
        part: PartName,
    },
    /// Freeze a part of a host with SIGSTOP
    Pause {
        host: u8,
        #[arg(long, value_enum, default_value_t = PartName::Daemon)]
        part: PartName,
    },
    /// Let a host go on: thaw what was paused, start what was killed
    Resume { host: u8 },
    /// Remove everything that `up` made, also after a crash
    Down,
    /// Three hosts, the example app, the leader's host lost and back; then everything is removed
    Demo,
}

#[derive(Clone, Copy, ValueEnum)]
enum PartName {
    Daemon,
    Edge,
    Engine,
    Host,
}

impl From<PartName> for Part {
    fn from(name: PartName) -> Self {
        match name {
            PartName::Daemon => Self::Daemon,
            PartName::Edge => Self::Edge,
            PartName::Engine => Self::Engine,
            PartName::Host => Self::All,
        }
    }
}

fn main() -> ExitCode {
    match obey(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            show::error(&format!("cluster-lab: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn obey(cli: Cli) -> anyhow::Result<ExitCode> {
    let Place { root, name, subnet } = cli.place;
    let options = Options { root, name, subnet, ..Options::default() };
    let lab = || Lab::attach(&options.root);
    match cli.word {
        Word::Up { hosts, form, engines_only } => {
            let options = Options { hosts, ..options };
            up(options, form, engines_only)?;
        }
        Word::Status => show::status(&lab()?)?,
        Word::Ctl { host, args } => return pass(lab()?.clusterctl_command(host)?.args(args)),
        Word::Docker { host, args } => return pass(lab()?.docker_command(host)?.args(args)),
        Word::Exec { host, args } => return inside(&lab()?, host, &args),
        Word::Cut { host } => lab()?.cut(host)?,
        Word::CutLink { from, to, one_way: true } => lab()?.cut_one_way(from, to)?,
        Word::CutLink { from, to, one_way: false } => lab()?.cut_link(from, to)?,
        Word::Heal { host: Some(host) } => lab()?.heal(host)?,
        Word::Heal { host: None } => lab()?.heal_all()?,
        Word::Kill { host, part } => lab()?.kill(host, part.into())?,
        Word::Pause { host, part } => lab()?.pause(host, part.into())?,
        Word::Resume { host } => {
            let lab = lab()?;
            // A host that is off has nothing to thaw.
            let _ = lab.resume(host);
            lab.power_on(host)?;
        }
        Word::Down => Lab::remove(&options)?,
        Word::Demo => demo::run(options)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn up(options: Options, form: bool, engines_only: bool) -> anyhow::Result<()> {
    options.check()?;
    lab::install(&mut std::io::stdout())?;
    let binaries = if engines_only { None } else { Some(Binaries::find_or_build()?) };
    let binaries = binaries.map(|found| found.folder().to_owned());
    let started = lab::now();
    let lab = Lab::up(Options { binaries, ..options })?;
    let app = app::unpack(&lab)?;
    if form {
        lab.form()?;
    }
    show::line(&format!("{} hosts are up after {:.1?}.", lab.options().hosts, started.elapsed()));
    show::hints(&lab, &app, form, engines_only)
}

fn inside(lab: &Lab, host: u8, args: &[String]) -> anyhow::Result<ExitCode> {
    let (program, rest) = match args.split_first() {
        Some((program, rest)) => (program.as_str(), rest),
        None => ("sh", &[][..]),
    };
    pass(lab.exec_command(host, program)?.args(rest))
}

/// Runs a program in our own terminal and passes its exit code on.
fn pass(command: &mut Command) -> anyhow::Result<ExitCode> {
    let code = command.status()?.code().unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
