//! Who decides: the set of voters to wish for. An odd number of managers, as many as the cluster keeps;
//! those that vote go on voting; one that is lost for long gives its place to a ready manager. What a
//! node is to run (drain, pause, away) is of no account here.

use crate::draft::Draft;
use crate::tables::Tables;
use model::{Change, Node, NodeId, Readiness};
use std::collections::BTreeSet;

/// Wishes for another set of voters when there is a better one.
pub(crate) fn wish(t: &Tables<'_>, draft: &mut Draft) {
    let Some(cluster) = &t.state.cluster else { return };
    let managers: Vec<&Node> = t.state.managers().collect();
    let count = odd_at_most((cluster.voter_count as usize).min(managers.len()));
    let to = choose(t, &managers, count, draft);
    let was: BTreeSet<NodeId> = t.state.voters.iter().copied().collect();
    if to != was && has_quorum(&managers, &to) {
        draft.push(Change::Voters { was, to });
    }
}

fn odd_at_most(n: usize) -> usize {
    if n.is_multiple_of(2) { n.saturating_sub(1) } else { n }
}

/// Voters that are not lost for long, then ready managers, then voters lost for long: the first `count`
/// of them, or one fewer where that makes an odd number.
fn choose(t: &Tables<'_>, managers: &[&Node], count: usize, draft: &mut Draft) -> BTreeSet<NodeId> {
    let mut candidates: Vec<(u8, NodeId)> = Vec::new();
    for node in managers {
        let votes = t.state.voters.contains(&node.id);
        let lost_until = node.readiness_since + t.settings.voter_lost;
        let class = match (votes, node.readiness) {
            (true, Readiness::Ready) => 0,
            (true, Readiness::Lost) if t.now >= lost_until => 3,
            (true, _) => 1,
            (false, Readiness::Ready) => 2,
            (false, _) => continue,
        };
        if votes && node.readiness == Readiness::Lost {
            draft.wake(lost_until);
        }
        candidates.push((class, node.id));
    }
    candidates.sort_unstable();
    let count = count.min(odd_at_most(candidates.len()));
    candidates.into_iter().take(count).map(|(_, id)| id).collect()
}

/// Whether a majority of a set is ready: no other set is wished for.
fn has_quorum(managers: &[&Node], voters: &BTreeSet<NodeId>) -> bool {
    let ready = |n: &&&Node| voters.contains(&n.id) && n.readiness == Readiness::Ready;
    managers.iter().filter(ready).count() > voters.len() / 2
}
