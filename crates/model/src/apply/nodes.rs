//! Commands about nodes: founding, joining, their word about themselves, verdicts, wishes, removal.

use super::Now;
use crate::limits::{
    BUSY_PORTS, LABEL_BYTES, LABELS, NODE_MEMORY, NODE_MILLI_CPUS, NODES, SHARED_PORTS, VOTERS,
};
use crate::{
    Cluster, Event, Facts, Found, Join, JoinToken, Node, NodeId, Outcome, Readiness, Refresh,
    Refusal, RemoveNode, Role, SetNode, State, TaskId, Time, Verdict, Volume,
};
use imbl::OrdMap;
use std::time::Duration;

/// A node that stayed ready for this long has its earlier flaps forgotten.
const FLAPS_FORGOTTEN: Duration = Duration::from_secs(600);

type Applied = Result<Outcome, Refusal>;

impl State {
    pub(super) fn found(&mut self, now: Now, found: &Found) -> Applied {
        if self.cluster.is_some() {
            return Err(Refusal::AlreadyFounded);
        }
        self.cluster = Some(Cluster {
            id: found.cluster.clone(),
            authority: found.authority.clone(),
            sealed_key: found.sealed_key.clone(),
            manager_token: found.manager_token.clone(),
            worker_token: found.worker_token.clone(),
            voter_count: 5,
            mesh: found.mesh,
        });
        let id = NodeId(now.index);
        self.admit(now, id, &found.node);
        self.voters.insert(id);
        self.record(now, Event::Founded { node: found.node.name.clone() });
        Ok(Outcome::Joined { node: id })
    }

    pub(super) fn join(&mut self, now: Now, join: &Join) -> Applied {
        if let Some(again) = self.nodes.values().find(|n| n.key_digest == join.key_digest) {
            return Ok(Outcome::Joined { node: again.id });
        }
        if self.nodes.len() >= NODES {
            return Err(Refusal::Limit { what: "nodes".into(), limit: NODES as u64 });
        }
        if join.facts.level < self.level {
            let (level, needed) = (join.facts.level, self.level);
            return Err(Refusal::LevelTooLow { level, needed });
        }
        let id = NodeId(now.index);
        match (self.node_named(&join.name).map(|n| n.id), join.replace) {
            (None, false) => {}
            (None, true) => return Err(Refusal::NothingToReplace(join.name.clone())),
            (Some(_), false) => return Err(Refusal::NameInUse(join.name.clone())),
            (Some(old), true) => self.replace(now, old, id, join)?,
        }
        self.admit(now, id, join);
        Ok(Outcome::Joined { node: id })
    }

    fn admit(&mut self, now: Now, id: NodeId, join: &Join) {
        let node = Node {
            id,
            name: join.name.clone(),
            role: join.role,
            address: join.address,
            control_port: join.control_port,
            edge_port: join.edge_port,
            key_digest: join.key_digest.clone(),
            joined: now.at,
            availability: crate::Availability::Active,
            labels: OrdMap::new(),
            readiness: Readiness::Ready,
            readiness_since: now.at,
            flaps: 0,
            facts: self.stated(id, &join.facts),
            facts_at: now.at,
            engine_out_since: (!join.facts.engine_ready).then_some(now.at),
            away_until: None,
        };
        self.nodes.insert(id, node);
        self.announce_level();
        self.record(now, Event::Joined { node: id, name: join.name.clone(), role: join.role });
    }

    /// The same host under a new identity: its tasks and the homes of its volumes move with it, so
    /// containers that survived are adopted and data is not looked for elsewhere.
    fn replace(&mut self, now: Now, old: NodeId, new: NodeId, join: &Join) -> Result<(), Refusal> {
        let node = &self.nodes[&old];
        // The role is what the token vouched for: a worker's must not make room among the managers.
        if node.role != join.role {
            return Err(Refusal::ReplaceRole { name: join.name.clone(), is: node.role });
        }
        // An address is the joiner's own word, so only the detector says that the old node is gone.
        if node.readiness != Readiness::Lost && !node.away(now.at) {
            return Err(Refusal::ReplaceAlive(join.name.clone()));
        }
        self.refuse_quorum_loss(node)?;
        let moved: Vec<TaskId> = self.tasks_on(old).map(|t| t.id).collect();
        for id in moved {
            let mut task = self.tasks[&id].clone();
            self.remove_task(id);
            task.node = new;
            self.insert_task(task);
        }
        let rehomed =
            |v: &Volume| if v.home == old { Volume { home: new, ..v.clone() } } else { v.clone() };
        self.volumes = self.volumes.iter().map(|(key, v)| (key.clone(), rehomed(v))).collect();
        self.hand_over_subnets(old, new);
        self.nodes.remove(&old);
        Ok(())
    }

