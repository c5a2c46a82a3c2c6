//! Makes Raft's members what the planner wishes: admits, promotes, demotes, removes. Each step is one safe
//! change; what a crash leaves half-way is finished by whoever leads next.

use crate::error::{ReconcileError, TransferError};
use crate::log::{Inner, Log};
use crate::transport::peers::{Lane, Method};
use crate::transport::wire::Hello;
use crate::types::{LogId, Member, Stored};
use model::NodeId;
use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Deadline of one change.
const CHANGE: Duration = Duration::from_secs(5);
/// Deadline for asking a new member for its disk.
const GREET: Duration = Duration::from_secs(1);
/// Entries by which a learner may be behind when it is given a vote.
const LAG: u64 = 500;

impl Log {
    /// Makes the members of the log those: voters with, learners without a vote; where each listens.
    /// Doing what is done already costs nothing. Returns when everything is as wished, or what it waits for.
    ///
    /// # Errors
    /// This member does not lead, or somebody is not there yet; to be called again.
    pub async fn reconcile(
        &self,
        voters: &BTreeSet<NodeId>,
        learners: &BTreeSet<NodeId>,
        addresses: &BTreeMap<NodeId, SocketAddr>,
    ) -> Result<(), ReconcileError> {
        let _one_at_a_time = self.inner.reconciling.lock().await;
        if self.inner.leading().is_none() {
            return Err(ReconcileError::NotLeader);
        }
        if voters.is_empty() {
            return Err(ReconcileError::NoVoters);
        }
        let wish = Wish {
            voters: voters.iter().map(|n| n.0).collect(),
            all: voters.union(learners).map(|n| n.0).collect(),
            addresses: addresses.iter().map(|(n, a)| (n.0, *a)).collect(),
        };
        self.inner.finish_change().await?;
        self.inner.correct_addresses(&wish).await?;
        let absent = self.inner.admit(&wish).await?;
        self.inner.set_voters(&wish).await?;
        self.inner.remove(&wish).await?;
        absent.map_or(Ok(()), Err)
    }

    /// Hands leadership to that voter, or to the one that is furthest. Returns when another leads.
    ///
    /// # Errors
    /// This member does not lead, nobody can take over, or the other did not in time.
    pub async fn transfer(&self, to: Option<NodeId>) -> Result<(), TransferError> {
        if !self.is_leader() {
            return Err(TransferError::NotLeader);
        }
        let to = to.or_else(|| self.inner.furthest()).ok_or(TransferError::NoCandidate)?;
        let mut leadership = self.leadership();
        let triggered = self.inner.raft.trigger().transfer_leader(to.0).await;
        triggered.map_err(|_| TransferError::Stopped)?;
        let me = NodeId(self.inner.peers.me);
        let gone = leadership.wait_for(|l| l.leader.is_some_and(|leader| leader != me));
        let patience = self.inner.config.timers.election_max * 4 + GREET;
        match tokio::time::timeout(patience, gone).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(TransferError::TimedOut(to)),
        }
    }
}

struct Wish {
    voters: BTreeSet<u64>,
    all: BTreeSet<u64>,
    addresses: BTreeMap<u64, SocketAddr>,
}

impl Inner {
    fn members(&self) -> Arc<Stored> {
        Arc::clone(&self.raft.metrics().borrow_watched().membership_config)
    }

    /// A voter other than this one that answers, and holds the most.
    fn furthest(&self) -> Option<NodeId> {
        let within = self.config.timers.election_max * 2;
        let held = self.held();
        let voters = self.members();
        let others = voters.voter_ids().filter(|n| *n != self.peers.me);
        let ready = others.filter(|n| self.peers.heard_within(*n, within));
        ready.max_by_key(|n| held.get(n).copied().flatten()).map(NodeId)
    }

    /// Up to where each member is known to hold the log.
    fn held(&self) -> BTreeMap<u64, Option<LogId>> {
        self.raft.metrics().borrow_watched().replication.clone().unwrap_or_default()
    }

