//! Whatever happens, in whatever order: what must never be, and what must come to be in the end. The
//! engine here does what it is told, late or never; looks at it arrive late, too.

#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod support;

use agent::{
    Action, ActionResult, Agent, Container, ContainerId, Health, Input, Kind, Observation, Output,
    Phase, Settings, Subject,
};
use model::{Assignment, Hook, TaskId, TaskState, Time, VolumeKey, Wanted};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use support::{NODE, cluster, container, id, stateful, task, view};

/// The same task, with commands around its life.
fn hooked(task: Assignment) -> Assignment {
    let hook = |name: &str| Hook { command: vec![name.into()], ..Hook::default() };
    let mut spec = (*task.spec).clone();
    spec.container.hooks.post_start = vec![hook("first"), hook("second")];
    spec.container.hooks.pre_stop = vec![hook("last")];
    Assignment { spec: Arc::new(spec), ..task }
}

/// One thing that happens. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Happening {
    Assign {
        stateful: bool,
    },
    Stop(usize),
    Forget(usize),
    Confirm,
    Session,
    Pass(u64),
    /// The engine carries an action out; the answer is on its way.
    Carry(usize, Fate),
    /// An answer arrives.
    Answer(usize),
    Crash(usize, i64),
    RemoveBehind(usize),
    Health(usize, bool),
    /// The engine is looked at; the look is on its way.
    Look,
    Arrive(usize),
    EngineOut,
    Report(bool),
    /// The daemon is killed and started again.
    Rebirth,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Done,
    NoImage,
    Again,
    Never,
    /// Done, and yet the answer got lost.
    Unanswered,
}

fn happening() -> impl Strategy<Value = Happening> {
    let fate = prop_oneof![
        8 => Just(Fate::Done), 1 => Just(Fate::NoImage), 1 => Just(Fate::Again),
        1 => Just(Fate::Never), 1 => Just(Fate::Unanswered),
    ];
    let n = 0_usize..8;
    prop_oneof![
        4 => any::<bool>().prop_map(|stateful| Happening::Assign { stateful }),
        2 => n.clone().prop_map(Happening::Stop),
        1 => n.clone().prop_map(Happening::Forget),
        4 => Just(Happening::Confirm),
        1 => Just(Happening::Session),
        4 => prop_oneof![1_u64..900, 900_u64..40_000].prop_map(Happening::Pass),
        12 => (n.clone(), fate).prop_map(|(n, f)| Happening::Carry(n, f)),
        12 => n.clone().prop_map(Happening::Answer),
        3 => (n.clone(), 0_i64..2).prop_map(|(n, c)| Happening::Crash(n, c)),
        1 => n.clone().prop_map(Happening::RemoveBehind),
        2 => (n.clone(), any::<bool>()).prop_map(|(n, h)| Happening::Health(n, h)),
        3 => Just(Happening::Look),
        3 => n.prop_map(Happening::Arrive),
        1 => Just(Happening::EngineOut),
        3 => any::<bool>().prop_map(Happening::Report),
        1 => Just(Happening::Rebirth),
    ]
}

/// The world around one agent.
struct World {
    agent: Agent,
    now: Time,
    index: u64,
    serial: u64,
    /// What the cluster has recorded.
    tasks: BTreeMap<TaskId, Assignment>,
    containers: BTreeMap<ContainerId, Container>,
    asked: Vec<Action>,
    answers: Vec<Input>,
    looks: Vec<Input>,
    reports: Vec<(u64, model::Report)>,
    told: BTreeMap<TaskId, TaskState>,
    made: BTreeSet<TaskId>,
    /// Commands that were got ready: of which run of which container.
    hooks: BTreeMap<String, Ran>,
    /// Of those the agent knows the end.
    ended: BTreeSet<Ran>,
}

/// A command, and when its container was started.
type Ran = (ContainerId, u64, Vec<String>);

impl World {
    fn new() -> Self {
        Self {
            agent: Agent::new(NODE, cluster(), Settings::default()),
            now: Time(1),
            index: 0,
            serial: 0,
            tasks: BTreeMap::new(),
            containers: BTreeMap::new(),
            asked: vec![],
            answers: vec![],
            looks: vec![],
            reports: vec![],
            told: BTreeMap::new(),
            made: BTreeSet::new(),
            hooks: BTreeMap::new(),
            ended: BTreeSet::new(),
        }
    }

