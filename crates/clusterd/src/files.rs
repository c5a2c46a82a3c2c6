//! Files that containers are handed: secrets in memory, configs in the data folder, one folder per task in each.
//! They are written before the task's container is made, outlive the daemon, and go when the container is gone.

use crate::config::Config;
use crate::node::Node;
use agent::{ActionResult, Create, CreateFile, Folders};
use anyhow::Context;
use api::v1::{self, members_client::MembersClient};
use model::{ContentId, ContentKind, TaskId, limits};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Deadline for asking one manager for one content.
const ASK: Duration = Duration::from_secs(5);
/// File systems that are in memory only: tmpfs and ramfs (statfs(2)).
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// Where the files of this host are.
pub(crate) fn folders(config: &Config) -> Folders {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let data = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    Folders { secrets: text(&config.secrets_dir), configs: text(&data.join("configs")) }
}

/// Why files are not in place.
pub(crate) enum Unsupplied {
    /// They may be later.
    Again(String),
    /// They cannot be on this host.
    Never(String),
}

impl From<Unsupplied> for ActionResult {
    fn from(why: Unsupplied) -> Self {
        match why {
            Unsupplied::Again(why) => Self::Again(why),
            Unsupplied::Never(why) => Self::Never(why),
        }
    }
}

/// The files of this host.
pub(crate) struct Files {
    node: Arc<Node>,
    folders: Folders,
    /// Held while files come or go, so that a sweep takes nothing away that was just written.
    changing: Mutex<()>,
}

impl Files {
    pub(crate) fn new(node: Arc<Node>) -> Arc<Self> {
        let folders = folders(&node.config);
        Arc::new(Self { node, folders, changing: Mutex::default() })
    }

    /// Puts everything in place that a container is handed; an error is what becomes of its making.
    pub(crate) async fn supply(self: &Arc<Self>, create: &Create) -> Result<(), Unsupplied> {
        let mut contents: BTreeMap<ContentId, Vec<u8>> = BTreeMap::new();
        for file in &create.files {
            if !contents.contains_key(&file.content) {
                let content = fetch(&self.node, &file.content).await.map_err(Unsupplied::Again)?;
                contents.insert(file.content.clone(), content);
            }
        }
        let (this, files) = (Arc::clone(self), create.files.clone());
        let written = tokio::task::spawn_blocking(move || this.write_all(&files, &contents)).await;
        written.unwrap_or_else(|e| Err(Unsupplied::Again(format!("its files: {e}"))))
    }

    fn write_all(
        &self,
        files: &[CreateFile],
        contents: &BTreeMap<ContentId, Vec<u8>>,
    ) -> Result<(), Unsupplied> {
        let _changing = self.changing.lock().expect("no panic while held");
        for file in files {
            let root = match file.content.kind {
                ContentKind::Secret => &self.folders.secrets,
                ContentKind::Config => &self.folders.configs,
            };
            let root = Path::new(root);
            let failed = |e: io::Error| {
                Unsupplied::Again(format!("cannot write a file in {}: {e}", root.display()))
            };
            make_folder(root).map_err(failed)?;
            if file.content.kind == ContentKind::Secret && !in_memory(root).map_err(failed)? {
                return Err(Unsupplied::Never(format!(
                    "{} is not in memory, so no secret is written there; mount a tmpfs there, or set `secrets_dir`",
                    root.display()
                )));
            }
            write(file, &contents[&file.content]).map_err(failed)?;
        }
        Ok(())
    }

    /// Removes the files of tasks whose container is gone; `holds` says which must stay.
    pub(crate) fn sweep(&self, holds: impl Fn(TaskId) -> bool) -> io::Result<()> {
        for root in [&self.folders.secrets, &self.folders.configs] {
            let Some(entries) = there(fs::read_dir(root))? else { continue };
            for entry in entries {
                let entry = entry?;
                let task = entry.file_name().to_str().and_then(|name| name.parse().ok());
                let _changing = self.changing.lock().expect("no panic while held");
                if task.is_some_and(|task| !holds(task)) {
                    there(fs::remove_dir_all(entry.path()))?;
                }
            }
        }
        Ok(())
    }
}

/// Removes all files, when the host leaves its cluster.
pub(crate) fn clear(config: &Config) -> anyhow::Result<()> {
    let folders = folders(config);
    for root in [&folders.secrets, &folders.configs] {
        there(fs::remove_dir_all(root)).with_context(|| format!("cannot remove {root}"))?;
    }
    Ok(())
}

/// What one version holds: asks one manager after the other.
pub(crate) async fn fetch(node: &Node, id: &ContentId) -> Result<Vec<u8>, String> {
    let kind = id.kind;
    let mut last = format!("no manager is known that has the {kind}");
    for (manager, address) in node.managers() {
        let channel = node.dialer.to(manager, address);
        let mut client =
            MembersClient::new(channel).max_decoding_message_size(limits::MESSAGE_BYTES);
        let request = v1::ContentRequest { kind: kind.to_string(), version: id.version.clone() };
        last = match tokio::time::timeout(ASK, client.content(request)).await {
            Ok(Ok(reply)) => return Ok(reply.into_inner().content),
            Ok(Err(status)) => format!("the {kind} did not come: {}", status.message()),
            Err(_) => format!("the {kind} did not come in time"),
        };
    }
    Err(last)
}

fn there<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Nobody but root gets past it on the host; a container has the file itself.
fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn in_memory(path: &Path) -> io::Result<bool> {
    let kind = rustix::fs::statfs(path)?.f_type;
    Ok(IN_MEMORY.contains(&(kind as i64)))
}

/// Writes one file. It comes into place whole, so a container that has the one before keeps that.
fn write(file: &CreateFile, content: &[u8]) -> io::Result<()> {
    let path = Path::new(&file.path);
    path.parent().map_or(Ok(()), make_folder)?;
    let temporary = path.with_extension("tmp");
    there(fs::remove_file(&temporary))?;
    let mut out =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    out.write_all(content)?;
    // The owner last: what belongs to another can be changed by that one only.
    out.set_permissions(fs::Permissions::from_mode(file.mode))?;
    if (file.uid, file.gid) != (0, 0) {
        fchown(&out, Some(file.uid), Some(file.gid))?;
    }
    out.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_with_its_mode_and_can_be_written_again() {
        let root = std::env::temp_dir().join(format!("clusterd-files-{}", std::process::id()));
        let path = root.join("7-0/0");
        let file = CreateFile {
            path: path.to_string_lossy().into_owned(),
            content: ContentId { kind: ContentKind::Config, version: "v".into() },
            target: "/a".into(),
            uid: 0,
            gid: 0,
            mode: 0o440,
        };
        write(&file, b"first").unwrap();
        // What a container holds open is not changed under it.
        let held = fs::File::open(&path).unwrap();
        write(&file, b"second").unwrap();
        assert_eq!(io::read_to_string(held).unwrap(), "first");
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&root), mode(&root.join("7-0"))), (0o440, 0o700, 0o700));
        assert_eq!(fs::read_dir(root.join("7-0")).unwrap().count(), 1);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn memory_is_told_from_a_disk() {
        assert!(!in_memory(Path::new("/proc")).unwrap());
        if let Ok(shared) = in_memory(Path::new("/dev/shm")) {
            assert!(shared);
        }
    }
}
