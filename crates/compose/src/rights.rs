//! What a container may do: capabilities, security options, groups, and whether it is privileged. What gives it
//! the host is told apart from what does not; whether that is allowed is decided elsewhere.

use crate::complaint::shown;
use crate::reader::{Fields, Reader, plain};
use crate::scalar;
use model::Engine;

/// Capabilities that stay inside of the container's own name spaces, or that the engine gives anyway.
const OWN: [&str; 22] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "SYS_NICE",
    "SYS_PTRACE",
    "SYS_RESOURCE",
];

/// Those that reach beyond: with each of them a container can take over its host, or change it for others.
const BEYOND: [&str; 20] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "DAC_READ_SEARCH",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "PERFMON",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_MODULE",
    "SYS_PACCT",
    "SYS_RAWIO",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

pub(crate) fn read(r: &mut Reader<'_>, fields: &Fields<'_>, engine: &mut Engine) {
    engine.cap_drop = r.list(fields, "cap_drop", capability);
    engine.cap_add = r.list(fields, "cap_add", capability);
    if let Some(node) = fields.get("cap_add") {
        for item in r.items(node, "cap_add", true) {
            let name = item.scalar().and_then(|text| capability(text).ok());
            let Some(name) = name.filter(|c| BEYOND.contains(&c.as_str())) else { continue };
            let message = format!("capability `{name}` reaches beyond the container, to its host");
            r.hands_over_value(item.at, "cap_add", &name, &message);
        }
    }
    engine.privileged = r.flag(fields, "privileged").unwrap_or(false);
    if let Some(at) = fields.at("privileged").filter(|_| engine.privileged) {
        r.hands_over(
            at,
            "privileged",
            "a privileged container may do what root of its host may do",
        );
    }
    engine.read_only = r.flag(fields, "read_only").unwrap_or(false);
    engine.group_add = r.list(fields, "group_add", plain);
    security(r, fields, engine);
}

/// `CAP_NET_ADMIN` and `net_admin` are both `NET_ADMIN`.
fn capability(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let known = || OWN.into_iter().chain(BEYOND);
    if known().any(|k| k == name) {
        return Ok(name.to_owned());
    }
    let hint = crate::words::nearest(name, known()).map(|n| format!(" (did you mean `{n}`?)"));
    Err(format!("a capability such as `NET_ADMIN`{}", hint.unwrap_or_default()))
}

fn security(r: &mut Reader<'_>, fields: &Fields<'_>, engine: &mut Engine) {
    let Some(node) = fields.get("security_opt") else { return };
    let at = fields.at("security_opt").unwrap_or(node.at);
    for item in r.items(node, "security_opt", false) {
        let Some(text) = r.scalar(item, "security_opt", plain) else { continue };
        let (name, value) = text.split_once(['=', ':']).unwrap_or((&text, ""));
        match (name, value) {
            ("no-new-privileges", "") => engine.security_opt.push("no-new-privileges".to_owned()),
            ("no-new-privileges", on) => match scalar::boolean(on) {
                Ok(true) => engine.security_opt.push("no-new-privileges".to_owned()),
                Ok(false) => {}
                Err(expected) => {
                    r.log.error(item.at, format!("`security_opt`: expected {expected}"));
                }
            },
            ("seccomp" | "apparmor" | "systempaths", "unconfined") | ("label", "disable") => {
                let message = format!("`{name}={value}` takes away what keeps the container in");
                r.hands_over_value(item.at, "security_opt", &format!("{name}={value}"), &message);
                engine.security_opt.push(format!("{name}={value}"));
            }
            ("seccomp", "builtin") => engine.security_opt.push("seccomp=builtin".to_owned()),
            ("seccomp", _) => {
                let why = "the profile is a file, and files are not handed to nodes yet";
                r.refuse_key(at, "security_opt", why, "use the engine's own profile");
            }
            ("apparmor", "docker-default") | ("label", _) if names_no_type(value) => {
                engine.security_opt.push(format!("{name}={value}"));
            }
            // Which rules such a profile or type has is known on the nodes only; it may have none.
            ("apparmor" | "label", _) if !value.is_empty() => {
                let message = format!("`{name}={}` may let the container out", shown(value));
                r.hands_over_value(item.at, "security_opt", &format!("{name}={value}"), &message);
                engine.security_opt.push(format!("{name}={value}"));
            }
            _ => {
                let known = ["no-new-privileges", "seccomp", "apparmor", "label", "systempaths"];
                let hint = crate::words::hint(name, known.into_iter());
                r.log.error(item.at, format!("unknown security option `{}`{hint}", shown(name)));
            }
        }
    }
}

/// Whether an option of a label is none of its type, which says what the label lets a process do.
fn names_no_type(value: &str) -> bool {
    !value.is_empty() && !value.starts_with("type")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_13_a_capability_is_known_by_any_spelling() {
        for text in ["NET_ADMIN", "net_admin", "CAP_NET_ADMIN", "cap_net_admin"] {
            assert_eq!(capability(text), Ok("NET_ADMIN".into()), "{text}");
        }
        assert_eq!(
            capability("NET_ADMN"),
            Err("a capability such as `NET_ADMIN` (did you mean `NET_ADMIN`?)".into())
        );
        assert!(OWN.iter().all(|c| !BEYOND.contains(c)));
    }
}
