//! Which paths of a host a container may see. Owns the normal form of a path and the list of paths that
//! hand over the host; never looks at a disk, so links on the host are the agent's to refuse.

/// Paths that hand a container the host, or the daemon's own keys: they, what is in them, and (so that
/// nobody mounts around the list) every folder that contains one of them.
const HANDS_OVER: [(&str, &str); 11] = [
    ("/proc", "shows every process of the host"),
    ("/sys", "holds the kernel's settings"),
    ("/dev", "holds the host's devices"),
    ("/run/docker.sock", "is the engine's socket, which is as good as root on the host"),
    ("/run/docker", "holds the engine's sockets"),
    ("/run/containerd", "holds the engine's sockets"),
    ("/run/podman", "holds the engine's sockets"),
    ("/run/clusterd", "holds this cluster's sockets"),
    ("/var/lib/docker", "holds every container's files"),
    ("/var/lib/containerd", "holds every container's files"),
    ("/var/lib/clusterd", "holds this cluster's keys"),
];

/// `path` without `.`, `..`, doubled and trailing slashes. `..` at the root stays at the root.
pub(crate) fn normal(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// A relative path without `.` and inner `..`; `None` when it leaves the folder it starts from.
pub(crate) fn inside(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!path.starts_with('/')).then(|| parts.join("/"))
}

/// Why a host path is not to be shown to a container; `None` when it may be.
pub(crate) fn hands_over(path: &str) -> Option<&'static str> {
    let path = normal(path);
    // Debian and all its relatives make /var/run a link to /run, and /var/lock one to /run/lock.
    let path = match path.strip_prefix("/var/run") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("/run{rest}"),
        _ => path,
    };
    if path == "/" {
        return Some("is the whole host");
    }
    let within = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|r| r.starts_with('/'));
    if let Some((_, why)) = HANDS_OVER.iter().find(|(p, _)| within(&path, p)) {
        return Some(why);
    }
    HANDS_OVER
        .iter()
        .any(|(p, _)| within(p, &path))
        .then_some("contains the engine's or the cluster's own files")
}

/// Why the options of a local volume would hand over the host; `None` when they do not. The local driver
/// mounts whatever `type`, `device` and `o` say, so a volume is a bind in disguise.
pub(crate) fn volume_hands_over<'o>(option: impl Fn(&str) -> Option<&'o str>) -> Option<String> {
    let kind = option("type").unwrap_or_default();
    if !matches!(
        kind,
        "" | "none" | "bind" | "nfs" | "nfs4" | "cifs" | "smb3" | "tmpfs" | "overlay"
    ) {
        return Some("mounts a file system of the host's kernel".to_owned());
    }
    let paths = option("o").unwrap_or_default().split([',', '=', ':']);
    paths
        .chain(option("device").filter(|_| !matches!(kind, "cifs" | "smb3")))
        .filter(|p| p.starts_with('/'))
        .find_map(|p| {
            hands_over(p).map(|why| format!("mounts `{}`, which {why}", crate::complaint::shown(p)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_13_no_spelling_gets_around_the_list() {
        for path in [
            "/",
            "//",
            "/./",
            "/..",
            "/a/..",
            "/proc",
            "/proc/",
            "/proc/1/root",
            "/./proc",
            "//proc//sys",
            "/srv/../proc",
            "/../dev/sda",
            "/var/run/docker.sock",
            "/run/docker.sock",
            "/var//run/./docker.sock",
            "/var/run",
            "/run",
            "/var",
            "/var/lib",
            "/var/lib/docker/volumes",
            "/sys/fs/cgroup",
            "/var/lib/clusterd",
        ] {
            assert!(hands_over(path).is_some(), "{path}");
        }
        for path in [
            "/srv",
            "/srv/proc",
            "/process",
            "/var/log",
            "/var/running",
            "/home/me/dev",
            "/var/lib/mysql",
        ] {
            assert_eq!(hands_over(path), None, "{path}");
        }
    }

    #[test]
    fn a_path_inside_stays_inside() {
        assert_eq!(inside("./a/../b//c"), Some("b/c".into()));
        for out in ["..", "a/../../b", "../x", "/etc/shadow"] {
            assert_eq!(inside(out), None, "{out}");
        }
    }

    #[test]
    fn a_volume_is_no_way_around_either() {
        let of = |options: &[(&'static str, &'static str)]| {
            let options = options.to_vec();
            volume_hands_over(move |k| options.iter().find(|(o, _)| *o == k).map(|(_, v)| *v))
        };
        assert!(of(&[("type", "none"), ("o", "bind"), ("device", "/")]).is_some());
        assert!(of(&[("o", "bind,rw"), ("device", "/srv/../proc")]).is_some());
        assert!(
            of(&[("type", "overlay"), ("o", "lowerdir=/srv:/,upperdir=/x"), ("device", "overlay")])
                .is_some()
        );
        assert!(of(&[("type", "proc"), ("device", "proc")]).is_some());
        assert!(of(&[("type", "ext4"), ("device", "/dev/sda1")]).is_some());
        assert_eq!(
            of(&[("type", "nfs"), ("o", "addr=10.0.0.1,rw"), ("device", ":/exports")]),
            None
        );
        assert_eq!(of(&[("type", "none"), ("o", "bind"), ("device", "/srv/data")]), None);
    }
}
