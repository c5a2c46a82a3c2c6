//! Each rule of liveness, one table or story per rule.

use super::world::{World, ms};
use manager::{Event, Link, Output};
use model::Readiness::{Lost, Ready, Suspect};
use model::Role::{Manager, Worker};
use model::{Command, NodeId, Refresh};

const THREE: [model::Role; 4] = [Manager, Manager, Manager, Worker];

/// A node that dies at `10_000` is ready, suspect and lost at the times that the timers say, give or
/// take a beat of a witness.
#[test]
fn fault_13_a_dead_node_is_suspect_then_lost() {
    let mut world = World::leading(&THREE);
    world.dies(4);
    world.run(11_900);
    assert_eq!(world.readiness(4), Ready);
    world.run(12_600);
    assert_eq!(world.readiness(4), Suspect);
    world.run(13_400);
    assert_eq!(world.readiness(4), Suspect);
    world.run(14_100);
    assert_eq!(world.readiness(4), Lost);
    assert_eq!(world.events(), Vec::<String>::new());
}

#[test]
fn a_short_silence_is_nothing() {
    let mut world = World::leading(&THREE);
    let before = world.state.index;
    world.dies(4);
    world.run(11_600);
    world.returns(4);
    world.run(20_000);
    assert_eq!(world.state.index, before, "nothing was proposed");
}

#[test]
fn fault_11_a_returning_node_is_ready_at_once_and_the_flap_is_counted() {
    let mut world = World::leading(&THREE);
    world.dies(4);
    world.run(15_000);
    assert_eq!(world.readiness(4), Lost);
    world.returns(4);
    world.run(15_500);
    assert_eq!(world.readiness(4), Ready);
    world.dies(4);
    world.run(20_500);
    world.returns(4);
    world.run(21_000);
    assert_eq!(world.readiness(4), Ready);
    assert_eq!(world.state.nodes[&NodeId(4)].flaps, 2);
}

/// Node 4 is heard by manager 2 but not by the leader, and not by manager 3 either: a link is broken,
/// told once, and the node stays in service.
#[test]
fn fault_08_a_broken_link_is_told_and_costs_nothing() {
    let mut world = World::leading(&THREE);
    world.cut.insert(4, world.now);
    world.deaf.insert((3, 4), world.now);
    world.run(30_000);
    assert_eq!(world.readiness(4), Ready);
    assert_eq!(world.said.iter().filter(|o| matches!(o, Output::Event(_))).count(), 1);
    assert!(world.said.contains(&Output::Event(Event::LinkBroken { node: NodeId(4) })));
    let link = |by| Link { by: NodeId(by), node: NodeId(4) };
    assert_eq!(world.manager.links(model::Time(world.now)), [link(1), link(3)]);
    world.returns(4);
    world.run(31_000);
    assert!(world.said.contains(&Output::Event(Event::LinkHealed { node: NodeId(4) })));
    assert_eq!(world.manager.links(model::Time(world.now)), []);
}

/// The leader misses a voter that another voter hears: that one should lead.
#[test]
fn leadership_goes_to_a_voter_that_hears_all() {
    let mut world = World::leading(&THREE);
    world.vote(&[1, 2, 3]);
    world.deaf.insert((2, 4), world.now);
    world.cut.insert(3, world.now);
    world.run(14_000);
    let moved = |world: &World| world.said.iter().any(|o| matches!(o, Output::HandOver { .. }));
    assert!(!moved(&world), "manager 2 misses node 4, so it would not lead better");
    world.returns(4);
    world.run(15_000);
    assert!(world.said.contains(&Output::HandOver { to: NodeId(2) }));
    world.run(60_000);
    assert_eq!(world.said.iter().filter(|o| matches!(o, Output::HandOver { .. })).count(), 1);
}

#[test]
fn fault_06_an_isolated_leader_judges_nobody() {
    let mut world = World::leading(&THREE);
    for n in 2..=4 {
        world.cut.insert(n, world.now);
    }
    world.run(60_000);
    assert_eq!([2, 3, 4].map(|n| world.readiness(n)), [Ready; 3]);
}

