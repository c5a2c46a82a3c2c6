//! What a node's tasks reserve never exceeds what it has, and no two of them want one host port.

use super::{Broken, Touched};
use model::{NodeId, State, Task};
use std::collections::BTreeSet;

pub(super) fn check(state: &State, touched: &[Touched<'_>]) -> Broken {
    let is_new = |t: &&Touched<'_>| t.before.is_none();
    let nodes: BTreeSet<NodeId> =
        touched.iter().filter(is_new).filter_map(|t| t.after).map(|t| t.node).collect();
    nodes.into_iter().find_map(|n| over(state, n).or_else(|| doubled(state, n)))
}

fn over(state: &State, id: NodeId) -> Broken {
    let node = state.nodes.get(&id)?;
    let (mut memory, mut cpus) = (0, 0);
    for task in state.tasks_on(id).filter(|t| t.holds()) {
        let resources = state.service_of(task).spec_of(task.generation).resources;
        memory += resources.reserved_memory;
        cpus += resources.reserved_milli_cpus;
    }
    let fits = memory <= node.usable_memory() && cpus <= node.usable_milli_cpus();
    (!fits).then(|| format!("node {id}: {memory} bytes and {cpus} milli-cpus are reserved"))
}

fn doubled(state: &State, id: NodeId) -> Broken {
    let mut taken = BTreeSet::new();
    let ports = |t: &Task| -> Vec<u16> {
        let spec = state.service_of(t).spec_of(t.generation);
        spec.host_ports().map(|p| p.published).collect()
    };
    let holding = state.tasks_on(id).filter(|t| t.holds());
    let twice = holding.flat_map(ports).find(|p| !taken.insert(*p))?;
    Some(format!("node {id}: two tasks want host port {twice}"))
}
