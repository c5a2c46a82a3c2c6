//! What if a node were lost: for each node, a copy of the state in which it is, planned and applied to a
//! fixed point with all waits elapsed, every agent obeying at once. Says which services would not be whole
//! that are whole otherwise, and whether the cluster could still decide.
//!
//! Computed on request, never in the leader's loop. Cost: a few plans for each node.

use crate::reason::Bytes;
use crate::{Plan, Reason, Settings, Why, plan};
use model::{
    Command, Dependency, DependencyCondition, Entry, NodeId, NodeName, Readiness, Report,
    RestartCondition, ServiceId, State, TaskState, TaskStatus, Time, WallTime, Wanted,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// Most passes of the planner until a copy of the state counts as settled.
const PASSES: usize = 400;
/// How far a copy of the state is taken into the future: longer than any wait.
const HORIZON: Duration = Duration::from_secs(3_600);

/// What the loss of each node would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// One for each node that is not lost already, in order of identity.
    pub losses: Vec<Loss>,
}

impl Verdict {
    /// Whether any one node may be lost.
    pub fn survivable(&self) -> bool {
        self.losses.iter().all(Loss::survivable)
    }
}

/// What the loss of one node would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The node.
    pub node: NodeName,
    /// What would not be whole.
    pub problems: Vec<Problem>,
}

