//! What projects may be handed of their hosts, and the commands that ask for more.

use super::Now;
use crate::limits::POLICIES;
use crate::{Deploy, Event, Outcome, Power, ProjectName, Refusal, SetPolicy, State};
use imbl::OrdSet;
use std::collections::BTreeSet;

type Applied = Result<Outcome, Refusal>;

impl State {
    /// What a project may be handed.
    pub fn granted(&self, project: &ProjectName) -> BTreeSet<Power> {
        self.policies.get(project).into_iter().flatten().copied().collect()
    }

    pub(super) fn set_policy(&mut self, now: Now, set: &SetPolicy) -> Applied {
        let was = self.granted(&set.project);
        let is = was.union(&set.grant).filter(|power| !set.revoke.contains(power)).copied();
        self.put_policy(now, &set.project, is.collect())?;
        Ok(Outcome::Done)
    }

    /// Refuses a deploy that asks for what its project was not granted, unless it grants that itself.
    pub(super) fn refuse_powers(&mut self, now: Now, deploy: &Deploy) -> Result<(), Refusal> {
        let project = &deploy.spec.name;
        if !deploy.grant {
            return self.refuse_not_granted(project, deploy.powers.iter());
        }
        let is = self.granted(project).union(&deploy.powers).copied().collect();
        self.put_policy(now, project, is)
    }

    /// Refuses what a project was not granted, or is granted no more.
    pub(super) fn refuse_not_granted<'a>(
        &self,
        project: &ProjectName,
        asked: impl Iterator<Item = &'a Power>,
    ) -> Result<(), Refusal> {
        let granted = self.granted(project);
        let missing: BTreeSet<Power> = asked.filter(|p| !granted.contains(p)).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Refusal::NotGranted { project: project.clone(), missing })
    }

    fn put_policy(
        &mut self,
        now: Now,
        project: &ProjectName,
        is: BTreeSet<Power>,
    ) -> Result<(), Refusal> {
        if is == self.granted(project) {
            return Ok(());
        }
        let known = self.policies.contains_key(project);
        if !known && self.policies.len() >= POLICIES {
            return Err(Refusal::Limit { what: "policies".into(), limit: POLICIES as u64 });
        }
        if is.is_empty() {
            self.policies.remove(project);
        } else {
            self.policies.insert(project.clone(), is.iter().copied().collect::<OrdSet<_>>());
        }
        self.record(now, Event::Policy { project: project.clone(), granted: is });
        Ok(())
    }
}
