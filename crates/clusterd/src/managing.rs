//! Drives the `Manager` value on a member that holds the log: brings it what happens, and does what it
//! says. Decides nothing.

use crate::clock;
use crate::serve::members::Limits;
use crate::serve::refusal;
use crate::tasks::Tasks;
use api::v1;
use consensus::{Log, ProposeError, RaftService};
use identity::{ClusterKey, Sealer};
use manager::{Ended, Input, Link, Manager, Output, ProposalId};
use model::{Command, NodeId, Outcome, RequestId, Shared, State, TaskState, Time, View, Wanted};
use planner::{Settings, Verdict};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tonic::Status;
use tracing::{debug, info, warn};

/// Deadline for finding out whether a host answers.
const PROBE: Duration = Duration::from_millis(400);

/// Who is to hold the log.
#[derive(Clone, Default)]
struct Wish {
    voters: BTreeSet<NodeId>,
    learners: BTreeSet<NodeId>,
}

/// What a member does as a manager.
pub(crate) struct Managing {
    pub(crate) log: Log,
    pub(crate) raft: RaftService,
    pub(crate) cluster_key: ClusterKey,
    pub(crate) sealer: Sealer,
    pub(crate) settings: Settings,
    /// How much each node may ask for.
    pub(crate) limits: Limits,
    /// Who is to hold the log, as last decided.
    wish: watch::Sender<Wish>,
    manager: Mutex<Manager>,
    outputs: mpsc::UnboundedSender<Output>,
    woken: Notify,
    confirmed: AtomicBool,
    shared: Mutex<Option<(u64, Shared)>>,
    verdict: Mutex<Option<(u64, Arc<Verdict>)>>,
}

impl Managing {
    /// Starts the manager's tasks on a log that is open.
    pub(crate) fn start(
        log: Log,
        raft: RaftService,
        cluster_key: ClusterKey,
        me: NodeId,
        timers: &model::Timers,
        tasks: &Tasks,
    ) -> Arc<Self> {
        let (outputs, received) = mpsc::unbounded_channel();
        let settings = Settings::from(timers);
        let driver = Arc::new(Self {
            sealer: Sealer::new(&cluster_key),
            log,
            raft,
            cluster_key,
            manager: Mutex::new(Manager::new(me, timers.clone(), settings.clone(), clock::now())),
            settings,
            limits: Limits::default(),
            wish: watch::Sender::default(),
            outputs,
            woken: Notify::new(),
            confirmed: AtomicBool::new(false),
            shared: Mutex::default(),
            verdict: Mutex::default(),
        });
        tasks.spawn(Arc::clone(&driver).carry_out(received));
        tasks.spawn(Arc::clone(&driver).reconcile());
        tasks.spawn(Arc::clone(&driver).wake());
        tasks.spawn(Arc::clone(&driver).follow_log());
        driver
    }

    fn input(&self, input: Input) {
        let outputs = self.manager.lock().expect("no panic while held").handle(clock::now(), input);
        for output in outputs {
            let _ = self.outputs.send(output);
        }
        self.woken.notify_one();
    }

    /// A node's beat arrived.
    pub(crate) fn heard(&self, from: NodeId, beat: &v1::BeatRequest) {
        let heard =
            beat.heard.iter().map(|h| (NodeId(h.node), Duration::from_millis(h.age_ms))).collect();
        self.input(Input::Beat { from, heard });
    }

    /// What this manager has heard of the others.
    pub(crate) fn testimony(&self) -> Vec<(NodeId, Duration)> {
        self.manager.lock().expect("no panic while held").testimony(clock::now())
    }

    /// Links that are broken, as this manager knows.
    pub(crate) fn links(&self) -> Vec<Link> {
        self.manager.lock().expect("no panic while held").links(clock::now())
    }

    /// Appends a command to the log, wherever the leader is, unless some node would not understand it.
    pub(crate) async fn propose(
        &self,
        command: Command,
        request: Option<RequestId>,
    ) -> Result<(u64, Outcome), Status> {
        if let Some(why) = self.log.state().not_understood(&command) {
            return Err(refusal(&why));
        }
        self.log.propose(command, request).await.map_err(|e| status(&e))
    }

    /// How long ago this manager had contact with a leader that has a quorum.
    pub(crate) fn contact_age(&self) -> Duration {
        self.log.contact_age()
    }

    /// Whether an index confirmed by a leader has been applied since the start.
    pub(crate) async fn confirmed(&self) -> bool {
        if !self.confirmed.load(Ordering::Relaxed) && self.log.read_index().await.is_ok() {
            self.confirmed.store(true, Ordering::Relaxed);
        }
        self.confirmed.load(Ordering::Relaxed)
    }

    /// What all views of a state share; taken once per state.
    pub(crate) fn shared(&self, state: &State) -> Shared {
        let mut kept = self.shared.lock().expect("no panic while held");
        match &*kept {
            Some((index, shared)) if *index == state.index => shared.clone(),
            _ => {
                let shared = state.shared();
                *kept = Some((state.index, shared.clone()));
                shared
            }
        }
    }

    /// A view with the logins that its node is about to need, readable. They travel over mutual TLS and are never written to a disk.
    pub(crate) fn opened(&self, view: &View) -> View {
        let mut view = view.clone();
        for task in &mut view.tasks {
            let sealed = std::mem::take(&mut task.logins);
            let needed = sealed.into_iter().filter(|_| pulls(task.wanted, &task.state));
            let open = |(registry, sealed): (String, model::Login)| {
                let plain = self.sealer.open(&sealed.0, SEAL_LOGIN).ok()?;
                Some((registry, model::Login(plain.to_vec())))
            };
            task.logins = needed.filter_map(open).collect();
        }
        view
    }

