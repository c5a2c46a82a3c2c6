//! Drives the `Agent` value: brings it what happens, and does what it says. Decides nothing.

use crate::clock;
use crate::files::Files;
use crate::folder::{self, Folder};
use crate::tasks::Tasks;
use agent::{Action, Agent, ContainerId, Input, Observation, Output};
use model::{TaskId, View};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tracing::{error, info, warn};

/// Containers are looked at all together this often, in case events were lost.
const RESYNC: Duration = Duration::from_secs(60);
/// Memory in use is read this often.
const MEMORY: Duration = Duration::from_secs(10);

/// The agent and what leads in and out of it.
pub(crate) struct Agenting {
    agent: Mutex<Agent>,
    outputs: mpsc::UnboundedSender<Output>,
    woken: Notify,
    /// The newest view, for the edge.
    views: watch::Sender<Option<Arc<View>>>,
    engine_ready: watch::Sender<bool>,
    files: Arc<Files>,
    /// Held while the last view is written.
    keeping: tokio::sync::Mutex<()>,
}

/// A report on its way out.
pub(crate) struct Outgoing {
    pub(crate) number: u64,
    pub(crate) report: model::Report,
}

impl Agenting {
    /// Starts the agent's tasks. Reports go to `reports`.
    pub(crate) fn start(
        agent: Agent,
        folder: Folder,
        engine: docker::Engine,
        files: Arc<Files>,
        reports: mpsc::UnboundedSender<Outgoing>,
        tasks: &Tasks,
    ) -> Arc<Self> {
        let (outputs, received) = mpsc::unbounded_channel();
        let last = agent.view().map(Arc::clone);
        let driver = Arc::new(Self {
            agent: Mutex::new(agent),
            outputs,
            woken: Notify::new(),
            views: watch::Sender::new(last),
            engine_ready: watch::Sender::new(false),
            files,
            keeping: tokio::sync::Mutex::new(()),
        });
        tasks.spawn(Arc::clone(&driver).carry_out(
            received,
            engine.clone(),
            folder.clone(),
            reports,
        ));
        tasks.spawn(Arc::clone(&driver).wake());
        tasks.spawn(Arc::clone(&driver).listen(engine.clone()));
        tasks.spawn(Arc::clone(&driver).read_memory(engine));
        tasks.spawn(Arc::clone(&driver).keep_view(folder));
        driver
    }

    /// Brings the agent what happened.
    pub(crate) fn input(&self, input: Input) {
        let outputs = self.agent.lock().expect("no panic while held").handle(clock::now(), input);
        for output in outputs {
            let _ = self.outputs.send(output);
        }
        self.woken.notify_one();
    }

    /// A view arrived, that old.
    pub(crate) fn view(&self, view: Arc<View>, age: Duration) {
        self.input(Input::View { view, age });
        let newest = self.agent.lock().expect("no panic while held").view().map(Arc::clone);
        self.views.send_if_modified(|last| {
            let moved = *last != newest;
            *last = newest;
            moved
        });
    }

    /// The newest view, whenever it changes.
    pub(crate) fn views(&self) -> watch::Receiver<Option<Arc<View>>> {
        self.views.subscribe()
    }

    /// The container of a task on this node.
    pub(crate) fn container_of(&self, task: TaskId) -> Option<ContainerId> {
        self.agent.lock().expect("no panic while held").container_of(task).cloned()
    }

    /// Index of the newest view.
    pub(crate) fn view_index(&self) -> u64 {
        self.views.borrow().as_ref().map_or(0, |v| v.index)
    }

    /// Whether the engine answers, whenever that changes.
    pub(crate) fn engine_ready(&self) -> watch::Receiver<bool> {
        self.engine_ready.subscribe()
    }

    async fn carry_out(
        self: Arc<Self>,
        mut outputs: mpsc::UnboundedReceiver<Output>,
        engine: docker::Engine,
        folder: Folder,
        reports: mpsc::UnboundedSender<Outgoing>,
    ) {
        while let Some(output) = outputs.recv().await {
            match output {
                Output::Do(action) => {
                    drop(tokio::spawn(Arc::clone(&self).execute(engine.clone(), action)));
                }
                Output::Report { number, report } => {
                    drop(reports.send(Outgoing { number, report }));
                }
                Output::Keep => self.keep(&folder).await,
                Output::Resync => drop(tokio::spawn(Arc::clone(&self).resync(engine.clone()))),
                Output::Event(event) => log(&event),
            }
        }
    }

