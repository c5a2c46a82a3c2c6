//! Why a command is refused, for people.

use crate::{
    ContentRefusal, NetworkRefusal, NoWayBack, NodeId, NodeName, Permit, Power, ProjectName, Role,
    RolloutWish, ServiceName,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Why a command was refused. Deterministic: every manager refuses alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The request is older than the cluster remembers.
    RequestTooOld,
    /// Too many requests are remembered.
    TooManyRequests,
    /// The log has no cluster, or has one already.
    NotFounded,
    /// The cluster exists.
    AlreadyFounded,
    /// There is no such node.
    NoNode(NodeId),
    /// Another node has that name.
    NameInUse(NodeName),
    /// No node has the name that was to be replaced.
    NothingToReplace(NodeName),
    /// The node to be replaced is alive.
    ReplaceAlive(NodeName),
    /// There is no such project.
    NoProject(ProjectName),
    /// There is no such service.
    NoService {
        /// The project.
        project: ProjectName,
        /// The service.
        service: ServiceName,
    },
    /// A global service has no count.
    GlobalHasNoScale(ServiceName),
    /// What is run once before a service has no count.
    OnceHasNoScale(ServiceName),
    /// The project was not granted what its services ask for of their hosts.
    NotGranted {
        /// The project.
        project: ProjectName,
        /// What it lacks.
        missing: BTreeSet<Permit>,
    },
    /// The whole of a power was granted, so that no single value of it can be taken back.
    GrantedWhole {
        /// The project.
        project: ProjectName,
        /// The power.
        power: Power,
    },
    /// A service, or something that is run once, has that name.
    ServiceInUse(ServiceName),
    /// Nothing is run once as a service that is built upon another's containers.
    RunShares(ServiceName),
    /// Somebody else was faster.
    Moved {
        /// The project.
        project: ProjectName,
        /// The generation the user saw.
        seen: u64,
        /// The generation it has.
        is: u64,
    },
    /// Another service publishes that port.
    PortTaken {
        /// The port.
        port: u16,
        /// The service that wants it.
        wanted_by: String,
        /// The service that has it.
        taken_by: String,
    },
    /// The port is reserved.
    PortReserved {
        /// The port.
        port: u16,
        /// The service that wants it.
        wanted_by: String,
    },
    /// Another service answers the same requests.
    HttpTaken {
        /// Host and path.
        rule: String,
        /// The service that wants them.
        wanted_by: String,
        /// The service that has them.
        taken_by: String,
    },
    /// A service publishes one of the ports that services reached by host and path share.
    HttpPort {
        /// The port.
        port: u16,
        /// The service that publishes it.
        published_by: String,
        /// A service that is reached by host and path.
        routed: String,
    },
    /// A service depends on one that the project does not have.
    NoDependency {
        /// The service.
        service: ServiceName,
        /// What it depends on.
        on: ServiceName,
    },
    /// Two services that belong together are to come in different numbers.
    SharesApart {
        /// One of them.
        one: ServiceName,
        /// The other.
        other: ServiceName,
    },
    /// Services wait for each other: each depends on the next, and the last is the first.
    DependencyCycle(Vec<ServiceName>),
    /// There is nothing to pause, to resume or to undo.
    NoRollout {
        /// The project, or the service, `shop/web`.
        what: String,
        /// The wish.
        wish: RolloutWish,
        /// Why not, where there is more to say.
        why: Option<NoWayBack>,
    },
    /// A limit would be exceeded.
    Limit {
        /// Of what.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// Removing or demoting the node would lose the quorum.
    WouldLoseQuorum {
        /// The node.
        name: NodeName,
        /// Voters that would be ready.
        ready: u32,
        /// Voters needed.
        needed: u32,
    },
    /// The node is ready; drain it and stop its daemon first, or force.
    NodeReady(NodeName),
    /// The number of voters must be odd and at most `limits::VOTERS`.
    BadVoterCount(u32),
    /// The node to be replaced has another role than the one that comes in its place.
    ReplaceRole {
        /// The node.
        name: NodeName,
        /// Its role.
        is: Role,
    },
    /// Some nodes' builds would not understand the command. Never in the log: it is not proposed.
    NotUnderstood {
        /// Those nodes.
        nodes: Vec<NodeName>,
        /// The cluster's feature level.
        level: u32,
        /// The least level of builds that understand it.
        needed: u32,
    },
    /// The node's build is too old for what the log may hold.
    LevelTooLow {
        /// Feature level that it understands.
        level: u32,
        /// The cluster's.
        needed: u32,
    },
    /// It is about networks.
    Network(NetworkRefusal),
    /// It is about secrets or configs.
    Content(ContentRefusal),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(why) => why.fmt(f),
            Self::Network(why) => why.fmt(f),
            Self::RequestTooOld => {
                f.write_str("the request is too old; its outcome is not remembered any more")
            }
            Self::TooManyRequests => {
                f.write_str("too many requests are in memory; try again in a minute")
            }
            Self::NotFounded => f.write_str(
                "there is no cluster here yet; run `clusterctl init` or `clusterctl join`",
            ),
            Self::AlreadyFounded => f.write_str("this cluster is founded already"),
            Self::NoNode(n) => write!(f, "there is no node {n}; `clusterctl nodes` lists them"),
            Self::NameInUse(n) => write!(
                f,
                "a node named {n} is in the cluster; choose another with --name, or, if this host was reinstalled, join with --replace {n}"
            ),
            Self::NothingToReplace(n) => write!(f, "no node is named {n}; join without --replace"),
            Self::ReplaceAlive(n) => {
                write!(
                    f,
                    "node {n} is alive, or was a moment ago; only a lost node can be replaced: once `clusterctl nodes` says that it is lost, join again"
                )
            }
            Self::NoProject(p) => write!(f, "there is no project {p}; `clusterctl ls` lists them"),
            Self::NoService { project, service } => {
                write!(f, "project {project} has no service {service}")
            }
            Self::GlobalHasNoScale(s) => {
                write!(f, "{s} is a global service: it runs once on each node")
            }
            Self::NotGranted { project, missing } => crate::policy::lacks(f, project, missing),
            Self::GrantedWhole { project, power } => crate::policy::whole(f, project, *power),
            Self::ServiceInUse(s) => write!(f, "the project has {s} already; choose another name"),
            Self::RunShares(s) => crate::run::beside(f, s),
            Self::OnceHasNoScale(s) => write!(f, "{s} is run once before another service"),
            Self::Moved { project, seen, is } => write!(
                f,
                "somebody else changed {project} meanwhile (generation {is}, you saw {seen}); look again and repeat"
            ),
            Self::PortTaken { port, wanted_by, taken_by } => twice(f, *port, wanted_by, taken_by),
            Self::PortReserved { port, wanted_by } => {
                write!(f, "port {port}, which {wanted_by} publishes, is reserved; choose another")
            }
            Self::HttpTaken { rule, wanted_by, taken_by } => answered(f, rule, wanted_by, taken_by),
            Self::HttpPort { port, published_by, routed } => shared(f, *port, published_by, routed),
            Self::NoDependency { service, on } => lacks(f, service, on),
            Self::SharesApart { one, other } => apart(f, one, other),
            Self::DependencyCycle(services) => circle(f, services),
            Self::NoRollout { what, wish, why } => no_rollout(f, what, *wish, why.as_ref()),
            Self::Limit { what, limit } => write!(f, "too many {what}: at most {limit}"),
            Self::WouldLoseQuorum { name, ready: 0, needed: 1 } => write!(
                f,
                "{name} is the only voter; `clusterctl nodes drain {name}` hands its vote to another manager that is ready, then try again (with no other manager, add one first)"
            ),
            Self::WouldLoseQuorum { name, ready, needed } => write!(
                f,
                "without {name} only {ready} of the {needed} voters needed would be ready, and the cluster could not decide anything; bring another manager back or add one first"
            ),
            Self::NodeReady(n) => ready(f, n),
            Self::BadVoterCount(n) => write!(f, "{n} voters: choose an odd number up to 7"),
            Self::ReplaceRole { name, is } => write!(
                f,
                "node {name} is a {is}; join with the {is} token to replace it, or under another name"
            ),
            Self::LevelTooLow { level, needed } => too_old(f, *level, *needed),
            Self::NotUnderstood { nodes, level, needed } => mixed(f, nodes, *level, *needed),
        }
    }
}

