//! `check` and `config`: what becomes of each key of the Compose files in a folder, and the project that they come
//! to. Both read files only; no cluster is asked.

use crate::args::{Check, Config, Global};
use crate::failure::Failure;
use crate::out::Out;
use crate::project::{self, Read, Sources};
use crate::table::Table;
use crate::text;
use compose::{Card, Complaint, Finding, Severity, Standing};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const STANDINGS: [Standing; 5] = [
    Standing::Honoured,
    Standing::Emulated,
    Standing::Harmless,
    Standing::NeedsFlag,
    Standing::Refused,
];

/// The report card.
pub(crate) fn check(out: Out, global: &Global, words: &Check) -> Result<(), Failure> {
    let sources =
        Sources { nodes: words.nodes, ..Sources::new(&words.input, global.project.clone()) };
    let read = project::read(&sources)?;
    out.either(|| table(&read.report.card), || document(&read))?;
    for complaint in mistakes(&read) {
        out.say(text::safe_lines(&read.render(complaint)).trim_end());
    }
    out.say(&summary(&read.report.card));
    if read.report.spec.is_none() {
        return Err(Failure::refused("the project cannot be deployed like this")
            .next("what is refused, needs a flag or is wrong is named above"));
    }
    if words.strict && !read.report.card.clean() {
        return Err(Failure::refused("not everything is honoured or emulated")
            .next("--strict wants that; the report names what is not"));
    }
    Ok(())
}

/// The canonical document.
pub(crate) fn config(out: Out, global: &Global, words: &Config) -> Result<(), Failure> {
    // What a document says does not depend on how many nodes there are.
    let sources = Sources { nodes: Some(1), ..Sources::new(&words.input, global.project.clone()) };
    let loaded = project::load(&sources)?;
    let loaded = loaded.map_err(|rejected| {
        rejected.warnings.iter().for_each(|c| out.warn(&said(c)));
        let errors = rejected.errors.join("\n");
        Failure::refused(format!("the project cannot be read\n\n{errors}"))
            .next("correct what is named above")
    })?;
    loaded.remarks.iter().for_each(|c| out.warn(&said(c)));
    let spec = loaded.spec;
    out.either(
        || spec.source.clone(),
        || json!({"project": spec.name.as_str(), "document": spec.source}),
    )
}

/// `docker-compose.yml:12:5: message (help)`
pub(crate) fn said(complaint: &Complaint) -> String {
    let Complaint { file, line, column, message, help, .. } = complaint;
    let place = if *line == 0 { file.clone() } else { format!("{file}:{line}:{column}") };
    let help = help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
    text::safe(&format!("{place}: {message}{help}"))
}

/// What is not honoured, in few lines, for whoever deploys.
pub(crate) fn not_honoured(card: &Card) -> Vec<String> {
    let mut lines = Vec::new();
    for standing in [Standing::Emulated, Standing::Harmless, Standing::NeedsFlag] {
        let of: BTreeSet<&str> = card
            .findings
            .iter()
            .filter(|f| f.standing == standing)
            .map(|f| f.path.as_str())
            .collect();
        let what = match standing {
            Standing::NeedsFlag => "allowed by policy or --allow-host",
            other => other.word(),
        };
        if !of.is_empty() {
            let (first, rest) = (of.iter().take(SHOWN), of.len().saturating_sub(SHOWN));
            let mut names = first.copied().collect::<Vec<_>>().join(", ");
            if rest > 0 {
                let _ = write!(names, " and {rest} more");
            }
            lines.push(text::safe(&format!("{what}: {names}")));
        }
    }
    if !lines.is_empty() {
        lines.push("`clusterctl check` says of each key how, or why".to_owned());
    }
    lines
}

/// Keys that a line of `deploy` names.
const SHOWN: usize = 12;

