//! Finds the product's programs: built by cargo with our own profile, or installed beside us.

use crate::LabError;
use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The two programs that every host needs.
const PROGRAMS: [&str; 2] = ["clusterd", "clusterctl"];

/// How a program was compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// `cargo build`.
    Debug,
    /// `cargo build --release`.
    Release,
}

impl Profile {
    /// The profile that this very program was compiled with.
    pub fn own() -> Self {
        if cfg!(debug_assertions) { Self::Debug } else { Self::Release }
    }
}

/// A folder with `clusterd` and `clusterctl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// The programs in `folder`.
    ///
    /// # Errors
    /// [`LabError::NoBinary`] when one is absent.
    pub fn in_folder(folder: &Path) -> Result<Self, LabError> {
        let found = Self { folder: folder.to_owned() };
        PROGRAMS.iter().try_for_each(|name| found.program(name).map(|_| ()))?;
        Ok(found)
    }

    /// Under cargo, builds both with this program's own profile, showing cargo's output; started by hand, finds
    /// them beside this program, and builds them only where they are absent and can be built.
    ///
    /// # Errors
    /// The build's failure, or [`LabError::NoBinary`].
    pub fn find_or_build() -> Result<Self, LabError> {
        let own = env::current_exe().map_err(LabError::io("find", "this program"))?;
        let beside = own.parent().unwrap_or(Path::new("/"));
        let by_hand = env::var_os("CARGO").is_none();
        match (Self::in_folder(beside), Cargo::of(&own)) {
            (Ok(found), _) if by_hand => Ok(found),
            (_, Some(cargo)) => cargo.build(Profile::own()),
            (found, None) => found,
        }
    }

    /// The folder of both.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Path of the daemon.
    pub(crate) fn clusterd(&self) -> Result<PathBuf, LabError> {
        self.program("clusterd")
    }

    /// Path of the command line.
    pub(crate) fn clusterctl(&self) -> Result<PathBuf, LabError> {
        self.program("clusterctl")
    }

    fn program(&self, name: &str) -> Result<PathBuf, LabError> {
        let path = self.folder.join(name);
        let program = name.to_owned();
        if path.is_file() { Ok(path) } else { Err(LabError::NoBinary { program, path }) }
    }
}

/// A cargo workspace that this program was built from and can build more of.
struct Cargo {
    workspace: PathBuf,
    target: PathBuf,
}

impl Cargo {
    /// Known by the place of the program: `TARGET/debug/x`, `TARGET/release/deps/x-1234`, with the sources
    /// still where they were at compile time.
    fn of(own: &Path) -> Option<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.parent()?.to_owned();
        let mut folder = own.parent()?;
        if folder.ends_with("deps") {
            folder = folder.parent()?;
        }
        let target = folder.parent()?.to_owned();
        // Cargo marks each profile's folder; an installed copy has no such neighbour.
        let built_here = folder.join(".fingerprint").is_dir();
        let sources = fs::exists(workspace.join("Cargo.toml")).unwrap_or(false);
        (built_here && sources).then_some(Self { workspace, target })
    }

    fn build(&self, profile: Profile) -> Result<Binaries, LabError> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(&cargo);
        command.current_dir(&self.workspace).arg("build");
        // By program, not by package: so the dependencies have the features that the whole workspace gives
        // them, and what an ordinary build has compiled is not compiled again with others.
        command.args(PROGRAMS.iter().flat_map(|name| ["--bin", name]));
        // What cargo tells the program that it runs about this package is an input of some build scripts:
        // left in, they and all that depends on them would be built anew.
        for (name, _) in env::vars_os().filter(|(name, _)| of_a_package(name)) {
            command.env_remove(name);
        }
        command.arg("--target-dir").arg(&self.target);
        let folder = match profile {
            Profile::Debug => "debug",
            Profile::Release => {
                command.arg("--release");
                "release"
            }
        };
        let text = crate::run::words(&command);
        // Inherits the terminal: the first build takes minutes and must be seen to live.
        let status = command.status().map_err(LabError::io("start", cargo))?;
        if !status.success() {
            let message = "its output is above".to_owned();
            return Err(LabError::Command { command: text, status: status.to_string(), message });
        }
        Binaries::in_folder(&self.target.join(folder))
    }
}

/// Whether a variable is one that cargo sets for a program about its package, rather than a setting of cargo.
fn of_a_package(name: &OsStr) -> bool {
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
    name.to_str().is_some_and(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::of_a_package;

    #[test]
    fn a_build_within_a_run_keeps_the_settings_and_forgets_the_package() {
        for name in
            ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_CRATE_NAME"]
        {
            assert!(of_a_package(name.as_ref()), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_PROFILE_RELEASE_LTO", "CARGO", "PATH"]
        {
            assert!(!of_a_package(name.as_ref()), "{name}");
        }
    }
}
