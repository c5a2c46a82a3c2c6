//! What a container is told of the task that it is: placeholders of its spec, and variables of the environment.
//! Neither is part of the spec's digest, so what is told can grow and no running container is made anew for it.

use model::Assignment;
use model::template::{Placeholder, expanded};
use std::collections::BTreeMap;

/// Name of the container of a task.
pub(crate) fn name(assignment: &Assignment) -> String {
    let Assignment { project, service, slot, task, .. } = assignment;
    format!("{project}-{service}-{slot}.{task}")
}

/// The text with its placeholders filled in. One that nothing is known for stays as it is.
pub(crate) fn filled(assignment: &Assignment, text: &str) -> String {
    expanded(text, |name| value(assignment, Placeholder::named(name)?))
}

fn value(assignment: &Assignment, placeholder: Placeholder) -> Option<String> {
    let node = assignment.node.as_ref();
    match placeholder {
        Placeholder::ServiceId => assignment.service_id.map(|id| id.to_string()),
        Placeholder::TaskId => Some(assignment.task.to_string()),
        Placeholder::TaskName => Some(name(assignment)),
        Placeholder::TaskSlot => Some(assignment.slot.to_string()),
        Placeholder::NodeId => node.map(|n| n.id.to_string()),
        Placeholder::NodeHostname => node.map(|n| n.name.to_string()),
    }
}

/// The container's environment: which replica it is, and over that what the file says.
pub(crate) fn environment(assignment: &Assignment) -> BTreeMap<String, String> {
    let ours = [
        ("CLUSTER_PROJECT", Some(assignment.project.to_string())),
        ("CLUSTER_SERVICE", Some(assignment.service.to_string())),
        ("CLUSTER_SLOT", Some(assignment.slot.to_string())),
        ("CLUSTER_NODE", assignment.node.as_ref().map(|n| n.name.to_string())),
    ];
    let ours = ours.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let mut environment: BTreeMap<String, String> = ours.collect();
    let said = &assignment.spec.container.environment;
    environment.extend(said.iter().map(|(key, text)| (key.clone(), filled(assignment, text))));
    environment
}
