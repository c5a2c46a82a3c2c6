//! Looks at a cluster again and again and says what changed, with the time since a given moment.

use crate::show;
use lab::{Lab, LabError, NodeFact, ReplicaFact};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_millis(100);

/// One look at the cluster through one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Name of the leading node.
    pub(crate) leader: Option<String>,
    /// Readiness by node name.
    pub(crate) nodes: BTreeMap<String, String>,
    /// How many replicas of the service serve, by node name.
    pub(crate) serving: BTreeMap<String, usize>,
}

impl Look {
    fn new(nodes: &[NodeFact], replicas: &[ReplicaFact], service: &str) -> Self {
        let mut look = Self::default();
        for node in nodes {
            look.nodes.insert(node.name.clone(), node.readiness.clone());
            if node.leader {
                look.leader = Some(node.name.clone());
            }
        }
        for replica in replicas.iter().filter(|r| r.serving && r.service == service) {
            *look.serving.entry(replica.node.clone()).or_insert(0) += 1;
        }
        look
    }

    /// How many replicas serve on all nodes but `without`.
    pub(crate) fn serving_without(&self, without: &str) -> usize {
        self.serving.iter().filter(|(node, _)| *node != without).map(|(_, count)| count).sum()
    }

    /// Every way in which `self` differs from `before`, in words.
    fn changes(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.leader != before.leader {
            changes.push(match &self.leader {
                Some(name) => format!("{name} leads"),
                None => "there is no leader".to_owned(),
            });
        }
        for (name, readiness) in &self.nodes {
            if before.nodes.get(name) != Some(readiness) {
                changes.push(format!("{name} is {readiness}"));
            }
        }
        if self.serving != before.serving {
            let counts = self.serving.iter().map(|(node, count)| format!("{count} on {node}"));
            let counts: Vec<_> = counts.collect();
            let total: usize = self.serving.values().sum();
            changes.push(format!("{total} replicas of web serve: {}", counts.join(", ")));
        }
        changes
    }
}

/// Looks through `host` until `done` agrees; tells each change with the time since `zero`. Answers that fail
/// are looked at again: right after a cut some may.
pub(crate) fn until(
    lab: &Lab,
    host: u8,
    zero: Instant,
    limit: Duration,
    before: &mut Look,
    done: impl Fn(&Look) -> bool,
) -> Result<Duration, LabError> {
    let mut last_error = String::new();
    let result = lab::wait_until("the healing", "the lines above", limit, EVERY, || {
        let look = match (lab.nodes(host), lab.replicas(host)) {
            (Ok(nodes), Ok(replicas)) => Look::new(&nodes, &replicas, "web"),
            (Err(error), _) | (_, Err(error)) => {
                last_error = error.to_string();
                return Ok(None);
            }
        };
        let at = zero.elapsed();
        for change in look.changes(before) {
            show::line(&format!("  {:>6.2} s  {change}", at.as_secs_f64()));
        }
        let finished = done(&look);
        *before = look;
        Ok(finished.then_some(at))
    });
    if result.is_err() && !last_error.is_empty() {
        show::error(&format!("the last answer that failed: {last_error}"));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_changes_once_and_counts_only_what_serves() {
        let replica = |node: &str, serving| ReplicaFact {
            name: "web.1".to_owned(),
            service: "web".to_owned(),
            node: node.to_owned(),
            state: "running".to_owned(),
            serving,
        };
        let node = |name: &str, readiness: &str, leader| NodeFact {
            name: name.to_owned(),
            readiness: readiness.to_owned(),
            availability: "active".to_owned(),
            leader,
        };
        let nodes = [node("host1", "lost", false), node("host2", "ready", true)];
        let replicas = [replica("host1", false), replica("host2", true), replica("host2", true)];
        let look = Look::new(&nodes, &replicas, "web");
        assert_eq!(look.serving_without("host1"), 2);
        let words = look.changes(&Look::default());
        assert_eq!(words[0], "host2 leads");
        assert_eq!(words.last().unwrap(), "2 replicas of web serve: 2 on host2");
        assert!(look.changes(&look).is_empty());
    }
}
