//! Wall clocks are for people: whatever they say, the same is decided.

use crate::world::{World, image, secs, spec};
use model::{Change, Readiness, WallTime};

const HOUR: i64 = 3_600_000;

/// A deploy, a crash, a loss, a return and a roll-out, each under the wall clock that `wall` gives for its step.
fn decided(wall: impl Fn(i64) -> i64) -> Vec<Vec<Change>> {
    let mut world = World::new(3);
    let mut all = Vec::new();
    for step in 0..60 {
        world.wall = WallTime(wall(step));
        match step {
            1 => world.deploy("web", image("web:1", spec(3))),
            20 => world.judge(2, Readiness::Lost),
            30 => world.judge(2, Readiness::Ready),
            45 => world.deploy("web", image("web:2", spec(3))),
            5 | 6 | 12 => {
                let task = world.live("web")[0].id;
                world.exits(task, 1);
            }
            _ => {}
        }
        all.push(world.step());
        world.obey();
        world.now = world.now + secs(1);
    }
    all
}

#[test]
fn fault_27_a_wall_clock_that_jumps_changes_no_decision() {
    let steady = decided(|step| step * 1_000);
    assert!(steady.iter().filter(|changes| !changes.is_empty()).count() > 8, "{steady:?}");
    assert_eq!(decided(|step| step * 1_000 + HOUR * (step % 3 - 1)), steady, "an hour to and fro");
    assert_eq!(decided(|step| -step * 50_000), steady, "backwards");
    assert_eq!(decided(|_| 0), steady, "standing still");
}
