//! Choosing a replica: a table of cases, and what must hold whatever happens.

use model::{NodeId, TaskId, Time};
use network::Balancer;
use network::limits::{EJECT_FIRST, EJECT_MAX};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const START: Time = Time(1_000);

fn task(n: u64) -> TaskId {
    TaskId { index: n, position: 0 }
}

/// Replicas 1 to `n`, all serving, odd ones on node 1, even ones on node 2.
fn balancer(n: u64) -> Balancer {
    let mut balancer = Balancer::default();
    balancer.set((1..=n).map(|n| (task(n), node(n), true)));
    balancer
}

fn node(n: u64) -> NodeId {
    NodeId(2 - n % 2)
}

fn picks(balancer: &mut Balancer, now: Time, times: usize) -> Vec<u64> {
    (0..times).filter_map(|_| balancer.pick(now, &[])).map(|task| task.index).collect()
}

#[test]
fn equals_take_turns() {
    let mut balancer = balancer(3);
    let mut order = Vec::new();
    for _ in 0..6 {
        let task = balancer.pick(START, &[]).unwrap();
        order.push(task.index);
        balancer.finished(task);
    }
    assert_eq!(order, [1, 2, 3, 1, 2, 3]);
}

#[test]
fn the_least_busy_is_first() {
    let mut balancer = balancer(3);
    assert_eq!(picks(&mut balancer, START, 6), [1, 2, 3, 1, 2, 3]);
    balancer.finished(task(2));
    balancer.finished(task(2));
    assert_eq!(picks(&mut balancer, START, 3), [2, 2, 1]);
}

#[test]
fn those_already_tried_are_left_out() {
    let mut balancer = balancer(2);
    assert_eq!(balancer.pick(START, &[task(1)]), Some(task(2)));
    assert_eq!(balancer.pick(START, &[task(1), task(2)]), None);
}

#[test]
fn an_ejection_lasts_longer_each_time_up_to_a_limit_and_an_answer_ends_the_row() {
    let mut balancer = balancer(2);
    let mut now = START;
    for expected in [1, 2, 4, 8, 16, 30, 30] {
        assert_eq!(balancer.pick(now, &[task(2)]), Some(task(1)));
        assert!(balancer.failed(now, task(1)));
        let almost = now + Duration::from_millis(expected * 1_000 - 1);
        assert_eq!(balancer.ejected(almost), 1);
        now = now + Duration::from_secs(expected);
        assert_eq!(balancer.ejected(now), 0);
    }
    balancer.pick(now, &[task(2)]);
    balancer.answered(task(1));
    balancer.finished(task(1));
    balancer.pick(now, &[task(2)]);
    balancer.failed(now, task(1));
    assert_eq!(balancer.ejected(now + EJECT_FIRST), 0);
}

#[test]
fn failures_of_one_moment_count_once() {
    let mut balancer = balancer(1);
    assert_eq!(picks(&mut balancer, START, 10).len(), 10);
    let ejected = (0..10).filter(|_| balancer.failed(START, task(1))).count();
    assert_eq!((ejected, balancer.ejected(START + EJECT_FIRST)), (1, 0));
}

#[test]
fn one_connection_at_a_time_tries_whether_a_replica_works_again() {
    let mut balancer = balancer(2);
    assert_eq!(picks(&mut balancer, START, 2), [1, 2]);
    balancer.failed(START, task(1));
    let later = START + EJECT_FIRST;
    assert_eq!(picks(&mut balancer, later, 3), [1, 2, 2]);
    balancer.answered(task(1));
    assert_eq!(picks(&mut balancer, later, 1), [1]);
}

#[test]
fn when_all_are_out_the_one_whose_time_is_up_first_is_tried() {
    let mut balancer = balancer(2);
    picks(&mut balancer, START, 2);
    balancer.failed(START, task(2));
    balancer.failed(START + Duration::from_millis(10), task(1));
    assert_eq!(balancer.pick(START + Duration::from_millis(20), &[]), Some(task(2)));
}

