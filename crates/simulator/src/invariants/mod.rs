//! What must always be true, one file per rule. Each is told what just happened and looks at what that
//! touched. The first violation is kept and ends a run.

mod acknowledged;
mod agreement;
mod band;
mod capacity;
mod closed;
mod confirmed;
mod finished;
mod healed;
mod intended;
mod once;
mod order;
mod rank;
mod steps;
mod together;
mod volumes;
mod witnessed;
mod writers;
mod writes;

pub(crate) use healed::{healed, hopeless};

use crate::host::Hosts;
use crate::log::Commit;
use agent::{Action, Input};
use imbl::ordmap::DiffItem;
use manager::Manager;
use model::{NodeId, State, Task, Timers, Verdict, View};
use std::sync::Arc;
use std::time::Duration;

/// What an invariant says that does not hold.
pub(crate) type Broken = Option<String>;

/// The invariants and what they remember.
#[derive(Clone, Debug)]
pub(crate) struct Invariants {
    acknowledged: acknowledged::Acknowledged,
    closed: closed::Closed,
    confirmed: confirmed::Confirmed,
    steps: steps::Steps,
    witnessed: witnessed::Witnessed,
    intended: intended::Intended,
    once: once::Once,
    writes: writes::Writes,
    agreement: agreement::Agreement,
    /// Checks made.
    pub(crate) checks: u64,
    /// The first violation.
    pub(crate) broken: Broken,
}

/// A task before and after an entry was applied.
pub(crate) struct Touched<'a> {
    pub(crate) before: Option<&'a Task>,
    pub(crate) after: Option<&'a Task>,
}

impl Invariants {
    pub(crate) fn new(founded: &State) -> Self {
        Self {
            acknowledged: acknowledged::Acknowledged::default(),
            closed: closed::Closed::default(),
            confirmed: confirmed::Confirmed::default(),
            steps: steps::Steps::default(),
            witnessed: witnessed::Witnessed::default(),
            intended: intended::Intended::default(),
            once: once::Once::default(),
            writes: writes::Writes::new(founded.nodes.len()),
            agreement: agreement::Agreement::default(),
            checks: 0,
            broken: None,
        }
    }

    /// An entry was committed: the state before and after it.
    pub(crate) fn committed(
        &mut self,
        now: u64,
        was: &State,
        is: &State,
        commit: &Commit,
        hosts: &Hosts,
    ) {
        let touched: Vec<Touched<'_>> = was
            .tasks
            .diff(&is.tasks)
            .map(|item| match item {
                DiffItem::Add(_, t) => Touched { before: None, after: Some(t) },
                DiffItem::Update { old, new } => {
                    Touched { before: Some(old.1), after: Some(new.1) }
                }
                DiffItem::Remove(_, t) => Touched { before: Some(t), after: None },
            })
            .collect();
        let checks = [
            rank::check(&touched),
            capacity::check(is, &touched),
            volumes::check(is, &touched),
            order::check(was, is, &touched),
            finished::ended(hosts, &touched),
            self.intended.check(now, was, is, &touched),
            self.writes.check(now, commit),
            self.acknowledged.check(was, is, commit),
            self.closed.check(now, was, is, &touched),
            band::check(was, is, &touched, commit),
            steps::once(was, is, &touched),
            writers::check(was, is, &touched, commit),
        ];
        self.note("at commit", commit.index, checks);
    }

    /// A member applied entries: its state, and that of the log.
    pub(crate) fn applied(&mut self, _now: u64, member: NodeId, own: &State, all: &State) {
        let check = self.agreement.check(member, own, all);
        self.note("at member", own.index, [check]);
    }

    /// An engine did something.
    pub(crate) fn acted(
        &mut self,
        _now: u64,
        state: &State,
        hosts: &Hosts,
        node: NodeId,
        action: &Action,
    ) {
        match action {
            Action::Create(create) => {
                self.once.made(node, create);
                self.steps.made(create);
                let check = together::check(state, hosts, node, create);
                self.note("when made", state.index, [check]);
            }
            Action::Start { task, .. } => {
                let checks = [
                    self.once.check(hosts, node, *task),
                    finished::started(state, hosts, node, *task),
                    self.steps.started(hosts, node, *task),
                ];
                self.note("at start", state.index, checks);
            }
            _ => {}
        }
    }

    /// A daemon starts: what its agent and its manager heard is forgotten.
    pub(crate) fn started(&mut self, node: NodeId) {
        self.confirmed.forget(node);
        self.witnessed.forget(node);
    }

    /// A host's disk was lost.
    pub(crate) fn wiped(&mut self, node: NodeId) {
        self.confirmed.wiped(node);
        self.witnessed.forget(node);
    }

    /// A manager heard a beat of another.
    pub(crate) fn heard(
        &mut self,
        now: u64,
        to: NodeId,
        from: NodeId,
        said: &Arc<Vec<(NodeId, Duration)>>,
    ) {
        self.witnessed.heard(now, to, from, said);
    }

    /// A leader proposes verdicts.
    pub(crate) fn judges(
        &mut self,
        now: u64,
        timers: &Timers,
        leader: NodeId,
        manager: &Manager,
        verdicts: &[Verdict],
    ) {
        let check = self.witnessed.check(now, timers, leader, manager, verdicts);
        self.note("when judged", manager.state().index, [check]);
    }

    /// Something is about to be told to an agent.
    pub(crate) fn tells(&mut self, now: u64, node: NodeId, input: &Input) {
        self.confirmed.told(now, node, input);
    }

    /// An agent took something in, and has this view.
    pub(crate) fn views(&mut self, node: NodeId, view: Option<&View>) {
        let check = self.confirmed.view(node, view);
        self.note("after a view", view.map_or(0, |v| v.index), [check]);
    }

    /// An agent wants something done, whose view stays fresh for so many milliseconds.
    pub(crate) fn wants(
        &mut self,
        now: u64,
        hosts: &Hosts,
        node: NodeId,
        fresh: u64,
        action: &Action,
    ) {
        let check = self.confirmed.check(now, hosts, node, fresh, action);
        self.note("at an agent", 0, [check]);
    }

    /// An agent refused a view: no manager sends one that was not meant for it, or that lies behind.
    pub(crate) fn refused(&mut self, index: u64, node: NodeId, reason: &str) {
        self.note("at view", index, [Some(format!("node {node} refused a view: {reason}"))]);
    }

    fn note<const N: usize>(&mut self, what: &str, index: u64, checks: [Broken; N]) {
        self.checks += N as u64;
        for broken in checks.into_iter().flatten() {
            self.broken.get_or_insert_with(|| format!("{what} (index {index}): {broken}"));
        }
    }
}