impl Loss {
    /// Whether all would be whole again.
    pub fn survivable(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What would not be whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The cluster could decide nothing, so nothing would be replaced.
    Quorum {
        /// Voters that would be ready.
        ready: u32,
        /// Voters needed.
        needed: u32,
    },
    /// A service would lack copies.
    Service {
        /// The service, `shop/web`.
        name: String,
        /// How many copies, beyond those it lacks anyway.
        lacking: usize,
        /// Why the first of them would wait.
        reason: Reason,
    },
}

/// What the loss of each node would do.
pub fn verdict(state: &State, now: Time, settings: &Settings) -> Verdict {
    let settings = Settings { changes_per_plan: usize::MAX, ..settings.clone() };
    let mut whole = state.clone();
    let now = now.max(state.now);
    let (now, settled) = settle(&mut whole, now, &settings);
    let lacking_anyway = lacking(&whole, &settled);
    let present = state.nodes.values().filter(|n| n.readiness != Readiness::Lost);
    let loss = |node: &model::Node| {
        let mut problems: Vec<Problem> = quorum_problem(state, node.id).into_iter().collect();
        let mut copy = whole.clone();
        lose(&mut copy, now, node.id);
        let (_, settled) = settle(&mut copy, now, &settings);
        problems.extend(service_problems(&copy, &settled, &lacking_anyway));
        Loss { node: node.name.clone(), problems }
    };
    Verdict { losses: present.map(loss).collect() }
}

fn quorum_problem(state: &State, node: NodeId) -> Option<Problem> {
    let needed = state.voters.len() as u32 / 2 + 1;
    let (ready, _) = state.quorum_without(Some(node));
    (state.voters.contains(&node) && ready < needed).then_some(Problem::Quorum { ready, needed })
}

/// Copies that wait and have no task within reach, by service, with the first one's reason.
fn lacking(state: &State, plan: &Plan) -> BTreeMap<ServiceId, (usize, Reason)> {
    let mut lacking: BTreeMap<ServiceId, (usize, Reason)> = BTreeMap::new();
    let within_reach =
        |n: &NodeId| state.nodes.get(n).is_some_and(|n| n.readiness != Readiness::Lost);
    for waiting in plan.waiting.iter().filter(|w| w.reason != Reason::Completed) {
        let mut tasks = state.tasks_in(waiting.service, waiting.slot);
        if !tasks.any(|t| t.live() && within_reach(&t.node)) {
            lacking.entry(waiting.service).or_insert_with(|| (0, waiting.reason.clone())).0 += 1;
        }
    }
    lacking
}

fn service_problems(
    state: &State,
    plan: &Plan,
    anyway: &BTreeMap<ServiceId, (usize, Reason)>,
) -> Vec<Problem> {
    let problem = |(id, (count, reason)): (ServiceId, (usize, Reason))| {
        let more = count.saturating_sub(anyway.get(&id).map_or(0, |(n, _)| *n));
        let name = state.services.get(&id)?.full_name();
        (more > 0).then_some(Problem::Service { name, lacking: more, reason })
    };
    lacking(state, plan).into_iter().filter_map(problem).collect()
}

fn lose(state: &mut State, at: Time, node: NodeId) {
    apply(state, at, Command::Judge(vec![model::Verdict { node, readiness: Readiness::Lost }]));
}

/// Plans, applies and obeys until nothing moves and nothing is waited for. Returns when, and the last plan.
fn settle(state: &mut State, mut now: Time, settings: &Settings) -> (Time, Plan) {
    let until = now + HORIZON;
    let mut last = Plan::default();
    for _ in 0..PASSES {
        last = plan(state, now, settings);
        let changes = std::mem::take(&mut last.changes);
        let planned = !changes.is_empty();
        if planned {
            apply(state, now, Command::Plan(changes));
        }
        if obey(state, now) || planned {
            continue;
        }
        match last.wake_at.filter(|at| *at <= until) {
            Some(at) => now = at,
            None => break,
        }
    }
    (now, last)
}

/// Every ready node does what its tasks are wanted to do.
fn obey(state: &mut State, now: Time) -> bool {
    let mut reports: BTreeMap<NodeId, Vec<TaskStatus>> = BTreeMap::new();
    let ends = those_that_end(state);
    for task in state.tasks.values().filter(|t| !t.state.ended()) {
        let node = state.nodes.get(&task.node);
        if !node.is_some_and(|n| n.readiness == Readiness::Ready && n.facts.engine_ready) {
            continue;
        }
        let to = match task.wanted {
            Wanted::Run if task.serving() && ends.contains(&task.service) => {
                TaskState::Exited { code: 0 }
            }
            Wanted::Run if task.serving() => continue,
            Wanted::Run => TaskState::Running,
            Wanted::Stop => TaskState::Exited { code: 0 },
        };
        reports.entry(task.node).or_default().push(TaskStatus {
            task: task.id,
            healthy: to == TaskState::Running,
            state: to,
            address: task.address,
            memory: task.memory,
            restarts_in_place: task.restarts_in_place,
        });
    }
    let any = !reports.is_empty();
    for (node, statuses) in reports {
        apply(state, now, Command::Report(Report { node, statuses, deleted_volumes: Vec::new() }));
    }
    any
}

/// Services whose copies are expected to end well: jobs, and those whose completion another waits for. What
/// is started again after that runs on.
fn those_that_end(state: &State) -> BTreeSet<ServiceId> {
    let jobs = state.services.values().filter(|s| s.spec().mode.job()).map(|s| s.id);
    let awaited = state.services.values().flat_map(|service| {
        let completed = |d: &&Dependency| d.condition == DependencyCondition::Completed;
        let named = |d: &Dependency| state.service(&service.project, &d.service);
        let others = service.spec().depends_on.iter().filter(completed).filter_map(named);
        others.filter(|s| s.spec().restart_condition() != RestartCondition::Any).map(|s| s.id)
    });
    jobs.chain(awaited).collect()
}

fn apply(state: &mut State, at: Time, command: Command) {
    let entry = Entry { at, wall: WallTime::default(), request: None, command };
    state.apply(state.index + 1, &entry);
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, loss) in self.losses.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{loss}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.survivable() {
            return write!(f, "losing {}: survivable", self.node);
        }
        write!(f, "losing {}: NOT survivable: ", self.node)?;
        for (i, problem) in self.problems.iter().enumerate() {
            let semicolon = if i == 0 { "" } else { "; " };
            write!(f, "{semicolon}{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quorum { ready, needed } => {
                write!(f, "no quorum ({ready} voters ready, {needed} needed)")
            }
            Self::Service { name, lacking, reason } => {
                if *lacking > 1 {
                    write!(f, "{lacking} copies of ")?;
                }
                match memory_alone(reason) {
                    Some((need, best)) => {
                        write!(f, "{name} needs {}, best node has {}", Bytes(need), Bytes(best))
                    }
                    None => write!(f, "{name}: {reason}"),
                }
            }
        }
    }
}

/// Memory needed and the most that a node has, when nothing else is in the way.
fn memory_alone(reason: &Reason) -> Option<(u64, u64)> {
    let Reason::NoNode(refused) = reason else { return None };
    let present = refused.iter().map(|r| &r.why).filter(|why| **why != Why::Lost);
    let mut amounts = present.map(|why| match why {
        Why::Memory { need, free } => Some((*need, *free)),
        _ => None,
    });
    let first = amounts.next()??;
    amounts.next().is_none().then_some(first)
}