    /// What losing each node would mean; worked out once per state, when somebody asks.
    pub(crate) fn verdict(&self, state: &State) -> Arc<Verdict> {
        let mut kept = self.verdict.lock().expect("no panic while held");
        match &*kept {
            Some((index, verdict)) if *index == state.index => Arc::clone(verdict),
            _ => {
                let verdict = Arc::new(planner::verdict(state, state.now, &self.settings));
                *kept = Some((state.index, Arc::clone(&verdict)));
                verdict
            }
        }
    }

    /// Brings the manager the states and the leadership, from those in force on.
    async fn follow_log(self: Arc<Self>) {
        let mut states = self.log.watch();
        let mut leads = self.log.leads();
        states.mark_changed();
        leads.mark_changed();
        loop {
            tokio::select! {
                moved = states.changed() => {
                    if moved.is_err() { return; }
                    let state = states.borrow_and_update().clone();
                    self.input(Input::Applied(state));
                }
                moved = leads.changed() => {
                    if moved.is_err() { return; }
                    let led = *leads.borrow_and_update();
                    self.leadership(led);
                }
            }
        }
    }

    fn leadership(&self, led: Option<(u64, Time)>) {
        match led {
            Some((term, cluster_now)) => {
                info!(term, "this manager leads");
                self.input(Input::Led { term, cluster_now });
            }
            None => self.input(Input::Followed),
        }
    }

    async fn wake(self: Arc<Self>) {
        loop {
            let at = self.manager.lock().expect("no panic while held").wake_at();
            let pause = at.map_or(Duration::from_secs(3600), |at| at.since(clock::now()));
            tokio::select! {
                () = tokio::time::sleep(pause) => self.input(Input::Wake),
                () = self.woken.notified() => {}
            }
        }
    }

    async fn carry_out(self: Arc<Self>, mut outputs: mpsc::UnboundedReceiver<Output>) {
        while let Some(output) = outputs.recv().await {
            let driver = Arc::clone(&self);
            match output {
                Output::Propose { id, command } => {
                    drop(tokio::spawn(driver.propose_own(id, command)));
                }
                Output::Reconcile { voters, learners } => {
                    drop(self.wish.send_replace(Wish { voters, learners }));
                }
                Output::Probe { node } => drop(tokio::spawn(driver.probe(node))),
                Output::HandOver { to } => drop(tokio::spawn(async move {
                    if let Err(why) = driver.log.transfer(Some(to)).await {
                        debug!(%why, "leadership was not handed over");
                    }
                })),
                Output::Event(event) => log(&event),
            }
        }
    }

    /// Makes the members of the log those that are wished for: one attempt at a time, each for the newest wish.
    async fn reconcile(self: Arc<Self>) {
        let mut wishes = self.wish.subscribe();
        while wishes.changed().await.is_ok() {
            let Wish { voters, learners } = wishes.borrow_and_update().clone();
            let state = self.log.state();
            let addresses = state.nodes.values().map(|n| (n.id, n.control())).collect();
            if let Err(why) = self.log.reconcile(&voters, &learners, &addresses).await {
                debug!(%why, "membership is not reconciled yet");
            }
        }
    }

    async fn propose_own(self: Arc<Self>, id: ProposalId, command: Command) {
        let ended = match self.log.propose_as_leader(command).await {
            Ok((index, _)) => Ended::Applied { index },
            Err(why) => {
                debug!(%why, "own proposal failed");
                Ended::Failed
            }
        };
        self.input(Input::Proposed { id, ended });
    }

    /// A refused connection is an answer: the host lives, its daemon does not.
    async fn probe(self: Arc<Self>, node: NodeId) {
        let Some(address) = self.log.state().nodes.get(&node).map(model::Node::control) else {
            return;
        };
        let connected = tokio::time::timeout(PROBE, TcpStream::connect(address)).await;
        let answers = match connected {
            Ok(Ok(_)) => true,
            Ok(Err(e)) => e.kind() == std::io::ErrorKind::ConnectionRefused,
            Err(_) => false,
        };
        self.input(Input::Probed { node, answers });
    }
}

/// Whether the image of such a task may still have to be pulled.
fn pulls(wanted: Wanted, state: &TaskState) -> bool {
    wanted == Wanted::Run && state.rank() < TaskState::Starting.rank()
}

/// Name under which registry logins are sealed.
pub(crate) const SEAL_LOGIN: &[u8] = b"registry login";

/// A failed proposal as a status; the code tells a client whether to retry.
pub(crate) fn status(error: &ProposeError) -> Status {
    match error {
        ProposeError::TooLarge { .. } => Status::resource_exhausted(error.to_string()),
        _ => Status::unavailable(error.to_string()),
    }
}

fn log(event: &manager::Event) {
    use manager::Event;
    match event {
        Event::LinkBroken { node } => {
            warn!(node = node.0, "link broken: another manager hears the node, this one does not");
        }
        Event::LinkHealed { node } => info!(node = node.0, "link healed"),
        Event::Stalled { paused } => {
            warn!(paused_ms = paused.as_millis() as u64, "this process stood still");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_opened_only_for_what_may_still_be_pulled() {
        assert!(pulls(Wanted::Run, &TaskState::Assigned));
        assert!(pulls(Wanted::Run, &TaskState::Preparing));
        assert!(!pulls(Wanted::Run, &TaskState::Starting));
        assert!(!pulls(Wanted::Run, &TaskState::Exited { code: 0 }));
        assert!(!pulls(Wanted::Stop, &TaskState::Assigned));
    }
}
