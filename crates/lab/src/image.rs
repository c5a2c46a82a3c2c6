//! Makes images out of nothing: no registry, no base image, no builder. The same inputs give the same
//! bytes, hence the same image id on every engine.

use crate::{LabError, packages, run};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The test server's only source file.
const SERVER: &str = include_str!("bin/lab-server.rs");

/// The start script of test images. A server without signal handlers cannot answer SIGTERM as process 1,
/// so a shell does: it asks the server, through a file, to finish what is open and end.
const START: &str = "#!/bin/sh
trap 'touch /tmp/stop' TERM INT
/bin/lab-server \"$@\" &
server=$!
while :; do
  wait $server; code=$?
  kill -0 $server 2>/dev/null || exit $code
done
";

/// An image to be.
#[derive(Clone, Debug, Default)]
pub struct ImageSource {
    name: String,
    files: BTreeMap<String, (Vec<u8>, u32)>,
    env: Vec<String>,
    config: Map<String, Value>,
}

/// An image in a file that `docker load` and `clusterctl image load` take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// The file.
    pub path: PathBuf,
    /// As in `demo/web:1`.
    pub name: String,
    /// The id that every engine will give it: `sha256:...`.
    pub id: String,
}

impl ImageSource {
    /// An empty image (`FROM scratch`) called `name`, with a folder `/tmp`.
    pub fn new(name: &str) -> Self {
        let path = json!(["PATH=/bin"]);
        let config = Map::from_iter([("Env".to_owned(), path)]);
        let env = vec!["PATH=/bin".to_owned()];
        Self { name: name.to_owned(), config, env, ..Self::default() }.file("/tmp/", &[], 0o1777)
    }

    /// Adds a file with its absolute path and its mode. A path that ends in `/` is a folder.
    #[must_use]
    pub fn file(mut self, path: &str, content: &[u8], mode: u32) -> Self {
        self.files.insert(path.trim_start_matches('/').to_owned(), (content.to_vec(), mode));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        let prefix = format!("{key}=");
        self.env.retain(|entry| !entry.starts_with(&prefix));
        self.env.push(format!("{prefix}{value}"));
        let env = json!(self.env);
        self.set("Env", env)
    }

    /// Sets a field of the image's configuration by its name in the OCI image specification: `Entrypoint`,
    /// `Cmd`, `Healthcheck`, `ExposedPorts`, `StopSignal`, `User`, `WorkingDir`, `Labels`.
    #[must_use]
    pub fn set(mut self, field: &str, value: Value) -> Self {
        self.config.insert(field.to_owned(), value);
        self
    }

    /// Writes the image into `folder`.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn write(&self, folder: &Path) -> Result<ImageFile, LabError> {
        let layer =
            tar(self.files.iter().map(|(path, (content, mode))| (path, &content[..], *mode)));
        let config = json!({
            "architecture": match env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(&layer))] },
            "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "cluster-lab" }],
        });
        let config = config.to_string();
        let id = hex(config.as_bytes());
        let config_name = format!("{id}.json");
        let manifest =
            json!([{ "Config": config_name, "RepoTags": [self.name], "Layers": ["layer.tar"] }]);
        let manifest = manifest.to_string();
        let parts = [
            (config_name.as_str(), config.as_bytes(), 0o644),
            ("layer.tar", &layer, 0o644),
            ("manifest.json", manifest.as_bytes(), 0o644),
        ];
        let path = folder.join(format!("{}.tar", self.name.replace(['/', ':'], "-")));
        fs::write(&path, tar(parts)).map_err(LabError::io("write", &path))?;
        Ok(ImageFile { path, name: self.name.clone(), id: format!("sha256:{id}") })
    }
}

/// An image that holds the test server (see `lab-server.rs` for what it can be told) and a shell; version
/// `version` is what the server answers.
///
/// # Errors
/// The server could not be compiled, or busybox is missing.
pub fn test_image(name: &str, version: &str) -> Result<ImageSource, LabError> {
    let mut image = ImageSource::new(name);
    for (file, content) in parts()? {
        image = image.file(&format!("/bin/{file}"), &content, 0o755);
    }
    let check = ["CMD", "/bin/lab-server", "check"];
    let second = 1_000_000_000_u64;
    let health = json!({ "Test": check, "Interval": second, "Timeout": 2 * second, "Retries": 3 });
    Ok(image
        .env("VERSION", version)
        .set("Entrypoint", json!(["/bin/start"]))
        .set("ExposedPorts", json!({ "80/tcp": {} }))
        .set("Healthcheck", health))
}

