//! The program against a cluster that answers as told: repeated writes, stale reads, refusals, output.

mod fake;

use api::v1::exec_reply::Part as Reply;
use api::v1::exec_request::Part as Asked;
use api::v1::*;
use fake::{Fake, Place, Ran, node, replica, service};
use std::io::Write;
use std::process::Stdio;
use tonic::Status;

#[test]
fn a_write_is_repeated_under_one_request_id() {
    let fake = Fake::new();
    fake.set(|s| s.writes = vec![Status::unavailable("leader changed, retry"); 2]);
    let ran = Place::with(&fake).run("scale web=4 --detach");
    assert_eq!(ran.code, 0, "{ran:?}");
    let scales = fake.set(|s| s.scales.clone());
    assert_eq!(scales.len(), 3);
    let id = scales[0].request.unwrap();
    assert!(scales.iter().all(|s| s.request == Some(id)), "{scales:?}");
    assert_eq!((id.stamp, id.high == 0 && id.low == 0), (5_000, false));
    assert_eq!((scales[0].project.as_str(), scales[0].seen), ("shop", 7));
    assert_eq!(scales[0].counts.get("web"), Some(&4));
}

#[test]
fn two_writes_have_two_request_ids() {
    let fake = Fake::new();
    let place = Place::with(&fake);
    place.run("scale web=4 -d");
    place.run("scale web=4 -d");
    let scales = fake.set(|s| s.scales.clone());
    assert_ne!(scales[0].request, scales[1].request);
}

#[test]
fn a_write_survives_the_death_of_the_daemon_that_took_it() {
    let (first, second) = (Fake::new(), Fake::new());
    let (told, died) = std::sync::mpsc::channel();
    // The first daemon never answers: it dies with the call in its hands.
    first.set(|s| {
        s.on_scale = Some(Box::new(move || {
            let _ = told.send(());
            std::thread::park_timeout(std::time::Duration::from_secs(20));
        }));
    });
    let mut place = Place::with(&first);
    let child = place
        .command("scale web=4 -d")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    died.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    place.stop();
    place.serve(&second);
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    let ids = second.set(|s| s.scales.iter().map(|s| s.request).collect::<Vec<_>>());
    assert_eq!(ids.len(), 1);
    assert!(ids[0].is_some_and(|id| id.stamp == 5_000));
}

#[test]
fn without_a_quorum_a_write_fails_at_once() {
    let fake = Fake::new();
    fake.set(|s| s.writes = vec![Status::unavailable("no quorum (1/3)")]);
    let ran = Place::with(&fake).run("scale web=4");
    assert_eq!((ran.code, fake.set(|s| s.scales.len())), (3, 1), "{ran:?}");
    assert!(ran.err.contains("error: no quorum (1/3)\nnext: "), "{ran:?}");
    let fake = Fake::new();
    fake.set(|s| {
        s.read.stale = true;
        s.read.why_stale = "no quorum (1/3)".into();
    });
    let ran = Place::with(&fake).run("scale web=4");
    assert_eq!((ran.code, fake.set(|s| s.scales.len())), (3, 0), "{ran:?}");
}

#[test]
fn a_refusal_is_shown_and_not_repeated() {
    let fake = Fake::new();
    let moved = "somebody else changed shop meanwhile (generation 8, you saw 7); look again";
    fake.set(|s| s.writes = vec![Status::aborted(moved)]);
    let ran = Place::with(&fake).run("scale web=4");
    assert_eq!((ran.code, fake.set(|s| s.scales.len())), (1, 1));
    assert!(ran.err.contains(moved), "{ran:?}");
}

