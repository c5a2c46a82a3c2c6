//! The file `raft.redb`: log, vote and what goes with them. Every value carries its own checksum, and the
//! whole file is verified when it is opened: a torn tail that nobody acknowledged is cut by redb, anything
//! else that is wrong is an error.

use crate::encoding::{self, Unreadable};
use crate::error::OpenError;
use crate::types::{Entry, EntryRecord, LogId, LogIdRecord, MembersRecord, Vote, VoteRecord};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// Page cache of redb. The log is read from memory; this only serves its writes.
const CACHE: usize = 4 << 20;

/// Name of the file.
pub(crate) const FILE: &str = "raft.redb";

pub(crate) const IDENTITY: &str = "identity";
pub(crate) const VOTE: &str = "vote";
pub(crate) const COMMITTED: &str = "committed";
pub(crate) const PURGED: &str = "purged";
pub(crate) const MEMBERS: &str = "members";

/// Whose log this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The cluster.
    pub(crate) cluster: String,
    /// The member.
    pub(crate) node: u64,
    /// 128 random bits drawn when the file was made: a wiped disk is another disk.
    pub(crate) disk: String,
}

/// One change of the file.
#[derive(Debug)]
pub(crate) enum Change {
    /// Store an entry.
    Put(u64, Vec<u8>),
    /// Store something beside the log.
    Set(&'static str, Vec<u8>),
    /// Drop entries from this index on.
    CutFrom(u64),
    /// Drop entries up to this index.
    CutTo(u64),
}

/// What the file held when it was opened.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) identity: Identity,
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    /// Members as of the last snapshot: whom to ask when that snapshot is damaged.
    pub(crate) members: MembersRecord,
    pub(crate) entries: BTreeMap<u64, (Entry, usize)>,
}

impl Contents {
    /// Nothing was ever acknowledged but the founder's own membership: a founding that did not finish.
    pub(crate) fn unfounded(&self) -> bool {
        let command =
            |(e, _): &(Entry, usize)| matches!(e.payload, openraft::EntryPayload::Normal(_));
        self.purged.is_none() && !self.entries.values().any(command)
    }
}

/// The open file.
pub(crate) struct Disk {
    db: redb::Database,
}

impl Disk {
    /// Makes the file under another name first, so that a crash never leaves half a file.
    pub(crate) fn create(dir: &Path, identity: &Identity) -> Result<(), OpenError> {
        let (path, temporary) = (dir.join(FILE), dir.join("raft.redb.tmp"));
        let _ = fs::remove_file(&temporary);
        let db = redb::Database::create(&temporary).map_err(|e| refused(dir, e))?;
        Self { db }
            .initialise(identity)
            .map_err(|e| OpenError::io(&temporary)(io::Error::other(e)))?;
        File::open(&temporary)
            .and_then(|f| f.sync_all())
            .and_then(|()| fs::rename(&temporary, &path))
            .and_then(|()| sync_dir(dir))
            .map_err(OpenError::io(path))
    }

    fn initialise(&self, identity: &Identity) -> Result<(), redb::Error> {
        let tx = self.db.begin_write()?;
        tx.open_table(LOG)?;
        tx.open_table(META)?.insert(IDENTITY, encoding::seal(identity).as_slice())?;
        tx.commit()?;
        Ok(())
    }

