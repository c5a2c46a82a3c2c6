//! The data folder: what must survive the daemon, each file with its mode.
//!
//! | path            | mode | content |
//! |-----------------|------|---------|
//! | `node.json`     | 0600 | who this node is: cluster, number, name, addresses |
//! | `key.pem`       | 0600 | its private key |
//! | `certificate.pem` | 0644 | its certificate |
//! | `authority.pem` | 0644 | the cluster authority's certificate |
//! | `cluster.key`   | 0600 | managers: opens what the state holds sealed |
//! | `mesh.key`      | 0600 | opens what other nodes send over an encrypted mesh |
//! | `view`          | 0600 | the agent's last view |
//! | `raft/`         | 0700 | managers: log, vote and snapshots |
//! | `configs/`      | 0700 | configs of containers, by task |
//! | `edge/`         | 0700 | the edge's last picture and its socket |
//! | `lock`          | 0600 | held by the one daemon that uses the folder |

use anyhow::Context;
use model::{ClusterId, NodeId, NodeName, Role};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Who this node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeFile {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    pub(crate) name: NodeName,
    pub(crate) role: Role,
    pub(crate) advertise: IpAddr,
    /// Control planes of managers, as last known.
    pub(crate) managers: Vec<(NodeId, SocketAddr)>,
}

/// The data folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Opens the folder, making it when it is not there.
    pub(crate) fn open(root: &Path) -> anyhow::Result<Self> {
        let folder = Self { root: root.to_path_buf() };
        for dir in [folder.root.clone(), folder.edge()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .with_context(|| format!("cannot make the folder {}", dir.display()))?;
        }
        Ok(folder)
    }

    /// Makes sure that no other daemon uses the folder, for as long as the result is held.
    pub(crate) fn lock(&self) -> anyhow::Result<fs::File> {
        use rustix::fs::{FlockOperation, flock};
        let path = self.root.join("lock");
        let file =
            fs::File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .with_context(|| format!("another clusterd uses {}", self.root.display()))?;
        Ok(file)
    }

    pub(crate) fn raft(&self) -> PathBuf {
        self.root.join("raft")
    }

    pub(crate) fn edge(&self) -> PathBuf {
        self.root.join("edge")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.root.join("key.pem")
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.root.join("certificate.pem")
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.root.join("authority.pem")
    }

    pub(crate) fn cluster_key(&self) -> PathBuf {
        self.root.join("cluster.key")
    }

    pub(crate) fn mesh_key(&self) -> PathBuf {
        self.root.join("mesh.key")
    }

    pub(crate) fn view(&self) -> PathBuf {
        self.root.join("view")
    }

    fn node(&self) -> PathBuf {
        self.root.join("node.json")
    }

    /// Who this node is; `None` when it belongs to no cluster yet.
    pub(crate) fn read_node(&self) -> anyhow::Result<Option<NodeFile>> {
        let Some(bytes) = read_if_there(&self.node())? else { return Ok(None) };
        let node = serde_json::from_slice(&bytes).with_context(|| {
            format!(
                "{} is damaged; move the data folder away and `clusterctl join --replace NAME`",
                self.node().display()
            )
        })?;
        Ok(Some(node))
    }

    pub(crate) fn write_node(&self, node: &NodeFile) -> anyhow::Result<()> {
        write(&self.node(), &serde_json::to_vec_pretty(node)?, 0o600)
    }

    /// Puts the log and the identity aside, in a folder that says why, so that this host can come back under a
    /// new one.
    pub(crate) fn set_aside(&self, why: &str, at: model::WallTime) -> anyhow::Result<()> {
        let aside = self.root.join(format!("{why}-{}", at.0));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&aside)
            .with_context(|| format!("cannot make {}", aside.display()))?;
        let kept = [
            self.raft(),
            self.node(),
            self.key(),
            self.certificate(),
            self.cluster_key(),
            self.mesh_key(),
            self.view(),
        ];
        for path in kept.into_iter().filter(|p| p.exists()) {
            let name = path.file_name().unwrap_or_default().to_owned();
            fs::rename(&path, aside.join(name))
                .with_context(|| format!("cannot move {}", path.display()))?;
        }
        Ok(())
    }

    /// Removes what the edge last served from. Where that fails, the edge's next picture replaces it.
    pub(crate) fn forget_picture(&self) {
        let _ = fs::remove_file(self.edge().join("picture.json"));
    }

    /// Forgets the cluster: everything but the folder itself.
    pub(crate) fn clear(&self) -> anyhow::Result<()> {
        for file in [
            self.node(),
            self.key(),
            self.certificate(),
            self.authority(),
            self.cluster_key(),
            self.mesh_key(),
            self.view(),
        ] {
            if file.exists() {
                fs::remove_file(&file)
                    .with_context(|| format!("cannot remove {}", file.display()))?;
            }
        }
        if self.raft().exists() {
            fs::remove_dir_all(self.raft())
                .with_context(|| format!("cannot remove {}", self.raft().display()))?;
        }
        Ok(())
    }
}

/// Reads a file; `None` when it is not there.
pub(crate) fn read_if_there(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a file so that a crash leaves the old or the new one, never half of it.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let temporary = path.with_extension("tmp");
    let written = (|| {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        // Whatever the process's mask takes away; the table above is what holds.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
    })();
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_private() {
        let dir = std::env::temp_dir().join(format!("clusterd-folder-{}", std::process::id()));
        let folder = Folder::open(&dir).unwrap();
        assert_eq!(folder.read_node().unwrap(), None);
        let node = NodeFile {
            cluster: ClusterId("c".into()),
            node: NodeId(3),
            name: "n1".parse().unwrap(),
            role: Role::Worker,
            advertise: [127, 0, 0, 1].into(),
            managers: vec![],
        };
        folder.write_node(&node).unwrap();
        assert_eq!(folder.read_node().unwrap(), Some(node));
        let mode = fs::metadata(folder.node()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        folder.clear().unwrap();
        assert_eq!(folder.read_node().unwrap(), None);
        fs::remove_dir_all(dir).unwrap();
    }
}