#[test]
fn stale_reads_stand_under_a_banner_beside_clean_data() {
    let fake = Fake::new();
    fake.set(|s| {
        s.replicas = vec![vec![replica("web.1", "running", "")]];
        s.read.stale = true;
        s.read.age_ms = 12_000;
        s.read.why_stale = "no quorum (1/3)".into();
    });
    let place = Place::with(&fake);
    let ran = place.run("ps --json");
    assert_eq!((ran.code, ran.json()[0]["name"].as_str()), (0, Some("web.1")));
    assert!(
        ran.err.contains("*** 12s old: what node1 knows by itself, because: no quorum (1/3) ***")
    );
    let ran = place.run("ps");
    assert!(ran.out.starts_with("NAME") && ran.err.contains("*** 12s old"), "{ran:?}");
}

#[test]
fn nobody_there_is_said_with_what_to_do() {
    let ran = Place::empty().run("ps");
    assert_eq!(ran.code, 3);
    assert!(
        ran.err.contains("cannot reach clusterd at ")
            && ran.err.contains("systemctl status clusterd")
    );
    let ran = Ran::of(&Place::empty().anywhere("--context prod ps").output().unwrap());
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("there is no context prod"), "{ran:?}");
}

#[test]
fn attack_15_what_a_server_names_cannot_move_the_cursor() {
    let fake = Fake::new();
    fake.set(|s| s.nodes = vec![node("n\x1b[2J\u{202e}1")]);
    let ran = Place::with(&fake).run("nodes");
    assert!(ran.out.contains("n\\u{1b}[2J\\u{202e}1"), "{ran:?}");
}

#[test]
fn a_token_stands_alone_on_standard_output() {
    let ran = Place::with(&Fake::new()).run("token manager");
    assert_eq!((ran.code, ran.out.as_str()), (0, "CLUSTER-1-m-abc\n"));
    let line = "echo CLUSTER-1-m-abc | clusterctl join --token-file - 10.0.0.1:7070 10.0.0.2:7070";
    assert!(ran.err.contains(line), "{ran:?}");
}

#[test]
fn json_has_the_names_of_the_protocol() {
    let fake = Fake::new();
    fake.set(|s| s.nodes = vec![node("node1")]);
    let place = Place::with(&fake);
    let nodes = place.run("--json nodes").json();
    assert_eq!(nodes[0]["readiness"], "ready");
    assert_eq!(nodes[0]["reserved_milli_cpus"], 0);
    let status = place.run("--json status").json();
    assert_eq!((&status["leader"], &status["quorum"]), (&"node1".into(), &true.into()));
    assert_eq!(place.run("--json ls").json()[0]["generation"], 7);
    assert_eq!(place.run("--json events").json()[0]["kind"], "joined");
    assert_eq!(place.run("--json version").json()["server"]["version"], "9.9.9");
    assert_eq!(place.run("inspect node1").json()["kind"], "node");
}

#[test]
fn which_project_is_asked_when_there_are_several() {
    let fake = Fake::new();
    let project = |name: &str| ProjectSummary { name: name.into(), ..ProjectSummary::default() };
    fake.set(|s| s.projects = vec![project("blog"), project("shop")]);
    let place = Place::with(&fake);
    let ran = place.run("scale web=4 -d");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("which project? There are blog, shop\nnext: say it with -p NAME"));
    place.write("docker-compose.yml", "name: blog\nservices: {web: {image: nginx}}\n");
    assert_eq!(place.run("scale web=4 -d").code, 0);
    assert_eq!(place.run("-p shop scale web=4 -d").code, 0);
    assert_eq!(place.run("scale other/web=4 -d").code, 0);
    let asked = fake.set(|s| s.scales.iter().map(|s| s.project.clone()).collect::<Vec<_>>());
    assert_eq!(asked, ["blog", "shop", "other"]);
}

#[test]
fn logs_are_merged_behind_names() {
    let fake = Fake::new();
    let line = |replica: &str, text: &str| LogsReply {
        replica: replica.into(),
        line: text.as_bytes().to_vec(),
        ..LogsReply::default()
    };
    fake.set(|s| s.logs = vec![line("web.10", "up\n"), line("db.1", "ready")]);
    let place = Place::with(&fake);
    assert_eq!(place.run("logs").out, "web.10  | up\ndb.1    | ready\n");
    let json = place.run("--json logs").out;
    assert!(json.lines().all(|l| l.starts_with('{')) && json.lines().count() == 2, "{json}");
}

