//! What was acknowledged happened once: a request that comes again changes nothing, and is answered as before.

use super::Broken;
use crate::log::Commit;
use model::{Outcome, RequestId, State};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(super) struct Acknowledged {
    outcomes: BTreeMap<RequestId, Outcome>,
}

impl Acknowledged {
    pub(super) fn check(&mut self, was: &State, is: &State, commit: &Commit) -> Broken {
        let request = commit.entry.as_ref()?.request?;
        let outcome = commit.outcome.clone()?;
        let Some(first) = self.outcomes.get(&request) else {
            self.outcomes.insert(request, outcome);
            return None;
        };
        if *first != outcome {
            return Some(format!("a request was answered with {first:?}, then with {outcome:?}"));
        }
        // An entry moves these, whatever it does.
        let mut unmoved = was.clone();
        (unmoved.index, unmoved.now) = (is.index, is.now);
        unmoved.requests.clone_from(&is.requests);
        (unmoved != *is).then(|| "a request that came again changed something".to_owned())
    }
}
