//! Why a replica waits, as data, and in words that people understand.

use model::{DependencyCondition, NodeName, ServiceName, VolumeKey};
use std::fmt;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

/// Why a replica waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No node takes it: what each kind of refusal has to say, the most frequent first.
    NoNode(Arc<[Refused]>),
    /// It can run on one node only, which does not take it.
    Pinned {
        /// The node.
        node: NodeName,
        /// Why not.
        why: Why,
    },
    /// Its data lives on a node that does not take it.
    Home {
        /// The volume.
        volume: VolumeKey,
        /// The node that holds its data.
        node: NodeName,
        /// Why not.
        why: Why,
    },
    /// Two of its volumes live on different nodes.
    HomesApart {
        /// One volume and its node.
        one: (VolumeKey, NodeName),
        /// Another volume and its node.
        other: (VolumeKey, NodeName),
    },
    /// A volume of this name is being deleted.
    Condemned {
        /// The volume.
        volume: VolumeKey,
        /// The node that holds its data.
        node: NodeName,
    },
    /// It failed, and the next try is not due.
    BackingOff {
        /// Until the next try.
        left: Duration,
        /// Failures in a row.
        failures: u32,
        /// How the last one ended, where that is still known.
        last: Option<String>,
    },
    /// It ended well, and its policy does not bring it back.
    Completed,
    /// It failed, and its policy does not bring it back.
    NotRestarted {
        /// How it ended, where that is still known.
        last: Option<String>,
    },
    /// It failed more often than its policy allows.
    GivenUp {
        /// Restarts made.
        restarts: u32,
        /// How the last one ended, where that is still known.
        last: Option<String>,
    },
    /// A service that it depends on is not in the condition asked for.
    Dependency {
        /// The other service.
        service: ServiceName,
        /// The condition.
        condition: DependencyCondition,
    },
    /// No node takes it together with those that belong to it.
    Together {
        /// The other services.
        services: Vec<ServiceName>,
        /// What the nodes have to say.
        refused: Arc<[Refused]>,
    },
    /// What it is built upon, or what is built upon it, is on a node that does not take it.
    Beside {
        /// The other service.
        with: ServiceName,
        /// The node.
        node: NodeName,
        /// Why not.
        why: Why,
    },
    /// As many copies of its job as may run at once do.
    Turn {
        /// The most that run at once.
        most: u32,
    },
    /// It is to be run once, and nobody knows whether its copy on a node that is out of reach has ended.
    Unknown {
        /// Where that one is.
        node: NodeName,
    },
    /// Its earlier copy has to stop first.
    Stopping {
        /// Where that one is.
        node: NodeName,
    },
}

/// How many nodes refuse for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason; where it names an amount, the best one among them.
    pub why: Why,
    /// How many nodes.
    pub nodes: usize,
}

/// Why a node does not take a replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It lacks memory: it has less than the replica reserves, or less really left than it is expected
    /// to use.
    Memory {
        /// Bytes needed.
        need: u64,
        /// Bytes it has.
        free: u64,
    },
    /// It lacks processor time.
    Cpus {
        /// Thousandths of a core needed.
        need: u64,
        /// Thousandths of a core it has.
        free: u64,
    },
    /// It has as many copies as the service allows on one node.
    MaxReplicas {
        /// The most allowed.
        most: u32,
    },
    /// A port that the replica takes on its own node is taken.
    Port {
        /// The port.
        port: u16,
    },
    /// It does not satisfy a constraint.
    Constraint {
        /// The constraint.
        rule: Arc<str>,
    },
    /// It is lost.
    Lost,
    /// It has been silent for a moment.
    Suspect,
    /// It is to be emptied.
    Drained,
    /// It gets nothing new.
    Paused,
    /// It announced a planned stop.
    Away,
    /// It was lost lately and has not been heard steadily for long enough.
    Unsteady,
    /// Its engine does not answer.
    EngineOut,
    /// Its disk is nearly full.
    DiskPressure,
    /// It runs as many tasks as a node may.
    Full {
        /// The most allowed.
        most: usize,
    },
    /// The cluster's pool of addresses has no subnet left for it.
    NoAddresses,
}

impl Why {
    /// What of the node is so, for one (`lacks memory`) or for several (`lack memory`), with amounts.
    fn words(&self, one: bool) -> String {
        let is = if one { "is" } else { "are" };
        let lacks = if one { "lacks" } else { "lack" };
        let has = if one { "has" } else { "have" };
        let best = if one { "has" } else { "best has" };
        match self {
            Self::Memory { need, free } => {
                format!("{lacks} memory (need {}, {best} {})", Bytes(*need), Bytes(*free))
            }
            Self::Cpus { need, free } => {
                format!(
                    "{lacks} processor time (need {} cores, {best} {})",
                    Cores(*need),
                    Cores(*free)
                )
            }
            Self::MaxReplicas { most: 1 } => format!("{has} a copy already"),
            Self::MaxReplicas { most } => format!("{has} {most} copies already"),
            Self::Port { port } => format!("{has} port {port} in use"),
            Self::Constraint { rule } if one => format!("does not satisfy {rule}"),
            Self::Constraint { rule } => format!("do not satisfy {rule}"),
            Self::Lost => format!("{is} lost"),
            Self::Suspect => format!("{is} not heard at the moment"),
            Self::Drained => format!("{is} draining"),
            Self::Paused => format!("{is} paused"),
            Self::Away => format!("{is} away for a planned stop"),
            Self::Unsteady => format!("{is} not steady yet after being lost"),
            Self::EngineOut if one => "has an engine that does not answer".into(),
            Self::EngineOut => "have engines that do not answer".into(),
            Self::DiskPressure => format!("{is} short of disk space"),
            Self::Full { most } => format!("{has} {most} tasks, the most allowed"),
            Self::NoAddresses => {
                format!("{has} no addresses for this project: the cluster's pool is used up")
            }
        }
    }

