//! A disk that refuses: it is full, or a sync fails once. Nothing is acknowledged that is not there, and
//! nothing at all after a failure.

use super::Store;
use super::disk::{Change, Disk, Identity};
use super::power_loss::put;
use redb::StorageBackend;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// `EIO`: the disk has lost what it was given.
const EIO: i32 = 5;
/// Entries of one write.
const BATCH: u64 = 10;

#[derive(Debug, Default)]
struct Bytes {
    held: Vec<u8>,
    room: usize,
    failing_syncs: u32,
}

#[derive(Clone, Debug, Default)]
struct Backend(Arc<Mutex<Bytes>>);

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().unwrap().held.len() as u64)
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let bytes = self.0.lock().unwrap();
        let held = bytes.held.get(at as usize..at as usize + out.len());
        out.copy_from_slice(held.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut bytes = self.0.lock().unwrap();
        if len as usize > bytes.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        bytes.held.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut bytes = self.0.lock().unwrap();
        if bytes.failing_syncs == 0 {
            return Ok(());
        }
        bytes.failing_syncs -= 1;
        Err(io::Error::from_raw_os_error(EIO))
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), io::Error> {
        let mut held = self.0.lock().unwrap();
        held.held[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

impl Backend {
    /// With an empty log, and room for so many bytes more.
    fn prepared(room: usize) -> Self {
        let backend = Self::default();
        backend.0.lock().unwrap().room = usize::MAX;
        let identity = Identity { cluster: "c".into(), node: 1, disk: "d".into() };
        Disk::over(backend.clone()).unwrap().prepare(&identity).unwrap();
        let mut bytes = backend.0.lock().unwrap();
        bytes.room = bytes.held.len() + room;
        drop(bytes);
        backend
    }

    fn log(&self) -> (Store, u64) {
        let disk = Disk::over(self.clone()).unwrap();
        let contents = disk.load(Path::new("simulated")).unwrap();
        let next = contents.entries.keys().last().map_or(0, |last| last + 1);
        (Store::start(disk, contents).unwrap().0, next)
    }
}

async fn append(log: &Store, next: u64) -> io::Result<()> {
    let changes: Vec<Change> = (next..next + BATCH).map(put).collect();
    log.durable(changes).await
}

#[tokio::test]
async fn fault_21_a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let backend = Backend::prepared(1 << 20);
    let (log, mut acknowledged) = backend.log();
    while append(&log, acknowledged).await.is_ok() {
        acknowledged += BATCH;
        assert!(acknowledged < 1_000_000, "the disk never fills");
    }
    assert!(acknowledged > 0, "there was room");
    assert!(append(&log, acknowledged).await.is_err(), "nothing is promised any more");
    log.stop().await;
    backend.0.lock().unwrap().room = usize::MAX;
    let (log, found) = backend.log();
    assert_eq!(found, acknowledged, "all that was acknowledged, and nothing torn");
    append(&log, found).await.unwrap();
    log.stop().await;
}

#[tokio::test]
async fn fault_25_after_one_failed_sync_nothing_is_acknowledged_any_more() {
    let backend = Backend::prepared(1 << 30);
    let (log, first) = backend.log();
    append(&log, first).await.unwrap();
    backend.0.lock().unwrap().failing_syncs = 1;
    let why = append(&log, first + BATCH).await.unwrap_err();
    assert!(why.to_string().contains("error"), "{why}");
    // The disk would sync again, but it may have dropped what the failed sync was for.
    for _ in 0..3 {
        append(&log, first + BATCH).await.unwrap_err();
    }
    log.stop().await;
    let (log, found) = backend.log();
    assert!(found >= first + BATCH, "{found} found, {} acknowledged", first + BATCH);
    append(&log, found).await.unwrap();
    log.stop().await;
}
