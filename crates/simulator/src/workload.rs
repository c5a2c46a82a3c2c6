//! What people ask of a simulated cluster: projects of a few kinds of services, and changes of mind. Said in the
//! commands of a scenario.

use crate::cluster::Cluster;
use crate::random::Random;
use crate::scenario::Line;
use crate::trouble::disposable;
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
    /// The file names an image that does not stay up.
    bad: bool,
    /// What the file says of roll-outs.
    pace: &'static str,
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
    /// Something is run before each copy.
    Prepared,
    /// Something is run once before all copies.
    PreparedOnce,
    Crashes,
}

/// What files say of roll-outs: mostly nothing.
const PACES: [&str; 6] = [
    "",
    "",
    "",
    ", update_config: {parallelism: 2}",
    ", update_config: {parallelism: 2, delay: 3s}",
    ", update_config: {order: stop-first}",
];

const KINDS: [Kind; 11] = [
    Kind::Plain,
    Kind::Checked,
    Kind::Published,
    Kind::Data,
    Kind::Everywhere,
    Kind::Heavy,
    Kind::HostPort,
    Kind::Ends,
    Kind::Prepared,
    Kind::PreparedOnce,
    Kind::Crashes,
];

/// All that people ask for.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    projects: Vec<Vec<Wish>>,
    /// What is said of each project beside its document.
    words: Vec<Vec<String>>,
    nodes: u64,
    /// Hosts that joined, counted.
    joined: u64,
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
            let kinds = KINDS.len() - usize::from(!random.per_mille(150));
            let kind = random.pick(&KINDS[..kinds]).expect("there are kinds");
            let replicas = replicas.min(limit(kind, nodes));
            let pace = random.pick(&PACES).expect("there are paces");
            let wish = Wish { kind, replicas, version: 0, bad: false, pace };
            let last = projects.last_mut().expect("there is one");
            last.push(wish);
            if last.len() >= 3 {
                projects.push(Vec::new());
            }
        }
        projects.retain(|p| !p.is_empty());
        let words = projects.iter().map(|wishes| words(random, wishes)).collect();
        Self { projects, words, nodes, joined: 0 }
    }

    pub(crate) fn deploy_all(&self) -> Vec<Line> {
        (0..self.projects.len()).map(|number| self.deploy(number)).collect()
    }

    fn deploy(&self, number: usize) -> Line {
        let words: String = self.words[number].iter().flat_map(|w| [" ", w]).collect();
        let command = format!("deploy {}{words} &", project_name(number));
        Line { command, document: self.document(number) }
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
            text.push_str(&wish.body(number, position, replicas));
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
    pub(crate) fn change_something(&mut self, cluster: &Cluster, random: &mut Random) -> Vec<Line> {
        let number = random.between(0, self.projects.len() as u64 - 1) as usize;
        let position = random.between(0, self.projects[number].len() as u64 - 1) as usize;
        let position = self.lowest(number, position);
        let nodes: Vec<String> = nodes(cluster);
        let node = random.pick(&nodes).expect("a cluster has nodes");
        let most = limit(self.projects[number][position].kind, self.nodes).min(8);
        let nodes = self.nodes;
        let (project, service) = (project_name(number), service_name(position));
        let wish = &mut self.projects[number][position];
        match random.between(0, 10) {
            0 | 1 if !matches!(wish.kind, Kind::Everywhere) => {
                wish.replicas = random.between(0, most);
                vec![Line::new(format!("scale {project} {service}={} &", wish.replicas))]
            }
            // One after the other, a large service would take longer than anybody watches.
            2 | 3 if wish.copies(nodes) <= ROLLED => {
                wish.version += 1;
                wish.bad = wish.kind.may_be_bad() && random.per_mille(250);
                vec![self.deploy(number)]
            }
            4 => vec![Line::new(format!("drain {node} &"))],
            5 => vec![Line::new(format!("activate {node} &"))],
            6 => vec![Line::new(format!("pause {node} &"))],
            7 => {
                let wish = random.pick(&["pause", "resume", "undo"]).expect("there are wishes");
                vec![Line::new(format!("rollout {project} {wish} &"))]
            }
            8 => {
                self.joined += 1;
                let role = if random.per_mille(300) { "manager" } else { "worker" };
                vec![Line::new(format!("join m{} {role} &", self.joined))]
            }
            9 => match disposable(cluster, random) {
                Some(node) => {
                    let force = if random.per_mille(300) { " force" } else { "" };
                    vec![Line::new(format!("remove-node {node}{force} &"))]
                }
                None => Vec::new(),
            },
            _ => vec![Line::new(format!("remove {project} &")), self.deploy(number)],
        }
    }

    /// At the end everybody wants something that can be had: all nodes, all projects.
    pub(crate) fn be_reasonable(&mut self, cluster: &Cluster) -> Vec<Line> {
        for wish in self.projects.iter_mut().flatten().filter(|w| w.bad) {
            wish.bad = false;
            wish.version += 1;
        }
        let nodes = nodes(cluster).into_iter();
        let mut lines: Vec<Line> =
            nodes.map(|node| Line::new(format!("activate {node} &"))).collect();
        for number in 0..self.projects.len() {
            lines.push(self.deploy(number));
            lines.push(Line::new(format!("rollout {} resume &", project_name(number))));
        }
        lines
    }
}

