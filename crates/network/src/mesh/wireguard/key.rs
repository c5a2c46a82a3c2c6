//! A node's key for an encrypted mesh, and the file that it is kept in: 64 hexadecimal digits.

use boringtun::x25519::{PublicKey, StaticSecret};
use model::MeshKey;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A key that was just made.
pub struct NewKey {
    /// What to write to its file, which nobody else may read.
    pub text: Zeroizing<String>,
    /// How others know it.
    pub public: MeshKey,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its file cannot be read.
    #[error("the key of the mesh, {}, cannot be read ({source})", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in the file is no key.
    #[error("{} holds no key; remove it, and restart the daemon for a new one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// Makes a key of what `random` fills in.
pub fn new_key(random: impl FnOnce(&mut [u8])) -> NewKey {
    let mut bytes = Zeroizing::new([0; 32]);
    random(bytes.as_mut());
    // The text of any 32 bytes is the same as that of a public key.
    let text = Zeroizing::new(MeshKey(*bytes).to_string());
    NewKey { text, public: public(&StaticSecret::from(*bytes)) }
}

/// How the key in a file is known to others; `None` when there is no such file.
pub fn read_key(path: &Path) -> Result<Option<MeshKey>, KeyError> {
    Ok(read(path)?.map(|secret| public(&secret)))
}

pub(in crate::mesh) fn public(secret: &StaticSecret) -> MeshKey {
    MeshKey(PublicKey::from(secret).to_bytes())
}

/// The key in a file; `None` when there is no such file.
pub(in crate::mesh) fn read(path: &Path) -> Result<Option<StaticSecret>, KeyError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(KeyError::File { path: path.to_owned(), source }),
    };
    let damaged = |_| KeyError::Damaged { path: path.to_owned() };
    let MeshKey(bytes) = text.trim().parse().map_err(damaged)?;
    Ok(Some(StaticSecret::from(*Zeroizing::new(bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mesh.key");
        assert_eq!(read_key(&path).unwrap(), None);
        let key = new_key(|to| to.fill(7));
        assert_eq!(*key.text, "07".repeat(32));
        std::fs::write(&path, &*key.text).unwrap();
        assert_eq!(read_key(&path).unwrap(), Some(key.public));
        assert!(!format!("{key:?}").contains(&*key.text));
        std::fs::write(&path, "short").unwrap();
        assert!(matches!(read_key(&path), Err(KeyError::Damaged { .. })));
    }
}