    pub(super) fn refresh(&mut self, now: Now, refresh: &Refresh) -> Applied {
        let facts = self.stated(refresh.node, &refresh.facts);
        let node = self.nodes.get_mut(&refresh.node).ok_or(Refusal::NoNode(refresh.node))?;
        let (name, engine_was) = (node.name.clone(), node.engine_out_since.is_none());
        let away_was = node.away_until;
        node.facts = facts;
        node.facts_at = now.at;
        node.engine_out_since = match (node.facts.engine_ready, node.engine_out_since) {
            (true, _) => None,
            (false, since) => since.or(Some(now.at)),
        };
        if let Some(address) = refresh.address {
            node.address = address.ip();
            node.control_port = address.port();
        }
        node.away_until = refresh.away.map(|d| now.at + d);
        let (engine_is, away_until) = (node.engine_out_since.is_none(), node.away_until);
        if engine_was != engine_is {
            self.record(now, Event::Engine { name: name.clone(), ready: engine_is });
        }
        if let Some(until) = away_until.filter(|_| away_was.is_none()) {
            self.record(now, Event::Away { name, until });
        }
        self.announce_level();
        Ok(Outcome::Done)
    }

    pub(super) fn judge(&mut self, now: Now, verdicts: &[Verdict]) -> Outcome {
        for verdict in verdicts {
            let Some(node) = self.nodes.get_mut(&verdict.node) else { continue };
            let (from, to) = (node.readiness, verdict.readiness);
            if from == to {
                continue;
            }
            if to == Readiness::Lost {
                let calm = from == Readiness::Ready
                    && now.at.since(node.readiness_since) > FLAPS_FORGOTTEN;
                node.flaps = if calm { 1 } else { node.flaps.saturating_add(1) };
            }
            // A suspect node that is heard again was never gone: it keeps its standing.
            if !(from == Readiness::Suspect && to == Readiness::Ready) {
                node.readiness_since = now.at;
            }
            node.readiness = to;
            let name = node.name.clone();
            self.record(now, Event::Judged { name, from, to });
        }
        Outcome::Done
    }

    pub(super) fn set_node(&mut self, now: Now, set: &SetNode) -> Applied {
        let node = self.nodes.get(&set.node).ok_or(Refusal::NoNode(set.node))?;
        let mut node = node.clone();
        let demoted = set.role == Some(Role::Worker) && node.role == Role::Manager;
        if demoted {
            self.refuse_quorum_loss(&node)?;
        }
        for (key, value) in &set.labels {
            match value {
                Some(value) if key.len().max(value.len()) > LABEL_BYTES => {
                    return Err(Refusal::Limit {
                        what: "bytes in a label".into(),
                        limit: LABEL_BYTES as u64,
                    });
                }
                Some(value) => node.labels.insert(key.clone(), value.clone()),
                None => node.labels.remove(key),
            };
        }
        if node.labels.len() > LABELS {
            return Err(Refusal::Limit { what: "labels".into(), limit: LABELS as u64 });
        }
        if let Some(to) = set.availability.filter(|a| *a != node.availability) {
            node.availability = to;
            self.record(now, Event::AvailabilitySet { name: node.name.clone(), to });
        }
        if let Some(role) = set.role.filter(|r| *r != node.role) {
            node.role = role;
            self.record(now, Event::RoleSet { name: node.name.clone(), role });
        }
        self.nodes.insert(set.node, node);
        Ok(Outcome::Done)
    }

