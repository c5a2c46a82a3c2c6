//! Who decides.

use crate::world::{World, facts, secs};
use model::{Availability, Command, Outcome, Readiness, RemoveNode, Role};
use std::collections::BTreeSet;

fn voters(w: &World) -> Vec<String> {
    w.state.voters.iter().map(|v| w.state.node_name(*v)).collect()
}

#[test]
fn an_odd_number_of_managers_votes() {
    for (managers, expected) in [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (7, 5)] {
        let mut w = World::new(managers);
        w.join(99, Role::Worker, facts());
        w.settle();
        assert_eq!(w.state.voters.len(), expected, "{managers} managers");
        assert!(w.state.voters.iter().all(|v| w.state.nodes[v].role == Role::Manager));
    }
}

#[test]
fn a_voter_lost_for_long_gives_its_place_to_a_ready_manager() {
    let mut w = World::new(4);
    w.settle();
    assert_eq!(voters(&w), ["node1", "node2", "node3"]);
    w.judge(2, Readiness::Lost);
    w.run(secs(59));
    assert_eq!(voters(&w), ["node1", "node2", "node3"]);
    w.run(secs(2));
    assert_eq!(voters(&w), ["node1", "node3", "node4"]);
    w.judge(2, Readiness::Ready);
    w.run(secs(1_000));
    assert_eq!(voters(&w), ["node1", "node3", "node4"], "those that vote go on voting");
}

#[test]
fn with_nobody_to_take_its_place_a_lost_voter_stays() {
    let mut w = World::new(3);
    w.settle();
    w.judge(2, Readiness::Lost);
    w.run(secs(1_000));
    assert_eq!(voters(&w), ["node1", "node2", "node3"]);
}

#[test]
fn what_a_node_runs_is_of_no_account() {
    let mut w = World::new(4);
    w.settle();
    let before = voters(&w);
    w.set(1, Availability::Drain);
    w.away(2, secs(60));
    w.run(secs(100));
    assert_eq!(voters(&w), before);
}

#[test]
fn a_removed_manager_votes_no_more() {
    let mut w = World::new(3);
    w.settle();
    w.judge(3, Readiness::Lost);
    let node = w.node(3);
    w.apply(Command::RemoveNode(RemoveNode { node, force: false }));
    w.settle();
    assert_eq!(voters(&w), ["node1"], "two managers: one votes");
    w.join(4, Role::Manager, facts());
    w.settle();
    assert_eq!(voters(&w), ["node1", "node2", "node4"]);
}

#[test]
fn the_only_voter_hands_its_vote_on_when_it_is_drained_and_not_back() {
    let mut w = World::new(2);
    w.settle();
    assert_eq!(voters(&w), ["node1"]);
    w.set(2, Availability::Drain);
    w.run(secs(10));
    assert_eq!(voters(&w), ["node1"], "who votes and is not drained goes on voting");
    w.set(1, Availability::Drain);
    w.run(secs(10));
    assert_eq!(voters(&w), ["node1"], "with both drained nothing is gained");
    w.set(2, Availability::Active);
    w.settle();
    assert_eq!(voters(&w), ["node2"]);
    w.set(1, Availability::Active);
    w.run(secs(1_000));
    assert_eq!(voters(&w), ["node2"]);
    let node = w.node(1);
    let gone = w.apply(Command::RemoveNode(RemoveNode { node, force: true }));
    assert_eq!(gone, Outcome::Done);
}

#[test]
fn the_only_vote_goes_to_a_manager_that_stays() {
    let mut w = World::new(2);
    w.settle();
    w.away(2, secs(60));
    w.set(1, Availability::Drain);
    w.run(secs(59));
    assert_eq!(voters(&w), ["node1"], "not to one that is about to stop");
    w.run(secs(2));
    assert_eq!(voters(&w), ["node2"]);

    let mut w = World::new(2);
    w.settle();
    w.judge(2, Readiness::Lost);
    w.set(1, Availability::Drain);
    w.run(secs(1_000));
    assert_eq!(voters(&w), ["node1"], "not to one that is lost");
    w.judge(2, Readiness::Ready);
    w.run(secs(4));
    assert_eq!(voters(&w), ["node1"], "not to one that came back just now");
    w.run(secs(2));
    assert_eq!(voters(&w), ["node2"]);
}

#[test]
fn more_voters_on_request() {
    let mut w = World::new(7);
    w.apply(Command::SetVoters { count: 7 });
    w.settle();
    assert_eq!(w.state.voters.len(), 7);
    w.apply(Command::SetVoters { count: 3 });
    w.judge(1, Readiness::Suspect);
    w.settle();
    let expected: BTreeSet<_> = [2, 3, 4].map(|n| w.node(n)).into();
    assert_eq!(w.state.voters.iter().copied().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn no_set_without_a_ready_majority_is_wished_for() {
    let mut w = World::new(3);
    w.settle();
    w.judge(1, Readiness::Lost);
    w.judge(2, Readiness::Lost);
    w.join(4, Role::Manager, facts());
    w.now = w.now + secs(1);
    assert!(w.step().is_empty());
}
