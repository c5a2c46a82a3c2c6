//! The words of the command line. Says what may be typed; does nothing.

mod looking;
mod members;

pub(crate) use looking::{Stats, Top};
pub(crate) use members::{Context, Init, Join, Label, NodeAction, Nodes, Token};

use crate::text;
use clap::{Args as ClapArgs, Parser, Subcommand};
use model::{Permit, Power};
use std::path::PathBuf;
use std::time::Duration;

// Read by hand, because a flag of one kind must win over a variable of the other.
const SOCKET_HELP: &str =
    "Unix socket of the daemon on this host [env: CLUSTER_SOCKET; default: /run/clusterd.sock]";
const CONTEXT_HELP: &str =
    "Reach the cluster from elsewhere, with this context [env: CLUSTER_CONTEXT]";

// These are read where the files are, because a file with variables may set them too.
const FILES_HELP: &str = "Compose files, later ones over earlier ones; `-` for standard input [env: COMPOSE_FILE; default: those of the folder]";
const VARIABLES_HELP: &str =
    "Files with variables for interpolation, in place of `.env` [env: COMPOSE_ENV_FILES]";
const PROFILES_HELP: &str = "Take services of this profile too [env: COMPOSE_PROFILES]";

/// Deploy Compose files on several hosts, and look after them.
#[derive(Debug, Parser)]
#[command(name = "clusterctl", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Unix socket of the daemon on this host
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "context", help = SOCKET_HELP)]
    pub(crate) socket: Option<PathBuf>,
    /// Reach the cluster from elsewhere, with this context
    #[arg(long, global = true, value_name = "NAME", help = CONTEXT_HELP)]
    pub(crate) context: Option<String>,
    /// Project; else that of the Compose file in the folder, else the only one
    #[arg(short, long, global = true, value_name = "NAME", alias = "project-name")]
    pub(crate) project: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Read what the asked node knows by itself, however old
    #[arg(long, global = true)]
    pub(crate) stale: bool,
    /// How long to wait, as in 30s or 5m
    #[arg(long, global = true, value_name = "DURATION", value_parser = text::duration)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Found a cluster on this host
    Init(Init),
    /// Join this host to a cluster
    Join(Join),
    /// Print the token with which hosts join, and how
    Token(Token),
    /// Reach a cluster from elsewhere
    #[command(subcommand)]
    Context(Context),
    /// List nodes, and say what is to become of them
    #[command(alias = "node")]
    Nodes(Nodes),
    /// Deploy a Compose file
    #[command(visible_alias = "up")]
    Deploy(Deploy),
    /// Say of each key of a Compose file what becomes of it; asks no cluster
    Check(Check),
    /// Print the project that Compose files come to, asking no cluster; or look after configs that no project owns
    Config(Config),
    /// Secrets that no project owns
    #[command(subcommand)]
    Secret(Content),
    /// List projects
    Ls(Ls),
    /// List replicas
    Ps(Ps),
    /// Change how many replicas services have
    Scale(Scale),
    /// Look at roll-outs, and pause, resume or undo them
    Rollout(Rollout),
    /// Show what replicas print
    Logs(Logs),
    /// Show what replicas use of processor, memory, network and disk
    Stats(Stats),
    /// Show nodes, services and replicas, those that work most first
    Top(Top),
    /// Run a command in a replica
    Exec(Exec),
    /// Show, grant and revoke what a project may be handed of its hosts
    #[command(subcommand)]
    Policy(Policy),
    /// Networks that services are on
    #[command(subcommand, visible_alias = "net")]
    Network(Network),
    /// Run a command once, in a container of its own that is as a service's
    Run(Run),
    /// Show a project, service, replica or node in full
    Inspect(Inspect),
    /// Show what happened
    Events(Events),
    /// Show the cluster's health, and what losing each node would mean
    Status,
    /// Remove a project
    Down(Down),
    /// Take this host out of the cluster
    Leave(Leave),
    /// Images
    #[command(subcommand)]
    Image(Image),
    /// Show the versions of this program and of the daemon
    Version,
    /// Print a script that completes commands in a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What a project is read from.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct Input {
    /// Compose files, later ones over earlier ones; `-` for standard input
    #[arg(short, long = "file", value_name = "FILE", help = FILES_HELP)]
    pub(crate) files: Vec<PathBuf>,
    /// Files with variables for interpolation, in place of `.env`
    #[arg(long = "env-file", value_name = "FILE", help = VARIABLES_HELP)]
    pub(crate) env_files: Vec<PathBuf>,
    /// Take services of this profile too
    #[arg(long = "profile", value_name = "NAME", help = PROFILES_HELP)]
    pub(crate) profiles: Vec<String>,
    /// Deploy without this key, which the cluster cannot honour
    #[arg(long = "ignore", value_name = "KEY")]
    pub(crate) ignore: Vec<String>,
    /// Grant the project what its file asks for of the hosts, as `policy grant` does, and read files from
    /// outside of the folder
    #[arg(long)]
    pub(crate) allow_host: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Fail unless every key is honoured or emulated
    #[arg(long)]
    pub(crate) strict: bool,
    /// How many nodes could run a service; several unless it is said
    #[arg(long, value_name = "COUNT")]
    pub(crate) nodes: Option<usize>,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) action: Option<Content>,
    #[command(flatten)]
    pub(crate) input: Input,
}

