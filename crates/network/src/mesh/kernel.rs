//! Bringing rules and routes to the kernel, by the programs that every host with Docker has or can have: `nft`,
//! `ip` and `iptables`. What is there already is left alone.

use super::ports;
use super::routes::{Hop, PROTOCOL, changes, overlapping, read};
use super::rules::{MARK, TABLE};
use crate::limits::MESH_COMMAND;
use model::Subnet;
use std::collections::BTreeMap;
use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The engine's chain for rules of others.
const USERS: &str = "DOCKER-USER";

/// What kept the mesh from being as it should.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// A program cannot be run.
    #[error("`{program}` cannot be run ({source}); install {package}")]
    Missing {
        /// The program.
        program: &'static str,
        /// The package that it is in, on Debian.
        package: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A program said no.
    #[error("`{command}` failed: {said}")]
    Refused {
        /// What it was told.
        command: String,
        /// What it said.
        said: String,
    },
    /// A program did not end in time.
    #[error("`{command}` did not end in {} s", MESH_COMMAND.as_secs())]
    Late {
        /// What it was told.
        command: String,
    },
}

/// What the kernel was last told.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    /// The rules as they were loaded, and as `nft` showed them right after.
    rules: Option<(String, Vec<u8>)>,
}

impl Kernel {
    /// Replaces our table, unless it is the one loaded last and nobody has changed it.
    pub(super) async fn load_rules(&mut self, rules: &str) -> Result<(), Trouble> {
        if let Some((loaded, shown)) = &self.rules
            && loaded == rules
            && show().await?.as_ref() == Some(shown)
        {
            return Ok(());
        }
        self.rules = None;
        demand("nft", &["-f", "-"], rules).await?;
        self.rules = show().await?.map(|shown| (rules.to_owned(), shown));
        Ok(())
    }

    /// Has the engine's rules accept what ours have marked. An engine that keeps no rules has no chain for it.
    pub(super) async fn admit_marked(&self) -> Result<(), Trouble> {
        if run("iptables", &["-w", "-n", "-L", USERS], "").await?.status.success()
            && !marked("-C").await?.status.success()
        {
            refused("iptables", &marked("-I").await?)?;
        }
        Ok(())
    }

    pub(super) async fn set_routes(&self, wanted: &BTreeMap<Subnet, Hop>) -> Result<(), Trouble> {
        let batch = changes(&routes().await?, wanted);
        if batch.is_empty() {
            return Ok(());
        }
        // One that cannot be set, to a node that is on another segment, say, must not keep others from it.
        demand("ip", &["-force", "-batch", "-"], &(batch.join("\n") + "\n")).await.map(drop)
    }
}

/// Lets containers on these bridges reach themselves by the virtual address of their own service.
pub(super) async fn reflect(bridges: &[String]) -> Result<(), Trouble> {
    let shown = demand("ip", &["-d", "-o", "link", "show", "type", "bridge_slave"], "").await?;
    let batch = ports::reflecting(&String::from_utf8_lossy(&shown), bridges);
    if batch.is_empty() {
        return Ok(());
    }
    // A port may just have gone; what is left is looked at again.
    run("ip", &["-force", "-batch", "-"], &(batch.join("\n") + "\n")).await.map(drop)
}

/// Whether the programs are there that the mesh is made with.
pub async fn ready() -> Result<(), Trouble> {
    for (program, word) in [("nft", "--version"), ("ip", "-V"), ("iptables", "--version")] {
        run(program, &[word], "").await?;
    }
    Ok(())
}

/// A route of this host that leads elsewhere with some address of `pool`, if there is one.
pub async fn taken(pool: Subnet) -> Result<Option<String>, Trouble> {
    let shown = demand("ip", &["-4", "route", "show"], "").await?;
    Ok(overlapping(&String::from_utf8_lossy(&shown), pool))
}

/// Takes all of the mesh out of the kernel. An edge that is just ending may be putting it there, so it is looked
/// for until it stays away.
pub async fn remove() -> Result<(), Trouble> {
    const QUIET: Duration = Duration::from_millis(300);
    const LOOKS: usize = 10;
    for _ in 0..LOOKS {
        let routes = routes().await?;
        let (table, rule) = (show().await?, marked("-C").await?.status.success());
        if routes.is_empty() && table.is_none() && !rule {
            return Ok(());
        }
        Kernel::default().set_routes(&BTreeMap::new()).await?;
        if table.is_some() {
            demand("nft", &["delete", "table", "ip", TABLE], "").await?;
        }
        if rule {
            refused("iptables", &marked("-D").await?)?;
        }
        tokio::time::sleep(QUIET).await;
    }
    Ok(())
}

async fn marked(what: &str) -> Result<Output, Trouble> {
    let mark = format!("{MARK}/{MARK}");
    let rule = ["-w", what, USERS, "-m", "mark", "--mark", &mark, "-j", "ACCEPT"];
    run("iptables", &rule, "").await
}

/// Our table; `None` when there is none.
async fn show() -> Result<Option<Vec<u8>>, Trouble> {
    let shown = run("nft", &["list", "table", "ip", TABLE], "").await?;
    Ok(shown.status.success().then_some(shown.stdout))
}

async fn routes() -> Result<BTreeMap<Subnet, Hop>, Trouble> {
    let protocol = PROTOCOL.to_string();
    let shown = demand("ip", &["-4", "route", "show", "proto", &protocol], "").await?;
    Ok(read(&String::from_utf8_lossy(&shown)))
}

/// Runs a program that must succeed, and returns what it printed.
async fn demand(program: &'static str, words: &[&str], input: &str) -> Result<Vec<u8>, Trouble> {
    let output = run(program, words, input).await?;
    refused(program, &output)?;
    Ok(output.stdout)
}

fn refused(program: &str, output: &Output) -> Result<(), Trouble> {
    if output.status.success() {
        return Ok(());
    }
    let said: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(400).collect();
    Err(Trouble::Refused { command: program.to_owned(), said: said.replace('\n', "; ") })
}

async fn run(program: &'static str, words: &[&str], input: &str) -> Result<Output, Trouble> {
    let missing = |source| Trouble::Missing { program, package: package(program), source };
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().map_err(missing)?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    let work = async {
        // One that does not read all of it says why by itself.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await
    };
    match tokio::time::timeout(MESH_COMMAND, work).await {
        Ok(done) => done.map_err(missing),
        Err(_) => Err(Trouble::Late { command: format!("{program} {}", words.join(" ")) }),
    }
}

fn package(program: &str) -> &'static str {
    match program {
        "nft" => "nftables",
        "ip" => "iproute2",
        _ => "iptables",
    }
}