/// Testimony counts only while its beat is fresh: with manager 3 lost and manager 2 silent, nobody
/// confirms that node 4 is gone, until manager 2 is itself judged and the leader is alone.
#[test]
fn stale_testimony_does_not_count() {
    let mut world = World::leading(&THREE);
    world.dies(3);
    world.run(15_000);
    assert_eq!(world.readiness(3), Lost);
    world.dies(4);
    world.run(15_500);
    world.cut.insert(2, world.now);
    world.run(17_400);
    assert_eq!([world.readiness(2), world.readiness(4)], [Ready, Ready]);
    world.run(17_800);
    assert_eq!([world.readiness(2), world.readiness(4)], [Suspect, Suspect]);
}

#[test]
fn with_two_managers_the_leader_alone_suffices_for_the_other() {
    let mut world = World::leading(&[Manager, Manager, Worker]);
    world.dies(2);
    world.dies(3);
    world.run(14_500);
    assert_eq!([world.readiness(2), world.readiness(3)], [Lost, Lost]);
}

#[test]
fn a_single_manager_judges_alone() {
    let mut world = World::leading(&[Manager, Worker]);
    world.dies(2);
    world.run(13_700);
    assert_eq!(world.readiness(2), Lost);
}

/// Silence during an own stall proves nothing: after it, a dead node needs the whole time again, and
/// living ones are not touched.
#[test]
fn fault_10_an_own_stall_proves_nothing() {
    let mut world = World::leading(&[Manager, Worker, Worker]);
    let before = world.state.index;
    world.dies(3);
    world.stand_still(20_000);
    world.run(21_900);
    assert_eq!(world.state.index, before, "nothing was proposed");
    assert_eq!(world.events(), [format!("{:?}", Event::Stalled { paused: ms(10_000) })]);
    world.run(24_000);
    assert_eq!([world.readiness(2), world.readiness(3)], [Ready, Lost]);
}

/// A leader that started later than a node died counts from its own start, and does not call a lost
/// node ready that it never heard.
#[test]
fn a_lost_node_needs_to_be_heard_to_be_ready() {
    let mut world = World::leading(&THREE);
    world.dies(4);
    world.run(15_000);
    assert_eq!(world.readiness(4), Lost);
    world.stand_still(17_000);
    world.run(30_000);
    assert_eq!(world.readiness(4), Lost);
}

#[test]
fn a_new_leader_judges_at_once() {
    let mut world = World::following(&THREE);
    world.dies(2);
    world.dies(4);
    world.run(14_000);
    assert_eq!([world.readiness(2), world.readiness(4)], [Ready, Ready]);
    world.lead();
    assert_eq!([world.readiness(2), world.readiness(4)], [Lost, Lost]);
}

#[test]
fn a_leader_never_judges_itself_lost() {
    let mut world = World::following(&THREE);
    let lost = model::Verdict { node: NodeId(1), readiness: Lost };
    world.apply(Command::Judge(vec![lost]));
    assert_eq!(world.readiness(1), Lost);
    world.dies(1);
    world.lead();
    world.run(20_000);
    assert_eq!(world.readiness(1), Ready);
}

#[test]
fn a_node_that_just_joined_is_counted_from_then() {
    let mut world = World::leading(&[Manager, Worker]);
    world.run(100_000);
    world.cut.insert(3, 0);
    world.apply(Command::Join(super::world::join(3, Worker)));
    let id = world.state.index;
    world.cut.insert(id, 0);
    world.run(103_000);
    assert_eq!(world.readiness(id), Suspect);
    world.run(104_000);
    assert_eq!(world.readiness(id), Lost);
}

