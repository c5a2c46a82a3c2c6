//! Networks as files declare them, and how services are on them. Written by deploys only.
//!
//! A container has one address. What it reaches follows from the *set* of networks that its service is on: two
//! containers reach each other when their sets have a network in common. Each set that occurs has subnets of its
//! own, so that an address alone tells which networks its owner is on.

use crate::limits::NETWORKS_LEVEL;
use crate::{ProjectName, ProjectSpec, ServiceName, ServiceSpec, Subnet};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The network of services that name none.
pub const DEFAULT_NETWORK: &str = "default";

/// A network: whose it is, and its name in that project's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NetworkKey {
    /// The project that declares it.
    pub project: ProjectName,
    /// Its name there.
    pub network: String,
}

impl NetworkKey {
    /// The network of that name in a project's file.
    pub fn new(project: &ProjectName, network: &str) -> Self {
        Self { project: project.clone(), network: network.to_owned() }
    }
}

impl fmt::Display for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.network)
    }
}

/// What a file says of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkSpec {
    /// Who is on no other network does not reach the outside.
    pub internal: bool,
    /// Services of other projects may be on it too.
    pub attachable: bool,
    /// It is one that another project declares, and is found by `name`.
    pub external: bool,
    /// What other projects call it; `PROJECT_NETWORK` where absent.
    pub name: Option<String>,
    /// Bytes of its packets; as the way between hosts has it where absent.
    pub mtu: Option<u32>,
}

impl NetworkSpec {
    /// What other projects call it.
    pub fn name_of(&self, key: &NetworkKey) -> String {
        self.name.clone().unwrap_or_else(|| format!("{}_{}", key.project, key.network))
    }
}

/// How a service is on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Joined {
    /// Its further names there.
    pub aliases: BTreeSet<String>,
    /// A further address at which it is found there, chosen by the file.
    pub address: Option<Ipv4Addr>,
    /// The network is another project's, of this name.
    pub external: Option<String>,
}

/// How a service is on the networks that containers share across hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Networking {
    /// Its networks, by name in the file. None: it is on [`DEFAULT_NETWORK`] alone, with the names that
    /// [`crate::Engine::aliases`] holds; also what was deployed while a project had one network only.
    pub networks: BTreeMap<String, Joined>,
    /// Who asks for it by its virtual address is sent to a replica on the same node, where there is one.
    pub prefer_local: bool,
}

impl Networking {
    /// Whether there is nothing to say.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The same networks without names or addresses there.
    #[must_use]
    pub fn nameless(&self) -> Self {
        let plain =
            |joined: &Joined| Joined { external: joined.external.clone(), ..<_>::default() };
        let networks = self.networks.iter().map(|(name, joined)| (name.clone(), plain(joined)));
        Self { networks: networks.collect(), prefer_local: false }
    }

    /// Whether a container that is made by `other` is on the same networks.
    pub(crate) fn same_networks(&self, other: &Self) -> bool {
        let names = |all: &Self| -> Vec<_> {
            all.networks.iter().map(|(n, joined)| (n.clone(), joined.external.clone())).collect()
        };
        names(self) == names(other)
    }
}

impl ServiceSpec {
    /// Its further names on one of its networks.
    pub fn aliases_on(&self, network: &str) -> BTreeSet<String> {
        let joined = self.networking.networks.get(network);
        let own = joined.into_iter().flat_map(|joined| &joined.aliases);
        own.chain(&self.container.engine.aliases).cloned().collect()
    }

    /// Its further names on any of them.
    pub fn all_aliases(&self) -> BTreeSet<String> {
        let own = self.networking.networks.values().flat_map(|joined| &joined.aliases);
        own.chain(&self.container.engine.aliases).cloned().collect()
    }

    /// Gives it a further name on all of its networks.
    pub fn add_alias(&mut self, alias: &str) {
        if self.networking.networks.is_empty() {
            let aliases = &mut self.container.engine.aliases;
            if let Err(place) = aliases.binary_search_by(|known| known.as_str().cmp(alias)) {
                aliases.insert(place, alias.to_owned());
            }
        }
        for joined in self.networking.networks.values_mut() {
            joined.aliases.insert(alias.to_owned());
        }
    }
}

impl ProjectSpec {
    /// The same as members of that feature level understand it: below [`NETWORKS_LEVEL`] all services are on one
    /// network. `Err` with the network that there is no way to say then.
    pub fn at_level(mut self, level: u32) -> Result<Self, String> {
        if level >= NETWORKS_LEVEL {
            return Ok(self);
        }
        let unlike = self.networks.iter().find(|(_, spec)| spec.internal || spec.external);
        if let Some((name, _)) = unlike {
            return Err(name.clone());
        }
        self.networks.clear();
        for spec in self.services.values_mut().filter(|spec| !spec.networking.is_default()) {
            let mut changed = ServiceSpec::clone(spec);
            changed.container.engine.aliases = spec.all_aliases().into_iter().collect();
            changed.networking = Networking::default();
            *spec = Arc::new(changed);
        }
        Ok(self)
    }
}

/// Why a deploy or removal is refused for the sake of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkRefusal {
    /// No other project lets others on a network of that name.
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        others: Vec<String>,
    },
    /// Another project's services are on the network that would go.
    InUse {
        /// The network.
        network: NetworkKey,
        /// The other project.
        by: ProjectName,
    },
    /// Another project calls a network by that name.
    NameTaken {
        /// The name.
        name: String,
        /// The other network.
        taken_by: NetworkKey,
    },
    /// The cluster has no mesh, and what the file says of a network cannot be made.
    NoMesh {
        /// The network, by name in the file.
        network: String,
    },
    /// A fixed address is one that the cluster gives out itself.
    InPool {
        /// The service.
        service: ServiceName,
        /// The address.
        address: Ipv4Addr,
        /// The cluster's pool.
        pool: Subnet,
    },
}

impl fmt::Display for NetworkRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, others } => {
                write!(
                    f,
                    "network {name} is external, and no project lets others on a network of that name; deploy the project that declares it first, with `attachable: true` and, where it is to be called so, `name: {name}`"
                )?;
                if others.is_empty() {
                    Ok(())
                } else {
                    write!(f, "; there are {}", others.join(", "))
                }
            }
            Self::InUse { network, by } => write!(
                f,
                "services of project {by} are on network {network}; take them off it first (`clusterctl down -p {by}`, or another file)"
            ),
            Self::NameTaken { name, taken_by } => write!(
                f,
                "network {taken_by} is called {name} already; give this one another `name`"
            ),
            Self::NoMesh { network } => write!(
                f,
                "network {network} is internal or external, and this cluster has no mesh (`init --mesh none`) to make it so"
            ),
            Self::InPool { service, address, pool } => write!(
                f,
                "{address}, the `ipv4_address` of {service}, is of the cluster's own pool {pool}; choose one outside of it"
            ),
        }
    }
}
