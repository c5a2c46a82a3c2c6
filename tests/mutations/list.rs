//! The rules that are broken on purpose, as changes to the text of the crates that decide. Knows no crate but by
//! its files; what is done with them is in `main.rs`.
//!
//! In a replacement, `BROKEN` stands for "this mutation is on". A line that a mutation names may be rewritten
//! like any other: the mutation is then written anew beside it.

/// A rule broken on purpose.
pub(crate) struct Mutation {
    /// Its name.
    pub(crate) name: &'static str,
    /// What is wrong when it is on.
    pub(crate) wrong: &'static str,
    /// Which text is replaced.
    pub(crate) edits: &'static [Edit],
}

/// A text that is replaced in one file, where it occurs once.
pub(crate) struct Edit {
    /// The file, from the root of the tree.
    pub(crate) file: &'static str,
    /// What it says.
    pub(crate) from: &'static str,
    /// What it says in the copy.
    pub(crate) to: &'static str,
}

/// All of them.
pub(crate) const MUTATIONS: [Mutation; 20] = [
    Mutation {
        name: "no-witness",
        wrong: "the leader alone judges nodes",
        edits: &[Edit {
            file: "crates/manager/src/judge.rs",
            from: "if others.peek().is_none() {",
            to: "if BROKEN || others.peek().is_none() {",
        }],
    },
    Mutation {
        name: "stale-testimony",
        wrong: "what a manager said long ago is believed",
        edits: &[Edit {
            file: "crates/manager/src/table.rs",
            from: "if age >= timers.testimony {",
            to: "if age >= timers.testimony && !BROKEN {",
        }],
    },
    Mutation {
        name: "absence-not-excused",
        wrong: "a node that announced its stop is lost like any other",
        edits: &[Edit {
            file: "crates/manager/src/manager.rs",
            from: "n.away(cluster_now) && answered(n)",
            to: "!BROKEN && n.away(cluster_now) && answered(n)",
        }],
    },
    Mutation {
        name: "restart-on-a-blip",
        wrong: "replicas of a suspect node are replaced",
        edits: &[Edit {
            file: "crates/planner/src/lost.rs",
            from: "if node.readiness == Readiness::Lost {",
            to: "if node.readiness == Readiness::Lost || BROKEN && node.readiness == Readiness::Suspect {",
        }],
    },
    Mutation {
        name: "volume-home-ignored",
        wrong: "a replica that keeps data is placed anywhere",
        edits: &[Edit {
            file: "crates/planner/src/place/home.rs",
            from: "let recorded = t.state.volumes.get(key).and_then(|v| t.node_of(v.home));",
            to: "let recorded = t.state.volumes.get(key).filter(|_| !BROKEN).and_then(|v| t.node_of(v.home));",
        }],
    },
    Mutation {
        name: "capacity-ignored",
        wrong: "reserved memory is not counted",
        edits: &[Edit {
            file: "crates/planner/src/place/room.rs",
            from: "self.memory.saturating_sub(spec.resources.reserved_memory);",
            to: "self.memory.saturating_sub(if BROKEN { 0 } else { spec.resources.reserved_memory });",
        }],
    },
    Mutation {
        name: "ports-ignored",
        wrong: "two replicas get the same port of a host",
        edits: &[Edit {
            file: "crates/planner/src/place/room.rs",
            from: "self.ports.extend(spec.host_ports().map(",
            to: "self.ports.extend(spec.host_ports().filter(|_| !BROKEN).map(",
        }],
    },
    Mutation {
        name: "drained-gets-tasks",
        wrong: "a drained node is given new replicas",
        edits: &[Edit {
            file: "crates/planner/src/place/filters.rs",
            from: "Availability::Drain => Some(Why::Drained),",
            to: "Availability::Drain => (!BROKEN).then_some(Why::Drained),",
        }],
    },
    Mutation {
        name: "above-surge",
        wrong: "all replicas are exchanged at once",
        edits: &[Edit {
            file: "crates/planner/src/pace.rs",
            from: "seats => seats as usize,",
            to: "seats => if BROKEN { usize::MAX } else { seats as usize },",
        }],
    },
    Mutation {
        name: "back-off-ignored",
        wrong: "what ends is started again at once",
        edits: &[Edit {
            file: "crates/planner/src/restart.rs",
            from: "if record.not_before > t.now {",
            to: "if record.not_before > t.now && !BROKEN {",
        }],
    },
    Mutation {
        name: "job-done-again",
        wrong: "a part of a job that is done is done once more",
        edits: &[Edit {
            file: "crates/planner/src/jobs.rs",
            from: "copies.iter().any(|h| ended_well(g, h.task)) || recorded()",
            to: "!BROKEN && (copies.iter().any(|h| ended_well(g, h.task)) || recorded())",
        }],
    },
    Mutation {
        name: "requests-forgotten",
        wrong: "a request that comes twice is done twice",
        edits: &[Edit {
            file: "crates/model/src/apply/mod.rs",
            from: "if let Some(outcome) = self.requests.get(&request) {",
            to: "if let Some(outcome) = self.requests.get(&request).filter(|_| !BROKEN) {",
        }],
    },
    Mutation {
        name: "status-goes-back",
        wrong: "a report that comes late undoes a later one",
        edits: &[
            Edit {
                file: "crates/model/src/apply/tasks.rs",
                from: "if task.state.ended() || status.state.rank() < task.state.rank() {",
                to: "if !BROKEN && (task.state.ended() || status.state.rank() < task.state.rank()) {",
            },
            Edit {
                file: "crates/model/src/apply/tasks.rs",
                from: "let moved = status.state.rank() > task.state.rank();",
                to: "let moved = status.state.rank() > task.state.rank() || BROKEN && status.state != task.state;",
            },
        ],
    },
    Mutation {
        name: "plan-on-sand",
        wrong: "a replica is made although what the plan rests on has moved",
        edits: &[Edit {
            file: "crates/model/src/apply/tasks.rs",
            from: "self.services.get(service).is_some_and(|s| s.generation == *generation && !s.removed);",
            to: "self.services.get(service).is_some_and(|s| BROKEN || s.generation == *generation && !s.removed);",
        }],
    },
    Mutation {
        name: "older-view-accepted",
        wrong: "an agent goes back to an older view",
        edits: &[Edit {
            file: "crates/agent/src/agent.rs",
            from: "} else if view.index < seen {",
            to: "} else if view.index < seen && !BROKEN {",
        }],
    },
    Mutation {
        name: "unconfirmed-view-obeyed",
        wrong: "an agent that is cut off goes on starting and removing",
        edits: &[Edit {
            file: "crates/agent/src/agent.rs",
            from: "self.current && self.confirmed_at",
            to: "BROKEN && self.view.is_some() || self.current && self.confirmed_at",
        }],
    },
    Mutation {
        name: "pre-start-twice",
        wrong: "a step that ended well is run again",
        edits: &[Edit {
            file: "crates/agent/src/before.rs",
            from: "Some((_, Phase::Exited { code: 0, .. })) => continue,",
            to: "Some((c, Phase::Exited { code: 0, .. })) => if BROKEN {\n\
                     Action::Start { task, container: c.id.clone() } } else { continue },",
        }],
    },
    Mutation {
        name: "pre-start-not-awaited",
        wrong: "a container starts beside the steps before it",
        edits: &[Edit {
            file: "crates/agent/src/before.rs",
            from: "Some(_) => return Before::Wait,",
            to: "Some(_) => if BROKEN { continue } else { return Before::Wait },",
        }],
    },
    Mutation {
        name: "orphans-kept",
        wrong: "containers of tasks that are no more live on",
        edits: &[Edit {
            file: "crates/agent/src/steps.rs",
            from: "self.inventory.all().filter(|c| !self.records.contains_key(&c.task));",
            to: "self.inventory.all().filter(|c| !BROKEN && !self.records.contains_key(&c.task));",
        }],
    },
    Mutation {
        name: "restart-in-place-of-data",
        wrong: "a replica that keeps data restarts without a confirmed view",
        edits: &[Edit {
            file: "crates/agent/src/task.rs",
            from: "&& !self.assignment.spec.stateful()",
            to: "&& (BROKEN || !self.assignment.spec.stateful())",
        }],
    },
];
