//! Steps before the start of a task's container (`pre_start`): one after the other, each in a container of its own
//! that is as the task's, has its mounts, and is kept for as long. What is done follows from the containers
//! that there are, so a restart of the daemon repeats nothing. What is run once for all replicas is a job
//! of its own, and not looked at here.

use crate::create::{create, label};
use crate::task::{ImageHere, Record};
use crate::told;
use crate::{Action, Agent, Container, CreateShare, Phase};
use model::{Assignment, PreStart, SharedPart};
use std::sync::Arc;

/// Where a task stands among its steps.
#[derive(Debug, PartialEq)]
pub(crate) enum Before {
    /// All ended well.
    Over,
    /// To be done next.
    Do(Box<Action>),
    /// One runs, or cannot be gone on with now.
    Wait,
}

/// The steps of a task, with their numbers in the file.
fn steps(assignment: &Assignment) -> impl Iterator<Item = (usize, &PreStart)> {
    let all = assignment.spec.container.hooks.pre_start.iter().enumerate();
    all.map(|(i, step)| (i + 1, step)).filter(|(_, step)| !step.once)
}

impl Agent {
    /// What is to be done before the task's own container, which was made, is started.
    pub(crate) fn before_start(&self, record: &Record, own: &Container) -> Before {
        let task = record.assignment.task;
        let furthest = self.inventory.steps_of(task).filter_map(|c| c.step).max();
        for (number, step) in steps(&record.assignment) {
            let there = self.inventory.steps_of(task).find(|c| c.step == Some(number));
            let action = match there.map(|c| (c, c.phase)) {
                Some((_, Phase::Exited { code: 0, .. })) => continue,
                Some((c, Phase::Created)) => Action::Start { task, container: c.id.clone() },
                Some(_) => return Before::Wait,
                // Somebody removed what is left of it: it ended well, or the one after it would not be there.
                None if furthest > Some(number) => continue,
                None => match self.make_step(record, number, step, own) {
                    Some(action) => action,
                    None => return Before::Wait,
                },
            };
            return Before::Do(Box::new(action));
        }
        Before::Over
    }

    fn make_step(
        &self,
        record: &Record,
        number: usize,
        step: &PreStart,
        own: &Container,
    ) -> Option<Action> {
        let task = record.assignment.task;
        let mut spec = (*record.assignment.spec).clone();
        spec.container = spec.container.for_step(step);
        spec.container.mounts.clear();
        spec.ports.clear();
        let image = &spec.container.image;
        if record.step_image == ImageHere::Missing {
            // Each registry sees the login that is for it, and no other.
            let login = record.assignment.login_for(image).cloned();
            let image = image.resolved.clone().unwrap_or_else(|| image.reference.clone());
            return Some(Action::Pull { task, image, login });
        }
        let mut shares = self.built_upon(record)?;
        shares.retain(|share| share.what == SharedPart::Network);
        let what = SharedPart::Volumes { read_only: false };
        shares.push(CreateShare { what, container: own.id.clone() });
        let assignment = Assignment { spec: Arc::new(spec), ..record.assignment.clone() };
        let mut made = create(&self.cluster, &assignment, &self.settings.folders);
        made.name = format!("{}.pre-start-{number}", made.name);
        made.labels.insert(label::STEP.to_owned(), number.to_string());
        made.network.aliases.clear();
        (made.step, made.shares) = (Some(number), shares);
        Some(Action::Create(Box::new(made)))
    }

    /// A step that runs although its task is not to start any more.
    pub(crate) fn vain_step(&self, record: &Record) -> Option<&Container> {
        let task = record.assignment.task;
        self.inventory.steps_of(task).find(|c| c.running()).filter(|_| !record.runnable())
    }

    /// Whether an action that is about an image is about that of a step: those come once the task has its
    /// own container.
    pub(crate) fn of_step(&self, action: &Action) -> bool {
        match action {
            Action::Create(create) => create.step.is_some(),
            Action::Pull { task, .. } => self.inventory.keeper(*task).is_some(),
            _ => false,
        }
    }
}

/// Why a task cannot start: a step of it ended with another code than 0.
pub(crate) fn failed(step: &Container) -> Option<String> {
    let what = match step.phase {
        Phase::Exited { code: 0, .. } | Phase::Created | Phase::Running => return None,
        Phase::Exited { out_of_memory: true, .. } => "pre_start ran out of memory".to_owned(),
        Phase::Exited { code, .. } => format!("pre_start ended with exit code {code}"),
        Phase::Dead => "the engine could not clean up after pre_start".to_owned(),
    };
    Some(told::with_output(what, &step.output))
}
