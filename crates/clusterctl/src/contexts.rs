//! Contexts: what it takes to reach a cluster from elsewhere, each in a file of its own that only its owner
//! may read. Owns the folder and the form of the files; never opens a connection.

use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a context file; real ones have about 3,000.
const FILE_BYTES: u64 = 256 * 1024;
/// The name that stands for no context: the socket of this host.
pub(crate) const LOCAL: &str = "local";

/// Access to one cluster. The key is a secret: no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// The cluster's id.
    pub(crate) cluster: String,
    /// Managers to try, as `host:port`.
    pub(crate) members: Vec<String>,
    /// The cluster's authority, PEM.
    pub(crate) authority: String,
    /// The holder's certificate, PEM.
    pub(crate) certificate: String,
    /// The holder's private key, PEM.
    pub(crate) key: String,
}

impl Context {
    /// The text of a context's file.
    pub(crate) fn to_text(&self) -> String {
        toml::to_string(self).expect("a struct of texts always serializes")
    }

    fn from_text(text: &str, path: &Path) -> Result<Self, Failure> {
        // The parser's own message would quote the file, and with it the key.
        let context: Self = toml::from_str(text).map_err(|_| {
            Failure::refused(format!("{} is not a context file", path.display()))
                .next("make one on a node: `clusterctl context new NAME --out FILE`")
        })?;
        if context.members.is_empty() {
            return Err(Failure::refused(format!("{} names no member", path.display())));
        }
        Ok(context)
    }

    /// Reads a context's file; refuses one that others may read.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            let mut text = String::new();
            let mut input = io::stdin().lock().take(FILE_BYTES);
            input.read_to_string(&mut text).map_err(|e| Failure::file("read", path, &e))?;
            return Self::from_text(&text, path);
        }
        let file = fs::File::open(path).map_err(|e| Failure::file("read", path, &e))?;
        let mode = file.metadata().map_err(|e| Failure::file("read", path, &e))?.mode();
        if mode & 0o077 != 0 {
            let message = format!("{} holds a key, and others may read it", path.display());
            return Err(Failure::refused(message).next(format!("chmod 600 {}", path.display())));
        }
        let mut text = String::new();
        file.take(FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(|e| Failure::file("read", path, &e))?;
        Self::from_text(&text, path)
    }
}

/// The folder with the contexts of one user.
pub(crate) struct Contexts {
    folder: PathBuf,
}

impl Contexts {
    /// In `$XDG_CONFIG_HOME/clusterctl`, else `~/.config/clusterctl`.
    pub(crate) fn of_user(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let set = |name: &str| variable(name).filter(|value| value.starts_with('/'));
        let config = set("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.or_else(|| Some(PathBuf::from(set("HOME")?).join(".config")));
        let config = config.ok_or_else(|| {
            Failure::refused("no folder for contexts: HOME is not set").next("set HOME")
        })?;
        Ok(Self { folder: config.join("clusterctl") })
    }

    fn path(&self, name: &str) -> Result<PathBuf, Failure> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let start = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !start || !name.bytes().all(allowed) || name.len() > 63 || name == LOCAL {
            return Err(Failure::usage(format!(
                "\"{name}\" is no name for a context: use up to 63 of a-z, A-Z, 0-9, '.', '-' and '_'; \"{LOCAL}\" is taken"
            )));
        }
        Ok(self.folder.join("contexts").join(format!("{name}.toml")))
    }

    /// The context of that name.
    pub(crate) fn load(&self, name: &str) -> Result<Context, Failure> {
        let path = self.path(name)?;
        if !path.exists() {
            return Err(Failure::refused(format!("there is no context {name}"))
                .next("`clusterctl context ls` lists them; `context import FILE` adds one"));
        }
        Context::read(&path)
    }

    /// Keeps a context under a name that is free.
    pub(crate) fn store(&self, name: &str, context: &Context) -> Result<PathBuf, Failure> {
        let path = self.path(name)?;
        let folder = self.folder.join("contexts");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|e| Failure::file("make", &folder, &e))?;
        write_secret(&path, &context.to_text())?;
        Ok(path)
    }

    /// Names of all contexts, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>, Failure> {
        let folder = self.folder.join("contexts");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Failure::file("read", &folder, &e)),
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The context used by default.
    pub(crate) fn current(&self) -> Option<String> {
        let text = fs::read_to_string(self.folder.join("current")).ok()?;
        Some(text.trim().to_owned()).filter(|name| !name.is_empty())
    }

    /// Makes a context the default; [`LOCAL`] makes the socket of this host the default.
    pub(crate) fn choose(&self, name: &str) -> Result<(), Failure> {
        let path = self.folder.join("current");
        if name == LOCAL {
            return match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    Err(Failure::file("remove", &path, &e))
                }
                _ => Ok(()),
            };
        }
        self.load(name)?;
        fs::write(&path, format!("{name}\n")).map_err(|e| Failure::file("write", &path, &e))
    }

    /// Forgets a context.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        let path = self.path(name)?;
        fs::remove_file(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Failure::refused(format!("there is no context {name}"))
                .next("`clusterctl context ls` lists them"),
            _ => Failure::file("remove", &path, &e),
        })?;
        if self.current().as_deref() == Some(name) {
            self.choose(LOCAL)?;
        }
        Ok(())
    }
}

/// Writes a file that must not exist yet, readable for its owner only.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|e| {
            let failure = Failure::file("write", path, &e);
            match e.kind() {
                io::ErrorKind::AlreadyExists => {
                    failure.next("choose another name, or remove it first")
                }
                _ => failure,
            }
        })?;
    let written = file
        .set_permissions(fs::Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all());
    written.map_err(|e| Failure::file("write", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Context {
        Context {
            cluster: "c".into(),
            members: vec!["10.0.0.1:7070".into()],
            authority: "A\n".into(),
            certificate: "C\n".into(),
            key: "-----SECRET-----\n".into(),
        }
    }

    fn contexts(folder: &Path) -> Contexts {
        let home = folder.to_str().unwrap().to_owned();
        Contexts::of_user(|name| (name == "HOME").then(|| home.clone())).unwrap()
    }

    #[test]
    fn contexts_are_kept_listed_used_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let contexts = contexts(folder.path());
        assert!(contexts.names().unwrap().is_empty());
        let path = contexts.store("prod", &sample()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(contexts.load("prod").unwrap().members, sample().members);
        assert!(contexts.store("prod", &sample()).is_err(), "never overwritten");
        contexts.choose("prod").unwrap();
        assert_eq!(contexts.current().as_deref(), Some("prod"));
        contexts.remove("prod").unwrap();
        assert_eq!(contexts.current(), None);
        assert!(contexts.choose("prod").is_err());
    }

    #[test]
    fn attack_27_a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let contexts = contexts(folder.path());
        let path = contexts.store("prod", &sample()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let failure = contexts.load("prod").map(drop).unwrap_err();
        assert_eq!(failure.exit.code(), 1);
        assert!(failure.next.unwrap().starts_with("chmod 600"));
    }

    #[test]
    fn a_damaged_file_does_not_show_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        write_secret(&path, "key = \"-----SECRET-----\nmore = 1").unwrap();
        let failure = Context::read(&path).map(drop).unwrap_err();
        assert!(!format!("{failure:?}").contains("SECRET"), "{failure:?}");
    }

    #[test]
    fn attack_12_names_of_contexts_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let contexts = contexts(folder.path());
        for name in ["../x", "", ".hidden", "a/b", "local", "a\nb"] {
            assert!(contexts.load(name).is_err(), "{name}");
        }
    }
}
