//! Words about who belongs to the cluster: founding and joining it, tokens, contexts, nodes.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, ClapArgs)]
pub(crate) struct Init {
    /// Address at which the other nodes reach this one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) advertise: Option<String>,
    /// Name of this node; the host's by default
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How containers reach each other across hosts: `encrypted` from host to host (`WireGuard`), `direct`, by routes
    /// through the hosts' own network, which is trusted (nothing is encrypted), or `none`
    #[arg(long, value_name = "CARRIER", default_value = "encrypted", value_parser = ["encrypted", "direct", "none"])]
    pub(crate) mesh: String,
    /// The addresses of containers; 10.128.0.0/10 by default
    #[arg(long, value_name = "RANGE")]
    pub(crate) pool: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Join {
    /// Managers of the cluster, as address:port
    #[arg(required = true, value_name = "MEMBER")]
    pub(crate) members: Vec<String>,
    /// File with the join token; `-` for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "token")]
    pub(crate) token_file: Option<PathBuf>,
    /// The join token itself; other users of this host can see it in the list of processes
    #[arg(long, conflicts_with = "token_file")]
    pub(crate) token: Option<String>,
    /// Address at which the other nodes reach this one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) advertise: Option<String>,
    /// Name of this node; the host's by default
    #[arg(long, conflicts_with = "replace")]
    pub(crate) name: Option<String>,
    /// Take the place of a lost node of that name: this host was reinstalled
    #[arg(long, value_name = "NAME")]
    pub(crate) replace: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Manager,
    Worker,
}

impl Role {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Manager => "manager",
            Self::Worker => "worker",
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Token {
    /// What hosts that join with it become
    pub(crate) role: Role,
    /// Make a new one; the old one stops working
    #[arg(long)]
    pub(crate) rotate: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Context {
    /// Make a key and have the cluster certify it; run this on a node
    #[command(alias = "create")]
    New {
        /// Name of the context, and of its holder in the cluster
        name: String,
        /// Write it to a file to be imported elsewhere, instead of keeping it here
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Take in a context that was made on a node
    Import {
        /// The file; `-` for standard input
        file: PathBuf,
        /// Another name for it
        #[arg(long)]
        name: Option<String>,
    },
    /// List contexts
    Ls,
    /// Use a context by default; `local` for the socket of this host
    Use {
        /// Its name
        name: String,
    },
    /// Forget a context
    Rm {
        /// Its name
        name: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Nodes {
    #[command(subcommand)]
    pub(crate) action: Option<NodeAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeAction {
    /// List nodes
    Ls,
    /// Show a node in full
    Inspect { node: String },
    /// Move everything away from a node, and put nothing on it
    Drain {
        node: String,
        /// Do not wait
        #[arg(short, long)]
        detach: bool,
    },
    /// Put nothing new on a node
    Pause { node: String },
    /// Use a node again
    Activate { node: String },
    /// Set (`key=value`) and remove (`key-`) labels
    #[command(override_usage = "clusterctl nodes label NODE KEY=VALUE|KEY- ...")]
    Label {
        node: String,
        #[arg(required = true, value_name = "KEY=VALUE|KEY-", value_parser = label)]
        labels: Vec<Label>,
    },
    /// Make a worker a manager
    Promote { node: String },
    /// Make a manager a worker
    Demote { node: String },
    /// Remove a node from the cluster
    Rm {
        node: String,
        /// Although it is ready
        #[arg(long)]
        force: bool,
    },
    /// Set how many managers vote: an odd number up to 7
    Voters { count: u32 },
}

/// One wish for a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Set(String, String),
    Remove(String),
}

fn label(text: &str) -> Result<Label, String> {
    match (text.split_once('='), text.strip_suffix('-')) {
        (Some((key, value)), _) if !key.is_empty() => Ok(Label::Set(key.into(), value.into())),
        (None, Some(key)) if !key.is_empty() => Ok(Label::Remove(key.into())),
        _ => Err("write key=value to set a label, key- to remove it".into()),
    }
}
