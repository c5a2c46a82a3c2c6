//! Two hosts on one cable, each with a bridge and a container on it, made of network namespaces.

use anyhow::Context;
use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::process::Command;

/// A namespace with an address.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) namespace: &'static str,
    pub(crate) address: &'static str,
}

impl Place {
    pub(crate) fn address(self) -> anyhow::Result<Ipv4Addr> {
        Ok(self.address.parse()?)
    }
}

pub(crate) const HOSTS: [Place; 2] = [
    Place { namespace: "bench-host0", address: "172.31.250.11" },
    Place { namespace: "bench-host1", address: "172.31.250.12" },
];
pub(crate) const CONTAINERS: [Place; 2] = [
    Place { namespace: "bench-box0", address: "10.128.0.2" },
    Place { namespace: "bench-box1", address: "10.128.2.2" },
];
/// The gateways of the containers, and the bridges that bear them.
const GATEWAYS: [(&str, &str); 2] = [("10.128.0.1", "cl-0"), ("10.128.2.1", "cl-1")];

/// The namespaces; gone when this is dropped.
pub(crate) struct Hosts;

impl Hosts {
    /// `together`: on one segment. Otherwise each believes the other to be behind a router, over the same cable.
    pub(crate) fn make(together: bool) -> anyhow::Result<Self> {
        remove();
        let hosts = Self;
        for place in HOSTS.iter().chain(&CONTAINERS) {
            ip(&format!("netns add {}", place.namespace))?;
            ip(&format!("-n {} link set lo up", place.namespace))?;
        }
        let [one, two] = HOSTS.map(|host| host.namespace);
        ip(&format!("-n {one} link add eth0 type veth peer name eth0 netns {two}"))?;
        for (n, other) in [(0, HOSTS[1]), (1, HOSTS[0])] {
            let Place { namespace, address } = HOSTS[n];
            ip(&format!("-n {namespace} link set eth0 up"))?;
            let prefix = if together { 24 } else { 32 };
            ip(&format!("-n {namespace} addr add {address}/{prefix} dev eth0"))?;
            if !together {
                let way = format!("{0} via {0} dev eth0 onlink", other.address);
                ip(&format!("-n {namespace} route add {way}"))?;
            }
            container(n)?;
        }
        Ok(hosts)
    }
}

/// A program, to be run there.
pub(crate) fn on(place: Place, program: &OsStr) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", place.namespace]).arg(program);
    command
}

impl Drop for Hosts {
    fn drop(&mut self) {
        remove();
    }
}

fn container(n: usize) -> anyhow::Result<()> {
    let (host, Place { namespace, address }) = (HOSTS[n].namespace, CONTAINERS[n]);
    let (gateway, bridge) = GATEWAYS[n];
    ip(&format!("-n {host} link add {bridge} type bridge"))?;
    ip(&format!("-n {host} addr add {gateway}/23 dev {bridge}"))?;
    ip(&format!("-n {host} link add box type veth peer name eth0 netns {namespace}"))?;
    ip(&format!("-n {host} link set box master {bridge} up"))?;
    ip(&format!("-n {host} link set {bridge} up"))?;
    ip(&format!("-n {namespace} addr add {address}/23 dev eth0"))?;
    ip(&format!("-n {namespace} link set eth0 up"))?;
    ip(&format!("-n {namespace} route add default via {gateway}"))?;
    ip(&format!("netns exec {host} sysctl -qw net.ipv4.ip_forward=1"))
}

fn remove() {
    for place in HOSTS.iter().chain(&CONTAINERS) {
        // Most often there is none, which is as good.
        let _ = Command::new("ip").args(["netns", "del", place.namespace]).output();
    }
}

fn ip(words: &str) -> anyhow::Result<()> {
    let done = Command::new("ip").args(words.split(' ')).output().context("ip")?;
    let said = String::from_utf8_lossy(&done.stderr);
    anyhow::ensure!(done.status.success(), "ip {words}: {}", said.trim());
    Ok(())
}
