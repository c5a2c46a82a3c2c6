//! `run` against a cluster that answers as told: what is asked, what is shown, which exit code comes back.

mod fake;

use api::v1::*;
use fake::{Fake, Place, node, replica, service};
use std::io::Write;
use std::process::Stdio;

fn ended(code: Option<i64>, state: &str) -> ReplicaSummary {
    ReplicaSummary { exit_code: code, state: state.into(), ..replica("mine.1", "ended", "") }
}

fn line(text: &str, stderr: bool) -> LogsReply {
    LogsReply { replica: "mine.1".into(), line: text.into(), stderr, ..LogsReply::default() }
}

#[test]
fn output_and_exit_code_are_those_of_the_command_and_it_is_taken_away() {
    let fake = Fake::new();
    fake.set(|s| {
        s.replicas = vec![vec![ended(Some(7), "exited (7)")]];
        s.logs = vec![line("hello\n", false), line("odd", true)];
    });
    let words = "run --rm --no-deps --name mine -e A=1=2 --user u web do --it now";
    let ran = Place::with(&fake).run(words);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (7, "hello\n", "odd\n"));
    let run = fake.set(|s| s.runs.remove(0));
    assert_eq!((run.project.as_str(), run.service.as_str()), ("shop", "web"));
    assert_eq!(run.command, ["do", "--it", "now"]);
    assert_eq!(run.environment["A"], "1=2");
    assert!(run.no_deps && run.user == "u" && run.request.is_some());
    assert_eq!(fake.set(|s| s.ended_runs.remove(0)).name, "mine");
}

#[test]
fn one_that_could_not_be_run_says_why_and_is_kept_without_rm() {
    let fake = Fake::new();
    fake.set(|s| s.replicas = vec![vec![ended(None, "failed: no such file")]]);
    let ran = Place::with(&fake).run("run --name mine web do");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("no such file"), "{ran:?}");
    assert!(fake.set(|s| s.ended_runs.is_empty()));
}

#[test]
fn what_is_typed_goes_to_it_and_its_exit_code_comes_back() {
    let fake = Fake::new();
    fake.set(|s| {
        s.replicas = vec![vec![replica("mine.1", "running", "")]];
        s.replicas_after_exec = vec![vec![ended(Some(7), "exited (7)")]];
        s.exec = vec![exec_reply::Part::Output(b"hi\n".to_vec())];
    });
    let place = Place::with(&fake);
    let mut command = place.command("run -i --rm --name mine web cat");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hi\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), &b"hi\n"[..]));
    let (run, asked) = fake.set(|s| (s.runs.remove(0), s.exec_asked.clone()));
    assert!(run.interactive && !run.tty, "{run:?}");
    let exec_request::Part::Start(start) = &asked[0] else { panic!("{asked:?}") };
    assert!(start.attach && start.interactive && start.command.is_empty(), "{start:?}");
    assert_eq!((start.project.as_str(), start.replica.as_str()), ("shop", "mine"));
    assert!(asked.contains(&exec_request::Part::Input(b"hi\n".to_vec())), "{asked:?}");
    assert_eq!(fake.set(|s| s.ended_runs.len()), 1);
}

#[test]
fn one_that_ends_before_anybody_is_there_is_shown_all_the_same() {
    let fake = Fake::new();
    fake.set(|s| {
        s.replicas = vec![vec![ended(Some(0), "exited (0)")]];
        s.logs = vec![line("quick\n", false)];
    });
    let ran = Place::with(&fake).run("run -i --name mine web true");
    assert_eq!((ran.code, ran.out.as_str()), (0, "quick\n"));
    assert!(fake.set(|s| s.exec_asked.is_empty()));
}

#[test]
fn a_terminal_is_asked_for_where_there_is_one() {
    let fake = Fake::new();
    let ran = Place::with(&fake).run("run -it web sh");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("no terminal") && fake.set(|s| s.runs.is_empty()), "{ran:?}");
}

#[test]
fn a_detached_one_prints_its_name() {
    let fake = Fake::new();
    let ran = Place::with(&fake).run("run -d web do");
    assert_eq!(ran.code, 0);
    assert!(ran.out.starts_with("web-run-"), "{ran:?}");
}

#[test]
fn a_deploy_does_not_wait_for_what_is_run_once() {
    let fake = Fake::new();
    let aside = ServiceSummary { one_off: true, ..service("mine", 1) };
    fake.set(|s| {
        s.nodes = vec![node("node1")];
        s.deploy_reply = DeployReply { index: 10, generation: 8, ..DeployReply::default() };
        s.services = vec![vec![service("web", 1), aside]];
        s.replicas = vec![vec![replica("web.1", "running", ""), ended(Some(1), "exited (1)")]];
    });
    let place = Place::with(&fake);
    place.write("docker-compose.yml", "name: shop\nservices: {web: {image: nginx}}\n");
    let ran = place.run("deploy --timeout 20s");
    assert_eq!(ran.code, 0, "{ran:?}");
}
