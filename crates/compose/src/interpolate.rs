//! Interpolation of variables into the values of a tree, every form of the Compose Specification: `$V`,
//! `${V}`, `:-`, `-`, `:?`, `?`, `:+`, `+`, nested, and `$$`. What a variable holds is inserted as it is and
//! never looked at again; no command is ever run. Start with [`tree`].

use crate::complaint::{Log, shown};
use crate::limits::{GROWN, VARIABLE_DEPTH};
use crate::tree::{Node, Value};
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// Where values come from.
#[derive(Clone, Copy)]
pub(crate) enum Variables<'v> {
    /// The deployer's, complete.
    Known(&'v BTreeMap<String, String>),
    /// None: a canonical document has every value in place, and only `$$` stands for something.
    Canonical,
}

/// Interpolates every value below `node`; keys stay as they are.
/// `grown` counts the bytes put in so far, over all files of a project.
pub(crate) fn tree(node: &mut Node, variables: Variables<'_>, log: &mut Log, grown: &mut usize) {
    walk(node, variables, log, grown);
}

fn walk(node: &mut Node, variables: Variables<'_>, log: &mut Log, grown: &mut usize) {
    match &mut node.value {
        Value::Scalar(text) if text.contains('$') => {
            let mut unset = Vec::new();
            match text_in(text, variables, &mut unset) {
                Ok(new) => *text = new,
                Err(why) => log.error(node.at, why),
            }
            for name in unset {
                log.warn(node.at, format!("variable `{name}` is not set; using an empty text"));
            }
            *grown += text.len();
            if *grown > GROWN {
                log.error(node.at, format!("values grow to more than {} MiB", GROWN >> 20));
                *text = String::new();
            }
        }
        Value::List(items) => {
            for item in items {
                walk(item, variables, log, grown);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                walk(&mut entry.node, variables, log, grown);
            }
        }
        Value::Null | Value::Scalar(_) => {}
    }
}

/// One text. Names of variables that have no value are added to `unset`.
pub(crate) fn text_in(
    text: &str,
    variables: Variables<'_>,
    unset: &mut Vec<String>,
) -> Result<String, String> {
    let mut reader = Text { chars: text.chars().peekable(), variables, unset };
    reader.run(None, true, 0)
}

struct Text<'t> {
    chars: Peekable<Chars<'t>>,
    variables: Variables<'t>,
    unset: &'t mut Vec<String>,
}

impl<'t> Text<'t> {
    /// Up to `end`, or to the end of the text. What is not `live` is only checked for its form.
    fn run(&mut self, end: Option<char>, live: bool, depth: usize) -> Result<String, String> {
        let mut out = String::new();
        while let Some(c) = self.chars.next() {
            match c {
                c if Some(c) == end => return Ok(out),
                '$' => out.push_str(&self.dollar(live, depth)?),
                c => out.push(c),
            }
            if out.len() > GROWN {
                return Err(format!("the value grows to more than {} MiB", GROWN >> 20));
            }
        }
        if end.is_some() { Err("a `${` without its `}`".to_owned()) } else { Ok(out) }
    }

    fn dollar(&mut self, live: bool, depth: usize) -> Result<String, String> {
        let next = self.chars.peek().copied();
        if next == Some('$') {
            self.chars.next();
            return Ok("$".to_owned());
        }
        if matches!(self.variables, Variables::Canonical) {
            return Err("a canonical document has no variables; write `$` as `$$`".to_owned());
        }
        match next {
            Some('{') => {
                self.chars.next();
                self.braces(live, depth)
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let name = self.name();
                Ok(self.value(&name, live))
            }
            _ => {
                Err("a `$` that starts no variable; write `$$` for the character itself".to_owned())
            }
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
        }
        name
    }