    async fn execute(self: Arc<Self>, engine: docker::Engine, action: Action) {
        let supplied = match &action {
            Action::Create(create) => self.files.supply(create).await,
            _ => Ok(()),
        };
        let result = match supplied {
            Ok(()) => engine.execute(&action).await,
            Err(why) => why.into(),
        };
        let removed = matches!(action, Action::Remove { .. });
        self.input(Input::Done { action, result });
        if removed {
            self.sweep();
        }
    }

    /// Removes the files of containers that are gone.
    fn sweep(self: Arc<Self>) {
        drop(tokio::task::spawn_blocking(move || {
            let agent = |task| self.agent.lock().expect("no panic while held").holds_files(task);
            if let Err(why) = self.files.sweep(agent) {
                warn!(%why, "files of containers that are gone cannot be removed");
            }
        }));
    }

    async fn resync(self: Arc<Self>, engine: docker::Engine) {
        match engine.observe().await {
            Ok(observation) => {
                self.observed(observation);
                self.sweep();
            }
            Err(why) => {
                self.engine_ready.send_if_modified(|ready| std::mem::replace(ready, false));
                warn!(%why, "the engine cannot be asked");
                self.input(Input::Engine { ready: false });
            }
        }
    }

    fn observed(&self, observation: Observation) {
        self.engine_ready.send_if_modified(|ready| !std::mem::replace(ready, true));
        self.input(Input::Observed(observation));
    }

    async fn wake(self: Arc<Self>) {
        loop {
            let at = self.agent.lock().expect("no panic while held").wake_at();
            let pause = at.map_or(Duration::from_secs(3600), |at| at.since(clock::now()));
            tokio::select! {
                () = tokio::time::sleep(pause) => self.input(Input::Wake),
                () = self.woken.notified() => {}
            }
        }
    }

    /// Events of the engine; after a break in them, and now and then, everything.
    async fn listen(self: Arc<Self>, engine: docker::Engine) {
        let mut changes = engine.changes();
        let mut resync = tokio::time::interval(RESYNC);
        loop {
            tokio::select! {
                _ = resync.tick() => Arc::clone(&self).resync(engine.clone()).await,
                change = changes.recv() => match change {
                    Some(docker::Change::Changed(container)) => self.input(Input::Changed(container)),
                    Some(docker::Change::Gone(container)) => {
                        self.input(Input::Gone(container));
                        Arc::clone(&self).sweep();
                    }
                    Some(docker::Change::Missed) => Arc::clone(&self).resync(engine.clone()).await,
                    None => return,
                },
            }
        }
    }

    async fn read_memory(self: Arc<Self>, engine: docker::Engine) {
        loop {
            tokio::time::sleep(MEMORY).await;
            let used = engine.memory().await;
            if !used.is_empty() {
                self.input(Input::Memory(used));
            }
        }
    }

    /// Keeps the last view on disk: the index below which nothing is accepted, and what crashed tasks are
    /// restarted by while there is no quorum. Logins are left out.
    async fn keep_view(self: Arc<Self>, folder: Folder) {
        let mut views = self.views();
        while views.changed().await.is_ok() {
            views.borrow_and_update();
            self.keep(&folder).await;
        }
    }

    /// Writes what the agent wants to find again, the newest last.
    async fn keep(&self, folder: &Folder) {
        let _one_at_a_time = self.keeping.lock().await;
        let snapshot = self.agent.lock().expect("no panic while held").snapshot();
        let Some(snapshot) = snapshot else { return };
        let (path, bytes) = (folder.view(), api::encode(&snapshot));
        let written =
            tokio::task::spawn_blocking(move || folder::write(&path, &bytes, 0o600)).await;
        if let Ok(Err(why)) = written {
            error!(why = format!("{why:#}"), "the last view cannot be kept");
        }
    }
}

fn log(event: &agent::Event) {
    use agent::Event;
    match event {
        Event::ViewRefused { .. } | Event::Isolated | Event::EngineOut { .. } => {
            warn!(%event, "agent");
        }
        Event::ActionFailed { .. } | Event::HookFailed { .. } => warn!(%event, "agent"),
        Event::Confirmed
        | Event::EngineBack
        | Event::RestartedInPlace { .. }
        | Event::Orphan { .. } => {
            info!(%event, "agent");
        }
    }
}
