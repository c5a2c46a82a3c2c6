//! When is what a person asked for there? A pure answer, from what the cluster says of itself at one moment:
//! no clock, no connection. [`Goal::progress`] is all of it; `watch` asks it again and again.

use crate::listing::{capital, full_name, reason};
use crate::rollouts;
use crate::tree::WAITING;
use api::v1::{ReplicaSummary, ServiceSummary};
use std::collections::{BTreeMap, BTreeSet};

/// What the cluster said at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// Index of the older of the two reads that make it up.
    pub(crate) index: u64,
    pub(crate) services: Vec<ServiceSummary>,
    /// Ended ones too.
    pub(crate) replicas: Vec<ReplicaSummary>,
}

/// What is waited for. `at_least` is the index of the change that was asked for: what was said before it
/// says nothing about it.
#[derive(Clone, Debug)]
pub(crate) enum Goal {
    /// Services of a project have all their replicas of the newest generation, healthy, and no older ones.
    Whole {
        project: String,
        /// Only these; all when empty.
        services: BTreeSet<String>,
        /// Services whose replicas may end by themselves and are then done.
        may_end: BTreeMap<String, Ending>,
        at_least: u64,
        /// Whether a roll-out that went back has reached the goal.
        rollouts: Rollouts,
    },
    /// Nothing of a project is left.
    Gone { project: String, at_least: u64 },
    /// Nothing runs on a node.
    Drained { node: String, at_least: u64 },
}

/// Which way a roll-out may end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rollouts {
    /// At what was asked for.
    Forward,
    /// Also where it was before.
    Either,
}

/// What becomes of a replica that may end, when it ends badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing: it has failed.
    Final,
    /// It is tried again.
    Retried,
}

/// How far one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Done,
    Busy,
    /// It cannot go on at the moment.
    Stuck,
    /// It will not come, however long one waits.
    Failed,
}

/// One replica on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// `shop/web.1`
    pub(crate) name: String,
    pub(crate) step: Step,
    /// `Running on node2`
    pub(crate) text: String,
}

/// One service on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// `shop/web`
    pub(crate) name: String,
    pub(crate) step: Step,
    /// `2/3`
    pub(crate) text: String,
    pub(crate) lines: Vec<Line>,
}

/// How far everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) groups: Vec<Group>,
    /// The goal is reached.
    pub(crate) done: bool,
}

impl Progress {
    /// Whether something will never come.
    pub(crate) fn failed(&self) -> bool {
        self.groups.iter().any(|g| g.step == Step::Failed)
    }

    /// Whether a roll-out is paused.
    pub(crate) fn held(&self) -> bool {
        let paused = |l: &Line| l.step == Step::Failed && l.text.starts_with(rollouts::PAUSED);
        self.groups.iter().flat_map(|g| &g.lines).any(paused)
    }

    /// What is not there, and why, one line each.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for group in self.groups.iter().filter(|g| g.step != Step::Done) {
            let lines = group.lines.iter().filter(|l| l.step != Step::Done);
            let before = missing.len();
            missing.extend(lines.map(|l| format!("{}: {}", l.name, l.text)));
            if missing.len() == before {
                missing.push(format!("{}: {}", group.name, group.text));
            }
        }
        missing
    }
}

impl Goal {
    /// How far the goal is, by what the cluster said.
    pub(crate) fn progress(&self, snapshot: &Snapshot) -> Progress {
        let (groups, at_least) = match self {
            Self::Whole { project, services, may_end, at_least, rollouts } => {
                let chosen = |s: &&ServiceSummary| {
                    s.project == *project && (services.is_empty() || services.contains(&s.name))
                };
                let group = |s: &ServiceSummary| {
                    let group = whole(s, &snapshot.replicas, may_end.get(&s.name).copied());
                    // What was said before the change says nothing about it.
                    if snapshot.index < *at_least {
                        return group;
                    }
                    rollouts::judged(group, s, *at_least, *rollouts)
                };
                (snapshot.services.iter().filter(chosen).map(group).collect(), at_least)
            }
            Self::Gone { project, at_least } => (gone(project, snapshot), at_least),
            Self::Drained { node, at_least } => (drained(node, snapshot), at_least),
        };
        let groups: Vec<Group> = groups;
        let done = snapshot.index >= *at_least && groups.iter().all(|g| g.step == Step::Done);
        Progress { groups, done }
    }
}

fn ended(replica: &ReplicaSummary) -> bool {
    replica.condition == "ended"
}