fn ready(f: &mut fmt::Formatter<'_>, node: &NodeName) -> fmt::Result {
    write!(
        f,
        "node {node} is ready; stop its daemon first (`clusterctl leave` there), or use --force"
    )
}

fn twice(f: &mut fmt::Formatter<'_>, port: u16, wanted_by: &str, taken_by: &str) -> fmt::Result {
    write!(f, "port {port}, which {wanted_by} publishes, is published by {taken_by} already")
}

fn answered(f: &mut fmt::Formatter<'_>, rule: &str, by: &str, taken_by: &str) -> fmt::Result {
    write!(
        f,
        "requests for {rule}, which {by} is to answer, are answered by {taken_by} already; give one of the two another host or path"
    )
}

fn shared(f: &mut fmt::Formatter<'_>, port: u16, by: &str, routed: &str) -> fmt::Result {
    write!(
        f,
        "port {port}, which {by} publishes, is shared by the services that are reached by host and path, such as {routed}; publish another port, or give that service `x-cluster: {{http: []}}`"
    )
}

fn lacks(f: &mut fmt::Formatter<'_>, service: &ServiceName, on: &ServiceName) -> fmt::Result {
    write!(f, "{service} depends on {on}, which the project does not have")
}

fn apart(f: &mut fmt::Formatter<'_>, one: &ServiceName, other: &ServiceName) -> fmt::Result {
    write!(
        f,
        "{one} and {other} share containers, so there must be as many of the one as of the other"
    )
}

fn circle(f: &mut fmt::Formatter<'_>, services: &[ServiceName]) -> fmt::Result {
    let names: Vec<&str> = services.iter().map(ServiceName::as_str).collect();
    write!(f, "services wait for each other: {}", names.join(" -> "))
}

fn too_old(f: &mut fmt::Formatter<'_>, level: u32, needed: u32) -> fmt::Result {
    write!(
        f,
        "this host's release is too old for the cluster (level {level}, the cluster is at {needed}); upgrade it first"
    )
}

fn mixed(f: &mut fmt::Formatter<'_>, nodes: &[NodeName], level: u32, needed: u32) -> fmt::Result {
    let named = nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let which = if named.is_empty() { "some nodes".to_owned() } else { named };
    write!(
        f,
        "the release that {which} run does not understand this (the cluster is at level {level}, this needs {needed}); upgrade every host first"
    )
}

fn no_rollout(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    wish: RolloutWish,
    why: Option<&NoWayBack>,
) -> fmt::Result {
    match (wish, why) {
        (RolloutWish::Pause, _) => write!(f, "no roll-out of {what} is under way")?,
        (RolloutWish::Resume, _) => write!(f, "no roll-out of {what} is paused")?,
        (RolloutWish::Undo, None) => write!(f, "{what} goes back, or has gone back, already")?,
        (RolloutWish::Undo, Some(why)) => write!(f, "{what} cannot go back: {why}")?,
    }
    f.write_str("; `clusterctl rollout status` shows them")
}