    fn known(&self, name: &str) -> Option<&'t str> {
        match self.variables {
            Variables::Known(map) => map.get(name).map(String::as_str),
            Variables::Canonical => None,
        }
    }

    /// The variable's value; empty, and noted, when it has none.
    fn value(&mut self, name: &str, live: bool) -> String {
        let value = self.known(name);
        if value.is_none() && live {
            self.unset.push(name.to_owned());
        }
        value.unwrap_or_default().to_owned()
    }

    /// What follows `${`.
    fn braces(&mut self, live: bool, depth: usize) -> Result<String, String> {
        if depth == VARIABLE_DEPTH {
            return Err(format!("variables nested more than {VARIABLE_DEPTH} levels deep"));
        }
        let name = self.name();
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("`${` must be followed by the name of a variable".to_owned());
        }
        let colon = self.chars.next_if_eq(&':').is_some();
        match self.chars.next() {
            Some('}') if !colon => Ok(self.value(&name, live)),
            Some(sign @ ('-' | '+' | '?')) => self.choice(&name, sign, colon, live, depth),
            Some(other) => {
                let sign = shown(&other.to_string());
                Err(format!(
                    "`{sign}` after `${{{name}`: expected `}}`, `:-`, `-`, `:?`, `?`, `:+` or `+`"
                ))
            }
            None => Err("a `${` without its `}`".to_owned()),
        }
    }

    fn choice(
        &mut self,
        name: &str,
        sign: char,
        colon: bool,
        live: bool,
        depth: usize,
    ) -> Result<String, String> {
        let value = self.known(name).filter(|v| !(colon && v.is_empty()));
        let takes_word = match sign {
            '+' => value.is_some(),
            _ => value.is_none(),
        };
        let word = self.run(Some('}'), live && takes_word, depth + 1)?;
        match (sign, value) {
            ('+', Some(_)) | ('-', None) => Ok(word),
            ('+', None) => Ok(String::new()),
            (_, Some(value)) => Ok(value.to_owned()),
            (_, None) if !live => Ok(String::new()),
            (_, None) if word.is_empty() => Err(format!("variable `{name}` must be set")),
            (_, None) => Err(format!("variable `{name}` must be set: {}", shown(&word))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> (Result<String, String>, Vec<String>) {
        let variables: BTreeMap<String, String> =
            [("A", "one"), ("EMPTY", ""), ("HOSTILE", "${A} $(reboot) $$")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into();
        let mut unset = Vec::new();
        (text_in(text, Variables::Known(&variables), &mut unset), unset)
    }

    #[test]
    fn attack_14_every_form_is_expanded_once() {
        for (text, expected) in [
            ("$A-${A}!", "one-one!"),
            ("$$A $${A}", "$A ${A}"),
            ("${A:-x}${A-x}", "oneone"),
            ("${EMPTY:-x}|${EMPTY-x}", "x|"),
            ("${NO:-x}|${NO-x}", "x|x"),
            ("${A:+x}|${A+x}|${EMPTY:+x}|${EMPTY+x}|${NO:+x}|${NO+x}", "x|x||x||"),
            ("${A:?why}${A?why}${EMPTY?why}", "oneone"),
            ("${NO:-${NEITHER:-$A}}", "one"),
            ("${NO:-a{b}", "a{b"),
            ("${NO:-$$5}", "$5"),
            ("${A:-${NO:?not reached}}", "one"),
            ("$HOSTILE", "${A} $(reboot) $$"),
            ("${NO-http://x:80/?q}", "http://x:80/?q"),
            ("é$A", "éone"),
        ] {
            assert_eq!(expand(text), (Ok(expected.to_owned()), vec![]), "{text}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_said_and_empty() {
        assert_eq!(
            expand("x${NO}y$NEITHER"),
            (Ok("xy".into()), vec!["NO".into(), "NEITHER".into()])
        );
    }

    #[test]
    fn attack_14_what_is_malformed_or_missing_is_refused() {
        for (text, part) in [
            ("${NO:?tell me}", "must be set: tell me"),
            ("${EMPTY:?}", "must be set"),
            ("${NO?}", "must be set"),
            ("$(reboot)", "starts no variable"),
            ("5$", "starts no variable"),
            ("$1", "starts no variable"),
            ("${}", "name of a variable"),
            ("${1}", "name of a variable"),
            ("${A", "without its `}`"),
            ("${A:-x", "without its `}`"),
            ("${A:x}", "expected"),
            ("${A:}", "expected"),
            ("${A B}", "expected"),
            ("${A!}", "expected"),
        ] {
            let error = expand(text).0.expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        let deep = format!("{}x{}", "${N:-".repeat(40), "}".repeat(40));
        assert!(expand(&deep).0.is_err());
    }
}
