//! From the state to what people read: one function per kind of line. Pure; asks nobody.

use api::v1;
use model::{
    Availability, Mode, Node, NodeId, Port, PortMode, Protocol, Readiness, Service, Slot, State,
    Task, TaskState, Time, WallTime, Wanted,
};
use planner::{Plan, Reason, Waiting};
use std::collections::BTreeMap;

/// What a summary is made from.
pub(crate) struct Subject<'a> {
    pub(crate) state: &'a State,
    /// What the planner would do now: its reasons for waiting are shown.
    pub(crate) plan: &'a Plan,
    pub(crate) now: Time,
    /// Wall time: ages are shown by it.
    pub(crate) wall: WallTime,
    pub(crate) leader: Option<NodeId>,
    /// Links that the managers see broken, as pairs.
    pub(crate) links: &'a [(NodeId, NodeId)],
}

impl Subject<'_> {
    pub(crate) fn nodes(&self) -> Vec<v1::NodeSummary> {
        self.state.nodes.values().map(|n| self.node(n)).collect()
    }

    fn node(&self, node: &Node) -> v1::NodeSummary {
        let (mut milli_cpus, mut memory, mut tasks) = (0, 0, 0);
        for task in self.state.tasks_on(node.id).filter(|t| t.holds()) {
            let spec = self.state.service_of(task).spec_of(task.generation);
            milli_cpus += spec.resources.reserved_milli_cpus;
            memory += spec.resources.reserved_memory;
            tasks += 1;
        }
        v1::NodeSummary {
            id: node.id.0,
            name: node.name.to_string(),
            role: node.role.to_string(),
            voter: self.state.voters.contains(&node.id),
            leader: self.leader == Some(node.id),
            address: node.control().to_string(),
            availability: node.availability.to_string(),
            readiness: node.readiness.to_string(),
            away: node.away(self.now),
            engine_ready: node.facts.engine_ready,
            engine: node.facts.engine.clone(),
            version: node.facts.version.clone(),
            milli_cpus: node.usable_milli_cpus(),
            memory: node.usable_memory(),
            reserved_milli_cpus: milli_cpus,
            reserved_memory: memory,
            memory_free: node.facts.memory_free,
            tasks,
            labels: node.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            broken_links: self.broken_links(node.id),
            busy_ports: node.facts.busy_ports.iter().map(|p| u32::from(*p)).collect(),
            disk_pressure: node.facts.disk_pressure,
            os: node.facts.os.clone(),
            arch: node.facts.arch.clone(),
        }
    }

    fn broken_links(&self, node: NodeId) -> Vec<String> {
        let other = |(a, b): &(NodeId, NodeId)| match node {
            n if n == *a => Some(*b),
            n if n == *b => Some(*a),
            _ => None,
        };
        self.links.iter().filter_map(other).map(|n| self.state.node_name(n)).collect()
    }

    pub(crate) fn projects(&self) -> Vec<v1::ProjectSummary> {
        let summary = |p: &model::Project| v1::ProjectSummary {
            name: p.name.to_string(),
            generation: p.generation,
            release: p.release,
            deployed_ms: p.deployed.0,
            services: p.services.len() as u32,
        };
        self.state.projects.values().map(summary).collect()
    }

    /// Services of a project, or of all when it is empty.
    pub(crate) fn services(&self, project: &str) -> Vec<v1::ServiceSummary> {
        let waiting = self.waiting();
        self.state
            .services
            .values()
            .filter(|s| project.is_empty() || s.project.as_str() == project)
            .map(|s| self.service(s, waiting.get(&s.id).map_or(&[][..], Vec::as_slice)))
            .collect()
    }

    fn waiting(&self) -> BTreeMap<model::ServiceId, Vec<&Waiting>> {
        let mut by_service: BTreeMap<_, Vec<&Waiting>> = BTreeMap::new();
        // What has completed waits for nothing.
        let waits = |w: &&Waiting| w.reason != Reason::Completed;
        for waiting in self.plan.waiting.iter().filter(waits) {
            by_service.entry(waiting.service).or_default().push(waiting);
        }
        by_service
    }

    fn service(&self, service: &Service, waiting: &[&Waiting]) -> v1::ServiceSummary {
        let spec = service.spec();
        let running: Vec<&Task> =
            self.state.tasks_of(service.id).filter(|t| self.reachable_running(t)).collect();
        let count = |test: fn(&Task) -> bool| running.iter().filter(|t| test(t)).count() as u32;
        v1::ServiceSummary {
            project: service.project.to_string(),
            name: service.name.to_string(),
            mode: mode(spec.mode).into(),
            image: spec.container.image.reference.clone(),
            wanted: self.wanted(service),
            completed: service.slots.values().filter(|r| r.completed && r.given_up).count() as u32,
            running: running.len() as u32,
            healthy: count(|t| t.healthy),
            updated: running.iter().filter(|t| t.generation == service.generation).count() as u32,
            ports: spec.ports.iter().map(port).collect(),
            generation: service.generation,
            waiting: waiting
                .iter()
                .map(|w| v1::WaitingSummary {
                    replica: format!("{}.{}", service.full_name(), self.slot(w.slot)),
                    reason: w.reason.to_string(),
                })
                .collect(),
            removed: service.removed,
            one_off: service.one_off,
            rollout: super::rollout::summary(service),
        }
    }

    /// Copies that there should be, those that have completed included; of a global service, one for each node
    /// that is not drained.
    fn wanted(&self, service: &Service) -> u32 {
        if service.removed {
            return 0;
        }
        if !service.global() {
            return service.scale;
        }
        let takes = |n: &&Node| {
            planner::admits(self.state, service, n.id)
                && n.availability != Availability::Drain
                && n.readiness != Readiness::Lost
        };
        self.state.nodes.values().filter(takes).count() as u32
    }

    fn reachable_running(&self, task: &Task) -> bool {
        task.live()
            && task.state == TaskState::Running
            && self.readiness(task.node) != Readiness::Lost
    }

    fn readiness(&self, node: NodeId) -> Readiness {
        self.state.nodes.get(&node).map_or(Readiness::Lost, |n| n.readiness)
    }

    fn slot(&self, slot: Slot) -> String {
        match slot {
            Slot::Number(n) => n.to_string(),
            Slot::Node(n) => self.state.node_name(n),
        }
    }

    /// Replicas with a task, and those that wait for one.
    pub(crate) fn replicas(
        &self,
        project: &str,
        services: &[String],
        all: bool,
    ) -> Vec<v1::ReplicaSummary> {
        let chosen = |s: &&Service| {
            (project.is_empty() || s.project.as_str() == project)
                && (services.is_empty() || services.iter().any(|n| n == s.name.as_str()))
        };
        let waiting = self.waiting();
        let mut lines = Vec::new();
        for service in self.state.services.values().filter(chosen) {
            let tasks = self.state.tasks_of(service.id).filter(|t| all || !t.state.ended());
            lines.extend(tasks.map(|t| self.replica(service, t)));
            let waits = waiting.get(&service.id).map_or(&[][..], Vec::as_slice);
            lines.extend(waits.iter().map(|w| self.waiting_replica(service, w)));
        }
        lines
    }

    fn replica(&self, service: &Service, task: &Task) -> v1::ReplicaSummary {
        let spec = service.spec_of(task.generation);
        v1::ReplicaSummary {
            project: service.project.to_string(),
            service: service.name.to_string(),
            name: format!("{}.{}", service.name, self.slot(task.slot)),
            task: task.id.to_string(),
            node: self.state.node_name(task.node),
            image: spec.container.image.reference.clone(),
            state: task.state.to_string(),
            condition: self.condition(task).into(),
            healthy: task.healthy,
            wanted: task.wanted == Wanted::Run,
            generation: task.generation,
            age_ms: u64::try_from(self.wall.0 - task.since.0).unwrap_or(0),
            restarts: service.slots.get(&task.slot).map_or(0, |r| r.restarts)
                + task.restarts_in_place,
            reason: String::new(),
            memory: task.memory,
            current: task.generation == service.generation && !service.removed,
            address: task.address.map(|a| a.to_string()).unwrap_or_default(),
            ports: spec.ports.iter().map(port).collect(),
            exit_code: match task.state {
                TaskState::Exited { code } => Some(code),
                _ => None,
            },
        }
    }

    fn condition(&self, task: &Task) -> &'static str {
        match (&task.state, self.readiness(task.node)) {
            (state, _) if state.ended() => "ended",
            (_, Readiness::Lost) => "unreachable",
            _ if task.wanted == Wanted::Stop => "stopping",
            (TaskState::Running, _) if task.healthy => "running",
            (TaskState::Running, _) => "unhealthy",
            _ => "starting",
        }
    }

    fn waiting_replica(&self, service: &Service, waiting: &Waiting) -> v1::ReplicaSummary {
        v1::ReplicaSummary {
            project: service.project.to_string(),
            service: service.name.to_string(),
            name: format!("{}.{}", service.name, self.slot(waiting.slot)),
            image: service.spec().container.image.reference.clone(),
            state: "waiting".into(),
            condition: "waiting".into(),
            wanted: true,
            generation: service.generation,
            restarts: service.slots.get(&waiting.slot).map_or(0, |r| r.restarts),
            reason: waiting.reason.to_string(),
            current: true,
            ..v1::ReplicaSummary::default()
        }
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Replicated { .. } => "replicated",
        Mode::Global => "global",
        Mode::ReplicatedJob { .. } => "replicated-job",
        Mode::GlobalJob => "global-job",
    }
}

