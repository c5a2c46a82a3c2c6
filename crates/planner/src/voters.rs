//! Who decides: the set of voters to wish for. An odd number of managers, as many as the cluster keeps;
//! those that vote go on voting; one that is lost for long gives its place to a ready manager. What a
//! node is to run (drain, pause, away) is of no account here, but for one case: the only voter cannot leave
//! the others without a vote, so when it is drained it hands the vote on.

use crate::draft::Draft;
use crate::tables::Tables;
use model::{Availability, Change, Node, NodeId, Readiness};
use std::collections::BTreeSet;

/// Wishes for another set of voters when there is a better one.
pub(crate) fn wish(t: &Tables<'_>, draft: &mut Draft) {
    let Some(cluster) = &t.state.cluster else { return };
    let managers: Vec<&Node> = t.state.managers().collect();
    let count = odd_at_most((cluster.voter_count as usize).min(managers.len()));
    let chosen = choose(t, &managers, count, draft);
    let to = heir(t, &managers, &chosen, draft).map_or(chosen, |heir| BTreeSet::from([heir]));
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

/// Who takes over from the only voter when that is drained: a manager that is to stay and that has been
/// heard steadily. The vote does not come back by itself, so this moves it once.
fn heir(
    t: &Tables<'_>,
    managers: &[&Node],
    chosen: &BTreeSet<NodeId>,
    draft: &mut Draft,
) -> Option<NodeId> {
    let (Some(only), 1) = (chosen.first(), chosen.len()) else { return None };
    if t.state.nodes.get(only)?.availability != Availability::Drain {
        return None;
    }
    let stays =
        |n: &&&Node| n.readiness == Readiness::Ready && n.availability != Availability::Drain;
    for node in managers.iter().filter(stays) {
        let trusted = node.trusted_from(t.settings.steady, t.settings.steady_max);
        let from = trusted.max(node.away_until.unwrap_or_default());
        if from <= t.now {
            return Some(node.id);
        }
        draft.wake(from);
    }
    None
}

/// Whether a majority of a set is ready: no other set is wished for.
fn has_quorum(managers: &[&Node], voters: &BTreeSet<NodeId>) -> bool {
    let ready = |n: &&&Node| voters.contains(&n.id) && n.readiness == Readiness::Ready;
    managers.iter().filter(ready).count() > voters.len() / 2
}
