//! Files of the deployer's machine that a Compose file names: where they may be, and their text. Paths that leave
//! the project folder are refused here by their spelling; whoever implements the reading refuses links that leave
//! it. Nothing is ever fetched from elsewhere.

use crate::complaint::{Log, shown};
use crate::hostpath;
use crate::limits::COMPOSE_BYTES;
use crate::reader::{Read, Reader};
use crate::tree::Place;

const COPY: &str = "copy it into the folder, or allow it by `--allow-host`";

/// The folder, and how files in it are read.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    /// Absolute path of the project folder.
    pub(crate) folder: &'a str,
    /// Reads a file.
    pub(crate) read: Read<'a>,
    /// Whether files outside of the folder may be read.
    pub(crate) anywhere: bool,
}

impl Files<'_> {
    /// The path as the reading takes it: relative to the folder and without dots, if it is in there.
    pub(crate) fn inside(&self, path: &str, at: Place, log: &mut Log) -> Option<String> {
        let name = shown(path);
        if is_remote(path) {
            log.error(at, format!("`{name}` is no path: files are not fetched from elsewhere"));
            return None;
        }
        match hostpath::inside(path).or_else(|| self.below(path)) {
            Some(inside) => Some(inside),
            None if self.anywhere => Some(path.to_owned()),
            None => {
                log.refuse(at, format!("`{name}` is outside of the project's folder"), COPY);
                None
            }
        }
    }

    /// What of an absolute path is below the folder.
    fn below(&self, path: &str) -> Option<String> {
        let path = path.starts_with('/').then(|| hostpath::normal(path))?;
        let folder = hostpath::normal(self.folder);
        path.strip_prefix(&folder)?.strip_prefix('/').map(str::to_owned)
    }

    /// The bytes of a file; without them, why not has been said, unless it may be missing.
    pub(crate) fn bytes(
        &self,
        path: &str,
        required: bool,
        at: Place,
        log: &mut Log,
    ) -> Option<Vec<u8>> {
        let inside = self.inside(path, at, log)?;
        let name = shown(path);
        match (self.read)(&inside) {
            Ok(Some(bytes)) if bytes.len() > COMPOSE_BYTES => {
                let most = COMPOSE_BYTES >> 20;
                log.error(at, format!("`{name}` is larger than {most} MiB"));
                None
            }
            Ok(Some(bytes)) => Some(bytes),
            Ok(None) if !required => None,
            Ok(None) => {
                log.error(at, format!("there is no file `{name}`"));
                None
            }
            Err(why) => {
                log.error(at, format!("`{name}` cannot be read: {}", shown(&why)));
                None
            }
        }
    }

    /// The same as text.
    pub(crate) fn text(
        &self,
        path: &str,
        required: bool,
        at: Place,
        log: &mut Log,
    ) -> Option<String> {
        let bytes = self.bytes(path, required, at, log)?;
        let text = String::from_utf8(bytes);
        text.map_err(|_| log.error(at, format!("`{}` is not UTF-8 text", shown(path)))).ok()
    }
}

/// Whether it is an address of something elsewhere, in any of the forms that Docker Compose takes.
pub(crate) fn is_remote(path: &str) -> bool {
    let scheme = path.split_once(':').map_or("", |(scheme, _)| scheme);
    path.contains("://")
        || path.starts_with("git@")
        || path.starts_with("github.com/")
        || matches!(scheme, "oci" | "git" | "ssh" | "http" | "https" | "file")
}

/// Checks where a file is that is not read here.
pub(crate) fn place(r: &mut Reader<'_>, path: &str, at: Place) {
    if let Some(deployer) = &r.rules.deployer {
        deployer.files.inside(path, at, &mut r.log);
    }
}
