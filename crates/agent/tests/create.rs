//! From an assignment to the container that it describes.

mod support;

use agent::{
    Action, ContainerId, Create, CreateFile, CreateMountSource, CreateShare, Folders, Kind, Phase,
    label,
};
use model::{
    Assignment, ClusterId, ContentId, ContentKey, ContentKind, GivenFile, Mount, MountSource,
    PortMode, SharedPart, Used, VolumeSpec,
};
use support::*;

fn create(cluster: &ClusterId, assignment: &Assignment) -> Create {
    let folders = Folders { secrets: "/run/s".into(), configs: "/var/c".into() };
    agent::create(cluster, assignment, &folders)
}

#[test]
fn secrets_and_configs_become_files_of_the_task() {
    let given = |kind, target: &str, uid| GivenFile {
        content: ContentKey { kind, name: "token".parse().unwrap() },
        external: None,
        version: format!("of {kind}"),
        target: target.into(),
        uid,
        gid: 0,
        mode: 0o440,
    };
    let mut spec = spec();
    spec.container.files = vec![
        given(ContentKind::Secret, "/run/secrets/token", 7),
        given(ContentKind::Config, "/token", 0),
    ];
    let made = create(&cluster(), &with_spec(2, spec));
    let file = |path: &str, kind, target: &str, uid| CreateFile {
        path: path.into(),
        content: ContentId { kind, version: format!("of {kind}") },
        target: target.into(),
        uid,
        gid: 0,
        mode: 0o440,
    };
    let expected = [
        file("/run/s/2-0/0", ContentKind::Secret, "/run/secrets/token", 7),
        file("/var/c/2-0/1", ContentKind::Config, "/token", 0),
    ];
    assert_eq!(made.files, expected);
}

#[test]
fn names_labels_and_defaults() {
    let mut spec = spec();
    spec.container.labels.insert("mine".into(), "1".into());
    spec.container.labels.insert(label::TASK.into(), "a lie".into());
    spec.container.image.resolved = Some("app@sha256:ab".into());
    spec.ports = vec![published(PortMode::Ingress), published(PortMode::Host)];
    let made = create(&cluster(), &with_spec(2, spec));
    assert_eq!(made.name, "shop-web-2.2-0");
    assert_eq!(made.image, "app@sha256:ab");
    assert_eq!(made.hostname, "web.2");
    assert_eq!(made.network.name, "cl_shop");
    assert_eq!(made.network.aliases, ["web", "web.2"]);
    let label = |key: &str| made.labels[key].as_str();
    assert_eq!(label("mine"), "1");
    assert_eq!(
        [label(label::CLUSTER), label(label::TASK), label(label::PROJECT)],
        ["c1", "2-0", "shop"]
    );
    assert_eq!([label(label::SERVICE), label(label::SLOT)], ["web", "2"]);
    assert_eq!(label(label::DIGEST).len(), 16);
    assert_eq!(made.ports, [published(PortMode::Host)], "the ingress binds its own");
    assert_eq!(
        (made.log_driver.as_str(), made.log_options["max-size"].as_str()),
        ("json-file", "10m")
    );
    assert_eq!(made.grace.as_secs(), 10);
}

#[test]
fn names_of_the_file_are_names_on_the_network() {
    let mut spec = spec();
    spec.container.engine.aliases = vec!["front".into(), "web".into()];
    let made = create(&cluster(), &with_spec(2, spec));
    assert_eq!(made.network.aliases, ["web", "web.2", "front"]);
}

#[test]
fn what_is_built_upon_another_waits_for_its_container() {
    let shares = |of| vec![Used { what: SharedPart::Network, of }];
    let web = |of| Assignment { shares: shares(of), ..task(2) };
    Rig::ready(vec![web(None)], vec![]).idle();
    let mut rig = Rig::ready(vec![task(1), web(Some(id(1)))], vec![]);
    rig.done(Kind::Create, container(1, Phase::Created));
    let made = rig.actions.iter().find_map(|a| match a {
        Action::Create(create) if create.task == id(2) => Some(create.shares.clone()),
        _ => None,
    });
    let other = CreateShare { what: SharedPart::Network, container: ContainerId("c1".into()) };
    assert_eq!(made, Some(vec![other]));
}

#[test]
fn a_digest_tells_specs_apart_and_nothing_else() {
    let digest = |a: &model::Assignment| create(&cluster(), a).labels[label::DIGEST].clone();
    assert_eq!(digest(&task(1)), digest(&task(2)));
    let mut other = spec();
    other.container.environment.insert("A".into(), "b".into());
    assert_ne!(digest(&task(1)), digest(&with_spec(1, other)));
}

#[test]
fn a_volume_that_held_data_or_is_external_must_exist() {
    let source = |task: &model::Assignment| match &create(&cluster(), task).mounts[0].source {
        CreateMountSource::Volume { name, must_exist, labels, .. } => {
            (name.clone(), *must_exist, labels[label::VOLUME].clone())
        }
        other => panic!("not a volume: {other:?}"),
    };
    let mut task = stateful(1);
    let volume: model::VolumeName = "data".parse().unwrap();
    assert_eq!(source(&task), ("shop_data".into(), false, "data".into()));
    task.established.insert(volume.clone());
    assert_eq!(source(&task), ("shop_data".into(), true, "data".into()));
    task.established.clear();
    let external = VolumeSpec { external_name: Some("old".into()), ..VolumeSpec::default() };
    task.volumes.insert(volume, external);
    assert_eq!(source(&task), ("old".into(), true, "data".into()));
}

