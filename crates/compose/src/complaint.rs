//! What is wrong with a file, said so that a person can act on it: place, message, what to write instead.
//! Owns how complaints are collected, ordered and shown; never decides what is wrong. Start with
//! [`Complaint`]; readers collect through `Log`.

use crate::card::{Card, Findings, Said, Standing};
use crate::limits::COMPLAINTS;
use crate::tree::Place;
use std::collections::BTreeMap;
use std::fmt;

/// Characters of a source line that [`render`] shows.
const LINE_SHOWN: usize = 160;
/// Characters of a quoted name or value in a message.
const QUOTED: usize = 80;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be deployed.
    Error,
    /// It can, but something in it has no effect or another one than with Docker Compose.
    Warning,
}

/// One thing that is wrong with a file, or worth a remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as the caller named it.
    pub file: String,
    /// Line, from 1; 0 when the complaint is about no place in the file.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Characters that the mark underlines; at least 1.
    pub length: u32,
    /// What is wrong, in one sentence. Control characters in quoted names are escaped.
    pub message: String,
    /// What to write or do instead.
    pub help: Option<String>,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = kind(self.severity);
        let file = shown(&self.file);
        if self.line == 0 {
            write!(f, "{file}: {kind}: {}", self.message)?;
        } else {
            write!(f, "{file}:{}:{}: {kind}: {}", self.line, self.column, self.message)?;
        }
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

/// Why a project was refused: at least one error, with the warnings found on the way, ordered by place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaints(pub Vec<Complaint>);

impl Complaints {
    /// The errors among them.
    pub fn errors(&self) -> impl Iterator<Item = &Complaint> {
        self.0.iter().filter(|c| c.severity == Severity::Error)
    }
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, complaint) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{complaint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Complaints {}

/// The complaint with the line it is about and a mark under the place, in plain text of several lines.
/// `source` is the text of the complaint's file; where it has no such line, only the message is shown.
/// Control characters, escape sequences and bidirectional marks of the file come out escaped.
pub fn render(complaint: &Complaint, source: &str) -> String {
    let mut lines = vec![format!("{}: {}", kind(complaint.severity), complaint.message)];
    let Complaint { line, column, length, .. } = *complaint;
    let file = shown(&complaint.file);
    let pad = " ".repeat(line.to_string().len());
    if line == 0 {
        lines.push(format!("{pad}--> {file}"));
    } else {
        lines.push(format!("{pad}--> {file}:{line}:{column}"));
        if let Some(text) = source.lines().nth(line as usize - 1) {
            let (text, offset, length) = window(text, column, length);
            lines.push(format!("{pad} |"));
            lines.push(format!("{line} | {text}"));
            lines.push(format!("{pad} | {}{}", " ".repeat(offset), "^".repeat(length)));
        }
    }
    lines.extend(complaint.help.iter().map(|help| format!("{pad} = help: {help}")));
    lines.join("\n") + "\n"
}

/// The part of a line around a column, escaped, with where the mark goes and how long it is.
fn window(line: &str, column: u32, length: u32) -> (String, usize, usize) {
    let column = column.max(1) as usize - 1;
    let skipped = column.saturating_sub(LINE_SHOWN / 2);
    let (mut text, mut offset, mut marked) = (String::new(), 0, 0);
    for (i, c) in line.chars().enumerate().skip(skipped).take(LINE_SHOWN) {
        let piece = if c == '\t' { " ".to_owned() } else { escaped(c) };
        let width = piece.chars().count();
        if i < column {
            offset += width;
        } else if i < column + length as usize {
            marked += width;
        }
        text.push_str(&piece);
    }
    (text.trim_end().to_owned(), offset, marked.max(1))
}

fn kind(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Whether a character could move a terminal's cursor, hide, or turn the reading direction.
pub(crate) fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
        || matches!(c, '\u{061C}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
}

fn escaped(c: char) -> String {
    if unprintable(c) { c.escape_unicode().to_string() } else { c.to_string() }
}

/// Text from a file as a message may quote it: escaped, and cut when long.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(QUOTED).map(escaped).collect();
    if text.chars().nth(QUOTED).is_some() {
        out.push_str("...");
    }
    out
}

/// Where complaints are collected while files are read.
#[derive(Default)]
pub(crate) struct Log {
    names: Vec<String>,
    kept: BTreeMap<(Place, Severity, String), Option<String>>,
    errors: usize,
    dropped: usize,
    findings: Findings,
}

impl Log {
    /// Makes a file known and returns its number, for [`Place::file`].
    pub(crate) fn file(&mut self, name: &str) -> u16 {
        self.names.push(name.to_owned());
        u16::try_from(self.names.len() - 1).unwrap_or(u16::MAX)
    }

    pub(crate) fn error(&mut self, at: Place, message: impl Into<String>) {
        self.add(at, Severity::Error, message.into(), None);
    }

    pub(crate) fn refuse(
        &mut self,
        at: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(at, Severity::Error, message.into(), Some(help.into()));
    }

    pub(crate) fn warn(&mut self, at: Place, message: impl Into<String>) {
        self.add(at, Severity::Warning, message.into(), None);
    }

    /// A part reached through several aliases complains once.
    fn add(&mut self, at: Place, severity: Severity, message: String, help: Option<String>) {
        self.errors += usize::from(severity == Severity::Error);
        let key = (at, severity, message);
        if self.kept.len() < COMPLAINTS {
            self.kept.insert(key, help);
        } else if !self.kept.contains_key(&key) {
            self.dropped += 1;
        }
    }

    /// Whether further complaints are only counted, so that no work should go into wording them.
    pub(crate) fn full(&self) -> bool {
        self.kept.len() >= COMPLAINTS
    }

    pub(crate) fn failed(&self) -> bool {
        self.errors > 0
    }

    /// Notes what becomes of a key.
    pub(crate) fn find(
        &mut self,
        at: Place,
        path: impl Into<String>,
        standing: Standing,
        why: impl Into<String>,
        instead: impl Into<String>,
    ) {
        let said = Said { standing, why: why.into(), instead: instead.into() };
        self.findings.add(at, path.into(), said);
    }

    /// Everything said, by place, and the report card.
    pub(crate) fn done(self) -> (Vec<Complaint>, Card) {
        let Self { names, kept, dropped, findings, .. } = self;
        let card = findings.into_card(|at| name(&names, at));
        (complaints(&names, kept, dropped), card)
    }
}

fn name(names: &[String], at: Place) -> String {
    names.get(usize::from(at.file)).cloned().unwrap_or_default()
}

fn complaints(
    names: &[String],
    kept: BTreeMap<(Place, Severity, String), Option<String>>,
    dropped: usize,
) -> Vec<Complaint> {
    let last = kept.keys().next_back().map(|(at, ..)| *at).unwrap_or_default();
    let mut out: Vec<Complaint> = kept
        .into_iter()
        .map(|((at, severity, message), help)| Complaint {
            severity,
            file: name(names, at),
            line: at.line,
            column: at.column,
            length: at.length.max(1),
            message,
            help,
        })
        .collect();
    if dropped > 0 {
        out.push(Complaint {
            severity: Severity::Error,
            file: name(names, last),
            line: 0,
            column: 0,
            length: 1,
            message: format!("and {dropped} more; fix these first"),
            help: None,
        });
    }
    out
}