/// The service and those of its replicas that matter: everything alive, and the last word of each slot that
/// has ended for good.
fn whole(service: &ServiceSummary, all: &[ReplicaSummary], may_end: Option<Ending>) -> Group {
    let name = format!("{}/{}", service.project, service.name);
    let of_it: Vec<&ReplicaSummary> =
        all.iter().filter(|r| r.project == service.project && r.service == service.name).collect();
    let latest_end = latest_ends(&of_it);
    let mut lines: Vec<Line> = of_it
        .iter()
        .filter(|r| !ended(r))
        .map(|r| living(r, latest_end.get(r.name.as_str()).copied()))
        .collect();
    if service.removed {
        let step = if lines.is_empty() { Step::Busy } else { worst(&lines).max(Step::Busy) };
        return Group { name, step, text: "is being removed".into(), lines };
    }
    if let Some(ending) = may_end {
        let alive: BTreeSet<&str> =
            of_it.iter().filter(|r| !ended(r)).map(|r| r.name.as_str()).collect();
        let over = latest_end.values().filter(|r| {
            r.current && !alive.contains(r.name.as_str()) && slot(r) <= u64::from(service.wanted)
        });
        lines.extend(over.map(|r| finished(r, ending)));
        lines.sort_by_key(|line| natural(&line.name));
    }
    let there = of_it.iter().filter(|r| arrived(r)).count()
        + lines.iter().filter(|l| l.step == Step::Done && l.text.starts_with("Finished")).count();
    let wanted = service.wanted as usize;
    // One too many is on its way out, or about to be told so.
    let step = match worst(&lines) {
        Step::Done if there != wanted => Step::Busy,
        step => step,
    };
    Group { name, step, text: format!("{there}/{wanted}"), lines }
}

/// Number of a replica; zero for one of a global service, which is named after its node.
fn slot(replica: &ReplicaSummary) -> u64 {
    replica.name.rsplit('.').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn worst(lines: &[Line]) -> Step {
    lines.iter().map(|l| l.step).max().unwrap_or(Step::Done)
}

/// The task that ended last in each slot.
fn latest_ends<'a>(replicas: &[&'a ReplicaSummary]) -> BTreeMap<&'a str, &'a ReplicaSummary> {
    let mut latest: BTreeMap<&str, &ReplicaSummary> = BTreeMap::new();
    for replica in replicas.iter().copied().filter(|r| ended(r)) {
        let kept = latest.entry(&replica.name).or_insert(replica);
        if natural(&replica.task) > natural(&kept.task) {
            *kept = replica;
        }
    }
    latest
}

/// Numbers in a text, for ordering `web.2` before `web.10` and task 9 before task 10.
fn natural(text: &str) -> (String, Vec<u64>) {
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
    (text.chars().filter(|c| !c.is_ascii_digit()).collect(), numbers.collect())
}

fn arrived(replica: &ReplicaSummary) -> bool {
    replica.current && replica.wanted && replica.healthy && replica.condition == "running"
}

/// A replica that has not ended. What its last attempt failed of is said beside it.
fn living(replica: &ReplicaSummary, before: Option<&ReplicaSummary>) -> Line {
    let node = &replica.node;
    let (step, text) = match replica.condition.as_str() {
        "unreachable" => (Step::Done, format!("Left behind on {node}, which is lost")),
        _ if arrived(replica) => (Step::Done, format!("Running on {node}")),
        "waiting" => (Step::Stuck, format!("{WAITING}{}", replica.reason)),
        "running" if !replica.current => {
            (Step::Busy, format!("Old release, still running on {node}"))
        }
        "unhealthy" if !replica.current => {
            (Step::Busy, format!("Old release, unhealthy on {node}"))
        }
        "unhealthy" => (Step::Busy, format!("Not healthy yet on {node}")),
        "starting" if replica.state == "preparing" => {
            (Step::Busy, format!("Preparing (image, volumes) on {node}"))
        }
        "starting" => (Step::Busy, format!("{} on {node}", capital(&replica.state))),
        _ => (Step::Busy, format!("Stopping on {node}")),
    };
    let failed = before.filter(|b| step != Step::Done && b.generation == replica.generation);
    let why = failed.map(end_of).filter(|why| !text.contains(why.as_str()));
    let text = why.map_or(text.clone(), |why| format!("{text} (before: {why})"));
    Line { name: full_name(replica), step, text }
}

/// A replica that ended and was meant to.
fn finished(replica: &ReplicaSummary, ending: Ending) -> Line {
    let name = full_name(replica);
    if replica.state == "exited (0)" {
        return Line { name, step: Step::Done, text: format!("Finished on {}", replica.node) };
    }
    let text = format!("{} on {}", capital(&end_of(replica)), replica.node);
    let step = if ending == Ending::Final { Step::Failed } else { Step::Busy };
    Line { name, step, text }
}

