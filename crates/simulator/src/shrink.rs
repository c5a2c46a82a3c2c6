//! Makes a short scenario of what a seed broke: leaves out command after command, and whatever else can go, as
//! long as the same rule breaks. The result replays by itself and can be kept as a test.
//!
//! Removing pieces of halving size is delta debugging (Zeller, Hildebrandt: "Simplifying and isolating
//! failure-inducing input", 2002).

use crate::run::{Size, script};
use crate::scenario::{Line, Player};

/// A scenario in which the same breaks as in the run of a seed.
#[derive(Clone, Debug)]
pub struct Reduced {
    /// The text of the scenario, for [`crate::scenario::replay`].
    pub scenario: String,
    /// What breaks in it.
    pub what: String,
    /// Commands of the run, and of the scenario.
    pub commands: (usize, usize),
}

/// Makes a short scenario of what the seed breaks; `None` when it breaks nothing. `tries` is how many runs
/// that may take.
pub fn reduce(seed: u64, size: &Size, tries: usize) -> Option<Reduced> {
    let (lines, what) = script(seed, size)?;
    let mut shrinker = Shrinker { kind: kind(&what), left: tries };
    let before = lines.len();
    let mut lines = lines;
    loop {
        let length = written(&lines).len();
        lines = shrinker.drop_lines(lines);
        lines = shrinker.drop_services(lines);
        lines = shrinker.simplify(lines);
        if shrinker.left == 0 || written(&lines).len() >= length {
            break;
        }
    }
    let what = broken(&lines)?;
    let commands = (before, lines.len());
    Some(Reduced { scenario: written(&lines), what, commands })
}

