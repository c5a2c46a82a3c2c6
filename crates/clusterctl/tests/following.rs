//! `logs -f` and `events -f` when the node that they talk through goes away and another, or the same, comes.

mod fake;

use api::v1::*;
use fake::{Fake, Place, Ran};
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};
use tonic::Status;

/// The program while it follows.
struct Following {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(place: &Place, words: &str) -> Self {
        let mut command = place.command(words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ran");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    fn next(&mut self) -> String {
        self.lines.next().expect("another line").expect("a line of text")
    }

    /// Ends it; what it said beside its lines.
    fn end(mut self) -> String {
        self.child.kill().expect("it still runs");
        Ran::of(&self.child.wait_with_output().expect("it ended")).err
    }
}

fn event(index: u64, position: u32, text: &str) -> EventsReply {
    EventsReply { index, position, text: text.into(), ..EventsReply::default() }
}

fn line(replica: &str, at: &str, text: &str) -> LogsReply {
    LogsReply {
        replica: replica.into(),
        at: format!("2026-11-24T10:00:{at}Z"),
        line: text.as_bytes().to_vec(),
        ..LogsReply::default()
    }
}

#[test]
fn events_go_on_at_another_node_without_repeating_or_losing_any() {
    let (first, second) = (Fake::new(), Fake::new());
    let told = vec![event(3, 1, "one"), event(4, 1, "two")];
    let more = vec![event(4, 2, "three"), event(5, 1, "four")];
    first.set(|s| (s.events, s.goes_on) = (told.clone(), true));
    second.set(|s| (s.events, s.goes_on) = ([told, more].concat(), true));
    let mut place = Place::with(&first);
    let mut following = Following::start(&place, "events -f -n 2");
    assert!(following.next().ends_with("one") && following.next().ends_with("two"));
    place.stop();
    place.serve(&second);
    assert!(following.next().ends_with("three") && following.next().ends_with("four"));
    let said = following.end();
    assert!(said.contains("asking again"), "{said}");
    assert_eq!(first.set(|s| s.events_asked[0].last), 2);
    assert_eq!(second.set(|s| s.events_asked[0].last), 0, "all that the cluster keeps");
}

#[test]
fn logs_go_on_after_the_last_line_of_each_replica() {
    let (first, second) = (Fake::new(), Fake::new());
    let told = [line("web.1", "20.000000005", "a"), line("db.1", "15.5", "b")];
    let rest = [
        line("web.1", "20.000000006", "c"),
        // A long line comes in pieces of one time.
        line("web.1", "20.000000006", "d"),
        line("db.1", "15.6", "e"),
        line("new.1", "12", "f"),
    ];
    first.set(|s| (s.logs, s.goes_on) = (told.to_vec(), true));
    second.set(|s| s.logs = [&told[..], &rest[..]].concat());
    let mut place = Place::with(&first);
    let mut following = Following::start(&place, "logs -f -n 7 --json");
    let text = |line: String| {
        let value: serde_json::Value = serde_json::from_str(&line).expect("a document");
        value["line"].as_str().expect("a text").to_owned()
    };
    assert_eq!([text(following.next()), text(following.next())], ["a", "b"]);
    place.stop();
    place.serve(&second);
    let lines: Vec<String> = following.lines.by_ref().map(|l| text(l.expect("a line"))).collect();
    assert_eq!(lines, ["c", "d", "e", "f"]);
    assert!(following.child.wait().expect("it ended").success(), "all replicas have ended");
    let asked = second.set(|s| s.logs_asked[0].clone());
    assert_eq!((first.set(|s| s.logs_asked[0].tail), asked.tail), (7, -1));
    let newest: jiff::Timestamp = "2026-11-24T10:00:20Z".parse().expect("a time");
    assert_eq!(asked.since, newest.as_second() - 10);
}

#[test]
fn what_is_refused_from_the_beginning_is_not_asked_for_again() {
    let ran = Place::empty().run("events -f");
    assert_eq!(ran.code, 3, "{ran:?}");
    let fake = Fake::new();
    fake.set(|s| s.refuse_logs = Some(Status::not_found("there is no such replica")));
    let ran = Place::with(&fake).run("logs -f");
    assert_eq!((ran.code, fake.set(|s| s.logs_asked.len())), (1, 1), "{ran:?}");
}
