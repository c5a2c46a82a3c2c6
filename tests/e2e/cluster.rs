//! The cluster that the tests share: three managers and a spare host, brought up when the first test asks
//! for it, found whole and left whole by each; after one that failed, the next gets a new one. Owns set-up and
//! waiting; knows no fault.
//!
//! Start with [`Shared::test`]; what a test sees of the cluster is in `look.rs`.

use crate::look::Services;
use lab::harness::{Trial, Verdict};
use lab::{Binaries, Finished, Lab, LabError, LabGuard, Load, LoadPlan, Options, Response};
use lab::{ImageFile, http_get, test_image};
use std::cell::RefCell;
use std::error::Error;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::net::SocketAddr;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

/// What a step of a test gives.
pub(crate) type Step<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Longest wait for anything: only a hang takes so long.
pub(crate) const HANG: Duration = Duration::from_secs(90);
/// Hosts that manage from the start; a fourth is a spare for joining.
pub(crate) const MANAGERS: [u8; 3] = [1, 2, 3];
/// The host that belongs to no cluster between tests.
pub(crate) const SPARE: u8 = 4;
/// Where the shared app answers.
pub(crate) const WEB: u16 = 8080;

const EVERY: Duration = Duration::from_millis(100);

/// A figure or a remark for whoever reads the test's output.
pub(crate) fn say(text: &str) {
    let mut output = std::io::stdout();
    let _ = write!(output, "\n    {text}");
    let _ = output.flush();
}

/// Seconds with two digits.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// Asks again and again until there is a value; the last reason why not is in the error.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Step<T>) -> Step<T> {
    let end = lab::now() + HANG;
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(why) if lab::now() >= end => {
                return Err(format!("{what}: not within {} s; {why}", HANG.as_secs()).into());
            }
            Err(_) => lab::pause(EVERY),
        }
    }
}

/// For probes: an error unless the condition holds.
pub(crate) fn hold(condition: bool, why: impl FnOnce() -> String) -> Step<()> {
    if condition { Ok(()) } else { Err(why().into()) }
}

/// Options of a lab of its own name, so that a user's lab may be up at the same time.
pub(crate) fn options(name: &str, third: u8, hosts: u8) -> Options {
    Options {
        hosts,
        root: format!("/var/lib/cluster-lab-{name}").into(),
        name: name.to_owned(),
        subnet: format!("172.30.{third}"),
        ..Options::default()
    }
}

/// The shared cluster, or none yet.
#[derive(Clone, Default)]
pub(crate) struct Shared(Rc<RefCell<Option<Cluster>>>);

impl Shared {
    /// A test on the shared cluster, which it finds whole and must leave whole.
    pub(crate) fn test(&self, name: &'static str, body: fn(&Cluster) -> Verdict) -> Trial {
        let shared = self.clone();
        Trial::lab(name, move || shared.run(name, body))
    }

    /// The last test: the lab is removed, and nothing of it is left.
    pub(crate) fn end(&self, name: &'static str) -> Trial {
        let shared = self.clone();
        Trial::lab(name, move || {
            let Some(cluster) = shared.0.borrow_mut().take() else { return Ok(()) };
            let options = cluster.options().clone();
            let Cluster { lab, _turn } = cluster;
            drop(lab);
            Lab::remove(&options)?;
            Ok(())
        })
    }

