//! What the leader is told, and how often.

mod support;

use agent::{ContainerId, Input};
use model::TaskState;
use support::*;

fn up(n: u64) -> model::Assignment {
    in_state(TaskState::Running, task(n))
}

#[test]
fn one_report_under_way_with_only_what_changed() {
    let mut rig = Rig::ready(vec![up(1), up(2)], vec![running(1), running(2)]);
    let (number, report) = rig.reports.remove(0);
    assert_eq!(report.statuses.len(), 2);
    rig.input(Input::Changed(exited(1, 0)));
    assert!(rig.reports.is_empty(), "the first is not answered yet");
    rig.input(Input::Reported { number, accepted: true });
    let (_, report) = rig.reports.remove(0);
    assert_eq!(report.statuses.len(), 1);
    assert_eq!(report.statuses[0].state, TaskState::Exited { code: 0 });
}

#[test]
fn a_lost_report_is_repeated_and_one_without_answer_counts_as_lost() {
    let mut rig = Rig::ready(vec![up(1)], vec![running(1)]);
    let (number, first) = rig.reports.remove(0);
    rig.input(Input::Reported { number, accepted: false });
    assert!(rig.reports.is_empty());
    rig.pass_alone(500);
    let (second, repeated) = rig.reports.remove(0);
    assert_eq!(repeated, first);
    assert!(second > number);
    rig.pass_alone(5_000);
    let (_, repeated) = rig.reports.remove(0);
    assert_eq!(repeated, first);
    // An answer to one that was given up is nobody's.
    rig.input(Input::Reported { number: second, accepted: true });
    rig.pass_alone(5_000);
    assert_eq!(rig.reports.len(), 1);
}

#[test]
fn a_session_gets_a_full_report() {
    let mut rig = Rig::ready(vec![up(1), up(2)], vec![running(1), running(2)]);
    rig.told(1);
    rig.pass(60_000);
    assert!(rig.reports.is_empty(), "nothing changed");
    rig.input(Input::Session);
    assert_eq!(rig.reports[0].1.statuses.len(), 2);
}

#[test]
fn what_is_recorded_as_ended_is_not_told_again() {
    let ended = in_state(TaskState::Exited { code: 0 }, task(1));
    let rig = Rig::ready(vec![ended], vec![exited(1, 0)]);
    assert!(rig.reports.is_empty());
}

#[test]
fn memory_alone_is_told_now_and_then() {
    let mut rig = Rig::ready(vec![up(1)], vec![running(1)]);
    rig.told(1);
    let used = |n: u64| Input::Memory(vec![(ContainerId("c1".into()), n << 24)]);
    rig.pass(30_000);
    rig.input(used(1));
    assert_eq!(rig.told(1).unwrap().memory, 1 << 24);
    rig.input(used(2));
    rig.pass(29_000);
    assert!(rig.reports.is_empty());
    rig.pass(1_000);
    assert_eq!(rig.told(1).unwrap().memory, 2 << 24);
}