#[test]
fn exec_passes_input_output_and_code() {
    let fake = Fake::new();
    fake.set(|s| {
        s.exec =
            vec![Reply::Output(b"out".to_vec()), Reply::Error(b"err".to_vec()), Reply::ExitCode(7)];
    });
    let place = Place::with(&fake);
    let mut child = place
        .command("exec -i -e A=1 web.2 -- cat -n")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"hello").unwrap();
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (7, "out", "err"));
    let asked = fake.set(|s| s.exec_asked.clone());
    let Asked::Start(start) = &asked[0] else { panic!("{asked:?}") };
    assert_eq!((start.project.as_str(), start.replica.as_str()), ("shop", "web.2"));
    assert_eq!(
        (&start.command[..], &start.environment[..]),
        (&["cat".into(), "-n".into()][..], &["A=1".into()][..])
    );
    assert!(asked.contains(&Asked::Input(b"hello".to_vec())));
    assert_eq!(asked.last(), Some(&Asked::EndOfInput(true)));
}

#[test]
fn exec_ends_although_the_input_does_not() {
    let fake = Fake::new();
    fake.set(|s| s.exec = vec![Reply::ExitCode(0)]);
    let place = Place::with(&fake);
    let mut child = place.command("exec web.2 true").stdin(Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(input);
}

#[test]
fn images_are_sent_whole_and_a_node_without_one_fails_the_command() {
    let fake = Fake::new();
    let loaded = |node: &str, error: &str| LoadedImage {
        node: node.into(),
        loaded: "shop/web:1".into(),
        error: error.into(),
    };
    fake.set(|s| s.images = LoadImageReply { nodes: vec![loaded("node1", "")] });
    let place = Place::with(&fake);
    std::fs::write(place.path("image.tar"), vec![7; 3_000_000]).unwrap();
    let ran = place.run("image load image.tar");
    assert_eq!((ran.code, fake.set(|s| s.image_bytes)), (0, 3_000_000), "{ran:?}");
    fake.set(|s| s.images.nodes.push(loaded("node2", "disk full")));
    assert_eq!(place.run("image load image.tar").code, 1);
    assert_eq!(place.run("image load none.tar").code, 1);
}

#[test]
fn what_is_about_this_host_needs_its_socket() {
    let ran = Place::with(&Fake::new()).run("--context prod init");
    assert_eq!(ran.code, 2, "{ran:?}");
    let ran = Place::with(&Fake::new()).run("join --token nonsense 10.0.0.1");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("the join token is not valid") && !ran.err.contains("nonsense"));
}

#[test]
fn completions_name_the_commands() {
    let ran = Place::empty().run("completion bash");
    assert!(ran.code == 0 && ran.out.contains("deploy"), "{}", ran.code);
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    let fake = Fake::new();
    let line =
        LogsReply { replica: "web.1".into(), line: vec![b'x'; 4_000], ..LogsReply::default() };
    fake.set(|s| s.logs = vec![line; 200]);
    let place = Place::with(&fake);
    let mut child =
        place.command("logs").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn draining_waits_until_nothing_runs_there() {
    let fake = Fake::new();
    fake.set(|s| {
        s.nodes = vec![node("node2")];
        s.services = vec![vec![service("web", 1)]];
        s.replicas = vec![vec![replica("web.1", "running", "")], Vec::new()];
    });
    let ran = Place::with(&fake).run("nodes drain node2");
    assert_eq!((ran.code, ran.out.as_str()), (0, "node2 is drained.\n"), "{ran:?}");
    assert!(ran.err.contains("shop/web.1  Running on node2\nshop/web.1  Removed\n"), "{ran:?}");
}
