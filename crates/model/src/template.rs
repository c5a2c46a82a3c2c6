//! Placeholders that a text of a spec may hold, as Swarm has them: `{{.Task.Slot}}`. What they stand for is known
//! once a task has its node, so the node's agent puts it in. Owns which there are and how they are written.
//!
//! Only what begins with `.Service.`, `.Task.` or `.Node.` is meant for us. Other double braces belong to the
//! program in the container, as in Compose.

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `.Service.ID`
    ServiceId,
    /// `.Task.ID`
    TaskId,
    /// `.Task.Name`: the name of its container.
    TaskName,
    /// `.Task.Slot`: the number of the replica; of a service with one on each node, the node.
    TaskSlot,
    /// `.Node.ID`
    NodeId,
    /// `.Node.Hostname`: the node's name in the cluster.
    NodeHostname,
}

impl Placeholder {
    /// All of them, as they are written.
    pub const ALL: [(&'static str, Self); 6] = [
        (".Service.ID", Self::ServiceId),
        (".Task.ID", Self::TaskId),
        (".Task.Name", Self::TaskName),
        (".Task.Slot", Self::TaskSlot),
        (".Node.ID", Self::NodeId),
        (".Node.Hostname", Self::NodeHostname),
    ];

    /// The placeholder of this name, without braces.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, placeholder)| *placeholder)
    }
}

/// The text with each name in double braces that is meant for us replaced by what `value` makes of it; where it
/// makes nothing of it, and everywhere else, the text stays as it is.
pub fn expanded(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(start) = rest.find("{{") {
        let inner = &rest[start + 2..];
        let name = inner.find("}}").map(|end| (end, inner[..end].trim()));
        let found = name.filter(|(_, name)| ours(name)).and_then(|(end, n)| Some((end, value(n)?)));
        let next = if let Some((end, value)) = found {
            out.push_str(&rest[..start]);
            out.push_str(&value);
            start + 2 + end + 2
        } else {
            // One brace only: of three, the last two may open a placeholder.
            out.push_str(&rest[..=start]);
            start + 1
        };
        rest = &rest[next..];
    }
    out + rest
}

fn ours(name: &str) -> bool {
    let roots = [".Service.", ".Task.", ".Node."];
    roots.iter().any(|root| name.starts_with(root)) && !name.contains('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_replaced_and_nothing_else() {
        let value = |name: &str| Placeholder::named(name).map(|p| format!("<{p:?}>"));
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{{.Task.Slot}}", "<TaskSlot>"),
            ("{{ .Task.Slot }}", "<TaskSlot>"),
            ("a{{.Task.ID}}b{{.Node.ID}}c", "a<TaskId>b<NodeId>c"),
            ("{{{.Task.ID}}}", "{<TaskId>}"),
            ("{{.Task.Slto}}", "{{.Task.Slto}}"),
            ("{{range .}}{{.Message}}{{end}}", "{{range .}}{{.Message}}{{end}}"),
            ("{{.Task.Slot", "{{.Task.Slot"),
            ("{{ {{.Node.Hostname}}", "{{ <NodeHostname>"),
            ("é{{.Service.ID}}é", "é<ServiceId>é"),
            ("}}{{", "}}{{"),
        ] {
            assert_eq!(expanded(text, value), expected, "{text}");
        }
    }
}
