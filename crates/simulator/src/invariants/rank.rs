//! A task's state never goes back, an ended one never changes, and a stop is never taken back.

use super::{Broken, Touched};
use model::Wanted;

pub(super) fn check(touched: &[Touched<'_>]) -> Broken {
    touched.iter().find_map(|t| {
        let (Some(before), Some(after)) = (t.before, t.after) else { return None };
        let back = after.state.rank() < before.state.rank()
            || before.state.ended() && after.state != before.state
            || before.wanted == Wanted::Stop && after.wanted == Wanted::Run;
        back.then(|| format!("task {}: {:?} became {:?}", before.id, before.state, after.state))
    })
}
