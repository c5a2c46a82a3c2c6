//! Every limit of reading Compose files, in one place. Those that other crates share are re-exported from the
//! model: bytes of a file, services of a project, bytes of names, labels, secrets and configs.

pub(crate) use model::limits::{
    COMPOSE_BYTES, CONTENT_BYTES, LABEL_BYTES, LABELS, NAME_BYTES, PROJECT_CONTENT_BYTES,
    SERVICES_PER_PROJECT,
};

/// Compose files of one project: those given, those included, those extended from.
pub(crate) const FILES: usize = 64;
/// Levels of nesting in a file; far above what the specification needs.
pub(crate) const DEPTH: usize = 64;
/// Values of one file after aliases are expanded, and values that `extends` and `include` may copy; a text
/// counts one more per 32 bytes.
pub(crate) const VALUES: usize = 200_000;
/// Bytes that all values of a project may grow to when variables are put in.
pub(crate) const GROWN: usize = 8 * COMPOSE_BYTES;
/// Levels of `${A:-${B:-...}}`.
pub(crate) const VARIABLE_DEPTH: usize = 32;
/// Services that extend one another in a chain, and files that include one another.
pub(crate) const CHAIN: usize = 32;
/// Entries of one list of a service.
pub(crate) const ITEMS: usize = 1_024;
/// Rules by which requests over HTTP reach one service.
pub(crate) const HTTP_RULES: usize = 64;
/// Levels of brackets in the rule of a label.
pub(crate) const RULE_DEPTH: usize = 16;
/// Ports that one range may have: as many as one service may publish ([`ITEMS`]).
pub(crate) const RANGE: u16 = 1_024;
/// Bytes of the name of a variable or label. YAML reads a key of at most 1,024 characters, escapes included.
pub(crate) const KEY_BYTES: usize = 255;
/// Complaints kept per load; what comes after them is only counted, so that a hostile file cannot make the
/// answer larger than itself.
pub(crate) const COMPLAINTS: usize = 200;
/// Lines of the report card; what comes after them is only counted.
pub(crate) const FINDINGS: usize = 20_000;
