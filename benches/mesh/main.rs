//! The mesh: bytes a second between containers on two hosts by each carrier, against the same between the hosts
//! themselves, and the processor time that the edges take for it. Hosts and containers are network namespaces
//! on a cable; rules, routes and carriers are the product's own edges'.
//!
//! `hosts.rs` makes the namespaces.

mod hosts;

use anyhow::Context;
use benches::{Aim, Child, Table, heading, installed, median, now, pause, say, spawn, usage};
use hosts::{CONTAINERS, HOSTS, Hosts, on};
use model::{
    Carrier, ClusterId, Mesh, MeshKey, MeshView, NetworkView, NodeId, ProjectName, Readiness,
};
use network::{Config, Edge, PeerEdge, Picture, Security};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const ROUNDS: usize = 3;
const SECONDS: &str = "4";
/// Longest wait for a way between the containers.
const WAY: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["edge", node, carrier, folder] => edge(node, carrier, Path::new(folder)),
        _ => bench(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A way to carry packets: its name here, the carrier, and whether the hosts share a segment.
const WAYS: [(&str, &str, bool); 3] =
    [("direct", "direct", true), ("VXLAN", "direct", false), ("encrypted", "encrypted", true)];

fn bench() -> anyhow::Result<()> {
    heading("mesh: iperf3, one TCP stream, two hosts that are namespaces on one cable");
    for (program, package) in [("iperf3", "iperf3"), ("ip", "iproute2"), ("nft", "nftables")] {
        if installed(program).is_none() {
            say(&format!(
                "skipped: {program} is not installed (Debian: apt-get install {package})"
            ));
            return Ok(());
        }
    }
    if !rustix::process::geteuid().is_root() {
        say("skipped: making namespaces needs root");
        return Ok(());
    }
    let mut table = Table::default();
    for (name, carrier, together) in WAYS {
        let (hosts, between) = measured(name, carrier, together).context(name)?;
        let aim = if name == "direct" { Aim::RatioAtLeast(0.97) } else { Aim::None };
        let row = format!("{name}: container to container, one stream");
        table.row(&row, between.rate, "Gbit/s", Some((hosts, "host to host")), &aim);
        let row = format!("{name}: processor time of both edges, of a second of it");
        table.row(&row, between.cost, "s", None, &Aim::None);
    }
    table.show();
    Ok(())
}

struct Between {
    rate: f64,
    cost: f64,
}

/// From host to host, and from container to container: the medians of some rounds, taken in turn.
fn measured(name: &str, carrier: &str, together: bool) -> anyhow::Result<(f64, Between)> {
    let folder = tempfile::tempdir()?;
    let _hosts = Hosts::make(together)?;
    let mut edges = Vec::new();
    for (node, host) in HOSTS.into_iter().enumerate() {
        let own = folder.path().join(format!("edge{node}"));
        std::fs::create_dir(&own)?;
        std::fs::write(own.join("mesh.key"), MeshKey(secret(node)).to_string())?;
        let program = std::env::current_exe()?;
        let mut command = on(host, program.as_os_str());
        command.args(["edge", &node.to_string(), carrier]).arg(&own);
        edges.push(spawn(&mut command, &folder.path().join(format!("edge{node}.log")))?);
    }
    let mut servers = Vec::new();
    for place in [HOSTS[1], CONTAINERS[1]] {
        let mut command = on(place, "iperf3".as_ref());
        command.args(["-s", "-B", place.address]);
        servers.push(spawn(&mut command, &folder.path().join("iperf3.log"))?);
    }
    let start = now();
    while stream(&CONTAINERS, "1").is_err() {
        anyhow::ensure!(start.elapsed() < WAY, "no way from container to container");
        pause(Duration::from_millis(200));
    }
    let (mut outside, mut inside, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        outside.push(stream(&HOSTS, SECONDS)?);
        let (before, began) = (cpu(&edges), now());
        inside.push(stream(&CONTAINERS, SECONDS)?);
        costs.push((cpu(&edges) - before) / began.elapsed().as_secs_f64());
        let (hosts, containers) = (outside[round - 1], inside[round - 1]);
        say(&format!("round {round}, {name:<9} {containers:>6.2} Gbit/s, hosts {hosts:>6.2}"));
    }
    Ok((median(&outside), Between { rate: median(&inside), cost: median(&costs) }))
}

fn cpu(edges: &[Child]) -> f64 {
    edges.iter().filter_map(|edge| usage(edge.pid())).map(|usage| usage.cpu).sum()
}

/// Gigabits a second from the first place to the second, as the receiver counts them.
fn stream(places: &[hosts::Place; 2], seconds: &str) -> anyhow::Result<f64> {
    let mut command = on(places[0], "iperf3".as_ref());
    command.args(["-c", places[1].address, "-B", places[0].address]);
    let done = command.args(["-t", seconds, "-J", "--connect-timeout", "1000"]).output()?;
    let said: serde_json::Value = serde_json::from_slice(&done.stdout)?;
    let rate = said["end"]["sum_received"]["bits_per_second"].as_f64();
    Ok(rate.filter(|_| done.status.success()).context("iperf3 was not answered")? / 1e9)
}

/// The keys of a bench are no secrets.
fn secret(node: usize) -> [u8; 32] {
    [node as u8 + 1; 32]
}

/// One host's edge, which serves nothing but the mesh.
#[tokio::main]
async fn edge(node: &str, carrier: &str, folder: &Path) -> anyhow::Result<()> {
    let node: usize = node.parse()?;
    let carrier = if carrier == "encrypted" { Carrier::Encrypted } else { Carrier::Direct };
    let mut config = Config::new((HOSTS[node].address()?, 7071).into(), folder, Security::Plain);
    config.observe = Box::new(|remark| say(&format!("{remark:?}")));
    let edge = Edge::start(config).await?;
    edge.serve(picture(node, carrier)?);
    std::future::pending().await
}

fn picture(node: usize, carrier: Carrier) -> anyhow::Result<Picture> {
    let mesh = Mesh { pool: "10.128.0.0/10".parse()?, carrier };
    let id = |node: usize| NodeId(node as u64 + 1);
    let mut nodes = Vec::new();
    for (other, place) in HOSTS.iter().enumerate() {
        nodes.push(PeerEdge {
            id: id(other),
            edge: (place.address()?, 7071).into(),
            readiness: Readiness::Ready,
            mesh_key: Some(
                network::mesh::new_key(|key| key.copy_from_slice(&secret(other))).public,
            ),
        });
    }
    let network = NetworkView {
        project: ProjectName::try_from("bench".to_owned())?,
        subnets: (0..2).map(|node| (id(node), mesh.subnet(node as u32))).collect(),
        services: Vec::new(),
        networks: BTreeSet::new(),
        others: BTreeSet::new(),
        internal: false,
    };
    Ok(Picture {
        cluster: ClusterId("0123456789abcdef0123456789abcdef".into()),
        node: id(node),
        index: 1,
        routes: Arc::default(),
        sites: Arc::default(),
        datagrams: Arc::default(),
        nodes,
        mesh: Some(MeshView { mesh, networks: vec![Arc::new(network)] }),
        resolvers: [].into(),
    })
}
