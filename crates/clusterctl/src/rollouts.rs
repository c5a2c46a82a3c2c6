//! What the roll-out of a service means for those who wait for it: it is there when the roll-out has ended, and
//! never comes when that is paused or went back. Pure.

use crate::wait::{Group, Line, Rollouts, Step};
use api::v1::{RolloutSummary, ServiceSummary};

/// How the line of a paused roll-out begins.
pub(crate) const PAUSED: &str = "Paused: ";

/// A service on its way, with what its roll-out says. One that ended before the change at the index `at_least`
/// says nothing about that.
pub(crate) fn judged(
    mut group: Group,
    service: &ServiceSummary,
    at_least: u64,
    ending: Rollouts,
) -> Group {
    let Some(rollout) = service.rollout.as_ref().filter(|_| !service.removed) else { return group };
    if rollout.moved < at_least && rollout.ended {
        return group;
    }
    if let Some(text) = verdict(rollout, service, &group, ending) {
        let step = Step::Failed;
        group.lines.insert(0, Line { name: group.name.clone(), step, text });
        group.step = step;
    } else if !rollout.ended {
        group.text = format!("{}, {}", group.text, on_its_way(rollout));
        group.step = group.step.max(Step::Busy);
    }
    group
}

/// Why a service will not come to what was asked for, if it will not.
fn verdict(
    rollout: &RolloutSummary,
    service: &ServiceSummary,
    group: &Group,
    ending: Rollouts,
) -> Option<String> {
    let RolloutSummary { reason, release, failed, .. } = rollout;
    if rollout.paused {
        return Some(format!("{PAUSED}{reason}"));
    }
    if rollout.ended && rollout.back {
        let went_back = || format!("{reason}; rolled back to release {release}");
        return (ending == Rollouts::Forward).then(went_back);
    }
    (rollout.ended && *failed > 0 && group.step != Step::Done).then(|| {
        let (wanted, last) = (service.wanted, &rollout.last_failure);
        format!("{failed} of {wanted} new replicas failed ({last}); the others were rolled out")
    })
}

fn on_its_way(rollout: &RolloutSummary) -> String {
    let RolloutSummary { reason, release, failed, last_failure, .. } = rollout;
    match (rollout.back, failed) {
        (true, _) => format!("rolling back to release {release}: {reason}"),
        (false, 0) => format!("rolling out release {release}"),
        (false, _) => {
            format!("rolling out release {release}, {failed} failed (last: {last_failure})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(step: Step) -> Group {
        Group { name: "shop/web".into(), step, text: "3/3".into(), lines: Vec::new() }
    }

    fn service(rollout: RolloutSummary) -> ServiceSummary {
        ServiceSummary { wanted: 3, rollout: Some(rollout), ..ServiceSummary::default() }
    }

    fn failed() -> RolloutSummary {
        let reason = "1 of 3 new replicas failed (exited 1)".into();
        RolloutSummary { reason, release: 4, moved: 12, ..RolloutSummary::default() }
    }

    fn told(rollout: RolloutSummary, ending: Rollouts) -> (Step, String) {
        let judged = judged(group(Step::Done), &service(rollout), 10, ending);
        (judged.step, judged.lines.first().map_or(judged.text, |line| line.text.clone()))
    }

    #[test]
    fn what_went_back_has_failed_unless_that_was_asked_for() {
        let back = RolloutSummary { back: true, ended: true, left: 5, ..failed() };
        let text = "1 of 3 new replicas failed (exited 1); rolled back to release 4";
        assert_eq!(told(back.clone(), Rollouts::Forward), (Step::Failed, text.into()));
        assert_eq!(told(back.clone(), Rollouts::Either), (Step::Done, "3/3".into()));
        let earlier = RolloutSummary { moved: 9, ..back };
        assert_eq!(told(earlier, Rollouts::Forward).0, Step::Done, "another deploy's failure");
    }

    #[test]
    fn what_is_under_way_is_not_there_yet_and_what_is_paused_never_will_be() {
        let running = RolloutSummary { release: 5, moved: 10, ..RolloutSummary::default() };
        let text = "3/3, rolling out release 5";
        assert_eq!(told(running, Rollouts::Forward), (Step::Busy, text.into()));
        let back = RolloutSummary { back: true, ..failed() };
        assert_eq!(told(back, Rollouts::Forward).0, Step::Busy);
        let paused = RolloutSummary { paused: true, moved: 3, ..failed() };
        let (step, text) = told(paused, Rollouts::Either);
        assert_eq!((step, text.starts_with(PAUSED)), (Step::Failed, true), "whenever it was");
    }

    #[test]
    fn a_roll_out_that_went_on_without_some_tells_so_while_they_are_not_there() {
        let ended = RolloutSummary {
            ended: true,
            failed: 1,
            last_failure: "exited 1".into(),
            reason: String::new(),
            ..failed()
        };
        assert_eq!(told(ended.clone(), Rollouts::Forward).0, Step::Done, "they came later");
        let judged = judged(group(Step::Busy), &service(ended), 10, Rollouts::Forward);
        let text = "1 of 3 new replicas failed (exited 1); the others were rolled out";
        assert_eq!((judged.step, judged.lines[0].text.as_str()), (Step::Failed, text));
    }
}
