//! Bringing rules and routes to the kernel, by the programs that every host with Docker has or can have: `nft`,
//! `ip` and `iptables`. What is there already is left alone.

use super::flows::{self, Kept};
use super::ports;
use super::routes::{self, Hop, PROTOCOL, changes, overlapping, read};
use super::rules::{MARK, TABLE};
use super::vxlan;
use super::wireguard::KeyError;
use crate::limits::MESH_COMMAND;
use model::limits::MESH_PORT;
use model::{Carrier, Subnet};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The engine's chain for rules of others.
const USERS: &str = "DOCKER-USER";
/// Where devices come from whose other end is a program.
const TUN: &str = "/dev/net/tun";

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
    /// The kernel has no devices whose other end is a program.
    #[error("{TUN} cannot be opened ({source}): load the kernel module `tun` (`modprobe tun`)")]
    NoTun {
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
    /// Packets cannot be encrypted on their way to other hosts.
    #[error("packets to other hosts cannot be encrypted, and are not sent: {why}")]
    Encryption {
        /// Why.
        why: Encryption,
    },
    /// The kernel's table of connections cannot be looked through.
    #[error(
        "UDP flows to replicas that are gone cannot be ended ({source}); `modprobe nf_conntrack_netlink` may help"
    )]
    Flows {
        /// Why.
        source: io::Error,
    },
    /// A program did not end in time.
    #[error("`{command}` did not end in {} s", MESH_COMMAND.as_secs())]
    Late {
        /// What it was told.
        command: String,
    },
}

/// What keeps packets from being encrypted.
#[derive(Debug, thiserror::Error)]
pub enum Encryption {
    /// The node has no key.
    #[error("there is no key at {}; the daemon makes one when it starts", path.display())]
    NoKey {
        /// Where it should be.
        path: PathBuf,
    },
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The kernel refuses the device, or the port.
    #[error("no device for it, or the port {MESH_PORT} (UDP): {source}")]
    Refused {
        /// Why.
        source: io::Error,
    },
}

/// What the kernel was last told.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    /// The rules as they were loaded, and as `nft` showed them right after.
    rules: Option<(String, Vec<u8>)>,
    /// Where flows may go on to, as of the last look through them.
    flows: Option<Kept>,
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

    /// Ends UDP flows to replicas that have left. Once the rules are loaded no new ones come to be.
    pub(super) async fn forget_flows(&mut self, kept: Kept) -> Result<(), Trouble> {
        if self.flows.as_ref().is_none_or(|before| flows::left(before, &kept)) {
            let now = kept.clone();
            let done = tokio::task::spawn_blocking(move || flows::forget(&now)).await;
            done.unwrap_or_else(|why| Err(io::Error::other(why)))
                .map_err(|source| Trouble::Flows { source })?;
        }
        self.flows = Some(kept);
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
        batch("ip", &changes(&our_routes().await?, wanted)).await
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

/// Those of these hosts that are on no segment with this one.
pub(super) async fn apart(hosts: &BTreeSet<Ipv4Addr>) -> Result<BTreeSet<Ipv4Addr>, Trouble> {
    if hosts.is_empty() {
        return Ok(BTreeSet::new());
    }
    let lines: Vec<String> = hosts.iter().map(|host| format!("route get {host}\n")).collect();
    // One that cannot be reached at all says so on its own.
    let shown = run("ip", &["-4", "-o", "-force", "-batch", "-"], &lines.concat()).await?;
    Ok(routes::apart(&String::from_utf8_lossy(&shown.stdout)))
}

/// Makes the device for tunnels as the host at that address needs it to reach these; without any there is none.
pub(super) async fn set_tunnels(here: Ipv4Addr, hosts: &BTreeSet<Ipv4Addr>) -> Result<(), Trouble> {
    let there = Path::new("/sys/class/net").join(vxlan::DEVICE).exists();
    if hosts.is_empty() {
        return if there { remove_tunnels().await } else { Ok(()) };
    }
    let hosts: Vec<Ipv4Addr> = hosts.iter().copied().collect();
    let link = ["-d", "-o", "link", "show", vxlan::DEVICE];
    let shown = if there { demand("ip", &link, "").await? } else { Vec::new() };
    batch("ip", &vxlan::device(&String::from_utf8_lossy(&shown), here)).await?;
    let known = ["-4", "neigh", "show", "dev", vxlan::DEVICE, "nud", "permanent"];
    let known = demand("ip", &known, "").await?;
    batch("ip", &vxlan::neighbours(&String::from_utf8_lossy(&known), &hosts)).await?;
    let known = demand("bridge", &["fdb", "show", "dev", vxlan::DEVICE], "").await?;
    batch("bridge", &vxlan::stations(&String::from_utf8_lossy(&known), &hosts)).await
}

async fn remove_tunnels() -> Result<(), Trouble> {
    demand("ip", &["link", "del", vxlan::DEVICE], "").await.map(drop)
}

/// Whether that is there which the mesh is made with.
pub async fn ready(carrier: Carrier) -> Result<(), Trouble> {
    for (program, word) in [("nft", "--version"), ("ip", "-V"), ("iptables", "--version")] {
        run(program, &[word], "").await?;
    }
    match carrier {
        Carrier::Encrypted => tun().map_err(|source| Trouble::NoTun { source }),
        Carrier::Direct => Ok(()),
    }
}

fn tun() -> io::Result<()> {
    std::fs::File::options().read(true).write(true).open(TUN).map(drop)
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
        let routes = our_routes().await?;
        set_tunnels(Ipv4Addr::UNSPECIFIED, &BTreeSet::new()).await?;
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

/// Our table as text; `None` when there is none.
pub(super) async fn shown_rules() -> Option<String> {
    show().await.ok()?.map(|shown| String::from_utf8_lossy(&shown).into_owned())
}

/// Whether packets to a subnet have a way of their own, and do not just leave by the default route.
pub(super) async fn leads_to(subnet: Subnet) -> bool {
    let to = subnet.gateway().to_string();
    let shown = demand("ip", &["-4", "route", "get", "fibmatch", &to], "").await;
    shown.is_ok_and(|shown| !shown.starts_with(b"default"))
}

/// Our table; `None` when there is none.
async fn show() -> Result<Option<Vec<u8>>, Trouble> {
    let shown = run("nft", &["list", "table", "ip", TABLE], "").await?;
    Ok(shown.status.success().then_some(shown.stdout))
}

/// Has a program do all of this; nothing where there is nothing to do. What cannot be done must not keep the rest
/// from it.
async fn batch(program: &'static str, lines: &[String]) -> Result<(), Trouble> {
    if lines.is_empty() {
        return Ok(());
    }
    demand(program, &["-force", "-batch", "-"], &(lines.join("\n") + "\n")).await.map(drop)
}

async fn our_routes() -> Result<BTreeMap<Subnet, Hop>, Trouble> {
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
        "ip" | "bridge" => "iproute2",
        _ => "iptables",
    }
}
