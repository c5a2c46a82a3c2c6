//! The report card: for each key of a file, at its place, what becomes of it. Owns how findings are kept,
//! bounded and ordered; what becomes of a key is decided by `keys` and by the readers of its values.

use crate::limits::FINDINGS;
use crate::tree::Place;
use std::collections::BTreeMap;

/// What becomes of a key; the later, the stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It does what the specification says.
    Honoured,
    /// It does the same in another way.
    Emulated,
    /// It does nothing here, and nothing is lost that could hurt.
    Harmless,
    /// It hands a container the host: nothing is deployed without the flag that is named.
    NeedsFlag,
    /// The file is not deployed with it.
    Refused,
}

impl Standing {
    /// The word for tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Emulated => "emulated",
            Self::Harmless => "harmless here",
            Self::NeedsFlag => "needs a flag",
            Self::Refused => "refused",
        }
    }
}

/// One key of a file and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, as the caller named it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The key and what it stands in: `services.web.ports`.
    pub path: String,
    /// What becomes of it.
    pub standing: Standing,
    /// How, or why; empty when it is honoured.
    pub why: String,
    /// What to write instead, or which flag to give; empty when there is nothing to do.
    pub instead: String,
}

/// What becomes of the keys of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// By place.
    pub findings: Vec<Finding>,
    /// Keys beyond those that are listed.
    pub more: usize,
}

impl Card {
    /// Whether everything is honoured or emulated.
    pub fn clean(&self) -> bool {
        self.more == 0 && self.findings.iter().all(|f| f.standing <= Standing::Emulated)
    }
}

/// A verdict with its reasons.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Said {
    pub(crate) standing: Standing,
    pub(crate) why: String,
    pub(crate) instead: String,
}

/// Where findings are collected.
#[derive(Default)]
pub(crate) struct Findings {
    kept: BTreeMap<(Place, String), Said>,
    more: usize,
}

impl Findings {
    /// Of two verdicts about one key the stricter stays.
    pub(crate) fn add(&mut self, at: Place, path: String, said: Said) {
        let full = self.kept.len() >= FINDINGS;
        match self.kept.get_mut(&(at, path.clone())) {
            Some(before) if before.standing < said.standing => *before = said,
            Some(_) => {}
            None if full => self.more += 1,
            None => {
                self.kept.insert((at, path), said);
            }
        }
    }

    pub(crate) fn into_card(self, name: impl Fn(Place) -> String) -> Card {
        let findings = self.kept.into_iter().map(|((at, path), said)| Finding {
            file: name(at),
            line: at.line,
            column: at.column,
            path,
            standing: said.standing,
            why: said.why,
            instead: said.instead,
        });
        Card { findings: findings.collect(), more: self.more }
    }
}
