//! Where an edge stands: its control socket, at which the daemon finds it. An edge whose socket is gone, or is
//! another edge's, can be told nothing any more, and what it serves only grows old.

use crate::edge::Error;
use crate::limits::FOOTING;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// The file of a control socket, told from any other that later has its name.
#[derive(Clone, Debug)]
pub(crate) struct Footing {
    path: PathBuf,
    /// Device and number; not given to another file while the socket is open.
    file: (u64, u64),
}

impl Footing {
    /// Makes the control socket under another name, closes it to others, and only then gives it its name.
    pub(crate) async fn take(path: &Path) -> Result<(Self, UnixListener), Error> {
        if UnixStream::connect(path).await.is_ok() {
            return Err(Error::Running { path: path.into() });
        }
        let make = || {
            let beside = path.with_extension("new");
            let _ = fs::remove_file(&beside);
            let listener = UnixListener::bind(&beside)?;
            fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
            let file = identity(&beside)?;
            fs::rename(&beside, path)?;
            Ok((Self { path: path.into(), file }, listener))
        };
        make().map_err(|source| Error::Control { path: path.into(), source })
    }

    /// Completes once the socket is gone for certain; what cannot be told is looked at again.
    pub(crate) async fn lost(&self) {
        loop {
            tokio::time::sleep(FOOTING).await;
            match identity(&self.path) {
                Ok(file) if file != self.file => return,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                _ => {}
            }
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}
