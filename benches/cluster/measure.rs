//! Measures a side. Both are measured by this code: containers are counted by asking the engines, writes by
//! running the side's own command line.

use crate::engines::{FEW, MANY, running, until};
use crate::side::Side;
use anyhow::Context;
use benches::{Probe, probe, say, seconds, usage};
use lab::{Load, LoadPlan, LoadReport, Sample};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Longest wait for anything: only a hang takes so long.
const LIMIT: Duration = Duration::from_secs(120);
/// Containers that a host has at least when it is lost.
const SHARE: usize = 8;
/// Where the service answers, if it is published.
pub(crate) const PORT: u16 = 8080;

/// What was measured of one side, in seconds where nothing else is said.
#[derive(Default)]
pub(crate) struct Figures {
    /// Scaling from few to many.
    pub(crate) scaled: Vec<f64>,
    /// A follower's host cut off, to all running elsewhere.
    pub(crate) follower: Vec<f64>,
    /// The leader's host cut off, to all running elsewhere.
    pub(crate) leader: Vec<f64>,
    /// The leader killed, to the next accepted write.
    pub(crate) killed: Vec<f64>,
    /// Requests since each cut.
    pub(crate) loads: Vec<(Instant, LoadReport)>,
    /// What the processes need when nothing happens.
    pub(crate) idle: Option<Idle>,
    /// The disk, while leaders were killed.
    pub(crate) disk: Option<Probe>,
}

/// What the leading daemon and its edge need: megabytes, and per cent of one core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    pub(crate) daemon_memory: f64,
    pub(crate) daemon_cpu: f64,
    pub(crate) edge_memory: f64,
    pub(crate) edge_cpu: f64,
}

impl Figures {
    /// Requests since the cuts: how many there were, how many failed, how many of those were in flight at the
    /// cut, and how many failed with one retry too.
    pub(crate) fn requests(&self) -> (f64, f64, f64, f64) {
        let mut sums = (0, 0, 0, 0);
        for (cut, report) in &self.loads {
            let touched = |s: &&Sample| s.sent + s.took >= *cut;
            let failed = |s: &&Sample| s.error.is_some();
            let all = || report.samples.iter().filter(touched);
            sums.0 += all().count();
            sums.1 += all().filter(failed).count();
            sums.2 += all().filter(failed).filter(|s| s.sent <= *cut).count();
            sums.3 += all().filter(|s| s.retry_failed).count();
        }
        (sums.0 as f64, sums.1 as f64, sums.2 as f64, sums.3 as f64)
    }
}