/// Complaints that the report has no line for: mistakes, and remarks about values.
fn mistakes(read: &Read) -> impl Iterator<Item = &Complaint> {
    let mut judged: BTreeMap<(&str, u32, u32), Standing> = BTreeMap::new();
    for f in &read.report.card.findings {
        let standing = judged.entry((f.file.as_str(), f.line, f.column)).or_insert(f.standing);
        *standing = f.standing.max(*standing);
    }
    read.report.complaints.iter().filter(move |c| {
        let least = match c.severity {
            Severity::Error => Standing::NeedsFlag,
            Severity::Warning => Standing::Harmless,
        };
        judged.get(&(c.file.as_str(), c.line, c.column)).is_none_or(|standing| *standing < least)
    })
}

fn table(card: &Card) -> String {
    let mut table = Table::new(&["PLACE", "KEY", "VERDICT", "WHY"]);
    for finding in &card.findings {
        table.row([
            format!("{}:{}:{}", finding.file, finding.line, finding.column),
            finding.path.clone(),
            finding.standing.word().to_owned(),
            reasons(finding),
        ]);
    }
    table.render()
}

fn reasons(finding: &Finding) -> String {
    let parts = [finding.why.as_str(), finding.instead.as_str()];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("; ")
}

fn count(card: &Card, standing: Standing) -> usize {
    card.findings.iter().filter(|f| f.standing == standing).count()
}

fn summary(card: &Card) -> String {
    let counts = STANDINGS.iter().map(|s| (count(card, *s), s.word()));
    let mut parts: Vec<String> =
        counts.filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if card.more > 0 {
        parts.push(format!("{} more keys", card.more));
    }
    parts.join(", ")
}

fn document(read: &Read) -> Value {
    let card = &read.report.card;
    let finding = |f: &Finding| {
        json!({
            "file": f.file, "line": f.line, "column": f.column, "key": f.path,
            "verdict": f.standing.word(), "why": f.why, "instead": f.instead,
        })
    };
    let complaint = |c: &Complaint| {
        let severity = if c.severity == Severity::Error { "error" } else { "warning" };
        json!({
            "severity": severity, "file": c.file, "line": c.line, "column": c.column,
            "message": c.message, "help": c.help,
        })
    };
    let counts: serde_json::Map<String, Value> = STANDINGS
        .iter()
        .map(|standing| (standing.word().to_owned(), json!(count(card, *standing))))
        .collect();
    json!({
        "project": read.report.spec.as_ref().map(|s| s.name.as_str()),
        "deployable": read.report.spec.is_some(),
        "clean": card.clean(),
        "counts": counts,
        "keys": card.findings.iter().map(finding).collect::<Vec<_>>(),
        "complaints": read.report.complaints.iter().map(complaint).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(path: &str, standing: Standing, why: &str) -> Finding {
        Finding {
            file: "c.yml".into(),
            line: 3,
            column: 5,
            path: path.into(),
            standing,
            why: why.into(),
            instead: String::new(),
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_key() {
        let findings = vec![
            finding("services.web.image", Standing::Honoured, ""),
            finding("services.web.expose", Standing::Harmless, "every port is reached"),
        ];
        let card = Card { findings, more: 0 };
        assert_eq!(
            table(&card),
            "PLACE       KEY                   VERDICT         WHY\n\
             c.yml:3:5   services.web.image    honoured\n\
             c.yml:3:5   services.web.expose   harmless here   every port is reached\n"
        );
        assert_eq!(summary(&card), "1 honoured, 1 harmless here");
        assert_eq!(not_honoured(&card)[0], "harmless here: services.web.expose");
        assert!(!card.clean());
    }

    #[test]
    fn complaints_name_their_place() {
        let complaint = Complaint {
            severity: Severity::Error,
            file: "c.yml".into(),
            line: 3,
            column: 5,
            length: 4,
            message: "unknown key `imgae`".into(),
            help: Some("did you mean `image`?".into()),
        };
        assert_eq!(said(&complaint), "c.yml:3:5: unknown key `imgae` (did you mean `image`?)");
        assert_eq!(
            said(&Complaint { line: 0, help: None, ..complaint }),
            "c.yml: unknown key `imgae`"
        );
    }
}