    fn run(&self, name: &str, body: fn(&Cluster) -> Verdict) -> Verdict {
        let mut slot = self.0.borrow_mut();
        if slot.is_none() {
            *slot = Some(Cluster::fresh()?);
        }
        let cluster = slot.as_ref().expect("made above");
        let started = lab::now();
        cluster.mark(name);
        let whole = |()| cluster.whole().map(drop);
        let ended = catch_unwind(AssertUnwindSafe(|| body(cluster).and_then(whole)));
        say(&format!("took {}: ", seconds(started.elapsed())));
        if !matches!(ended, Ok(Ok(()))) {
            if let Ok(Err(why)) = &ended {
                say(&why.to_string());
            }
            cluster.keep_logs(name);
            // What one test broke is not to fail the next: that one gets a cluster of its own.
            *slot = None;
        }
        ended.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// A cluster in a lab.
pub(crate) struct Cluster {
    lab: LabGuard,
    /// Two runs of this suite would take each other's hosts away; freed after the lab is removed.
    _turn: File,
}

impl Deref for Cluster {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Cluster {
    /// Four hosts, three of them one cluster, with the test image on all engines and the app deployed.
    fn fresh() -> Step<Self> {
        let started = lab::now();
        let cluster = Self::formed(options("clabe", 8, 4), &MANAGERS)?;
        cluster.deploy(1, &example("app.yml"))?;
        cluster.whole()?;
        say(&format!("a cluster of three with an app after {}", seconds(started.elapsed())));
        Ok(cluster)
    }

    /// A lab whose `managers` are one cluster, with the test image on all engines.
    pub(crate) fn formed(options: Options, managers: &[u8]) -> Step<Self> {
        Self::formed_as(options, managers, &[], |_| Ok(()))
    }

    /// The same, founded with further words, on hosts that were prepared.
    pub(crate) fn formed_as(
        options: Options,
        managers: &[u8],
        more: &[&str],
        prepare: fn(&Lab) -> Step<()>,
    ) -> Step<Self> {
        let binaries = Some(Binaries::find_or_build()?.folder().to_owned());
        let turn = turn(&options)?;
        Lab::remove(&options)?;
        let cluster = Self { lab: Lab::up(Options { binaries, ..options })?.guard(), _turn: turn };
        for host in cluster.numbers() {
            cluster.wait_daemon(host)?;
        }
        prepare(&cluster.lab)?;
        let address = cluster.host(managers[0])?.address.to_string();
        let words = ["init", "--advertise", &address];
        cluster.say(managers[0], &[&words, more].concat())?;
        for host in &managers[1..] {
            cluster.join(*host, "manager", &[])?;
        }
        let image = cluster.image("1")?;
        for host in cluster.numbers() {
            cluster.load_image(host, &image)?;
        }
        Ok(cluster)
    }

    /// The test image with that version, in a file.
    pub(crate) fn image(&self, version: &str) -> Step<ImageFile> {
        let image = test_image(&format!("e2e/web:{version}"), version)?;
        Ok(image.write(&self.options().root)?)
    }

    /// Joins a host through host 1 with a current token of that role.
    pub(crate) fn join(&self, host: u8, role: &str, more: &[&str]) -> Step<Finished> {
        let token = self.token_file(role)?;
        self.join_with(host, &token, more)?.ok().map_err(Into::into)
    }

    /// Tries to join a host through host 1 with the token in a file.
    pub(crate) fn join_with(&self, host: u8, token: &Path, more: &[&str]) -> Step<Finished> {
        let (member, address) =
            (self.host(1)?.control_address(), self.host(host)?.address.to_string());
        let token = token.display().to_string();
        let mut words = vec!["join", &member, "--token-file", &token, "--advertise", &address];
        words.extend(more);
        Ok(self.clusterctl(host, &words)?)
    }

    /// The current token of a role, in a file.
    pub(crate) fn token_file(&self, role: &str) -> Step<PathBuf> {
        self.write(&format!("{role}.token"), &self.token(role)?)
    }

    /// The current token of a role.
    pub(crate) fn token(&self, role: &str) -> Step<String> {
        let said = self.say(1, &["token", role])?;
        let token = said.stdout.split_whitespace().find(|word| word.starts_with("CLUSTER-"));
        token.map(str::to_owned).ok_or_else(|| format!("no token in `{}`", said.stdout).into())
    }

    /// Writes a file into the lab's folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> Step<PathBuf> {
        let path = self.options().root.join("files").join(name);
        fs::create_dir_all(path.parent().ok_or("a folder of files")?)?;
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Runs `clusterctl` and insists on success.
    pub(crate) fn say(&self, host: u8, words: &[&str]) -> Step<Finished> {
        Ok(self.clusterctl(host, words)?.ok()?)
    }

    /// Runs `clusterctl` and insists on a refusal with that exit code; gives what it said.
    pub(crate) fn refused(&self, host: u8, words: &[&str], code: i32) -> Step<String> {
        let done = self.clusterctl(host, words)?;
        let said = format!("{}{}", done.stdout, done.stderr);
        hold(done.code == Some(code), || {
            format!("`{}` ended with {:?}, not {code}: {said}", done.command, done.code)
        })?;
        Ok(said)
    }

    /// Deploys a Compose text with further words, whatever comes of it.
    pub(crate) fn deploy_text(&self, host: u8, text: &str, more: &[&str]) -> Step<Finished> {
        let file = self.write("docker-compose.yml", text)?.display().to_string();
        let words: Vec<&str> =
            ["deploy", "-f", &file].into_iter().chain(more.iter().copied()).collect();
        Ok(self.clusterctl(host, &words)?)
    }

    /// Scales services of the shared app and waits.
    pub(crate) fn scale_app(&self, wish: &str) -> Step<()> {
        self.scale(1, "app", wish)?;
        Ok(())
    }

    /// The leader and the two others, as all managers agree.
    pub(crate) fn roles(&self) -> Step<(u8, [u8; 2])> {
        let leader = eventually("a leader that all managers name", || {
            let named = MANAGERS.map(|host| self.leader(host));
            let first = named[0].as_ref().ok().copied().flatten().ok_or("host1 names none")?;
            let agree = named.iter().all(|one| matches!(one, Ok(Some(leader)) if *leader == first));
            hold(agree, || format!("{named:?}")).map(|()| first)
        })?;
        let others: Vec<u8> = MANAGERS.into_iter().filter(|host| *host != leader).collect();
        Ok((leader, [others[0], others[1]]))
    }

    /// Asks a host's published port.
    pub(crate) fn ask(&self, host: u8, port: u16, path: &str) -> Step<Response> {
        Ok(http_get(self.at(host, port)?, path, Duration::from_secs(5))?)
    }

    /// A host's address with a port.
    pub(crate) fn at(&self, host: u8, port: u16) -> Result<SocketAddr, LabError> {
        Ok(SocketAddr::from((self.host(host)?.address, port)))
    }

    /// Steady requests to the shared app through some hosts.
    pub(crate) fn load(&self, hosts: &[u8]) -> Step<Load> {
        let targets = hosts.iter().map(|host| self.at(*host, WEB)).collect::<Result<_, _>>()?;
        Ok(Load::start(LoadPlan { rate: 100, ..LoadPlan::steady(targets) }))
    }

    /// Waits until the cluster is as it should be: one leader and three voters that all managers name, every
    /// node ready, every service whole, and as many containers as there are replicas.
    pub(crate) fn whole(&self) -> Step<Duration> {
        let started = lab::now();
        eventually("a whole cluster", || self.is_whole())?;
        Ok(started.elapsed())
    }

    fn is_whole(&self) -> Step<()> {
        let mut leaders = Vec::new();
        for host in MANAGERS {
            let status = self.status(host)?;
            hold(!status.read.stale, || {
                format!("host{host} reads stale: {}", status.read.why_stale)
            })?;
            hold(status.voters == 3 && status.voters_ready == 3, || {
                format!("{} of {} voters are ready", status.voters_ready, status.voters)
            })?;
            for node in &status.nodes {
                hold(node.fine(), || format!("host{host} sees {node:?}"))?;
            }
            hold(status.nodes.len() == 3, || format!("{} nodes", status.nodes.len()))?;
            for service in &status.services {
                hold(service.whole(), || format!("host{host} sees {service:?}"))?;
            }
            leaders.push(status.leader);
        }
        hold(leaders.iter().all(|l| !l.is_empty() && *l == leaders[0]), || format!("{leaders:?}"))?;
        self.counts_agree(&self.status(1)?.services)
    }

    /// One container for each replica, each slot once.
    fn counts_agree(&self, services: &Services) -> Step<()> {
        let wanted: u32 = services.iter().map(|s| s.wanted).sum();
        let running = self.running(&MANAGERS)?;
        hold(running.len() == wanted as usize, || {
            format!("{wanted} replicas are wanted, containers: {running:?}")
        })?;
        let mut slots: Vec<_> = running.iter().map(|c| (&c.project, &c.service, &c.slot)).collect();
        slots.sort();
        slots.dedup();
        hold(slots.len() == running.len(), || format!("two containers of one replica: {running:?}"))
    }

    /// A line in each daemon's log that says which test begins.
    fn mark(&self, name: &str) {
        for host in self.numbers() {
            let log = self.host(host).map(lab::Host::daemon_log);
            let file = log.ok().and_then(|log| fs::OpenOptions::new().append(true).open(log).ok());
            // A log that cannot be marked is as good for everything else.
            let _ = file.map(|mut file| writeln!(file, "======== {name}"));
        }
    }

    /// Copies the logs, and what the cluster says of itself, to where removing the lab does not reach.
    fn keep_logs(&self, name: &str) {
        let folder = std::env::temp_dir().join(format!("e2e-{}", std::process::id())).join(name);
        if fs::create_dir_all(&folder).is_err() {
            return;
        }
        thread::scope(|scope| {
            for host in self.numbers() {
                let folder = &folder;
                scope.spawn(move || self.keep_log(host, folder));
            }
        });
        say(&format!("logs are kept in {}", folder.display()));
    }

    fn keep_log(&self, number: u8, folder: &Path) {
        let Ok(host) = self.host(number) else { return };
        for log in [host.daemon_log(), host.engine_log()] {
            let file = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let _ = fs::copy(&log, folder.join(format!("{}-{file}", host.name)));
        }
        let mut text = String::new();
        for words in ["status --stale", "ps --all --stale", "events -n 80"] {
            let words: Vec<&str> = words.split(' ').collect();
            let said = self.clusterctl_within(number, &words, Duration::from_secs(5));
            text += &said.map_or_else(
                |e| e.to_string(),
                |s| format!("{words:?}\n{}{}\n", s.stdout, s.stderr),
            );
        }
        let _ = fs::write(folder.join(format!("{}-said", host.name)), text);
    }
}

/// Waits until no other process uses the labs of this suite.
fn turn(options: &Options) -> Step<File> {
    let name = format!("cluster-lab-{}.lock", options.name);
    let file = File::create(std::env::temp_dir().join(name))?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        say("waits for another run of this suite");
        file.lock()?;
    }
    Ok(file)
}

/// One of the Compose files of `cluster-config/e2e`.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster-config/e2e").join(name)
}
