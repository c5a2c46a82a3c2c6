//! What the end of an action does: what is known afterwards, when it is tried again, when given up.

use crate::agent::Backoff;
use crate::hooks;
use crate::task::{ImageHere, Start, doubled, local_only};
use crate::{Action, ActionResult, Agent, Container, Event, Kind, Output, Subject};
use model::{Pull, TaskId, Time};

impl Agent {
    pub(crate) fn done(
        &mut self,
        now: Time,
        action: &Action,
        result: ActionResult,
        out: &mut Vec<Output>,
    ) {
        let subject = action.subject();
        if self.under_way.get(&subject) != Some(&action.kind()) {
            return;
        }
        self.under_way.remove(&subject);
        match result {
            ActionResult::Done(container) => self.succeeded(now, action, container, out),
            ActionResult::Prepared(exec) => self.hook_prepared(action, exec, out),
            ActionResult::Ended { code, output } => {
                let stage = action.stage();
                let failure = stage.and_then(|stage| hooks::failure(stage, code, &output));
                self.hook_ended(action, failure, out);
            }
            ActionResult::NoImage => self.no_image(now, action, out),
            ActionResult::Again(reason) => self.failed(now, action, reason, out),
            ActionResult::Never(reason) => self.hopeless(now, action, reason, out),
            ActionResult::Unanswered(reason) => {
                self.engine(false, &reason, out);
                self.failed(now, action, reason, out);
                out.push(Output::Resync);
            }
        }
    }

    fn succeeded(
        &mut self,
        now: Time,
        action: &Action,
        container: Option<Container>,
        out: &mut Vec<Output>,
    ) {
        let phase_fits = match (action.kind(), &container) {
            (Kind::Create, None) => Err("the container vanished at once"),
            (Kind::Stop | Kind::Kill, Some(c)) if c.running() => Err("it still runs"),
            _ => Ok(()),
        };
        match (action, container) {
            (Action::RemoveVolume { volume, .. }, _) => self.reports.deleted(volume.clone()),
            (Action::RemoveNetworks { project, .. }, _) => self.inventory.network_removed(project),
            (Action::Pull { .. }, _) => self.image_is(action, ImageHere::Pulled),
            (Action::Start { task, .. }, Some(c)) => {
                self.count_restart(*task, out);
                self.inventory.replace(c);
            }
            (_, Some(c)) => {
                if action.kind() == Kind::Create && self.of_step(action) {
                    self.image_is(action, ImageHere::Unknown);
                }
                self.inventory.replace(c);
            }
            (_, None) => action.container().into_iter().for_each(|id| self.inventory.remove(id)),
        }
        match phase_fits {
            Err(reason) => self.failed(now, action, reason.to_owned(), out),
            // Pulling and creating are the way to a start: only that ends a row of failures.
            Ok(()) if matches!(action.kind(), Kind::Pull | Kind::Create) => {}
            Ok(()) => {
                self.backoff.remove(&action.subject());
            }
        }
    }

    /// A start of a container that had ended is a restart in place.
    fn count_restart(&mut self, task: TaskId, out: &mut Vec<Output>) {
        let Some(record) = self.records.get_mut(&task).filter(|r| r.start == Start::Again) else {
            return;
        };
        record.restarted();
        let count = record.restarts_in_place;
        out.push(Output::Event(Event::RestartedInPlace { task, count }));
    }

    /// Notes what an action says of the image that it is about.
    fn image_is(&mut self, action: &Action, image: ImageHere) {
        let of_step = self.of_step(action);
        let Subject::Task(task) = action.subject() else { return };
        if let Some(record) = self.records.get_mut(&task) {
            *(if of_step { &mut record.step_image } else { &mut record.image }) = image;
        }
    }

    fn no_image(&mut self, now: Time, action: &Action, out: &mut Vec<Output>) {
        let Action::Create(create) = action else { return };
        let Some(record) = self.records.get(&create.task) else { return };
        let known = if create.step.is_some() { record.step_image } else { record.image };
        let image = &create.spec.container.image;
        let shown = &image.reference;
        if image.pull == Pull::Never {
            let reason = format!("image {shown} is not on this node, and is never to be pulled");
            self.hopeless(now, action, reason, out);
        } else if local_only(image) {
            let reason = format!(
                "image {shown} is not on this node, and no registry knows the one that was deployed; bring it with `clusterctl image load`"
            );
            self.hopeless(now, action, reason, out);
        } else {
            self.image_is(action, ImageHere::Missing);
            if known == ImageHere::Pulled {
                let reason = format!("image {shown} was pulled, and is gone again");
                self.failed(now, action, reason, out);
            }
        }
    }

    /// An action failed and may succeed later: wait, longer each time; give up what is bounded.
    fn failed(&mut self, now: Time, action: &Action, reason: String, out: &mut Vec<Output>) {
        let backoff = self.backoff.entry(action.subject()).or_default();
        backoff.failures += 1;
        let settings = &self.settings;
        backoff.until =
            now + doubled(settings.retry_first, backoff.failures - 1, settings.retry_max);
        if backoff.failures >= settings.attempts && self.is_way_up(action) {
            self.hopeless(now, action, reason, out);
        } else {
            let action = action.to_string();
            out.push(Output::Event(Event::ActionFailed { action, reason, again: true }));
        }
    }

    /// An action failed for good: so did its task, when it was on its way up. Anything else is tried again
    /// in a while: a container to be stopped must not be left running because the engine said no once.
    fn hopeless(&mut self, now: Time, action: &Action, reason: String, out: &mut Vec<Output>) {
        if let Some(stage) = action.stage() {
            let failure = format!("{stage} cannot be run: {reason}");
            return self.hook_ended(action, Some(failure), out);
        }
        let up = self.is_way_up(action);
        if up {
            // What follows is of another kind, and need not wait.
            self.backoff.remove(&action.subject());
        } else {
            let failures = self.backoff.get(&action.subject()).map_or(1, |b| b.failures + 1);
            let until = now + self.settings.retry_max;
            self.backoff.insert(action.subject(), Backoff { failures, until });
        }
        if let Subject::Task(task) = action.subject()
            && let Some(record) = self.records.get_mut(&task)
        {
            match action.kind() {
                _ if up => record.fail(reason.clone()),
                Kind::Start => record.stuck(),
                _ => {}
            }
        }
        let action = action.to_string();
        out.push(Output::Event(Event::ActionFailed { action, reason, again: !up }));
    }

    /// Whether an action is on the way to a first start. A restart in place is not.
    fn is_way_up(&self, action: &Action) -> bool {
        match action {
            Action::Pull { .. } | Action::Create(_) | Action::PrepareHook { .. } => true,
            Action::Start { task, .. } => {
                self.records.get(task).is_some_and(|r| r.start == Start::First)
            }
            _ => false,
        }
    }
}
