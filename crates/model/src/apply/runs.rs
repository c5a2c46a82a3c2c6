//! Commands about what is run once beside a service.

use super::Now;
use crate::limits::RUNS_PER_PROJECT;
use crate::{
    EndRun, OnUnknown, Once, Outcome, ProjectName, Refusal, Run, Service, ServiceId, ServiceSpec,
    State,
};
use imbl::OrdMap;
use std::sync::Arc;

type Applied = Result<Outcome, Refusal>;

impl State {
    /// A service of its own, which the project does not list: no deploy touches it.
    pub(super) fn run(&mut self, now: Now, run: &Run) -> Applied {
        let project = self
            .projects
            .get(&run.project)
            .ok_or_else(|| Refusal::NoProject(run.project.clone()))?;
        let (generation, release) = (project.generation, project.release);
        let service = self.service(&run.project, &run.service);
        let service = service.filter(|s| s.spec().once.is_none());
        let of = service.ok_or_else(|| Refusal::NoService {
            project: run.project.clone(),
            service: run.service.clone(),
        })?;
        if !of.spec().shares_with.is_empty() {
            return Err(Refusal::RunShares(run.service.clone()));
        }
        self.refuse_not_granted(&run.project, project.powers.iter())?;
        if self.runs_of(&run.project).count() >= RUNS_PER_PROJECT {
            let what = format!("commands of {} run at once", run.project);
            return Err(Refusal::Limit { what, limit: RUNS_PER_PROJECT as u64 });
        }
        let listed = self.service(&run.project, &run.name).is_some();
        if listed || self.runs_of(&run.project).any(|s| s.name == run.name) {
            return Err(Refusal::ServiceInUse(run.name.clone()));
        }
        let service = Service {
            // The same number as the first service of a deploy at this index would have.
            id: ServiceId(now.index << 10),
            project: run.project.clone(),
            name: run.name.clone(),
            generation: 1,
            generation_at: now.at,
            generation_index: now.index,
            newest_generation: 1,
            release,
            rollout: None,
            specs: OrdMap::unit(1, Arc::new(spec(run, of.spec()))),
            scale: 1,
            removed: false,
            one_off: true,
            address: None,
            slots: OrdMap::new(),
        };
        self.services.insert(service.id, service);
        Ok(Outcome::Accepted { generation, scaled: Vec::new(), changed: vec![run.name.clone()] })
    }

    pub(super) fn end_run(&mut self, end: &EndRun) -> Applied {
        let found = self.runs_of(&end.project).find(|s| s.name == end.name).map(|s| s.id);
        let id = found.ok_or_else(|| Refusal::NoService {
            project: end.project.clone(),
            service: end.name.clone(),
        })?;
        self.condemn(id);
        Ok(Outcome::Done)
    }

    /// What is run once beside services of a project, and was not taken away.
    pub fn runs_of(&self, project: &ProjectName) -> impl Iterator<Item = &Service> {
        let of_project = move |s: &&Service| s.one_off && !s.removed && s.project == *project;
        self.services.values().filter(of_project)
    }
}

fn spec(run: &Run, of: &ServiceSpec) -> ServiceSpec {
    let depends_on = if run.depends { of.depends_on.clone() } else { Vec::new() };
    let once = Once { before: run.service.clone(), on_unknown: OnUnknown::Wait };
    of.run_once(run.container(&of.container), depends_on, once)
}
