//! What holds of every roll-out, whatever its copies do: the planner never takes away what serves below the number
//! that was promised, never has more copies than the surge allows, and the roll-out ends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

#[path = "rules/world.rs"]
mod world;

use model::{
    Change, Command, FailureAction, Phase, Readiness, RolloutWish, ServiceSpec, SetRollout, Task,
    TaskId, TaskState, UpdateOrder, Wanted,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use world::{World, image, secs, spec};

/// Something that happens in the middle of a roll-out.
#[derive(Clone, Debug)]
enum Happens {
    /// A copy gets on by one state.
    Advances(usize),
    /// A copy ends.
    Ends(usize),
    /// A copy that is to stop has stopped.
    Stops(usize),
    /// A copy's health changes.
    Turns(usize, bool),
    /// A node is lost, or heard again.
    Judged(usize, Readiness),
    /// A person intervenes.
    Wished(RolloutWish),
    /// The release after, or the one before, is asked for.
    Deployed(u8),
    /// The planner is asked.
    Planned,
    /// So many seconds pass.
    Passed(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let wish =
        prop_oneof![Just(RolloutWish::Pause), Just(RolloutWish::Resume), Just(RolloutWish::Undo)];
    let readiness = prop_oneof![Just(Readiness::Ready), Just(Readiness::Lost)];
    prop_oneof![
        12 => any::<usize>().prop_map(Happens::Advances),
        3 => any::<usize>().prop_map(Happens::Ends),
        5 => any::<usize>().prop_map(Happens::Stops),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(task, well)| Happens::Turns(task, well)),
        1 => (1..4usize, readiness).prop_map(|(node, to)| Happens::Judged(node, to)),
        1 => wish.prop_map(Happens::Wished),
        1 => (0..4u8).prop_map(Happens::Deployed),
        14 => Just(Happens::Planned),
        6 => (1..6u64).prop_map(Happens::Passed),
    ]
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    replicas: u32,
    parallelism: u32,
    delay: u64,
    order: UpdateOrder,
    action: Option<FailureAction>,
    ratio: Option<u32>,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let order = prop_oneof![Just(UpdateOrder::StartFirst), Just(UpdateOrder::StopFirst)];
    let action = prop_oneof![
        3 => Just(None),
        1 => Just(Some(FailureAction::Pause)),
        1 => Just(Some(FailureAction::Continue)),
        1 => Just(Some(FailureAction::Rollback)),
    ];
    let ratio = prop_oneof![3 => Just(None), 2 => (0..=1_000_000u32).prop_map(Some)];
    (1..7u32, 1..4u32, 0..4u64, order, action, ratio).prop_map(
        |(replicas, parallelism, delay, order, action, ratio)| Shape {
            replicas,
            parallelism,
            delay,
            order,
            action,
            ratio,
        },
    )
}

impl Shape {
    fn spec(self, version: u8) -> ServiceSpec {
        let mut spec = image(&format!("v{version}"), spec(self.replicas));
        spec.update.parallelism = Some(self.parallelism);
        spec.update.delay = Some(secs(self.delay));
        spec.update.order = Some(self.order);
        spec.update.failure_action = self.action;
        spec.update.max_failure_ratio = self.ratio;
        spec
    }

    /// How many failed replicas are not waited for.
    fn let_go(self, w: &World) -> usize {
        let lenient = self.ratio.is_some() || self.action == Some(FailureAction::Continue);
        let rollout = w.service("web").rollout.as_ref();
        if lenient { rollout.map_or(0, |r| r.failed.len()) } else { 0 }
    }
}

impl World {
    fn pick(&self, pick: usize, test: impl Fn(&Task) -> bool) -> Option<TaskId> {
        let tasks: Vec<TaskId> =
            self.state.tasks.values().filter(|t| test(t)).map(|t| t.id).collect();
        (!tasks.is_empty()).then(|| tasks[pick % tasks.len()])
    }

    fn is_heard(&self, task: &Task) -> bool {
        self.state.nodes[&task.node].readiness == Readiness::Ready
    }

    fn strike(&mut self, shape: Shape, event: &Happens) {
        match event {
            Happens::Advances(pick) => {
                let young = |t: &Task| t.live() && t.state.rank() < 3 && self.is_heard(t);
                let Some(task) = self.pick(*pick, young) else { return };
                let (to, well) = match self.state.tasks[&task].state {
                    TaskState::Assigned => (TaskState::Preparing, false),
                    TaskState::Preparing => (TaskState::Starting, false),
                    _ => (TaskState::Running, true),
                };
                self.report(task, to, well);
            }
            Happens::Ends(pick) => {
                let task = self.pick(*pick, |t| t.live() && self.is_heard(t));
                if let Some(task) = task {
                    self.exits(task, 1);
                }
            }
            Happens::Stops(pick) => {
                let leaving = |t: &Task| t.wanted == Wanted::Stop && t.holds() && self.is_heard(t);
                if let Some(task) = self.pick(*pick, leaving) {
                    self.exits(task, 0);
                }
            }
            Happens::Turns(pick, well) => {
                let runs = |t: &Task| t.live() && t.state == TaskState::Running && self.is_heard(t);
                if let Some(task) = self.pick(*pick, runs) {
                    self.report(task, TaskState::Running, *well);
                }
            }
            Happens::Judged(node, to) => self.judge(*node, *to),
            Happens::Wished(wish) => {
                let project = "shop".parse().unwrap();
                let wish = SetRollout { project, services: BTreeSet::new(), wish: *wish };
                self.apply(Command::SetRollout(wish));
            }
            Happens::Deployed(version) => self.deploy("web", shape.spec(*version)),
            Happens::Planned => self.checked_step(shape),
            Happens::Passed(seconds) => self.now = self.now + secs(*seconds),
        }
    }

    /// Copies that serve and are within reach, one for each slot.
    fn serving(&self) -> usize {
        let slots: BTreeSet<_> = self
            .live("web")
            .iter()
            .filter(|t| t.serving() && self.is_heard(t))
            .map(|t| t.slot)
            .collect();
        slots.len()
    }

    /// Slots all of whose copies were lost with their nodes.
    fn absent(&self) -> usize {
        let live = self.live("web");
        let lost: BTreeSet<_> = live.iter().filter(|t| !self.is_heard(t)).map(|t| t.slot).collect();
        lost.iter().filter(|s| !live.iter().any(|t| t.slot == **s && self.is_heard(t))).count()
    }

    /// Copies within reach that are wanted, but for those that came back with a lost node, whose slots may have
    /// others by now.
    fn wanted(&self) -> usize {
        let came_back = |t: &Task| {
            let node = &self.state.nodes[&t.node];
            node.flaps > 0 && t.created <= node.readiness_since
        };
        self.live("web").iter().filter(|t| self.is_heard(t) && !came_back(t)).count()
    }

    fn checked_step(&mut self, shape: Shape) {
        let (served, let_go) = (self.serving(), shape.let_go(self));
        let (wanted, absent) = (self.wanted(), self.absent());
        let changes = self.step();
        let replicas = (shape.replicas as usize).saturating_sub(absent);
        let promised = match shape.order {
            UpdateOrder::StartFirst => replicas,
            UpdateOrder::StopFirst => replicas.saturating_sub(shape.parallelism as usize + let_go),
        };
        let serving = self.serving();
        assert!(
            serving >= served.min(promised),
            "{served} served, {serving} do now, {promised} are promised: {changes:?}"
        );
        let surge = match shape.order {
            UpdateOrder::StartFirst => shape.parallelism as usize + let_go.max(shape.let_go(self)),
            UpdateOrder::StopFirst => 0,
        };
        let created = changes.iter().any(|c| matches!(c, Change::Create { .. }));
        let most = shape.replicas as usize + surge;
        assert!(
            !created || self.wanted() <= most.max(wanted),
            "{} copies, {most} are allowed: {changes:?}",
            self.wanted()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_roll_out_stays_in_its_band_and_ends(
        shape in shapes(),
        events in prop::collection::vec(happens(), 20..160),
        bad in any::<bool>(),
    ) {
        let mut w = World::new(3);
        w.deploy("web", shape.spec(0));
        w.run(secs(60));
        w.deploy("web", shape.spec(1));
        for event in &events {
            w.strike(shape, event);
        }
        for node in 1..4 {
            w.judge(node, Readiness::Ready);
        }
        // From now on what is new is well, or what is new ends.
        let newest = w.service("web").newest_generation;
        for _ in 0..2_000 {
            w.checked_step(shape);
            let young = |t: &Task| t.live() && t.state.rank() < 3 && t.generation == newest;
            while let Some(task) = w.pick(0, young).filter(|_| bad) {
                w.exits(task, 1);
            }
            if !w.obey() && w.plan().changes.is_empty() {
                match w.plan().wake_at {
                    Some(at) if w.service("web").rollout.as_ref().unwrap().phase == Phase::Running => w.now = at,
                    _ => break,
                }
            }
        }
        let rollout = w.service("web").rollout.clone().unwrap();
        prop_assert!(rollout.phase != Phase::Running, "{rollout:?} {:?}", w.waits());
        if rollout.phase == Phase::Completed && rollout.failed.is_empty() {
            w.run(secs(600));
            let current = w.service("web").generation;
            prop_assert!(w.live("web").iter().all(|t| t.generation == current));
        }
    }
}