fn nodes(cluster: &Cluster) -> Vec<String> {
    cluster.log.state.nodes.values().map(|n| n.name.to_string()).collect()
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

fn project_name(number: usize) -> String {
    format!("p{number}")
}

fn service_name(position: usize) -> String {
    format!("s{position}")
}

impl Kind {
    /// Whether its file may name an image that does not stay up, and be mended.
    fn may_be_bad(self) -> bool {
        matches!(self, Self::Plain | Self::Checked | Self::Published)
    }
}

impl Wish {
    /// What the file says of it, beside its environment.
    fn body(&self, number: usize, position: usize, replicas: u64) -> String {
        let port = 10_000 + number * 10 + position;
        let pace = self.pace;
        let deploy = format!("    deploy: {{replicas: {replicas}{pace}}}\n");
        let web = if self.bad { "ends-badly" } else { "web" };
        match self.kind {
            Kind::Plain => format!("    image: {web}\n{deploy}"),
            Kind::Checked => format!(
                "    image: {web}\n{deploy}    healthcheck: {{test: [CMD, \"true\"], interval: 1s}}\n"
            ),
            Kind::Published => format!("    image: {web}\n{deploy}    ports: [\"{port}:80\"]\n"),
            Kind::Data => {
                format!("    image: db\n{deploy}    volumes: [\"data{position}:/data\"]\n")
            }
            Kind::Everywhere => "    image: web\n    deploy: {mode: global}\n".to_owned(),
            Kind::Heavy => format!(
                "    image: web\n    deploy: {{replicas: {replicas}{pace}, resources: {{reservations: {{memory: 700M}}}}}}\n"
            ),
            Kind::HostPort => format!(
                "    image: web\n{deploy}    ports: [{{target: 80, published: \"{port}\", mode: host}}]\n"
            ),
            Kind::Ends => format!(
                "    image: ends\n    deploy: {{replicas: {replicas}, restart_policy: {{condition: on-failure}}}}\n"
            ),
            Kind::Prepared => {
                format!(
                    "    image: web\n{deploy}    pre_start:\n      - {{image: ends, command: [one]}}\n      - {{image: works, command: [two]}}\n"
                )
            }
            Kind::PreparedOnce => {
                format!(
                    "    image: web\n{deploy}    pre_start:\n      - {{image: works, command: [all], per_replica: false}}\n"
                )
            }
            Kind::Crashes => format!("    image: crashes\n{deploy}"),
        }
    }
}
