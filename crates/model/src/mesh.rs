//! The network that containers share across hosts: its address space, who has which part of it, and what one
//! node needs to know to carry and to name it.
//!
//! The pool is cut in two. Of the lower three quarters each set of networks that some service of a project is on
//! gets a *subnet* per node that runs some of it; the upper quarter holds one *virtual address* per service, which
//! stands for all of its replicas.

use crate::{NetworkKey, NodeId, ProjectName, ServiceName, Slot, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

/// Prefix of the subnet of one set of networks on one node: room for more containers than one node may run
/// ([`crate::limits::TASKS_PER_NODE`]).
pub const SUBNET_PREFIX: u8 = 23;
/// Prefixes that a pool may have.
pub const POOL_PREFIXES: std::ops::RangeInclusive<u8> = 8..=16;
/// Addresses at the start of a subnet that no container gets: the network's own, and the gateway's.
const RESERVED: u32 = 2;

/// A range of IPv4 addresses, `10.128.0.0/10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    first: Ipv4Addr,
    prefix: u8,
}

impl Subnet {
    /// The range of that `prefix` (at most 32) that holds `address`.
    pub fn around(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        Self { first: Ipv4Addr::from_bits(address.to_bits() & mask), prefix }
    }

    /// How many addresses it has.
    pub fn size(self) -> u64 {
        1 << (32 - self.prefix)
    }

    /// The address at a position; the last one where there are not so many.
    pub fn nth(self, position: u32) -> Ipv4Addr {
        let last = (self.size() - 1) as u32;
        Ipv4Addr::from_bits(self.first.to_bits() + position.min(last))
    }

    /// The position of an address in it.
    pub fn position(self, address: Ipv4Addr) -> Option<u32> {
        self.contains(address).then(|| address.to_bits() - self.first.to_bits())
    }

    /// Whether an address lies in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        Self::around(address, self.prefix) == self
    }

    /// Whether some address lies in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// The number of leading bits that its addresses share.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Of a subnet of a node: the address of the node itself, where containers find the way out
    /// and the names.
    pub fn gateway(self) -> Ipv4Addr {
        self.nth(1)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// Text that is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSubnet(String);

impl fmt::Display for InvalidSubnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.0.chars().take(40).flat_map(char::escape_default).collect();
        write!(
            f,
            "\"{shown}\" is not a range of IPv4 addresses: write its first one and how many bits they share, as in 10.128.0.0/10"
        )
    }
}

impl std::error::Error for InvalidSubnet {}

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        let read = || {
            let (address, prefix) = text.split_once('/')?;
            let (address, prefix) = (address.parse().ok()?, prefix.parse().ok()?);
            let subnet = Self::around(address, prefix);
            (subnet.first == address && subnet.prefix == prefix).then_some(subnet)
        };
        read().ok_or_else(|| InvalidSubnet(text.to_owned()))
    }
}

impl TryFrom<String> for Subnet {
    type Error = InvalidSubnet;

    fn try_from(text: String) -> Result<Self, InvalidSubnet> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

/// How packets between containers get from host to host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carrier {
    /// As they are, by routes through the hosts' own network, which is trusted: nothing is encrypted.
    Direct,
    /// Encrypted from host to host, through whatever network lies between (the protocol of `WireGuard`).
    Encrypted,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::Encrypted => "encrypted",
        })
    }
}

/// The mesh as the cluster was founded with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mesh {
    /// All addresses that it uses.
    pub pool: Subnet,
    /// How packets get from host to host.
    pub carrier: Carrier,
}

impl Mesh {
    /// How many subnets there can be.
    pub fn subnets(&self) -> u32 {
        ((self.pool.size() / 4 * 3) >> (32 - SUBNET_PREFIX)) as u32
    }

    /// The subnet of a number below [`Mesh::subnets`].
    pub fn subnet(&self, number: u32) -> Subnet {
        Subnet::around(self.pool.nth(number << (32 - SUBNET_PREFIX)), SUBNET_PREFIX)
    }

    /// The number of a subnet.
    pub fn number(&self, subnet: Subnet) -> u32 {
        self.pool.position(subnet.first).unwrap_or(0) >> (32 - SUBNET_PREFIX)
    }

    /// How many virtual addresses there can be.
    pub fn virtuals(&self) -> u32 {
        (self.pool.size() / 4) as u32
    }

    /// The virtual address of a number below [`Mesh::virtuals`].
    pub fn virtual_address(&self, number: u32) -> Ipv4Addr {
        self.pool.nth((self.pool.size() / 4 * 3) as u32 + number)
    }
}

