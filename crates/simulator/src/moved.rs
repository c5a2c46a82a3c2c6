//! Which nodes are due a new view. What an agent does by are its tasks, what is wished of them, how far the
//! cluster knows them to be, and its condemned volumes.

use imbl::ordmap::DiffItem;
use model::{NodeId, State, Task, Volume};
use std::collections::BTreeMap;

/// The index at which what each node's agent does by moved last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moved(BTreeMap<NodeId, u64>);

impl Moved {
    /// A member applied entries.
    pub(crate) fn follow(&mut self, was: &State, is: &State) {
        let says = |t: &Task| (t.node, t.wanted, t.state.rank());
        for item in was.tasks.diff(&is.tasks) {
            match item {
                DiffItem::Add(_, task) | DiffItem::Remove(_, task) => self.note(task.node, is),
                DiffItem::Update { old, new } if says(old.1) != says(new.1) => {
                    self.note(new.1.node, is);
                }
                DiffItem::Update { .. } => {}
            }
        }
        let says = |v: &Volume| (v.home, v.condemned);
        for item in was.volumes.diff(&is.volumes) {
            match item {
                DiffItem::Add(_, volume) | DiffItem::Remove(_, volume) => {
                    self.note(volume.home, is);
                }
                DiffItem::Update { old, new } if says(old.1) != says(new.1) => {
                    self.note(old.1.home, is);
                    self.note(new.1.home, is);
                }
                DiffItem::Update { .. } => {}
            }
        }
    }

    fn note(&mut self, node: NodeId, state: &State) {
        self.0.insert(node, state.index);
    }

    /// When it moved last for a node; 0 for never.
    pub(crate) fn at(&self, node: NodeId) -> u64 {
        self.0.get(&node).copied().unwrap_or(0)
    }
}
