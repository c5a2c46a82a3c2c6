//! Writing YAML: a small tree of values, and the one way each is put down. Knows nothing of Compose. What it
//! writes reads back as the same text with every reader of YAML, old or new.

use std::collections::BTreeMap;

/// A value of a document.
pub(crate) enum Out {
    /// Numbers and booleans.
    Bare(String),
    /// A text; `$` is doubled.
    Text(String),
    List(Vec<Out>),
    Map(Vec<(String, Out)>),
}

/// A map being filled; what is absent is left out.
#[derive(Default)]
pub(crate) struct Map(pub(crate) Vec<(String, Out)>);

impl Map {
    pub(crate) fn put(&mut self, key: &str, value: impl Into<Option<Out>>) {
        if let Some(value) = value.into() {
            self.0.push((key.to_owned(), value));
        }
    }

    /// The map, unless nothing is in it.
    pub(crate) fn done(self) -> Option<Out> {
        (!self.0.is_empty()).then_some(Out::Map(self.0))
    }
}

pub(crate) fn text(text: impl Into<String>) -> Out {
    Out::Text(text.into())
}

pub(crate) fn number(n: impl Into<u64>) -> Out {
    Out::Bare(n.into().to_string())
}

/// `true`, or nothing.
pub(crate) fn flag(on: bool) -> Option<Out> {
    on.then(|| Out::Bare("true".to_owned()))
}

pub(crate) fn words(words: &[String]) -> Out {
    Out::List(words.iter().map(text).collect())
}

/// A list, unless nothing is in it.
pub(crate) fn list<T>(items: &[T], out: impl Fn(&T) -> Out) -> Option<Out> {
    (!items.is_empty()).then(|| Out::List(items.iter().map(out).collect()))
}

/// A map of texts, unless nothing is in it.
pub(crate) fn pairs(map: &BTreeMap<String, String>) -> Option<Out> {
    Map(map.iter().map(|(k, v)| (k.clone(), text(v))).collect()).done()
}

/// The text of a whole document.
pub(crate) fn document(top: &Map) -> String {
    let mut out = String::new();
    map(&mut out, &top.0, 0);
    out
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn map(out: &mut String, entries: &[(String, Out)], depth: usize) {
    for (i, (key, inner)) in entries.iter().enumerate() {
        // The first key of a list's item stands on the line of its dash.
        if i > 0 || !out.ends_with("- ") {
            indent(out, depth);
        }
        // Keys are never interpolated, so a `$` in one stays single.
        quote(out, key, false);
        out.push(':');
        value(out, inner, depth + 1);
    }
}

fn value(out: &mut String, inner: &Out, depth: usize) {
    match inner {
        Out::Bare(word) => {
            out.push(' ');
            out.push_str(word);
            out.push('\n');
        }
        Out::Text(text) => {
            out.push(' ');
            quote(out, text, true);
            out.push('\n');
        }
        Out::List(items) if items.is_empty() => out.push_str(" []\n"),
        Out::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Out::Map(entries) => {
            out.push('\n');
            map(out, entries, depth);
        }
        Out::List(items) => {
            out.push('\n');
            for inner in items {
                item(out, inner, depth);
            }
        }
    }
}

fn item(out: &mut String, inner: &Out, depth: usize) {
    indent(out, depth);
    match inner {
        Out::Map(entries) if !entries.is_empty() => {
            out.push_str("- ");
            map(out, entries, depth + 1);
        }
        other => {
            out.push('-');
            value(out, other, depth + 1);
        }
    }
}

/// Bare where nobody could take it for anything but this text; else in double quotes.
fn quote(out: &mut String, text: &str, doubled: bool) {
    if bare(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '$' if doubled => out.push_str("$$"),
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if special(c) => out.push_str(&escape(c)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// `\uXXXX`, or `\UXXXXXXXX` beyond the first plane (YAML 1.2.2, §5.7).
fn escape(c: char) -> String {
    let number = u32::from(c);
    if number > 0xffff { format!("\\U{number:08x}") } else { format!("\\u{number:04x}") }
}

/// Characters that YAML breaks lines at or does not print, and those that could fool a reader.
fn special(c: char) -> bool {
    crate::complaint::unprintable(c) || matches!(c, '\u{A0}' | '\u{FFFE}' | '\u{FFFF}')
}

fn bare(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let means_more = matches!(
        lower.as_str(),
        "y" | "n"
            | "yes"
            | "no"
            | "on"
            | "off"
            | "true"
            | "false"
            | "null"
            | "nan"
            | "inf"
            | "infinity"
    );
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/-".contains(&b))
        && !means_more
}
