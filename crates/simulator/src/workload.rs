//! What people ask of a simulated cluster: projects of a few kinds of services, and changes of mind.

use crate::cluster::Cluster;
use crate::random::Random;
use crate::scenario::{amend, project_spec};
use model::{
    Availability, Command, Deploy, NodeId, ProjectName, Remove, Scale, ServiceName, SetNode,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Most replicas of a service whose file is changed.
const ROLLED: u64 = 40;

/// A service as people think of it.
#[derive(Clone, Debug)]
struct Wish {
    kind: Kind,
    replicas: u64,
    /// Counts changes of the file that make new tasks necessary.
    version: u64,
}

impl Wish {
    fn copies(&self, nodes: u64) -> u64 {
        if self.kind == Kind::Everywhere { nodes } else { self.replicas }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Checked,
    Published,
    Data,
    Everywhere,
    Heavy,
    HostPort,
    Ends,
    Crashes,
}

const KINDS: [Kind; 9] = [
    Kind::Plain,
    Kind::Checked,
    Kind::Published,
    Kind::Data,
    Kind::Everywhere,
    Kind::Heavy,
    Kind::HostPort,
    Kind::Ends,
    Kind::Crashes,
];

/// All that people ask for.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    projects: Vec<Vec<Wish>>,
    /// What is said of each project beside its document.
    words: Vec<Vec<String>>,
    nodes: u64,
}

impl Workload {
    /// Services for about so many replicas.
    pub(crate) fn new(random: &mut Random, replicas: usize, nodes: usize) -> Self {
        let nodes = nodes as u64;
        let most = (replicas as u64 / 4).clamp(3, 200);
        let mut left = replicas as u64;
        let mut projects = vec![Vec::new()];
        while left > 0 {
            let replicas = random.between(1, most.min(left));
            left -= replicas;
            // Those that crash all the time are few: they keep everything else from being quiet.
            let kinds = if random.per_mille(150) { 9 } else { 8 };
            let kind = random.pick(&KINDS[..kinds]).expect("there are kinds");
            let replicas = replicas.min(limit(kind, nodes));
            let wish = Wish { kind, replicas, version: 0 };
            let last = projects.last_mut().expect("there is one");
            last.push(wish);
            if last.len() >= 3 {
                projects.push(Vec::new());
            }
        }
        projects.retain(|p| !p.is_empty());
        let words = projects.iter().map(|wishes| words(random, wishes)).collect();
        Self { projects, words, nodes }
    }

    pub(crate) fn deploy_all(&mut self, cluster: &mut Cluster) {
        for number in 0..self.projects.len() {
            self.deploy(cluster, number);
        }
    }

    fn deploy(&self, cluster: &mut Cluster, number: usize) {
        let name = project_name(number);
        let document = self.document(number);
        let mut spec = project_spec(&name, &document).expect("the documents made here are valid");
        let words = self.words[number].iter().map(String::as_str);
        amend(&mut spec, words).expect("the words made here are valid");
        cluster.ask(Command::Deploy(Deploy {
            spec,
            seen: None,
            logins: BTreeMap::new(),
            contents: BTreeMap::new(),
            powers: BTreeSet::new(),
            grant: false,
        }));
    }

    /// The Compose file of a project.
    fn document(&self, number: usize) -> String {
        let mut text = String::from("services:\n");
        let mut volumes = String::new();
        for (position, wish) in self.projects[number].iter().enumerate() {
            let name = service_name(position);
            let replicas = self.projects[number][self.lowest(number, position)].replicas;
            write!(text, "  {name}:\n    environment: {{VERSION: \"{}\"}}\n", wish.version)
                .expect("a string takes all");
            text.push_str(&wish.kind.body(number, position, replicas));
            if wish.kind == Kind::Data {
                writeln!(volumes, "  data{position}: {{}}").expect("a string takes all");
            }
        }
        if !volumes.is_empty() {
            text.push_str("volumes:\n");
            text.push_str(&volumes);
        }
        text
    }

    /// The service at the bottom of those that one is built upon: its count is that of all.
    fn lowest(&self, number: usize, position: usize) -> usize {
        let built_upon = |p: &usize| {
            let word = p.checked_sub(1).map(|below| shares(*p, below));
            word.is_some_and(|word| self.words[number].contains(&word))
        };
        let mut lowest = position;
        while built_upon(&lowest) {
            lowest -= 1;
        }
        lowest
    }

    /// Somebody changes their mind.
    pub(crate) fn change_something(&mut self, cluster: &mut Cluster, random: &mut Random) {
        let number = random.between(0, self.projects.len() as u64 - 1) as usize;
        let position = random.between(0, self.projects[number].len() as u64 - 1) as usize;
        let position = self.lowest(number, position);
        let nodes: Vec<NodeId> = cluster.hosts.keys().copied().collect();
        let node = random.pick(&nodes).expect("a cluster has nodes");
        let most = limit(self.projects[number][position].kind, self.nodes).min(8);
        let nodes = self.nodes;
        let wish = &mut self.projects[number][position];
        match random.between(0, 5) {
            0 | 1 if !matches!(wish.kind, Kind::Everywhere) => {
                wish.replicas = random.between(0, most);
                let counts = BTreeMap::from([(service_name(position), wish.replicas as u32)]);
                let project = project_name(number);
                cluster.ask(Command::Scale(Scale { project, counts, seen: None }));
            }
            // One after the other, a large service would take longer than anybody watches.
            2 if wish.copies(nodes) <= ROLLED => {
                wish.version += 1;
                self.deploy(cluster, number);
            }
            3 => set(cluster, node, Availability::Drain),
            4 => set(cluster, node, Availability::Active),
            _ => {
                let project = project_name(number);
                cluster.ask(Command::Remove(Remove { project, volumes: false }));
                self.deploy(cluster, number);
            }
        }
    }

    /// At the end everybody wants something that can be had: all nodes, all projects.
    pub(crate) fn be_reasonable(&mut self, cluster: &mut Cluster) {
        let nodes: Vec<NodeId> = cluster.hosts.keys().copied().collect();
        for node in nodes {
            set(cluster, node, Availability::Active);
        }
        self.deploy_all(cluster);
    }
}

fn set(cluster: &mut Cluster, node: NodeId, availability: Availability) {
    let availability = Some(availability);
    cluster.ask(Command::SetNode(SetNode {
        node,
        availability,
        role: None,
        labels: BTreeMap::new(),
    }));
}

/// Most replicas that make sense: one where a copy keeps data, one per node where it takes a port.
fn limit(kind: Kind, nodes: u64) -> u64 {
    match kind {
        Kind::Data | Kind::Everywhere => 1,
        Kind::HostPort => nodes,
        _ => u64::MAX,
    }
}

fn shares(position: usize, with: usize) -> String {
    format!("s{position}+s{with}=network")
}

/// Some of what ends is a job, and some services depend on one before them.
fn words(random: &mut Random, wishes: &[Wish]) -> Vec<String> {
    let mut words = Vec::new();
    for (position, wish) in wishes.iter().enumerate() {
        if wish.kind == Kind::Ends && random.per_mille(500) {
            words.push(format!("s{position}=job:/{}", random.between(1, 4)));
        }
        let before = &wishes[..position];
        let alike = |other: &Wish| {
            let plain = |w: &Wish| matches!(w.kind, Kind::Plain | Kind::Checked | Kind::Published);
            plain(wish) && plain(other) && wish.replicas == other.replicas
        };
        if before.last().is_some_and(|other| alike(other) && random.per_mille(700)) {
            words.push(shares(position, position - 1));
            continue;
        }
        if before.is_empty() || !random.per_mille(400) {
            continue;
        }
        let on = random.between(0, before.len() as u64 - 1) as usize;
        let condition = match before[on].kind {
            Kind::Ends => "completed",
            _ if random.per_mille(500) => "started",
            _ => "healthy",
        };
        let optional = if random.per_mille(300) { ",optional" } else { "" };
        let restart = if random.per_mille(300) { ",restart" } else { "" };
        words.push(format!("s{position}:s{on}={condition}{optional}{restart}"));
    }
    words
}

fn project_name(number: usize) -> ProjectName {
    format!("p{number}").parse().expect("a valid name")
}

fn service_name(position: usize) -> ServiceName {
    format!("s{position}").parse().expect("a valid name")
}

impl Kind {
    fn body(self, number: usize, position: usize, replicas: u64) -> String {
        let port = 10_000 + number * 10 + position;
        let deploy = format!("    deploy: {{replicas: {replicas}}}\n");
        match self {
            Self::Plain => format!("    image: web\n{deploy}"),
            Self::Checked => format!(
                "    image: web\n{deploy}    healthcheck: {{test: [CMD, \"true\"], interval: 1s}}\n"
            ),
            Self::Published => format!("    image: web\n{deploy}    ports: [\"{port}:80\"]\n"),
            Self::Data => {
                format!("    image: db\n{deploy}    volumes: [\"data{position}:/data\"]\n")
            }
            Self::Everywhere => "    image: web\n    deploy: {mode: global}\n".to_owned(),
            Self::Heavy => format!(
                "    image: web\n    deploy: {{replicas: {replicas}, resources: {{reservations: {{memory: 700M}}}}}}\n"
            ),
            Self::HostPort => format!(
                "    image: web\n{deploy}    ports: [{{target: 80, published: \"{port}\", mode: host}}]\n"
            ),
            Self::Ends => format!(
                "    image: ends\n    deploy: {{replicas: {replicas}, restart_policy: {{condition: on-failure}}}}\n"
            ),
            Self::Crashes => format!("    image: crashes\n{deploy}"),
        }
    }
}
