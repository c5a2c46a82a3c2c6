//! YAML text to [`Node`] tree: anchors, `<<` merges and tags resolved, duplicate keys refused, and size,
//! depth and expansion bounded before anything is built. Never knows a Compose key.

use crate::complaint::{Log, shown};
use crate::limits::{DEPTH, VALUES};
use crate::tree::{Entry, Merge, Node, Place, Value};
use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, Tag, options};
use std::collections::BTreeMap;

/// Reads one document. Complains and returns `None` where nothing sensible can be made of it.
/// `spent` counts values over all files of a project.
pub(crate) fn parse(text: &str, file: u16, log: &mut Log, spent: &mut usize) -> Option<Node> {
    let mut builder =
        Builder { file, log, stack: Vec::new(), anchors: BTreeMap::new(), cost: *spent };
    let root = builder.document(text);
    *spent = builder.cost;
    root
}

fn too_deep() -> String {
    format!("nested more than {DEPTH} levels deep")
}

fn nul(text: &str, file: u16) -> Option<Place> {
    let before = &text[..text.find('\0')?];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count());
    Some(mark(file, line, column, 1))
}

/// `column` counts from 0, as the parser does.
fn mark(file: u16, line: usize, column: usize, length: usize) -> Place {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { file, line: number(line), column: number(column + 1), length: number(length) }
}

/// The complaint was made; the rest of the file is not looked at.
struct Stopped;

struct Builder<'l> {
    file: u16,
    log: &'l mut Log,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, (Node, usize)>,
    cost: usize,
}

/// A list or map whose end has not been seen.
struct Frame {
    at: Place,
    anchor: usize,
    merge: Merge,
    /// What `cost` was when it began.
    cost: usize,
    body: Body,
}

enum Body {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: BTreeMap<String, Place>, merged: Vec<Node>, key: Option<Key> },
}

struct Key {
    text: String,
    at: Place,
    is_merge: bool,
}

