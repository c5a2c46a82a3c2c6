//! Nobody is judged worse on one manager's word: another ready one must have said so a moment ago, and none may say
//! that it hears the node.

use super::Broken;
use manager::Manager;
use model::{NodeId, Readiness, Timers, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Milliseconds by which words and verdicts may pass each other.
const SLACK: u64 = 50;

/// What a manager heard another say, and when.
type Word = (u64, Arc<Vec<(NodeId, Duration)>>);

#[derive(Clone, Debug, Default)]
pub(super) struct Witnessed {
    words: BTreeMap<(NodeId, NodeId), Word>,
}

impl Witnessed {
    /// A manager heard a beat of another.
    pub(super) fn heard(
        &mut self,
        now: u64,
        to: NodeId,
        from: NodeId,
        said: &Arc<Vec<(NodeId, Duration)>>,
    ) {
        if !said.is_empty() {
            self.words.insert((to, from), (now, Arc::clone(said)));
        }
    }

    /// A manager starts anew: what it heard is forgotten.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.words.retain(|(to, _), _| *to != node);
    }

    /// A leader proposes verdicts.
    pub(super) fn check(
        &self,
        now: u64,
        timers: &Timers,
        leader: NodeId,
        manager: &Manager,
        verdicts: &[Verdict],
    ) -> Broken {
        let state = manager.state();
        verdicts.iter().find_map(|verdict| {
            let node = state.nodes.get(&verdict.node)?;
            if verdict.readiness <= node.readiness {
                return None;
            }
            let limit = match verdict.readiness {
                Readiness::Lost => timers.lost,
                _ => timers.suspect,
            };
            let others = state.managers().filter(|m| m.readiness == Readiness::Ready);
            let others: Vec<NodeId> =
                others.map(|m| m.id).filter(|m| *m != leader && *m != node.id).collect();
            let mut confirmed = others.is_empty();
            for witness in others {
                let Some((age, silence)) = self.word(now, leader, witness, node.id) else {
                    continue;
                };
                let fresh = timers.testimony.as_millis() as u64;
                if age + SLACK < fresh && silence + age + SLACK < limit.as_millis() as u64 {
                    return Some(format!(
                        "{leader} judges {} {}, whom {witness} hears",
                        node.id, verdict.readiness
                    ));
                }
                confirmed |= age <= fresh + SLACK;
            }
            let alone = format!("{leader} alone judges {} {}", node.id, verdict.readiness);
            (!confirmed).then_some(alone)
        })
    }

    /// How long ago a witness spoke of a node, and how long it had not heard it then, in milliseconds.
    fn word(&self, now: u64, to: NodeId, from: NodeId, of: NodeId) -> Option<(u64, u64)> {
        let (at, said) = self.words.get(&(to, from))?;
        let (_, silence) = said.iter().find(|(node, _)| *node == of)?;
        Some((now - at, silence.as_millis() as u64))
    }
}
