//! The two sides: three processes each, started with their default settings, killed and started again.

use crate::kv::Client;
use anyhow::Context;
use benches::{Child, again, installed, now, percentile, seconds, spawn, usage};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const MEMBERS: u16 = 3;
/// Both sides listen from here on, on loopback.
const PORTS: u16 = 23_790;
/// Longest wait for a side to take writes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where member `number` (from 1) of ours listens.
pub(crate) fn peer_port(number: u16) -> u16 {
    PORTS + number
}

fn etcd_port(number: u16) -> u16 {
    PORTS + 100 + number
}

/// One side: its members and how to start one.
pub(crate) struct Side {
    /// `ours` or `etcd`.
    pub(crate) name: &'static str,
    folder: PathBuf,
    members: Vec<Child>,
    port: fn(u16) -> u16,
    start: fn(&Path, u16) -> anyhow::Result<Command>,
}

impl Side {
    /// Three members of ours.
    pub(crate) async fn ours(folder: &Path) -> anyhow::Result<Self> {
        Self::up("ours", folder, peer_port, |folder, number| {
            let folder = folder.join(number.to_string()).display().to_string();
            Ok(again(&["member", &number.to_string(), &folder])?)
        })
        .await
    }

    /// Three members of etcd; none where it is not installed.
    pub(crate) async fn etcd(folder: &Path) -> anyhow::Result<Option<Self>> {
        if installed("etcd").is_none() {
            return Ok(None);
        }
        Self::up("etcd", folder, etcd_port, etcd).await.map(Some)
    }

    async fn up(
        name: &'static str,
        folder: &Path,
        port: fn(u16) -> u16,
        start: fn(&Path, u16) -> anyhow::Result<Command>,
    ) -> anyhow::Result<Self> {
        let folder = folder.join(name);
        std::fs::create_dir(&folder)?;
        let mut side = Self { name, folder, members: Vec::new(), port, start };
        for number in 1..=MEMBERS {
            let member = side.spawn(number)?;
            side.members.push(member);
        }
        side.wait_all().await?;
        Ok(side)
    }

    fn spawn(&self, number: u16) -> anyhow::Result<Child> {
        let log = self.folder.join(format!("{number}.log"));
        Ok(spawn(&mut (self.start)(&self.folder, number)?, &log)?)
    }

    fn address(&self, number: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, (self.port)(number)).into()
    }

    /// Waits until every member takes writes.
    async fn wait_all(&self) -> anyhow::Result<()> {
        for number in 1..=MEMBERS {
            let (mut client, start) = (Client::new(self.address(number), "wait"), now());
            while let Err(error) = client.put_within(Duration::from_secs(2)).await {
                let log = || std::fs::read_to_string(self.folder.join(format!("{number}.log")));
                let late = start.elapsed() > PATIENCE;
                anyhow::ensure!(
                    !late,
                    "{} {number}: {error}\n{}",
                    self.name,
                    log().unwrap_or_default()
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Writes a second, with so many clients at once, spread over all members.
    pub(crate) async fn together(&self, clients: usize, time: Duration) -> anyhow::Result<f64> {
        let start = now();
        let client = |n: usize| {
            let member = self.address(1 + (n as u16) % MEMBERS);
            let mut client = Client::new(member, &format!("k{n}"));
            tokio::spawn(async move {
                let mut count = 0_u32;
                while start.elapsed() < time {
                    client.put().await?;
                    count += 1;
                }
                Ok::<u32, tonic::Status>(count)
            })
        };
        let (mut writes, tasks) = (0, (0..clients).map(client).collect::<Vec<_>>());
        for task in tasks {
            writes += task.await?.with_context(|| format!("a write to {}", self.name))?;
        }
        Ok(f64::from(writes) / seconds(start))
    }

    /// Milliseconds of writes to the leader, one after the other.
    pub(crate) async fn serial(&self, writes: usize) -> anyhow::Result<Vec<f64>> {
        let leader = self.leader().await?;
        self.one_by_one(leader, writes).await
    }

    async fn one_by_one(&self, member: u16, writes: usize) -> anyhow::Result<Vec<f64>> {
        let mut client = Client::new(self.address(member), "serial");
        client.put().await?;
        let mut took = Vec::with_capacity(writes);
        for _ in 0..writes {
            let start = now();
            client.put().await?;
            took.push(seconds(start) * 1e3);
        }
        Ok(took)
    }

    /// The member that leads, told in the same way for both sides: the one that answers fastest, because it
    /// has nobody to hand a write on to.
    async fn leader(&self) -> anyhow::Result<u16> {
        let mut fastest = (f64::INFINITY, 0);
        for number in 1..=MEMBERS {
            let took = percentile(&self.one_by_one(number, 25).await?, 0.3);
            if took < fastest.0 {
                fastest = (took, number);
            }
        }
        Ok(fastest.1)
    }

    /// Kills the leader; seconds until one of the others has accepted a write. Then starts it again and waits
    /// until all is well.
    pub(crate) async fn kill_leader(&mut self) -> anyhow::Result<f64> {
        let leader = self.leader().await?;
        let others: Vec<u16> = (1..=MEMBERS).filter(|number| *number != leader).collect();
        let mut clients: Vec<Client> =
            others.iter().map(|n| Client::new(self.address(*n), "kill")).collect();
        for client in &mut clients {
            client.put().await?;
        }
        self.members[usize::from(leader) - 1].kill();
        let start = now();
        let first = self.first_write(clients, start).await?;
        self.members[usize::from(leader) - 1] = self.spawn(leader)?;
        self.wait_all().await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(first)
    }

    /// Every client tries again and again, 300 ms at most each time; the first success counts.
    async fn first_write(
        &self,
        clients: Vec<Client>,
        start: std::time::Instant,
    ) -> anyhow::Result<f64> {
        let (done, mut first) = tokio::sync::mpsc::channel(clients.len());
        let tries = clients.into_iter().map(|mut client| {
            let done = done.clone();
            tokio::spawn(async move {
                while client.put_within(Duration::from_millis(300)).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                // The other client was first.
                let _ = done.send(seconds(start)).await;
            })
        });
        let tries: Vec<_> = tries.collect();
        let waited = tokio::time::timeout(PATIENCE, first.recv()).await;
        tries.iter().for_each(tokio::task::JoinHandle::abort);
        waited?.with_context(|| format!("{} took no write after its leader", self.name))
    }

    /// Seconds of processor time of all members so far.
    pub(crate) fn cpu(&self) -> f64 {
        self.members.iter().filter_map(|m| usage(m.pid())).map(|u| u.cpu).sum()
    }

    /// Megabytes of the largest member.
    pub(crate) fn resident(&self) -> f64 {
        let all = self.members.iter().filter_map(|m| usage(m.pid())).map(|u| u.resident);
        all.fold(0.0, f64::max)
    }
}

fn etcd(folder: &Path, number: u16) -> anyhow::Result<Command> {
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let peer = |number: u16| url(etcd_port(number) + 10);
    let client = url(etcd_port(number));
    let peers = (1..=MEMBERS).map(|n| format!("m{n}={}", peer(n))).collect::<Vec<_>>().join(",");
    let mut command = Command::new(installed("etcd").context("etcd is not installed")?);
    command.arg("--name").arg(format!("m{number}"));
    command.arg("--data-dir").arg(folder.join(number.to_string()));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer(number)]);
    command.args(["--initial-advertise-peer-urls", &peer(number), "--initial-cluster", &peers]);
    Ok(command)
}
