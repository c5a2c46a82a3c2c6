//! `rollout` against a cluster that answers as told: what is sent, what is shown, and that the exit code is the truth.

mod fake;

use api::v1::*;
use fake::{Fake, Place, replica, service};
use serde_json::Value;

const REASON: &str = "1 of 2 new replicas failed (exited 1)";

/// One on its way from release 3 to release 4.
fn under_way() -> RolloutSummary {
    RolloutSummary {
        state: "rolling out".into(),
        release: 4,
        moved: 10,
        failed: 1,
        last_failure: "exited 1".into(),
        ..RolloutSummary::default()
    }
}

fn paused() -> RolloutSummary {
    RolloutSummary { state: "paused".into(), paused: true, reason: REASON.into(), ..under_way() }
}

fn went_back() -> RolloutSummary {
    RolloutSummary {
        state: "rolled back".into(),
        ended: true,
        back: true,
        reason: REASON.into(),
        release: 3,
        left: 4,
        ..under_way()
    }
}

/// Answers with these roll-outs of `web`, one after the other; `api` has never had one.
fn place(fake: &Fake, steps: &[RolloutSummary]) -> Place {
    let with = |rollout: &RolloutSummary| {
        let web =
            ServiceSummary { rollout: Some(rollout.clone()), updated: 1, ..service("web", 2) };
        vec![web, service("api", 1)]
    };
    fake.set(|s| {
        s.services = steps.iter().map(with).collect();
        let all = ["web.1", "web.2", "api.1"].map(|name| replica(name, "running", ""));
        s.replicas = vec![all.to_vec()];
        s.rollout_reply =
            SetRolloutReply { index: 10, generation: 8, services: vec!["web".into()] };
    });
    Place::with(fake)
}

fn asked(fake: &Fake) -> SetRolloutRequest {
    fake.set(|s| s.rollouts.remove(0))
}

#[test]
fn status_tells_how_far_each_is_and_why_not_further() {
    let fake = Fake::new();
    let place = place(&fake, &[under_way(), paused(), went_back(), went_back()]);
    let rows = |ran: &fake::Ran| -> Vec<String> {
        ran.out.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let ran = place.run("rollout status -p shop");
    assert_eq!(ran.code, 0, "{ran:?}");
    let title = "SERVICE ROLL-OUT RELEASE UPDATED FAILED REASON";
    let web = "shop/web rolling out 4 1/2 1 last failure: exited 1";
    assert_eq!(rows(&ran), [title, web], "a service without one is left out");
    let ran = place.run("rollout status -p shop web");
    assert_eq!(rows(&ran)[1], format!("shop/web paused 4 1/2 1 {REASON}"));
    let ran = place.run("rollout status -p shop");
    assert_eq!(rows(&ran)[1], format!("shop/web rolled back 4 → 3 1/2 1 {REASON}"));
    assert_eq!(rows(&place.run("rollout status -p shop api")).len(), 1);
    assert!(fake.set(|s| s.rollouts.is_empty()), "looking changes nothing");
}

#[test]
fn status_is_there_for_programs_too() {
    let fake = Fake::new();
    let place = place(&fake, &[paused()]);
    let ran = place.run("--json rollout status -p shop");
    let found: Value = serde_json::from_str(&ran.out).expect("a document");
    let web = &found[0];
    assert_eq!((&web["name"], &web["rollout"]["paused"]), (&"web".into(), &true.into()));
    assert_eq!(web["rollout"]["reason"], REASON);
    assert_eq!(found.as_array().map(Vec::len), Some(1));
}

#[test]
fn a_pause_is_asked_for_and_not_waited_for() {
    let fake = Fake::new();
    let place = place(&fake, &[under_way()]);
    let ran = place.run("rollout pause -p shop web");
    assert_eq!((ran.code, ran.err.contains("shop/web  paused\n")), (0, true), "{ran:?}");
    let sent = asked(&fake);
    assert_eq!((sent.project.as_str(), sent.wish.as_str()), ("shop", "pause"));
    assert_eq!(sent.services, ["web"]);
    assert!(sent.request.is_some(), "asked again it is the same request");
    let ran = place.run("--json rollout pause -p shop");
    let said: Value = serde_json::from_str(&ran.out).expect("a document");
    assert_eq!((&said["index"], &said["services"][0]), (&10.into(), &"web".into()));
    assert!(asked(&fake).services.is_empty(), "all of the project");
}

#[test]
fn resume_waits_for_the_end_and_tells_the_truth_of_it() {
    let fake = Fake::new();
    let ended = RolloutSummary { state: "completed".into(), ended: true, failed: 0, ..under_way() };
    let one = place(&fake, &[under_way(), ended]);
    let ran = one.run("rollout resume -p shop");
    assert_eq!((ran.code, ran.err.contains("shop/web  goes on\n")), (0, true), "{ran:?}");
    assert_eq!(asked(&fake).wish, "resume");
    drop(one);
    let again = place(&fake, &[under_way(), paused()]);
    let ran = again.run("rollout resume -p shop --timeout 20s");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains(&format!("Paused: {REASON}")), "{ran:?}");
    assert_eq!(again.run("rollout resume -p shop --detach").code, 0, "who does not wait");
}

#[test]
fn undo_ends_well_where_it_was_before() {
    let fake = Fake::new();
    let back = RolloutSummary { state: "rolling back".into(), ended: false, ..went_back() };
    let place = place(&fake, &[back, went_back()]);
    let ran = place.run("rollout undo -p shop web");
    assert_eq!((ran.code, ran.err.contains("shop/web  goes back\n")), (0, true), "{ran:?}");
    assert_eq!((asked(&fake).wish.as_str(), ran.out.as_str()), ("undo", ""));
    fake.set(|s| {
        let why = "shop/web cannot go back: no other release of it is kept";
        s.writes = vec![tonic::Status::failed_precondition(why)];
    });
    let ran = place.run("rollout undo -p shop web");
    assert!(ran.code == 1 && ran.err.contains("no other release of it is kept"), "{ran:?}");
}

#[test]
fn no_other_wish_is_known() {
    let fake = Fake::new();
    let place = place(&fake, &[under_way()]);
    for words in ["rollout", "rollout restart", "rollout pause --detach"] {
        assert_eq!(place.run(words).code, 2, "{words}");
    }
    assert!(fake.set(|s| s.rollouts.is_empty()));
}
