//! Property: while another manager is ready, no node is lost on the word of fewer than two.

use super::world::World;
use model::Role::{Manager, Worker};
use model::{NodeId, Readiness};
use proptest::prelude::*;

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

fn step(world: &mut World) {
    let before = world.state.clone();
    world.run(world.now + 50);
    for node in world.state.nodes.values() {
        let was = before.nodes[&node.id].readiness;
        if node.readiness != Readiness::Lost || was == Readiness::Lost {
            continue;
        }
        let ready = |n: &&model::Node| {
            n.readiness == Readiness::Ready && n.id != node.id && n.id != NodeId(1)
        };
        let others: Vec<u64> = before.managers().filter(ready).map(|n| n.id.0).collect();
        let silent = |at: Option<&u64>, for_| at.is_some_and(|at| at + for_ <= world.now);
        assert!(silent(world.cut.get(&node.id.0), LOST - BEAT), "the leader missed {}", node.id);
        let confirms = |w: &u64| {
            let heard_lately = !silent(world.cut.get(w), 2 * BEAT + 50);
            heard_lately && silent(world.deaf.get(&(*w, node.id.0)), LOST - BEAT)
        };
        assert!(
            others.is_empty() || others.iter().any(confirms),
            "a second witness of {}",
            node.id
        );
    }
}

/// Lets whoever is heard again beat once: being mended and cut in the same instant is not being mended.
fn beat(world: &mut World) {
    (0..=BEAT / 50).for_each(|_| step(world));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn two_witnesses_or_nobody_else(turns in proptest::collection::vec(turn(), 1..60)) {
        let mut world = World::leading(&[Manager, Manager, Manager, Worker, Worker, Worker]);
        for turn in turns {
            match turn {
                Turn::Cut(n, true) => { world.cut.entry(n).or_insert(world.now); }
                Turn::Cut(n, false) => {
                    world.cut.remove(&n);
                    beat(&mut world);
                }
                Turn::Deaf(w, n, true) => { world.deaf.entry((w, n)).or_insert(world.now); }
                Turn::Deaf(w, n, false) => {
                    world.deaf.remove(&(w, n));
                    beat(&mut world);
                }
                Turn::Pass(steps) => (0..steps).for_each(|_| step(&mut world)),
                Turn::Stall(steps) => world.stand_still(world.now + steps * 50),
            }
        }
    }
}
