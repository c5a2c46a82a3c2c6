//! A view: all that one node needs to know, cut out of the state.

use crate::networks::Networks;
use crate::{
    Attachment, Backend, ClusterId, Image, MeshKey, MeshView, Node, NodeId, NodeName, Port,
    ProjectName, Protocol, Readiness, Role, Route, Service, ServiceId, ServiceName, ServiceSpec,
    Site, Slot, State, Task, TaskId, TaskState, Time, VolumeKey, VolumeSpec, Wanted,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// All that one node needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The cluster.
    pub cluster: ClusterId,
    /// Log index at which it was taken. A node accepts no view older than the last it saw.
    pub index: u64,
    /// Cluster time of the newest entry applied.
    pub now: Time,
    /// Whose view it is.
    pub node: NodeId,
    /// Its tasks, ended ones included: their containers are kept for their logs.
    pub tasks: Vec<Assignment>,
    /// Published TCP ports of the whole cluster.
    pub routes: Arc<Vec<Route>>,
    /// Published UDP ports, apart from the others because an older edge takes all of those for TCP. Absent in
    /// views of managers that did not have it.
    #[serde(default)]
    pub datagrams: Arc<Vec<Route>>,
    /// What is reached over HTTP in the whole cluster. Absent in views of managers that did not have it.
    #[serde(default)]
    pub sites: Arc<Vec<Site>>,
    /// The other nodes and itself.
    pub nodes: Arc<Vec<Peer>>,
    /// Volumes to delete here, once nothing uses them.
    pub condemned: Vec<VolumeKey>,
    /// The network that containers share across hosts; `None` when each host keeps to itself.
    #[serde(default)]
    pub mesh: Option<MeshView>,
}

/// One task of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The task.
    pub task: TaskId,
    /// Its project.
    pub project: ProjectName,
    /// Its service.
    pub service: ServiceName,
    /// Its slot.
    pub slot: Slot,
    /// The generation of its spec.
    pub generation: u64,
    /// What to do with it.
    pub wanted: Wanted,
    /// Where it is in its life, as the cluster has recorded it.
    pub state: TaskState,
    /// Its spec.
    pub spec: Arc<ServiceSpec>,
    /// The named volumes it mounts.
    pub volumes: BTreeMap<crate::VolumeName, VolumeSpec>,
    /// Those of them that held data before: when one is missing on the node, an empty one must not
    /// take its place.
    pub established: BTreeSet<crate::VolumeName>,
    /// Number of its service. Absent in views of managers, and on disks, that did not have it.
    #[serde(default)]
    pub service_id: Option<ServiceId>,
    /// Its node. Absent where `service_id` is.
    #[serde(default)]
    pub node: Option<Host>,
    /// What it uses of containers of other services on this node.
    #[serde(default)]
    pub shares: Vec<Used>,
    /// Where it is on its project's network; `None` when it is on none, or there is no mesh.
    #[serde(default)]
    pub attachment: Option<Attachment>,
    /// Logins for the registries of its image and of its steps' images, by registry: sealed in the state,
    /// opened by the manager that serves the view, never written to a disk.
    #[serde(default)]
    pub logins: BTreeMap<String, Login>,
}

/// A node, as a task may speak of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its identity.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
}

/// What a task uses of a container of another service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// What of it.
    pub what: crate::SharedPart,
    /// The task whose container it is; `None` when there is none, so that it cannot start.
    pub of: Option<TaskId>,
}

/// A registry login. Its `Debug` form shows nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login(pub Vec<u8>);

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(..)")
    }
}

impl Assignment {
    /// The login for the registry of one of its images.
    pub fn login_for(&self, image: &Image) -> Option<&Login> {
        self.logins.get(registry(&image.reference))
    }

    /// The replica as people read it: `shop/web.2`.
    pub fn replica(&self) -> String {
        format!("{}/{}.{}", self.project, self.service, self.slot)
    }
}

/// What a node knows of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its identity.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Manager or worker.
    pub role: Role,
    /// The leader's verdict on it.
    pub readiness: Readiness,
    /// Where its control plane listens.
    pub control: SocketAddr,
    /// Where its edge listens.
    pub edge: SocketAddr,
    /// How it is known on an encrypted mesh. Absent where it said nothing of it.
    #[serde(default)]
    pub mesh_key: Option<MeshKey>,
}

/// The parts of a view that every node shares, taken once per state.
#[derive(Clone, Debug)]
pub struct Shared {
    routes: Arc<Vec<Route>>,
    datagrams: Arc<Vec<Route>>,
    sites: Arc<Vec<Site>>,
    nodes: Arc<Vec<Peer>>,
    networks: Networks,
}