/// A planned stop: suspect as any other, lost only when the host does not answer or the time is over.
#[test]
fn an_absent_node_is_not_lost_while_its_host_answers() {
    let away = |world: &mut World| {
        let facts = world.state.nodes[&NodeId(4)].facts.clone();
        let away = Some(ms(60_000));
        world.apply(Command::Refresh(Refresh { node: NodeId(4), facts, address: None, away }));
        world.dies(4);
    };
    let mut world = World::leading(&THREE);
    away(&mut world);
    world.answers = true;
    world.run(69_000);
    assert_eq!(world.readiness(4), Suspect);
    assert!(world.said.contains(&Output::Probe { node: NodeId(4) }));
    world.answers = false;
    world.run(69_900);
    assert_eq!(world.readiness(4), Suspect);
    world.run(70_500);
    assert_eq!(world.readiness(4), Lost, "the time is over");

    let mut world = World::leading(&THREE);
    away(&mut world);
    world.run(16_000);
    assert_eq!(world.readiness(4), Lost, "the host does not answer");
}

/// The daemon is back and says so through the log before its first beat arrives: not lost in between.
#[test]
fn who_takes_back_an_absence_has_time_for_a_beat() {
    let mut world = World::leading(&THREE);
    let facts = world.state.nodes[&NodeId(4)].facts.clone();
    let says = |away| Refresh { node: NodeId(4), facts: facts.clone(), address: None, away };
    world.apply(Command::Refresh(says(Some(ms(60_000)))));
    world.answers = true;
    world.dies(4);
    world.run(30_000);
    assert_eq!(world.readiness(4), Suspect);
    world.apply(Command::Refresh(says(None)));
    world.run(33_000);
    assert_eq!(world.readiness(4), Suspect);
    world.run(34_500);
    assert_eq!(world.readiness(4), Lost, "it did not beat after all");
}

#[test]
fn verdicts_that_fail_are_proposed_again() {
    let mut world = World::leading(&THREE);
    world.dies(4);
    world.log_stuck = true;
    world.run(20_000);
    assert_eq!(world.readiness(4), Ready);
    world.log_stuck = false;
    world.run(20_200);
    assert_eq!(world.readiness(4), Lost);
}

#[test]
fn voters_are_said_at_once_when_they_change_and_again_later() {
    let mut world = World::leading(&THREE);
    let said = |world: &World| {
        let voters = |o: &Output| match o {
            Output::Reconcile { voters, learners } => Some((voters.len(), learners.len())),
            _ => None,
        };
        world.said.iter().filter_map(voters).collect::<Vec<_>>()
    };
    assert_eq!(said(&world), [(1, 2)]);
    let to = [1, 2, 3].map(NodeId).into();
    world.apply(Command::Plan(vec![model::Change::Voters { was: [NodeId(1)].into(), to }]));
    assert_eq!(said(&world), [(1, 2), (3, 0)]);
    world.run(15_000);
    assert_eq!(said(&world), [(1, 2), (3, 0), (3, 0)]);
}

/// All managers were cut off from each other for long, so nobody could decide. When the network is whole
/// again, what each of them missed meanwhile proves nothing: nobody is judged that is heard soon.
#[test]
fn an_own_isolation_proves_nothing() {
    let mut world = World::following(&THREE);
    world.vote(&[1, 2, 3]);
    world.run(12_000);
    let before = world.state.index;
    for n in 2..=4 {
        world.dies(n);
    }
    world.run(30_000);
    world.returns(2);
    world.deaf.insert((2, 3), 12_000);
    world.deaf.insert((2, 4), 12_000);
    world.lead();
    world.run(30_400);
    world.run(30_600);
    world.returns(3);
    world.returns(4);
    world.run(40_000);
    assert_eq!(world.state.index, before, "nothing was proposed");

    world.dies(4);
    world.run(44_500);
    assert_eq!(world.readiness(4), Lost, "what it misses from then on counts");
}

#[test]
fn who_is_cut_off_from_the_voters_does_not_testify() {
    let mut world = World::following(&THREE);
    world.vote(&[1, 2, 3]);
    world.run(12_000);
    let says = |world: &World| world.manager.testimony(model::Time(world.now)).len();
    assert_eq!(says(&world), 3);
    world.dies(2);
    world.run(15_000);
    assert_eq!(says(&world), 3, "one voter less is still a majority");
    world.dies(3);
    world.run(18_000);
    assert_eq!(says(&world), 0);
}