    fn input(&mut self, input: Input) {
        for output in self.agent.handle(self.now, input) {
            match output {
                Output::Do(action) => self.ask(action),
                Output::Report { number, report } => self.take_report(number, report),
                Output::Keep | Output::Resync | Output::Event(_) => {}
            }
        }
        if let Some(at) = self.agent.wake_at() {
            assert!(at > self.now, "woken in the past, again and again");
        }
    }

    /// What must never be asked.
    fn ask(&mut self, action: Action) {
        let changes_what_there_is = matches!(
            action.kind(),
            Kind::Pull | Kind::Create | Kind::Remove | Kind::RemoveVolume | Kind::RemoveNetworks
        );
        let confirmed = self.agent.confirmed(self.now);
        assert!(confirmed || !changes_what_there_is, "without a confirmed view: {action}");
        let subject = action.subject();
        assert!(self.asked.iter().all(|a| a.subject() != subject), "two at once: {action}");
        if let Action::PrepareHook { container, hook, .. } = &action
            && let Some(there) = self.containers.get(container)
        {
            let ran = (container.clone(), there.started, hook.command.clone());
            assert!(!self.ended.contains(&ran), "once more: {ran:?}");
        }
        if let (Kind::Start, Some(container)) = (action.kind(), action.container())
            && let Some(container) = self.containers.get(container)
            && container.started > 0
            && !container.running()
        {
            let task = &self.tasks[&container.task];
            assert!(!confirmed, "restarted in place although a planner is there: {action}");
            assert!(!task.spec.stateful(), "restarted what keeps data: {action}");
            assert_eq!(task.wanted, Wanted::Run, "restarted what is to stop: {action}");
        }
        self.asked.push(action);
    }

    fn take_report(&mut self, number: u64, report: model::Report) {
        for status in &report.statuses {
            let before = self.told.insert(status.task, status.state.clone());
            let before = before.unwrap_or_default();
            assert!(status.state.rank() >= before.rank(), "back from {before} to {}", status.state);
            assert!(!before.ended() || before == status.state, "ended twice: {before}");
        }
        self.reports.push((number, report));
    }

    fn send_view(&mut self) {
        self.index += 1;
        let tasks = self.tasks.values().cloned().collect();
        let view = Arc::new(view(self.index, tasks, Vec::<VolumeKey>::new()));
        self.input(Input::View { view, age: Duration::ZERO });
    }

    fn pick(&self, n: usize) -> Option<ContainerId> {
        self.containers.keys().nth(n % self.containers.len().max(1)).cloned()
    }

    fn pick_task(&self, n: usize) -> Option<TaskId> {
        self.tasks.keys().nth(n % self.tasks.len().max(1)).copied()
    }

    fn happen(&mut self, happening: &Happening) {
        match *happening {
            Happening::Assign { stateful: keeps } => {
                self.serial += 1;
                let new = if keeps { stateful(self.serial) } else { task(self.serial) };
                let new = if self.serial.is_multiple_of(2) { new } else { hooked(new) };
                self.tasks.insert(id(self.serial), new);
                self.send_view();
            }
            Happening::Stop(n) => {
                if let Some(id) = self.pick_task(n) {
                    self.tasks.get_mut(&id).unwrap().wanted = Wanted::Stop;
                    self.send_view();
                }
            }
            Happening::Forget(n) => {
                if let Some(id) = self.pick_task(n).filter(|id| self.tasks[id].state.ended()) {
                    self.tasks.remove(&id);
                    self.send_view();
                }
            }
            Happening::Confirm => self.input(Input::Confirmed { age: Duration::ZERO }),
            Happening::Session => self.input(Input::Session),
            Happening::Pass(ms) => {
                self.now = Time(self.now.0 + ms);
                self.input(Input::Wake);
            }
            Happening::Carry(n, fate) => self.carry(n, fate),
            Happening::Answer(n) => {
                if !self.answers.is_empty() {
                    let answer = self.answers.remove(n % self.answers.len());
                    self.answer(answer);
                }
            }
            Happening::Look => self.look(),
            Happening::Arrive(n) => {
                if !self.looks.is_empty() {
                    let look = self.looks.remove(n % self.looks.len());
                    self.input(look);
                }
            }
            Happening::EngineOut => self.input(Input::Engine { ready: false }),
            Happening::Report(accepted) => self.answer_report(accepted),
            Happening::Rebirth => self.rebirth(),
            _ => self.meddle(happening),
        }
    }

