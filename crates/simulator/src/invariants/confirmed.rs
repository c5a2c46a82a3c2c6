//! Without a confirmed view an agent makes nothing new and removes nothing, what keeps data is not
//! restarted, and no agent ever goes back to an older view.

use super::Broken;
use crate::host::Hosts;
use agent::{Action, Input};
use model::{NodeId, View};
use std::collections::BTreeMap;

/// Milliseconds by which an agent's own count may be off.
const SLACK: u64 = 50;

#[derive(Clone, Debug, Default)]
pub(super) struct Confirmed {
    /// By node: the index of its newest view.
    seen: BTreeMap<NodeId, u64>,
    /// By node: until when its view was the newest, unless its session is new.
    sure: BTreeMap<NodeId, u64>,
}

impl Confirmed {
    /// A daemon starts: its view is not confirmed.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.sure.remove(&node);
    }

    /// A host's disk was lost.
    pub(super) fn wiped(&mut self, node: NodeId) {
        self.seen.remove(&node);
        self.forget(node);
    }

    /// Something is about to be told to an agent.
    pub(super) fn told(&mut self, now: u64, node: NodeId, input: &Input) {
        let (age, is_new) = match input {
            Input::View { view, age }
                if view.index >= self.seen.get(&node).copied().unwrap_or(0) =>
            {
                (*age, true)
            }
            Input::Confirmed { age } => (*age, false),
            Input::Session | Input::View { .. } => {
                self.sure.remove(&node);
                return;
            }
            _ => return,
        };
        let at = now.saturating_sub(age.as_millis() as u64);
        if is_new {
            self.sure.insert(node, at);
        } else if let Some(sure) = self.sure.get_mut(&node) {
            *sure = at.max(*sure);
        }
    }

    /// An agent has taken something in: its view.
    pub(super) fn view(&mut self, node: NodeId, view: Option<&View>) -> Broken {
        let index = view.map_or(0, |v| v.index);
        let seen = self.seen.entry(node).or_default();
        let back = index < *seen;
        let broken = back.then(|| format!("node {node} went back from view {seen} to {index}"));
        *seen = index.max(*seen);
        broken
    }

    /// An agent wants something done.
    pub(super) fn check(
        &self,
        now: u64,
        hosts: &Hosts,
        node: NodeId,
        fresh: u64,
        action: &Action,
    ) -> Broken {
        let engine = &hosts.get(&node)?.engine;
        let keeps_data =
            |id| engine.containers.get(id).is_some_and(|c| c.run > 0 && !c.writes.is_empty());
        let starts_data =
            matches!(action, Action::Start { container, .. } if keeps_data(container));
        let needs_it = matches!(
            action,
            Action::Create(_)
                | Action::Remove { .. }
                | Action::RemoveVolume { .. }
                | Action::RemoveNetworks { .. }
        ) || starts_data;
        let sure = self.sure.get(&node).is_some_and(|at| now <= at + fresh + SLACK);
        (needs_it && !sure).then(|| format!("node {node} is not sure, and wants to {action}"))
    }
}
