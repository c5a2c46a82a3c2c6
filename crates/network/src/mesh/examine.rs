//! What a node finds when it looks at its part of the mesh: rules, names, and the way to each other node. It
//! looks, and changes nothing.

use super::echo::{SMALL, echo};
use super::kernel;
use crate::dns::ask_gateway;
use crate::limits::{EXAMINE_ECHO, EXAMINE_PAIRS};
use crate::picture::Picture;
use model::{MeshView, NamedService, NodeId, Readiness, Subnet, bridge_name};
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// The kernel's rules and routes are as they should be.
    Rules,
    /// Virtual addresses lead to replicas.
    Virtual,
    /// Containers' names are answered.
    Names,
    /// Packets to the other node's containers have a way.
    Route,
    /// They get there, and answers come back.
    Carrier,
    /// So do the largest that containers send.
    Mtu,
}

impl std::fmt::Display for Aspect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Rules => "rules",
            Self::Virtual => "virtual addresses",
            Self::Names => "names",
            Self::Route => "route",
            Self::Carrier => "carrier",
            Self::Mtu => "mtu",
        })
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The other node; `None` when it is about this one alone.
    pub to: Option<NodeId>,
    /// What was looked at.
    pub aspect: Aspect,
    /// What is wrong, and what to do about it.
    pub problem: Option<(String, String)>,
    /// How long a packet took there and back.
    pub took: Option<Duration>,
}

impl Finding {
    fn fine(to: Option<NodeId>, aspect: Aspect) -> Self {
        Self { to, aspect, problem: None, took: None }
    }

    fn wrong(to: Option<NodeId>, aspect: Aspect, what: String, fix: &str) -> Self {
        Self { problem: Some((what, fix.to_owned())), ..Self::fine(to, aspect) }
    }
}

/// Looks at this node's part of the mesh, as the picture has it; nothing is found without one. `trouble` is what
/// the edge says keeps it from making that part. Nodes that are lost, or with which there is no network in common, are
/// left out.
pub async fn examine(picture: Picture, trouble: Option<&str>) -> Vec<Finding> {
    let Some(mesh) = picture.mesh.map(Arc::new) else { return Vec::new() };
    let here = picture.node;
    let mut findings = vec![rules(trouble), virtuals(&mesh, here).await];
    findings.extend(names(&mesh, here).await);
    let others = picture.nodes.iter().filter(|n| n.id != here);
    let peers: Vec<NodeId> =
        others.filter(|n| n.readiness != Readiness::Lost).map(|n| n.id).collect();
    let mut ways = JoinSet::new();
    for peer in peers {
        let mesh = Arc::clone(&mesh);
        ways.spawn(async move { (peer, way(&mesh, here, peer).await) });
    }
    let mut ways = ways.join_all().await;
    ways.sort_by_key(|(peer, _)| *peer);
    findings.extend(ways.into_iter().flat_map(|(_, found)| found));
    findings
}

fn rules(trouble: Option<&str>) -> Finding {
    match trouble {
        None => Finding::fine(None, Aspect::Rules),
        Some(why) => Finding::wrong(
            None,
            Aspect::Rules,
            why.to_owned(),
            "mend what it says on that host; it is tried again every few seconds",
        ),
    }
}

/// The virtual addresses that services with replicas have are in the kernel's rules.
async fn virtuals(mesh: &MeshView, node: NodeId) -> Finding {
    let networks = mesh.networks.iter().filter(|n| n.subnets.contains_key(&node));
    let served = networks.flat_map(|n| &n.services).filter(|s| !s.replicas.is_empty());
    let wanted: Vec<Ipv4Addr> = served.flat_map(NamedService::virtuals).collect();
    let shown = kernel::shown_rules().await.unwrap_or_default();
    let missing = wanted.iter().find(|address| !shown.contains(&format!(" . {address} ")));
    match missing {
        None => Finding::fine(None, Aspect::Virtual),
        Some(address) => Finding::wrong(
            None,
            Aspect::Virtual,
            format!("{address} leads nowhere: the table `cluster` of nftables lacks it"),
            "see that the edge runs on that host (`systemctl status clusterd`) and that no firewall removes its table",
        ),
    }
}