    /// Opens and verifies the file.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Contents), OpenError> {
        let path = dir.join(FILE);
        // redb panics on some files that were bent from outside.
        let opened = catch_unwind(AssertUnwindSafe(|| -> Result<_, OpenError> {
            let db = builder().open(&path).map_err(|e| refused(dir, e))?;
            let disk = Self { db };
            let contents = disk.load(dir)?;
            Ok((disk, contents))
        }));
        opened.unwrap_or_else(|_| Err(damaged(dir, "its structure is broken")))
    }

    /// A file on a disk that a test makes fail.
    #[cfg(test)]
    pub(crate) fn over(backend: impl redb::StorageBackend) -> Result<Self, redb::Error> {
        Ok(Self { db: builder().create_with_backend(backend)? })
    }

    #[cfg(test)]
    pub(crate) fn prepare(&self, identity: &Identity) -> Result<(), redb::Error> {
        self.initialise(identity)
    }

    /// Reads and verifies everything.
    pub(crate) fn load(&self, dir: &Path) -> Result<Contents, OpenError> {
        let broken = |e: redb::Error| damaged(dir, &e.to_string());
        let tx = self.db.begin_read().map_err(|e| broken(e.into()))?;
        let meta = tx.open_table(META).map_err(|e| broken(e.into()))?;
        let read = |key: &'static str| -> Result<Option<Vec<u8>>, OpenError> {
            Ok(meta.get(key).map_err(|e| broken(e.into()))?.map(|v| v.value().to_vec()))
        };
        let identity = opened(dir, IDENTITY, read(IDENTITY)?)?
            .ok_or_else(|| damaged(dir, "it does not say whose it is"))?;
        let vote: Option<VoteRecord> = opened(dir, VOTE, read(VOTE)?)?;
        let committed: Option<LogIdRecord> = opened(dir, COMMITTED, read(COMMITTED)?)?;
        let purged: Option<LogIdRecord> = opened(dir, PURGED, read(PURGED)?)?;
        let members = opened(dir, MEMBERS, read(MEMBERS)?)?.unwrap_or_default();
        let log = tx.open_table(LOG).map_err(|e| broken(e.into()))?;
        let mut entries = BTreeMap::new();
        for row in log.iter().map_err(|e| broken(e.into()))? {
            let (index, bytes) = row.map_err(|e| broken(e.into()))?;
            let entry = entry(dir, index.value(), bytes.value())?;
            entries.insert(index.value(), (entry, bytes.value().len()));
        }
        gapless(dir, purged, &entries)?;
        Ok(Contents {
            identity,
            vote: vote.map(Vote::from),
            committed: committed.map(LogId::from),
            purged: purged.map(LogId::from),
            members,
            entries,
        })
    }

    /// Makes changes durable, all or none, in their order.
    pub(crate) fn write<'a>(
        &self,
        changes: impl Iterator<Item = &'a Change>,
    ) -> Result<(), redb::Error> {
        let tx = self.db.begin_write()?;
        {
            let (mut log, mut meta) = (tx.open_table(LOG)?, tx.open_table(META)?);
            for change in changes {
                match change {
                    Change::Put(index, bytes) => drop(log.insert(*index, bytes.as_slice())?),
                    Change::Set(key, bytes) => drop(meta.insert(*key, bytes.as_slice())?),
                    Change::CutFrom(index) => log.retain_in::<u64, _>(*index.., |_, _| false)?,
                    Change::CutTo(index) => log.retain_in::<u64, _>(..=*index, |_, _| false)?,
                }
            }
        }
        tx.commit()?;
        Ok(())
    }
}

fn builder() -> redb::Builder {
    let mut builder = redb::Database::builder();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder
}

fn damaged(dir: &Path, what: &str) -> OpenError {
    OpenError::Damaged { dir: dir.into(), what: format!("{FILE}: {what}") }
}

fn refused(dir: &Path, error: redb::DatabaseError) -> OpenError {
    use redb::{DatabaseError as E, StorageError as S};
    match error {
        E::DatabaseAlreadyOpen => OpenError::InUse { dir: dir.into() },
        E::Storage(S::Io(e)) if !corrupt(&e) => OpenError::io(dir.join(FILE))(e),
        other => damaged(dir, &other.to_string()),
    }
}

/// redb says so of a file whose first page is not its own.
fn corrupt(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

fn opened<T: DeserializeOwned>(
    dir: &Path,
    key: &str,
    bytes: Option<Vec<u8>>,
) -> Result<Option<T>, OpenError> {
    let unreadable = |e: Unreadable| OpenError::unreadable(dir, &format!("{FILE}: {key}"), &e);
    bytes.map(|b| encoding::open(&b)).transpose().map_err(unreadable)
}

fn entry(dir: &Path, index: u64, bytes: &[u8]) -> Result<Entry, OpenError> {
    let record: EntryRecord = encoding::open(bytes)
        .map_err(|e| OpenError::unreadable(dir, &format!("{FILE}: entry {index}"), &e))?;
    if record.id.index != index {
        return Err(damaged(dir, &format!("entry {index} calls itself {}", record.id.index)));
    }
    record.entry().map_err(|e| damaged(dir, &format!("entry {index}: {e}")))
}

fn gapless(
    dir: &Path,
    purged: Option<LogIdRecord>,
    entries: &BTreeMap<u64, (Entry, usize)>,
) -> Result<(), OpenError> {
    let first = purged.map_or(0, |p| p.index + 1);
    match entries.keys().zip(first..).find(|(is, should)| **is != *should) {
        Some((_, missing)) => Err(damaged(dir, &format!("entry {missing} is missing"))),
        None => Ok(()),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The identity of a new disk.
pub(crate) fn draw() -> Result<String, OpenError> {
    let source = PathBuf::from("/dev/urandom");
    let mut bits = [0; 16];
    File::open(&source).and_then(|mut f| f.read_exact(&mut bits)).map_err(OpenError::io(source))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bits)))
}