#[test]
fn a_node_that_cannot_be_reached_takes_all_its_replicas_out_until_it_is_back() {
    let mut balancer = balancer(4);
    assert_eq!(balancer.node_failed(START, NodeId(2)), 2);
    assert_eq!(picks(&mut balancer, START, 4), [1, 3, 1, 3]);
    balancer.node_back(NodeId(2));
    assert_eq!(picks(&mut balancer, START, 4), [2, 4, 2, 4]);
}

#[test]
fn a_replica_that_left_and_came_back_is_as_busy_as_before() {
    let mut balancer = balancer(2);
    assert_eq!(picks(&mut balancer, START, 4), [1, 2, 1, 2]);
    balancer.set([(task(1), node(1), true)]);
    assert_eq!(balancer.open(task(2)), 2);
    balancer.finished(task(2));
    balancer.set([(task(1), node(1), true), (task(2), node(2), true)]);
    assert_eq!(picks(&mut balancer, START, 3), [2, 1, 2]);
}

/// What can happen to a balancer.
#[derive(Clone, Debug)]
enum Step {
    Set(Vec<(u64, bool)>),
    Pick,
    End { which: usize, how: u8 },
    NodeFailed(u64),
    NodeBack(u64),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => prop::collection::vec((1..6_u64, any::<bool>()), 0..6).prop_map(Step::Set),
        6 => Just(Step::Pick),
        4 => (any::<usize>(), 0..3_u8).prop_map(|(which, how)| Step::End { which, how }),
        1 => (1..3_u64).prop_map(Step::NodeFailed),
        1 => (1..3_u64).prop_map(Step::NodeBack),
        2 => (0..3_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_happens(steps in prop::collection::vec(step(), 1..120)) {
        let mut balancer = Balancer::default();
        let mut now = START;
        let mut listed: BTreeMap<u64, bool> = BTreeMap::new();
        let mut open: Vec<u64> = Vec::new();
        let mut troubled = false;
        for step in steps {
            match step {
                Step::Set(list) => {
                    listed = list.into_iter().collect();
                    balancer.set(listed.iter().map(|(&n, &s)| (task(n), node(n), s)));
                }
                Step::Pick => {
                    let busy = |n: u64| open.iter().filter(|o| **o == n).count();
                    let serving: Vec<u64> =
                        listed.iter().filter(|(_, s)| **s).map(|(&n, _)| n).collect();
                    let picked = balancer.pick(now, &[]).map(|t| t.index);
                    prop_assert_eq!(picked.is_some(), !serving.is_empty(), "someone serves, or nobody");
                    let Some(picked) = picked else { continue };
                    prop_assert!(serving.contains(&picked), "{} does not serve", picked);
                    if !troubled {
                        let least = serving.iter().map(|&n| busy(n)).min();
                        prop_assert_eq!(Some(busy(picked)), least, "not the least busy");
                    }
                    open.push(picked);
                }
                Step::End { which, how } => {
                    if open.is_empty() { continue }
                    let n = open.swap_remove(which % open.len());
                    match how {
                        0 => { balancer.failed(now, task(n)); troubled = true }
                        1 => { balancer.answered(task(n)); balancer.finished(task(n)) }
                        _ => balancer.finished(task(n)),
                    }
                }
                Step::NodeFailed(n) => { balancer.node_failed(now, NodeId(n)); troubled = true }
                Step::NodeBack(n) => balancer.node_back(NodeId(n)),
                Step::Wait(ms) => now = now + Duration::from_millis(ms),
            }
            for n in 1..6 {
                let expected = open.iter().filter(|o| **o == n).count();
                prop_assert_eq!(balancer.open(task(n)) as usize, expected, "count of {}", n);
            }
        }
        prop_assert_eq!(balancer.ejected(now + EJECT_MAX), 0, "no ejection is for ever");
    }
}
