//! What must always be true, one file per rule. Each is told what just happened and looks at what that
//! touched. The first violation is kept and ends a run.

mod agreement;
mod capacity;
mod finished;
mod healed;
mod intended;
mod once;
mod order;
mod rank;
mod together;
mod volumes;
mod writes;

pub(crate) use healed::healed;

use crate::host::Hosts;
use crate::log::Commit;
use agent::Action;
use imbl::ordmap::DiffItem;
use model::{NodeId, State, Task};

/// What an invariant says that does not hold.
pub(crate) type Broken = Option<String>;

/// The invariants and what they remember.
#[derive(Clone, Debug)]
pub(crate) struct Invariants {
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
                let check = together::check(state, hosts, node, create);
                self.note("when made", state.index, [check]);
            }
            Action::Start { task, .. } => {
                let checks = [
                    self.once.check(hosts, node, *task),
                    finished::started(state, hosts, node, *task),
                ];
                self.note("at start", state.index, checks);
            }
            _ => {}
        }
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
