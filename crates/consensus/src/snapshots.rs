//! Snapshot files: `snapshot-<term>-<index>.snap`, written under another name, made durable, then renamed.
//! The newest two are kept. A damaged one is set aside and never served.

use crate::encoding::{self, Unreadable, seal};
use crate::error::OpenError;
use crate::store::disk::sync_dir;
use crate::types::{LogId, LogIdRecord, Meta, StoredRecord};
use model::State;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How many are kept.
const KEPT: usize = 2;

/// What a snapshot file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// The last entry it covers.
    pub(crate) last: Option<LogIdRecord>,
    /// The members as of that entry.
    pub(crate) members: StoredRecord,
    /// The state as of that entry.
    pub(crate) state: State,
}

impl Taken {
    pub(crate) fn meta(&self) -> Result<Meta, String> {
        Ok(Meta {
            last_log_id: self.last.map(LogId::from),
            last_membership: self.members.clone().stored()?,
        })
    }

    /// The stored state has no indexes; they are rebuilt here, once.
    pub(crate) fn state(self) -> State {
        self.state.reindexed()
    }
}

/// A snapshot as openraft hands it around.
#[derive(Debug)]
pub(crate) struct Snap {
    /// Its file.
    pub(crate) path: PathBuf,
    /// What it holds, where that was decoded already.
    pub(crate) taken: Option<Box<Taken>>,
}

/// A good snapshot on disk.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) meta: Meta,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// The folder they lie in, and the newest good one.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    dir: Arc<PathBuf>,
    current: Arc<Mutex<Option<Current>>>,
    drawn: Arc<AtomicU64>,
}

impl Folder {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: Arc::new(dir.to_owned()), current: Arc::default(), drawn: Arc::default() }
    }

    /// The newest good snapshot. Damaged ones are set aside under another name.
    pub(crate) fn load(&self) -> Result<Option<Taken>, OpenError> {
        for (_, path) in self.list().map_err(OpenError::io(self.dir.as_path()))? {
            match read(&path).map_err(OpenError::io(&path))? {
                Ok(taken) => {
                    let meta = taken
                        .meta()
                        .map_err(|what| OpenError::Damaged { dir: self.dir.to_path_buf(), what })?;
                    let bytes = fs::metadata(&path).map_err(OpenError::io(&path))?.len();
                    self.advance(Current { meta, path, bytes });
                    return Ok(Some(taken));
                }
                Err(Unreadable::Newer(found)) => {
                    return Err(OpenError::Newer { dir: self.dir.to_path_buf(), found });
                }
                Err(_) => set_aside(&path).map_err(OpenError::io(&path))?,
            }
        }
        Ok(None)
    }

    /// Whether there is any snapshot file, good or damaged.
    pub(crate) fn any(&self) -> io::Result<bool> {
        let named = |e: fs::DirEntry| e.file_name().to_string_lossy().starts_with("snapshot-");
        Ok(fs::read_dir(self.dir.as_path())?.filter_map(Result::ok).any(named))
    }

    /// Removes what an interrupted write or transfer left.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.dir.as_path())?.filter_map(Result::ok) {
            if entry.path().extension().is_some_and(|e| e == "tmp") {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    pub(crate) fn current(&self) -> Option<Current> {
        self.current.lock().expect("no panic while held").clone()
    }

    /// A new file for a snapshot that is being received.
    pub(crate) fn incoming(&self) -> PathBuf {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!("incoming-{drawn}.tmp"))
    }

    /// Writes a snapshot and makes it the current one.
    pub(crate) fn write(&self, taken: &Taken) -> io::Result<Current> {
        let meta = taken.meta().map_err(io::Error::other)?;
        let temporary = self.incoming();
        let mut file = File::create(&temporary)?;
        file.write_all(&seal(taken))?;
        file.sync_all()?;
        self.keep(&temporary, meta)
    }

    /// Takes over a complete, durable file.
    pub(crate) fn keep(&self, file: &Path, meta: Meta) -> io::Result<Current> {
        let (term, index) = meta.last_log_id.map_or((0, 0), |l| (l.leader_id.term, l.index));
        let path = self.dir.join(format!("snapshot-{term}-{index}.snap"));
        if file != path {
            fs::rename(file, &path)?;
        }
        sync_dir(&self.dir)?;
        let bytes = fs::metadata(&path)?.len();
        let current = Current { meta, path, bytes };
        self.advance(current.clone());
        for (_, old) in self.list()?.into_iter().skip(KEPT) {
            fs::remove_file(old)?;
        }
        Ok(current)
    }

    /// Sets the current one aside, so that it is not served.
    pub(crate) fn discard(&self, bad: &Current) -> io::Result<()> {
        let mut current = self.current.lock().expect("no panic while held");
        if current.as_ref().is_some_and(|c| c.path == bad.path) {
            *current = None;
        }
        set_aside(&bad.path)
    }

    fn advance(&self, new: Current) {
        let mut current = self.current.lock().expect("no panic while held");
        if current.as_ref().is_none_or(|old| old.meta.last_log_id <= new.meta.last_log_id) {
            *current = Some(new);
        }
    }

    /// Files by (index, term), newest first.
    fn list(&self) -> io::Result<Vec<((u64, u64), PathBuf)>> {
        let mut found: Vec<_> = fs::read_dir(self.dir.as_path())?
            .filter_map(Result::ok)
            .filter_map(|e| Some((place(&e.file_name().to_string_lossy())?, e.path())))
            .collect();
        found.sort_unstable();
        found.reverse();
        Ok(found)
    }
}

fn place(name: &str) -> Option<(u64, u64)> {
    let (term, index) = name.strip_prefix("snapshot-")?.strip_suffix(".snap")?.split_once('-')?;
    Some((index.parse().ok()?, term.parse().ok()?))
}

fn set_aside(path: &Path) -> io::Result<()> {
    fs::rename(path, path.with_extension("damaged"))
}

/// Reads and verifies a file.
pub(crate) fn read(path: &Path) -> io::Result<Result<Taken, Unreadable>> {
    Ok(encoding::open(&fs::read(path)?))
}

/// Verifies a file without decoding it.
pub(crate) fn intact(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| encoding::verified(&bytes).is_ok())
}
