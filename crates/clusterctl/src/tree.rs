//! How progress looks: a tree that is redrawn on a terminal, lines of what changed elsewhere. Pure.

use crate::out::paint;
use crate::text;
use crate::wait::{Group, Line, Progress, Step};
use anstyle::{AnsiColor, Style};
use std::collections::BTreeMap;
use std::time::Duration;

/// How the line of a replica begins that no node has yet.
pub(crate) const WAITING: &str = "Waiting: ";
const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// How the terminal is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    pub(crate) colour: bool,
    /// Counts redraws: turns the spinner.
    pub(crate) turn: usize,
}

/// The tree: a line for all, one per service, one per replica. Of a tree too high for the terminal, what is
/// done is folded first.
pub(crate) fn tree(
    title: &str,
    progress: &Progress,
    took: &BTreeMap<String, Duration>,
    look: Look,
) -> Vec<String> {
    let done = progress.groups.iter().filter(|g| g.step == Step::Done).count();
    let head = format!("[+] {title} {done}/{}", progress.groups.len());
    let mut lines = vec![text::cut(&text::safe(&head), look.columns)];
    let full: usize = progress.groups.iter().map(|g| g.lines.len() + 1).sum();
    let fold = full + 2 > look.rows;
    for group in &progress.groups {
        lines.push(group_line(group, look));
        let shown = group.lines.iter().filter(|l| !fold || l.step != Step::Done);
        lines.extend(shown.map(|line| replica_line(line, took.get(&line.name), look)));
    }
    let room = look.rows.saturating_sub(2).max(1);
    if lines.len() > room {
        let hidden = lines.len() - room;
        lines.truncate(room);
        let more = format!("   … and {} more", text::count(hidden, "line"));
        lines.push(text::cut(&more, look.columns));
    }
    lines
}

fn group_line(group: &Group, look: Look) -> String {
    let text = format!("{}  {}", text::safe(&group.name), text::safe(&group.text));
    format!(" {} {}", mark(group.step, look), text::cut(&text, look.columns.saturating_sub(3)))
}

fn replica_line(line: &Line, took: Option<&Duration>, look: Look) -> String {
    let text = format!("{}  {}", text::safe(&line.name), text::safe(&line.text));
    let took = took.map(|t| text::took(*t)).unwrap_or_default();
    let beside = if took.is_empty() { 0 } else { took.len() + 2 };
    let room = look.columns.saturating_sub(5 + beside);
    let mut out = format!("   {} {}", mark(line.step, look), text::cut(&text, room));
    if !took.is_empty() {
        let gap = look.columns.saturating_sub(text::width(&out) + took.len());
        let blue = Style::new().fg_color(Some(AnsiColor::Blue.into()));
        out.push_str(&" ".repeat(gap));
        out.push_str(&paint(look.colour, blue, &took));
    }
    out
}

fn mark(step: Step, look: Look) -> String {
    let (sign, colour) = match step {
        Step::Done => ('✔', AnsiColor::Green),
        Step::Busy => (SPINNER[look.turn % SPINNER.len()], AnsiColor::Cyan),
        Step::Stuck => ('…', AnsiColor::Yellow),
        Step::Failed => ('✘', AnsiColor::Red),
    };
    paint(look.colour, Style::new().fg_color(Some(colour.into())), &sign.to_string())
}

/// Lines for what is new or different since `shown`, which is brought up to date. Replicas that vanished
/// are said to be removed.
pub(crate) fn changes(progress: &Progress, shown: &mut BTreeMap<String, String>) -> Vec<String> {
    let mut now: BTreeMap<String, String> = BTreeMap::new();
    for line in progress.groups.iter().flat_map(|g| &g.lines) {
        // A slot whose old task stops while its new one starts has two lines: both are told.
        let text = now.entry(line.name.clone()).or_default();
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&line.text);
    }
    let mut out: Vec<String> = now
        .iter()
        .filter(|(name, text)| shown.get(*name) != Some(text))
        .map(|(name, text)| format!("{}  {}", text::safe(name), text::safe(text)))
        .collect();
    // What was never placed was only waited for.
    let vanished =
        shown.iter().filter(|(name, text)| !now.contains_key(*name) && !text.starts_with(WAITING));
    out.extend(vanished.map(|(name, _)| name).map(|name| format!("{}  Removed", text::safe(name))));
    *shown = now;
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Look = Look { columns: 44, rows: 24, colour: false, turn: 0 };

    fn line(name: &str, step: Step, text: &str) -> Line {
        Line { name: name.into(), step, text: text.into() }
    }

    fn sample() -> Progress {
        let web = vec![
            line("shop/web.1", Step::Done, "Running on node2"),
            line("shop/web.2", Step::Busy, "Starting on node1"),
            line("shop/web.3", Step::Stuck, "Waiting: 2 nodes lack memory (need 512 MiB)"),
        ];
        let api = vec![line("shop/api.1", Step::Done, "Running on node3")];
        Progress {
            groups: vec![
                Group {
                    name: "shop/web".into(),
                    step: Step::Stuck,
                    text: "1/3".into(),
                    lines: web,
                },
                Group { name: "shop/api".into(), step: Step::Done, text: "1/1".into(), lines: api },
            ],
            done: false,
        }
    }

    #[test]
    fn the_tree_names_services_and_replicas_with_reasons() {
        let took = BTreeMap::from([("shop/web.1".to_owned(), Duration::from_millis(1_240))]);
        let expected = [
            "[+] Deploying shop 1/2",
            " … shop/web  1/3",
            "   ✔ shop/web.1  Running on node2       1.2s",
            "   ⠋ shop/web.2  Starting on node1",
            "   … shop/web.3  Waiting: 2 nodes lack memo…",
            " ✔ shop/api  1/1",
            "   ✔ shop/api.1  Running on node3",
        ];
        assert_eq!(tree("Deploying shop", &sample(), &took, LOOK), expected);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_tree_higher() {
        let took = BTreeMap::from([("shop/web.1".to_owned(), Duration::from_secs(75))]);
        for columns in [20, 44, 120] {
            for rows in [3, 5, 24] {
                let look = Look { columns, rows, colour: true, turn: 3 };
                let lines = tree("Deploying shop", &sample(), &took, look);
                assert!(lines.len() < rows.max(3), "{lines:?}");
                let wide = lines.iter().find(|l| text::width(l) > columns);
                assert_eq!(wide, None, "{columns} columns");
            }
        }
    }

    #[test]
    fn a_low_terminal_folds_what_is_done() {
        let lines = tree("x", &sample(), &BTreeMap::new(), Look { rows: 7, ..LOOK });
        assert!(!lines.iter().any(|l| l.contains("web.1")), "{lines:?}");
        assert!(lines.iter().any(|l| l.contains("web.3")), "{lines:?}");
    }

    #[test]
    fn only_changes_are_told_where_nothing_can_be_redrawn() {
        let mut shown = BTreeMap::new();
        assert_eq!(changes(&sample(), &mut shown).len(), 4);
        assert!(changes(&sample(), &mut shown).is_empty());
        let mut next = sample();
        next.groups[0].lines[1].text = "Running on node1".into();
        next.groups[0].lines.remove(0);
        let told = changes(&next, &mut shown);
        assert_eq!(told, ["shop/web.2  Running on node1", "shop/web.1  Removed"]);
        next.groups[0].lines.remove(1);
        assert!(changes(&next, &mut shown).is_empty(), "what only waited is not removed");
    }
}
