//! From the files of a project to one tree: each is read, its variables are put in, what it includes is taken in,
//! what its services extend is put under them, and the files are laid over each other. Owns the order of these
//! steps and the bounds on files and values; nothing here knows what a key means beyond them.

use crate::complaint::{Log, shown};
use crate::extends::Base;
use crate::interpolate::{self, Variables};
use crate::limits::{COMPOSE_BYTES, FILES, VALUES};
use crate::reader::Reader;
use crate::tree::{Node, Place, Value};
use crate::{SourceFile, extends, include, merge, rebase, yaml};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What is counted over all files of a project.
#[derive(Default)]
pub(crate) struct Spent {
    /// Files read.
    pub(crate) files: usize,
    /// Values in them, aliases expanded, and values copied since.
    pub(crate) values: usize,
    /// Bytes that variables put in.
    pub(crate) grown: usize,
}

/// The work on a project's files.
pub(crate) struct Sources<'r, 'a> {
    pub(crate) r: &'r mut Reader<'a>,
    pub(crate) spent: Spent,
    /// Files that services extend from, as far as they were read.
    pub(crate) bases: BTreeMap<String, Option<Rc<Base>>>,
    /// Services of which it was said that they extend each other.
    pub(crate) circles: BTreeSet<String>,
}

/// What one file is read with.
#[derive(Clone)]
pub(crate) struct Setting<'s> {
    /// What to call the file.
    pub(crate) name: String,
    /// Where its relative paths start, relative to the project folder; empty for the folder itself.
    pub(crate) folder: String,
    /// Variables.
    pub(crate) variables: &'s BTreeMap<String, String>,
    /// Files that include each other down to this one.
    pub(crate) way: Vec<String>,
}

/// The files given, as they are written. Each is looked at, even when one before it is broken.
pub(crate) fn written(
    files: &[SourceFile],
    log: &mut Log,
    spent: &mut Spent,
) -> Option<Vec<(String, Node)>> {
    let mut trees = Vec::new();
    if files.is_empty() || files.len() > FILES {
        let number = log.file("project");
        let message = format!("expected 1 to {FILES} files, got {}", files.len());
        log.error(Place::whole(number), message);
        return None;
    }
    for file in files {
        trees.push(parse(file, log, spent).map(|tree| (file.name.clone(), tree)));
    }
    trees.into_iter().collect()
}

/// The tree of one file, which is a map.
fn parse(file: &SourceFile, log: &mut Log, spent: &mut Spent) -> Option<Node> {
    let number = log.file(&file.name);
    spent.files += 1;
    let text = text(file, number, log)?;
    yaml::parse(text, number, log, &mut spent.values).filter(|tree| is_map(tree, log))
}

impl Sources<'_, '_> {
    /// All files given as one tree; `None` when it was said why there is none.
    pub(crate) fn merged(
        &mut self,
        trees: Vec<(String, Node)>,
        variables: &BTreeMap<String, String>,
    ) -> Option<Node> {
        let mut merged: Option<Node> = None;
        for (name, tree) in trees {
            let setting =
                Setting { way: vec![name.clone()], name, folder: String::new(), variables };
            let tree = self.resolved(tree, &setting);
            merged = Some(lay(merged, tree));
        }
        merged
    }

    /// A tree with variables in place, with what it includes, and with what its services extend.
    pub(crate) fn resolved(&mut self, mut tree: Node, setting: &Setting<'_>) -> Node {
        let variables = Variables::Known(setting.variables);
        interpolate::tree(&mut tree, variables, &mut self.r.log, &mut self.spent.grown);
        rebase::file(&mut tree, &setting.folder);
        include::take_in(self, &mut tree, setting);
        extends::put_under(self, &mut tree, setting);
        tree
    }

    /// Reads a file of the project that another one names.
    pub(crate) fn file(&mut self, path: &str, at: Place) -> Option<Node> {
        if self.spent.files >= FILES {
            self.r.log.error(at, format!("more than {FILES} files in one project"));
            return None;
        }
        let files = self.r.rules.deployer.as_ref().map(|d| d.files)?;
        let bytes = files.bytes(path, true, at, &mut self.r.log)?;
        let file = SourceFile { name: path.to_owned(), bytes };
        parse(&file, &mut self.r.log, &mut self.spent)
    }

    /// Notes that a tree is copied; false, and a complaint, when that is too much.
    pub(crate) fn may_copy(&mut self, node: &Node, at: Place) -> bool {
        self.spent.values += node.size();
        if self.spent.values > VALUES {
            let message =
                format!("more than {VALUES} values once files and services are put together");
            self.r.log.error(at, message);
        }
        self.spent.values <= VALUES
    }
}

/// A tree over those before it.
pub(crate) fn lay(below: Option<Node>, above: Node) -> Node {
    let mut merged = match below {
        Some(below) => merge::files(below, above),
        None => above,
    };
    merge::without_resets(&mut merged);
    merged
}

/// `path`, which starts at `folder`, from the project folder on.
pub(crate) fn joined(folder: &str, path: &str) -> String {
    if folder.is_empty() || path.starts_with(['/', '~']) || crate::files::is_remote(path) {
        return path.to_owned();
    }
    let joined = format!("{folder}/{path}");
    match crate::hostpath::inside(&joined) {
        Some(inside) if inside.is_empty() => ".".to_owned(),
        Some(inside) => inside,
        None if joined.starts_with('/') => crate::hostpath::normal(&joined),
        None => joined,
    }
}

/// The folder that a file lies in.
pub(crate) fn parent(path: &str) -> String {
    path.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap_or_default()
}

fn is_map(tree: &Node, log: &mut Log) -> bool {
    match &tree.value {
        Value::Map(_) => true,
        Value::Null => {
            log.error(tree.at, "the file is empty");
            false
        }
        _ => {
            log.error(tree.at, format!("a Compose file is a map, not {}", tree.kind()));
            false
        }
    }
}

/// The text of a file, whose size and encoding are checked before anything else happens to it.
pub(crate) fn text<'f>(file: &'f SourceFile, number: u16, log: &mut Log) -> Option<&'f str> {
    if file.bytes.len() > COMPOSE_BYTES {
        let (size, most) = (file.bytes.len() >> 20, COMPOSE_BYTES >> 20);
        let message = format!("the file has {size} MiB; at most {most} are read");
        log.error(Place::whole(number), message);
        return None;
    }
    match std::str::from_utf8(&file.bytes) {
        Ok(text) => Some(text),
        Err(e) => {
            let good = String::from_utf8_lossy(&file.bytes[..e.valid_up_to()]);
            let line = u32::try_from(good.matches('\n').count() + 1).unwrap_or(u32::MAX);
            let column = good.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
            let column = u32::try_from(column).unwrap_or(u32::MAX);
            let at = Place { file: number, line, column, length: 1 };
            log.error(at, "the file is not UTF-8 text");
            None
        }
    }
}

/// Says that a name is not there, with the one that was probably meant.
pub(crate) fn missing<'c>(
    what: &str,
    name: &str,
    file: &str,
    known: impl Iterator<Item = &'c str>,
) -> String {
    let hint = crate::words::hint(name, known);
    format!("{what} `{}` is not in `{}`{hint}", shown(name), shown(file))
}
