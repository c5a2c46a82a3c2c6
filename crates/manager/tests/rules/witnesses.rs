//! Property: while another manager is ready, no node is lost on the word of fewer than two.

use super::world::World;
use model::Role::{Manager, Worker};
use model::{Node, NodeId, Readiness, State};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One change of who hears whom.
#[derive(Clone, Debug)]
enum Turn {
    /// Node 1 stops or resumes hearing a node.
    Cut(u64, bool),
    /// Another manager stops or resumes hearing a node.
    Deaf(u64, u64, bool),
    /// Time passes, in steps of 50 ms.
    Pass(u64),
    /// The manager under test stands still.
    Stall(u64),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        3 => (2..=6_u64, any::<bool>()).prop_map(|(n, off)| Turn::Cut(n, off)),
        4 => (2..=3_u64, 2..=6_u64, any::<bool>()).prop_map(|(w, n, off)| Turn::Deaf(w, n, off)),
        6 => (1..=60_u64).prop_map(Turn::Pass),
        1 => (1..=60_u64).prop_map(Turn::Stall),
    ]
}

/// Beats come each half second, so what somebody missed since `at` he may have heard until then.
const LOST: u64 = 3_500;
const BEAT: u64 = 500;
/// How old a witness's word may be, and a step.
const TESTIMONY: u64 = 2 * BEAT + 50;

/// The world, and what is true of who hears whom in it.
struct Trial {
    world: World,
    /// Links mended of late, (witness, node): silent since, mended at. The witness hears again, but its
    /// last word at the leader is still the old one.
    outdated: BTreeMap<(u64, u64), (u64, u64)>,
}

impl Trial {
    fn step(&mut self) {
        let before = self.world.state.clone();
        self.world.run(self.world.now + 50);
        let after: Vec<_> = self.world.state.nodes.values().map(|n| (n.id, n.readiness)).collect();
        for (node, readiness) in after {
            if readiness == Readiness::Lost && before.nodes[&node].readiness != Readiness::Lost {
                self.assert_two_missed(node, &before);
            }
        }
    }

    fn assert_two_missed(&self, node: NodeId, before: &State) {
        let now = self.world.now;
        let silent = |at: Option<&u64>, for_| at.is_some_and(|at| at + for_ <= now);
        assert!(silent(self.world.cut.get(&node.0), LOST - BEAT), "the leader missed {node}");
        let ready =
            |n: &&Node| n.readiness == Readiness::Ready && n.id != node && n.id != NodeId(1);
        let others: Vec<u64> = before.managers().filter(ready).map(|n| n.id.0).collect();
        let confirms = |w: &u64| {
            let heard_lately = !silent(self.world.cut.get(w), TESTIMONY);
            let link = (*w, node.0);
            let was_silent = self.outdated.get(&link).is_some_and(|(since, mended)| {
                since + LOST - BEAT <= now && now <= mended + TESTIMONY
            });
            heard_lately && (was_silent || silent(self.world.deaf.get(&link), LOST - BEAT))
        };
        assert!(others.is_empty() || others.iter().any(confirms), "a second witness of {node}");
    }

    /// Steps until the next one brings a beat: a link that is mended carries one at once.
    fn await_beat(&mut self) {
        while !(self.world.now + 50).is_multiple_of(BEAT) {
            self.step();
        }
    }

    fn take(&mut self, turn: Turn) {
        let now = self.world.now;
        match turn {
            Turn::Cut(n, true) => {
                self.world.cut.entry(n).or_insert(now);
            }
            Turn::Cut(n, false) => {
                self.await_beat();
                self.world.cut.remove(&n);
                self.step();
            }
            Turn::Deaf(w, n, true) => {
                self.world.deaf.entry((w, n)).or_insert(now);
            }
            Turn::Deaf(w, n, false) => {
                self.await_beat();
                if let Some(since) = self.world.deaf.remove(&(w, n)) {
                    self.outdated.insert((w, n), (since, self.world.now));
                }
                self.step();
                if !self.world.cut.contains_key(&w) {
                    self.outdated.remove(&(w, n));
                }
            }
            Turn::Pass(steps) => (0..steps).for_each(|_| self.step()),
            Turn::Stall(steps) => self.world.stand_still(now + steps * 50),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn two_witnesses_or_nobody_else(turns in proptest::collection::vec(turn(), 1..60)) {
        let world = World::leading(&[Manager, Manager, Manager, Worker, Worker, Worker]);
        let mut trial = Trial { world, outdated: BTreeMap::new() };
        for turn in turns {
            trial.take(turn);
        }
    }
}
