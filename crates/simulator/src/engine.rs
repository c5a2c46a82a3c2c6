//! A host's container engine: holds containers, runs their programs, answers late or not at all. Knows no
//! cluster, and is never cleverer than Docker.

use crate::program::{ImageAt, Program};
use agent::{
    Action, ActionResult, Container, ContainerId, Create, CreateMountSource, Health, Observation,
    Phase, Subject, label,
};
use model::{ClusterId, Hook, NodeId, ProjectName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// How much longer a slow engine takes. What it does otherwise quickly stays within a driver's patience.
const SLOW: u32 = 40;

/// Whether the engine answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It does.
    Answers,
    /// It refuses connections.
    Stopped,
    /// It takes requests and never answers.
    Hangs,
    /// It takes its time: [`SLOW`] times as long.
    Slow,
}

/// A container with what only the engine knows of it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) shown: Container,
    pub(crate) program: Program,
    pub(crate) name: String,
    /// Host ports it binds while it runs.
    ports: Vec<u16>,
    /// Named volumes it writes to.
    pub(crate) writes: Vec<String>,
    /// Counts its starts: what was to happen in an earlier run does not.
    pub(crate) run: u64,
}

/// What a program does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Ends(i64),
    Passes,
    Fails,
}

/// A turn of a program, due after a while.
pub(crate) type Due = (Duration, ContainerId, u64, Turn);

/// A host's container engine.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    node: NodeId,
    pub(crate) mode: Mode,
    pub(crate) containers: BTreeMap<ContainerId, Held>,
    images: BTreeSet<String>,
    pub(crate) volumes: BTreeSet<String>,
    networks: BTreeSet<ProjectName>,
    /// Commands inside of containers, and how each ends.
    hooks: BTreeMap<String, i64>,
    /// When the last request about something will be done: one about the same comes after it.
    busy: BTreeMap<Subject, u64>,
    next: u64,
}

impl Engine {
    pub(crate) fn new(node: NodeId) -> Self {
        Self {
            node,
            mode: Mode::Answers,
            containers: BTreeMap::new(),
            images: BTreeSet::new(),
            volumes: BTreeSet::new(),
            networks: BTreeSet::new(),
            hooks: BTreeMap::new(),
            busy: BTreeMap::new(),
            next: 0,
        }
    }

    pub(crate) fn answers(&self) -> bool {
        matches!(self.mode, Mode::Answers | Mode::Slow)
    }

    /// All that it holds.
    pub(crate) fn observe(&self) -> Observation {
        Observation {
            containers: self.containers.values().map(|c| c.shown.clone()).collect(),
            networks: self.networks.iter().cloned().collect(),
        }
    }

    /// How long an action takes on a host that does what takes `usual`.
    pub(crate) fn takes(&self, action: &Action, usual: Duration) -> Duration {
        let usual = if self.mode == Mode::Slow { usual * SLOW } else { usual };
        match action {
            Action::Pull { .. } => usual * 20,
            Action::Stop { container, grace, .. } => match self.containers.get(container) {
                Some(held) if held.shown.running() => held.program.stops_in.unwrap_or(*grace),
                _ => usual / 10,
            },
            Action::Inspect { .. } => usual / 10,
            _ => usual,
        }
    }

    /// When an action that would be done at `at` is: not before what was asked for earlier about the same.
    pub(crate) fn after_others(&mut self, action: &Action, at: u64) -> u64 {
        let busy = self.busy.entry(action.subject()).or_default();
        *busy = at.max(*busy);
        *busy
    }

    /// Does an action; also says what programs will do because of it.
    pub(crate) fn act(&mut self, now: u64, action: &Action) -> (ActionResult, Vec<Due>) {
        let done = |c| (ActionResult::Done(c), Vec::new());
        match action {
            Action::Pull { image, .. } => (self.pull(image), Vec::new()),
            Action::Create(create) => (self.create(now, create), Vec::new()),
            Action::Start { container, .. } => self.start(now, container),
            Action::Inspect { container, .. } => done(self.shown(container)),
            Action::PrepareHook { container, hook, .. } => {
                (self.prepare_hook(container, hook), Vec::new())
            }
            Action::RunHook { container, exec, .. } => (self.run_hook(container, exec), Vec::new()),
            Action::Stop { container, .. } => {
                let code = self.containers.get(container).map_or(0, |c| match c.program.stops_in {
                    Some(_) => 0,
                    None => 137,
                });
                self.end(container, code);
                done(self.shown(container))
            }
            Action::Kill { container, .. } => {
                self.end(container, 137);
                done(self.shown(container))
            }
            Action::Remove { container, .. } => (self.remove(container), Vec::new()),
            Action::RemoveVolume { name, .. } => {
                self.volumes.remove(name);
                done(None)
            }
            Action::RemoveNetworks { project, .. } => {
                self.networks.remove(project);
                done(None)
            }
        }
    }

    fn shown(&self, id: &ContainerId) -> Option<Container> {
        self.containers.get(id).map(|c| c.shown.clone())
    }

    fn pull(&mut self, image: &str) -> ActionResult {
        if image == "absent" {
            return ActionResult::Never("manifest unknown".to_owned());
        }
        self.images.insert(image.to_owned());
        ActionResult::Done(None)
    }