#[test]
fn nothing_confidential_is_shown() {
    let mut spec = spec();
    spec.container.environment.insert("TOKEN".into(), "hunter2".into());
    let source = MountSource::Bind("/srv".into());
    spec.container.mounts = vec![Mount {
        source,
        target: "/srv".into(),
        read_only: true,
        options: model::MountOptions::default(),
    }];
    let made = create(&cluster(), &with_spec(1, spec));
    assert!(!format!("{made:?}").contains("hunter2"));
}

#[test]
fn placeholders_say_which_replica_it_is() {
    let told = |slot, text: &str| {
        let mut spec = spec();
        spec.container.environment.insert("TOLD".into(), text.into());
        let task = Assignment { slot, ..with_spec(2, spec) };
        create(&cluster(), &task).environment["TOLD"].clone()
    };
    let (second, everywhere) = (model::Slot::Number(2), model::Slot::Node(NODE));
    for (slot, text, expected) in [
        (second, "{{.Task.Slot}}", "2"),
        (everywhere, "{{.Task.Slot}}", "node7"),
        (second, "{{.Task.Name}}", "shop-web-2.2-0"),
        (second, "{{.Task.ID}}", "2-0"),
        (second, "{{.Service.ID}}", "5"),
        (second, "{{.Node.ID}} is {{ .Node.Hostname }}", "7 is n7"),
        (second, "{{.Message}} {{.Task.Nothing}}", "{{.Message}} {{.Task.Nothing}}"),
    ] {
        assert_eq!(told(slot, text), expected, "{text}");
    }
}

#[test]
fn host_names_and_paths_have_placeholders_too() {
    let mut spec = spec();
    spec.container.hostname = Some("db-{{.Task.Slot}}".into());
    spec.container.mounts = vec![Mount {
        source: MountSource::Bind("/srv/{{.Node.Hostname}}/{{.Task.Slot}}".into()),
        target: "/data".into(),
        read_only: false,
        options: model::MountOptions::default(),
    }];
    let made = create(&cluster(), &with_spec(2, spec.clone()));
    assert_eq!(made.hostname, "db-2");
    assert_eq!(made.mounts[0].source, CreateMountSource::Bind { path: "/srv/n7/2".into() });
    let long = "h".repeat(60);
    spec.container.hostname = Some(format!("{long}-{{{{.Task.Name}}}}"));
    assert_eq!(create(&cluster(), &with_spec(2, spec)).hostname, format!("{long}-sho"));
}

#[test]
fn the_environment_tells_the_replica_unless_the_file_says_otherwise() {
    let mut spec = spec();
    let digest = create(&cluster(), &with_spec(2, spec.clone())).labels[label::DIGEST].clone();
    let told = |task: &Assignment| -> Vec<String> {
        create(&cluster(), task).environment.iter().map(|(k, v)| format!("{k}={v}")).collect()
    };
    let all = ["CLUSTER_NODE=n7", "CLUSTER_PROJECT=shop", "CLUSTER_SERVICE=web", "CLUSTER_SLOT=2"];
    assert_eq!(told(&with_spec(2, spec.clone())), all);
    let older = Assignment { node: None, service_id: None, ..with_spec(2, spec.clone()) };
    assert_eq!(told(&older), all[1..], "a view of an older manager names no node");
    assert_eq!(create(&cluster(), &older).labels[label::DIGEST], digest);
    spec.container.environment.insert("CLUSTER_SLOT".into(), "mine".into());
    assert_eq!(told(&with_spec(2, spec))[3], "CLUSTER_SLOT=mine");
}

#[test]
fn the_digest_of_a_spec_is_what_it_was() {
    let made = create(&cluster(), &with_spec(1, spec()));
    assert_eq!(made.labels[label::DIGEST], "8c6bd99764f8521e");
}

#[test]
fn on_the_mesh_addresses_are_given_and_the_engine_is_told_no_names() {
    let mut assignment = task(1);
    assert_eq!(create(&cluster(), &assignment).network.place, None);
    let subnet: model::Subnet = "10.128.4.0/23".parse().unwrap();
    let address = [10, 128, 4, 9].into();
    let at = model::Attachment { subnet, number: 2, address, apart: false, mtu: Some(1300) };
    assignment.attachment = Some(at);
    let network = create(&cluster(), &assignment).network;
    assert_eq!(network.aliases, [""; 0], "it would answer for its own containers only");
    let (bridge, mtu) = ("cl-2".into(), Some(1300));
    assert_eq!(network.place, Some(agent::NetworkPlace { subnet, bridge, address, mtu }));
    assert_eq!(network.name, "cl_shop");
    assignment.attachment = Some(model::Attachment { apart: true, ..at });
    assert_eq!(create(&cluster(), &assignment).network.name, "cl_shop.2");
}
