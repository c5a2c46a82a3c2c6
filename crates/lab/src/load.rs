//! Steady request load: so many requests a second, each on a connection of its own, whatever happens to
//! the earlier ones (open loop, so a slow answer does not hide the next failure).

use crate::{clock, http_get};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Small stacks: hundreds of requests may hang at once.
const STACK: usize = 128 * 1024;

/// What load to make.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Asked in turn.
    pub targets: Vec<SocketAddr>,
    /// As in `/`.
    pub path: String,
    /// Requests a second, over all targets.
    pub rate: u32,
    /// How long a request may take, from connecting to the end of the answer's first wait.
    pub timeout: Duration,
}

impl LoadPlan {
    /// 200 requests a second for `/` with one second each: the project's yardstick.
    pub fn steady(targets: Vec<SocketAddr>) -> Self {
        Self { targets, path: "/".to_owned(), rate: 200, timeout: Duration::from_secs(1) }
    }
}

/// One request and, if it failed, its one retry at the next target.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When it was sent.
    pub sent: Instant,
    /// How long the first attempt took.
    pub took: Duration,
    /// Whom the first attempt asked.
    pub target: SocketAddr,
    /// Why the first attempt failed.
    pub error: Option<String>,
    /// Whether the retry failed too.
    pub retry_failed: bool,
    /// The body of the answer, from whichever attempt succeeded.
    pub body: String,
}

/// What became of the load so far.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    /// Every finished request, in order of sending.
    pub samples: Vec<Sample>,
}

impl LoadReport {
    /// Requests whose first attempt failed: what a client without retries would see.
    pub fn failed(&self) -> usize {
        self.samples.iter().filter(|sample| sample.error.is_some()).count()
    }

    /// Requests that failed even with one retry.
    pub fn failed_with_retry(&self) -> usize {
        self.samples.iter().filter(|sample| sample.retry_failed).count()
    }

    /// The requests that were sent at or after `time`.
    #[must_use]
    pub fn since(&self, time: Instant) -> Self {
        Self { samples: self.samples.iter().filter(|s| s.sent >= time).cloned().collect() }
    }

    /// The time that `share` (0 to 1) of the first attempts needed at most.
    pub fn percentile(&self, share: f64) -> Duration {
        let mut times: Vec<_> = self.samples.iter().map(|sample| sample.took).collect();
        times.sort_unstable();
        let at = (times.len() as f64 * share) as usize;
        times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    /// Each distinct error and how often it came.
    pub fn errors(&self) -> Vec<(String, usize)> {
        let mut counts = std::collections::BTreeMap::new();
        for error in self.samples.iter().filter_map(|sample| sample.error.clone()) {
            *counts.entry(error).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }
}

/// Load that is being made, until it is stopped or dropped.
#[derive(Debug)]
pub struct Load {
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: Arc<AtomicBool>,
    pacer: Option<thread::JoinHandle<()>>,
}

impl Load {
    /// Starts making load.
    pub fn start(plan: LoadPlan) -> Self {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (results, stopped) = (Arc::clone(&samples), Arc::clone(&stop));
        let pacer = thread::spawn(move || pace(&Arc::new(plan), &results, &stopped));
        Self { samples, stop, pacer: Some(pacer) }
    }

    /// What has finished so far.
    pub fn report(&self) -> LoadReport {
        let mut samples = self.samples.lock().expect("requests do not panic").clone();
        samples.sort_by_key(|sample| sample.sent);
        LoadReport { samples }
    }

    /// Stops, waits for open requests, and tells all.
    pub fn stop(mut self) -> LoadReport {
        self.halt();
        self.report()
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(pacer) = self.pacer.take() {
            let _ = pacer.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.halt();
    }
}

fn pace(plan: &Arc<LoadPlan>, samples: &Arc<Mutex<Vec<Sample>>>, stop: &AtomicBool) {
    let (start, gap) = (clock::now(), Duration::from_secs(1) / plan.rate.max(1));
    let mut open: Vec<thread::JoinHandle<()>> = Vec::new();
    let mut turn = 0_u32;
    while !stop.load(Ordering::Relaxed) && !plan.targets.is_empty() {
        clock::pause((start + gap * turn).saturating_duration_since(clock::now()));
        let (plan, samples, number) = (Arc::clone(plan), Arc::clone(samples), turn as usize);
        let one = move || {
            let sample = ask(&plan, number);
            samples.lock().expect("requests do not panic").push(sample);
        };
        // No thread to be had: the request is not made, and the next turn tries again.
        open.extend(thread::Builder::new().stack_size(STACK).spawn(one));
        open.retain(|request| !request.is_finished());
        turn += 1;
    }
    for request in open {
        let _ = request.join();
    }
}

fn ask(plan: &LoadPlan, number: usize) -> Sample {
    let target = |turn: usize| plan.targets[turn % plan.targets.len()];
    let sent = clock::now();
    let first = attempt(plan, target(number));
    let took = sent.elapsed();
    let (error, result) = match first {
        Ok(body) => (None, Ok(body)),
        Err(error) => (Some(error), attempt(plan, target(number + 1))),
    };
    let retry_failed = result.is_err();
    let body = result.unwrap_or_default();
    Sample { sent, took, target: target(number), error, retry_failed, body }
}

fn attempt(plan: &LoadPlan, target: SocketAddr) -> Result<String, String> {
    match http_get(target, &plan.path, plan.timeout) {
        Ok(reply) if reply.status < 400 => Ok(reply.body),
        Ok(reply) => Err(format!("status {}", reply.status)),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|why| format!(": {why}"));
            Err(format!("{error}{}", cause.unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        net::TcpListener,
    };

    #[test]
    fn a_dead_target_costs_first_attempts_but_no_retries() {
        let live = TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = TcpListener::bind("127.0.0.1:0").unwrap();
        let targets = vec![live.local_addr().unwrap(), dead.local_addr().unwrap()];
        drop(dead);
        thread::spawn(move || {
            for mut stream in live.incoming().flatten() {
                let _ = stream.read(&mut [0; 512]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
            }
        });
        let load = Load::start(LoadPlan::steady(targets));
        while load.report().samples.len() < 20 {
            clock::pause(Duration::from_millis(5));
        }
        let report = load.stop();
        assert_eq!(report.failed_with_retry(), 0, "{:?}", report.errors());
        assert_eq!(report.failed(), report.samples.len() / 2);
        assert_eq!(report.errors().len(), 1);
    }
}