    /// Whether two are told in one breath.
    fn same_kind(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Constraint { .. } | Self::Port { .. }, _) => self == other,
            _ => discriminant(self) == discriminant(other),
        }
    }

    /// Of two of a kind, the one that is closer to taking the replica.
    fn best(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Memory { free: a, .. }, Self::Memory { free: b, .. })
            | (Self::Cpus { free: a, .. }, Self::Cpus { free: b, .. })
                if b > a =>
            {
                other
            }
            _ => self,
        }
    }
}

impl Reason {
    /// Gathers what each node had to say.
    pub(crate) fn gather(whys: impl Iterator<Item = Why>) -> Self {
        Self::NoNode(Self::gathered(whys))
    }

    /// Gathers what each node had to say against a group.
    pub(crate) fn apart(services: Vec<ServiceName>, whys: impl Iterator<Item = Why>) -> Self {
        Self::Together { services, refused: Self::gathered(whys) }
    }

    fn gathered(whys: impl Iterator<Item = Why>) -> Arc<[Refused]> {
        let mut refused: Vec<Refused> = Vec::new();
        for why in whys {
            match refused.iter_mut().find(|r| r.why.same_kind(&why)) {
                None => refused.push(Refused { why, nodes: 1 }),
                Some(same) => {
                    same.why = same.why.clone().best(why);
                    same.nodes += 1;
                }
            }
        }
        refused.sort_by(|a, b| b.nodes.cmp(&a.nodes).then_with(|| a.why.cmp(&b.why)));
        refused.into()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNode(refused) => no_node(f, refused),
            Self::Pinned { node, why } => write!(f, "{node} {}", why.words(true)),
            Self::Home { volume, node, why } => {
                write!(f, "volume {volume} lives on {node}, which {}", why.words(true))
            }
            Self::HomesApart { one, other } => write!(
                f,
                "volume {} lives on {}, and volume {} on {}",
                one.0, one.1, other.0, other.1
            ),
            Self::Condemned { volume, node } => {
                write!(f, "volume {volume} of before is still being deleted on {node}")
            }
            Self::BackingOff { left, failures, last } => {
                let (s, times) = (left.as_millis().div_ceil(1000), Counted(*failures, "failure"));
                write!(f, "backing off {s} s after {times}")?;
                bracketed(f, last.as_ref())
            }
            Self::Completed => f.write_str("not restarted: completed"),
            Self::NotRestarted { last } => {
                f.write_str("not restarted: its policy is never to")?;
                bracketed(f, last.as_ref())
            }
            Self::GivenUp { restarts, last } => {
                write!(f, "given up after {}", Counted(*restarts, "restart"))?;
                bracketed(f, last.as_ref())
            }
            Self::Dependency { service, condition } => {
                let what = match condition {
                    DependencyCondition::Started => "start",
                    DependencyCondition::Healthy => "be healthy",
                    DependencyCondition::Completed => "complete",
                };
                write!(f, "waits for {service} to {what}")
            }
            Self::Together { services, refused } => {
                let names: Vec<&str> = services.iter().map(ServiceName::as_str).collect();
                write!(f, "has to be on one node with {}: ", names.join(" and "))?;
                no_node(f, refused)
            }
            Self::Beside { with, node, why } => {
                write!(f, "has to be beside {with} on {node}, which {}", why.words(true))
            }
            Self::Turn { most: 1 } => f.write_str("waits for its turn: one copy runs at a time"),
            Self::Turn { most } => write!(f, "waits for its turn: {most} copies run at a time"),
            Self::Unknown { node } => write!(
                f,
                "nobody knows whether it ended on {node}, which is out of reach, and it is to be run once; it goes on when {node} is back, and is run again when that is removed"
            ),
            Self::Stopping { node } => write!(f, "its earlier copy on {node} has to stop first"),
        }
    }
}

fn no_node(f: &mut fmt::Formatter<'_>, refused: &[Refused]) -> fmt::Result {
    if refused.is_empty() {
        return f.write_str("there are no nodes");
    }
    for (i, Refused { why, nodes }) in refused.iter().enumerate() {
        let noun = match (i, nodes) {
            (0, 1) => " node",
            (0, _) => " nodes",
            _ => "",
        };
        let comma = if i == 0 { "" } else { ", " };
        write!(f, "{comma}{nodes}{noun} {}", why.words(*nodes == 1))?;
    }
    Ok(())
}

fn bracketed(f: &mut fmt::Formatter<'_>, text: Option<&String>) -> fmt::Result {
    text.map_or(Ok(()), |text| write!(f, " ({text})"))
}

struct Counted(u32, &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// Bytes in the largest unit of 1024 in which they are one or more, with a decimal where it says more.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let Some((unit, shift)) = units.into_iter().find(|(_, shift)| self.0 >> shift > 0) else {
            return write!(f, "{} B", self.0);
        };
        let tenths = (u128::from(self.0) * 10) >> shift;
        match (tenths / 10, tenths % 10) {
            (whole, 0) => write!(f, "{whole} {unit}"),
            (whole, _) if whole >= 100 => write!(f, "{whole} {unit}"),
            (whole, tenth) => write!(f, "{whole}.{tenth} {unit}"),
        }
    }
}

/// Thousandths of a core as cores.
struct Cores(u64);

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}