/// What is done with secrets, or configs, that no project owns.
#[derive(Debug, Subcommand)]
pub(crate) enum Content {
    /// Make one; it never changes, and is used by `external: true` in a Compose file
    Create {
        /// Its name in the whole cluster
        name: String,
        /// The file that it is to hold; `-` for standard input
        file: PathBuf,
    },
    /// List them, and who uses them
    Ls,
    /// Remove one that nobody uses
    Rm {
        /// Its name
        name: String,
    },
}

#[expect(clippy::struct_excessive_bools, reason = "each is a word of the command line")]
#[derive(Debug, ClapArgs)]
pub(crate) struct Deploy {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Send the logins of `docker login` along, for pulling
    #[arg(long)]
    pub(crate) with_registry_auth: bool,
    /// Do not wait until everything runs
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Build images here also where the file gives them a name
    #[arg(long)]
    pub(crate) build: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ls {
    /// List services instead; so does --project
    #[arg(short, long)]
    pub(crate) services: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ps {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    /// Ended ones too
    #[arg(short, long)]
    pub(crate) all: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Scale {
    /// Services and their numbers of replicas
    #[arg(required = true, value_name = "SERVICE=COUNT", value_parser = scale)]
    pub(crate) counts: Vec<(String, u32)>,
    /// Do not wait until everything runs
    #[arg(short, long)]
    pub(crate) detach: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rollout {
    #[command(subcommand)]
    pub(crate) action: RolloutAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RolloutAction {
    /// Show how far roll-outs are
    Status {
        /// Only these services
        #[arg(value_name = "SERVICE")]
        services: Vec<String>,
    },
    /// Finish what was begun, and replace no further replica
    Pause {
        /// Only these services
        #[arg(value_name = "SERVICE")]
        services: Vec<String>,
    },
    /// Go on with what is paused
    Resume(RolloutWish),
    /// Go back to the release before; what has ended is undone where services are named
    Undo(RolloutWish),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RolloutWish {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    /// Do not wait until it has ended
    #[arg(short, long)]
    pub(crate) detach: bool,
}

fn scale(text: &str) -> Result<(String, u32), String> {
    let wrong = || "write SERVICE=COUNT, as in web=4".to_owned();
    let (service, count) = text.split_once('=').ok_or_else(wrong)?;
    let count = count.parse().map_err(|_| wrong())?;
    if service.is_empty() { Err(wrong()) } else { Ok((service.to_owned(), count)) }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Logs {
    /// Only these services or replicas, as in web or web.2
    #[arg(value_name = "SERVICE|REPLICA")]
    pub(crate) names: Vec<String>,
    /// Go on as they print
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only what is younger: a duration such as 10m, or a moment such as 2026-11-24T10:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Only that many lines from the end of each; `all` for all
    #[arg(short = 'n', long, value_name = "LINES", value_parser = tail, default_value = "all")]
    pub(crate) tail: i64,
    /// Show when each line was printed
    #[arg(short, long)]
    pub(crate) timestamps: bool,
}

fn tail(text: &str) -> Result<i64, String> {
    match text {
        "all" => Ok(-1),
        _ => text.parse::<u32>().map(i64::from).map_err(|_| "write a number, or `all`".into()),
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Exec {
    /// Pass standard input on
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Allocate a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Run as this user
    #[arg(short, long)]
    pub(crate) user: Option<String>,
    /// Run in this folder
    #[arg(short, long)]
    pub(crate) workdir: Option<String>,
    /// Set variables, as in KEY=VALUE
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) env: Vec<String>,
    /// The replica, as in web.2
    pub(crate) replica: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Show what projects may be handed
    #[command(visible_alias = "ls")]
    Show,
    /// Let a project's containers be handed this, from its next deploy on
    Grant(Permits),
    /// Refuse it from the next deploy on; what runs is left alone
    Revoke(Permits),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Network {
    /// List networks, with who is on them
    Ls,
    /// Show a network in full: its subnets, services, names and addresses
    Inspect {
        /// The network, as in front or shop/front
        name: String,
    },
    /// Have every node look at the mesh: rules, names, and the way to each other node
    Doctor,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Permits {
    /// Keys of a Compose file that hand a container its host, or `all`; of capabilities, devices, their
    /// rules, security options and volumes also single values, as in `cap_add=SYS_ADMIN`
    #[arg(required = true, value_name = "KEY[=VALUE]", value_parser = permits)]
    pub(crate) keys: Vec<Vec<Permit>>,
}

fn permits(text: &str) -> Result<Vec<Permit>, String> {
    match text {
        "all" => Ok(Power::ALL.map(Permit::whole).into()),
        word => word.parse().map(|permit| vec![permit]),
    }
}

#[expect(clippy::struct_excessive_bools, reason = "each is a word of the command line")]
#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// Remove it once it ended; otherwise that is done after a day
    #[arg(long)]
    pub(crate) rm: bool,
    /// Print its name, and do not wait for its end
    #[arg(short, long, conflicts_with = "rm")]
    pub(crate) detach: bool,
    /// Do not wait for what the service depends on
    #[arg(long)]
    pub(crate) no_deps: bool,
    /// Set variables, as in KEY=VALUE
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) env: Vec<String>,
    /// Its name; made of the service's by default
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Replace the entry point, by one word
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,
    /// Run as this user
    #[arg(short, long)]
    pub(crate) user: Option<String>,
    /// Run in this folder
    #[arg(short, long)]
    pub(crate) workdir: Option<String>,
    /// Pass standard input on
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Allocate a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Without a terminal, as it is unless -t is given
    #[arg(short = 'T', long = "no-tty", hide = true, conflicts_with = "tty")]
    pub(crate) no_tty: bool,
    /// The service
    pub(crate) service: String,
    /// The command and its arguments; the service's by default
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Inspect {
    /// A project, service, replica or node
    pub(crate) name: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Events {
    /// Go on as they happen
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many of the latest to begin with
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50)]
    pub(crate) last: u32,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Down {
    /// Delete its named volumes and their data too
    #[arg(short, long)]
    pub(crate) volumes: bool,
    /// Do not wait until everything has stopped
    #[arg(short, long)]
    pub(crate) detach: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Leave {
    /// At once: without moving its replicas first, also when the cluster does not answer, and as its last node
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Image {
    /// Bring the images of a file made by `docker save` to every node
    Load {
        /// The file; `-` for standard input
        file: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("clusterctl").chain(line.split_whitespace()))
    }

    #[test]
    fn the_grammar_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_or_behind() {
        for line in ["--json -p shop ps", "ps --json -p shop", "ps -p shop --json"] {
            let args = parse(line).unwrap();
            assert!(args.global.json, "{line}");
            assert_eq!(args.global.project.as_deref(), Some("shop"), "{line}");
        }
    }

    #[test]
    fn scale_takes_several_services() {
        let Command::Scale(scale) = parse("scale web=4 api=0").unwrap().command else { panic!() };
        assert_eq!(scale.counts, [("web".to_owned(), 4), ("api".to_owned(), 0)]);
        for wrong in ["scale", "scale web", "scale web=", "scale web=-1", "scale =3"] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn exec_keeps_the_words_of_the_command() {
        for line in ["exec -it web.2 -- sh -c ls", "exec -it web.2 sh -c ls"] {
            let Command::Exec(exec) = parse(line).unwrap().command else { panic!() };
            assert!(exec.interactive && exec.tty);
            assert_eq!(exec.replica, "web.2");
            assert_eq!(exec.command, ["sh", "-c", "ls"], "{line}");
        }
        assert!(parse("exec web.2").is_err());
    }

    #[test]
    fn labels_are_set_and_removed() {
        let Command::Nodes(nodes) = parse("nodes label n1 disk=ssd old- a=b-").unwrap().command
        else {
            panic!()
        };
        let Some(NodeAction::Label { labels, .. }) = nodes.action else { panic!() };
        let set = |k: &str, v: &str| Label::Set(k.into(), v.into());
        assert_eq!(labels, [set("disk", "ssd"), Label::Remove("old".into()), set("a", "b-")]);
        assert!(parse("nodes label n1").is_err());
        assert!(parse("nodes label n1 =x").is_err());
    }

    #[test]
    fn aliases_and_defaults() {
        assert!(matches!(parse("up -f a.yml -f b.yml").unwrap().command, Command::Deploy(_)));
        let Command::Nodes(nodes) = parse("nodes").unwrap().command else { panic!() };
        assert!(nodes.action.is_none());
        let Command::Logs(logs) = parse("logs -f --tail 20 web").unwrap().command else { panic!() };
        assert_eq!((logs.tail, logs.follow), (20, true));
    }

    #[test]
    fn attack_27_a_token_comes_from_one_place() {
        assert!(parse("join 10.0.0.1:7070").is_err());
        assert!(parse("join --token a --token-file b 10.0.0.1:7070").is_err());
        assert!(parse("join --token-file - 10.0.0.1:7070 10.0.0.2:7070").is_ok());
        assert!(parse("join --token-file - --name a --replace b 10.0.0.1:7070").is_err());
    }

    #[test]
    fn config_prints_a_project_or_looks_after_configs() {
        let config = |line: &str| match parse(line).unwrap().command {
            Command::Config(config) => (config.action.is_some(), config.input.files.len()),
            _ => panic!(),
        };
        assert_eq!(config("config -f a.yml -f b.yml --json"), (false, 2));
        assert_eq!(config("config ls"), (true, 0));
        assert_eq!(config("config ls --json"), (true, 0));
        assert_eq!(config("--json config create a -"), (true, 0));
        assert!(parse("config -f a.yml ls").is_err());
        assert!(parse("secret create a").is_err());
        assert!(matches!(
            parse("secret rm a").unwrap().command,
            Command::Secret(Content::Rm { .. })
        ));
    }

    #[test]
    fn a_context_and_a_socket_exclude_each_other() {
        assert!(parse("--socket /a --context b ls").is_err());
    }
}
