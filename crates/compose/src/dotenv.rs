//! `.env` and `env_file` files: comments, `export`, single and double quotes, values over several lines,
//! variables. Their values may be secrets, so no message here quotes one.

use crate::interpolate::{Variables, text_in};
use std::collections::BTreeMap;

/// One line of such a file that means something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Line, from 1.
    pub(crate) line: u32,
    /// The name, or why the line cannot be read.
    pub(crate) read: Result<(String, Option<String>), String>,
    /// Variables that the value refers to and that have no value.
    pub(crate) unset: Vec<String>,
}

/// Reads a file. Variables in values are looked up among the earlier settings and in `outer`, which wins.
/// `raw` takes values as they are: no quotes, no variables.
pub(crate) fn parse(text: &str, outer: &BTreeMap<String, String>, raw: bool) -> Vec<Setting> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut lines = text.lines().enumerate();
    let mut known = outer.clone();
    let mut out = Vec::new();
    while let Some((number, first)) = lines.next() {
        let line = u32::try_from(number + 1).unwrap_or(u32::MAX);
        let trimmed = first.trim_start();
        if trimmed.trim_end().is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let mut unset = Vec::new();
        let setting =
            setting(trimmed, &mut lines.by_ref().map(|(_, l)| l), &known, raw, &mut unset);
        if let Ok((name, Some(value))) = &setting {
            known.entry(name.clone()).or_insert_with(|| value.clone());
        }
        out.push(Setting { line, read: setting, unset });
    }
    out
}

fn setting<'l>(
    line: &'l str,
    more: &mut dyn Iterator<Item = &'l str>,
    known: &BTreeMap<String, String>,
    raw: bool,
    unset: &mut Vec<String>,
) -> Result<(String, Option<String>), String> {
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = match line.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value)),
        None => (line.trim(), None),
    };
    if !valid_name(name) {
        return Err("expected `NAME=value`".to_owned());
    }
    let Some(value) = value else { return Ok((name.to_owned(), None)) };
    let value =
        if raw { value.to_owned() } else { unquoted(value.trim_start(), more, known, unset)? };
    if value.contains('\0') {
        return Err("the value contains a NUL character".to_owned());
    }
    Ok((name.to_owned(), Some(value)))
}

/// Whether a container can have a variable of this name and a person can read it.
pub(crate) fn valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= crate::limits::KEY_BYTES
        && !name
            .contains(|c: char| c == '=' || c.is_whitespace() || crate::complaint::unprintable(c))
}

fn unquoted<'l>(
    value: &'l str,
    more: &mut dyn Iterator<Item = &'l str>,
    known: &BTreeMap<String, String>,
    unset: &mut Vec<String>,
) -> Result<String, String> {
    let mut vars = |text: &str| text_in(text, Variables::Known(known), unset);
    if let Some(rest) = value.strip_prefix('\'') {
        return Ok(up_to('\'', rest, more)?.replace("\\'", "'"));
    }
    if let Some(rest) = value.strip_prefix('"') {
        return vars(&unescaped(&up_to('"', rest, more)?));
    }
    let plain = match value.find(" #").or_else(|| value.find("\t#")) {
        Some(comment) => &value[..comment],
        None if value.starts_with('#') => "",
        None => value,
    };
    vars(plain.trim_end())
}

/// The text up to an unescaped quote, over several lines when need be.
fn up_to<'l>(
    quote: char,
    first: &'l str,
    more: &mut dyn Iterator<Item = &'l str>,
) -> Result<String, String> {
    let mut text = String::new();
    let mut line = first;
    loop {
        let mut escape = false;
        for (i, c) in line.char_indices() {
            if c == quote && !escape {
                text.push_str(&line[..i]);
                return match line[i + quote.len_utf8()..].trim_start() {
                    "" => Ok(text),
                    rest if rest.starts_with('#') => Ok(text),
                    _ => Err("text after the closing quote".to_owned()),
                };
            }
            escape = c == '\\' && !escape;
        }
        text.push_str(line);
        text.push('\n');
        line = more.next().ok_or("a quote that is not closed")?;
    }
}

/// Escapes of double quotes. `\$` becomes `$$`, which the variables' reader turns into one `$`.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('$') => out.push_str("$$"),
            Some(c @ ('"' | '\\' | '\'')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, raw: bool) -> Vec<String> {
        let outer = [("SHELL_SAYS".to_owned(), "outer".to_owned())].into();
        parse(text, &outer, raw)
            .into_iter()
            .map(|s| match s.read {
                Ok((name, Some(value))) => format!("{name}={value}"),
                Ok((name, None)) => name,
                Err(why) => format!("{}: {why}", s.line),
            })
            .collect()
    }

    #[test]
    fn every_way_to_write_a_value() {
        let text = "# comment\n\n A=1 # one\nexport B = two words \nC='single $A # kept'\nD=\"double $A\\n\\$A\" # c\n\
                    E=\nF=a#b\nG=\"two\nlines\"\nH\nI=${A:-x}${SHELL_SAYS}\nJ='it\\'s'\nK=#nothing\n";
        assert_eq!(
            read(text, false),
            [
                "A=1",
                "B=two words",
                "C=single $A # kept",
                "D=double 1\n$A",
                "E=",
                "F=a#b",
                "G=two\nlines",
                "H",
                "I=1outer",
                "J=it's",
                "K="
            ]
        );
    }

    #[test]
    fn raw_means_raw() {
        assert_eq!(read("A='x' # y\nB=$A", true), ["A='x' # y", "B=$A"]);
    }

    #[test]
    fn mistakes_have_a_line_and_show_no_value() {
        assert_eq!(
            read("A=1\nB C=s3cret\nD=\"s3cret\" s3cret\n=s3cret\nE=$(s3cret)\nF='s3cret", false),
            [
                "A=1",
                "2: expected `NAME=value`",
                "3: text after the closing quote",
                "4: expected `NAME=value`",
                "5: a `$` that starts no variable; write `$$` for the character itself",
                "6: a quote that is not closed"
            ]
        );
    }
}
