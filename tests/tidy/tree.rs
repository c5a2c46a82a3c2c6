//! Every text file of the tree, read once per test. Judges nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// What is not ours: history (a file, in a worktree of its own), and what cargo builds.
const SKIPPED: [&str; 2] = [".git", "target"];

/// A text file.
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The crate it belongs to, for files under `crates/`.
    pub(crate) fn krate(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    pub(crate) fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|e| e == extension)
    }
}

/// The whole tree.
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    /// Ordered by path.
    pub(crate) files: Vec<File>,
}

impl Tree {
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the tree");
        let mut tree = Self { root: root.to_path_buf(), files: Vec::new() };
        tree.walk(root);
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        tree
    }

    fn walk(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("a folder of the tree can be listed") {
            let path = entry.expect("so can its entries").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                if !path.is_symlink() {
                    self.walk(&path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(&self.root).expect("walked from the root");
                self.files.push(File { path: path.to_string_lossy().into_owned(), text });
            }
        }
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is("rs"))
    }

    pub(crate) fn find(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The text of a file that must be there.
    pub(crate) fn text(&self, path: &str) -> &str {
        &self.find(path).unwrap_or_else(|| panic!("{path} is not in the tree")).text
    }
}