/// The first free address for a container in a subnet, looked for after `last`, the one given out most
/// recently: one that was just given back is used again as late as possible.
pub(crate) fn free_address(
    subnet: Subnet,
    last: Option<Ipv4Addr>,
    held: &BTreeSet<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    // The last address of a subnet is for broadcasts.
    let count = subnet.size() as u32 - RESERVED - 1;
    let from = last.and_then(|a| subnet.position(a)).map_or(0, |p| p.saturating_sub(RESERVED) + 1);
    let at = |step: u32| subnet.nth(RESERVED + (from + step) % count);
    (0..count).map(at).find(|address| !held.contains(address))
}

/// The networks that containers with an address of the same subnet are on, all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NetworkSet {
    /// The project whose containers they are.
    pub project: ProjectName,
    /// The networks; those of other projects among them.
    pub networks: BTreeSet<NetworkKey>,
}

/// Where a task is on its project's networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The network's subnet on the task's node.
    pub subnet: Subnet,
    /// Number of that subnet in the pool: the bridge is named after it.
    pub number: u32,
    /// The address of the task.
    pub address: Ipv4Addr,
    /// It is on other networks than its project's default one alone. Absent where there were no others.
    #[serde(default)]
    pub apart: bool,
    /// Bytes of packets there; as the way between hosts has it where absent.
    #[serde(default)]
    pub mtu: Option<u32>,
}

/// What one node needs to know of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshView {
    /// The mesh.
    pub mesh: Mesh,
    /// What is reached from the subnets of this node, one for each.
    pub networks: Vec<Arc<NetworkView>>,
}

/// What is reached from the subnets of one set of networks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkView {
    /// The project.
    pub project: ProjectName,
    /// The set's subnets, by node.
    pub subnets: BTreeMap<NodeId, Subnet>,
    /// What can be reached from them by name.
    pub services: Vec<NamedService>,
    /// The networks. Absent, as all that follows, where a project had one network only.
    #[serde(default)]
    pub networks: BTreeSet<NetworkKey>,
    /// Subnets of other sets that have a network in common with this one.
    #[serde(default)]
    pub others: BTreeSet<(NodeId, Subnet)>,
    /// All of the networks are internal: there is no way to the outside, and names of the outside are not
    /// looked up.
    #[serde(default)]
    pub internal: bool,
}

impl NetworkView {
    /// All subnets that are reached from its own, its own included.
    pub fn reached(&self) -> impl Iterator<Item = (NodeId, Subnet)> + '_ {
        let own = self.subnets.iter().map(|(node, subnet)| (*node, *subnet));
        own.chain(self.others.iter().copied())
    }
}

/// A service that can be reached by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedService {
    /// Its name.
    pub name: ServiceName,
    /// Its further names.
    pub aliases: BTreeSet<String>,
    /// Its virtual address; `None` when its name stands for the replicas themselves.
    pub address: Option<Ipv4Addr>,
    /// Its replicas that may be given connections.
    pub replicas: Vec<NamedReplica>,
    /// Addresses of replicas that are being stopped in good order: what they have begun they may end.
    #[serde(default)]
    pub leaving: BTreeSet<Ipv4Addr>,
    /// Further addresses that stand for it as the virtual one does, chosen by the file.
    #[serde(default)]
    pub fixed: BTreeSet<Ipv4Addr>,
    /// Who asks for it by such an address is sent to a replica on the same node, where there is one.
    #[serde(default)]
    pub prefer_local: bool,
    /// It is of another project: names of the project's own services hide its.
    #[serde(default)]
    pub foreign: bool,
}

impl NamedService {
    /// All addresses that stand for its replicas.
    pub fn virtuals(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.address.into_iter().chain(self.fixed.iter().copied())
    }

    /// The replicas that a connection from `node` by such an address goes to.
    pub fn chosen_from(&self, node: NodeId) -> Vec<&NamedReplica> {
        let here: Vec<_> = self.replicas.iter().filter(|r| r.node == node).collect();
        if self.prefer_local && !here.is_empty() { here } else { self.replicas.iter().collect() }
    }
}

/// A replica that may be given connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedReplica {
    /// The task.
    pub task: TaskId,
    /// Which copy it is.
    pub slot: Slot,
    /// Its node.
    pub node: NodeId,
    /// Its address.
    pub address: Ipv4Addr,
}

/// What the bridge of a subnet is called on its host.
pub fn bridge_name(number: u32) -> String {
    format!("cl-{number}")
}