    fn create(&mut self, now: u64, create: &Create) -> ActionResult {
        let twin = |c: &&Held| c.name == create.name && c.shown.task == create.task;
        if let Some(held) = self.containers.values().find(twin) {
            return ActionResult::Done(Some(held.shown.clone()));
        }
        let program = Program::of(&create.spec.container);
        if program.image != ImageAt::Nodes && !self.images.contains(&create.image) {
            return ActionResult::NoImage;
        }
        if create.shares.iter().any(|s| !self.containers.contains_key(&s.container)) {
            return ActionResult::Never("no such container".to_owned());
        }
        let mut writes = Vec::new();
        for mount in &create.mounts {
            let CreateMountSource::Volume { name, must_exist, .. } = &mount.source else {
                continue;
            };
            if *must_exist && !self.volumes.contains(name) {
                return ActionResult::Never(format!("volume {name} is gone"));
            }
            self.volumes.insert(name.clone());
            if !mount.read_only {
                writes.push(name.clone());
            }
        }
        self.next += 1;
        let id = ContainerId(format!("{}-{}", self.node, self.next));
        let text = |key: &str| create.labels.get(key).cloned().unwrap_or_default();
        let project: ProjectName = text(label::PROJECT).parse().expect("our own label");
        self.networks.insert(project.clone());
        let shown = Container {
            id: id.clone(),
            cluster: ClusterId(text(label::CLUSTER)),
            task: create.task,
            project,
            step: create.step,
            digest: text(label::DIGEST),
            phase: Phase::Created,
            health: Health::Unchecked,
            created: now,
            started: 0,
            address: None,
            grace: create.grace,
            output: String::new(),
        };
        let ports = create.ports.iter().map(|p| p.published).collect();
        let name = create.name.clone();
        let held = Held { shown: shown.clone(), program, name, ports, writes, run: 0 };
        self.containers.insert(id, held);
        ActionResult::Done(Some(shown))
    }

    fn start(&mut self, now: u64, id: &ContainerId) -> (ActionResult, Vec<Due>) {
        let Some(held) = self.containers.get(id) else {
            return (ActionResult::Never("no such container".to_owned()), Vec::new());
        };
        let taken: BTreeSet<u16> = self
            .containers
            .values()
            .filter(|c| c.shown.running() && c.shown.id != *id)
            .flat_map(|c| c.ports.iter().copied())
            .collect();
        if let Some(port) = held.ports.iter().find(|p| taken.contains(p)) {
            let reason = format!("port {port} is already allocated");
            return (ActionResult::Again(reason), Vec::new());
        }
        let (node, count) = (self.node.0 as u8, self.next as u8);
        let held = self.containers.get_mut(id).expect("looked up above");
        if held.shown.running() {
            return (ActionResult::Done(Some(held.shown.clone())), Vec::new());
        }
        held.run += 1;
        held.shown.phase = Phase::Running;
        held.shown.started = now.max(1);
        held.shown.address = Some(IpAddr::V4(Ipv4Addr::new(172, 18, node, count)));
        let program = held.program;
        held.shown.health = if program.checked { Health::Starting } else { Health::Unchecked };
        let due = |after: Duration, turn| (after, id.clone(), held.run, turn);
        let mut turns = Vec::new();
        turns.extend(program.ends.map(|(after, code)| due(after, Turn::Ends(code))));
        if program.checked {
            turns.extend(program.healthy_in.map(|after| due(after, Turn::Passes)));
            turns.extend(program.sick_in.map(|after| due(after, Turn::Fails)));
        }
        (ActionResult::Done(Some(held.shown.clone())), turns)
    }

    fn prepare_hook(&mut self, id: &ContainerId, hook: &Hook) -> ActionResult {
        if !self.containers.get(id).is_some_and(|c| c.shown.running()) {
            return ActionResult::Again("it does not run".to_owned());
        }
        self.next += 1;
        let code = i64::from(hook.command.first().is_some_and(|c| c == "fails"));
        let exec = format!("{}-{}", self.node, self.next);
        self.hooks.insert(exec.clone(), code);
        ActionResult::Prepared(exec)
    }

    /// A command ends at once; asked for again, it says how it ended.
    fn run_hook(&self, id: &ContainerId, exec: &str) -> ActionResult {
        match self.containers.get(id).map(|c| &c.shown) {
            Some(shown) if shown.running() => {
                let code = self.hooks.get(exec).copied();
                ActionResult::Ended { code, output: String::new() }
            }
            other => ActionResult::Done(other.cloned()),
        }
    }

    fn remove(&mut self, id: &ContainerId) -> ActionResult {
        match self.containers.get(id) {
            Some(c) if c.shown.running() => ActionResult::Again("it runs".to_owned()),
            _ => {
                self.containers.remove(id);
                ActionResult::Done(None)
            }
        }
    }

    /// Ends a process, if it lives.
    pub(crate) fn end(&mut self, id: &ContainerId, code: i64) -> bool {
        let Some(held) = self.containers.get_mut(id).filter(|c| c.shown.running()) else {
            return false;
        };
        held.shown.phase = Phase::Exited { code, out_of_memory: false };
        held.shown.address = None;
        true
    }

    /// A program takes its turn, unless its run is over.
    pub(crate) fn turn(&mut self, id: &ContainerId, run: u64, turn: Turn) -> bool {
        let Some(held) = self.containers.get_mut(id) else { return false };
        if held.run != run || !held.shown.running() {
            return false;
        }
        match turn {
            Turn::Ends(code) => return self.end(id, code),
            Turn::Passes => held.shown.health = Health::Healthy,
            Turn::Fails => held.shown.health = Health::Unhealthy,
        }
        true
    }

    /// All processes end: the host lost its power, or the engine was stopped.
    pub(crate) fn kill_all(&mut self) {
        let ids: Vec<ContainerId> = self.containers.keys().cloned().collect();
        for id in ids {
            self.end(&id, 255);
        }
    }

    /// Containers whose process lives.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Held> {
        self.containers.values().filter(|c| c.shown.running())
    }
}
