//! `logs`: what replicas print, merged, each line behind the name of its replica.

use crate::args::Logs;
use crate::failure::Failure;
use crate::out::paint;
use crate::session::Session;
use crate::{clock, json, retry, text};
use anstyle::{AnsiColor, Style};
use api::v1::{LogsQuery, LogsReply};
use jiff::Timestamp;
use std::collections::BTreeMap;

const COLOURS: [AnsiColor; 10] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
    AnsiColor::BrightYellow,
    AnsiColor::BrightGreen,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightBlue,
];

/// Seconds that are asked for again after a break: the clocks of hosts differ, and lines are under way.
const OVERLAP: i64 = 10;

pub(crate) async fn run(session: &Session, words: Logs) -> Result<(), Failure> {
    let since = words.since.as_deref().map_or(Ok(0), |since| when(since, clock::wall_ms()))?;
    let (names, project) = bare(words.names, session.global.project.clone())?;
    let project = match project {
        Some(project) => project,
        None => session.project_name().await?,
    };
    let query = LogsQuery {
        project,
        names,
        follow: words.follow,
        since,
        tail: words.tail,
        timestamps: words.timestamps,
    };
    show(session, query, false).await
}

/// Shows what is asked for until it ends; `plain`: on the stream it was printed to, and nothing before it.
pub(crate) async fn show(session: &Session, query: LogsQuery, plain: bool) -> Result<(), Failure> {
    let mut shown = Shown {
        session,
        query,
        plain,
        prefixes: Prefixes::new(session.out.colour),
        begun: None,
        newest: BTreeMap::new(),
        before: BTreeMap::new(),
    };
    retry::follow(
        session,
        &mut shown,
        true,
        async |mut client, shown: &mut Shown<'_>| client.logs(shown.ask()).await,
        Shown::take,
    )
    .await
}

/// What was shown so far.
struct Shown<'a> {
    session: &'a Session,
    query: LogsQuery,
    plain: bool,
    prefixes: Prefixes,
    /// When it was first asked for, in seconds since the epoch.
    begun: Option<i64>,
    /// The time of the newest line of each replica on each node, by the engine's clock there.
    newest: BTreeMap<(String, String), Timestamp>,
    /// As of the last time that was asked: what is as old as that has been shown.
    before: BTreeMap<(String, String), Timestamp>,
}

impl Shown<'_> {
    /// The first time for what was wished, then for what is younger than all that was shown.
    fn ask(&mut self) -> LogsQuery {
        self.before = self.newest.clone();
        let newest = self.newest.values().max().map(|at| at.as_second().saturating_sub(OVERLAP));
        let Some(since) = newest.or(self.begun) else {
            self.begun = Some(clock::wall_ms() / 1_000);
            return self.query.clone();
        };
        LogsQuery { since: since.max(self.query.since).max(1), tail: -1, ..self.query.clone() }
    }

    fn take(&mut self, reply: &LogsReply) -> Result<(), Failure> {
        let place = (reply.replica.clone(), reply.node.clone());
        if let Ok(at) = reply.at.parse::<Timestamp>() {
            if self.before.get(&place).is_some_and(|before| at <= *before) {
                return Ok(());
            }
            self.newest.insert(place, at);
        }
        let out = self.session.out;
        if self.plain {
            let line = [reply.line.strip_suffix(b"\n").unwrap_or(&reply.line), b"\n"].concat();
            return if reply.stderr { out.error_bytes(&line) } else { out.bytes(&line) };
        }
        for line in lines(&reply.line) {
            if out.json {
                out.record(&json::log_line(reply, line))?;
            } else {
                out.bytes(&self.prefixes.line(reply, line, self.query.timestamps))?;
            }
        }
        Ok(())
    }
}

/// Names without their project, and the project when they say it (`shop/web.2`).
pub(crate) fn bare(
    names: Vec<String>,
    flag: Option<String>,
) -> Result<(Vec<String>, Option<String>), Failure> {
    let mut project = flag;
    let mut out = Vec::with_capacity(names.len());
    for name in names {
        let Some((said, rest)) = name.split_once('/') else {
            out.push(name);
            continue;
        };
        if project.as_deref().is_some_and(|p| p != said) {
            return Err(Failure::usage("these names are of several projects")
                .next("ask for one project at a time"));
        }
        project = Some(said.to_owned());
        out.push(rest.to_owned());
    }
    Ok((out, project))
}