impl State {
    /// Takes what all views of this state share. Cost: one pass over services with published ports and, with
    /// a mesh, over all tasks.
    pub fn shared(&self) -> Shared {
        Shared {
            routes: Arc::new(self.routes(Protocol::Tcp)),
            datagrams: Arc::new(self.routes(Protocol::Udp)),
            sites: Arc::new(self.sites()),
            nodes: Arc::new(self.nodes.values().map(peer).collect()),
            networks: self.networks(),
        }
    }

    /// All that `node` needs to know. Cost: the tasks of that node.
    pub fn view_for(&self, node: NodeId, shared: &Shared) -> View {
        View {
            cluster: self.cluster_id(),
            index: self.index,
            now: self.now,
            node,
            tasks: self.tasks_on(node).map(|t| self.assignment(t)).collect(),
            routes: Arc::clone(&shared.routes),
            datagrams: Arc::clone(&shared.datagrams),
            sites: Arc::clone(&shared.sites),
            nodes: Arc::clone(&shared.nodes),
            condemned: self
                .volumes
                .values()
                .filter(|v| v.condemned && v.home == node)
                .map(|v| v.key.clone())
                .collect(),
            mesh: self.mesh_view(node, &shared.networks),
        }
    }

    fn assignment(&self, task: &Task) -> Assignment {
        let service = self.service_of(task);
        let spec = Arc::clone(service.spec_of(task.generation));
        let project = self.projects.get(&service.project);
        let declared = |v: &crate::VolumeName| {
            project.and_then(|p| p.volumes.get(v).cloned()).unwrap_or_default()
        };
        let held = |v: &crate::VolumeName| {
            let key = VolumeKey { project: service.project.clone(), volume: v.clone() };
            self.volumes.get(&key).is_some_and(|v| v.established)
        };
        let login = |image: &Image| {
            let registry = registry(&image.reference);
            let sealed = project?.logins.get(registry)?;
            Some((registry.to_owned(), Login(sealed.clone())))
        };
        Assignment {
            task: task.id,
            project: service.project.clone(),
            service: service.name.clone(),
            slot: task.slot,
            generation: task.generation,
            wanted: task.wanted,
            state: task.state.clone(),
            volumes: spec.volumes().map(|v| (v.clone(), declared(v))).collect(),
            established: spec.volumes().filter(|v| held(v)).cloned().collect(),
            service_id: Some(service.id),
            node: self.nodes.get(&task.node).map(|n| Host { id: n.id, name: n.name.clone() }),
            shares: spec.shares_with.iter().map(|share| self.used(task, service, share)).collect(),
            attachment: self.attachment(task),
            logins: spec.container.images().filter_map(login).collect(),
            spec,
        }
    }

    /// Of the other service, the newest task of the same slot on the same node that was there before.
    fn used(&self, task: &Task, service: &crate::Service, share: &crate::Share) -> Used {
        let other = self.service(&service.project, &share.service);
        let tasks = other.into_iter().flat_map(|other| self.tasks_in(other.id, task.slot));
        let before = tasks.filter(|t| t.node == task.node && t.id < task.id);
        Used { what: share.what, of: before.map(|t| t.id).last() }
    }

    /// Ports of one transport that services publish on every node, with the replicas behind each.
    fn routes(&self, protocol: Protocol) -> Vec<Route> {
        let mut routes = Vec::new();
        for service in self.services.values() {
            if service.removed && self.tasks_of(service.id).next().is_none() {
                continue;
            }
            let ports = service.spec().ports.iter();
            let ports = ports.filter(|p| p.on_every_node() && p.protocol == protocol);
            routes.extend(ports.map(|port| {
                Route {
                    project: service.project.clone(),
                    service: service.name.clone(),
                    port: *port,
                    backends: self
                        .tasks_of(service.id)
                        .filter_map(|task| self.backend(service, task, port))
                        .collect(),
                }
            }));
        }
        routes
    }

    /// A task behind a published port; `None` when its generation does not publish that.
    fn backend(&self, service: &Service, task: &Task, port: &Port) -> Option<Backend> {
        let node = self.nodes.get(&task.node)?;
        let holds_connections = matches!(task.state, TaskState::Running | TaskState::Stopping);
        let address = task.address.filter(|_| holds_connections)?;
        let spec = service.spec_of(task.generation);
        let target = spec.target_behind(port)?;
        let told = port.protocol == Protocol::Tcp && spec.told.contains(&target);
        let serving = task.serving() && node.readiness == Readiness::Ready;
        let (task, node, target) = (task.id, node.id, Some(target));
        Some(Backend { task, node, address, target, told, serving })
    }
}

/// The registry of an image reference: its first part when that looks like a host, else Docker's own,
/// under the name that its logins use.
pub fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

fn peer(node: &Node) -> Peer {
    Peer {
        id: node.id,
        name: node.name.clone(),
        role: node.role,
        readiness: node.readiness,
        control: node.control(),
        edge: node.edge(),
        mesh_key: node.facts.mesh_key,
    }
}
