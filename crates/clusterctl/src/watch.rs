//! Waiting commands: asks the cluster a few times a second, shows how far it is, and ends with the truth.
//! What counts as reached is decided in `wait`, how it looks in `tree`.

use crate::clock;
use crate::failure::{Exit, Failure};
use crate::out::{Out, terminal_size};
use crate::session::Session;
use crate::tree::{self, Look};
use crate::wait::{Goal, Progress, Snapshot, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Between two questions.
const POLL: Duration = Duration::from_millis(400);
/// Between two drawings.
const FRAME: Duration = Duration::from_millis(100);
/// For how long to wait unless `--timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Waits until the goal is reached. Fails with what is missing when something will never come, or when time
/// is up.
pub(crate) async fn until(session: &Session, title: &str, goal: &Goal) -> Result<(), Failure> {
    let limit = session.global.timeout.unwrap_or(TIMEOUT);
    let mut screen = Screen::new(session.out, title);
    let mut trouble: Option<Failure> = None;
    let mut last: Option<Progress> = None;
    loop {
        match snapshot(session, goal).await {
            Ok(snapshot) => {
                let progress = goal.progress(&snapshot);
                screen.show(&progress)?;
                if progress.done {
                    return Ok(());
                }
                if progress.failed() {
                    return Err(never(&progress));
                }
                last = Some(progress);
                trouble = None;
            }
            Err(failure) if failure.exit == Exit::Unreachable => {
                if trouble.is_none() {
                    screen.interrupt(&failure);
                }
                trouble = Some(failure);
            }
            Err(failure) => return Err(failure),
        }
        if screen.started.elapsed() >= limit {
            return Err(overdue(limit, last.as_ref(), trouble));
        }
        screen.pause(last.as_ref(), POLL).await?;
    }
}

async fn snapshot(session: &Session, goal: &Goal) -> Result<Snapshot, Failure> {
    let project = match goal {
        Goal::Whole { project, .. } | Goal::Gone { project, .. } => project.as_str(),
        Goal::Drained { .. } => "",
    };
    let mut services = session.services(project).await?;
    let mut replicas = session.replicas(project, &[], true).await?;
    if matches!(goal, Goal::Whole { .. }) {
        // What somebody runs once is no part of what was asked for.
        let aside = services.services.extract_if(.., |s| s.one_off);
        let aside: BTreeSet<String> = aside.map(|s| s.name).collect();
        replicas.replicas.retain(|r| !aside.contains(&r.service));
    }
    // What one node knows by itself may be overtaken: it is shown, but the goal is not reached by it.
    let index = |read: &Option<api::v1::ReadInfo>| {
        read.as_ref().filter(|r| !r.stale).map_or(0, |r| r.index)
    };
    Ok(Snapshot {
        index: index(&services.read).min(index(&replicas.read)),
        services: services.services,
        replicas: replicas.replicas,
    })
}

fn overdue(limit: Duration, last: Option<&Progress>, trouble: Option<Failure>) -> Failure {
    match (last, trouble) {
        (_, Some(trouble)) => trouble,
        (Some(progress), None) => {
            not_there(&format!("not there after {}", crate::text::took(limit)), progress)
        }
        (None, None) => Failure::unreachable("the cluster did not answer in time"),
    }
}

fn not_there(what: &str, progress: &Progress) -> Failure {
    Failure::refused(with_missing(what, progress))
        .next("the cluster goes on trying; `clusterctl ps -a` and `clusterctl logs` show why")
}

fn never(progress: &Progress) -> Failure {
    let why = "`clusterctl ps -a` and `clusterctl logs` show why";
    Failure::refused(with_missing("will not come", progress)).next(if progress.held() {
        format!("{why}; then `clusterctl rollout resume` or `undo`, or deploy again")
    } else {
        format!("{why}; mend it and deploy again")
    })
}

fn with_missing(what: &str, progress: &Progress) -> String {
    let mut message = what.to_owned();
    for missing in progress.missing() {
        let _ = write!(message, "\n  {}", missing.replace('\n', " "));
    }
    message
}

/// What is on the terminal, and since when.
struct Screen {
    out: Out,
    title: String,
    started: Instant,
    /// Colours, when the output is redrawn in place.
    live: Option<bool>,
    /// Lines drawn last, to be drawn over.
    drawn: usize,
    turn: usize,
    /// Since when each line is on its way, and how long it took.
    times: BTreeMap<String, (Instant, Option<Duration>)>,
    /// What was told where nothing is redrawn.
    told: BTreeMap<String, String>,
}

impl Screen {
    fn new(out: Out, title: &str) -> Self {
        Self {
            out,
            title: title.to_owned(),
            started: clock::now(),
            live: out.live(),
            drawn: 0,
            turn: 0,
            times: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    fn show(&mut self, progress: &Progress) -> Result<(), Failure> {
        if self.live.is_some() {
            self.time(progress);
            return self.draw(progress);
        }
        let changes = tree::changes(progress, &mut self.told);
        for line in &changes {
            self.out.say(line);
        }
        Ok(())
    }

    fn time(&mut self, progress: &Progress) {
        for line in progress.groups.iter().flat_map(|g| &g.lines) {
            // What was there at first sight took no time, and none is shown.
            let at_once = (line.step == Step::Done).then_some(Duration::ZERO);
            let times = self.times.entry(line.name.clone()).or_insert((clock::now(), at_once));
            match (line.step, times.1) {
                (Step::Done, None) => times.1 = Some(times.0.elapsed()),
                (Step::Done, Some(_)) => {}
                (_, _) => times.1 = None,
            }
        }
    }

    fn draw(&mut self, progress: &Progress) -> Result<(), Failure> {
        let Some(colour) = self.live else { return Ok(()) };
        let (columns, rows) = terminal_size();
        let look = Look { columns, rows, colour, turn: self.turn };
        self.turn += 1;
        let took = |(name, (since, took)): (&String, &(Instant, Option<Duration>))| {
            (name.clone(), took.unwrap_or_else(|| since.elapsed()))
        };
        let took = self.times.iter().map(took).filter(|(_, took)| !took.is_zero()).collect();
        let lines = tree::tree(&self.title, progress, &took, look);
        // Up to the first line drawn last (ECMA-48: CPL), then each line, its rest erased (EL), then all
        // below (ED).
        let mut frame =
            if self.drawn > 0 { format!("\x1b[{}F", self.drawn) } else { String::new() };
        for line in &lines {
            let _ = writeln!(frame, "{line}\x1b[K");
        }
        frame.push_str("\x1b[J");
        self.drawn = lines.len();
        self.out.error_bytes(frame.as_bytes())
    }

    /// Says that the cluster does not answer; what was drawn stays above.
    fn interrupt(&mut self, failure: &Failure) {
        self.drawn = 0;
        self.out.say(&format!("{} (asking again)", failure.message));
    }

    /// Lets time pass, with the spinner turning.
    async fn pause(&mut self, progress: Option<&Progress>, time: Duration) -> Result<(), Failure> {
        let (Some(_), Some(progress)) = (self.live, progress) else {
            tokio::time::sleep(time).await;
            return Ok(());
        };
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(FRAME);
            tokio::time::sleep(step).await;
            left -= step;
            self.draw(progress)?;
        }
        Ok(())
    }
}