/// Seconds since the epoch: a duration is counted back from now.
fn when(text: &str, now_ms: i64) -> Result<i64, Failure> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment.as_second());
    }
    // A number as long as a moment is one, in seconds.
    if let Some(seconds) = text.parse::<i64>().ok().filter(|s| *s > 1_000_000_000) {
        return Ok(seconds);
    }
    let ago = text::duration(text).map_err(|_| {
        Failure::usage(format!("\"{text}\" is neither a duration nor a moment"))
            .next("write 10m or 2026-11-24T10:00:00Z")
    })?;
    let ago = i64::try_from(ago.as_secs()).unwrap_or(i64::MAX);
    Ok((now_ms / 1_000).saturating_sub(ago).max(1))
}

/// The lines of what came in one piece, without their breaks.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Names in front of lines: one width for all so far, one colour for each.
struct Prefixes {
    colour: bool,
    width: usize,
    known: BTreeMap<String, AnsiColor>,
}

impl Prefixes {
    fn new(colour: bool) -> Self {
        Self { colour, width: 0, known: BTreeMap::new() }
    }

    /// The line as it is printed. What the container wrote stays as it is, as with Docker Compose.
    fn line(&mut self, reply: &LogsReply, line: &[u8], timestamps: bool) -> Vec<u8> {
        let name = text::safe(&reply.replica);
        let next = COLOURS[self.known.len() % COLOURS.len()];
        let colour = *self.known.entry(name.clone()).or_insert(next);
        self.width = self.width.max(text::width(&name));
        let padded = format!("{name}{}  |", " ".repeat(self.width - text::width(&name)));
        let style = Style::new().fg_color(Some(colour.into()));
        let mut out = paint(self.colour, style, &padded).into_bytes();
        out.push(b' ');
        if timestamps {
            out.extend_from_slice(text::safe(&reply.at).as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(line);
        out.push(b'\n');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(replica: &str) -> LogsReply {
        LogsReply {
            replica: replica.into(),
            at: "2026-11-24T10:00:00Z".into(),
            ..LogsReply::default()
        }
    }

    #[test]
    fn lines_stand_behind_padded_names() {
        let mut prefixes = Prefixes::new(false);
        let mut line = |name: &str, text: &str, at| {
            String::from_utf8(prefixes.line(&reply(name), text.as_bytes(), at)).unwrap()
        };
        assert_eq!(line("web.10", "up", false), "web.10  | up\n");
        assert_eq!(line("db.1", "ready", false), "db.1    | ready\n");
        assert_eq!(line("db.1", "x", true), "db.1    | 2026-11-24T10:00:00Z x\n");
    }

    #[test]
    fn each_replica_keeps_its_colour() {
        let mut prefixes = Prefixes::new(true);
        let first = prefixes.line(&reply("a"), b"", false);
        assert_ne!(prefixes.line(&reply("b"), b"", false)[..5], first[..5]);
        assert_eq!(prefixes.line(&reply("a"), b"", false), first);
    }

    #[test]
    fn names_are_escaped_and_bytes_are_not() {
        let mut prefixes = Prefixes::new(false);
        let line = prefixes.line(&reply("w\x1bb"), b"\xff\x1b[31mred", false);
        assert!(line.starts_with(b"w\\u{1b}b  | \xff\x1b[31mred"), "{line:?}");
    }

    #[test]
    fn pieces_are_cut_into_lines() {
        let cut: Vec<&[u8]> = lines(b"a\r\nb\n").collect();
        assert_eq!(cut, [b"a".as_slice(), b"b"]);
        assert_eq!(lines(b"").count(), 1);
    }

    #[test]
    fn moments_are_durations_or_dates() {
        let now = 2_000_000_000_000;
        assert_eq!(when("10m", now).unwrap(), 2_000_000_000 - 600);
        assert_eq!(when("2026-11-24T10:00:00Z", now).unwrap(), 1_795_514_400);
        assert_eq!(when("1795514400", now).unwrap(), 1_795_514_400);
        assert_eq!(when("yesterday", now).unwrap_err().exit.code(), 2);
    }

    #[test]
    fn names_may_say_their_project() {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (bare_names, project) = bare(names(&["shop/web.2", "api"]), None).unwrap();
        assert_eq!(bare_names, ["web.2", "api"]);
        assert_eq!(project.as_deref(), Some("shop"));
        assert!(bare(names(&["shop/web", "blog/web"]), None).is_err());
    }
}
