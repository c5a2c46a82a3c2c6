//! The picture on disk: written whole beside its place and renamed into it, readable by its owner only.

use crate::picture::Picture;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes `picture` to `path` so that after a crash either the old or the new one is there, whole.
pub(crate) fn save(path: &Path, picture: &Picture) -> io::Result<()> {
    let bytes = serde_json::to_vec(picture)?;
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Reads the picture at `path`; `None` when there is none.
pub(crate) fn load(path: &Path) -> io::Result<Option<Picture>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