    pub(super) fn remove_node(&mut self, now: Now, remove: &RemoveNode) -> Applied {
        let node = self.nodes.get(&remove.node).ok_or(Refusal::NoNode(remove.node))?.clone();
        if node.readiness == Readiness::Ready && !node.away(now.at) && !remove.force {
            return Err(Refusal::NodeReady(node.name));
        }
        self.refuse_quorum_loss(&node)?;
        let gone: Vec<TaskId> = self.tasks_on(remove.node).map(|t| t.id).collect();
        for id in gone {
            self.remove_task(id);
        }
        let kept = self.volumes.iter().filter(|(_, v)| v.home != remove.node);
        self.volumes = kept.map(|(key, v)| (key.clone(), v.clone())).collect();
        self.free_subnets_of(remove.node);
        self.nodes.remove(&remove.node);
        self.announce_level();
        self.record(now, Event::NodeRemoved { name: node.name });
        Ok(Outcome::Done)
    }

    /// What a node says of itself, as far as it can be true. A key is the first's that says so: who says
    /// the same later could otherwise be sent what is meant for the other.
    fn stated(&self, id: NodeId, facts: &Facts) -> Facts {
        let mut facts = clamped(facts);
        let mut others = self.nodes.values().filter(|n| n.id != id);
        facts.mesh_key = facts.mesh_key.filter(|k| others.all(|n| n.facts.mesh_key != Some(*k)));
        facts
    }

    fn refuse_quorum_loss(&self, node: &Node) -> Result<(), Refusal> {
        if !self.voters.contains(&node.id) {
            return Ok(());
        }
        let (ready, needed) = self.quorum_without(Some(node.id));
        if ready >= needed {
            return Ok(());
        }
        Err(Refusal::WouldLoseQuorum { name: node.name.clone(), ready, needed })
    }

    pub(super) fn set_token(&mut self, role: Role, token: &JoinToken) -> Applied {
        let cluster = self.cluster.as_mut().ok_or(Refusal::NotFounded)?;
        match role {
            Role::Manager => cluster.manager_token = token.clone(),
            Role::Worker => cluster.worker_token = token.clone(),
        }
        Ok(Outcome::Done)
    }

    pub(super) fn set_voters(&mut self, count: u32) -> Applied {
        if count.is_multiple_of(2) || count > VOTERS {
            return Err(Refusal::BadVoterCount(count));
        }
        self.cluster.as_mut().ok_or(Refusal::NotFounded)?.voter_count = count;
        Ok(Outcome::Done)
    }

    /// It never falls: entries of the level that was announced may be in the log already.
    fn announce_level(&mut self) {
        let all = self.nodes.values().map(|n| n.facts.level).min().unwrap_or(0);
        self.level = self.level.max(all);
    }
}

/// A node's word about itself, within what a machine can be.
fn clamped(facts: &Facts) -> Facts {
    let mut facts = facts.clone();
    facts.milli_cpus = facts.milli_cpus.min(NODE_MILLI_CPUS);
    facts.memory = facts.memory.min(NODE_MEMORY);
    facts.kept_milli_cpus = facts.kept_milli_cpus.min(facts.milli_cpus);
    facts.kept_memory = facts.kept_memory.min(facts.memory);
    facts.memory_free = facts.memory_free.min(facts.memory);
    if facts.busy_ports.len() > BUSY_PORTS {
        facts.busy_ports = facts.busy_ports.into_iter().take(BUSY_PORTS).collect();
    }
    if facts.shared_ports.len() > SHARED_PORTS {
        facts.shared_ports = facts.shared_ports.into_iter().take(SHARED_PORTS).collect();
    }
    for text in [&mut facts.os, &mut facts.arch, &mut facts.engine, &mut facts.version] {
        *text = text.chars().filter(|c| !c.is_control()).take(64).collect();
    }
    facts
}

impl Node {
    /// From when on it may get placements. A node that returned must be heard steadily for `steady`
    /// first, doubled each time it was lost lately, up to `most`.
    pub fn trusted_from(&self, steady: Duration, most: Duration) -> Time {
        match self.flaps {
            0 => Time::ZERO,
            n => self.readiness_since + steady.saturating_mul(1 << (n - 1).min(16)).min(most),
        }
    }
}
