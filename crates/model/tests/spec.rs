//! What a spec looks like in the log: fields that came later are absent while nobody uses them, so that the
//! containers of a spec keep their digest, and entries written before them still load.

mod common;

use common::service;
use model::*;

#[test]
fn what_nobody_uses_is_not_written_and_may_be_missing() {
    let mut spec = service();
    spec.container.mounts = vec![Mount {
        source: MountSource::Anonymous,
        target: "/data".into(),
        read_only: false,
        options: MountOptions::default(),
    }];
    let text = serde_json::to_string(&spec).unwrap();
    for field in ["engine", "depends_on", "options", "start_interval"] {
        assert!(!text.contains(&format!("\"{field}\"")), "{field}: {text}");
    }
    assert_eq!(serde_json::from_str::<ServiceSpec>(&text).unwrap(), spec);
}

#[test]
fn what_is_used_comes_back() {
    let mut spec = service();
    spec.container.engine = Engine {
        cap_drop: vec!["ALL".into()],
        ulimits: [("nofile".to_owned(), Ulimit { soft: 1, hard: 2 })].into(),
        ..Engine::default()
    };
    spec.depends_on = vec![Dependency {
        service: "db".parse().unwrap(),
        condition: DependencyCondition::Healthy,
        required: true,
        restart: false,
    }];
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<ServiceSpec>(&text).unwrap(), spec);
    // A setting that a later release adds is missing in what this one wrote.
    let older = text.replace("\"cap_add\":[],", "");
    assert_ne!(older, text);
    assert_eq!(serde_json::from_str::<ServiceSpec>(&older).unwrap(), spec);
}