    async fn change(&self, change: ChangeMembers<u64, Member>) -> Result<(), ReconcileError> {
        let changed = tokio::time::timeout(CHANGE, self.raft.change_membership(change, true)).await;
        match changed {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(ReconcileError::Failed(e.to_string())),
            Err(_) => Err(ReconcileError::Failed("it took too long".into())),
        }
    }

    /// Two sets of voters at once: an earlier leader stopped in between.
    async fn finish_change(&self) -> Result<(), ReconcileError> {
        let members = self.members();
        let sets = members.get_joint_config();
        match (sets.len(), sets.last()) {
            (2.., Some(to)) => self.change(ChangeMembers::ReplaceAllVoters(to.clone())).await,
            _ => Ok(()),
        }
    }

    async fn correct_addresses(&self, wish: &Wish) -> Result<(), ReconcileError> {
        let members = self.members();
        let moved = members.nodes().filter_map(|(node, member)| {
            let address = *wish.addresses.get(node)?;
            let disk = member.disk.clone();
            (address != member.address).then_some((*node, Member { address, disk }))
        });
        let moved: BTreeMap<u64, Member> = moved.collect();
        if moved.is_empty() {
            return Ok(());
        }
        self.change(ChangeMembers::SetNodes(moved)).await
    }

    /// Admits who answers; says who does not.
    async fn admit(&self, wish: &Wish) -> Result<Option<ReconcileError>, ReconcileError> {
        let members = self.members();
        let mut absent = None;
        let mut new = BTreeMap::new();
        for node in wish.all.iter().filter(|n| members.get_node(n).is_none()) {
            match self.greet(*node, wish).await {
                Ok(member) => drop(new.insert(*node, member)),
                Err(why) => absent = Some(ReconcileError::Waiting { node: NodeId(*node), why }),
            }
        }
        if !new.is_empty() {
            self.change(ChangeMembers::AddNodes(new)).await?;
        }
        Ok(absent)
    }

    async fn greet(&self, node: u64, wish: &Wish) -> Result<Member, String> {
        let address = *wish.addresses.get(&node).ok_or("its address is not known")?;
        let unknown = Member { address, disk: String::new() };
        let way = (Lane::Raft, Method::Hello);
        let said: Hello =
            self.peers.call((node, &unknown), way, &(), GREET).await.map_err(|e| e.to_string())?;
        Ok(Member { address, disk: said.disk })
    }

    /// One change to the wished set, once everybody who is new in it has caught up. An even number in
    /// between, which would lose the quorum with one member, never comes to be.
    async fn set_voters(&self, wish: &Wish) -> Result<(), ReconcileError> {
        let members = self.members();
        let now: BTreeSet<u64> = members.voter_ids().collect();
        if now == wish.voters {
            return Ok(());
        }
        let held = self.held();
        let last = self.raft.metrics().borrow_watched().last_log_index.unwrap_or(0);
        for node in wish.voters.difference(&now) {
            let upto = held.get(node).copied().flatten().map_or(0, |l| l.index);
            let within = self.config.timers.election_max * 4;
            if members.get_node(node).is_none()
                || upto + LAG < last
                || !self.peers.heard_within(*node, within)
            {
                let why = format!("it holds the log up to {upto} of {last}");
                return Err(ReconcileError::Waiting { node: NodeId(*node), why });
            }
        }
        self.change(ChangeMembers::ReplaceAllVoters(wish.voters.clone())).await
    }

    async fn remove(&self, wish: &Wish) -> Result<(), ReconcileError> {
        let members = self.members();
        let voters: BTreeSet<u64> = members.voter_ids().collect();
        let extra = members.nodes().map(|(n, _)| *n);
        let extra: BTreeSet<u64> =
            extra.filter(|n| !wish.all.contains(n) && !voters.contains(n)).collect();
        if extra.is_empty() {
            return Ok(());
        }
        self.change(ChangeMembers::RemoveNodes(extra)).await
    }
}