impl Side<'_> {
    /// Everything, in the order of harm.
    pub(crate) fn measure(&self) -> anyhow::Result<Figures> {
        let mut figures = Figures::default();
        self.settle(1)?;
        for _ in 0..self.trials.scales {
            figures.scaled.push(self.scale_up()?);
        }
        say(&format!("{}: scale {FEW} -> {MANY}: {:.2?} s", self.name, figures.scaled));
        if self.answers {
            figures.idle = Some(self.idle()?);
        }
        for _ in 0..self.trials.cuts {
            let took = self.lose(false, &mut figures.loads)?;
            figures.follower.push(took);
        }
        say(&format!("{}: a follower's host cut off: {:.2?} s", self.name, figures.follower));
        figures.disk = Some(probe(&self.lab.options().root)?);
        (self.scale)(self.lab, 1, FEW)?;
        for trial in 0..self.trials.kills {
            figures.killed.push(self.kill_leader(trial)?);
        }
        say(&format!(
            "{}: next write after the leader was killed: {:.2?} s",
            self.name, figures.killed
        ));
        for _ in 0..self.trials.cuts {
            let took = self.lose(true, &mut figures.loads)?;
            figures.leader.push(took);
        }
        say(&format!("{}: the leader's host cut off: {:.2?} s", self.name, figures.leader));
        Ok(figures)
    }

    fn hosts(&self) -> Vec<u8> {
        self.lab.numbers().collect()
    }

    fn others(&self, host: u8) -> Vec<u8> {
        self.lab.numbers().filter(|number| *number != host).collect()
    }

    /// Waits until all hosts manage and are ready.
    fn settle(&self, via: u8) -> anyhow::Result<()> {
        let (start, mut last) = (lab::now(), Ok(false));
        while start.elapsed() < LIMIT {
            last = (self.well)(self.lab, via);
            if matches!(last, Ok(true)) {
                return Ok(());
            }
            lab::pause(Duration::from_millis(200));
        }
        last.map(drop)?;
        anyhow::bail!("{}: not all hosts are ready after {LIMIT:?}", self.name)
    }

    /// Few, spread over the hosts, and calm.
    fn begin_with(&self, via: u8, count: usize) -> anyhow::Result<()> {
        (self.scale)(self.lab, via, count)?;
        until(self.lab, &self.hosts(), count, lab::now(), LIMIT)?;
        lab::pause(Duration::from_secs(2));
        Ok(())
    }

    fn scale_up(&self) -> anyhow::Result<f64> {
        self.begin_with(1, FEW)?;
        let start = lab::now();
        (self.scale)(self.lab, 1, MANY)?;
        until(self.lab, &self.hosts(), MANY, start, LIMIT)
    }

    /// Cuts a host off, waits until everything runs on the others, and makes all well again.
    fn lose(&self, leader: bool, loads: &mut Vec<(Instant, LoadReport)>) -> anyhow::Result<f64> {
        let lost = self.victim(leader, loads.len())?;
        let survivors = self.others(lost);
        let load = self.answers.then(|| self.load(&survivors)).transpose()?;
        lab::pause(Duration::from_secs(2));
        self.lab.cut(lost)?;
        let cut = lab::now();
        let took = until(self.lab, &survivors, MANY, cut, LIMIT);
        lab::pause(Duration::from_secs(3));
        if let Some(load) = load {
            let report = load.stop();
            self.tell(cut, &report);
            loads.push((cut, report));
        }
        self.lab.heal(lost)?;
        self.settle(survivors[0])?;
        until(self.lab, &self.hosts(), MANY, lab::now(), LIMIT)
            .context("after the host is back")?;
        // A host that was lost must be heard for a while before it gets replicas again.
        lab::pause(Duration::from_secs(6));
        took.with_context(|| format!("{}: host{lost} cut off", self.name))
    }

    /// A host to be lost, with its share of the replicas. A host that came back gets none for a while, longer
    /// each time: then everything is spread anew a little later.
    fn victim(&self, leader: bool, trial: usize) -> anyhow::Result<u8> {
        for _ in 0..12 {
            self.begin_with(1, 3)?;
            self.begin_with(1, MANY)?;
            let leading = (self.leader)(self.lab, 1)?;
            let lost = if leader { leading } else { self.others(leading)[trial % 2] };
            if running(self.lab, &[lost])? >= SHARE {
                return Ok(lost);
            }
            lab::pause(Duration::from_secs(10));
        }
        anyhow::bail!("{}: the host to be lost gets no replicas", self.name)
    }

    fn load(&self, hosts: &[u8]) -> anyhow::Result<Load> {
        let address = |host: &u8| Ok(SocketAddr::from((self.lab.host(*host)?.address, PORT)));
        let targets = hosts.iter().map(address).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Load::start(LoadPlan::steady(targets)))
    }

    fn tell(&self, cut: Instant, report: &LoadReport) {
        let early = report.samples.iter().filter(|s| s.sent + s.took < cut && s.error.is_some());
        let (early, since) = (early.count(), report.since(cut));
        say(&format!(
            "{}: {} requests since the cut, {} failed without a retry, {} with one; before the cut {early} failed {:?}",
            self.name,
            since.samples.len(),
            since.failed(),
            since.failed_with_retry(),
            report.errors()
        ));
    }

    /// Kills the leader, and writes through the others in turn until it is accepted.
    fn kill_leader(&self, trial: usize) -> anyhow::Result<f64> {
        let leader = (self.leader)(self.lab, 1 + (trial % 3) as u8)?;
        let survivors = self.others(leader);
        self.lab.kill(leader, self.part)?;
        let (start, mut tries) = (lab::now(), 0);
        while !(self.write)(self.lab, survivors[tries % survivors.len()], trial) {
            tries += 1;
            anyhow::ensure!(start.elapsed() < LIMIT, "{}: no write after {LIMIT:?}", self.name);
        }
        let took = seconds(start);
        (self.restart)(self.lab, leader)?;
        self.settle(survivors[0])?;
        lab::pause(Duration::from_secs(2));
        Ok(took)
    }

    /// Half a minute in which nothing happens.
    fn idle(&self) -> anyhow::Result<Idle> {
        lab::pause(Duration::from_secs(10));
        let status = self.lab.host_status((self.leader)(self.lab, 1)?)?;
        let pid = |pid: Option<i32>| pid.and_then(|pid| u32::try_from(pid).ok());
        let both = pid(status.daemon).zip(pid(status.edge));
        let (daemon, edge) = both.context("the leader's daemon and edge do not run")?;
        let look = |pid| usage(pid).context("the leader's daemon or edge has ended");
        let (start, before) = (lab::now(), (look(daemon)?, look(edge)?));
        lab::pause(Duration::from_secs(30));
        let (time, after) = (seconds(start), (look(daemon)?, look(edge)?));
        let idle = Idle {
            daemon_memory: after.0.resident,
            daemon_cpu: (after.0.cpu - before.0.cpu) / time * 100.0,
            edge_memory: after.1.resident,
            edge_cpu: (after.1.cpu - before.1.cpu) / time * 100.0,
        };
        say(&format!("{}: {idle:.2?}", self.name));
        Ok(idle)
    }
}