/// Which rule broke: the words of a failure without what differs from run to run.
fn kind(what: &str) -> String {
    if what.starts_with("not healed") {
        return "not healed".to_owned();
    }
    if what.starts_with("a blip") {
        return "a blip".to_owned();
    }
    // Names of hosts, projects and services, and numbers of all sorts, hold digits.
    let words = what.split_whitespace().filter(|w| !w.contains(|c: char| c.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ")
}

fn written(lines: &[Line]) -> String {
    lines.iter().map(Line::written).collect()
}

/// What breaks when these commands are said; `None` for nothing, or when they make no sense.
fn broken(lines: &[Line]) -> Option<String> {
    let mut player = Player::new();
    player.say_all(lines.to_vec()).err()
}

struct Shrinker {
    kind: String,
    left: usize,
}

impl Shrinker {
    /// Whether the same breaks.
    fn same(&mut self, lines: &[Line]) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        broken(lines).is_some_and(|what| kind(&what) == self.kind)
    }

    /// Leaves out pieces of half the commands, then of a quarter, down to one; never the first, nor a blip, which
    /// without its end would be more than one.
    fn drop_lines(&mut self, mut lines: Vec<Line>) -> Vec<Line> {
        let mut piece = lines.len() / 2;
        while piece > 0 {
            let calm = lines.iter().position(|line| line.command == "calm");
            let mut at = calm.unwrap_or(lines.len());
            while at > 1 {
                let from = at.saturating_sub(piece).max(1);
                let mut fewer = lines.clone();
                fewer.drain(from..at);
                if self.same(&fewer) {
                    lines = fewer;
                }
                at = from.min(lines.len());
            }
            piece /= 2;
        }
        lines
    }

    /// Leaves out services of each document, with the words about them.
    fn drop_services(&mut self, mut lines: Vec<Line>) -> Vec<Line> {
        for at in 0..lines.len() {
            for name in services(&lines[at].document) {
                let mut fewer = lines.clone();
                fewer[at].document = without(&lines[at].document, &name);
                let about = |word: &&str| {
                    let who = word.split('=').next().unwrap_or_default();
                    !who.split([':', '+']).any(|w| w == name)
                };
                let words: Vec<&str> = lines[at].command.split(' ').filter(about).collect();
                fewer[at].command = words.join(" ");
                if self.same(&fewer) {
                    lines = fewer;
                }
            }
        }
        lines
    }

    /// Tries simpler forms of each command.
    fn simplify(&mut self, mut lines: Vec<Line>) -> Vec<Line> {
        for at in 0..lines.len() {
            loop {
                let found = simpler(&lines[at].command).into_iter().find_map(|command| {
                    let mut other = lines.clone();
                    other[at].command = command;
                    self.same(&other).then_some(other)
                });
                match found {
                    Some(other) => lines = other,
                    None => break,
                }
            }
        }
        lines
    }
}

/// Names of the services in a document.
fn services(document: &str) -> Vec<String> {
    let names = document.lines().take_while(|l| !l.starts_with("volumes:"));
    let names = names.filter_map(|l| l.strip_prefix("  ")?.strip_suffix(':'));
    names.filter(|name| !name.starts_with(' ')).map(str::to_owned).collect()
}

/// A document without one service.
fn without(document: &str, service: &str) -> String {
    let head = format!("  {service}:");
    let mut inside = false;
    let mut text = String::new();
    for line in document.lines() {
        if !line.starts_with("   ") {
            inside = line == head;
        }
        if !inside {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// Forms of a command that say less: fewer hosts and words, rounder times.
fn simpler(command: &str) -> Vec<String> {
    let words: Vec<&str> = command.split(' ').collect();
    let with = |at: usize, word: String| {
        let mut words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        words[at] = word;
        words.join(" ")
    };
    let without = |at: usize| {
        let mut words = words.clone();
        words.remove(at);
        words.join(" ")
    };
    let mut forms = Vec::new();
    for (at, word) in words.iter().enumerate().skip(1) {
        match (words[0], word.strip_suffix("ms").and_then(|ms| ms.parse::<u64>().ok())) {
            (_, Some(ms)) if ms > 1_000 => {
                let seconds = ms / 1_000;
                forms.push(with(at, format!("{seconds}s")));
                forms.push(with(at, format!("{}s", seconds + 1)));
            }
            ("hosts", _) if at == 2 => {
                let workers: u64 = word.parse().unwrap_or(0);
                forms.extend((workers > 0).then(|| with(at, (workers / 2).to_string())));
                forms.extend((workers > 1).then(|| with(at, (workers - 1).to_string())));
            }
            ("hosts", _) if at == 1 && *word != "3" => forms.push(with(at, "3".to_owned())),
            ("hosts", _) if at > 2 => forms.push(without(at)),
            ("cut" | "split" | "crash" | "kill", _) if words.len() > 2 => forms.push(without(at)),
            _ => {}
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::{kind, services, simpler, without};

    const DOCUMENT: &str = "services:\n  a:\n    image: web\n  b:\n    image: db\n    pre_start:\n      - x\nvolumes:\n  data: {}\n";

    #[test]
    fn services_are_taken_out_of_a_document() {
        assert_eq!(services(DOCUMENT), ["a", "b"]);
        let rest = without(DOCUMENT, "b");
        assert_eq!(rest, "services:\n  a:\n    image: web\nvolumes:\n  data: {}\n");
    }

    #[test]
    fn failures_of_one_kind_are_alike() {
        let one = kind("at commit (index 12): task 3.1 is not at the home of p0/data1");
        let other = kind("at commit (index 9): task 44.0 is not at the home of p1/data0");
        assert_eq!(one, other);
        assert_ne!(one, kind("at start (index 9): task 44.0 runs twice"));
    }

    #[test]
    fn simpler_forms_say_less() {
        assert_eq!(simpler("wait 1234ms"), ["wait 1s", "wait 2s"]);
        assert_eq!(simpler("wait 1s"), Vec::<String>::new());
        let hosts = simpler("hosts 5 4 seed=9 nasty");
        let expected = [
            "hosts 3 4 seed=9 nasty",
            "hosts 5 2 seed=9 nasty",
            "hosts 5 3 seed=9 nasty",
            "hosts 5 4 nasty",
            "hosts 5 4 seed=9",
        ];
        assert_eq!(hosts, expected);
    }
}