/// The programs of test images: `lab-server`, `sh` (all of busybox) and `start`.
pub(crate) fn parts() -> Result<Vec<(&'static str, Vec<u8>)>, LabError> {
    let read = |path: &Path| fs::read(path).map_err(LabError::io("read", path));
    let busybox = Path::new(packages::BUSYBOX);
    Ok(vec![
        ("lab-server", read(&server()?)?),
        ("sh", read(busybox)?),
        ("start", START.as_bytes().to_vec()),
    ])
}

/// The static test server: installed beside this program, or compiled once into the same folder.
fn server() -> Result<PathBuf, LabError> {
    let own = env::current_exe().map_err(LabError::io("find", "this program"))?;
    let folder = own.parent().unwrap_or(Path::new("/")).to_owned();
    let installed = folder.join("lab-server");
    if packages::is_static(&installed) {
        return Ok(installed);
    }
    let cached = folder.join(format!("lab-server-static-{}", &hex(SERVER.as_bytes())[..12]));
    if !cached.is_file() {
        compile(&cached)?;
    }
    Ok(cached)
}

fn compile(target: &Path) -> Result<(), LabError> {
    let rustc = rustc().ok_or_else(|| LabError::NoBinary {
        program: "lab-server".to_owned(),
        path: target.with_file_name("lab-server"),
    })?;
    let fresh = target.with_extension(format!("{}", std::process::id()));
    let source = fresh.with_extension("rs");
    fs::write(&source, SERVER).map_err(LabError::io("write", &source))?;
    let mut command = Command::new(rustc);
    command.args(["--edition", "2024", "--crate-name", "lab_server", "-O"]);
    command.args(["-C", "target-feature=+crt-static", "-C", "strip=symbols", "-C", "panic=abort"]);
    let done = run::finish(command.arg("-o").arg(&fresh).arg(&source)).and_then(run::Finished::ok);
    let _ = fs::remove_file(&source);
    done?;
    fs::rename(&fresh, target).map_err(LabError::io("write", target))
}

fn rustc() -> Option<PathBuf> {
    let named = env::var_os("RUSTC").map(PathBuf::from);
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo/bin/rustc"));
    named.or_else(|| packages::find("rustc")).or_else(|| home().filter(|path| path.is_file()))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A tar archive in the `ustar` form (POSIX.1-1988), owned by root, dated 1970.
fn tar<'a>(entries: impl IntoIterator<Item = (impl AsRef<str>, &'a [u8], u32)>) -> Vec<u8> {
    let mut archive = Vec::new();
    for (path, content, mode) in entries {
        archive.extend(header(path.as_ref(), content.len(), mode));
        archive.extend(content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

fn header(path: &str, size: usize, mode: u32) -> [u8; 512] {
    assert!(path.len() <= 100, "paths in test images are short: {path}");
    let mut header = [0_u8; 512];
    let kind = if path.ends_with('/') { "5" } else { "0" };
    let fields = [
        (0, path.to_owned()),
        (100, format!("{mode:07o}")),
        (108, format!("{:07o}", 0)),
        (116, format!("{:07o}", 0)),
        (124, format!("{size:011o}")),
        (136, format!("{:011o}", 0)),
        (148, " ".repeat(8)),
        (156, kind.to_owned()),
        (257, "ustar\u{0}00".to_owned()),
    ];
    for (at, text) in fields {
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\u{0}").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_what_tar_reads() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("a.tar");
        fs::write(&archive, tar([("tmp/", &b""[..], 0o1777), ("bin/x", b"hello", 0o755)])).unwrap();
        let listed = run::sys("tar", &["-tvf", archive.to_str().unwrap()]).unwrap().stdout;
        let lines: Vec<_> = listed.lines().collect();
        assert!(lines[0].starts_with("drwxrwxrwt") && lines[0].ends_with("tmp/"), "{listed}");
        assert!(lines[1].starts_with("-rwxr-xr-x") && lines[1].contains(" 5 "), "{listed}");
    }

    #[test]
    fn the_same_inputs_give_the_same_id_and_others_another() {
        let folder = tempfile::tempdir().unwrap();
        let id = |version: &str| {
            let image = ImageSource::new("demo/x:1").env("VERSION", version);
            image.write(folder.path()).unwrap().id
        };
        assert_eq!(id("1"), id("1"));
        assert_ne!(id("1"), id("2"));
    }
}