    /// What happens to containers by themselves, or by another's hand.
    fn meddle(&mut self, happening: &Happening) {
        match *happening {
            Happening::Crash(n, code) => {
                if let Some(c) = self.pick(n).and_then(|id| self.containers.get_mut(&id))
                    && c.running()
                {
                    c.phase = Phase::Exited { code, out_of_memory: false };
                    self.looks.push(Input::Changed(c.clone()));
                }
            }
            Happening::RemoveBehind(n) => {
                if let Some(id) = self.pick(n) {
                    let gone = self.containers.remove(&id).unwrap();
                    if self.agent.container_of(gone.task) != Some(&id) {
                        self.forget_unseen(gone.task);
                    }
                    self.looks.push(Input::Gone(id));
                }
            }
            Happening::Health(n, healthy) => {
                if let Some(c) = self.pick(n).and_then(|id| self.containers.get_mut(&id)) {
                    c.health = if healthy { Health::Healthy } else { Health::Unhealthy };
                    self.looks.push(Input::Changed(c.clone()));
                }
            }
            _ => unreachable!("everything else is handled above"),
        }
    }

    /// A container that came and went while neither agent nor cluster knew of it may be made again.
    fn forget_unseen(&mut self, task: TaskId) {
        let recorded = self.tasks.get(&task).map_or(0, |t| t.state.rank());
        if recorded < TaskState::Starting.rank() {
            self.made.remove(&task);
        }
    }

    fn look(&mut self) {
        let containers = self.containers.values().cloned().collect();
        self.looks.push(Input::Observed(Observation { containers, networks: vec![] }));
    }

    fn answer(&mut self, answer: Input) {
        if let Input::Done { action, .. } = &answer {
            let at = self.asked.iter().position(|a| a == action);
            self.asked.remove(at.expect("answered once"));
        }
        if let Input::Done { action, result: ActionResult::Ended { .. } } = &answer
            && let Action::RunHook { exec, .. } = action
        {
            self.ended.insert(self.hooks[exec].clone());
        }
        if matches!(answer, Input::Done { result: ActionResult::Unanswered(_), .. }) {
            // An engine that is asked anew shows what it holds now.
            self.looks.retain(|look| !matches!(look, Input::Observed(_)));
        }
        self.input(answer);
    }

    fn answer_report(&mut self, accepted: bool) {
        let Some((number, report)) = self.reports.pop() else { return };
        if accepted {
            for status in &report.statuses {
                if let Some(task) = self.tasks.get_mut(&status.task)
                    && status.state.rank() > task.state.rank()
                {
                    task.state = status.state.clone();
                }
            }
        }
        self.input(Input::Reported { number, accepted });
    }

    /// Only the snapshot is left; what was under way may have been carried out, or not.
    fn rebirth(&mut self) {
        let Some(snapshot) = self.agent.snapshot() else { return };
        self.agent = Agent::restore(NODE, cluster(), Settings::default(), snapshot);
        self.asked.clear();
        self.answers.clear();
        self.looks.clear();
        self.reports.clear();
        // What was observed and never recorded is observed anew.
        let recorded = |id: &TaskId| self.tasks.get(id).map(|t| (*id, t.state.clone()));
        self.told = self.told.keys().filter_map(recorded).collect();
        let there: BTreeSet<TaskId> = self.containers.values().map(|c| c.task).collect();
        for gone in self.made.difference(&there).copied().collect::<Vec<_>>() {
            self.forget_unseen(gone);
        }
    }

    fn waiting(&self) -> Vec<Action> {
        let answered = |action: &Action| {
            self.answers.iter().any(|a| matches!(a, Input::Done { action: b, .. } if b == action))
        };
        self.asked.iter().filter(|a| !answered(a)).cloned().collect()
    }