impl Builder<'_> {
    fn document(&mut self, text: &str) -> Option<Node> {
        if let Some(at) = nul(text, self.file) {
            self.log.error(at, "the file contains a NUL character");
            return None;
        }
        let options = options! { emit_comments: false };
        let mut root = None;
        let mut documents = 0;
        for step in Parser::new_from_str_with_options(text, options) {
            let (event, span) = match step {
                Ok(step) => step,
                Err(e) => {
                    let at = mark(self.file, e.marker().line(), e.marker().col(), 1);
                    let message = match e.kind() {
                        ErrorKind::RecursionLimitExceeded => too_deep(),
                        _ => format!("not valid YAML: {}", shown(&e.info())),
                    };
                    self.log.error(at, message);
                    return None;
                }
            };
            if let Event::DocumentStart(..) = event {
                documents += 1;
                if documents > 1 {
                    self.log.error(self.place(&span), "a Compose file holds one YAML document");
                    return None;
                }
            }
            match self.take(event, &span) {
                Ok(Some(node)) => root = Some(node),
                Ok(None) => {}
                Err(Stopped) => return None,
            }
        }
        Some(root.unwrap_or_else(|| Node::new(Place::whole(self.file), Value::Null)))
    }

    fn place(&self, span: &Span) -> Place {
        let (start, end) = (span.start, span.end);
        let length =
            if end.line() == start.line() { end.col().saturating_sub(start.col()) } else { 1 };
        mark(self.file, start.line(), start.col(), length)
    }

    /// Returns the root once it is whole.
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<Option<Node>, Stopped> {
        let at = self.place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let (value, merge) = self.scalar(&text, style, tag.as_deref(), at)?;
                let is_merge = style == ScalarStyle::Plain && text == "<<";
                self.spend(1 + text.len() / 32, at)?;
                self.anchor(
                    anchor,
                    &Node { at, value: value.clone(), merge },
                    1 + text.len() / 32,
                    at,
                )?;
                self.put(Node { at, value, merge }, is_merge)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.open(at, anchor, tag.as_deref(), Body::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                let body = Body::Map {
                    entries: Vec::new(),
                    seen: BTreeMap::new(),
                    merged: Vec::new(),
                    key: None,
                };
                self.open(at, anchor, tag.as_deref(), body)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(id, at),
            _ => Ok(None),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        at: Place,
    ) -> Result<(Value, Merge), Stopped> {
        if text.contains('\0') {
            self.log.error(at, "the text contains a NUL character");
            return Err(Stopped);
        }
        let merge = self.tag(tag, at)?;
        let core = tag.and_then(Tag::core_suffix);
        let null = style == ScalarStyle::Plain
            && matches!(text, "" | "~" | "null" | "Null" | "NULL")
            && core != Some("str");
        let value =
            if null || core == Some("null") { Value::Null } else { Value::Scalar(text.to_owned()) };
        Ok((value, merge))
    }

    fn tag(&mut self, tag: Option<&Tag>, at: Place) -> Result<Merge, Stopped> {
        let Some(tag) = tag else { return Ok(Merge::Usual) };
        if tag.is_yaml_core_schema() {
            return Ok(Merge::Usual);
        }
        match tag.original().as_str() {
            "!reset" => Ok(Merge::Reset),
            "!override" => Ok(Merge::Override),
            other => {
                self.log.error(at, format!("unknown YAML tag `{}`", shown(other)));
                Err(Stopped)
            }
        }
    }

    fn open(
        &mut self,
        at: Place,
        anchor: usize,
        tag: Option<&Tag>,
        body: Body,
    ) -> Result<Option<Node>, Stopped> {
        if self.stack.len() == DEPTH {
            self.log.error(at, too_deep());
            return Err(Stopped);
        }
        let merge = self.tag(tag, at)?;
        let cost = self.cost;
        self.spend(1, at)?;
        self.stack.push(Frame { at, anchor, merge, cost, body });
        Ok(None)
    }

    fn close(&mut self) -> Result<Option<Node>, Stopped> {
        let Some(frame) = self.stack.pop() else { return Ok(None) };
        let value = match frame.body {
            Body::List(items) => Value::List(items),
            Body::Map { entries, mut seen, merged, .. } => {
                Value::Map(self.with_merges(entries, &mut seen, merged))
            }
        };
        let node = Node { at: frame.at, value, merge: frame.merge };
        self.anchor(frame.anchor, &node, self.cost - frame.cost, frame.at)?;
        self.put(node, false)
    }

    /// `<<`: keys of the maps named, in their order, where the map itself does not have them.
    fn with_merges(
        &mut self,
        mut entries: Vec<Entry>,
        seen: &mut BTreeMap<String, Place>,
        merged: Vec<Node>,
    ) -> Vec<Entry> {
        let mut parts = Vec::new();
        for node in merged {
            match node.value {
                Value::List(items) => parts.extend(items),
                _ => parts.push(node),
            }
        }
        for part in parts {
            let Value::Map(from) = part.value else {
                self.log.error(part.at, format!("`<<` takes maps, not {}", part.kind()));
                continue;
            };
            for entry in from {
                if !seen.contains_key(&entry.key) {
                    seen.insert(entry.key.clone(), entry.at);
                    entries.push(entry);
                }
            }
        }
        entries
    }

    fn alias(&mut self, id: usize, at: Place) -> Result<Option<Node>, Stopped> {
        let Some((node, cost)) = self.anchors.get(&id) else {
            self.log.error(at, "an alias inside the value that it stands for");
            return Err(Stopped);
        };
        let (cost, mut node) =
            (*cost, if self.cost + cost > VALUES { None } else { Some(node.clone()) });
        self.spend(cost, at)?;
        node.take().map_or(Ok(None), |node| self.put(node, false))
    }

    fn anchor(&mut self, id: usize, node: &Node, cost: usize, at: Place) -> Result<(), Stopped> {
        if id != 0 {
            self.spend(cost, at)?;
            self.anchors.insert(id, (node.clone(), cost));
        }
        Ok(())
    }

    fn spend(&mut self, cost: usize, at: Place) -> Result<(), Stopped> {
        self.cost += cost;
        if self.cost > VALUES {
            self.log.error(at, format!("more than {VALUES} values once aliases are expanded"));
            return Err(Stopped);
        }
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn put(&mut self, node: Node, is_merge: bool) -> Result<Option<Node>, Stopped> {
        let Some(frame) = self.stack.last_mut() else { return Ok(Some(node)) };
        match &mut frame.body {
            Body::List(items) => items.push(node),
            Body::Map { entries, seen, merged, key } => match key.take() {
                Some(key) if key.is_merge => merged.push(node),
                Some(Key { text, at, .. }) => {
                    if let Some(first) = seen.insert(text.clone(), at) {
                        let name = shown(&text);
                        let line = first.line;
                        self.log
                            .error(at, format!("`{name}` is given twice, first at line {line}"));
                    } else {
                        entries.push(Entry { key: text, at, node });
                    }
                }
                None => {
                    if let Value::Scalar(text) = node.value {
                        *key = Some(Key { text, at: node.at, is_merge });
                    } else {
                        self.log
                            .error(node.at, format!("a key must be a word, not {}", node.kind()));
                        return Err(Stopped);
                    }
                }
            },
        }
        Ok(None)
    }
}