/// How a replica ended: `exited (1)`, or why it failed.
fn end_of(replica: &ReplicaSummary) -> String {
    let why = reason(replica);
    if why.is_empty() { replica.state.clone() } else { why }
}

fn gone(project: &str, snapshot: &Snapshot) -> Vec<Group> {
    let mut lines: BTreeMap<&str, Vec<Line>> = BTreeMap::new();
    for service in snapshot.services.iter().filter(|s| s.project == project) {
        lines.entry(&service.name).or_default();
    }
    for replica in snapshot.replicas.iter().filter(|r| r.project == project && !ended(r)) {
        let kept = lines.entry(&replica.service).or_default();
        // No release is wanted, so that none of them is an older one.
        let replica = ReplicaSummary { current: true, ..replica.clone() };
        kept.push(Line { step: Step::Busy, ..living(&replica, None) });
    }
    let group = |(service, lines): (&str, Vec<Line>)| Group {
        name: format!("{project}/{service}"),
        step: Step::Busy,
        text: "is being removed".into(),
        lines,
    };
    lines.into_iter().map(group).collect()
}

fn drained(node: &str, snapshot: &Snapshot) -> Vec<Group> {
    let on_it = snapshot.replicas.iter().filter(|r| r.node == node && !ended(r));
    let lines: Vec<Line> = on_it.map(|r| Line { step: Step::Busy, ..living(r, None) }).collect();
    let step = worst(&lines);
    vec![Group { name: node.to_owned(), step, text: format!("{} left", lines.len()), lines }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, wanted: u32) -> ServiceSummary {
        ServiceSummary {
            project: "shop".into(),
            name: name.into(),
            wanted,
            generation: 2,
            ..ServiceSummary::default()
        }
    }

    fn replica(name: &str, condition: &str, state: &str) -> ReplicaSummary {
        ReplicaSummary {
            project: "shop".into(),
            service: name.split('.').next().unwrap().into(),
            name: name.into(),
            task: "7.0".into(),
            node: if condition == "waiting" { String::new() } else { "node2".into() },
            state: state.into(),
            condition: condition.into(),
            healthy: condition == "running",
            wanted: true,
            current: true,
            generation: 2,
            ..ReplicaSummary::default()
        }
    }

    fn running(name: &str) -> ReplicaSummary {
        replica(name, "running", "running")
    }

    fn goal(may_end: &[&str]) -> Goal {
        Goal::Whole {
            project: "shop".into(),
            services: BTreeSet::new(),
            may_end: may_end.iter().map(|name| ((*name).to_owned(), Ending::Final)).collect(),
            at_least: 10,
            rollouts: Rollouts::Forward,
        }
    }

    fn at(index: u64, services: Vec<ServiceSummary>, replicas: Vec<ReplicaSummary>) -> Snapshot {
        Snapshot { index, services, replicas }
    }

    #[test]
    fn whole_is_every_wanted_replica_of_the_newest_generation_and_nothing_else() {
        let check = |replicas: Vec<ReplicaSummary>| {
            goal(&[]).progress(&at(10, vec![service("web", 2)], replicas)).done
        };
        let old = ReplicaSummary { current: false, generation: 1, ..running("web.1") };
        let unhealthy = replica("web.2", "unhealthy", "running");
        let leaving = ReplicaSummary { wanted: false, ..replica("web.3", "stopping", "running") };
        let lost = ReplicaSummary { current: false, ..replica("web.1", "unreachable", "running") };
        let dead = ReplicaSummary { generation: 1, ..replica("web.1", "ended", "exited (0)") };
        assert!(check(vec![running("web.1"), running("web.2")]));
        assert!(check(vec![running("web.1"), running("web.2"), lost, dead]));
        assert!(!check(vec![running("web.1")]));
        assert!(!check(vec![running("web.1"), unhealthy]));
        assert!(!check(vec![running("web.1"), running("web.2"), old]));
        assert!(!check(vec![running("web.1"), running("web.2"), leaving]));
        assert!(!check(Vec::new()));
        let surplus = ["web.1", "web.2", "web.3"].map(running).to_vec();
        assert!(!check(surplus), "the third is still to go");
    }

    #[test]
    fn what_was_said_before_the_change_does_not_count() {
        let replicas = vec![running("web.1")];
        let before = at(9, vec![service("web", 1)], replicas.clone());
        assert!(!goal(&[]).progress(&before).done);
        assert!(goal(&[]).progress(&at(10, vec![service("web", 1)], replicas)).done);
    }

    #[test]
    fn other_projects_and_services_do_not_count() {
        let other = ServiceSummary { project: "blog".into(), ..service("web", 5) };
        let progress = goal(&[]).progress(&at(10, vec![other], Vec::new()));
        assert!(progress.done && progress.groups.is_empty());
        let only = Goal::Whole {
            project: "shop".into(),
            services: ["api".to_owned()].into(),
            may_end: BTreeMap::new(),
            at_least: 0,
            rollouts: Rollouts::Forward,
        };
        let snapshot = at(1, vec![service("api", 1), service("web", 1)], vec![running("api.1")]);
        assert!(only.progress(&snapshot).done);
    }

    #[test]
    fn a_removed_service_must_vanish() {
        let removed = ServiceSummary { removed: true, ..service("web", 0) };
        assert!(!goal(&[]).progress(&at(10, vec![removed], Vec::new())).done);
    }

    #[test]
    fn reasons_reach_the_person_who_waits() {
        let waiting = ReplicaSummary {
            reason: "2 nodes lack memory".into(),
            ..replica("web.1", "waiting", "waiting")
        };
        let starting = replica("web.2", "starting", "starting");
        let crash = replica("web.2", "ended", "failed: port 80 is taken");
        let older =
            ReplicaSummary { task: "6.0".into(), ..replica("web.2", "ended", "exited (3)") };
        let replicas = vec![waiting, starting, crash, older];
        let progress = goal(&[]).progress(&at(10, vec![service("web", 2)], replicas));
        assert_eq!(
            progress.missing(),
            [
                "shop/web.1: Waiting: 2 nodes lack memory",
                "shop/web.2: Starting on node2 (before: port 80 is taken)"
            ]
        );
        assert_eq!((progress.groups[0].step, progress.failed()), (Step::Stuck, false));
    }

    #[test]
    fn a_service_without_lines_is_missing_as_a_whole() {
        let progress = goal(&[]).progress(&at(10, vec![service("web", 2)], Vec::new()));
        assert_eq!(progress.missing(), ["shop/web: 0/2"]);
    }

    #[test]
    fn jobs_are_done_when_they_ended_well() {
        let check = |state: &str| {
            let replicas = vec![replica("job.1", "ended", state)];
            goal(&["job"]).progress(&at(10, vec![service("job", 1)], replicas))
        };
        assert!(check("exited (0)").done);
        let failed = check("exited (2)");
        assert!(!failed.done && failed.failed());
        assert_eq!(failed.missing(), ["shop/job.1: Exited (2) on node2"]);
        let Goal::Whole { project, services, at_least, rollouts, .. } = goal(&[]) else { panic!() };
        let may_end = [("job".to_owned(), Ending::Retried)].into();
        let goal = Goal::Whole { project, services, may_end, at_least, rollouts };
        let ended =
            vec![replica("job.1", "ended", "exited (2)"), replica("job.2", "ended", "exited (2)")];
        let retried = goal.progress(&at(10, vec![service("job", 1)], ended));
        assert!(!retried.done && !retried.failed());
        assert_eq!(retried.groups[0].lines.len(), 1, "nobody waits for the second any more");
    }

    #[test]
    fn a_project_is_gone_with_its_last_replica() {
        let goal = Goal::Gone { project: "shop".into(), at_least: 3 };
        let stopping = replica("web.1", "stopping", "running");
        assert!(!goal.progress(&at(3, Vec::new(), vec![stopping])).done);
        assert!(!goal.progress(&at(3, vec![service("web", 0)], Vec::new())).done);
        assert!(!goal.progress(&at(2, Vec::new(), Vec::new())).done);
        let ended = replica("web.1", "ended", "exited (0)");
        assert!(goal.progress(&at(3, Vec::new(), vec![ended])).done);
        let runs_on = ReplicaSummary { current: false, ..running("web.1") };
        let missing = goal.progress(&at(3, Vec::new(), vec![runs_on])).missing();
        assert_eq!(missing, ["shop/web.1: Running on node2"], "of no release is it an older one");
    }

    #[test]
    fn a_node_is_drained_when_nothing_runs_on_it() {
        let goal = Goal::Drained { node: "node2".into(), at_least: 1 };
        let progress = goal.progress(&at(1, Vec::new(), vec![running("web.1")]));
        assert!(!progress.done);
        assert_eq!(progress.missing(), ["shop/web.1: Running on node2"]);
        let elsewhere = ReplicaSummary { node: "node1".into(), ..running("web.1") };
        assert!(goal.progress(&at(1, Vec::new(), vec![elsewhere])).done);
    }

    #[test]
    fn numbers_order_as_people_count() {
        assert!(natural("web.2") < natural("web.10"));
        assert!(natural("9.0") < natural("10.0"));
    }
}