    fn carry(&mut self, n: usize, fate: Fate) {
        let waiting = self.waiting();
        if waiting.is_empty() {
            return;
        }
        let action = waiting[n % waiting.len()].clone();
        let result = match fate {
            Fate::Done => self.result(&action),
            Fate::NoImage if action.kind() == Kind::Create => ActionResult::NoImage,
            Fate::NoImage | Fate::Again => ActionResult::Again("later".into()),
            Fate::Never => ActionResult::Never("no".into()),
            Fate::Unanswered => {
                self.apply(&action);
                ActionResult::Unanswered("silence".into())
            }
        };
        self.answers.push(Input::Done { action, result });
    }

    /// How an action ends that is carried out.
    fn result(&mut self, action: &Action) -> ActionResult {
        let there = action.container().and_then(|id| self.containers.get(id)).cloned();
        let runs = there.as_ref().is_some_and(Container::running);
        match (action, there) {
            (Action::PrepareHook { hook, .. }, Some(there)) if runs => {
                let exec = format!("e{}", self.hooks.len());
                let ran = (there.id, there.started, hook.command.clone());
                self.hooks.insert(exec.clone(), ran);
                ActionResult::Prepared(exec)
            }
            (Action::PrepareHook { .. }, _) => ActionResult::Again("it does not run".into()),
            (Action::RunHook { .. }, Some(_)) if runs => {
                ActionResult::Ended { code: Some(0), output: String::new() }
            }
            (Action::RunHook { .. }, there) => ActionResult::Done(there),
            _ => ActionResult::Done(self.apply(action)),
        }
    }

    fn apply(&mut self, action: &Action) -> Option<Container> {
        match action {
            Action::Create(create) => Some(self.make(create.task)),
            Action::Remove { container, .. } => {
                let running = self.containers.get(container).is_some_and(Container::running);
                assert!(!running, "removed while it runs");
                self.containers.remove(container);
                None
            }
            Action::Pull { .. } | Action::RemoveVolume { .. } | Action::RemoveNetworks { .. } => {
                None
            }
            _ => {
                let id = action.container()?;
                let container = self.containers.get_mut(id)?;
                match action.kind() {
                    Kind::Start if !container.running() => {
                        container.phase = Phase::Running;
                        container.health = Health::Unchecked;
                        container.started = self.now.0 + container.started + 1;
                    }
                    Kind::Stop | Kind::Kill if container.running() => {
                        container.phase = Phase::Exited { code: 137, out_of_memory: false };
                    }
                    _ => {}
                }
                Some(container.clone())
            }
        }
    }

    /// As the real one: a container of that name is the result.
    fn make(&mut self, task: TaskId) -> Container {
        if let Some(there) = self.containers.values().find(|c| c.task == task) {
            return there.clone();
        }
        assert!(self.made.insert(task), "a second container for task {task}");
        let made = container(task.index, Phase::Created);
        self.containers.insert(made.id.clone(), made.clone());
        made
    }

    /// Faults are over: everything is carried out, answered and seen.
    fn heal(&mut self) {
        self.looks.clear();
        self.input(Input::Session);
        self.send_view();
        for _ in 0..60 {
            while !self.waiting().is_empty() {
                self.carry(0, Fate::Done);
            }
            while !self.answers.is_empty() {
                let answer = self.answers.remove(0);
                self.answer(answer);
            }
            self.look();
            let look = self.looks.pop().unwrap();
            self.input(look);
            while !self.reports.is_empty() {
                self.answer_report(true);
            }
            self.now = Time(self.now.0 + 1_500);
            self.send_view();
        }
    }

    /// What must be true in the end.
    fn healed(&self) {
        for (id, task) in &self.tasks {
            let runs = self.containers.values().any(|c| c.task == *id && c.running());
            let state = &task.state;
            assert_eq!(runs, !state.ended(), "task {id} is {state}");
            assert!(task.wanted == Wanted::Run || state.ended(), "task {id} was to stop: {state}");
            assert!(state.ended() || *state == TaskState::Running, "task {id} is {state}");
        }
        for container in self.containers.values() {
            assert!(self.tasks.contains_key(&container.task), "left behind: {}", container.id);
        }
        assert!(self.asked.iter().all(|a| matches!(a.subject(), Subject::Networks(_))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_forbidden_happens_and_all_heals(
        happenings in proptest::collection::vec(happening(), 1..120),
    ) {
        let mut world = World::new();
        for happening in happenings {
            world.happen(&happening);
        }
        world.heal();
        world.healed();
    }
}