/// Asks the node's own name server in each network.
async fn names(mesh: &MeshView, node: NodeId) -> Vec<Finding> {
    let mut findings = Vec::new();
    for network in &mesh.networks {
        let Some((subnet, service)) = network.subnets.get(&node).zip(network.services.first())
        else {
            continue;
        };
        let asked = ask_gateway(subnet.gateway(), &format!("tasks.{}", service.name)).await;
        // Without a container there has been no bridge yet, and nobody who asks.
        if let Err(why) = asked.as_ref().map_err(io::Error::kind)
            && why != io::ErrorKind::AddrNotAvailable
        {
            findings.push(Finding::wrong(
                None,
                Aspect::Names,
                format!("the name server at {} does not answer", subnet.gateway()),
                "another program may hold port 53 there; the log of the edge says so",
            ));
        }
    }
    if findings.is_empty() { vec![Finding::fine(None, Aspect::Names)] } else { findings }
}

/// Own and other subnets between which packets pass.
fn shared(mesh: &MeshView, here: NodeId, peer: NodeId) -> Vec<(Subnet, Subnet)> {
    let own = mesh.networks.iter().filter_map(|n| Some((n, *n.subnets.get(&here)?)));
    let pairs = own.flat_map(|(network, own)| {
        let theirs = network.reached().filter(|(node, _)| *node == peer);
        theirs.map(move |(_, subnet)| (own, subnet))
    });
    pairs.collect()
}

async fn way(mesh: &MeshView, here: NodeId, peer: NodeId) -> Vec<Finding> {
    let to = Some(peer);
    let pairs = shared(mesh, here, peer);
    if pairs.is_empty() {
        return Vec::new();
    }
    let remote: BTreeMap<Subnet, Subnet> =
        pairs.iter().map(|(own, theirs)| (*theirs, *own)).collect();
    for subnet in remote.keys() {
        if !kernel::leads_to(*subnet).await {
            return vec![Finding::wrong(
                to,
                Aspect::Route,
                format!("{subnet} has no route of its own"),
                "see that the edge runs on that host, that both hosts share a segment (`init --mesh direct`), and that no other program removes routes",
            )];
        }
    }
    let mut findings = vec![Finding::fine(to, Aspect::Route)];
    let mut answered = None;
    for (theirs, own) in remote.into_iter().take(EXAMINE_PAIRS) {
        if let Some(took) = there_and_back(own, theirs, SMALL).await {
            answered = Some((own, theirs, took));
            break;
        }
    }
    let Some((own, theirs, took)) = answered else {
        findings.push(Finding::wrong(
            to,
            Aspect::Carrier,
            "no packet comes back".to_owned(),
            "let packets between the hosts pass, those to and from containers included, in the firewalls of both and of their network",
        ));
        return findings;
    };
    findings.push(Finding { took: Some(took), ..Finding::fine(to, Aspect::Carrier) });
    findings.push(size(mesh, to, own, theirs).await);
    findings
}

/// Whether packets as large as containers send them get there.
async fn size(mesh: &MeshView, to: Option<NodeId>, own: Subnet, theirs: Subnet) -> Finding {
    let bridge = mtu_of(&bridge_name(mesh.mesh.number(own)));
    // What is too large for the first hop already is said to containers by their own host.
    let Some(mtu) = bridge.zip(first_hop(own, theirs)).map(|(bridge, hop)| bridge.min(hop)) else {
        return Finding::fine(to, Aspect::Mtu);
    };
    if there_and_back(own, theirs, mtu).await.is_some() {
        return Finding::fine(to, Aspect::Mtu);
    }
    Finding::wrong(
        to,
        Aspect::Mtu,
        format!("packets of {mtu} bytes do not get there, small ones do"),
        "give the network a smaller `driver_opts: {com.docker.network.driver.mtu: ...}` and deploy again, or raise the MTU between the hosts",
    )
}

fn mtu_of(bridge: &str) -> Option<usize> {
    std::fs::read_to_string(format!("/sys/class/net/{bridge}/mtu")).ok()?.trim().parse().ok()
}

/// Bytes of the packets that leave this host on their way to another subnet.
fn first_hop(own: Subnet, theirs: Subnet) -> Option<usize> {
    let socket = std::net::UdpSocket::bind((own.gateway(), 0)).ok()?;
    // Nothing is sent by that.
    socket.connect((theirs.gateway(), 9)).ok()?;
    rustix::net::sockopt::ip_mtu(&socket).ok().map(|mtu| mtu as usize)
}

/// From gateway to gateway; a packet may be lost once.
async fn there_and_back(own: Subnet, theirs: Subnet, size: usize) -> Option<Duration> {
    for _ in 0..2 {
        let (from, to) = (own.gateway(), theirs.gateway());
        let sent = tokio::task::spawn_blocking(move || echo(from, to, size, EXAMINE_ECHO)).await;
        if let Ok(Ok(Some(took))) = sent {
            return Some(took);
        }
    }
    None
}
