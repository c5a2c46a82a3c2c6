//! Reads for people: linearizable by default, after a second without a leader a local one with its age.

use crate::admin::summary::{Subject, remarks};
use crate::clock;
use crate::managing::Managing;
use crate::node::Node;
use api::v1;
use model::{NodeId, Readiness, State, Time};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// How long a linearizable read is waited for before a local one is given.
const LINEARIZABLE: Duration = Duration::from_secs(1);

/// A state to answer from, and how it came about.
pub(crate) struct Reading {
    pub(crate) state: Arc<State>,
    pub(crate) info: v1::ReadInfo,
}

impl Reading {
    /// Reads the state: up to date if that can be had within a second and is wished for.
    pub(crate) async fn take(node: &Node, managing: &Managing, stale: bool) -> Self {
        let confirmed = if stale { Err("asked for".to_owned()) } else { confirm(managing).await };
        let state = managing.log.state();
        let served_by = node.file().name.to_string();
        let info = match confirmed {
            Ok(now) => v1::ReadInfo {
                index: state.index,
                now: now.0,
                served_by,
                ..v1::ReadInfo::default()
            },
            Err(why_stale) => v1::ReadInfo {
                stale: true,
                // A member that has heard no leader since it started has the greatest age there is.
                age_ms: u64::try_from(managing.contact_age().as_millis()).unwrap_or(u64::MAX),
                index: state.index,
                now: state.now.0,
                served_by,
                why_stale,
            },
        };
        Self { state, info }
    }

    /// Reads the state, or fails: for what must not be answered from an old one.
    pub(crate) async fn fresh(node: &Node, managing: &Managing) -> Result<Self, Status> {
        let reading = Self::take(node, managing, false).await;
        if reading.info.stale {
            return Err(Status::unavailable(reading.info.why_stale));
        }
        Ok(reading)
    }

    /// Cluster time at the read.
    pub(crate) fn now(&self) -> Time {
        Time(self.info.now).max(self.state.now)
    }
}

/// Cluster time of the leader, once all that was committed before has been applied here.
pub(super) async fn confirm(managing: &Managing) -> Result<Time, String> {
    match tokio::time::timeout(LINEARIZABLE, managing.log.read_index()).await {
        Ok(Ok(mark)) => Ok(mark.now),
        Ok(Err(why)) => Err(why.to_string()),
        Err(_) => Err(unconfirmed(managing.log.quorum())),
    }
}

/// Why nobody confirmed a read within a second: a missing majority is what a person must know.
fn unconfirmed((ready, voters): (usize, usize)) -> String {
    if ready * 2 > voters {
        return "no leader answered within a second".to_owned();
    }
    consensus::ReadError::NoQuorum { ready, voters }.to_string()
}

/// Calls `f` with what summaries are made from.
pub(crate) fn with_subject<T>(
    managing: &Managing,
    reading: &Reading,
    f: impl FnOnce(&Subject<'_>) -> T,
) -> T {
    let now = reading.now();
    // Planning takes its time in a large cluster: the other calls go on meanwhile.
    let plan =
        tokio::task::block_in_place(|| planner::plan(&reading.state, now, &managing.settings));
    let links: Vec<(NodeId, NodeId)> = managing.links().iter().map(|l| (l.by, l.node)).collect();
    let leader = managing.log.leader();
    let wall = clock::wall();
    f(&Subject { state: &reading.state, plan: &plan, now, wall, leader, links: &links })
}

/// The whole picture on one page.
pub(crate) fn status(managing: &Managing, reading: Reading) -> v1::StatusReply {
    let state = &reading.state;
    let quorum = state.quorum_without(None);
    // One at a time, and while it is worked out or waited for, this thread's other calls go on elsewhere.
    let verdict = tokio::task::block_in_place(|| managing.verdict(state));
    let losses = verdict.losses.iter().map(|loss| v1::Loss {
        node: loss.node.to_string(),
        survivable: loss.survivable(),
        why: loss.problems.iter().map(ToString::to_string).collect(),
    });
    let losses = losses.collect();
    let (nodes, services) = with_subject(managing, &reading, |s| (s.nodes(), s.services("")));
    let leader = managing.log.leader().map(|id| state.node_name(id)).unwrap_or_default();
    let ready =
        |id: &&NodeId| state.nodes.get(*id).is_some_and(|n| n.readiness == Readiness::Ready);
    v1::StatusReply {
        cluster: state.cluster_id().to_string(),
        leader,
        term: managing.log.term(),
        voters: state.voters.len() as u32,
        voters_ready: state.voters.iter().filter(ready).count() as u32,
        nodes,
        services,
        losses,
        remarks: [remarks(state, quorum), super::rollout::remarks(state, "", &[])].concat(),
        mesh: state.mesh().map(|m| format!("{}, {}", m.carrier, m.pool)).unwrap_or_default(),
        voting: voting(state, &managing.log.leadership().borrow().voters),
        read: Some(reading.info),
    }
}

/// The members that vote, by name; by number where one is not in the list of nodes (any more).
fn voting(state: &State, voters: &BTreeSet<NodeId>) -> Vec<String> {
    voters.iter().map(|id| state.node_name(*id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voter_that_is_no_node_any_more_is_shown_all_the_same() {
        let voters = [NodeId(2), NodeId(9)].into();
        assert_eq!(voting(&State::default(), &voters).len(), 2);
    }

    #[test]
    fn a_missing_majority_is_told_in_the_words_that_clusterctl_knows() {
        assert_eq!(unconfirmed((1, 3)), "no quorum (1/3)");
        assert_eq!(unconfirmed((2, 4)), "no quorum (2/4)");
        assert!(unconfirmed((2, 3)).contains("no leader"));
    }
}
