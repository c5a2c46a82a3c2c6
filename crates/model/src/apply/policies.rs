//! What projects may be handed of their hosts, and the commands that ask for more.

use super::Now;
use crate::limits::{PERMITS, POLICIES};
use crate::{Deploy, Event, Outcome, Permit, ProjectName, Refusal, SetPolicy, State};
use imbl::OrdSet;
use std::collections::BTreeSet;

type Applied = Result<Outcome, Refusal>;

impl State {
    /// What a project may be handed.
    pub fn granted(&self, project: &ProjectName) -> BTreeSet<Permit> {
        self.policies.get(project).into_iter().flatten().cloned().collect()
    }

    pub(super) fn set_policy(&mut self, now: Now, set: &SetPolicy) -> Applied {
        let was = self.granted(&set.project);
        let part_of_whole = |taken: &&Permit| {
            let whole = Permit::whole(taken.power());
            !taken.is_whole() && was.contains(&whole) && !set.revoke.contains(&whole)
        };
        if let Some(taken) = set.revoke.iter().find(part_of_whole) {
            let (project, power) = (set.project.clone(), taken.power());
            return Err(Refusal::GrantedWhole { project, power });
        }
        let is = was.union(&set.grant).filter(|permit| !permit.is_among(&set.revoke)).cloned();
        self.put_policy(now, &set.project, is.collect())?;
        Ok(Outcome::Done)
    }

    /// Refuses a deploy that asks for what its project was not granted, unless it grants that itself.
    pub(super) fn refuse_powers(&mut self, now: Now, deploy: &Deploy) -> Result<(), Refusal> {
        let project = &deploy.spec.name;
        if !deploy.grant {
            return self.refuse_not_granted(project, deploy.powers.iter());
        }
        let is = self.granted(project).union(&deploy.powers).cloned().collect();
        self.put_policy(now, project, is)
    }

    /// Refuses what a project was not granted, or is granted no more.
    pub(super) fn refuse_not_granted<'a>(
        &self,
        project: &ProjectName,
        asked: impl Iterator<Item = &'a Permit>,
    ) -> Result<(), Refusal> {
        let granted = self.granted(project);
        let missing: BTreeSet<Permit> = asked.filter(|p| !p.is_among(&granted)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Refusal::NotGranted { project: project.clone(), missing })
    }

    fn put_policy(
        &mut self,
        now: Now,
        project: &ProjectName,
        mut is: BTreeSet<Permit>,
    ) -> Result<(), Refusal> {
        let wholes: BTreeSet<Permit> = is.iter().filter(|p| p.is_whole()).cloned().collect();
        is.retain(|permit| permit.is_whole() || !permit.is_among(&wholes));
        if is == self.granted(project) {
            return Ok(());
        }
        let known = self.policies.contains_key(project);
        if !known && self.policies.len() >= POLICIES {
            return Err(Refusal::Limit { what: "policies".into(), limit: POLICIES as u64 });
        }
        if is.len() > PERMITS {
            let what = format!("what {project} is granted of its hosts");
            return Err(Refusal::Limit { what, limit: PERMITS as u64 });
        }
        if is.is_empty() {
            self.policies.remove(project);
        } else {
            self.policies.insert(project.clone(), is.iter().cloned().collect::<OrdSet<_>>());
        }
        self.record(now, Event::Policy { project: project.clone(), granted: is });
        Ok(())
    }
}
