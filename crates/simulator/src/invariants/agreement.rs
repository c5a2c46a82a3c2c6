//! Two members that applied the same entries hold the same state.

use super::Broken;
use model::{NodeId, State};

/// Tasks above which not every state is compared.
const LARGE: usize = 500;

#[derive(Clone, Debug, Default)]
pub(super) struct Agreement {
    seen: u64,
}

impl Agreement {
    pub(super) fn check(&mut self, member: NodeId, own: &State, all: &State) -> Broken {
        self.seen += 1;
        if own.index != all.index || all.tasks.len() > LARGE && !self.seen.is_multiple_of(100) {
            return None;
        }
        (own != all).then(|| format!("the state of member {member} differs"))
    }
}
