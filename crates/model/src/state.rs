//! The replicated state: every object the cluster knows, and the questions one may ask of it.
//!
//! Collections are persistent maps, so a clone costs nanoseconds: planning, views, reads and snapshots
//! each take one and nobody holds a lock. Changed by [`State::apply`] alone.

use crate::limits::TASKS_PER_NODE;
use crate::{
    ClusterId, Content, ContentId, ContentKey, External, JoinToken, Mesh, NetworkSet, Node, NodeId,
    NodeName, Outcome, Permit, Project, ProjectName, Readiness, Recorded, RequestId, Role, Service,
    ServiceId, ServiceName, Slot, Subnet, Task, TaskId, Time, Volume, VolumeKey,
};
use imbl::{OrdMap, OrdSet, Vector};
use serde::{Deserialize, Serialize};

/// What was drawn and agreed when the cluster was founded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its identity.
    pub id: ClusterId,
    /// Certificate of its authority, PEM.
    pub authority: String,
    /// Private key of its authority, sealed with the cluster key.
    pub sealed_key: Vec<u8>,
    /// Join token for managers.
    pub manager_token: JoinToken,
    /// Join token for workers.
    pub worker_token: JoinToken,
    /// How many voters to keep: an odd number.
    pub voter_count: u32,
    /// The network that containers share across hosts; `None` when each host keeps to itself.
    #[serde(default)]
    pub mesh: Option<Mesh>,
}

/// The replicated state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Index of the last entry applied.
    pub index: u64,
    /// Cluster time of the last entry applied.
    pub now: Time,
    /// Highest feature level that all members announced at one time. It never falls, and nobody who
    /// announces less is admitted.
    pub level: u32,
    /// The cluster, once founded.
    pub cluster: Option<Cluster>,
    /// Its nodes.
    pub nodes: OrdMap<NodeId, Node>,
    /// The set of voters that the planner wishes for.
    pub voters: OrdSet<NodeId>,
    /// Projects by name.
    pub projects: OrdMap<ProjectName, Project>,
    /// What projects may be handed of their hosts; also of those that are not deployed.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub policies: OrdMap<ProjectName, OrdSet<Permit>>,
    /// Services, those being removed included.
    pub services: OrdMap<ServiceId, Service>,
    /// Tasks, ended ones included until they are forgotten.
    pub tasks: OrdMap<TaskId, Task>,
    /// Volumes that have a home.
    pub volumes: OrdMap<VolumeKey, Volume>,
    /// What secrets and configs hold, as long as a spec or an external one refers to it.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub contents: OrdMap<ContentId, Content>,
    /// Secrets and configs that no project owns.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub externals: OrdMap<ContentKey, External>,
    /// Subnets of the mesh for what is on its project's default network alone, by project, for the nodes that
    /// run or ran some of it. They go with the project's last service, or the node.
    #[serde(default)]
    pub subnets: OrdMap<ProjectName, OrdMap<NodeId, Subnet>>,
    /// The same for every other set of networks.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub network_sets: OrdMap<NetworkSet, OrdMap<NodeId, Subnet>>,
    /// Remembered requests and what came of them.
    pub requests: OrdMap<RequestId, Outcome>,
    /// What happened lately, oldest first.
    pub events: Vector<Recorded>,
    #[serde(skip)]
    pub(crate) by_node: OrdMap<NodeId, OrdSet<TaskId>>,
    #[serde(skip)]
    pub(crate) by_slot: OrdSet<(ServiceId, Slot, TaskId)>,
}

const FIRST: TaskId = TaskId { index: 0, position: 0 };
const LAST: TaskId = TaskId { index: u64::MAX, position: u32::MAX };

impl State {
    /// Rebuilds the indexes that are not stored. To be called once after loading a stored state.
    #[must_use]
    pub fn reindexed(mut self) -> Self {
        self.by_node = OrdMap::new();
        for task in self.tasks.values() {
            self.by_node.entry(task.node).or_default().insert(task.id);
        }
        self.by_slot = self.tasks.values().map(|t| (t.service, t.slot, t.id)).collect();
        self
    }

