//! Commands around the life of a container: `pre_start`, each in a container of its own, `post_start` and
//! `pre_stop`, run inside of it. What is run once for all replicas becomes a service in `once`.

use crate::keys::Section;
use crate::reader::{Fields, Reader};
use crate::tree::Node;
use model::limits::HOOKS;
use model::{Hook, Hooks, Image, OnUnknown, PreStart};

/// Reads all hooks of a service.
pub(crate) fn read(r: &mut Reader<'_>, fields: &Fields<'_>) -> Hooks {
    Hooks {
        pre_start: before(r, fields),
        post_start: inside(r, fields, "post_start"),
        pre_stop: inside(r, fields, "pre_stop"),
    }
}

fn before(r: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<PreStart> {
    let mut steps: Vec<PreStart> = Vec::new();
    for item in entries(r, fields, "pre_start") {
        let inner = r.fields(item, "pre_start", Section::PreStart);
        let Some(hook) = hook(r, item, &inner, "pre_start") else { continue };
        let image = r.value(&inner, "image", crate::container::reference);
        let once = r.flag(&inner, "per_replica") == Some(false);
        let (resolved, on_unknown) = ours(r, &inner);
        if let Some(at) = inner.at("x-cluster").filter(|_| !once && on_unknown.is_some()) {
            r.log
                .error(at, "`on-unknown` is about what is run once: it needs `per_replica: false`");
        }
        if let Some(at) = inner.at("per_replica").filter(|_| once && steps.iter().any(|s| !s.once))
        {
            r.log.warn(at, "what is run once is run before all that is run for each replica");
        }
        let image = image.map(|reference| Image { reference, resolved, ..Image::default() });
        steps.push(PreStart { hook, image, once, on_unknown: on_unknown.unwrap_or_default() });
    }
    steps
}

/// What the image of a step was resolved to, which only a canonical document may say, and what becomes of
/// the step when its node is lost.
fn ours(r: &mut Reader<'_>, inner: &Fields<'_>) -> (Option<String>, Option<OnUnknown>) {
    let Some(node) = inner.get("x-cluster") else { return (None, None) };
    let ours = r.fields(node, "x-cluster", Section::PreStartCluster);
    let resolved = r.value(&ours, "resolved", crate::container::reference);
    let words = [("wait", OnUnknown::Wait), ("rerun", OnUnknown::Rerun)];
    (resolved.filter(|_| r.rules.deployer.is_none()), r.word(&ours, "on-unknown", &words))
}

fn entries<'n>(r: &mut Reader<'_>, fields: &Fields<'n>, key: &str) -> &'n [Node] {
    let Some(list) = fields.get(key) else { return &[] };
    let items = r.items(list, key, false);
    if items.len() > HOOKS {
        r.log.error(list.at, format!("`{key}`: more than {HOOKS} commands"));
        return &[];
    }
    items
}

fn inside(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Vec<Hook> {
    let mut hooks = Vec::new();
    for item in entries(r, fields, key) {
        let inner = r.fields(item, key, Section::Hook);
        let Some(hook) = hook(r, item, &inner, key) else { continue };
        hooks.push(hook);
    }
    hooks
}

fn hook(r: &mut Reader<'_>, item: &Node, inner: &Fields<'_>, key: &str) -> Option<Hook> {
    let command = if let Some(command) = inner.get("command") {
        crate::container::words_of(r, command, "command")
    } else {
        r.log.error(item.at, format!("`{key}` needs a `command`"));
        None
    };
    let mut hook = Hook {
        user: r.text(inner, "user"),
        working_dir: r.text(inner, "working_dir"),
        privileged: r.flag(inner, "privileged").unwrap_or(false),
        ..Hook::default()
    };
    if let Some(at) = inner.at("privileged").filter(|_| hook.privileged) {
        r.hands_over(at, key, "a privileged hook may do what root of its host may do");
    }
    if let Some(node) = inner.get("environment") {
        crate::environment::set(r, node, &mut hook.environment);
    }
    hook.command = command?;
    if hook.command.is_empty() {
        r.log.error(item.at, format!("`{key}`: the `command` is empty"));
        return None;
    }
    Some(hook)
}