/// `8080->80/tcp`, and where it answers when that is not every node.
fn port(port: &Port) -> String {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    let host = port.host_ip.map(|ip| format!("{ip}:")).unwrap_or_default();
    let mode = if port.mode == PortMode::Host { " (host)" } else { "" };
    format!("{host}{}->{}/{protocol}{mode}", port.published, port.target)
}

/// What a person should look at.
pub(crate) fn remarks(state: &State, quorum: (u32, u32)) -> Vec<String> {
    let mut remarks = Vec::new();
    let managers = state.managers().count();
    if managers == 2 {
        remarks.push(
            "two managers: one of them votes, and its host may not be lost; add a third".to_owned(),
        );
    }
    if quorum.0 == quorum.1 && state.voters.len() > 1 {
        remarks.push(format!(
            "{} of {} voters are ready: no further one may be lost",
            quorum.0,
            state.voters.len()
        ));
    }
    for node in state.nodes.values() {
        for port in &node.facts.busy_ports {
            remarks.push(format!(
                "port {port} on {} is held by a foreign process; the other nodes serve it",
                node.name
            ));
        }
        if node.facts.disk_pressure {
            remarks.push(format!("{} is short of disk space and gets nothing new", node.name));
        }
        if !node.facts.engine_ready {
            remarks.push(format!("the engine on {} does not answer", node.name));
        }
    }
    remarks
}