    /// Identity of the cluster; empty before it is founded.
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster.as_ref().map(|c| c.id.clone()).unwrap_or_default()
    }

    /// Tasks of a node, oldest first.
    pub fn tasks_on(&self, node: NodeId) -> impl Iterator<Item = &Task> {
        self.by_node.get(&node).into_iter().flatten().filter_map(|id| self.tasks.get(id))
    }

    /// Tasks of a service, by slot, oldest first within a slot.
    pub fn tasks_of(&self, service: ServiceId) -> impl Iterator<Item = &Task> {
        let (low, high) = (Slot::Number(0), Slot::Node(NodeId(u64::MAX)));
        self.by_slot
            .range((service, low, FIRST)..=(service, high, LAST))
            .filter_map(|(_, _, id)| self.tasks.get(id))
    }

    /// Tasks of one slot, oldest first.
    pub fn tasks_in(&self, service: ServiceId, slot: Slot) -> impl Iterator<Item = &Task> {
        self.by_slot
            .range((service, slot, FIRST)..=(service, slot, LAST))
            .filter_map(|(_, _, id)| self.tasks.get(id))
    }

    /// The service of a task. Tasks are dropped with their service, so it is always there.
    pub fn service_of(&self, task: &Task) -> &Service {
        self.services.get(&task.service).expect("a service is dropped after its last task")
    }

    /// A service by its name, unless it is being removed.
    pub fn service(&self, project: &ProjectName, service: &ServiceName) -> Option<&Service> {
        self.services.get(self.projects.get(project)?.services.get(service)?)
    }

    /// A node by its name.
    pub fn node_named(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.values().find(|n| n.name == *name)
    }

    /// A replica as people read it: `shop/web.2`. A global one is named after its node.
    pub fn replica_name(&self, task: &Task) -> String {
        let service = self.service_of(task);
        match task.slot {
            Slot::Number(n) => format!("{}.{n}", service.full_name()),
            Slot::Node(n) => format!("{}.{}", service.full_name(), self.node_name(n)),
        }
    }

    /// A node's name as text; its number when it is gone.
    pub fn node_name(&self, node: NodeId) -> String {
        self.nodes.get(&node).map_or_else(|| format!("node{node}"), |n| n.name.to_string())
    }

    /// Managers, in order of identity.
    pub fn managers(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|n| n.role == Role::Manager)
    }

    /// Of the voters without `without`: how many are ready, and how many are a majority.
    pub fn quorum_without(&self, without: Option<NodeId>) -> (u32, u32) {
        let rest: Vec<NodeId> =
            self.voters.iter().copied().filter(|v| Some(*v) != without).collect();
        let ready =
            |id: &&NodeId| self.nodes.get(*id).is_some_and(|n| n.readiness == Readiness::Ready);
        (rest.iter().filter(ready).count() as u32, rest.len() as u32 / 2 + 1)
    }

    /// The newest task of a slot.
    pub(crate) fn newest_in(&self, service: ServiceId, slot: Slot) -> Option<TaskId> {
        let (s, at, task) = self.by_slot.get_prev(&(service, slot, LAST))?;
        (*s == service && *at == slot).then_some(*task)
    }

    /// Whether a node is known to have room for a task without looking at each of its tasks.
    pub(crate) fn has_few_tasks(&self, node: NodeId) -> bool {
        self.by_node.get(&node).is_none_or(|tasks| tasks.len() < TASKS_PER_NODE)
    }

    pub(crate) fn insert_task(&mut self, task: Task) {
        self.by_node.entry(task.node).or_default().insert(task.id);
        self.by_slot.insert((task.service, task.slot, task.id));
        self.tasks.insert(task.id, task);
    }

    pub(crate) fn remove_task(&mut self, id: TaskId) {
        if let Some(task) = self.tasks.remove(&id) {
            if let Some(tasks) = self.by_node.get_mut(&task.node) {
                tasks.remove(&id);
                if tasks.is_empty() {
                    self.by_node.remove(&task.node);
                }
            }
            self.by_slot.remove(&(task.service, task.slot, id));
        }
    }
}
