//! Power losses: writes since the last sync are lost, kept, reordered or torn at 512-byte sectors. What was
//! acknowledged must be there afterwards, and nothing else but the one write that was under way.

use super::disk::{Change, Disk, Identity, PURGED, VOTE};
use crate::encoding::seal;
use crate::types::{EntryRecord, Holds, LogIdRecord, VoteRecord};
use redb::StorageBackend;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A small generator: the same seed loses the same sectors.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[derive(Clone, Debug)]
enum Op {
    Write(usize, Vec<u8>),
    Resize(usize),
}

#[derive(Debug, Default)]
struct Platter {
    durable: Vec<u8>,
    cache: Vec<u8>,
    pending: Vec<Op>,
    /// Operations until the power goes.
    left: u64,
}

impl Platter {
    fn step(&mut self) -> io::Result<()> {
        self.left = self.left.saturating_sub(1);
        match self.left {
            0 => Err(io::Error::other("the power is off")),
            _ => Ok(()),
        }
    }

    /// What the platter holds after the loss.
    fn lose(&mut self, random: &mut Random) {
        let mut image = self.durable.clone();
        for op in std::mem::take(&mut self.pending) {
            match op {
                Op::Resize(len) if random.below(10) < 7 => image.resize(len, 0),
                Op::Resize(_) => {}
                Op::Write(at, bytes) => {
                    for (n, sector) in bytes.chunks(512).enumerate() {
                        let (from, to) = (at + n * 512, at + n * 512 + sector.len());
                        if random.below(10) < 6 && to <= image.len() {
                            image[from..to].copy_from_slice(sector);
                        }
                    }
                }
            }
        }
        self.durable.clone_from(&image);
        self.cache = image;
    }
}

#[derive(Clone, Debug)]
struct Backend(Arc<Mutex<Platter>>);

impl StorageBackend for Backend {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().unwrap().cache.len() as u64)
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let platter = self.0.lock().unwrap();
        let bytes = platter.cache.get(at as usize..at as usize + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let mut platter = self.0.lock().unwrap();
        platter.step()?;
        platter.cache.resize(len as usize, 0);
        platter.pending.push(Op::Resize(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut platter = self.0.lock().unwrap();
        platter.step()?;
        platter.durable = platter.cache.clone();
        platter.pending.clear();
        Ok(())
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), io::Error> {
        let mut platter = self.0.lock().unwrap();
        platter.step()?;
        platter.cache[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
        platter.pending.push(Op::Write(at as usize, bytes.to_vec()));
        Ok(())
    }
}

/// First index, next index, and the term voted in.
type Held = (u64, u64, u64);

pub(super) fn put(index: u64) -> Change {
    let holds = Holds::Command(crate::encoding::Blob(vec![index as u8; 700].into()));
    Change::Put(index, seal(&EntryRecord { id: LogIdRecord { term: 1, index }, holds }))
}

/// The next write, and what it makes of what is held.
fn next(random: &mut Random, (first, next, vote): Held) -> (Vec<Change>, Held) {
    match random.below(10) {
        0 if next > first + 3 => {
            let cut = next - 1 - random.below(2);
            (vec![Change::CutFrom(cut)], (first, cut, vote))
        }
        1 if next > first + 20 => {
            let purged = Change::Set(PURGED, seal(&LogIdRecord { term: 1, index: first + 9 }));
            (vec![purged, Change::CutTo(first + 9)], (first + 10, next, vote))
        }
        2 => {
            let voted = VoteRecord { term: vote + 1, node: 1, committed: false };
            (vec![Change::Set(VOTE, seal(&voted))], (first, next, vote + 1))
        }
        _ => {
            let upto = next + 1 + random.below(10);
            ((next..upto).map(put).collect(), (first, upto, vote))
        }
    }
}

fn held(disk: &Disk) -> Held {
    let contents = disk.load(Path::new("simulated")).unwrap();
    let first = contents.purged.map_or(0, |p| p.index + 1);
    let next = contents.entries.keys().last().map_or(first, |last| last + 1);
    (first, next, contents.vote.map_or(0, |v| v.leader_id.term))
}

#[test]
fn fault_23_nothing_acknowledged_is_lost_with_the_power() {
    let (mut losses, mut written) = (0, 0);
    for seed in 0..40 {
        let mut random = Random(seed);
        let platter = Arc::new(Mutex::new(Platter { left: u64::MAX, ..Platter::default() }));
        let identity = Identity { cluster: "c".into(), node: 1, disk: "d".into() };
        // The first creation is safe by other means: under another name, renamed when durable.
        let disk = Disk::over(Backend(Arc::clone(&platter))).unwrap();
        disk.prepare(&identity).unwrap();
        drop(disk);
        let (mut acknowledged, mut under_way): (Held, Held) = ((0, 0, 0), (0, 0, 0));
        for _ in 0..6 {
            {
                let mut platter = platter.lock().unwrap();
                platter.lose(&mut random);
                platter.left = u64::MAX;
            }
            let disk = Disk::over(Backend(Arc::clone(&platter))).unwrap();
            let found = held(&disk);
            assert!(
                found == acknowledged || found == under_way,
                "seed {seed}: found {found:?}, acknowledged {acknowledged:?}, under way {under_way:?}"
            );
            acknowledged = found;
            platter.lock().unwrap().left = 2 + random.below(200);
            loop {
                let (changes, after) = next(&mut random, acknowledged);
                under_way = after;
                if disk.write(changes.iter()).is_err() {
                    break;
                }
                acknowledged = after;
                written += 1;
            }
            losses += 1;
        }
    }
    assert!(losses == 240 && written > 1_000, "{losses} losses, {written} writes");
}
