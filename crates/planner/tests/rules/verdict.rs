//! What if a node were lost.

use crate::world::{GIB, MIB, World, image, reserving, secs, spec, with_volume};
use model::{Readiness, Role};
use planner::verdict;

fn lines(w: &World) -> Vec<String> {
    verdict(&w.state, w.now, &w.settings).to_string().lines().map(str::to_owned).collect()
}

#[test]
fn three_hosts_with_room_survive_any() {
    let mut w = World::new(3);
    w.deploy("web", spec(4));
    w.run(secs(10));
    let before = w.state.clone();
    let said = lines(&w);
    assert_eq!(
        said,
        ["losing node1: survivable", "losing node2: survivable", "losing node3: survivable"]
    );
    assert!(verdict(&w.state, w.now, &w.settings).survivable());
    assert_eq!(w.state, before, "asking changes nothing");
}

#[test]
fn memory_that_is_not_there() {
    let mut w = World::new(3);
    for n in 1..=3 {
        w.refresh(n, |f| f.memory = if n == 2 { 2 * GIB } else { 700 * MIB });
    }
    w.deploy("api", reserving(1229 * MIB, spec(1)));
    w.run(secs(10));
    assert_eq!(
        lines(&w)[1],
        "losing node2: NOT survivable: shop/api needs 1.2 GiB, best node has 700 MiB"
    );
    assert_eq!(lines(&w)[0], "losing node1: survivable");
}

#[test]
fn data_and_quorum() {
    let mut w = World::new(1);
    w.join(2, Role::Manager, crate::world::facts());
    w.deploy("db", with_volume(spec(1), "data"));
    w.run(secs(10));
    let home = w.state.node_name(w.home("data").unwrap());
    let said = lines(&w);
    assert!(said[0].contains("no quorum (0 voters ready, 1 needed)"), "{said:?}");
    assert!(!said[1].contains("quorum"), "{said:?}");
    let line = said.iter().find(|l| l.contains(&format!("losing {home}"))).unwrap();
    let reason = format!("shop/db: volume shop_data lives on {home}, which is lost");
    assert!(line.contains(&reason), "{line}");
}

#[test]
fn what_lacks_anyway_is_not_blamed_on_the_loss() {
    let mut w = World::new(3);
    w.deploy("huge", reserving(100 * GIB, spec(1)));
    w.run(secs(10));
    assert!(verdict(&w.state, w.now, &w.settings).survivable());
}

#[test]
fn waits_are_taken_as_elapsed() {
    let mut w = World::new(3);
    w.deploy("web", spec(6));
    w.run(secs(10));
    let task = w.live("web")[0].id;
    w.exits(task, 1);
    w.deploy("web", image("web:2", spec(6)));
    w.judge(2, Readiness::Lost);
    w.step();
    w.judge(2, Readiness::Ready);
    assert!(verdict(&w.state, w.now, &w.settings).survivable(), "{:?}", lines(&w));
}

#[test]
fn a_lost_node_is_not_lost_twice() {
    let mut w = World::new(3);
    w.settle();
    w.judge(3, Readiness::Lost);
    let said = lines(&w);
    assert_eq!(said.len(), 2);
    assert!(said[0].contains("no quorum (1 voters ready, 2 needed)"), "{said:?}");
}
