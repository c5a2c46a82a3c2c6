//! What changes for placement when containers reach each other across hosts.

use crate::world::{World, spec};
use model::{Carrier, Mesh};

fn meshed(managers: usize, pool: &str) -> World {
    let pool = pool.parse().unwrap();
    World::founded(managers, Some(Mesh { pool, carrier: Carrier::Direct }))
}

#[test]
fn services_that_refer_to_each_other_may_be_apart() {
    let mut w = meshed(3, "10.128.0.0/10");
    let mut web = spec(3);
    web.refers_to = vec!["db".parse().unwrap()];
    w.deploy("db", spec(1));
    w.deploy("web", web);
    w.settle();
    assert_eq!(w.per_node("web"), [1, 1, 1]);
}

#[test]
fn a_pool_that_is_used_up_is_a_reason() {
    let mut w = meshed(1, "10.128.0.0/16");
    for n in 0..96 {
        w.deploy_in(&format!("p{n}"), "web", spec(1));
    }
    w.settle();
    assert!(w.waits().is_empty());
    w.deploy("web", spec(2));
    w.settle();
    let waits = w.waits();
    assert_eq!(waits.len(), 2);
    assert!(waits[0].contains("the cluster's pool is used up"), "{waits:?}");
}
