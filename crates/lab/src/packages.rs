//! The system programs that a lab needs, and the Debian packages that bring them.

use crate::{LabError, run};
use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// Program and the Debian package that holds it.
const NEEDED: [(&str, &str); 11] = [
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
    ("hostname", "hostname"),
    ("curl", "curl"),
    ("openssl", "openssl"),
];

/// Where Debian puts the shell that goes into test images.
pub(crate) const BUSYBOX: &str = "/bin/busybox";

/// What this machine lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Program names.
    pub programs: Vec<String>,
    /// Debian packages, each once.
    pub packages: Vec<String>,
}

impl Missing {
    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    fn add(&mut self, program: &str, package: &str) {
        self.programs.push(program.to_owned());
        if !self.packages.iter().any(|known| known == package) {
            self.packages.push(package.to_owned());
        }
    }
}

/// Looks for everything a lab needs.
pub fn missing() -> Missing {
    let mut missing = Missing::default();
    for (program, package) in NEEDED {
        if find(program).is_none() {
            missing.add(program, package);
        }
    }
    if !is_static(Path::new(BUSYBOX)) {
        missing.add("busybox (static)", "busybox-static");
    }
    // With AppArmor in the kernel, engines refuse to start containers without its parser.
    let apparmor = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    if apparmor.is_ok_and(|text| text.starts_with('Y')) && find("apparmor_parser").is_none() {
        missing.add("apparmor_parser", "apparmor");
    }
    missing
}

/// Makes this machine fit for a lab: installs what is missing, after saying on `output` what.
///
/// # Errors
/// [`LabError::Missing`] when something is, and this is no Debian, or not root, or the packages did not bring
/// it all; [`LabError::NotRoot`] when that alone is in the way.
pub fn install(output: &mut dyn Write) -> Result<(), LabError> {
    let lacks = missing();
    if lacks.is_empty() {
        return require_root("making hosts");
    }
    if require_root("installing packages").is_err() || find("apt-get").is_none() {
        return Err(refuse(&lacks));
    }
    apt(&lacks.packages, output)?;
    // Newer Debian releases keep the command line apart from the engine.
    if find("docker").is_none() {
        apt(&["docker-cli".to_owned()], output)?;
    }
    require_all()
}

/// Fails unless everything is there.
pub(crate) fn require_all() -> Result<(), LabError> {
    let lacks = missing();
    if lacks.is_empty() { Ok(()) } else { Err(refuse(&lacks)) }
}

/// Fails unless run by root.
pub(crate) fn require_root(what: &'static str) -> Result<(), LabError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(LabError::NotRoot { what }) }
}

/// Whether the file is a program that needs no shared libraries: an ELF without an interpreter.
pub(crate) fn is_static(path: &Path) -> bool {
    const INTERPRETER: u32 = 3;
    let Ok(bytes) = fs::read(path) else { return false };
    let number = |at: usize, len: usize| -> Option<usize> {
        let field = bytes.get(at..at + len)?;
        Some(field.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    let is_elf64 = bytes.starts_with(b"\x7fELF\x02\x01");
    let (start, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let (Some(start), Some(size), Some(count)) = (start, size, count) else { return false };
    let mut kinds = (0..count).map(|i| number(start.saturating_add(i * size), 4));
    is_elf64 && kinds.all(|kind| kind.is_some_and(|kind| kind != INTERPRETER as usize))
}

/// The program's path, as a shell would find it; `sbin` folders count even when not in `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders = env::split_paths(&path).chain(usual);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn apt(packages: &[String], output: &mut dyn Write) -> Result<(), LabError> {
    let _ = writeln!(output, "Installing Debian packages: {}", packages.join(" "));
    let install = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        run::finish_within(
            command.args(["install", "-y", "--no-install-recommends"]).args(packages),
            std::time::Duration::from_secs(900),
        )
    };
    if install()?.success() {
        return Ok(());
    }
    // Package lists may be absent or out of date.
    run::sys("apt-get", &["update"])?;
    install()?.ok().map(|_| ())
}

fn refuse(lacks: &Missing) -> LabError {
    LabError::Missing { programs: lacks.programs.join(", "), packages: lacks.packages.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_static_programs_from_others() {
        assert!(!is_static(&env::current_exe().unwrap()), "test programs are linked dynamically");
        assert!(!is_static(Path::new("/etc/passwd")));
        assert!(!is_static(Path::new("/no/such/file")));
    }
}
